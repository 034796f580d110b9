//! What an error of a driver must be like.

use crate::error::{DriverError, ErrorKind};

/// Shows that an error is of that kind, names these things in its message or its causes, and none of these secrets.
///
/// # Panics
///
/// If it is not so; the panic shows the error, and with it a secret that it should not have named.
#[track_caller]
pub fn assert_error(error: &DriverError, kind: ErrorKind, named: &[&str], secrets: &[&str]) {
    let text = error.chain();
    assert_eq!(error.kind(), kind, "{text}");
    for name in named {
        assert!(text.contains(name), "{name:?} is not in: {text}");
    }
    assert!(!secrets.iter().any(|secret| text.contains(secret)), "it names a secret: {text}");
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn kind_names_and_secrets_are_looked_at() {
        let fits = |kind, named: &'static str, secret: &'static str| {
            let error = || DriverError::new(ErrorKind::Busy, "db:1 is busy").with_source("with hunter2");
            catch_unwind(|| assert_error(&error(), kind, &[named], &[secret])).is_ok()
        };
        assert!(fits(ErrorKind::Busy, "db:1", "hunter3"));
        assert!(!fits(ErrorKind::InUse, "db:1", "hunter3"));
        assert!(!fits(ErrorKind::Busy, "db:2", "hunter3"));
        assert!(!fits(ErrorKind::Busy, "db:1", "hunter2"));
    }
}
