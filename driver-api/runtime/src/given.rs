//! Whether what a Job was given is what the live Database names. It is asked before anybody else is.

use crate::credentials;
use crate::failure::Result;
use crate::folder;
use crate::run::Run;
use crate::source::named_authorities;
use api::lifecycle::Intent;
use api::{Operation, Restore, RestoreSource, StoreAccess};

/// Fails if the run was given something for its server, or for an object store, that is not from where a live object
/// says. Neither server nor store is connected to yet, and nothing is written anywhere.
///
/// Authorities that are mounted for a store are trusted by whoever trusts those of the system, and so perhaps by the
/// connection to the server. So they are looked at where no store is used, too.
pub(crate) async fn check(run: &Run<'_>) -> Result<()> {
    let (live, injected) = (run.record.live(), &run.assignment.injected);
    credentials::check(live, injected)?;
    let operation = run.assignment.operation;
    match operation.row().store {
        StoreAccess::BackupTarget => {
            let is_used = operation != Operation::Delete || Intent::of(live) == Intent::BackupThenDelete;
            match folder::bucket_of(live) {
                Ok(target) if is_used => folder::check(&target, injected, folder::FIELD),
                Ok(target) => injected.check_unused_store_ca(&[target.ca], folder::FIELD),
                Err(_) => injected.check_unused_store_ca(&[], folder::FIELD),
            }
        }
        // Whether a backup is to be read is not known yet: who reads it looks at the rest that was given for it.
        StoreAccess::Source if injected.has_store_ca() => {
            let mut named = Vec::new();
            for source in sources(run).await? {
                named.push(named_authorities(&source, run).await?);
            }
            injected.check_unused_store_ca(&named, "the backup to load")
        }
        StoreAccess::Source => Ok(()),
        StoreAccess::None | StoreAccess::Stored => injected.check_unused_store_ca(&[], "an object store"),
    }
}

/// From where the live objects let this run load a backup.
async fn sources(run: &Run<'_>) -> Result<Vec<RestoreSource>> {
    let restore = run.request::<Restore>().await?.map(|restore| restore.live().spec.from.clone());
    Ok(restore.into_iter().chain(run.record.live().spec.restore_from.clone()).collect())
}
