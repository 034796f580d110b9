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
    let bad = code(path).into_iter().filter(|line| forbidden.iter().any(|word| line.contains(word)));
    bad.map(|line| format!("{}: {}", path.display(), line.trim())).collect()
}

/// What of the operator has effects. All else is pure.
const EFFECTS: [&str; 16] = [
    "seen/lines.rs",
    "seen/watch.rs",
    "clock.rs",
    "pulse.rs",
    "launch.rs",
    "voice.rs",
    "lease.rs",
    "controller.rs",
    "controller/launches.rs",
    "controller/speech.rs",
    "metrics.rs",
    "config.rs",
    "probe.rs",
    "run.rs",
    "server.rs",
    "main.rs",
];

#[test]
fn what_decides_has_no_client_clock_environment_or_async() {
    let source = root().join("operator/src");
    for file in EFFECTS {
        assert!(source.join(file).exists(), "{file} is gone");
    }
    let mut pure = rust_files(&source);
    pure.retain(|file| !EFFECTS.iter().any(|effect| *file == source.join(effect)));
    assert!(pure.len() > 40, "only {} files are pure", pure.len());
    pure.extend([
        root().join("driver-api/api/src/lifecycle.rs"),
        root().join("driver-api/api/src/intent.rs"),
        root().join("driver-api/api/src/operation.rs"),
        root().join("driver-api/api/src/names.rs"),
    ]);
    let forbidden =
        ["async ", ".await", "kube::Client", "::now()", "std::env::", "tokio::", "Mutex", "Instant"];
    let found: Vec<_> = pure.iter().flat_map(|file| offenders(file, &forbidden)).collect();
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
    assert!(files.len() > 20, "only {} files are looked at", files.len());
    let found: Vec<_> =
        files.iter().flat_map(|file| offenders(file, &["kube::", "k8s_openapi", "use kube"])).collect();
    assert!(found.is_empty(), "{found:#?}");
}
