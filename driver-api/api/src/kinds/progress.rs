//! How much of a long piece of work is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Percent done, 0 to 100, estimated by the database's size.
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
    /// Bytes moved so far, uncompressed.
    pub bytes: i64,
}

impl Progress {
    /// `done` of about `expected` bytes. Only what is complete is at 100 percent.
    pub fn of(done: u64, expected: u64) -> Self {
        let percent = done.saturating_mul(100).checked_div(expected).unwrap_or_default().min(99);
        let percent = i32::try_from(percent).unwrap_or_default();
        Self { percent, bytes: i64::try_from(done).unwrap_or(i64::MAX) }
    }

    /// All of `bytes`.
    pub fn complete(bytes: u64) -> Self {
        Self { percent: 100, ..Self::of(bytes, 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_an_estimate_until_all_is_done() {
        assert_eq!(Progress::of(0, 0), Progress { percent: 0, bytes: 0 });
        assert_eq!(Progress::of(50, 200), Progress { percent: 25, bytes: 50 });
        assert_eq!(Progress::of(300, 200), Progress { percent: 99, bytes: 300 });
        assert_eq!(Progress::complete(300), Progress { percent: 100, bytes: 300 });
    }
}
