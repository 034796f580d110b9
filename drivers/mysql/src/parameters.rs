//! `spec.parameters` of a MySQL or MariaDB database.

use serde::Deserialize;

/// Longest name of a character set or a collation.
const MAX_NAME: usize = 64;

/// `spec.parameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
#[non_exhaustive]
pub struct Parameters {
    /// Default character set of new tables, such as `utf8mb4`. Only at creation.
    pub character_set: Option<String>,
    /// Default collation of new tables, such as `utf8mb4_unicode_ci`. Only at creation.
    pub collation: Option<String>,
    /// How many sessions each login may have at a time.
    pub connection_limit: Option<u32>,
}

/// What people write, before the checks.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    character_set: Option<String>,
    collation: Option<String>,
    connection_limit: Option<u32>,
}

impl TryFrom<Written> for Parameters {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { character_set, collation, connection_limit } = written;
        for (field, value) in [("characterSet", &character_set), ("collation", &collation)] {
            if value.as_deref().is_some_and(|value| !is_name(value)) {
                return Err(format!("{field}: must be 1 to {MAX_NAME} letters, digits and underscores"));
            }
        }
        // The server takes 0 for no limit.
        if connection_limit == Some(0) {
            return Err("connectionLimit: must be 1 or more; leave it out for no limit".to_owned());
        }
        if connection_limit.is_some_and(|limit| limit > i32::MAX.unsigned_abs()) {
            return Err(format!("connectionLimit: must be {} or less", i32::MAX));
        }
        Ok(Self { character_set, collation, connection_limit })
    }
}

/// Whether the text can be the name of a character set or a collation, which statements take without quotes.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Result<Parameters, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn all_of_it_is_read() {
        let all =
            json!({"characterSet": "utf8mb4", "collation": "utf8mb4_unicode_ci", "connectionLimit": 50});
        let parameters = parse(all).unwrap();
        assert_eq!(parameters.character_set.as_deref(), Some("utf8mb4"));
        assert_eq!(parameters.collation.as_deref(), Some("utf8mb4_unicode_ci"));
        assert_eq!(parameters.connection_limit, Some(50));
        assert_eq!(parse(json!({})).unwrap(), Parameters::default());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (value, named) in [
            (json!({"schemas": ["app"]}), "`schemas`"),
            (json!({"extensions": []}), "`extensions`"),
            (json!({"encoding": "UTF8"}), "`encoding`"),
            (json!({"characterSet": ""}), "characterSet"),
            (json!({"characterSet": "utf8mb4; DROP DATABASE x"}), "characterSet"),
            (json!({"collation": "a`b"}), "collation"),
            (json!({"collation": "n".repeat(65)}), "collation"),
            (json!({"connectionLimit": 0}), "connectionLimit"),
            (json!({"connectionLimit": u32::MAX}), "connectionLimit"),
            (json!({"connectionLimit": "7"}), "\"7\""),
        ] {
            let error = parse(value.clone()).unwrap_err();
            assert!(error.contains(named), "{value}: {error}");
        }
    }
}
