//! `pg_dump`, which writes the statements that make the schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_api::dump::Writer;
use driver_api::kit::program::Program;
use driver_api::{DriverError, ErrorKind, Result};

use crate::connect::Dialer;
use crate::dump::libpq;
use crate::dump::roles::{self, Roles};
use crate::layout::Layout;
use crate::sql::statements::Splitter;

/// Where Debian has the programs, one folder a major version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Names another folder. It is not the tenant's to set.
const PROGRAMS_VARIABLE: &str = "DB_OPERATOR_POSTGRESQL_PROGRAMS";

/// How many milliseconds it waits for a lock that our own sessions hold already. If it has to wait, somebody
/// stands before it who waits for us.
const LOCK_WAIT: u32 = 2000;

/// Which part of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Section {
    /// What must be there before rows come.
    BeforeData,
    /// What is quicker or only possible after them.
    AfterData,
}

/// A `pg_dump` that runs, has all its locks and has read the catalog. It dies with this.
pub(crate) struct PgDump(Program);

impl PgDump {
    /// Starts the program, and waits until it writes: then it has every lock and has read every name.
    ///
    /// # Errors
    ///
    /// `InUse` if it did not get a lock.
    pub(crate) async fn start(
        dialer: &Dialer,
        layout: &Layout,
        server_major: i32,
        section: Section,
        snapshot: &str,
    ) -> Result<Self> {
        let mut command = Command::new(find(&folder(), server_major)?);
        let mut files = Vec::new();
        command
            .args(["--format=plain", "--schema-only", "--no-owner", "--no-tablespaces", "--no-password"])
            .args(["--encoding=UTF8", "--quote-all-identifiers", &format!("--lock-wait-timeout={LOCK_WAIT}")])
            .arg(match section {
                Section::BeforeData => "--section=pre-data",
                Section::AfterData => "--section=post-data",
            })
            .arg(format!("--snapshot={snapshot}"))
            .arg(format!("--role={}", layout.group))
            // No secret: a dead peer is seen by these, which no variable sets.
            .arg("--dbname=keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=900000")
            .env_clear()
            .envs(libpq::environment(dialer.server(), layout, server_major, &mut files)?);
        let doing = format!("cannot dump the schema of database {}", layout.database);
        Program::start(command, files, doing, meaning).await.map(Self)
    }

    /// The version that it says of itself, such as `pg_dump 17.6`.
    pub(crate) fn version(&self) -> String {
        let text = String::from_utf8_lossy(self.0.begin());
        let line = text.lines().find_map(|line| line.strip_prefix("-- Dumped by pg_dump version "));
        format!("pg_dump {}", line.and_then(|line| line.split_whitespace().next()).unwrap_or("unknown"))
    }

    /// Writes all of its output. The stream is finished only if the program says that it is whole. Answers which
    /// roles its statements name.
    pub(crate) async fn write<W: Writer>(mut self, mut writer: W, own: &Roles) -> Result<BTreeSet<String>> {
        let (mut splitter, mut named) = (Splitter::default(), BTreeSet::new());
        while let Some(chunk) = self.0.next().await? {
            splitter.push(&chunk);
            // What is no statement is for the load to refuse.
            while let Ok(Some(statement)) = splitter.next() {
                named.extend(roles::roles_named(&statement, own));
            }
            writer.write(chunk).await?;
        }
        writer.finish(None).await?;
        Ok(named)
    }
}

/// What a complaint means for us, and the next step.
fn meaning(complaint: &str) -> (ErrorKind, &'static str) {
    for (part, kind, next) in [
        (
            "permission denied",
            ErrorKind::InsufficientPrivilege,
            "give the database's group role that right, or make it the object's owner",
        ),
        ("lock timeout", ErrorKind::InUse, "end the session that holds the lock"),
        // It bounds the wait for a lock by this, and nothing else.
        ("statement timeout", ErrorKind::InUse, "end the session that holds the lock"),
        ("could not obtain lock", ErrorKind::InUse, "end the session that holds the lock"),
        ("server closed the connection", ErrorKind::Unreachable, "look at the server's log and the network"),
        ("terminating connection", ErrorKind::Unreachable, "look at the server's log"),
        ("connection to server", ErrorKind::Unreachable, "look at the server and the network"),
        ("SSL", ErrorKind::Unreachable, "look at the server's TLS settings and the network"),
    ] {
        if complaint.contains(part) {
            return (kind, next);
        }
    }
    (ErrorKind::Internal, "look at the server's log")
}

#[expect(clippy::disallowed_methods, reason = "the image's own setting, which is no part of an assignment")]
fn folder() -> PathBuf {
    std::env::var_os(PROGRAMS_VARIABLE).map_or_else(|| PathBuf::from(PROGRAMS), PathBuf::from)
}

/// The oldest program that is as new as the server: it reads every server that is not newer than itself, and
/// writes for servers of its own version and newer ones.
fn find(folder: &Path, server_major: i32) -> Result<PathBuf> {
    let program = |major: &i32| folder.join(major.to_string()).join("bin/pg_dump");
    let mut majors: Vec<i32> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|major| program(major).is_file())
        .collect();
    majors.sort_unstable();
    if let Some(major) = majors.iter().find(|major| **major >= server_major) {
        return Ok(program(major));
    }
    let folder = folder.display();
    let newest = majors.last().map_or_else(|| "none".to_owned(), |major| format!("none newer than {major}"));
    Err(DriverError::new(
        ErrorKind::Unsupported,
        format!(
            "to back up a server of PostgreSQL {server_major} this driver needs its pg_dump, and {folder} has {newest}: use the driver's image for backups, in a newer version"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use driver_api::dump::{Description, Sink, StreamInfo};
    use driver_api::testkit::MemorySink;

    use super::*;

    #[test]
    fn the_oldest_program_that_is_new_enough_is_used() {
        let folder = std::env::temp_dir().join(format!("db-operator-programs-{}", std::process::id()));
        for major in ["9", "15", "17", "none"] {
            std::fs::create_dir_all(folder.join(major).join("bin")).unwrap();
            std::fs::write(folder.join(major).join("bin/pg_dump"), "").unwrap();
        }
        std::fs::create_dir_all(folder.join("16/bin")).unwrap();
        for (server, program) in [(13, "15"), (15, "15"), (16, "17"), (17, "17")] {
            assert_eq!(find(&folder, server).unwrap(), folder.join(program).join("bin/pg_dump"));
        }
        let error = find(&folder, 18).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("none newer than 17"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(find(&folder, 15).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn complaints_have_their_kinds() {
        for (complaint, kind) in [
            (
                "pg_dump: error: query failed: ERROR:  permission denied for table x",
                ErrorKind::InsufficientPrivilege,
            ),
            ("ERROR:  canceling statement due to lock timeout", ErrorKind::InUse),
            ("ERROR:  canceling statement due to statement timeout", ErrorKind::InUse),
            ("server closed the connection unexpectedly", ErrorKind::Unreachable),
            ("cache lookup failed", ErrorKind::Internal),
        ] {
            assert_eq!(meaning(complaint).0, kind, "{complaint}");
        }
    }

    async fn run(script: &str) -> Result<MemorySink> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let program = PgDump(Program::start(command, Vec::new(), "cannot dump", meaning).await?);
        assert_eq!(program.version(), "pg_dump 17.6");
        let sink = MemorySink::default();
        let info = StreamInfo { name: "s".to_owned(), restore_with: String::new() };
        let login = || "x".to_owned();
        let own = Roles { owner: login(), group: login(), logins: [login(), login()] };
        let named = program.write(sink.open(info).await?, &own).await?;
        assert_eq!(named, BTreeSet::from(["y".to_owned()]));
        Ok(sink)
    }

    #[tokio::test]
    async fn only_a_program_that_ends_well_ends_its_stream() {
        let description = || Description {
            server_version: "17".to_owned(),
            tool_version: String::new(),
            snapshot: None,
            details: serde_json::Value::Null,
        };
        let begin = "-- Dumped by pg_dump version 17.6 (Debian)\nGRANT ALL ON SCHEMA s TO \"y\";\n";
        let script = format!("echo '{begin}'; seq 100000");
        let whole = run(&script).await.unwrap().complete(description()).unwrap();
        assert_eq!(whole.bytes("s").unwrap().len(), begin.len() + 1 + 588_895);
        let error = run(&format!("{script}; echo 'lock timeout' >&2; exit 1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InUse);
        assert!(error.to_string().starts_with("cannot dump: sh ended with exit status: 1"), "{error}");
    }
}
