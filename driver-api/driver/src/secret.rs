//! Values that must not be seen.

use zeroize::Zeroize;

/// What is shown in place of a secret.
const REDACTED: &str = "<redacted>";

/// Text that must reach no log, Event, status, error or command line.
///
/// It has no `Display`, its `Debug` is redacted, it does not serialize, and its memory is overwritten when
/// it is dropped. [`Secret::expose`] marks every place that reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` without this secret: what somebody else's error message goes through before it is shown.
    pub fn redact(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, REDACTED) }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_redact_hide_the_text() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(<redacted>)");
        assert_eq!(secret.redact("server said: hunter2 is wrong"), "server said: <redacted> is wrong");
        assert_eq!(Secret::new("").redact("as it was"), "as it was");
    }
}
