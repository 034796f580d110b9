//! What the record of a Database says about its final backup.

use super::{Record, Wish, step, superseded};
use crate::failure::Result;
use api::{Database, DatabasePhase, FinalBackup};

impl Record<Database> {
    /// Announces that attempt at the final backup, once the logins are locked out and before its first byte.
    pub(crate) async fn announce(&mut self, attempt: &str) -> Result<()> {
        self.advance(DatabasePhase::BackupBeforeDeleteInProgress, |status| {
            status.final_backup = Some(FinalBackup { attempt: attempt.to_owned(), checksum: None });
        })
        .await
    }

    /// Says that the final backup of that attempt is verified, and that its manifest has that checksum. Fails if another
    /// attempt has been announced since.
    pub(crate) async fn verified(&mut self, attempt: &str, checksum: &str) -> Result<()> {
        let object = self.to_string();
        self.swap(|_, status| {
            step::<Database>(status, DatabasePhase::BackupBeforeDeleteCompleted, &object)?;
            match &mut status.final_backup {
                Some(announced) if announced.attempt == attempt => {
                    announced.checksum = Some(checksum.to_owned());
                    Ok(Wish::Write)
                }
                Some(_) | None => Err(superseded(format!(
                    "{object} has another final backup announced than this run's: another run is at work"
                ))),
            }
        })
        .await
    }

    /// Says that the final backup is not there any more, so that another one is due.
    pub(crate) async fn step_back(&mut self) -> Result<()> {
        self.advance(DatabasePhase::BackupBeforeDeleteRequested, |status| {
            if let Some(announced) = &mut status.final_backup {
                announced.checksum = None;
            }
        })
        .await
    }
}
