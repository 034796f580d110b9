//! What a run may still do on a Database, now that it has begun. The runtime judges its run by it before every write, and
//! the model of the protocol (`operator/tests/model/`) judges every run by the same code in every state.
//!
//! Everything here is pure. A Job is anything that can be compared.

use crate::intent::Intent;
use crate::kinds::DatabasePhase;
use crate::lifecycle::permits;
use crate::operation::Operation;

/// A run, as far as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Running<Job> {
    /// What it does.
    pub operation: Operation,
    /// Whose run it is.
    pub job: Job,
    /// What the owner wanted when the object was loaded. A run serves one intent.
    pub intent: Intent,
    /// Whether it has claimed the object, and not given the claim back.
    pub claimed: bool,
}

/// A Database as it is now, as far as a run is judged by it.
#[derive(Clone, Copy, Debug)]
pub struct Live<Job> {
    /// How far the work got.
    pub phase: Option<DatabasePhase>,
    /// What the owner wants.
    pub intent: Intent,
    /// Whether it was complete once, so that it may hold rows.
    pub was_created: bool,
    /// The Job that has claimed it.
    pub claim: Option<Job>,
    /// The Job that last completed its operation.
    pub completed: Option<Job>,
}

/// Why a run may not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another run has claimed the object since.
    Claimed,
    /// In that phase, and as the owner wants it now, another operation is due.
    AnotherIsDue,
}

/// What a run finds when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// What it was launched for.
    Due,
    /// Its Job has done its work already.
    Done,
    /// The object has changed since its Job was built, and another Job is built for that.
    Changed,
}

/// Whether a Job that was built from generation `built_from` is still the one to run. What a Backup or Restore asks for
/// does not change with the spec, and the live spec is what its run goes by.
pub fn begins<Job: PartialEq>(
    job: &Job,
    completed: Option<&Job>,
    built_from: i64,
    generation: Option<i64>,
    has_request: bool,
) -> Beginning {
    if completed == Some(job) {
        return Beginning::Done;
    }
    if generation != Some(built_from) && !has_request {
        return Beginning::Changed;
    }
    Beginning::Due
}

impl<Job: PartialEq> Running<Job> {
    /// Whether it may act on the object as it is now, and for the intent that it began with.
    pub fn may_act(&self, live: &Live<Job>) -> Result<(), Refusal> {
        if self.claimed && live.claim.as_ref() != Some(&self.job) {
            return Err(Refusal::Claimed);
        }
        // A backup that has begun is finished, whatever the owner wants meanwhile.
        let same_intent = live.intent == self.intent || self.operation == Operation::Backup;
        if same_intent && permits(self.operation, live.phase, live.intent, live.was_created) {
            return Ok(());
        }
        Err(Refusal::AnotherIsDue)
    }

    /// Whether it may say on the object that it has failed: not where its work is done, nor where another has claimed the
    /// object.
    pub fn has_a_say(&self, live: &Live<Job>) -> bool {
        let is_done = live.completed.as_ref() == Some(&self.job);
        let is_another_s = self.claimed && live.claim.as_ref() != Some(&self.job);
        !is_done && !is_another_s
    }
}

/// Whether a run takes the claim `claim` off in that phase: that of a backup, or of a restore that has changed nothing
/// yet, if it is its own, or the one that it has `found` when it began. Another's, which came since, stays.
pub fn may_unclaim<Job: PartialEq>(
    phase: Option<DatabasePhase>,
    claim: Option<&Job>,
    own: &Job,
    found: Option<&Job>,
) -> bool {
    use DatabasePhase as P;
    let is_to_go = matches!(
        phase,
        Some(P::BackupRequested | P::BackupInProgress | P::BackupCompleted | P::RestoreRequested)
    );
    is_to_go && (claim == Some(own) || claim == found)
}

/// Whether a restore has given up what was in the database. Only its claimant knows what is being loaded, so the claim
/// stays until all of it is.
pub fn restore_is_begun(phase: Option<DatabasePhase>) -> bool {
    matches!(phase, Some(DatabasePhase::RestoreInProgress | DatabasePhase::RestoreCompleted))
}

/// Whether it is said on the Database why a run fails. A Backup or Restore says it of itself, and the database is what it
/// was, unless the restore has given that up; what is let go has nothing to say it on.
pub fn is_said_on_the_database(operation: Operation, phase: Option<DatabasePhase>) -> bool {
    match operation {
        Operation::Create | Operation::BackupBeforeDelete | Operation::Rotate | Operation::Delete => true,
        Operation::Restore => restore_is_begun(phase),
        Operation::Backup | Operation::DeleteBackup | Operation::Release => false,
    }
}

/// Whether the Job of a run that was overtaken is to run again: what overtook it ends, and the Backup or Restore is asked
/// for still. A Database's next run has a Job of its own.
pub fn outlives_what_overtook_it(operation: Operation) -> bool {
    match operation {
        Operation::Backup | Operation::Restore => true,
        Operation::Create
        | Operation::BackupBeforeDelete
        | Operation::Rotate
        | Operation::Delete
        | Operation::DeleteBackup
        | Operation::Release => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DatabasePhase as P;

    const OWN: &str = "own";
    const ANOTHER: &str = "another";

    fn running(operation: Operation, intent: Intent, claimed: bool) -> Running<&'static str> {
        Running { operation, job: OWN, intent, claimed }
    }

    fn live(phase: P, intent: Intent, claim: Option<&'static str>) -> Live<&'static str> {
        Live { phase: Some(phase), intent, was_created: true, claim, completed: None }
    }

    #[test]
    fn a_run_acts_for_the_intent_it_began_with_and_under_its_own_claim() {
        let deletes = |intent, claimed| running(Operation::Delete, intent, claimed);
        let requested = |intent, claim| live(P::DeletionRequested, intent, claim);
        let may = |run: Running<_>, live| run.may_act(&live);
        assert_eq!(may(deletes(Intent::Delete, true), requested(Intent::Delete, Some(OWN))), Ok(()));
        assert_eq!(may(deletes(Intent::Delete, false), requested(Intent::Delete, Some(ANOTHER))), Ok(()));
        for claim in [Some(ANOTHER), None] {
            let refused = may(deletes(Intent::Delete, true), requested(Intent::Delete, claim));
            assert_eq!(refused, Err(Refusal::Claimed));
        }
        let refused = may(deletes(Intent::Delete, true), requested(Intent::Retain, Some(OWN)));
        assert_eq!(refused, Err(Refusal::AnotherIsDue), "its owner keeps it now");
        // What the owner wants meanwhile ends no backup.
        let backup = running(Operation::Backup, Intent::Keep, true);
        assert_eq!(may(backup, live(P::BackupInProgress, Intent::Delete, Some(OWN))), Ok(()));
    }

    #[test]
    fn a_job_is_begun_once_and_for_what_it_was_built_for() {
        assert_eq!(begins(&OWN, None, 1, Some(1), false), Beginning::Due);
        assert_eq!(begins(&OWN, Some(&ANOTHER), 1, Some(2), false), Beginning::Changed);
        assert_eq!(begins(&OWN, None, 1, Some(2), true), Beginning::Due);
        assert_eq!(begins(&OWN, Some(&OWN), 1, Some(2), false), Beginning::Done);
    }

    #[test]
    fn a_claim_is_taken_off_by_who_has_it_or_found_it_and_only_while_nothing_is_given_up() {
        let may = |phase, claim, found| may_unclaim(Some(phase), claim, &OWN, found);
        assert!(may(P::BackupInProgress, Some(&OWN), None));
        assert!(may(P::RestoreRequested, Some(&ANOTHER), Some(&ANOTHER)));
        assert!(!may(P::BackupInProgress, Some(&ANOTHER), None), "it came since");
        assert!(!may(P::RestoreInProgress, Some(&OWN), Some(&OWN)), "what was there is given up");
    }

    #[test]
    fn a_failure_is_said_by_who_works_on_it_and_where_the_database_is_concerned() {
        let create = |claimed| running(Operation::Create, Intent::Keep, claimed);
        let creating = |claim| live(P::Creating, Intent::Keep, claim);
        assert!(create(true).has_a_say(&creating(Some(OWN))));
        assert!(!create(true).has_a_say(&creating(Some(ANOTHER))));
        assert!(!create(false).has_a_say(&Live { completed: Some(OWN), ..creating(None) }), "it is done");
        let said = |operation, phase| is_said_on_the_database(operation, Some(phase));
        assert!(said(Operation::Create, P::Creating) && said(Operation::Restore, P::RestoreInProgress));
        assert!(!said(Operation::Restore, P::RestoreRequested), "the database is what it was");
        assert!(!said(Operation::Backup, P::BackupInProgress));
    }
}
