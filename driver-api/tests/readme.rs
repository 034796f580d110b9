//! What the README says of itself. (That its driver compiles, the documentation's tests show.)

#![allow(clippy::unwrap_used, reason = "a test may fail on the spot")]

#[test]
fn a_complete_driver_takes_less_than_60_lines() {
    let readme = include_str!("../README.md");
    let (_, after) = readme.split_once("```rust,no_run\n").unwrap();
    let (driver, _) = after.split_once("```").unwrap();
    assert!(driver.contains("impl Driver for") && driver.contains("driver_api::run"), "{driver}");
    let lines = driver.lines().count();
    assert!(lines < 60, "{lines} lines");
}
