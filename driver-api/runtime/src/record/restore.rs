//! The record of a Restore.

use super::Kind;
use super::request::{Common, Requested, Wanted, common};
use crate::failure::Result;
use api::lifecycle::restore_may_follow;
use api::{Restore, RestorePhase, RestoreStatus};

impl Kind for Restore {
    type Phase = RestorePhase;
    type Status = RestoreStatus;
    type Due = Wanted;

    fn status(&self) -> Option<&RestoreStatus> {
        self.status.as_ref()
    }

    fn phase(status: &mut RestoreStatus) -> &mut Option<RestorePhase> {
        &mut status.phase
    }

    fn may_follow(from: Option<RestorePhase>, to: RestorePhase) -> bool {
        restore_may_follow(from, to)
    }

    fn check(&self, due: &Wanted) -> Result<()> {
        due.check(self)
    }
}

impl Requested for Restore {
    const COMPLETED: RestorePhase = RestorePhase::Completed;

    fn common(status: &mut RestoreStatus) -> Common<'_> {
        common!(status)
    }
}
