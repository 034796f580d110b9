//! The names of attempts.

use super::encode::hex;
use driver::error::{DriverError, ErrorKind, Result};

/// A name for an attempt that no other has, and that nobody can guess.
pub fn random_attempt() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        DriverError::new(ErrorKind::Internal, format!("the system has no random numbers: {error}"))
    })?;
    Ok(hex(&bytes))
}

/// Whether that can name an attempt, so that it is a folder's name and nothing else.
pub fn is_attempt(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
