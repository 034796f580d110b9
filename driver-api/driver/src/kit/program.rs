//! A program that writes a stream, such as a dump.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::error::{DriverError, ErrorKind, Result};
use crate::kit::memory_file::MemoryFile;

/// How many bytes of the stream are given at once.
const CHUNK: usize = 64 << 10;

/// How many bytes [`Program::start`] waits for.
const BEGIN: usize = 1 << 10;

/// How many bytes are kept of what a program complains of: the end, which has the cause.
const COMPLAINT: usize = 2 << 10;

/// What a complaint means: the kind of the error, and what to do next.
pub type Meaning = fn(&str) -> (ErrorKind, &'static str);

/// A program that runs and writes a stream to its standard output.
///
/// It is killed when this is dropped. It gets no input. Everybody on the machine can read a command line, and errors
/// show what it complains of: a secret MUST NOT be in either. Give secrets in the environment or in a [`MemoryFile`].
pub struct Program {
    name: String,
    doing: String,
    child: Child,
    output: ChildStdout,
    complaint: JoinHandle<String>,
    meaning: Meaning,
    begin: Bytes,
    has_begun: bool,
    /// What it reads, for as long as it runs.
    _files: Vec<MemoryFile>,
}

impl Program {
    /// Starts the program, and waits until it has written 1 KiB, or all of its output if that is less: then it has
    /// found what it needs. `doing` begins the sentence of every error, such as `cannot dump database orders`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if it does not start, or ends well without output; what `meaning` says if it ends badly.
    pub async fn start(
        command: std::process::Command,
        files: Vec<MemoryFile>,
        doing: impl Into<String>,
        meaning: Meaning,
    ) -> Result<Self> {
        let (path, doing) = (PathBuf::from(command.get_program()), doing.into());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let internal = |what: String| DriverError::new(ErrorKind::Internal, format!("{doing}: {what}"));
        let mut child = command
            .spawn()
            .map_err(|error| internal(format!("{} does not start", path.display())).with_source(error))?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(internal(format!("{name} has no output")));
        };
        let complaint = tokio::spawn(last_of(errors));
        let mut program = Self {
            name,
            doing,
            child,
            output,
            complaint,
            meaning,
            begin: Bytes::new(),
            has_begun: false,
            _files: files,
        };
        program.begin = program.read(BEGIN).await?;
        if program.begin.is_empty() {
            program.end().await?;
            return Err(program.internal("it wrote nothing"));
        }
        Ok(program)
    }

    /// What it wrote first, and [`next`](Self::next) will give: 1 KiB, or all of it if that is less.
    pub fn begin(&self) -> &[u8] {
        &self.begin
    }

    /// The next bytes, 64 KiB but at the begin and the end; none when the program has ended well, so that a stream
    /// that is cut never looks whole.
    ///
    /// # Errors
    ///
    /// What its [`Meaning`] says if it ends badly; the message has its exit status and the end of its complaint.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let chunk = if self.has_begun { self.read(CHUNK).await? } else { std::mem::take(&mut self.begin) };
        self.has_begun = true;
        if chunk.is_empty() {
            self.end().await?;
            return Ok(None);
        }
        Ok(Some(chunk))
    }

    /// At least `enough` bytes, if there are as many.
    async fn read(&mut self, enough: usize) -> Result<Bytes> {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        while chunk.len() < enough {
            let read = self.output.read_buf(&mut chunk).await;
            let read = read.map_err(|error| self.internal("its output breaks off").with_source(error))?;
            if read == 0 {
                break;
            }
        }
        Ok(chunk.freeze())
    }

    /// Waits for its end, and says whether it was a good one.
    async fn end(&mut self) -> Result<()> {
        let status = self.child.wait().await;
        let status = status.map_err(|error| self.internal("it was lost").with_source(error))?;
        if status.success() {
            return Ok(());
        }
        let complaint = (&mut self.complaint).await.unwrap_or_default();
        let (kind, next) = (self.meaning)(&complaint);
        let Self { name, doing, .. } = self;
        let message = format!("{doing}: {name} ended with {status} and says {:?}; {next}", complaint.trim());
        Err(DriverError::new(kind, message))
    }

    fn internal(&self, what: &str) -> DriverError {
        DriverError::new(ErrorKind::Internal, format!("{}: {}: {what}", self.doing, self.name))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(complaint: &str) -> (ErrorKind, &'static str) {
        if complaint.contains("denied") {
            (ErrorKind::InsufficientPrivilege, "ask for it")
        } else {
            (ErrorKind::Internal, "look at it")
        }
    }

    async fn run(script: &str) -> Result<Vec<Bytes>> {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script]);
        let mut program = Program::start(command, Vec::new(), "cannot dump", meaning).await?;
        let mut chunks = vec![Bytes::copy_from_slice(program.begin())];
        assert_eq!(program.next().await?.as_ref(), chunks.first());
        while let Some(chunk) = program.next().await? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    #[tokio::test]
    async fn all_of_the_output_comes() {
        let chunks = run("echo one; sleep 0.1; seq 100000").await.unwrap();
        assert_eq!(chunks.concat().len(), 588_895 + 4);
        let (_, inner) = chunks[1..].split_last().unwrap();
        assert!(inner.iter().all(|chunk| chunk.len() >= CHUNK), "small pieces are slow");
        assert_eq!(run("echo one").await.unwrap(), ["one\n"]);
    }

    #[tokio::test]
    async fn only_a_program_that_ends_well_ends_its_stream() {
        for (script, said) in [
            (
                "echo one; sleep 0.1; echo 'the cause' >&2; exit 3",
                "sh ended with exit status: 3 and says \"the cause\"",
            ),
            ("seq 100000; kill -9 $$", "signal: 9"),
            ("echo 'the cause' >&2; exit 1", "the cause"),
            ("exit 0", "wrote nothing"),
        ] {
            let error = run(script).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(
                error.to_string().contains(said) && error.to_string().starts_with("cannot dump: "),
                "{error}"
            );
        }
        let error = run("seq 100000; echo 'denied' >&2; exit 1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InsufficientPrivilege);
        assert!(error.to_string().ends_with("; ask for it"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let command = std::process::Command::new("/nonexistent/dump");
        let error = Program::start(command, Vec::new(), "cannot dump", meaning).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/dump does not start"), "{error}");
    }

    #[tokio::test]
    async fn a_program_ends_with_who_reads_it() {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "printf %1024d $$; exec sleep 1000"]);
        let program = Program::start(command, Vec::new(), "cannot dump", meaning).await.unwrap();
        let id = String::from_utf8_lossy(program.begin()).trim().to_owned();
        let runs = || {
            let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            status.contains("(sleep)") && !status.contains(") Z ")
        };
        let begin = std::time::Instant::now();
        let soon = || assert!(begin.elapsed().as_secs() < 20, "it takes too long");
        while !runs() {
            soon();
            tokio::task::yield_now().await;
        }
        drop(program);
        while runs() {
            soon();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_end_of_a_complaint_is_kept() {
        let long = format!("{}the cause", "x".repeat(5000));
        let kept = last_of(long.as_bytes()).await;
        assert_eq!((kept.len(), kept.ends_with("the cause")), (COMPLAINT, true));
    }
}
