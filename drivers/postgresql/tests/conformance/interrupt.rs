//! A run that dies at any await.

use std::future::Future;
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

/// Runs `work` in a runtime of its own that dies after `polls` polls, with every connection, as a process
/// does that is killed. Returns whether the work ended before.
pub(crate) async fn killed_after<F>(polls: usize, work: impl FnOnce() -> F + Send + 'static) -> bool
where
    F: Future<Output = ()>,
{
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(async { Interrupt { inner: Box::pin(work()), polls }.await });
        runtime.shutdown_background();
        ended.is_some()
    })
    .await
    .unwrap()
}
