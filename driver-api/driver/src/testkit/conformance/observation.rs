//! What the driver says is there is what is there, and to say it changes nothing.

use crate::driver::{Driver, Mark, Presence};
use crate::dump::Source as _;
use crate::testkit::conformance::case::{Case, Failure, Kit, Outcome, ensure, same};
use crate::testkit::conformance::harness::Harness;

async fn changes_nothing<H: Harness>(case: &Case<H>, state: &str) -> Outcome {
    let before = case.picture().await?;
    case.look().await?;
    case.is_unchanged(&format!("a look at what is {state}"), &before).await?;
    case.observe().await?;
    case.is_unchanged(&format!("a comparison with what is {state}"), &before).await
}

/// "Says what is on the server. It MUST NOT change anything.", with and without `desired`, in every state.
pub async fn observe_changes_nothing<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    changes_nothing(&case, "absent").await?;
    case.present_and_filled().await?;
    let content = case.content().await?;
    changes_nothing(&case, "present").await?;
    changes_nothing(&case.clone().with_password("another"), "wanted with another password").await?;
    let other = case.clone().with_mark(Mark::new("another-cluster", "another uid"));
    changes_nothing(&other, "foreign").await?;
    for drift in kit.harness.drifts() {
        kit.harness.drift(&case.target, &drift).await?;
        changes_nothing(&case, &format!("changed by {drift}")).await?;
        case.present().await?;
    }
    case.lock_out().await?;
    changes_nothing(&case, "locked out").await?;
    same("content", &case.content().await?, &content)?;
    kit.harness.lose(&case.target).await?;
    changes_nothing(&case, "without its database").await
}

/// "With `desired` it compares with all of it": each thing that somebody changes by hand is seen, and
/// "Makes the database and its logins as desired, from any state that `observe` calls `Absent` or
/// `Ours`": it is repaired.
pub async fn drift_is_seen_and_repaired<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    let drifts = kit.harness.drifts();
    if drifts.is_empty() {
        kit.could_not_show("drift: the harness has none");
    }
    for drift in drifts {
        kit.harness.drift(&case.target, &drift).await?;
        let differences = case.differences().await?;
        ensure(!differences.is_empty(), || format!("{drift} is not seen"))?;
        let named = differences.iter().all(|difference| !difference.trim().is_empty());
        ensure(named, || format!("{drift} is seen and not named: {differences:?}"))?;
        case.present().await?;
        case.is_complete().await.map_err(|left| Failure(format!("{drift} is not repaired: {left}")))?;
    }
    Ok(())
}

/// "from any state that `observe` calls `Absent` or `Ours`": a login that is locked out is seen, and
/// works again.
pub async fn a_lock_out_is_seen_and_repaired<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    case.lock_out().await?;
    let differences = case.differences().await?;
    ensure(!differences.is_empty(), || "a lock-out is not seen".to_owned())?;
    case.present().await?;
    case.is_complete().await
}

/// "Without, it says only whether anything of the database is there": in every state, and with nothing about what differs.
pub async fn a_look_says_only_what_is_there<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.is_absent().await?;
    same("what is there", &case.observe().await?, &Presence::Absent)?;
    case.present().await?;
    let is = |presence: &Presence, there: bool| matches!(presence, Presence::Ours { database, differences } if *database == there && differences.is_empty());
    let presence = case.look().await?;
    ensure(is(&presence, true), || format!("a database that is there is {presence:?}"))?;
    case.lock_out().await?;
    let presence = case.clone().with_password("another").look().await?;
    ensure(is(&presence, true), || format!("a database that is locked is {presence:?}"))?;
    kit.harness.lose(&case.target).await?;
    let presence = case.look().await?;
    let fits = is(&presence, false) || presence == Presence::Absent;
    ensure(fits, || format!("a database that is gone is {presence:?}"))?;
    case.absent().await?;
    case.is_absent().await
}

/// "Says whether the database can take a dump of `description`. It MUST NOT change anything."
pub async fn check_load_changes_nothing<H: Harness>(kit: &Kit<H>) -> Outcome {
    let (case, empty) = (kit.case("a"), kit.case("b"));
    case.present_and_filled().await?;
    empty.present().await?;
    let dump = case.dump().await?;
    for case in [&case, &empty] {
        let (picture, content) = (case.picture().await?, case.content().await?);
        let mut session = case.session().await?;
        for _ in 0..2 {
            kit.harness.driver().check_load(&mut session, &case.target, dump.description()).await?;
        }
        case.close(session).await;
        case.is_unchanged("check_load", &picture).await?;
        same("content after check_load", &case.content().await?, &content)?;
    }
    Ok(())
}
