//! Names that are derived, so that a run which is repeated asks for the same thing.

use sha2::{Digest, Sha256};

/// The first `digits` hexadecimal digits of the SHA-256 of `text`.
pub fn short_hash(text: &str, digits: usize) -> String {
    let mut hex = sha256(text.as_bytes());
    hex.truncate(digits);
    hex
}

/// The SHA-256 of `bytes`, in 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        for nibble in [byte >> 4, byte & 0xf] {
            hex.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    hex
}

/// Name of one of the two logins of a database, `slot` being `a` or `b`, within the engine's limit.
///
/// It is the database's name and the slot, shortened with a hash if it would not fit.
pub fn login_name(database_name: &str, slot: char, limit: usize) -> String {
    let plain = format!("{database_name}_{slot}");
    if plain.len() <= limit {
        return plain;
    }
    let hash = short_hash(database_name, 8);
    let keep = limit.saturating_sub(hash.len() + 3);
    let readable: String = database_name.chars().take(keep).collect();
    format!("{readable}_{hash}_{slot}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_names_fit_the_engine() {
        assert_eq!(login_name("orders", 'a', 63), "orders_a");
        let long = "o".repeat(48);
        assert_eq!(login_name(&long, 'b', 63), format!("{long}_b"));
        let short = login_name(&long, 'b', 32);
        assert_eq!(short.len(), 32);
        assert!(short.ends_with("_b"));
        assert_ne!(short, login_name(&format!("{}x", &long[..47]), 'b', 32));
    }

    #[test]
    fn short_hash_is_sha256() {
        // FIPS 180-2, appendix B.1: SHA-256 of "abc" begins ba7816bf 8f01cfea.
        assert_eq!(short_hash("abc", 16), "ba7816bf8f01cfea");
    }
}
