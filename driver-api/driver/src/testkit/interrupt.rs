//! A run that dies at any await.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Polls a future `polls` times; is `None` if it has not ended by then, and the future dies.
struct Interrupt<F> {
    inner: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Interrupt<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.inner.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Runs `work` in a runtime of its own that dies after `polls` polls, with every connection, as a process does that is
/// killed. Answers whether the work ended before.
///
/// That a method survives a crash at every await is shown by a loop: with 1, 2, 3 … polls a run is killed, a whole run
/// follows and what it made is compared, until a run ends before it is killed. A rule SHOULD say how many polls it
/// expects at least, for it shows nothing if the first run ends.
///
/// # Errors
///
/// If the system gives no thread or no event queue.
///
/// # Panics
///
/// If the work does.
pub async fn killed_after<F>(polls: usize, work: impl FnOnce() -> F + Send + 'static) -> io::Result<bool>
where
    F: Future<Output = ()>,
{
    let run = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(async { Interrupt { inner: Box::pin(work()), polls }.await });
        runtime.shutdown_background();
        Ok(ended.is_some())
    });
    match run.await {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use crate::driver::{Desired, Driver, Mark, Target};
    use crate::secret::Secret;
    use crate::server::{Login, Server, ServerTls, TlsMode};
    use crate::testkit::memory::MemoryParameters;
    use crate::testkit::memory_server::MemoryServer;

    use super::*;

    async fn ensure_present(server: &MemoryServer, target: &Target) {
        let login = Login::new(&target.active_login, Secret::new("p"));
        let address = Server::new("db", 1, ServerTls::new(TlsMode::Disable, None), login.clone());
        let driver = server.driver();
        let mut session = driver.connect(&address, target).await.unwrap();
        let desired = Desired::new(MemoryParameters::default(), login);
        driver.ensure_present(&mut session, target, &desired).await.unwrap();
    }

    #[tokio::test]
    async fn a_run_is_killed_at_each_await_until_it_ends() {
        let mut found = Vec::new();
        for polls in 1..=3 {
            let (server, target) = (MemoryServer::default(), Target::new("orders", Mark::new("c", "u"), 32));
            let (killed, of) = (server.clone(), target.clone());
            let ended = killed_after(polls, move || async move { ensure_present(&killed, &of).await }).await;
            found.push((ended.unwrap(), server.counts()));
            // The lock died with the run, and the next one finishes what was begun.
            ensure_present(&server, &target).await;
            assert_eq!(server.counts(), (1, 1));
        }
        assert_eq!(found, [(false, (0, 1)), (true, (1, 1)), (true, (1, 1))]);
    }

    #[tokio::test]
    #[should_panic(expected = "in the work")]
    async fn a_work_that_panics_fails_its_test() {
        let _ = killed_after(1, || async { panic!("in the work") }).await;
    }
}
