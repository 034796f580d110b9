//! What must hold of `needed`, whatever phase, intent and history a Database has.

use api::DatabasePhase;
use api::Operation;
use api::lifecycle::{Intent, Needed, needed, permits};

fn phases() -> impl Iterator<Item = Option<DatabasePhase>> {
    std::iter::once(None).chain(DatabasePhase::ALL.map(Some))
}

type Case = (Option<DatabasePhase>, Intent, bool, bool, bool, Option<Operation>);

fn every_case() -> impl Iterator<Item = Case> {
    let flags = || [false, true].into_iter();
    phases().flat_map(move |phase| {
        Intent::ALL.into_iter().flat_map(move |intent| {
            flags().flat_map(move |current| {
                flags().flat_map(move |guarded| {
                    flags().flat_map(move |was_created| {
                        [None, Some(Operation::Backup), Some(Operation::Restore)]
                            .map(|requested| (phase, intent, current, guarded, was_created, requested))
                    })
                })
            })
        })
    })
}

#[test]
fn whatever_is_needed_is_permitted() {
    for (phase, intent, current, guarded, was_created, requested) in every_case() {
        if let Needed::Run(operation) = needed(phase, intent, current, guarded, was_created, requested) {
            assert!(
                permits(operation, phase, intent, was_created),
                "{operation} is needed and not permitted in {phase:?} with {intent:?}, was_created {was_created}"
            );
        }
    }
}

#[test]
fn nothing_is_done_about_what_is_being_deleted_and_is_not_guarded() {
    for (phase, intent, current, guarded, was_created, requested) in every_case() {
        let nothing = needed(phase, intent, current, guarded, was_created, requested) == Needed::Nothing;
        if intent != Intent::Keep {
            assert_eq!(nothing, !guarded, "{phase:?} {intent:?}: a guarded object must not wait forever");
        }
    }
}

#[test]
fn nothing_that_drops_for_good_is_needed_while_nobody_deletes() {
    for (phase, intent, current, guarded, was_created, requested) in every_case() {
        if let (Intent::Keep, Needed::Run(operation)) =
            (intent, needed(phase, intent, current, guarded, was_created, requested))
        {
            assert!(
                matches!(operation, Operation::Create | Operation::Backup | Operation::Restore),
                "{operation} in {phase:?}"
            );
        }
    }
}
