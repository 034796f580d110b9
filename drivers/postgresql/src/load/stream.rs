//! The statements of a stream: read one by one, and run.

use driver_api::Result;
use driver_api::dump::{Reader, Source};

use crate::data_session::DataSession;
use crate::fault::Carries;
use crate::load::rewrite::{self, Facts};
use crate::sql::data;
use crate::sql::statements::Splitter;

/// The statements of a stream, as they come.
pub(crate) struct Statements<R> {
    reader: R,
    splitter: Splitter,
    pub(crate) stream: &'static str,
}

impl<R: Reader> Statements<R> {
    pub(crate) async fn open<S: Source<Reader = R>>(source: &S, stream: &'static str) -> Result<Self> {
        Ok(Self { reader: source.open(stream).await?, splitter: Splitter::default(), stream })
    }

    /// The next one, or none at the end of a stream that is whole.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(statement) = self.splitter.next()? {
                return Ok(Some(statement));
            }
            if self.splitter.is_finished() {
                return Ok(None);
            }
            match self.reader.read().await? {
                Some(piece) => self.splitter.push(&piece),
                None => self.splitter.finish(),
            }
        }
    }
}

/// Runs a statement of a dump, as far as there is something to do.
pub(crate) async fn run_statement(
    session: &DataSession,
    stream: &str,
    statement: &str,
    facts: &Facts,
) -> Result<()> {
    let Some(text) = rewrite::rewrite(statement, facts) else { return Ok(()) };
    let is_setting = text.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("SET "));
    let Err(error) = session.connection.attempt(&data::of_dump(text)).await else { return Ok(()) };
    // A setting of another version.
    if is_setting && error.code().is_some_and(|code| code.code() == "42704") {
        return Ok(());
    }
    let doing = format!("cannot load {stream} at {}", rewrite::title(statement));
    Err(session.connection.fault(error, &doing, Carries::Data))
}
