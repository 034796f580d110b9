//! What the operator tells a container, parsed once, all problems reported together.

use std::fmt;
use std::str::FromStr;

use api::Operation;
use api::env;
use driver::secret::Secret;

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
    pub(crate) admin_username: Option<Secret>,
    pub(crate) admin_password: Option<Secret>,
    pub(crate) tls_ca: Option<String>,
    pub(crate) tls_certificate: Option<String>,
    pub(crate) tls_key: Option<Secret>,
    /// The Backup or Restore that it works on, where it works on one.
    pub(crate) request: Option<RequestName>,
    pub(crate) s3_access_key_id: Option<Secret>,
    pub(crate) s3_secret_access_key: Option<Secret>,
    pub(crate) s3_session_token: Option<Secret>,
    pub(crate) decryption_key: Option<Secret>,
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
            admin_username: lookup(env::ADMIN_USERNAME).map(Secret::new),
            admin_password: lookup(env::ADMIN_PASSWORD).map(Secret::new),
            tls_ca: lookup(env::TLS_CA),
            tls_certificate: lookup(env::TLS_CERTIFICATE),
            tls_key: lookup(env::TLS_KEY).map(Secret::new),
            request,
            s3_access_key_id: lookup(env::S3_ACCESS_KEY_ID).map(Secret::new),
            s3_secret_access_key: lookup(env::S3_SECRET_ACCESS_KEY).map(Secret::new),
            s3_session_token: lookup(env::S3_SESSION_TOKEN).map(Secret::new),
            decryption_key: lookup(env::DECRYPTION_KEY).map(Secret::new),
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
        let parsed = assignment(&[(env::ADMIN_PASSWORD, "hunter2")]).unwrap();
        assert_eq!((parsed.operation, parsed.generation), (Operation::Create, 3));
        assert_eq!(parsed.admin_password.as_ref().map(Secret::expose), Some("hunter2"));
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
