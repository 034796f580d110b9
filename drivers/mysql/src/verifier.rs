//! What the server stores of a password, made here: so that no statement holds the password itself.

use driver_api::kit::password;
use driver_api::{Result, Secret};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::engine::Flavor;

/// How often MySQL repeats the hash: `005` in what it stores, in thousands.
const ROUNDS: usize = 5000;

/// How long MySQL's salt is.
const SALT: usize = 20;

/// What crypt writes 6 bits as.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How an account proves itself, as the server stores it. It has no quote and no backslash in it.
pub(crate) struct Verifier {
    plugin: &'static str,
    text: String,
}

impl Verifier {
    /// That of `password`, with a new salt if the engine has one.
    ///
    /// `MariaDB` has no salted kind that every client of it speaks, so there it is `mysql_native_password`, whose hash
    /// of a password of 190 random bits tells nothing.
    pub(crate) fn of(password: &Secret, flavor: Flavor) -> Result<Self> {
        let bytes = password.expose().as_bytes();
        Ok(match flavor {
            Flavor::MySql => {
                // Letters and digits, where the server itself takes any byte: a statement needs no quoting then.
                let random = password::random()?;
                let salt = random.expose().get(..SALT).unwrap_or_default();
                let hash = sha256_crypt(bytes, salt.as_bytes(), ROUNDS);
                Self { plugin: "caching_sha2_password", text: format!("$A$005${salt}{hash}") }
            }
            Flavor::MariaDb => Self { plugin: "mysql_native_password", text: native(bytes) },
        })
    }

    /// That of a password which nobody knows.
    pub(crate) fn of_nobody(flavor: Flavor) -> Result<Self> {
        Self::of(&password::random()?, flavor)
    }

    /// The plugin's name.
    pub(crate) fn plugin(&self) -> &'static str {
        self.plugin
    }

    /// What the server stores.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// `mysql_native_password`: a star and the SHA-1 of the SHA-1 in upper case.
fn native(password: &[u8]) -> String {
    let twice = Sha1::digest(Sha1::digest(password));
    twice.iter().fold("*".to_owned(), |text, byte| text + &format!("{byte:02X}"))
}

/// The SHA-256 crypt of Ulrich Drepper (2007), without its limit on the salt, as `caching_sha2_password` uses it.
fn sha256_crypt(password: &[u8], salt: &[u8], rounds: usize) -> String {
    let alternate = digest(&[password, salt, password]);
    let mut first = Sha256::new();
    first.update(password);
    first.update(salt);
    first.update(repeated(&alternate, password.len()));
    let mut length = password.len();
    while length > 0 {
        if length & 1 == 1 {
            first.update(alternate);
        } else {
            first.update(password);
        }
        length >>= 1;
    }
    let mut state: [u8; 32] = first.finalize().into();

    let passwords = digest(&[&password.repeat(password.len())]);
    let password = repeated(&passwords, password.len());
    let salts = digest(&[&salt.repeat(16 + usize::from(state.first().copied().unwrap_or_default()))]);
    let salt = repeated(&salts, salt.len());
    for round in 0..rounds {
        let mut next = Sha256::new();
        let is_odd = round % 2 == 1;
        next.update(if is_odd { password.as_slice() } else { &state });
        if round % 3 != 0 {
            next.update(&salt);
        }
        if round % 7 != 0 {
            next.update(&password);
        }
        next.update(if is_odd { state.as_slice() } else { &password });
        state = next.finalize().into();
    }
    in_crypt_order(&state)
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// `block` again and again, `length` bytes of it.
fn repeated(block: &[u8; 32], length: usize) -> Vec<u8> {
    block.iter().copied().cycle().take(length).collect()
}

/// The 43 characters of a hash: crypt takes the bytes in an order of its own, three at a time.
fn in_crypt_order(hash: &[u8; 32]) -> String {
    let byte = |at: usize| u32::from(hash.get(at).copied().unwrap_or_default());
    let mut text = String::with_capacity(43);
    let mut write = |mut bits: u32, characters: usize| {
        for _ in 0..characters {
            let character = usize::try_from(bits & 0x3f).ok().and_then(|at| ALPHABET.get(at));
            text.extend(character.map(|character| char::from(*character)));
            bits >>= 6;
        }
    };
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        write((byte(a) << 16) | (byte(b) << 8) | byte(c), 4);
        (a, b, c) = ((c + 1) % 30, (a + 1) % 30, (b + 1) % 30);
    }
    write((byte(31) << 8) | byte(30), 3);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drepper's "Unix crypt using SHA-256 and SHA-512", test vectors for SHA-256.
    #[test]
    fn sha256_crypt_is_as_published() {
        for (password, salt, rounds, hash) in [
            ("Hello world!", "saltstring", 5000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("Hello world!", "saltstringsaltst", 10000, "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
            ("This is just a test", "toolongsaltstrin", 5000, "Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"),
        ] {
            let made = sha256_crypt(password.as_bytes(), salt.as_bytes(), rounds);
            assert_eq!(made, hash, "{password} {salt} {rounds}");
        }
    }

    /// The manual of MySQL 5.7, `PASSWORD()`.
    #[test]
    fn native_is_as_published() {
        assert_eq!(native(b"mypass"), "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4");
        assert_eq!(native(b"password"), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    }

    #[test]
    fn verifiers_are_salted_plain_and_hold_no_password() {
        let secret = Secret::new("it's \\ \"quoted\"");
        let of = |flavor| Verifier::of(&secret, flavor).unwrap();
        let (one, other) = (of(Flavor::MySql), of(Flavor::MySql));
        assert_ne!(one.text(), other.text());
        assert_eq!(one.text().len(), 7 + SALT + 43);
        for verifier in [one, of(Flavor::MariaDb)] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "$./*".contains(c);
            assert!(verifier.text().chars().all(is_plain), "{}", verifier.text());
        }
    }
}
