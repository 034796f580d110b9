//! What is logged while a test does something.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing::Level;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

thread_local! {
    static LISTENING: RefCell<Option<(Level, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Listens to what its thread logs, until it is dropped. One thread has one at a time.
///
/// One subscriber serves the whole process and asks at each line who listens. A subscriber of one thread, as
/// `tracing::subscriber::set_default` sets it, misses lines at random: which other thread is the first to come past a
/// line decides for all of them whether anybody listens.
///
/// # Panics
///
/// [`Logged::start`] panics if the process has another global subscriber.
#[derive(Debug)]
pub struct Logged(());

impl Logged {
    /// Starts to listen, down to that level.
    #[must_use]
    pub fn start(level: Level) -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let listens = dynamic_filter_fn(|line, _| {
                LISTENING.with_borrow(|it| it.as_ref().is_some_and(|it| *line.level() <= it.0))
            });
            registry().with(fmt::layer().with_ansi(false).with_writer(|| Writer).with_filter(listens)).init();
        });
        LISTENING.set(Some((level, Vec::new())));
        Self(())
    }

    /// All that was logged until now, a line an event.
    #[must_use]
    pub fn text(&self) -> String {
        LISTENING
            .with_borrow(|it| it.as_ref().map(|it| String::from_utf8_lossy(&it.1).into_owned()))
            .unwrap_or_default()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        LISTENING.set(None);
    }
}

/// Keeps what the thread logs.
struct Writer;

impl io::Write for Writer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LISTENING.with_borrow_mut(|it| it.iter_mut().for_each(|it| it.1.extend_from_slice(text)));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Level, Logged};

    fn say(what: &str) {
        tracing::debug!("{what}");
    }

    #[test]
    fn what_its_thread_says_is_heard_also_where_another_thread_came_past_first() {
        let logged = Logged::start(Level::DEBUG);
        thread::spawn(|| say("of another")).join().unwrap();
        say("heard");
        tracing::trace!("too fine");
        assert_eq!(logged.text().lines().count(), 1, "{}", logged.text());
        assert!(logged.text().contains("heard"), "{}", logged.text());
        drop(logged);
        say("after");
        assert_eq!(Logged::start(Level::DEBUG).text(), "");
    }
}
