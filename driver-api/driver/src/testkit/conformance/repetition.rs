//! Every method is repeated, after success.

use std::collections::BTreeMap;

use crate::dump::Source as _;
use crate::testkit::conformance::case::{Kit, Outcome, same};
use crate::testkit::conformance::harness::Harness;
use crate::testkit::dump::MemoryDump;

/// "Every method MUST be idempotent: the runtime repeats it after a crash at any point, and after success."
///
/// A database that is made a second time is what it was, to the stored password.
pub async fn present_twice_is_present_once<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.is_absent().await?;
    case.present().await?;
    case.is_complete().await?;
    let before = case.picture().await?;
    for _ in 0..2 {
        case.present().await?;
        case.is_unchanged("ensure_present again", &before).await?;
    }
    case.is_complete().await
}

/// "Every method MUST be idempotent": what is not there can be dropped, and what was dropped, too.
pub async fn absent_twice_is_absent<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.absent().await?;
    case.is_absent().await?;
    let before = case.picture().await?;
    case.present_and_filled().await?;
    // As before the last backup.
    case.lock_out().await?;
    for _ in 0..2 {
        case.absent().await?;
        case.is_absent().await?;
        case.is_unchanged("a whole life", &before).await?;
    }
    Ok(())
}

/// "Every method MUST be idempotent": a login that is locked out can be locked out.
pub async fn lock_out_twice_is_locked_out<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    for _ in 0..3 {
        case.lock_out().await?;
        if case.tenant().await.is_ok() {
            return Err("the login works after a lock-out".into());
        }
    }
    case.present().await?;
    case.is_complete().await
}

/// "Every method MUST be idempotent": two looks and two dumps of one database are equal.
pub async fn looks_and_dumps_twice_are_equal<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present_and_filled().await?;
    same("what is observed again", &case.observe().await?, &case.observe().await?)?;
    let (first, second) = (case.dump().await?, case.dump().await?);
    let counts = |dump: &MemoryDump| {
        let streams = dump.streams().iter();
        streams.map(|stream| (stream.info.name.clone(), stream.rows)).collect::<BTreeMap<_, _>>()
    };
    same("streams and rows of the second dump", &counts(&second), &counts(&first))?;
    let found = case.check_load(first.description()).await?;
    same("what is in the way at a second look", &case.check_load(first.description()).await?, &found)?;
    let (one, two) = (kit.case("b"), kit.case("c"));
    one.restore(&first).await?;
    two.restore(&second).await?;
    same("the content of the second dump", &two.content().await?, &one.content().await?)
}

/// "It MUST NOT lose a row", whatever has happened to the database before.
pub async fn no_row_is_lost<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present_and_filled().await?;
    let (rows, content) = (case.rows().await?, case.content().await?);
    case.present().await?;
    same("rows after ensure_present", &case.rows().await?, &rows)?;
    case.lock_out().await?;
    case.present().await?;
    same("rows after a lock-out", &case.rows().await?, &rows)?;
    let case = case.with_password("another");
    case.present().await?;
    same("rows after a new password", &case.rows().await?, &rows)?;
    for drift in kit.harness.drifts() {
        kit.harness.drift(&case.target, &drift).await?;
        case.present().await?;
        same(&format!("rows after {drift}"), &case.rows().await?, &rows)?;
    }
    same("content", &case.content().await?, &content)?;
    case.is_complete().await
}
