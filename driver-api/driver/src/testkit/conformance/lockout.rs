//! After a lock-out nobody commits, and what was acknowledged before is in the dump.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::testkit::conformance::case::{Case, Failure, Kit, Outcome, ensure, same};
use crate::testkit::conformance::harness::Harness;

/// What writers have done.
#[derive(Debug, Default)]
struct Seen {
    stop: AtomicBool,
    acknowledged: Mutex<Vec<String>>,
    refused: AtomicUsize,
}

impl Seen {
    fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writers that commit row after row, each in a new session every few rows, until they are told to stop.
struct Writers {
    seen: Arc<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    fn start<H: Harness>(case: &Case<H>, round: usize) -> Self {
        let seen = Arc::<Seen>::default();
        let tasks = (0..4)
            .map(|number| tokio::spawn(write(case.clone(), Arc::clone(&seen), format!("{round}-{number}"))));
        Self { tasks: tasks.collect(), seen: Arc::clone(&seen) }
    }

    /// Waits for what writers do.
    async fn until<H: Harness>(&self, case: &Case<H>, what: &str, is_so: impl Fn(&Seen) -> bool) -> Outcome {
        let all = async {
            while !is_so(&self.seen) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = timeout(case.harness.patience(), all).await;
        waited.map_err(|_| Failure(format!("writers are not {what} in {:?}", case.harness.patience())))
    }

    async fn stop(self) -> Arc<Seen> {
        self.seen.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            let _ = task.await;
        }
        self.seen
    }
}

async fn write<H: Harness>(case: Case<H>, seen: Arc<Seen>, name: String) {
    for count in 0.. {
        if seen.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut tenant) = case.harness.log_in(&case.target, &case.login).await else {
            seen.refused.fetch_add(1, Ordering::SeqCst);
            // A fast engine refuses without an await, and others are to come to their turn.
            tokio::task::yield_now().await;
            continue;
        };
        for part in 0..3 {
            let row = format!("{name}-{count}-{part}");
            if case.harness.commit(&mut tenant, &row).await.is_err() {
                break;
            }
            seen.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(row);
            tokio::task::yield_now().await;
        }
    }
}

/// "When it has returned, nobody can commit anything in the database any more": not in a session that was open, and not in
/// a new one.
pub async fn nobody_commits_after_a_lock_out<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    case.commit(&["first"]).await?;
    for round in 0..3 {
        let mut idle = case.tenant().await?;
        let writers = Writers::start(&case, round);
        writers.until(&case, "at work", |seen| seen.acknowledged().len() > 20).await?;
        let locked = case.lock_out().await;
        let then = case.rows().await?;
        let late = case.harness.commit(&mut idle, "late").await;
        let refused = writers.seen.refused.load(Ordering::SeqCst) + 40;
        let refused =
            writers.until(&case, "refused", |seen| seen.refused.load(Ordering::SeqCst) > refused).await;
        let now = case.rows().await?;
        writers.stop().await;
        locked?;
        ensure(late.is_err(), || "a session that was open commits".to_owned())?;
        same("rows a while after the lock-out", &now.len(), &then.len())?;
        refused?;
        ensure(case.tenant().await.is_err(), || "the login still works".to_owned())?;
        case.present().await?;
    }
    Ok(())
}

/// "all that the tenant has made": every commit that was acknowledged before a lock-out is in the dump after it, and the
/// dump of what is locked is whole.
pub async fn what_was_acknowledged_is_in_the_dump<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    case.commit(&["first"]).await?;
    let writers = Writers::start(&case, 0);
    writers.until(&case, "at work", |seen| seen.acknowledged().len() > 30).await?;
    let locked = case.lock_out().await;
    let dump = case.dump().await;
    let seen = writers.stop().await;
    locked?;
    let clone = kit.case("b");
    clone.restore(&dump?).await?;
    let rows = clone.rows().await?;
    let lost: Vec<_> = seen.acknowledged().into_iter().filter(|row| !rows.contains(row)).collect();
    ensure(lost.is_empty(), || format!("rows are acknowledged and lost: {lost:?}"))?;
    same("the content of what was locked", &clone.content().await?, &case.content().await?)
}

/// "until `ensure_present` lets the login in again".
pub async fn present_lets_the_login_in_again<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    case.lock_out().await?;
    case.present().await?;
    case.is_complete().await?;
    case.commit(&["again"]).await?;
    same("rows", &case.rows().await?, &vec!["again".to_owned()])
}

/// "Locks the logins out, ends their sessions, drops the database and its logins.": an application that goes on is no
/// obstacle to a drop.
pub async fn a_writer_does_not_keep_a_database<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    case.commit(&["first"]).await?;
    let mut idle = case.tenant().await?;
    let writers = Writers::start(&case, 0);
    writers.until(&case, "at work", |seen| seen.acknowledged().len() > 10).await?;
    let dropped = case.absent().await;
    writers.stop().await;
    dropped?;
    case.is_absent().await?;
    let late = case.harness.commit(&mut idle, "late").await;
    ensure(late.is_err(), || "a session commits after the drop".to_owned())
}
