//! What comes after the rows: indexes and keys of different tables beside each other, all else in its order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use driver_api::Result;
use driver_api::dump::Reader;

use crate::data_session::DataSession;
use crate::load::rewrite::{self, Facts};
use crate::load::stream::{Statements, run_statement};

/// How many statements are kept at most until they run.
const BATCH: usize = 1000;

/// Statements of one table, in their order.
type Group = (String, Vec<String>);

/// Runs the statements of a stream.
pub(crate) async fn run<R: Reader>(
    statements: &mut Statements<R>,
    first: &DataSession,
    second: Option<&DataSession>,
    facts: &Facts,
) -> Result<()> {
    let stream = statements.stream;
    let mut batch = Vec::new();
    while let Some(statement) = statements.next().await? {
        let Some(table) = rewrite::index_of(&statement) else {
            beside(std::mem::take(&mut batch), stream, first, second, facts).await?;
            run_statement(first, stream, &statement, facts).await?;
            continue;
        };
        batch.push((table, statement));
        if batch.len() >= BATCH {
            beside(std::mem::take(&mut batch), stream, first, second, facts).await?;
        }
    }
    beside(batch, stream, first, second, facts).await
}

/// Runs statements of different tables in both sessions.
async fn beside(
    batch: Vec<(String, String)>,
    stream: &str,
    first: &DataSession,
    second: Option<&DataSession>,
    facts: &Facts,
) -> Result<()> {
    let queue = Mutex::new(by_table(batch));
    let beside = async {
        match second {
            Some(second) => groups(second, &queue, stream, facts).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(groups(first, &queue, stream, facts), beside).map(|_| ())
}

async fn groups(
    session: &DataSession,
    queue: &Mutex<VecDeque<Group>>,
    stream: &str,
    facts: &Facts,
) -> Result<()> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some((_, statements)) = next() {
        for statement in statements {
            run_statement(session, stream, &statement, facts).await?;
        }
    }
    Ok(())
}

fn by_table(batch: Vec<(String, String)>) -> VecDeque<Group> {
    let mut groups: VecDeque<Group> = VecDeque::new();
    for (table, statement) in batch {
        match groups.iter_mut().find(|(is, _)| *is == table) {
            Some((_, statements)) => statements.push(statement),
            None => groups.push_back((table, vec![statement])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_of_a_table_stay_in_order() {
        let batch = [("a", "1"), ("b", "2"), ("a", "3")].map(|(table, text)| (table.into(), text.into()));
        let groups = by_table(batch.into());
        assert_eq!(groups, [("a".into(), vec!["1".into(), "3".into()]), ("b".into(), vec!["2".into()])]);
    }
}
