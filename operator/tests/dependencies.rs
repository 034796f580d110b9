//! What the programs are made of: no database client in the operator, no controller in a driver, `ring` alone for
//! TLS.

#![allow(clippy::unwrap_used, reason = "a test may fail on the spot")]

use std::collections::BTreeSet;
use std::process::Command;

/// The packages that `package` links, of itself and not of what shares its workspace.
fn packages(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", package, "-e", "normal", "--prefix", "none"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<_> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.contains(package) && names.contains("serde"), "that is no dependency tree: {text}");
    names
}

fn assert_without(package: &str, unwanted: &[&str]) {
    let packages = packages(package);
    let found: Vec<_> = unwanted.iter().filter(|name| packages.contains(**name)).collect();
    assert!(found.is_empty(), "{package} links {found:?}");
}

const OTHER_TLS: [&str; 4] = ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"];

#[test]
fn the_operator_links_no_database_client_and_no_object_store() {
    let clients = [
        "tokio-postgres",
        "mysql_async",
        "rust-s3",
        "aws-sdk-secretsmanager",
        "db-operator-driver-mysql",
        "db-operator-driver-postgresql",
        // What writes the objects that the operator watches.
        "db-operator-runtime",
    ];
    assert_without("db-operator", &clients);
    assert_without("db-operator", &OTHER_TLS);
}

#[test]
fn what_releases_links_no_database_client_and_no_controller() {
    assert_without("db-operator-release", &["tokio-postgres", "mysql_async", "kube-runtime", "db-operator"]);
    assert_without("db-operator-release", &OTHER_TLS);
}

#[test]
fn a_driver_links_no_controller() {
    for driver in ["db-operator-driver-mysql", "db-operator-driver-postgresql"] {
        assert_without(driver, &["kube-runtime", "db-operator"]);
        assert_without(driver, &OTHER_TLS);
    }
}
