//! The names of Jobs. A name says all that a Job is for, so what is launched twice is the same Job. Pure.

use std::fmt;
use std::str::FromStr;

use api::names::short_hash;
use api::{Operation, Row, Subject};

/// Digits of the hash of a uid in a name.
const DIGITS: usize = 10;

/// What is in a Job's name, besides the uid of what it works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobName {
    /// What it does.
    pub operation: Operation,
    /// What its attempts are counted on.
    pub series: Series,
    /// Counts the Jobs of one operation in one series.
    pub attempt: u32,
}

/// What the attempts of an operation are counted on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// A generation of the Database, or of the Backup that is let go.
    Generation(i64),
    /// A Backup or Restore, by ten digits of the hash of its uid.
    Request(Box<str>),
}

impl Series {
    /// Of the Backup or Restore with that uid.
    pub fn of_request(uid: &str) -> Self {
        Self::Request(short_hash(uid, DIGITS).into())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation(generation) => write!(f, "{generation}"),
            Self::Request(hash) => f.write_str(hash),
        }
    }
}

impl JobName {
    /// The name of the Job for the object with that uid: at most 57 characters up to generation 9,999,999,999 and
    /// attempt 999,999, so that a pod's suffix fits.
    pub fn with_uid(&self, uid: &str) -> String {
        let Self { operation, series, attempt } = self;
        format!("dbo-{operation}-{}-{series}-{attempt}", short_hash(uid, DIGITS))
    }

    /// What `name` says, if it is the name of a Job for the object with that uid, ours or an earlier release's.
    pub fn of(name: &str, uid: &str) -> Option<Self> {
        let (parsed, hash) = parse(name)?;
        (hash == short_hash(uid, DIGITS)).then_some(parsed)
    }
}

/// It is not the name of a Job of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct NotOurs;

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a Job of ours")
    }
}

impl FromStr for JobName {
    type Err = NotOurs;

    fn from_str(name: &str) -> Result<Self, NotOurs> {
        parse(name).map(|(parsed, _)| parsed).ok_or(NotOurs)
    }
}

/// What a name says, and its hash of a uid.
fn parse(name: &str) -> Option<(JobName, &str)> {
    // The operation may have dashes, what comes after it has none.
    let mut parts = name.strip_prefix("dbo-")?.rsplitn(4, '-');
    let (attempt, series, hash, operation) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_named = |row: &Row| row.name == operation || row.formerly == Some(operation);
    let operation = Operation::ALL.into_iter().find(|known| is_named(&known.row()))?;
    let series = match operation.row().subject {
        Subject::Backup | Subject::Restore => Series::Request(series.into()),
        Subject::Database | Subject::DeletedBackup | Subject::Deleted => {
            Series::Generation(series.parse().ok()?)
        }
    };
    Some((JobName { operation, series, attempt: attempt.parse().ok()? }, hash))
}
