//! In which ways the API server fails, by chance.

use std::time::Duration;

use crate::chance::Chance;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It is answered with that code, and nothing is done.
    Refused(u16),
    /// The connection ends before anything is done.
    LostBefore,
    /// It is done, and the connection ends without an answer.
    LostAfter,
    /// The connection ends in the middle of the answer.
    Cut,
    /// The answer comes late.
    Late(Duration),
    /// It is done, and no answer ever comes.
    Silent,
    /// What it wants to go on from is too old.
    TooOld,
}

/// What becomes of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchFault {
    None,
    /// After a while the connection ends in the middle of a line.
    Cut(Duration),
    /// After a while what was known is too old.
    TooOld(Duration),
    /// After a while nothing comes any more, and the connection stays.
    Deaf(Duration),
    /// All comes so much later.
    Late(Duration),
}

/// Faults, as long as they are on.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) chance: Chance,
    /// Of a thousand requests, and of a thousand watches three times as many.
    pub(crate) per_mille: u64,
    /// How many there were.
    pub(crate) met: u64,
}

impl Faults {
    pub(crate) fn of_request(&mut self, is_watch: bool) -> Fault {
        if !self.chance.thousandth(self.per_mille) {
            return Fault::None;
        }
        self.met += 1;
        match self.chance.below(if is_watch { 9 } else { 8 }) {
            0 => Fault::Refused(429),
            1 => Fault::Refused(500),
            2 => Fault::Refused(503),
            3 => Fault::LostBefore,
            4 => Fault::LostAfter,
            5 => Fault::Cut,
            6 => Fault::Late(self.chance.time(10, 12_000)),
            7 => Fault::Silent,
            _ => Fault::TooOld,
        }
    }

    pub(crate) fn of_watch(&mut self) -> WatchFault {
        if !self.chance.thousandth(self.per_mille * 3) {
            return WatchFault::None;
        }
        self.met += 1;
        let after = self.chance.time(0, 60_000);
        match self.chance.below(4) {
            0 => WatchFault::Cut(after),
            1 => WatchFault::TooOld(after),
            2 => WatchFault::Deaf(after),
            _ => WatchFault::Late(self.chance.time(1, 5_000)),
        }
    }
}
