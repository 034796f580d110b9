//! One run at a time works on a database.

use tokio::time::timeout;

use crate::driver::{Driver, Mark};
use crate::dump::Source as _;
use crate::error::ErrorKind;
use crate::testkit::conformance::case::{Kit, Outcome, ensure, refused, same};
use crate::testkit::conformance::harness::Harness;
use crate::testkit::dump::MemorySink;

/// "The lock MUST exclude every other session of this method for a database of the same name, from any cluster", and the
/// second session is "`Busy` at once".
pub async fn a_second_session_is_busy_at_once<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    let uid = case.target.mark.uid.clone();
    let others = [
        case.clone(),
        case.clone().with_mark(Mark::new("another-cluster", uid)),
        case.clone().with_mark(Mark::new("kit-cluster", "another uid")),
    ];
    for is_there in [false, true] {
        let first = case.session().await?;
        for other in &others {
            let second = timeout(kit.harness.patience() / 2, other.connect()).await;
            let second = second.map_err(|_| "a second session waits, and is to be `Busy` at once")?;
            refused(
                &format!("a second session by {}", other.target.mark),
                second.map(drop),
                &[ErrorKind::Busy],
            )?;
        }
        case.close(first).await;
        if !is_there {
            case.present().await?;
        }
    }
    Ok(())
}

/// The lock is "on one database": another database is free meanwhile, also if its name begins with the same letters.
pub async fn another_database_is_not_locked<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    let first = case.session().await?;
    for other in ["b", "a_a", "a_b", "aa"] {
        let other = kit.case(other);
        let second = other.connect().await?;
        other.close(second).await;
    }
    case.close(first).await;
    Ok(())
}

/// "MUST end with the session": the next run is let in.
pub async fn the_lock_ends_with_its_session<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    for _ in 0..3 {
        case.is_free().await?;
    }
    let mut session = case.session().await?;
    case.harness.driver().ensure_present(&mut session, &case.target, &case.desired()).await?;
    case.close(session).await;
    let other = case.clone().with_mark(Mark::new("another-cluster", "another uid"));
    Ok(other.is_free().await?)
}

/// "When it has returned, the lock MUST be free for the next session": nobody waits for one that was closed.
pub async fn a_closed_session_leaves_its_lock_at_once<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    let mut session = case.session().await?;
    for _ in 0..10 {
        kit.harness.driver().close(session).await?;
        session = case.connect().await?;
    }
    case.close(session).await;
    Ok(())
}

/// "MUST refuse what a session asks for whose lease is over", and so must one whose lock was taken away: another may hold
/// it already.
pub async fn a_session_without_its_lock_does_nothing<H: Harness>(kit: &Kit<H>) -> Outcome {
    let (case, fresh) = (kit.case("a"), kit.case("b"));
    case.present_and_filled().await?;
    let dump = case.dump().await?;
    fresh.present().await?;
    let (before, content, empty) = (case.picture().await?, case.content().await?, fresh.content().await?);
    let (driver, desired) = (kit.harness.driver(), case.clone().with_password("another").desired());

    for method in ["observe", "ensure_present", "ensure_absent", "lock_out", "dump", "check_load"] {
        let mut session = case.session().await?;
        kit.harness.take_lock_away(&case.target).await?;
        let target = &case.target;
        let result = match method {
            "observe" => driver.observe(&mut session, target, Some(&desired)).await.map(drop),
            "ensure_present" => driver.ensure_present(&mut session, target, &desired).await,
            "ensure_absent" => driver.ensure_absent(&mut session, target).await,
            "lock_out" => driver.lock_out(&mut session, target).await,
            "dump" => driver.dump(&mut session, target, &MemorySink::default()).await.map(drop),
            _ => driver.check_load(&mut session, target, dump.description()).await.map(drop),
        };
        ensure(result.is_err(), || format!("{method} goes on without its lock"))?;
        case.close(session).await;
        case.is_unchanged(&format!("{method} without its lock"), &before).await?;
        same("content", &case.content().await?, &content)?;
    }
    let mut session = fresh.session().await?;
    kit.harness.take_lock_away(&fresh.target).await?;
    let loaded = driver.load(&mut session, &fresh.target, &dump).await;
    fresh.close(session).await;
    ensure(loaded.is_err(), || "load goes on without its lock".to_owned())?;
    same("content after a load without its lock", &fresh.content().await?, &empty)
}

/// "The lock MUST exclude every other session": two runs at once make one database, and drop it.
pub async fn two_runs_at_once_make_one_database<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    for _ in 0..3 {
        let (one, two) = tokio::join!(case.present(), case.present());
        one.and(two)?;
        case.is_complete().await?;
        let (one, two) = tokio::join!(case.absent(), case.absent());
        one.and(two)?;
        case.is_absent().await?;
    }
    Ok(())
}
