//! Which roles there are, and whose is what.

use driver_api::{DriverError, ErrorKind, Mark, Result, Target};

/// Longest database name, in bytes: the server cuts names at 63 without an error, and the longest suffix
/// has four.
const MAX_NAME: usize = 59;

/// Names that belong to the server or to a cloud provider's own administration.
const RESERVED: [&str; 8] = [
    "postgres",
    "template0",
    "template1",
    "rdsadmin",
    "cloudsqladmin",
    "alloydbadmin",
    "azure_maintenance",
    "azure_sys",
];

/// The names of one database and its roles.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The database.
    pub(crate) database: String,
    /// Owns the database. Nobody logs in as it, and no tenant is a member: an owner could drop it.
    pub(crate) owner: String,
    /// Owns what is in the database. Nobody logs in as it; both logins act as it, so they share everything.
    pub(crate) group: String,
    /// The login that applications use.
    pub(crate) active: String,
    /// The login that waits for a rotation.
    pub(crate) standby: String,
    /// The text that marks a role or a database as ours.
    pub(crate) mark: String,
}

impl Layout {
    pub(crate) fn of(target: &Target) -> Self {
        let Target { name, mark, active_login, standby_login, .. } = target;
        Self {
            database: name.clone(),
            owner: format!("{name}_own"),
            group: format!("{name}_rw"),
            active: active_login.clone(),
            standby: standby_login.clone(),
            mark: Mark::to_string(mark),
        }
    }

    /// Refuses names that the server would cut, or keeps to itself.
    pub(crate) fn check(&self) -> Result<()> {
        let name = &self.database;
        let why = if name.is_empty() || name.contains('\0') {
            "it is empty or holds a NUL"
        } else if name.len() > MAX_NAME || self.active.len() > 63 || self.standby.len() > 63 {
            "it is too long: PostgreSQL would cut it, and another database might get the same name"
        } else if RESERVED.contains(&name.as_str()) || name.starts_with("pg_") {
            "it is reserved"
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

    /// The roles, in the order in which they are created. They are dropped in the opposite order.
    pub(crate) fn roles(&self) -> [&str; 4] {
        [&self.owner, &self.group, &self.active, &self.standby]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str) -> Layout {
        Layout::of(&Target::new(name, Mark::new("c", "u"), 63))
    }

    #[test]
    fn names_that_would_be_cut_or_are_reserved_are_refused() {
        for name in ["orders", "we\"ird; --", &"n".repeat(48)] {
            layout(name).check().unwrap();
        }
        for name in ["", "a\0b", "postgres", "template1", "rdsadmin", "pg_orders", &"n".repeat(60)] {
            assert_eq!(layout(name).check().unwrap_err().kind(), ErrorKind::Invalid, "{name}");
        }
    }

    #[test]
    fn databases_do_not_share_roles() {
        let names = ["orders", "orders_own", "orders_rw", "orders_a", "orders_a_b"];
        let layouts: Vec<_> = names.iter().map(|name| layout(name)).collect();
        let roles: std::collections::BTreeSet<_> = layouts.iter().flat_map(Layout::roles).collect();
        assert_eq!(roles.len(), 4 * names.len());
    }
}
