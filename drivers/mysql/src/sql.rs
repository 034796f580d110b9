//! The text of statements: the only place where one is put together.
//!
//! Names are in backticks, which every `sql_mode` takes. Literals are few, and each is of characters that no `sql_mode`
//! changes. Every other value is a bind parameter.

use std::fmt;

use crate::layout::REGISTRY;
use crate::parameters::Parameters;
use crate::verifier::Verifier;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sql(String);

impl Sql {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// A name as a statement takes it: in backticks, and one that is in it twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ident(String);

impl Ident {
    pub(crate) fn new(name: &str) -> Self {
        Self(format!("`{}`", name.replace('`', "``")))
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account: a name from any host.
pub(crate) fn account(name: &str) -> String {
    account_at(name, "%")
}

/// An account with its host.
pub(crate) fn account_at(name: &str, host: &str) -> String {
    format!("{}@{}", Ident::new(name), Ident::new(host))
}

/// What a tenant may do with the data and the tables of its own database, and read of it.
///
/// It is all that there is for a database, but `GRANT OPTION`. It is spelled out, since `ALL` needs more of the
/// administrator than each of them does, and means something else on each version.
pub(crate) const READS: [&str; 3] = ["SELECT", "LOCK TABLES", "SHOW VIEW"];
pub(crate) const WRITES: [&str; 15] = [
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "REFERENCES",
    "INDEX",
    "ALTER",
    "CREATE TEMPORARY TABLES",
    "EXECUTE",
    "CREATE VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EVENT",
    "TRIGGER",
];

/// The privilege that a catalog spells in a way of its own: a column of `mysql.db`, or a value of `mysql.tables_priv`.
/// `ALL` would not do, for it takes an administrator who holds all that the version has.
pub(crate) fn privilege(spelled: &str) -> String {
    let spelled = spelled.to_uppercase();
    match spelled.trim_end_matches("_PRIV").replace('_', " ").as_str() {
        "GRANT" => "GRANT OPTION".to_owned(),
        "CREATE TMP TABLE" => "CREATE TEMPORARY TABLES".to_owned(),
        "DELETE VERSIONING ROWS" => "DELETE HISTORY".to_owned(),
        plain => plain.to_owned(),
    }
}

/// The pattern that a grant on a database is stored under: `_` and `%` are wildcards in it unless they are escaped, and
/// nothing is with `partial_revokes`.
pub(crate) fn pattern(database: &str, wildcards: bool) -> String {
    if !wildcards {
        return database.to_owned();
    }
    let mut pattern = String::with_capacity(database.len() + 4);
    for character in database.chars() {
        if matches!(character, '_' | '%' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

pub(crate) fn grant(privileges: &[&str], pattern: &str, name: &str) -> Sql {
    Sql(format!("GRANT {} ON {}.* TO {}", privileges.join(", "), Ident::new(pattern), account(name)))
}

pub(crate) fn revoke(privileges: &[&str], pattern: &str, name: &str) -> Sql {
    Sql(format!("REVOKE {} ON {}.* FROM {}", privileges.join(", "), Ident::new(pattern), account(name)))
}

/// Takes everything from an account. It needs no right but `CREATE USER`.
pub(crate) fn revoke_everything(name: &str) -> Sql {
    Sql(format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {}", account(name)))
}

/// Takes somebody's rights on a whole database, which are stored under `pattern`.
pub(crate) fn revoke_database(privileges: &[String], pattern: &str, name: &str, host: &str) -> Sql {
    let (privileges, from) = (privileges.join(", "), account_at(name, host));
    Sql(format!("REVOKE {privileges} ON {}.* FROM {from}", Ident::new(pattern)))
}

/// Takes somebody's rights on a table.
pub(crate) fn revoke_table(
    privileges: &[String],
    database: &str,
    table: &str,
    name: &str,
    host: &str,
) -> Sql {
    let (privileges, from) = (privileges.join(", "), account_at(name, host));
    Sql(format!("REVOKE {privileges} ON {}.{} FROM {from}", Ident::new(database), Ident::new(table)))
}

/// Without `IF NOT EXISTS`: an account that is there already must not become ours. It cannot log in yet.
pub(crate) fn create_user(name: &str, verifier: &Verifier) -> Sql {
    Sql(format!("CREATE USER {} {} ACCOUNT LOCK", account(name), identified(verifier)))
}

fn identified(verifier: &Verifier) -> String {
    format!("IDENTIFIED WITH {} AS '{}'", verifier.plugin(), verifier.text())
}

pub(crate) fn set_password(name: &str, verifier: &Verifier) -> Sql {
    Sql(format!("ALTER USER {} {}", account(name), identified(verifier)))
}

pub(crate) fn lock(name: &str) -> Sql {
    Sql(format!("ALTER USER {} ACCOUNT LOCK", account(name)))
}

pub(crate) fn unlock(name: &str) -> Sql {
    Sql(format!("ALTER USER {} ACCOUNT UNLOCK", account(name)))
}

/// How many sessions the account may have; 0 is no limit. There is no other limit.
pub(crate) fn limit(name: &str, sessions: u32) -> Sql {
    Sql(format!(
        "ALTER USER {} WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS {sessions}",
        account(name)
    ))
}

pub(crate) fn drop_user(name: &str) -> Sql {
    Sql(format!("DROP USER {}", account(name)))
}

/// Without `IF NOT EXISTS`: a database that is there already must not become ours.
pub(crate) fn create_database(name: &str, parameters: &Parameters) -> Sql {
    // Names of letters, digits and underscores: the parameters' own check.
    let option = |word: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!(" {word} {value}")).unwrap_or_default()
    };
    let character_set = option("CHARACTER SET", &parameters.character_set);
    let collation = option("COLLATE", &parameters.collation);
    Sql(format!("CREATE DATABASE {}{character_set}{collation}", Ident::new(name)))
}

pub(crate) fn drop_database(name: &str) -> Sql {
    Sql(format!("DROP DATABASE IF EXISTS {}", Ident::new(name)))
}

pub(crate) fn kill(session: u64) -> Sql {
    Sql(format!("KILL CONNECTION {session}"))
}

/// Waits for everybody who may still write to one of the tables.
pub(crate) fn lock_tables(database: &str, tables: &[String]) -> Sql {
    let tables: Vec<_> =
        tables.iter().map(|table| format!("{}.{} READ", Ident::new(database), Ident::new(table))).collect();
    Sql(format!("LOCK TABLES {}", tables.join(", ")))
}

/// A statement without names or values.
pub(crate) fn plain(text: &'static str) -> Sql {
    Sql(text.to_owned())
}

/// The statements that make the registry.
///
/// Nobody but administrators has a right on that schema, so no tenant reads or writes it.
pub(crate) fn create_registry() -> [Sql; 2] {
    let schema = Ident::new(REGISTRY);
    [
        Sql(format!("CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4")),
        Sql(format!(
            "CREATE TABLE IF NOT EXISTS {schema}.objects (\
             kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
             name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
             mark VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
             confirmed BOOLEAN NOT NULL, \
             proof VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
             PRIMARY KEY (kind, name)) ENGINE=InnoDB"
        )),
    ]
}

#[cfg(test)]
mod tests {
    use driver_api::Secret;

    use crate::engine::Flavor;

    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(Ident::new("orders").to_string(), "`orders`");
        assert_eq!(Ident::new("a`b'c\"\\").to_string(), "`a``b'c\"\\`");
        assert_eq!(drop_user("a`@`b").text(), "DROP USER `a``@``b`@`%`");
        assert_eq!(drop_database("x`; DROP").text(), "DROP DATABASE IF EXISTS `x``; DROP`");
    }

    #[test]
    fn wildcards_are_escaped_where_they_are_wildcards() {
        assert_eq!(pattern("a_b%c\\d", true), "a\\_b\\%c\\\\d");
        assert_eq!(pattern("a_b%c\\d", false), "a_b%c\\d");
        assert_eq!(
            grant(&["SELECT"], &pattern("a_b", true), "u").text(),
            "GRANT SELECT ON `a\\_b`.* TO `u`@`%`"
        );
    }

    #[test]
    fn catalogs_spell_privileges_in_ways_of_their_own() {
        for (spelled, expected) in [
            ("Select_priv", "SELECT"),
            ("Create_tmp_table_priv", "CREATE TEMPORARY TABLES"),
            ("Lock_tables_priv", "LOCK TABLES"),
            ("Alter_routine_priv", "ALTER ROUTINE"),
            ("Grant_priv", "GRANT OPTION"),
            ("Delete_history_priv", "DELETE HISTORY"),
            ("Delete versioning rows", "DELETE HISTORY"),
            ("Create View", "CREATE VIEW"),
        ] {
            assert_eq!(privilege(spelled), expected);
        }
    }

    #[test]
    fn no_statement_holds_a_password() {
        let secret = Secret::new("hunter2");
        for flavor in [Flavor::MySql, Flavor::MariaDb] {
            let verifier = Verifier::of(&secret, flavor).unwrap();
            for sql in [create_user("u", &verifier), set_password("u", &verifier)] {
                assert!(!sql.text().contains("hunter2"), "{sql:?}");
                assert_eq!(sql.text().matches('\'').count(), 2, "{sql:?}");
            }
        }
    }
}
