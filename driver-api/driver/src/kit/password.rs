//! Passwords that nobody chooses.

use zeroize::Zeroizing;

use crate::error::{DriverError, ErrorKind, Result};
use crate::secret::Secret;

/// How many characters a password has: 32 of 62 are 190 bits.
const LENGTH: usize = 32;

/// A new password of 32 letters and digits, which no URL, shell or configuration file needs to escape.
///
/// # Errors
///
/// [`ErrorKind::Internal`] if the system gives no random numbers.
pub fn random() -> Result<Secret> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    // It never grows, which would leave a copy behind.
    let mut password = String::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let mut bytes = Zeroizing::new([0_u8; 2 * LENGTH]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|error| {
            DriverError::new(ErrorKind::Internal, format!("the system gives no random numbers: {error}"))
        })?;
        // Bytes of 248 and above would favor the first characters.
        let characters =
            bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(*byte) % 62));
        password.extend(characters.map(|byte| char::from(*byte)).take(LENGTH - password.len()));
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_plain_and_different() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.expose().len(), LENGTH);
        assert!(one.expose().chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}
