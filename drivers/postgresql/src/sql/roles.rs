//! Roles: made, put right, dropped.

use crate::sql::text::{Ident, Literal, Sql, Verifier};

/// Whether anybody may log in as a role.
#[derive(Clone, Copy)]
pub(crate) enum MayLogIn<'a> {
    /// Nobody.
    No,
    /// With the password of that verifier.
    With(Option<&'a Verifier>),
}

pub(crate) fn create_role(role: &Ident, may_log_in: MayLogIn<'_>) -> Sql {
    Sql(match may_log_in {
        MayLogIn::No | MayLogIn::With(None) => format!("CREATE ROLE {role} NOLOGIN"),
        MayLogIn::With(Some(verifier)) => {
            format!("CREATE ROLE {role} LOGIN PASSWORD {}", Literal::new(&verifier.0))
        }
    })
}

pub(crate) fn comment_on_role(role: &Ident, mark: &str) -> Sql {
    Sql(format!("COMMENT ON ROLE {role} IS {}", Literal::new(mark)))
}

/// A role's attribute that is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Login,
    NoLogin,
    NoSuperuser,
    NoCreatedb,
    NoCreaterole,
    NoReplication,
    NoBypassrls,
    Inherit,
    NoConnectionLimit,
    ValidForEver,
}

impl Attribute {
    fn keyword(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::NoLogin => "NOLOGIN",
            Self::NoSuperuser => "NOSUPERUSER",
            Self::NoCreatedb => "NOCREATEDB",
            Self::NoCreaterole => "NOCREATEROLE",
            Self::NoReplication => "NOREPLICATION",
            Self::NoBypassrls => "NOBYPASSRLS",
            Self::Inherit => "INHERIT",
            Self::NoConnectionLimit => "CONNECTION LIMIT -1",
            Self::ValidForEver => "VALID UNTIL 'infinity'",
        }
    }
}

pub(crate) fn alter_role(role: &Ident, attribute: Attribute) -> Sql {
    Sql(format!("ALTER ROLE {role} {}", attribute.keyword()))
}

pub(crate) fn set_password(role: &Ident, verifier: &Verifier) -> Sql {
    Sql(format!("ALTER ROLE {role} PASSWORD {}", Literal::new(&verifier.0)))
}

/// Makes every session of `login` act as `group` from its start.
pub(crate) fn act_as(login: &Ident, group: &str) -> Sql {
    Sql(format!("ALTER ROLE {login} SET role TO {}", Literal::new(group)))
}

/// Takes away what a tenant may have set for itself in one database, which would win over [`act_as`].
pub(crate) fn act_as_in_database(login: &Ident, database: &Ident) -> Sql {
    Sql(format!("ALTER ROLE {login} IN DATABASE {database} RESET role"))
}

pub(crate) fn grant_role(group: &Ident, member: &Ident, options: bool) -> Sql {
    let options = if options { " WITH INHERIT TRUE, SET TRUE" } else { "" };
    Sql(format!("GRANT {group} TO {member}{options}"))
}

/// Makes the administrator, who is no superuser, a member. From PostgreSQL 16 on, the creator of a role may
/// grant it, and neither acts as it nor has its rights until it does.
pub(crate) fn grant_role_to_administrator(role: &Ident, options: bool) -> Sql {
    let options = if options { " WITH INHERIT TRUE, SET TRUE" } else { "" };
    Sql(format!("GRANT {role} TO CURRENT_USER{options}"))
}

pub(crate) fn revoke_role(role: &Ident, member: &Ident, granted_by: Option<&Ident>) -> Sql {
    let by = granted_by.map(|grantor| format!(" GRANTED BY {grantor}")).unwrap_or_default();
    Sql(format!("REVOKE {role} FROM {member}{by}"))
}

pub(crate) fn drop_role(role: &Ident) -> Sql {
    Sql(format!("DROP ROLE {role}"))
}
