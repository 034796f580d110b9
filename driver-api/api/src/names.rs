//! Names that are derived, so that a run which is repeated asks for the same thing.

pub use driver::names::{sha256, short_hash};

use crate::kinds::Database;
use crate::labels::MAX_DATABASE_NAME;

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
}
