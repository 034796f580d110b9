//! Work that is done is not called failed because an answer of the API server is lost.

use serde_json::json;

use super::api_server::Fault;
use super::crash::assert_said_well;
use super::objects::Kind;
use super::operator::settle;
use super::stored::Stored;
use crate::outcome::Outcome;
use api::Operation;
use store::testing::bucket;

/// Something that a run of that operation is due on.
async fn due(operation: Operation) -> Stored {
    let stored = if operation == Operation::Create {
        Stored::empty(&bucket().await, &json!({})).await
    } else {
        Stored::alone(&["one"]).await
    };
    match operation {
        Operation::Create => {}
        Operation::Backup => drop(stored.ask_backup("nightly")),
        Operation::Restore => {
            stored.ask_backup("nightly");
            settle(&stored.world).await;
            stored.ask_restore("back", "nightly", true);
        }
        Operation::DeleteBackup => {
            stored.ask_deletable_backup("nightly");
            settle(&stored.world).await;
            stored.world.api.objects(|objects| objects.delete(Kind::Backup, "nightly"));
        }
        Operation::BackupBeforeDelete => stored.world.api.delete(),
        Operation::Delete => {
            stored.world.api.delete();
            assert_eq!(stored.world.run(Operation::BackupBeforeDelete).await, Outcome::Done);
        }
        Operation::Rotate | Operation::Release => panic!("no run of {operation}"),
    }
    stored.forget_requests();
    stored
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_looked_up_and_costs_no_second_run() {
    for operation in [
        Operation::Create,
        Operation::Backup,
        Operation::Restore,
        Operation::BackupBeforeDelete,
        Operation::Delete,
        Operation::DeleteBackup,
    ] {
        let whole = due(operation).await;
        assert_eq!(whole.world.run(operation).await, Outcome::Done);
        let asked = whole.world.api.requests();
        let writes = asked.iter().enumerate().filter(|(_, line)| is_swapped(line));
        for (index, line) in writes {
            let stored = due(operation).await;
            stored.world.api.fault_at(index, Fault::AnswerLost);
            let case = format!("{operation}: {line}");
            assert_eq!(stored.world.run(operation).await, Outcome::Done, "{case}");
            stored.world.api.heal();
            settle(&stored.world).await;
            assert_said_well(&stored, &case);
        }
    }
}

/// Whether it is a write by compare-and-swap.
fn is_swapped(line: &str) -> bool {
    line.starts_with("PATCH") && !line.contains("secret")
}

#[tokio::test]
async fn a_restore_that_is_complete_stays_so_whatever_becomes_of_the_run() {
    let requests = {
        let whole = due(Operation::Restore).await;
        assert_eq!(whole.world.run(Operation::Restore).await, Outcome::Done);
        whole.world.api.requests()
    };
    let completed = requests.iter().position(|line| line == "PATCH restore status Completed").unwrap();
    for (index, line) in requests.iter().enumerate().skip(completed) {
        let stored = due(Operation::Restore).await;
        // Nobody hears of the rest of it.
        stored.world.api.fault_at(index, Fault::GoesAway);
        assert_ne!(stored.world.run(Operation::Restore).await, Outcome::Done);
        stored.world.api.heal();
        assert_eq!(stored.ready(Kind::Restore, "back").0, "True", "{line}");
        settle(&stored.world).await;
        assert_said_well(&stored, line);
    }
}
