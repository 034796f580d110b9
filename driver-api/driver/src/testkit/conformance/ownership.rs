//! What does not carry the database's own mark is never adopted, changed or dropped.

use crate::driver::{Driver as _, Mark, Presence};
use crate::error::ErrorKind;
use crate::testkit::conformance::case::{Case, Failure, Kit, Outcome, ensure, refused, same};
use crate::testkit::conformance::harness::Harness;

/// Whatever the driver is asked, what is there stays as it is.
async fn is_left_alone<H: Harness>(case: &Case<H>, is_foreign: bool) -> Outcome {
    let before = case.picture().await?;
    let presence = case.look().await?;
    if is_foreign {
        let named = matches!(&presence, Presence::Foreign { what } if !what.is_empty());
        ensure(named, || format!("it has to be foreign, and is {presence:?}"))?;
        let presence = case.observe().await?;
        let named = matches!(&presence, Presence::Foreign { what } if !what.is_empty());
        ensure(named, || format!("it has to be foreign also if something is desired, and is {presence:?}"))?;
        refused("ensure_present beside what is foreign", case.present().await, &[ErrorKind::NameTaken])?;
        case.is_unchanged("ensure_present", &before).await?;
    }
    // What these answer is theirs; the runtime does not call them. What they do is not.
    let driver = case.harness.driver();
    let mut session = case.session().await?;
    let _ = driver.lock_out(&mut session, &case.target).await;
    case.close(session).await;
    case.is_unchanged("lock_out", &before).await?;
    let mut session = case.session().await?;
    let _ = driver.ensure_absent(&mut session, &case.target).await;
    case.close(session).await;
    case.is_unchanged("ensure_absent", &before).await
}

/// "A method MUST NOT adopt, change or drop anything on the server that does not carry the database's own `Mark`": a
/// database that somebody made.
pub async fn a_foreign_database_is_left_alone<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    kit.harness.plant_database(&case.target.name).await?;
    is_left_alone(&case, true).await
}

/// "A method MUST NOT adopt, change or drop anything": a login that somebody made. The one that applications use is in the
/// way; of the other an engine may have none.
pub async fn a_foreign_login_is_left_alone<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    kit.harness.plant_login(&case.target.active_login).await?;
    is_left_alone(&case, true).await?;

    let case = kit.case("b");
    kit.harness.plant_login(&case.target.standby_login).await?;
    if matches!(case.look().await?, Presence::Foreign { .. }) {
        return is_left_alone(&case, true).await;
    }
    kit.could_not_show("the standby login: the driver has none, so a login of that name is no concern of it");
    is_left_alone(&case, false).await
}

/// "What carries none, or another one, is foreign": what another cluster or another Database has made.
pub async fn what_carries_another_mark_is_left_alone<H: Harness>(kit: &Kit<H>) -> Outcome {
    let theirs = kit.case("a");
    theirs.present_and_filled().await?;
    let content = theirs.content().await?;
    let uid = theirs.target.mark.uid.clone();
    for mark in [
        Mark::new("kit-cluster", "another uid"),
        Mark::new("another-cluster", &uid),
        Mark::new("kit-cluster", format!("{uid}0")),
        Mark::new("kit-cluster", ""),
    ] {
        let what = format!("to {mark}");
        is_left_alone(&theirs.clone().with_mark(mark), true)
            .await
            .map_err(|it| Failure(format!("{what}: {it}")))?;
    }
    theirs.is_complete().await?;
    same("their content", &theirs.content().await?, &content)
}

/// "A method MUST leave nothing that does not carry the mark once it has returned": with its own mark all that was made can
/// be dropped, and with its database gone the rest is still known.
pub async fn what_is_made_carries_the_mark<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    let nothing = case.picture().await?;
    case.present().await?;
    let other = case.clone().with_mark(Mark::new("another-cluster", "another uid"));
    let presence = other.look().await?;
    ensure(matches!(presence, Presence::Foreign { .. }), || format!("to others it is {presence:?}"))?;
    kit.harness.lose(&case.target).await?;
    let presence = case.look().await?;
    let is_known = matches!(presence, Presence::Ours { database: false, .. } | Presence::Absent);
    ensure(is_known, || format!("without its database it is {presence:?}"))?;
    case.absent().await?;
    case.is_absent().await?;
    case.is_unchanged("a life without its database", &nothing).await?;
    case.present().await?;
    case.absent().await?;
    case.is_unchanged("a whole life", &nothing).await
}

/// "A method MUST NOT adopt, change or drop anything on the server that does not carry the database's own `Mark`": a
/// database of ours with a name that looks alike.
pub async fn neighbours_are_untouched<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    // `a_a` is also the name of a login of `a`, and `_` is any letter in many a pattern.
    let neighbours = ["a_a", "a_b", "a2", "ab", "axa"].map(|label| kit.case(label));
    let mut before = Vec::new();
    for neighbour in &neighbours {
        neighbour.present().await?;
        neighbour.commit(&["theirs"]).await?;
        before.push((neighbour.picture().await?, neighbour.content().await?));
    }
    case.present_and_filled().await?;
    case.lock_out().await?;
    case.dump().await?;
    case.present().await?;
    case.absent().await?;
    for (neighbour, (picture, content)) in neighbours.iter().zip(&before) {
        neighbour.is_unchanged("the life of another database", picture).await?;
        same("a neighbour's content", &neighbour.content().await?, content)?;
        neighbour.is_complete().await?;
    }
    Ok(())
}
