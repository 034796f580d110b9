//! `pg_dump`, which writes the statements that make the schema.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use driver_api::dump::Writer;
use driver_api::{DriverError, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::connect::Dialer;
use crate::dump::libpq;
use crate::dump::roles::{self, Roles};
use crate::layout::Layout;
use crate::sql::statements::Splitter;

/// Where Debian has the programs, one folder a major version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Names another folder. It is not the tenant's to set.
const PROGRAMS_VARIABLE: &str = "DB_OPERATOR_POSTGRESQL_PROGRAMS";

/// How many milliseconds it waits for a lock that our own sessions hold already. Where it must wait, somebody
/// stands before it who waits for us.
const LOCK_WAIT: u32 = 2000;

/// How much is given to a stream at once.
const CHUNK: usize = 64 << 10;

/// How much is kept of what a program complains of: the end, where the cause is.
const COMPLAINT: usize = 2 << 10;

/// Which part of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Section {
    /// What must be there before rows come.
    BeforeData,
    /// What is quicker or only possible after them.
    AfterData,
}

/// A `pg_dump` that runs, has all its locks and has read the catalog. It dies with this.
pub(crate) struct Program {
    child: Child,
    output: ChildStdout,
    complaint: JoinHandle<String>,
    /// What it has written so far.
    begin: Bytes,
    doing: String,
    /// The certificates that it reads.
    _files: Vec<OwnedFd>,
}

impl Program {
    /// Starts the program, and waits until it writes: then it has every lock and has read every name.
    ///
    /// # Errors
    ///
    /// `InUse` where it did not get a lock.
    pub(crate) async fn start(
        dialer: &Dialer,
        layout: &Layout,
        server_major: i32,
        section: Section,
        snapshot: &str,
    ) -> Result<Self> {
        let doing = format!("cannot dump the schema of database {}", layout.database);
        let program = find(&folder(), server_major)?;
        let mut command = Command::new(&program);
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
        Self::spawn(command, doing, files).await
    }

    async fn spawn(mut command: Command, doing: String, files: Vec<OwnedFd>) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            let program = command.as_std().get_program().display();
            DriverError::new(ErrorKind::Internal, format!("{doing}: {program} does not start"))
                .with_source(error)
        })?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(DriverError::new(ErrorKind::Internal, format!("{doing}: the program has no output")));
        };
        let complaint = tokio::spawn(last_of(errors));
        let mut program = Self { child, output, complaint, begin: Bytes::new(), doing, _files: files };
        program.begin = program.chunk().await?;
        if program.begin.is_empty() {
            program.end().await?;
            let message = format!("{}: pg_dump wrote nothing", program.doing);
            return Err(DriverError::new(ErrorKind::Internal, message));
        }
        Ok(program)
    }

    /// The version that it says of itself, such as `pg_dump 17.6`.
    pub(crate) fn version(&self) -> String {
        let text = String::from_utf8_lossy(&self.begin);
        let line = text.lines().find_map(|line| line.strip_prefix("-- Dumped by pg_dump version "));
        format!("pg_dump {}", line.and_then(|line| line.split_whitespace().next()).unwrap_or("unknown"))
    }

    /// Writes all of its output. The stream is finished only where the program says that it is whole. Answers which
    /// roles its statements name.
    pub(crate) async fn write<W: Writer>(mut self, mut writer: W, own: &Roles) -> Result<BTreeSet<String>> {
        let (mut splitter, mut named) = (Splitter::default(), BTreeSet::new());
        let mut chunk = std::mem::take(&mut self.begin);
        while !chunk.is_empty() {
            splitter.push(&chunk);
            // What is no statement is for the load to refuse.
            while let Ok(Some(statement)) = splitter.next() {
                named.extend(roles::roles_named(&statement, own));
            }
            writer.write(chunk).await?;
            chunk = self.chunk().await?;
        }
        self.end().await?;
        writer.finish(None).await?;
        Ok(named)
    }

    /// The next bytes, as many as there are up to a chunk; none at the end.
    async fn chunk(&mut self) -> Result<Bytes> {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            let read = self.output.read_buf(&mut chunk).await.map_err(|error| {
                DriverError::new(ErrorKind::Internal, format!("{}: its output breaks off", self.doing))
                    .with_source(error)
            })?;
            if read == 0 || (self.begin.is_empty() && chunk.len() >= 1024) {
                break;
            }
        }
        Ok(chunk.freeze())
    }

    /// Waits for its end, and says whether it was a good one.
    async fn end(&mut self) -> Result<()> {
        let status = self.child.wait().await.map_err(|error| {
            DriverError::new(ErrorKind::Internal, format!("{}: it was lost", self.doing)).with_source(error)
        })?;
        if status.success() {
            return Ok(());
        }
        let complaint = (&mut self.complaint).await.unwrap_or_default();
        let (kind, next) = meaning(&complaint);
        Err(DriverError::new(
            kind,
            format!("{}: pg_dump ended with {status} and says {:?}; {next}", self.doing, complaint.trim()),
        ))
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

/// The end of what is written there.
async fn last_of(mut errors: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = errors.read(&mut chunk).await {
        kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let surplus = kept.len().saturating_sub(COMPLAINT);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
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
        let program = Program::spawn(command, "cannot dump".to_owned(), Vec::new()).await?;
        let sink = MemorySink::default();
        let info = StreamInfo { name: "s".to_owned(), restore_with: String::new() };
        let login = || "x".to_owned();
        let own = Roles { owner: login(), group: login(), logins: [login(), login()] };
        program.write(sink.open(info).await?, &own).await?;
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
        let whole = run("echo one; sleep 0.1; seq 100000").await.unwrap().complete(description()).unwrap();
        assert_eq!(whole.bytes("s").unwrap().len(), 588_895 + 4);
        for (script, said) in [
            ("echo one; sleep 0.1; echo 'the cause' >&2; exit 3", "the cause"),
            ("seq 100000; kill -9 $$", "signal: 9"),
            ("echo 'the cause' >&2; exit 1", "the cause"),
            ("exit 0", "wrote nothing"),
        ] {
            let error = run(script).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_complaint_is_kept() {
        let long = format!("{}the cause", "x".repeat(5000));
        let kept = last_of(long.as_bytes()).await;
        assert_eq!((kept.len(), kept.ends_with("the cause")), (COMPLAINT, true));
    }
}
