//! What is on the server, read from its catalogs: the database and its roles, as the maintenance database shows them,
//! and which of them are ours. It compares nothing and changes nothing.

pub(crate) mod inside;

use driver_api::Result;
use tokio_postgres::types::Type;

use crate::connect::{Bind, Connection};
use crate::layout::Layout;
use crate::session::Administrator;

/// What has one of our names, ours or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerState {
    /// The database, if there is one of that name.
    pub(crate) database: Option<DatabaseState>,
    /// Those of the four roles that exist, ours or not.
    pub(crate) roles: Vec<RoleState>,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "it mirrors the catalog")]
pub(crate) struct DatabaseState {
    pub(crate) owner: String,
    pub(crate) comment: Option<String>,
    /// Not left behind by an interrupted DROP DATABASE.
    pub(crate) valid: bool,
    pub(crate) allows_connections: bool,
    pub(crate) is_template: bool,
    pub(crate) connection_limit: i32,
    pub(crate) encoding: String,
    pub(crate) collate: String,
    pub(crate) ctype: String,
    pub(crate) provider: String,
    pub(crate) locale: Option<String>,
    /// PUBLIC has any right on it.
    pub(crate) public_may_enter: bool,
    /// What the group role may do, such as `CONNECT`.
    pub(crate) group_privileges: Vec<String>,
    /// Logins that have a setting of `role` for this database, which wins over ours.
    pub(crate) overriding_logins: Vec<String>,
    /// How many sessions are open.
    pub(crate) sessions: i32,
}

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "it mirrors the catalog")]
pub(crate) struct RoleState {
    pub(crate) name: String,
    pub(crate) comment: Option<String>,
    pub(crate) may_log_in: bool,
    pub(crate) superuser: bool,
    pub(crate) createdb: bool,
    pub(crate) createrole: bool,
    pub(crate) replication: bool,
    pub(crate) bypassrls: bool,
    pub(crate) inherit: bool,
    pub(crate) connection_limit: i32,
    /// Its password ends at some time.
    pub(crate) expires: bool,
    /// Settings such as `role=orders_rw`.
    pub(crate) settings: Vec<String>,
    /// It is a member of the group, with its rights, and may act as it.
    pub(crate) in_group: bool,
    /// Who made it a member of the owner role, which should be nobody.
    pub(crate) owner_granted_by: Vec<String>,
    /// The administrator has its rights and may act as it.
    pub(crate) administrator_in: bool,
}

// `to_jsonb(row)->>column` reads columns that not every version has.
const DATABASE: &str = "SELECT pg_get_userbyid(d.datdba)::text, shobj_description(d.oid, 'pg_database'), \
    d.datconnlimit <> -2, d.datallowconn, d.datistemplate, d.datconnlimit, \
    pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text, \
    coalesce(to_jsonb(d)->>'datlocprovider', 'c'), \
    coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'), \
    EXISTS (SELECT FROM aclexplode(acl.list) a WHERE a.grantee = 0), \
    ARRAY(SELECT a.privilege_type FROM aclexplode(acl.list) a JOIN pg_roles g ON g.oid = a.grantee \
          WHERE g.rolname = $2), \
    ARRAY(SELECT r.rolname::text FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole \
          WHERE s.setdatabase = d.oid AND r.rolname = ANY($3) \
          AND EXISTS (SELECT FROM unnest(s.setconfig) c WHERE c LIKE 'role=%')), \
    pg_stat_get_db_numbackends(d.oid) \
    FROM pg_database d, LATERAL (SELECT coalesce(d.datacl, acldefault('d', d.datdba))) acl(list) \
    WHERE d.datname = $1";

const ROLES: &str = "SELECT r.rolname::text, shobj_description(r.oid, 'pg_authid'), r.rolcanlogin, \
    r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolbypassrls, r.rolinherit, \
    r.rolconnlimit, coalesce(isfinite(r.rolvaliduntil), false), coalesce(r.rolconfig, '{}'), \
    EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
            WHERE m.member = r.oid AND g.rolname = $2 \
            AND coalesce((to_jsonb(m)->>'inherit_option')::bool, true) \
            AND coalesce((to_jsonb(m)->>'set_option')::bool, true)), \
    ARRAY(SELECT pg_get_userbyid(m.grantor)::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
          WHERE m.member = r.oid AND g.rolname = $3), \
    pg_has_role(r.oid, 'USAGE') AND pg_has_role(r.oid, $4) \
    FROM pg_roles r WHERE r.rolname = ANY($1)";

/// Reads the database and its roles, in one round trip.
pub(crate) async fn read(
    connection: &Connection,
    layout: &Layout,
    administrator: &Administrator,
) -> Result<ServerState> {
    let doing = "cannot look at the server";
    let roles = layout.roles();
    let roles = roles.as_slice();
    let logins = [layout.active.as_str(), layout.standby.as_str()];
    let logins = logins.as_slice();
    // The right to act as a role has a name of its own from 16 on.
    let acting = if administrator.version >= 16 { "SET" } else { "MEMBER" };
    let database_binds: [Bind<'_>; 3] =
        [(&layout.database, Type::TEXT), (&layout.group, Type::TEXT), (&logins, Type::TEXT_ARRAY)];
    let role_binds: [Bind<'_>; 4] = [
        (&roles, Type::TEXT_ARRAY),
        (&layout.group, Type::TEXT),
        (&layout.owner, Type::TEXT),
        (&acting, Type::TEXT),
    ];
    let (database_rows, role_rows) = tokio::try_join!(
        connection.rows(DATABASE, &database_binds, doing),
        connection.rows(ROLES, &role_binds, doing)
    )?;
    let mut state = ServerState::default();
    if let Some(row) = database_rows.first() {
        state.database = Some(DatabaseState {
            owner: connection.cell(row, 0)?,
            comment: connection.cell(row, 1)?,
            valid: connection.cell(row, 2)?,
            allows_connections: connection.cell(row, 3)?,
            is_template: connection.cell(row, 4)?,
            connection_limit: connection.cell(row, 5)?,
            encoding: connection.cell(row, 6)?,
            collate: connection.cell(row, 7)?,
            ctype: connection.cell(row, 8)?,
            provider: connection.cell(row, 9)?,
            locale: connection.cell(row, 10)?,
            public_may_enter: connection.cell(row, 11)?,
            group_privileges: connection.cell(row, 12)?,
            overriding_logins: connection.cell(row, 13)?,
            sessions: connection.cell(row, 14)?,
        });
    }
    for row in &role_rows {
        state.roles.push(RoleState {
            name: connection.cell(row, 0)?,
            comment: connection.cell(row, 1)?,
            may_log_in: connection.cell(row, 2)?,
            superuser: connection.cell(row, 3)?,
            createdb: connection.cell(row, 4)?,
            createrole: connection.cell(row, 5)?,
            replication: connection.cell(row, 6)?,
            bypassrls: connection.cell(row, 7)?,
            inherit: connection.cell(row, 8)?,
            connection_limit: connection.cell(row, 9)?,
            expires: connection.cell(row, 10)?,
            settings: connection.cell(row, 11)?,
            in_group: connection.cell(row, 12)?,
            owner_granted_by: connection.cell(row, 13)?,
            administrator_in: connection.cell(row, 14)?,
        });
    }
    Ok(state)
}

impl ServerState {
    /// The role of that name, ours or not.
    pub(crate) fn role(&self, name: &str) -> Option<&RoleState> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// The role of that name, if it carries our mark.
    pub(crate) fn our_role(&self, name: &str, layout: &Layout) -> Option<&RoleState> {
        self.role(name).filter(|role| role.comment.as_ref() == Some(&layout.mark))
    }

    /// The database, if it is ours: it carries our mark; or it carries none, belongs to the owner role, which
    /// does, and takes no sessions. The latter is what a run leaves that dies between CREATE DATABASE
    /// and COMMENT, which cannot be one transaction: the one that marks it also opens it. Nobody but us can
    /// make it so, since nobody else is in that role. To take the mark away from a database that is in use is a
    /// decision of somebody's.
    pub(crate) fn our_database(&self, layout: &Layout) -> Option<&DatabaseState> {
        self.database.as_ref().filter(|database| match &database.comment {
            Some(comment) => *comment == layout.mark,
            None => {
                database.owner == layout.owner
                    && !database.allows_connections
                    && self.our_role(&layout.owner, layout).is_some()
            }
        })
    }

    /// What is there under our names and is not ours, for a person: the tenant, who may not be meant to read
    /// what others wrote on their objects. That goes to the log.
    pub(crate) fn foreign(&self, layout: &Layout) -> Vec<String> {
        let database = self.database.iter().filter(|_| self.our_database(layout).is_none()).map(|database| {
            let mark = mark_of(&layout.database, database.comment.as_deref());
            format!("database {} (owner {}, {mark})", layout.database, database.owner)
        });
        let roles = self
            .roles
            .iter()
            .filter(|role| self.our_role(&role.name, layout).is_none())
            .map(|role| format!("role {} ({})", role.name, mark_of(&role.name, role.comment.as_deref())));
        database.chain(roles).collect()
    }

    /// What is there and ours, for a person.
    pub(crate) fn ours(&self, layout: &Layout) -> Vec<String> {
        let database = self.our_database(layout).map(|_| format!("database {}", layout.database));
        let roles = self.roles.iter().filter(|role| self.our_role(&role.name, layout).is_some());
        database.into_iter().chain(roles.map(|role| format!("role {}", role.name))).collect()
    }
}

/// Says of something foreign whether it is marked.
fn mark_of(name: &str, comment: Option<&str>) -> &'static str {
    let Some(comment) = comment else {
        return "without a mark";
    };
    tracing::debug!(name, comment, "another mark");
    "with another mark"
}

#[cfg(test)]
mod tests {
    use driver_api::{Mark, Target};

    use super::*;

    fn state(layout: &Layout, comment: Option<&str>, allows_connections: bool) -> ServerState {
        let owner = RoleState {
            name: layout.owner.clone(),
            comment: Some(layout.mark.clone()),
            ..RoleState::default()
        };
        let database = DatabaseState {
            owner: layout.owner.clone(),
            comment: comment.map(str::to_owned),
            allows_connections,
            ..DatabaseState::default()
        };
        ServerState { database: Some(database), roles: vec![owner] }
    }

    #[test]
    fn an_unmarked_database_is_ours_only_before_it_takes_sessions() {
        let layout = Layout::of(&Target::new("orders", Mark::new("c", "u"), 63));
        let is_ours = |state: &ServerState| state.our_database(&layout).is_some();
        assert!(is_ours(&state(&layout, Some(&layout.mark), true)));
        assert!(is_ours(&state(&layout, None, false)));
        assert!(!is_ours(&state(&layout, None, true)));
        assert!(!is_ours(&state(&layout, Some("another"), false)));
        let mut unmarked_owner = state(&layout, None, false);
        unmarked_owner.roles[0].comment = None;
        assert!(!is_ours(&unmarked_owner));
    }

    #[test]
    fn the_text_of_a_foreign_comment_stays_out() {
        let layout = Layout::of(&Target::new("orders", Mark::new("c", "u"), 63));
        let another = state(&layout, Some("the secret plan"), true).foreign(&layout);
        assert_eq!(another, ["database orders (owner orders_own, with another mark)"]);
        let none = state(&layout, None, true).foreign(&layout);
        assert_eq!(none, ["database orders (owner orders_own, without a mark)"]);
    }
}
