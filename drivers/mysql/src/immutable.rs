//! The parameters that are chosen for good when the database is created. Pure.

use crate::catalog::DatabaseState;
use crate::parameters::Parameters;

/// Parameters that differ and are chosen for good at creation. The server would take another default; the tables that
/// are there would keep theirs.
pub(crate) fn differences(state: &DatabaseState, parameters: &Parameters) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |field: &str, wanted: Option<&String>, is: &str| {
        if let Some(wanted) = wanted.filter(|wanted| plain(wanted) != plain(is)) {
            differences.push(format!("{field} is {is:?}, not {wanted:?}"));
        }
    };
    compare("characterSet", parameters.character_set.as_ref(), &state.character_set);
    compare("collation", parameters.collation.as_ref(), &state.collation);
    differences
}

/// The server takes `utf8` for `utf8mb3`, whichever of both it shows. `MariaDB` knows collations of a character set by a
/// name without it.
fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    if name == "utf8" {
        return "utf8mb3".to_owned();
    }
    let name = match name.strip_prefix("utf8_") {
        Some(rest) => format!("utf8mb3_{rest}"),
        None => name,
    };
    match name.find("uca1400") {
        Some(at) => name.get(at..).unwrap_or_default().to_owned(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(wanted: serde_json::Value) -> Vec<String> {
        let state = DatabaseState {
            character_set: "utf8mb3".to_owned(),
            collation: "utf8_general_ci".to_owned(),
            is_empty: true,
        };
        differences(&state, &serde_json::from_value(wanted).unwrap())
    }

    #[test]
    fn other_spellings_of_the_same_do_not_differ() {
        for wanted in [
            json!({}),
            json!({"characterSet": "UTF8"}),
            json!({"characterSet": "utf8mb3", "collation": "utf8mb3_general_ci"}),
            json!({"collation": "UTF8_general_ci"}),
        ] {
            assert_eq!(found(wanted.clone()), Vec::<String>::new(), "{wanted}");
        }
        assert_eq!(plain("utf8mb4_uca1400_ai_ci"), plain("uca1400_ai_ci"));
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        assert_eq!(found(json!({"characterSet": "latin1"})), ["characterSet is \"utf8mb3\", not \"latin1\""]);
        assert_eq!(found(json!({"collation": "utf8mb4_bin"})).len(), 1);
    }
}
