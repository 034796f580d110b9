//! A run dies at any await, and the next one finishes what was begun.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::dump::Source as _;
use crate::error::ErrorKind;
use crate::testkit::conformance::case::{Case, Failure, Kit, Outcome, ensure, same};
use crate::testkit::conformance::harness::Harness;
use crate::testkit::dump::{MemoryDump, MemorySink};
use crate::testkit::interrupt::killed_after;

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The next count after `polls`: every one at first, and later a few in each power of two.
pub(super) fn next(polls: usize, thorough: usize) -> usize {
    polls + 1 + polls.saturating_sub(thorough) / 4
}

/// Kills `work` at every await, each time after `before` and with `after` behind it, until it ends by itself.
///
/// A work that fails before it is killed fails the rule, but if it says `Busy`: the lock of the one before may be noticed
/// late.
async fn at_every_await<H: Harness>(
    kit: &Kit<H>,
    before: impl AsyncFn(&Case<H>) -> Outcome,
    work: impl Fn(Case<H>) -> Work,
    after: impl AsyncFn(&Case<H>) -> Outcome,
) -> Outcome {
    let mut polls = 1;
    loop {
        let case = kit.case(&format!("n{polls}"));
        before(&case).await?;
        // The lock of what was before is gone: else the work would end at `Busy`.
        case.is_free().await?;
        let (failed, run) = (Arc::<Mutex<Option<Failure>>>::default(), work(case.clone()));
        let told = Arc::clone(&failed);
        let killed = move || async move {
            if let Err(failure) = run.await {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            }
        };
        let ended = killed_after(polls, killed).await.map_err(|error| error.to_string())?;
        let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), |failure| Err(Failure(format!("with {polls} polls: {failure}"))))?;
        let whole = after(&case).await;
        whole.map_err(|failure| Failure(format!("after a death at poll {polls}: {failure}")))?;
        if ended {
            return ensure(polls > 1, || "it ended at its first poll: nothing was interrupted".to_owned());
        }
        polls = next(polls, kit.harness.thorough());
    }
}

/// "Any future may be dropped at any await point; the next run finishes what was begun."
pub async fn present_survives_death_at_every_await<H: Harness>(kit: &Kit<H>) -> Outcome {
    let work = |case: Case<H>| -> Work { Box::pin(async move { Ok(case.present().await?) }) };
    let after = async |case: &Case<H>| {
        case.present().await?;
        case.is_complete().await?;
        case.absent().await?;
        case.is_absent().await
    };
    at_every_await(kit, async |_| Ok(()), work, after).await
}

/// "the runtime repeats it after a crash at any point": a drop that died is finished by the next.
pub async fn absent_survives_death_at_every_await<H: Harness>(kit: &Kit<H>) -> Outcome {
    let work = |case: Case<H>| -> Work { Box::pin(async move { Ok(case.absent().await?) }) };
    let after = async |case: &Case<H>| {
        case.absent().await?;
        case.is_absent().await
    };
    at_every_await(kit, async |case| Ok(case.present().await?), work, after).await
}

/// "A method MUST leave nothing that does not carry the mark": what a dead run has made is still ours, and can be dropped.
pub async fn what_a_dead_present_left_can_be_dropped<H: Harness>(kit: &Kit<H>) -> Outcome {
    let work = |case: Case<H>| -> Work { Box::pin(async move { Ok(case.present().await?) }) };
    let after = async |case: &Case<H>| {
        case.absent().await?;
        case.is_absent().await?;
        // Nothing is left that a new database of that name would stumble over.
        case.present().await?;
        case.is_complete().await?;
        case.absent().await.map_err(Failure::from)
    };
    at_every_await(kit, async |_| Ok(()), work, after).await
}

/// "the runtime repeats it after a crash at any point": a lock-out that died half-way is whole after the next, for sessions
/// that were open before, too.
pub async fn lock_out_survives_death_at_every_await<H: Harness>(kit: &Kit<H>) -> Outcome {
    let open = Mutex::new(None);
    let before = async |case: &Case<H>| {
        case.present().await?;
        let tenant = case.tenant().await?;
        *open.lock().unwrap_or_else(PoisonError::into_inner) = Some(tenant);
        Ok(())
    };
    let work = |case: Case<H>| -> Work { Box::pin(async move { Ok(case.lock_out().await?) }) };
    let after = async |case: &Case<H>| {
        case.lock_out().await?;
        let tenant = open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut tenant = tenant.ok_or("there is no session")?;
        let late = case.harness.commit(&mut tenant, "late").await;
        ensure(late.is_err(), || "a session commits after a lock-out".to_owned())?;
        ensure(case.tenant().await.is_err(), || "the login works after a lock-out".to_owned())?;
        case.present().await?;
        case.is_complete().await
    };
    at_every_await(kit, before, work, after).await
}

/// "the next run finishes what was begun": a dump that died is no obstacle to the next one.
pub async fn a_dead_dump_leaves_nothing_behind<H: Harness>(kit: &Kit<H>) -> Outcome {
    let before = async |case: &Case<H>| case.present_and_filled().await;
    let work = |case: Case<H>| -> Work {
        Box::pin(async move { Ok(case.dump_to(&MemorySink::default()).await.map(drop)?) })
    };
    let count = Mutex::new(0_usize);
    let after = async |case: &Case<H>| {
        let clone = {
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            kit.case(&format!("c{count}"))
        };
        clone.restore(&case.dump().await?).await?;
        same("the content of the next dump", &clone.content().await?, &case.content().await?)?;
        clone.absent().await?;
        Ok(case.absent().await?)
    };
    at_every_await(kit, before, work, after).await
}

/// "the runtime drops the database and makes it again": a load that died is no obstacle to that.
pub async fn a_dead_load_is_dropped_and_made_again<H: Harness>(kit: &Kit<H>) -> Outcome {
    let source = kit.case("source");
    source.present_and_filled().await?;
    let dump: MemoryDump = source.dump().await?;
    let content = source.content().await?;
    let work = |case: Case<H>| -> Work {
        let dump = dump.clone();
        Box::pin(async move { Ok(case.load(&dump).await?) })
    };
    let after = async |case: &Case<H>| {
        case.absent().await?;
        case.restore(&dump).await?;
        same("the content after the next load", &case.content().await?, &content)?;
        Ok(case.absent().await?)
    };
    same("streams", &dump.streams().is_empty(), &false)?;
    at_every_await(kit, async |case| Ok(case.present().await?), work, after).await
}

/// "its lock MUST be free 60 seconds after its end at the latest": of a run that is killed at any await, it is free once the
/// server has noticed.
pub async fn the_lock_dies_with_its_run<H: Harness>(kit: &Kit<H>) -> Outcome {
    let work = |case: Case<H>| -> Work { Box::pin(async move { Ok(case.present().await?) }) };
    let after = async |case: &Case<H>| match case.is_free().await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Busy => Err("the lock outlives its run".into()),
        Err(error) => Err(error.into()),
    };
    at_every_await(kit, async |_| Ok(()), work, after).await
}
