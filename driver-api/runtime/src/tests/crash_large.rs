//! A dump of several parts dies at every request to the store.

use super::objects::Kind;
use super::operator::runs_to_rest;
use super::stored::{StoreFault, Stored};
use store::testing::{bucket, noise};

/// A row that no compression brings below two parts.
fn long_row() -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    noise(1, 12 << 20).iter().map(|byte| char::from(digits[usize::from(byte % 64)])).collect()
}

#[tokio::test]
async fn a_backup_in_parts_leaves_no_upload_wherever_it_dies() {
    let bucket = bucket().await;
    let row = long_row();
    let (mut index, mut in_parts) = (0, false);
    loop {
        let stored = Stored::with(&bucket, &[&row]).await;
        let location = stored.ask_backup("nightly");
        stored.fault_at(index, StoreFault::KilledAfter);
        assert!(runs_to_rest(&stored.world).await, "killed after request {index}");
        assert_eq!(stored.status(Kind::Backup, "nightly")["phase"], "Completed");
        // This looks for uploads too.
        assert_eq!(stored.keys().await.len(), 2, "killed after request {index}");
        in_parts |= stored.asked().iter().any(|line| line.contains("partNumber=2"));
        if stored.asked().len() <= index {
            assert_eq!(stored.dumped(&location).await.unwrap(), [row]);
            break;
        }
        index += 1;
    }
    assert!(in_parts && index >= 8, "only {index} faults were met");
}
