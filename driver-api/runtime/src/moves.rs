//! What people see of long work.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use crate::failure::{Failure, Result};
use api::Reason;

/// How often progress is written down.
const INTERVAL: Duration = Duration::from_secs(15);

/// Does `work`, and calls `report` every 15 seconds beside it: a report that waits for its answer holds nothing up. If
/// one says that nobody asks for the work any more, it ends.
pub(crate) async fn while_reporting<T>(
    work: impl Future<Output = Result<T, impl Into<Failure>>>,
    mut report: impl AsyncFnMut() -> Result<()>,
) -> Result<T> {
    let reporting = async {
        let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match report().await {
                Err(error) if error.reason() == Reason::Superseded => return error,
                Err(error) => warn!(error = error.chain(), "cannot write the progress"),
                Ok(()) => {}
            }
        }
    };
    // A report that is dropped on its way may still take effect. Every later write is by compare-and-swap.
    tokio::select! {
        done = work => done.map_err(Into::into),
        unwanted = reporting => Err(unwanted),
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

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_while_its_progress_is_on_its_way() {
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let work = async move {
            tokio::time::sleep(INTERVAL * 3 / 2).await;
            tell.send(()).await.unwrap();
            std::future::pending::<Result<()>>().await
        };
        // The first report ends when the work has got further, and the second ends the work.
        let mut reports = 0;
        let ended = while_reporting(work, async || {
            reports += 1;
            if reports == 1 {
                told.recv().await.unwrap();
                return Ok(());
            }
            Err(Failure::new(Reason::Superseded, "enough"))
        });
        let ended = tokio::time::timeout(INTERVAL * 10, ended).await;
        assert_eq!(ended.expect("it stood still").unwrap_err().reason(), Reason::Superseded);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_done_does_not_wait_for_a_report_that_is_on_its_way() {
        let work = async {
            tokio::time::sleep(INTERVAL * 3 / 2).await;
            Ok::<_, Failure>("done")
        };
        let done = while_reporting(work, async || std::future::pending().await);
        assert_eq!(tokio::time::timeout(INTERVAL * 2, done).await.unwrap().unwrap(), "done");
    }
}
