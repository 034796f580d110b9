//! What the operator's watches may show while something else is so already.

use crate::state::{Request, State};

/// What the operator's watches show. Each comes on its own, and may be behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sees {
    /// All, as it is.
    All,
    /// No Job.
    NoJobs,
    /// Not yet the Backup or Restore at that place.
    AllBut(usize),
    /// The Backups and Restores as they were when they were asked for.
    FormerRequests,
}

impl Sees {
    /// All that the watches may show in `state`.
    pub(crate) fn every(state: &State) -> Vec<Self> {
        let mut all = vec![Self::All, Self::NoJobs];
        all.extend((0..state.requests.len()).map(Self::AllBut));
        if !state.requests.is_empty() {
            all.push(Self::FormerRequests);
        }
        all
    }

    /// The Backups and Restores that are shown.
    pub(crate) fn requests(self, state: &State) -> Vec<Request> {
        let all = state.requests.iter().copied().enumerate();
        let shown = all.filter(|(index, _)| self != Self::AllBut(*index)).map(|(_, request)| request);
        match self {
            Self::All | Self::NoJobs | Self::AllBut(_) => shown.collect(),
            Self::FormerRequests => shown.map(former).collect(),
        }
    }
}

/// A Backup or Restore before anybody worked on it or deleted it.
fn former(request: Request) -> Request {
    Request { progress: None, completed_by: None, deleted: false, ..request }
}
