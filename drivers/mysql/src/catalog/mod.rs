//! What is on the server, read from its catalogs: the database, its accounts and who has rights on it, and which of them
//! are ours. It compares nothing and changes nothing.

pub(crate) mod grants;
pub(crate) mod registry;

use driver_api::Result;
use driver_api::names::sha256;
use mysql_async::Row;

use crate::connect::Connection;
use crate::engine::Flavor;
use crate::layout::Layout;
use crate::session::{About, Session};

use grants::Grant;
use registry::{Entry, Kind};

/// What has one of our names, ours or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerState {
    /// The database, if there is one of that name.
    pub(crate) database: Option<DatabaseState>,
    /// Those of the two accounts that exist, ours or not.
    pub(crate) accounts: Vec<AccountState>,
    /// Who has rights on the database, or on databases of that name and others.
    pub(crate) grants: Vec<Grant>,
    /// What the registry says about these names.
    pub(crate) entries: Vec<Entry>,
    /// The registry exists.
    pub(crate) has_registry: bool,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DatabaseState {
    pub(crate) character_set: String,
    pub(crate) collation: String,
    /// There is no table, view, routine or event in it.
    pub(crate) is_empty: bool,
}

/// An account, from any host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "it mirrors the catalog")]
pub(crate) struct AccountState {
    pub(crate) name: String,
    /// What the server stores of its password.
    pub(crate) verifier: String,
    pub(crate) is_locked: bool,
    pub(crate) is_expired: bool,
    /// `MAX_USER_CONNECTIONS`.
    pub(crate) sessions: u32,
    /// It has a limit of another kind, such as a number of statements an hour.
    pub(crate) is_throttled: bool,
    /// It has a right on all databases, or on the server.
    pub(crate) has_global_rights: bool,
}

const DATABASE: &str = "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, SCHEMA_NAME, \
    (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?) = 0 \
    AND (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?) = 0 \
    AND (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?) = 0 \
    FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?";

// `<>` with NULL is NULL, and so no right.
const MYSQL_ACCOUNTS: &str = "SELECT u.User, u.authentication_string, u.account_locked = 'Y', \
    u.password_expired = 'Y', u.max_user_connections, u.max_questions + u.max_updates + u.max_connections > 0, \
    EXISTS (SELECT 1 FROM mysql.global_grants g WHERE g.USER = u.User AND g.HOST = u.Host) \
    OR EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES p \
    WHERE p.GRANTEE = CONCAT('''', u.User, '''@''', u.Host, '''') AND p.PRIVILEGE_TYPE <> 'USAGE') \
    FROM mysql.user u WHERE u.Host = '%' AND u.User IN (?, ?)";

// A password that is expired has no date; to be locked is not in the view `mysql.user`.
const MARIADB_ACCOUNTS: &str = "SELECT User, COALESCE(JSON_VALUE(Priv, '$.authentication_string'), ''), \
    COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') IN ('1', 'true'), \
    COALESCE(JSON_VALUE(Priv, '$.password_last_changed'), '1') = '0', \
    CAST(COALESCE(JSON_VALUE(Priv, '$.max_user_connections'), '0') AS UNSIGNED), \
    COALESCE(JSON_VALUE(Priv, '$.max_questions'), '0') + COALESCE(JSON_VALUE(Priv, '$.max_updates'), '0') \
    + COALESCE(JSON_VALUE(Priv, '$.max_connections'), '0') > 0, \
    COALESCE(JSON_VALUE(Priv, '$.access'), '0') <> '0' \
    FROM mysql.global_priv WHERE Host = '%' AND User IN (?, ?)";

/// Reads the database, its accounts, its grants and the registry.
pub(crate) async fn read(session: &mut Session, layout: &Layout) -> Result<ServerState> {
    let about = session.about;
    let connection = &mut session.connection;
    let entries = registry::read(connection, layout).await?;
    let mut state = ServerState {
        has_registry: entries.is_some(),
        entries: entries.unwrap_or_default(),
        ..ServerState::default()
    };
    state.database = database(connection, layout).await?;
    state.accounts = accounts(connection, layout, about).await?;
    state.grants = grants::read(connection, layout, about).await?;
    Ok(state)
}

async fn database(connection: &mut Connection, layout: &Layout) -> Result<Option<DatabaseState>> {
    let name = layout.database.as_str();
    let rows = connection.rows(DATABASE, (name, name, name, name), "cannot look at the database").await?;
    for row in &rows {
        // The catalog may not tell upper from lower case, where the server does.
        if connection.cell::<String>(row, 2)? != name {
            continue;
        }
        return Ok(Some(DatabaseState {
            character_set: connection.cell(row, 0)?,
            collation: connection.cell(row, 1)?,
            is_empty: connection.cell::<i64>(row, 3)? == 1,
        }));
    }
    Ok(None)
}

async fn accounts(connection: &mut Connection, layout: &Layout, about: About) -> Result<Vec<AccountState>> {
    let query = match about.flavor() {
        Flavor::MySql => MYSQL_ACCOUNTS,
        Flavor::MariaDb => MARIADB_ACCOUNTS,
    };
    let doing = "cannot look at the accounts";
    let rows = connection.rows(query, (&layout.active, &layout.standby), doing).await?;
    let mut accounts = Vec::new();
    for row in &rows {
        let flag = |connection: &Connection, row: &Row, column| -> Result<bool> {
            Ok(connection.cell::<Option<i64>>(row, column)? == Some(1))
        };
        accounts.push(AccountState {
            name: connection.cell(row, 0)?,
            verifier: connection.cell::<Option<String>>(row, 1)?.unwrap_or_default(),
            is_locked: flag(connection, row, 2)?,
            is_expired: flag(connection, row, 3)?,
            sessions: connection.cell(row, 4)?,
            is_throttled: flag(connection, row, 5)?,
            has_global_rights: flag(connection, row, 6)?,
        });
    }
    Ok(accounts)
}

/// What the registry keeps of a verifier, to know the account again that was created with it.
pub(crate) fn proof(verifier: &str) -> String {
    sha256(verifier.as_bytes())
}

impl ServerState {
    /// The account of that name, ours or not.
    pub(crate) fn account(&self, name: &str) -> Option<&AccountState> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The account of that name, if it is ours: the registry has it under our mark, and knows that the CREATE USER was
    /// ours; or a run died right after it, and it has the very password that this run wrote down before, which nobody
    /// else knows.
    pub(crate) fn our_account(&self, name: &str, layout: &Layout) -> Option<&AccountState> {
        let entry = self.entry(Kind::Account, name).filter(|entry| entry.mark == layout.mark)?;
        self.account(name).filter(|account| entry.confirmed || entry.proof == proof(&account.verifier))
    }

    /// The database, if it is ours: the registry has it under our mark, and knows that the CREATE DATABASE was ours; or a
    /// run died near it, and the database holds nothing and nobody else may use it. Else an administrator may have
    /// created it meanwhile, and it would be dropped as ours.
    pub(crate) fn our_database(&self, layout: &Layout) -> Option<&DatabaseState> {
        let entry = self.entry(Kind::Database, &layout.database).filter(|entry| entry.mark == layout.mark)?;
        self.database.as_ref().filter(|database| {
            entry.confirmed || (database.is_empty && self.grants.iter().all(|grant| !grant.is_others(layout)))
        })
    }

    fn entry(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.name == name)
    }

    /// Whether the registry says already that it is ours for good.
    pub(crate) fn is_confirmed(&self, kind: Kind, name: &str) -> bool {
        self.entry(kind, name).is_some_and(|entry| entry.confirmed)
    }

    /// What is there under our names and is not ours, for a person: the tenant, who may not be meant to read whose it
    /// is. That goes to the log.
    pub(crate) fn foreign(&self, layout: &Layout) -> Vec<String> {
        let described = |kind, what: &str, name: &str| {
            let mark = match self.entry(kind, name) {
                Some(entry) if entry.mark != layout.mark => {
                    tracing::debug!(name, mark = entry.mark, "another mark");
                    "with another mark"
                }
                Some(_) => "which this Database did not create",
                None => "without a mark",
            };
            format!("{what} {name} ({mark})")
        };
        let database = self.database.iter().filter(|_| self.our_database(layout).is_none());
        let accounts =
            self.accounts.iter().filter(|account| self.our_account(&account.name, layout).is_none());
        database
            .map(|_| described(Kind::Database, "database", &layout.database))
            .chain(accounts.map(|account| described(Kind::Account, "account", &account.name)))
            .collect()
    }

    /// What is there and ours, for a person. The registry's entries are the last to go.
    pub(crate) fn ours(&self, layout: &Layout) -> Vec<String> {
        let database = self.our_database(layout).map(|_| format!("database {}", layout.database));
        let accounts =
            self.accounts.iter().filter(|account| self.our_account(&account.name, layout).is_some());
        let entries = self.entries.iter().filter(|entry| entry.mark == layout.mark && !self.is_there(entry));
        database
            .into_iter()
            .chain(accounts.map(|account| format!("account {}", account.name)))
            .chain(entries.map(|entry| format!("the registry's entry of {}", entry.name)))
            .collect()
    }

    /// Whether what the entry is about exists, ours or not.
    fn is_there(&self, entry: &Entry) -> bool {
        match entry.kind {
            Kind::Database => self.database.is_some(),
            Kind::Account => self.account(&entry.name).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use driver_api::{Mark, Target};

    use super::*;

    fn layout() -> Layout {
        Layout::of(&Target::new("orders", Mark::new("c", "u"), 32))
    }

    fn entry(kind: Kind, name: &str, mark: &str, confirmed: bool, proof: &str) -> Entry {
        let (name, mark, proof) = (name.to_owned(), mark.to_owned(), proof.to_owned());
        Entry { kind, name, mark, confirmed, proof }
    }

    #[test]
    fn an_intended_database_is_ours_only_while_nobody_uses_it() {
        let layout = layout();
        let state = |confirmed, is_empty, grants| ServerState {
            database: Some(DatabaseState { is_empty, ..DatabaseState::default() }),
            entries: vec![entry(Kind::Database, "orders", &layout.mark, confirmed, "")],
            grants,
            ..ServerState::default()
        };
        let is_ours = |state: &ServerState| state.our_database(&layout).is_some();
        assert!(is_ours(&state(true, false, vec![])));
        assert!(is_ours(&state(false, true, vec![])));
        assert!(!is_ours(&state(false, false, vec![])));
        let somebody = Grant { name: "dba".to_owned(), host: "%".to_owned(), ..Grant::default() };
        assert!(!is_ours(&state(false, true, vec![somebody])));
        let own = Grant { name: "orders_a".to_owned(), host: "%".to_owned(), ..Grant::default() };
        assert!(is_ours(&state(false, true, vec![own])));
        let mut another = state(true, true, vec![]);
        another.entries[0].mark = "the secret plan".to_owned();
        assert!(!is_ours(&another));
        assert_eq!(another.foreign(&layout), ["database orders (with another mark)"]);
    }

    #[test]
    fn an_intended_account_is_ours_by_the_password_that_was_written_down() {
        let layout = layout();
        let account = |verifier: &str| AccountState {
            name: "orders_a".to_owned(),
            verifier: verifier.to_owned(),
            ..AccountState::default()
        };
        let state = |verifier: &str| ServerState {
            accounts: vec![account(verifier)],
            entries: vec![entry(Kind::Account, "orders_a", &layout.mark, false, &proof("*AB"))],
            ..ServerState::default()
        };
        assert!(state("*AB").our_account("orders_a", &layout).is_some());
        assert!(state("*CD").our_account("orders_a", &layout).is_none());
        let foreign = state("*CD").foreign(&layout);
        assert_eq!(foreign, ["account orders_a (which this Database did not create)"]);
    }

    #[test]
    fn what_is_left_in_the_registry_is_ours() {
        let layout = layout();
        let state = ServerState {
            entries: vec![entry(Kind::Account, "orders_a", &layout.mark, true, "")],
            ..ServerState::default()
        };
        assert_eq!(state.ours(&layout), ["the registry's entry of orders_a"]);
    }
}
