//! The lines of an answer that goes on and on, one at a time, with a limit to silence.

use std::pin::Pin;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt};
use tokio::time::timeout;

/// A line longer than this keeps no room for the next.
const USUAL_LINE: usize = 64 << 10;

type Answer = Pin<Box<dyn AsyncBufRead + Send>>;

/// An answer, read line by line.
pub(super) struct Lines {
    answer: Answer,
    line: Vec<u8>,
    is_read: bool,
    patience: Duration,
}

impl Lines {
    /// Lines of which none may take longer than `patience`.
    pub(super) fn of(answer: impl AsyncBufRead + Send + 'static, patience: Duration) -> Self {
        Self { answer: Box::pin(answer), line: Vec::new(), is_read: false, patience }
    }

    /// The next line, or none at the end. If it is dropped before it is done, the next call goes on where it was.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        if std::mem::take(&mut self.is_read) {
            self.line.clear();
            self.line.shrink_to(USUAL_LINE);
        }
        // What was read before it was dropped is in `line`.
        let begun = self.line.len();
        let read = timeout(self.patience, self.answer.read_until(b'\n', &mut self.line)).await;
        let read = read.map_err(|silence| std::io::Error::new(std::io::ErrorKind::TimedOut, silence))??;
        self.is_read = true;
        Ok((begun + read > 0).then_some(&*self.line))
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, StreamExt, TryStreamExt};

    use super::*;

    fn answering(parts: Vec<&'static str>) -> Lines {
        // One part each time that it is asked, and in between nothing yet.
        let parts = stream::iter(parts).then(|part| async move {
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(part.as_bytes())
        });
        Lines::of(Box::pin(parts).into_async_read(), Duration::from_secs(5))
    }

    async fn text(lines: &mut Lines) -> Option<String> {
        let line = lines.next().await.unwrap();
        line.map(|line| String::from_utf8(line.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_line_that_comes_in_parts_is_whole_however_often_it_is_asked_for() {
        let mut lines = answering(vec!["one", " and", " the same\n", "two\nthree"]);
        let mut impatient = 0;
        let first = loop {
            // Dropped when nothing is there yet.
            tokio::select! {
                biased;
                line = text(&mut lines) => break line,
                () = std::future::ready(()) => impatient += 1,
            }
        };
        assert_eq!(first.as_deref(), Some("one and the same\n"));
        assert!(impatient >= 3, "it was asked for {impatient} times");
        assert_eq!(text(&mut lines).await.as_deref(), Some("two\n"));
        assert_eq!(text(&mut lines).await.as_deref(), Some("three"));
        assert_eq!(text(&mut lines).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_an_error() {
        let never = stream::pending::<std::io::Result<&'static [u8]>>().into_async_read();
        let silent = Lines::of(never, Duration::from_secs(5)).next().await.unwrap_err();
        assert_eq!(silent.kind(), std::io::ErrorKind::TimedOut);
    }
}
