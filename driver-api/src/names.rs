//! Names that are derived, so that a run which is repeated asks for the same thing.

use sha2::{Digest, Sha256};

use crate::api::{Database, MAX_DATABASE_NAME};

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

/// Name of the database on the server: `spec.name`, else derived from namespace and name.
///
/// The derived name is a readable part and ten digits of a hash over `namespace/name`, at most
/// [`MAX_DATABASE_NAME`] characters of `[a-z0-9_]`, and begins with a letter. Two objects of one cluster do
/// not share it: `a-b/c` and `a/b-c` read alike and hash differently.
pub fn database_name(database: &Database) -> String {
    if let Some(name) = &database.spec.name {
        return name.clone();
    }
    let namespace = database.metadata.namespace.as_deref().unwrap_or_default();
    let name = database.metadata.name.as_deref().unwrap_or_default();
    let hash = short_hash(&format!("{namespace}/{name}"), 10);
    let mut readable: String = format!("{namespace}_{name}")
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .collect();
    if !readable.starts_with(|c: char| c.is_ascii_lowercase()) {
        readable.insert_str(0, "db_");
    }
    // A name that the server reserves could otherwise arise from the namespace.
    if readable.starts_with("pg_") {
        readable.insert_str(0, "db_");
    }
    readable.truncate(MAX_DATABASE_NAME - hash.len() - 1);
    format!("{readable}_{hash}")
}

/// Name of one of the two logins of a database, `slot` being `a` or `b`, within the engine's limit.
///
/// It is the database's name and the slot, shortened with a hash where it would not fit.
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

    fn named(namespace: &str, name: &str) -> String {
        let mut database: Database = serde_json::from_value(serde_json::json!({
            "apiVersion": "db.isotoma.com/v1alpha1", "kind": "Database", "metadata": {"name": name, "namespace": namespace},
            "spec": {"driver": "postgresql", "connect": {"host": "h"},
                     "credentials": {"username": {"value": "u"}, "password": {"value": "p"}}},
        }))
        .unwrap();
        database.metadata.namespace = Some(namespace.to_owned());
        database_name(&database)
    }

    #[test]
    fn derived_names_are_valid_and_never_ambiguous() {
        let long = "n".repeat(63);
        let pairs = [
            ("team", "orders"),
            ("a-b", "c"),
            ("a", "b-c"),
            ("7up", "x"),
            ("pg", "x"),
            (long.as_str(), "orders.v2"),
        ];
        let names: Vec<_> = pairs.iter().map(|(namespace, name)| named(namespace, name)).collect();
        for name in &names {
            assert!(name.len() <= MAX_DATABASE_NAME, "{name} is too long");
            assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "{name} must begin with a letter");
            assert!(!name.starts_with("pg_"), "{name} is reserved");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        }
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert!(names[0].starts_with("team_orders_"), "{}", names[0]);
    }

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
