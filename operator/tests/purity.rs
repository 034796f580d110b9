//! What must be pure is, and a driver sees no Kubernetes type: invariants 3 and 4.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail on the spot")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of a file that are neither comments nor tests.
fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let code = text.lines().take_while(|line| !line.contains("#[cfg(test)]"));
    code.filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

fn offenders(path: &Path, forbidden: &[&str]) -> Vec<String> {
    let lines = code(path);
    assert!(lines.len() > 20, "{} is not what this test looks for", path.display());
    let bad = lines.into_iter().filter(|line| forbidden.iter().any(|word| line.contains(word)));
    bad.map(|line| format!("{}: {}", path.display(), line.trim())).collect()
}

#[test]
fn what_decides_has_no_client_clock_environment_or_async() {
    let pure = [
        "operator/src/database/facts.rs",
        "operator/src/subject.rs",
        "operator/src/backup/decide.rs",
        "operator/src/seen/jobs.rs",
        "operator/src/database/decide.rs",
        "operator/src/slots.rs",
        "operator/src/job/build.rs",
        "operator/src/job/pod.rs",
        "driver-api/api/src/lifecycle.rs",
        "driver-api/api/src/names.rs",
        "driver-api/runtime/src/content.rs",
    ];
    let forbidden = ["async ", ".await", "Client", "::now()", "std::env::", "tokio::", "Mutex"];
    let found: Vec<_> = pure.iter().flat_map(|file| offenders(&root().join(file), &forbidden)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// The file, or the source files of the folder.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.flat_map(|entry| rust_files(&entry.unwrap().path())).collect();
    }
    // Tests in files of their own begin without a mark that they are tests.
    let is_code = path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs");
    if is_code { vec![path.to_owned()] } else { Vec::new() }
}

#[test]
fn a_driver_sees_no_kubernetes_type() {
    let mut files = vec![
        root().join("driver-api/driver/src/driver.rs"),
        root().join("driver-api/driver/src/testkit/memory.rs"),
    ];
    for driver in std::fs::read_dir(root().join("drivers")).unwrap() {
        for file in std::fs::read_dir(driver.unwrap().path().join("src")).unwrap() {
            files.extend(rust_files(&file.unwrap().path()));
        }
    }
    let found: Vec<_> = files
        .iter()
        // A `main.rs` is one call, too short for a sanity check on its length.
        .filter(|file| !file.ends_with("main.rs") && !file.ends_with("lib.rs"))
        .flat_map(|file| offenders(file, &["kube::", "k8s_openapi", "use kube"]))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
