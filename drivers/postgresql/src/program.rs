//! `pg_dump`, which writes the statements that make the schema.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use driver_api::dump::Writer;
use driver_api::{DriverError, ErrorKind, Result, Server, TlsMode};
use rustix::fs::{MemfdFlags, Mode};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::connect::Dialer;
use crate::layout::Layout;
use crate::settings::moving;

/// Where Debian has the programs, one folder a major version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Names another folder. It is not the tenant's to set.
const PROGRAMS_VARIABLE: &str = "DB_OPERATOR_POSTGRESQL_PROGRAMS";

/// The public authorities, where the image and Debian have them.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

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
            .envs(environment(dialer.server(), layout, server_major, &mut files)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            DriverError::new(ErrorKind::Internal, format!("{doing}: {} does not start", program.display()))
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

    /// Writes all of its output. The stream is finished only where the program says that it is whole.
    pub(crate) async fn write<W: Writer>(mut self, mut writer: W) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.begin);
        while !chunk.is_empty() {
            writer.write(chunk).await?;
            chunk = self.chunk().await?;
        }
        self.end().await?;
        writer.finish(None).await
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

/// How it connects: as our own sessions do. Everybody on the machine can read a command line, so that nothing of
/// this is on it.
fn environment(
    server: &Server,
    layout: &Layout,
    server_major: i32,
    files: &mut Vec<OwnedFd>,
) -> Result<Vec<(&'static str, OsString)>> {
    let tls = &server.tls;
    let mut variables: Vec<(&str, OsString)> = vec![
        ("PGHOST", server.host.clone().into()),
        ("PGPORT", server.port.to_string().into()),
        ("PGUSER", server.admin.username.clone().into()),
        ("PGPASSWORD", server.admin.password.expose().into()),
        ("PGDATABASE", layout.database.clone().into()),
        ("PGOPTIONS", moving(server_major).into()),
        ("PGAPPNAME", "db-operator".into()),
        ("PGCONNECT_TIMEOUT", "10".into()),
        ("PGGSSENCMODE", "disable".into()),
        // Files of a home folder would add to what is said here.
        ("HOME", "/nonexistent".into()),
        ("LC_ALL", "C".into()),
    ];
    let mode = match tls.mode {
        TlsMode::Disable => "disable",
        TlsMode::Require => "require",
        TlsMode::VerifyCa => "verify-ca",
        TlsMode::VerifyFull => "verify-full",
    };
    variables.push(("PGSSLMODE", mode.into()));
    let authorities = match (tls.mode, &tls.ca) {
        // It would check them where it should not.
        (TlsMode::Disable | TlsMode::Require, _) => None,
        (TlsMode::VerifyCa | TlsMode::VerifyFull, None) => Some(AUTHORITIES.into()),
        (TlsMode::VerifyCa | TlsMode::VerifyFull, Some(ca)) => Some(file(ca, files)?),
    };
    variables.extend(authorities.map(|path| ("PGSSLROOTCERT", path)));
    if let Some((certificate, key)) = &tls.client_certificate {
        variables.push(("PGSSLCERT", file(certificate, files)?));
        variables.push(("PGSSLKEY", file(key.expose(), files)?));
    }
    Ok(variables)
}

/// The path of a file in memory that only a child of this process can open.
fn file(text: &str, files: &mut Vec<OwnedFd>) -> Result<OsString> {
    let made = || {
        // Without the flag that closes it in the child.
        let file = rustix::fs::memfd_create("db-operator", MemfdFlags::empty())?;
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(file)
    };
    let file: OwnedFd = made().map_err(|error: rustix::io::Errno| {
        DriverError::new(ErrorKind::Internal, "cannot hand the certificates to pg_dump").with_source(error)
    })?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    files.push(file);
    Ok(path.into())
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn certificates_are_in_files_of_memory() {
        let mut files = Vec::new();
        let path = file("text", &mut files).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        drop(files);
        assert!(std::fs::read_to_string(&path).is_err());
    }

    #[tokio::test]
    async fn the_end_of_a_complaint_is_kept() {
        let long = format!("{}the cause", "x".repeat(5000));
        let kept = last_of(long.as_bytes()).await;
        assert_eq!((kept.len(), kept.ends_with("the cause")), (COMPLAINT, true));
    }
}
