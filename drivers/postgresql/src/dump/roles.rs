//! The roles of a database, and which roles a statement names. Pure.

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::sql::lexer::{self, Kind, Part, is_word, leading_words, parts};

/// The roles of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Roles {
    /// The owner of the database.
    pub(crate) owner: String,
    /// The owner of what is in it.
    pub(crate) group: String,
    /// The login that applications use, and the other one.
    pub(crate) logins: [String; 2],
}

impl Roles {
    pub(crate) fn of(layout: &Layout) -> Self {
        Self {
            owner: layout.owner.clone(),
            group: layout.group.clone(),
            logins: [layout.active.clone(), layout.standby.clone()],
        }
    }

    /// Whether a role is one of this database.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.in_other(name, self).is_some()
    }

    /// What a role of this database is called in another one.
    pub(crate) fn in_other<'a>(&self, name: &str, other: &'a Self) -> Option<&'a str> {
        let [active, standby] = &self.logins;
        let [other_active, other_standby] = &other.logins;
        [
            (&self.owner, &other.owner),
            (&self.group, &other.group),
            (active, other_active),
            (standby, other_standby),
        ]
        .into_iter()
        .find_map(|(ours, theirs)| (ours == name).then_some(theirs.as_str()))
    }
}

/// The roles that a load needs for a statement. `pg_dump` writes each of them in quotes.
pub(crate) fn roles_named(statement: &str, own: &Roles) -> Vec<String> {
    let parts: Vec<Part<'_>> = parts(lexer::tokens(statement)).collect();
    let words = leading_words(&parts);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    if words.starts_with(&["alter", "default", "privileges"]) && is_about_others(&parts, own) {
        return Vec::new();
    }
    let places = places_of_roles(&words, &parts);
    let names = parts.iter().filter(|part| part.1 == Kind::Name && places.contains(&part.0));
    names.filter_map(|(_, kind, text)| lexer::name(*kind, text)).collect()
}

/// Whether default privileges are of what somebody else makes. They are not the tenant's, who may not set them.
pub(crate) fn is_about_others(parts: &[Part<'_>], own: &Roles) -> bool {
    let makers = roles_after(parts, 3, "role", &["in", "grant", "revoke"]);
    let names =
        parts.iter().filter(|part| makers.contains(&part.0)).filter_map(|part| lexer::name(part.1, part.2));
    names.into_iter().any(|name| !own.has(&name))
}

/// The places of the names of roles in a statement.
pub(crate) fn places_of_roles(words: &[&str], parts: &[Part<'_>]) -> Vec<usize> {
    match words {
        ["grant", ..] => roles_after(parts, 0, "to", &[]),
        ["revoke", ..] => roles_after(parts, 0, "from", &[]),
        ["create", "policy", ..] => roles_after(parts, 0, "to", &["using", "with"]),
        ["create", "user", "mapping", ..] => roles_after(parts, 3, "for", &["server"]),
        ["alter", "default", "privileges", ..] => {
            let mut roles = roles_after(parts, 3, "role", &["in", "grant", "revoke"]);
            roles.extend(roles_after(parts, 3, "to", &[]));
            roles.extend(roles_after(parts, 3, "from", &[]));
            roles
        }
        _ => Vec::new(),
    }
}

/// The places of the names of roles: those after the keyword, outside of parentheses, up to one of `ends`.
fn roles_after(parts: &[Part<'_>], from: usize, keyword: &str, ends: &[&str]) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut places = Vec::new();
    let mut is_list = false;
    for part in parts.iter().skip(from) {
        match part.1 {
            Kind::Other(b'(') => depth += 1,
            Kind::Other(b')') => depth = depth.saturating_sub(1),
            Kind::Word | Kind::Name if depth > 0 => {}
            Kind::Word if !is_list => is_list = is_word(part, keyword),
            Kind::Word if ends.iter().any(|end| is_word(part, end)) => break,
            Kind::Word | Kind::Name if is_list => places.push(part.0),
            Kind::Word | Kind::Name | Kind::Space | Kind::Text | Kind::Client | Kind::Other(_) => {}
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(name: &str) -> Roles {
        Roles {
            owner: format!("{name}_own"),
            group: format!("{name}_rw"),
            logins: [format!("{name}_a"), format!("{name}_b")],
        }
    }

    #[test]
    fn roles_are_found_by_their_part() {
        let (source, target) = (roles("orders"), roles("clone"));
        assert_eq!(source.in_other("orders_b", &target), Some("clone_b"));
        assert_eq!(source.in_other("orders", &target), None);
    }

    #[test]
    fn the_roles_that_a_load_needs_are_known() {
        for (statement, named) in [
            (
                "GRANT SELECT ON TABLE \"s\".\"t\" TO \"orders_a\", \"re\"\"port\" WITH GRANT OPTION",
                vec!["orders_a", "re\"port"],
            ),
            ("GRANT ALL(\"a\") ON TABLE x TO PUBLIC", vec![]),
            ("REVOKE ALL ON SCHEMA \"s\" FROM \"other\"", vec!["other"]),
            ("CREATE POLICY \"p\" ON \"s\".\"t\" TO \"other\" USING ((\"a\" = 'b'))", vec!["other"]),
            ("CREATE USER MAPPING FOR \"other\" SERVER \"s\"", vec!["other"]),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"orders_rw\" IN SCHEMA \"s\" GRANT SELECT ON TABLES TO \"other\"",
                vec!["orders_rw", "other"],
            ),
            ("ALTER DEFAULT PRIVILEGES FOR ROLE \"other\" GRANT SELECT ON TABLES TO \"another\"", vec![]),
            ("COMMENT ON TABLE \"s\".\"t\" IS 'GRANT x TO \"other\"'", vec![]),
        ] {
            assert_eq!(roles_named(statement, &roles("orders")), named, "{statement}");
        }
    }
}
