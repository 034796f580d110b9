//! What the operator tells a container, parsed once, all problems reported together.

use std::fmt;
use std::str::FromStr;

use crate::injected::Injected;
use api::Operation;
use api::env;

/// What this container is to do.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) database: String,
    pub(crate) namespace: String,
    pub(crate) operation: Operation,
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) job: String,
    pub(crate) cluster_id: String,
    /// The Backup or Restore that it works on, if it works on one.
    pub(crate) request: Option<RequestName>,
    /// What the kubelet has injected.
    pub(crate) injected: Injected,
}

/// Which Backup or Restore a run works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestName {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// Everything that is wrong with the environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EnvironmentProblems(Vec<String>);

impl fmt::Display for EnvironmentProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this program runs in a Job that db-operator launches, and its environment is not one: ")?;
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for EnvironmentProblems {}

impl Assignment {
    /// Parses the variables that `lookup` finds. An empty variable counts as one that is not set.
    pub(crate) fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentProblems> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut problems = Vec::new();
        let mut required = |name: &str| or_problem(lookup(name), name, &mut problems);
        let database = required(env::DATABASE);
        let namespace = required(env::NAMESPACE);
        let operation = required(env::OPERATION);
        let uid = required(env::UID);
        let generation = required(env::GENERATION);
        let job = required(env::JOB);
        let cluster_id = required(env::CLUSTER_ID);
        let operation = parse(env::OPERATION, &operation, Operation::Create, &mut problems);
        let generation = parse(env::GENERATION, &generation, 0, &mut problems);
        let request_name = match operation {
            Operation::Backup | Operation::DeleteBackup => Some(env::BACKUP),
            // Of a Database, or of a Backup.
            Operation::Release => lookup(env::BACKUP).map(|_| env::BACKUP),
            Operation::Restore => Some(env::RESTORE),
            Operation::Create | Operation::BackupBeforeDelete | Operation::Rotate | Operation::Delete => None,
        };
        let request = request_name.map(|name| {
            let mut required = |name: &str| or_problem(lookup(name), name, &mut problems);
            RequestName { name: required(name), uid: required(env::REQUEST_UID) }
        });
        if !problems.is_empty() {
            return Err(EnvironmentProblems(problems));
        }
        Ok(Self {
            database,
            namespace,
            operation,
            uid,
            generation,
            job,
            cluster_id,
            request,
            injected: Injected::parse(lookup),
        })
    }
}

/// The value, or a problem and a placeholder that is never used.
fn or_problem(found: Option<String>, name: &str, problems: &mut Vec<String>) -> String {
    found.unwrap_or_else(|| {
        problems.push(format!("{name} is not set"));
        String::new()
    })
}

/// Parses `text`; what does not parse becomes a problem, and `placeholder` is never used.
fn parse<T: FromStr<Err: fmt::Display>>(
    name: &str,
    text: &str,
    placeholder: T,
    problems: &mut Vec<String>,
) -> T {
    match text.parse() {
        Ok(value) => value,
        Err(_) if text.is_empty() => placeholder,
        Err(error) => {
            problems.push(format!("{name}: {error}"));
            placeholder
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(changes: &[(&str, &str)]) -> Result<Assignment, EnvironmentProblems> {
        let complete = [
            (env::DATABASE, "orders"),
            (env::NAMESPACE, "shop"),
            (env::OPERATION, "create"),
            (env::UID, "u-1"),
            (env::GENERATION, "3"),
            (env::JOB, "dbo-create-x-3-1"),
            (env::CLUSTER_ID, "c-1"),
        ];
        Assignment::parse(|name| {
            let found = changes.iter().chain(&complete).find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_complete_environment_parses() {
        let from = env::from(env::ADMIN_PASSWORD);
        let parsed = assignment(&[(env::ADMIN_PASSWORD, "hunter2"), (&from, "db/password")]).unwrap();
        assert_eq!((parsed.operation, parsed.generation), (Operation::Create, 3));
        let password = parsed.injected.get(env::ADMIN_PASSWORD, "db/password", "spec").unwrap();
        assert_eq!(password.unwrap().expose(), "hunter2");
        assert!(!format!("{parsed:?}").contains("hunter2"), "Debug shows a password");
    }

    #[test]
    fn all_problems_are_reported_together() {
        let text = assignment(&[(env::UID, ""), (env::OPERATION, "explode"), (env::GENERATION, "x")])
            .unwrap_err()
            .to_string();
        for expected in [
            "DB_OPERATOR_UID is not set",
            "\"explode\" is not an operation",
            "DB_OPERATOR_GENERATION: invalid digit",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in {text:?}");
        }
    }
}
