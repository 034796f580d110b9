//! Files that are in memory and on no disk.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use crate::error::{DriverError, ErrorKind, Result};

/// A file in memory, for a certificate or a password that a program takes by its path.
///
/// Its path means this file in a child of this process only. Each child that is started while the file is there
/// inherits it. It is gone when this is dropped and no child runs that has it.
pub struct MemoryFile(OwnedFd);

impl MemoryFile {
    /// A file that holds `text`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if the system gives none; only Linux has such files.
    pub fn new(text: &str) -> Result<Self> {
        make(text.as_bytes()).map(Self).map_err(|error| {
            DriverError::new(ErrorKind::Internal, "cannot make a file in memory").with_source(error)
        })
    }

    /// The path by which a child opens the file.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryFile").field(&self.path()).finish()
    }
}

#[cfg(target_os = "linux")]
fn make(text: &[u8]) -> io::Result<OwnedFd> {
    use std::fs::{File, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    // Without the flag that closes it in the child.
    let mut file = File::from(rustix::fs::memfd_create("db-operator", rustix::fs::MemfdFlags::empty())?);
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    Ok(file.into())
}

#[cfg(not(target_os = "linux"))]
fn make(_: &[u8]) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// The open files of this process that are that one.
    fn open_files(device: u64, inode: u64) -> usize {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        let is = |path: PathBuf| {
            std::fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (device, inode))
        };
        files.filter(|file| is(file.as_ref().unwrap().path())).count()
    }

    #[test]
    fn a_file_in_memory_is_a_child_s_too_and_goes_with_its_owner() {
        let file = MemoryFile::new("text").unwrap();
        let path = file.path();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        let child = std::process::Command::new("cat").arg(&path).output().unwrap();
        assert_eq!(child.stdout, b"text");
        // By what it is and not by its number, which another test may have by now.
        assert_eq!(open_files(metadata.dev(), metadata.ino()), 1);
        drop(file);
        assert_eq!(open_files(metadata.dev(), metadata.ino()), 0);
    }
}
