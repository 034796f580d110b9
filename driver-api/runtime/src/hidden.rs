//! What no message of a run may show: its secrets, and more than a condition takes.

use crate::failure::Failure;
use driver::secret::Secret;

/// The longest sentence in bytes. A server may say anything, and a condition that is too long is refused as a whole.
const LONGEST: usize = 4096;

/// The secrets that a run has come to know.
#[derive(Debug, Default)]
pub(crate) struct Hidden(Vec<Secret>);

impl Hidden {
    /// Keeps `secret` out of every message from here on.
    pub(crate) fn hide(&mut self, secret: &Secret) {
        self.0.push(secret.clone());
    }

    /// The error's sentence without any of them.
    pub(crate) fn redacted(&self, error: &Failure) -> String {
        // Before it is cut, so that no half of a secret is left.
        let mut text = self.0.iter().fold(error.chain(), |text, secret| secret.redact(&text));
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push('…');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Reason;

    #[test]
    fn a_sentence_shows_no_secret_and_has_an_end() {
        let mut hidden = Hidden::default();
        hidden.hide(&Secret::new("hunter2"));
        let said = |text: String| hidden.redacted(&Failure::new(Reason::Internal, text));
        assert_eq!(said("hunter2 is wrong".to_owned()), "<redacted> is wrong");
        let long = said("é".repeat(LONGEST - 2) + "hunter2");
        assert!(long.len() <= LONGEST + '…'.len_utf8() && long.ends_with('…'), "{}", long.len());
        let cut = said("x".repeat(LONGEST - 3) + "hunter2");
        assert!(!cut.contains("hun"), "{}", &cut[LONGEST - 5..]);
    }
}
