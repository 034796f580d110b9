//! Bounds: of a method's time, and of work that takes as long as the data does.

use std::future::Future;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::error::{DriverError, ErrorKind, Result};

/// The longest that a method works that moves no data. A driver SHOULD have the server end a statement a little sooner.
pub const METHOD_TIMEOUT: Duration = Duration::from_mins(5);

/// How often [`while_locked`] looks at the lock.
pub const LOCK_CHECK: Duration = Duration::from_secs(15);

/// Works for [`METHOD_TIMEOUT`] at most: what a method MUST do that moves no data.
///
/// # Errors
///
/// [`ErrorKind::Unreachable`] if the time is up; the work is dropped then.
pub async fn method<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    // On the heap, since the futures of a conversation are large.
    timeout(METHOD_TIMEOUT, Box::pin(work)).await.unwrap_or_else(|_| {
        let seconds = METHOD_TIMEOUT.as_secs();
        Err(DriverError::new(
            ErrorKind::Unreachable,
            format!("the server did not finish within {seconds} s: look at its load and its locks"),
        ))
    })
}

/// Works for as long as the data takes, and breaks off when the lock on the database is lost.
///
/// `check` asks the session that holds the lock for something that costs nothing, every [`LOCK_CHECK`]; that also keeps
/// the session from being ended as idle. It MUST fail when the session has ended.
///
/// # Errors
///
/// That of the work, or that of `check`; the work is dropped then.
pub async fn while_locked<T, C>(check: impl Fn() -> C, work: impl Future<Output = Result<T>>) -> Result<T>
where
    C: Future<Output = Result<()>>,
{
    let is_lost = async {
        loop {
            sleep(LOCK_CHECK).await;
            if let Err(error) = check().await {
                return error;
            }
        }
    };
    tokio::select! {
        done = Box::pin(work) => done,
        error = is_lost => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_method_ends_in_time() {
        let begin = Instant::now();
        let error = method(pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed()), (ErrorKind::Unreachable, METHOD_TIMEOUT));
        assert_eq!(method(async { Ok(7) }).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn work_outlasts_a_method_and_ends_with_the_lock() {
        let looked = Cell::new(0);
        let check = || async {
            looked.set(looked.get() + 1);
            if looked.get() < 100 {
                Ok(())
            } else {
                Err(DriverError::new(ErrorKind::Unreachable, "it is lost"))
            }
        };
        let long = async {
            sleep(3 * METHOD_TIMEOUT).await;
            Ok(7)
        };
        assert_eq!(while_locked(check, long).await.unwrap(), 7);
        let error = while_locked(check, pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), looked.get()), ("it is lost", 100));
    }
}
