//! What people see of long work.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use crate::failure::{Failure, Result};
use api::Reason;

/// How often progress is written down.
const INTERVAL: Duration = Duration::from_secs(15);

/// Does `work`, and calls `report` every 15 seconds meanwhile. Where a report says that nobody asks for the
/// work any more, it ends.
pub(crate) async fn while_reporting<T>(
    work: impl Future<Output = Result<T, impl Into<Failure>>>,
    mut report: impl AsyncFnMut() -> Result<()>,
) -> Result<T> {
    let mut work = pin!(work);
    let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => return done.map_err(Into::into),
            _ = ticks.tick() => match report().await {
                Err(error) if error.reason() == Reason::Superseded => return Err(error),
                Err(error) => warn!(error = error.chain(), "cannot write the progress"),
                Ok(()) => {}
            },
        }
    }
}

/// Bytes as people read them, rounded up: `179Mi`.
pub(crate) fn size(bytes: u64) -> String {
    let mut rest = bytes;
    for unit in ["", "Ki", "Mi", "Gi"] {
        if rest < 1024 {
            return format!("{rest}{unit}");
        }
        rest = rest.div_ceil(1024);
    }
    format!("{rest}Ti")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_size_has_at_most_four_digits() {
        assert_eq!(size(0), "0");
        assert_eq!(size(1023), "1023");
        assert_eq!(size(1025), "2Ki");
        assert_eq!(size(187_695_104), "179Mi");
        assert_eq!(size(5 << 40), "5Ti");
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_nobody_asks_for_it_any_more_and_not_when_nobody_listens() {
        let mut reports = 0;
        let ended = while_reporting(std::future::pending::<Result<()>>(), async || {
            reports += 1;
            let kind = if reports < 3 { Reason::Internal } else { Reason::Superseded };
            Err(Failure::new(kind, "no"))
        });
        assert_eq!(ended.await.unwrap_err().reason(), Reason::Superseded);
        assert_eq!(reports, 3);
    }
}
