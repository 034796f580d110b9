//! Which database and accounts there are, and what they are called.

use driver_api::names::short_hash;
use driver_api::{DriverError, ErrorKind, Mark, Result, Target};

/// Longest name of an account, in characters. MariaDB takes more, and backups go from one to the other.
pub(crate) const MAX_USERNAME: usize = 32;

/// Longest name of a database, in characters.
const MAX_NAME: usize = 64;

/// The schema of our own registry.
pub(crate) const REGISTRY: &str = "db_operator";

/// Names that belong to the server, to us, or to a cloud provider's own administration.
const RESERVED: [&str; 12] = [
    "mysql",
    "information_schema",
    "performance_schema",
    "sys",
    "innodb",
    "ndbinfo",
    "lost+found",
    "tmp",
    "awsdms_control",
    "cloudsqladmin",
    "mysql_innodb_cluster_metadata",
    REGISTRY,
];

/// The names of one database and its accounts.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The database.
    pub(crate) database: String,
    /// The login that applications use.
    pub(crate) active: String,
    /// The login that waits for a rotation.
    pub(crate) standby: String,
    /// The text that marks a database or an account as ours, in the registry.
    pub(crate) mark: String,
}

impl Layout {
    pub(crate) fn of(target: &Target) -> Self {
        let Target { name, mark, active_login, standby_login, .. } = target;
        Self {
            database: name.clone(),
            active: active_login.clone(),
            standby: standby_login.clone(),
            mark: Mark::to_string(mark),
        }
    }

    /// Refuses names that the server would change, or keeps to itself.
    pub(crate) fn check(&self) -> Result<()> {
        let name = &self.database;
        let too_long = |name: &str, limit| name.chars().count() > limit;
        let why = if name.is_empty() || name.contains('\0') {
            "it is empty or holds a NUL"
        } else if too_long(name, MAX_NAME)
            || too_long(&self.active, MAX_USERNAME)
            || too_long(&self.standby, MAX_USERNAME)
        {
            "it is too long for MySQL"
        } else if RESERVED.contains(&name.to_lowercase().as_str()) || name.starts_with("#mysql50#") {
            "it is reserved"
        } else if name.ends_with(char::is_whitespace) || name.chars().any(|c| u32::from(c) > 0xffff) {
            "MySQL's names end with no white space and hold no character above U+FFFF"
        } else {
            return Ok(());
        };
        Err(DriverError::new(
            ErrorKind::Invalid,
            format!(
                "{name:?} cannot be the name of a database, since {why}: delete this Database and create it with another spec.name"
            ),
        ))
    }

    /// The accounts, in the order in which they are created.
    pub(crate) fn accounts(&self) -> [&str; 2] {
        [&self.active, &self.standby]
    }

    /// The name of the lock: of the database's name alone, so that it excludes runs of any cluster. A lock's name has
    /// 64 characters at most, and the server does not tell upper from lower case in it; a hash has neither trouble.
    pub(crate) fn lock(&self) -> String {
        format!("db_operator/{}", short_hash(&format!("db-operator/{}", self.database), 40))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str) -> Layout {
        Layout::of(&Target::new(name, Mark::new("c", "u"), MAX_USERNAME))
    }

    #[test]
    fn names_that_would_be_changed_or_are_reserved_are_refused() {
        for name in ["orders", "we`ird; --", &"n".repeat(48), "ünïcødé"] {
            layout(name).check().unwrap();
        }
        for name in
            ["", "a\0b", "mysql", "MySQL", "db_operator", "sys", "#mysql50#a", "a ", "a😀", &"n".repeat(65)]
        {
            assert_eq!(layout(name).check().unwrap_err().kind(), ErrorKind::Invalid, "{name}");
        }
    }

    #[test]
    fn the_lock_depends_on_the_name_and_fits() {
        assert_eq!(layout("orders").lock(), layout("orders").lock());
        assert_ne!(layout("orders").lock(), layout("ORDERS").lock());
        assert!(layout(&"n".repeat(64)).lock().len() <= 64);
    }
}
