//! How much memory a backup costs.

use std::process::Command;

use super::*;

/// What a run may need for two streams, in bytes, whatever their length.
const LIMIT: u64 = 48 << 20;

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// The other tests of this process would count, so it has one of its own.
#[test]
fn the_memory_of_a_backup_is_bounded() {
    for name in ["writing_300_mib", "reading_300_mib"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", &format!("tests::memory::{name}")])
            // A server in memory must not count either.
            .env("DB_OPERATOR_TEST_S3", endpoint())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let line = said.lines().find(|line| line.contains("MiB more")).unwrap();
        println!("{name}: {line}");
    }
}

/// Two streams of 150 MiB, written at once.
async fn write_two(upload: &Upload) {
    let mut writers = [upload.open(info("one")).await.unwrap(), upload.open(info("two")).await.unwrap()];
    for chunk in 0..150 * 16 {
        let [one, two] = &mut writers;
        let (a, b) = (noise(chunk, 64 << 10), noise(chunk + 10_000, 64 << 10));
        let (one, two) = tokio::join!(one.write(a), two.write(b));
        one.unwrap();
        two.unwrap();
    }
    for writer in writers {
        writer.finish(None).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "the_memory_of_a_backup_is_bounded runs it in a process of its own"]
async fn writing_300_mib() {
    let store = Store::with(bucket().await, HASTY, Sizes::default()).unwrap();
    let upload = store.begin(LOCATION, None, &[]).await.unwrap();
    let before = peak();
    write_two(&upload).await;
    let more = peak() - before;
    println!("\n{} MiB more", more >> 20);
    let manifest = upload.complete(identity(), description()).await.unwrap().either().manifest;
    assert_eq!(manifest.totals.bytes, 300 << 20);
    assert!(manifest.totals.stored_bytes > 299 << 20, "it compressed too well: {:?}", manifest.totals);
    assert!(more < LIMIT, "{} MiB", more >> 20);
}

#[tokio::test]
#[ignore = "the_memory_of_a_backup_is_bounded runs it in a process of its own"]
async fn reading_300_mib() {
    let store = Store::with(bucket().await, HASTY, Sizes::default()).unwrap();
    let upload = store.begin(LOCATION, None, &[]).await.unwrap();
    write_two(&upload).await;
    let manifest = upload.complete(identity(), description()).await.unwrap().either().manifest;
    // Writing has raised the peak; what it left is free for reading, so that the whole counts.
    let download = store.open(LOCATION, manifest, None).unwrap();
    let mut readers = [download.open("one").await.unwrap(), download.open("two").await.unwrap()];
    let before = peak();
    let mut left = 300 << 20;
    while left > 0 {
        for reader in &mut readers {
            left -= reader.read().await.unwrap().map_or(0, |chunk| chunk.len());
        }
    }
    let more = peak() - before;
    println!("\n{} MiB more", more >> 20);
    assert!(more < LIMIT, "{} MiB", more >> 20);
}
