//! Whether what a Job was given is what the live Database names. It is asked before anybody else is.

use crate::credentials;
use crate::failure::Result;
use crate::folder;
use crate::run::Run;
use api::Operation;
use api::lifecycle::Intent;

/// Fails if the run was given something for its server, or for the place that backups go to, that is not from where
/// the live object says. Nothing is connected to yet, and nothing is written anywhere.
///
/// Authorities that are mounted for a store are trusted by whoever trusts those of the system, and so perhaps by the
/// connection to the server. So they are looked at where no store is used, too.
pub(crate) fn check(run: &Run<'_>) -> Result<()> {
    let (live, injected) = (run.record.live(), &run.assignment.injected);
    credentials::check(live, injected)?;
    let uses_target = match run.assignment.operation {
        Operation::Backup | Operation::BackupBeforeDelete => true,
        Operation::Delete => Intent::of(live) == Intent::BackupThenDelete,
        Operation::Create
        | Operation::Restore
        | Operation::Rotate
        | Operation::DeleteBackup
        | Operation::Release => false,
    };
    let uses_no_store = run.assignment.operation == Operation::Create && live.spec.restore_from.is_none();
    match folder::bucket_of(live) {
        Ok(target) if uses_target => folder::check(&target, injected, folder::FIELD),
        Ok(_) | Err(_) if uses_no_store => injected.check_store_ca(None, "spec.restoreFrom"),
        Ok(_) | Err(_) => Ok(()),
    }
}
