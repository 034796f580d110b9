//! The statements that change something, and how names and values get into them; and the reading of statements that
//! somebody else has written.
//!
//! This is the one folder that makes SQL text from values: [`Sql`] can be built nowhere else, and takes
//! [`Ident`] and [`Literal`] only. What merely reads uses bind parameters.

pub(crate) mod data;
pub(crate) mod lexer;
pub(crate) mod statements;
mod text;

use std::fmt::Write as _;

use crate::parameters::{LocaleProvider, Parameters};
use crate::sql::text::Literal;

pub(crate) use crate::sql::text::{Ident, Sql, Verifier};

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
    NoExpiry,
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
            Self::NoExpiry => "VALID UNTIL 'infinity'",
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

/// Nobody can enter it at first: else anybody could, until PUBLIC's rights are revoked. template0 holds
/// nothing that somebody put into template1.
pub(crate) fn create_database(database: &Ident, owner: &Ident, parameters: &Parameters, version: i32) -> Sql {
    let mut text =
        format!("CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ALLOW_CONNECTIONS false");
    let mut option = |keyword: &str, value: &Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, " {keyword} {}", Literal::new(value));
        }
    };
    option("ENCODING", &parameters.encoding);
    option("LC_COLLATE", &parameters.collate);
    option("LC_CTYPE", &parameters.ctype);
    match parameters.locale_provider {
        None => option("LOCALE", &parameters.locale),
        Some(provider) => {
            let keyword = match provider {
                LocaleProvider::Libc => "LOCALE",
                LocaleProvider::Icu => "ICU_LOCALE",
                LocaleProvider::Builtin => "BUILTIN_LOCALE",
            };
            // Earlier versions have no other provider, and no word for it.
            if version >= 15 {
                option("LOCALE_PROVIDER", &Some(provider.name().to_owned()));
            }
            option(keyword, &parameters.locale);
        }
    }
    if let Some(limit) = parameters.connection_limit {
        let _ = write!(text, " CONNECTION LIMIT {limit}");
    }
    Sql(text)
}

pub(crate) fn comment_on_database(database: &Ident, mark: &str) -> Sql {
    Sql(format!("COMMENT ON DATABASE {database} IS {}", Literal::new(mark)))
}

pub(crate) fn own_database(database: &Ident, owner: &Ident) -> Sql {
    Sql(format!("ALTER DATABASE {database} OWNER TO {owner}"))
}

pub(crate) fn allow_connections(database: &Ident) -> Sql {
    Sql(format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"))
}

pub(crate) fn no_template(database: &Ident) -> Sql {
    Sql(format!("ALTER DATABASE {database} IS_TEMPLATE false"))
}

pub(crate) fn connection_limit(database: &Ident, limit: i32) -> Sql {
    Sql(format!("ALTER DATABASE {database} CONNECTION LIMIT {limit}"))
}

pub(crate) fn revoke_database_from_public(database: &Ident) -> Sql {
    Sql(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"))
}

pub(crate) fn grant_database(database: &Ident, group: &Ident) -> Sql {
    Sql(format!("GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {database} TO {group}"))
}

pub(crate) fn grant_connect(database: &Ident, role: &Ident) -> Sql {
    Sql(format!("GRANT CONNECT ON DATABASE {database} TO {role}"))
}

pub(crate) fn revoke_connect(database: &Ident, role: &Ident) -> Sql {
    Sql(format!("REVOKE CONNECT ON DATABASE {database} FROM {role}"))
}

/// FORCE ends the sessions that are open.
pub(crate) fn drop_database(database: &Ident) -> Sql {
    Sql(format!("DROP DATABASE {database} WITH (FORCE)"))
}

pub(crate) fn own_schema(schema: &Ident, owner: &Ident) -> Sql {
    Sql(format!("ALTER SCHEMA {schema} OWNER TO {owner}"))
}

pub(crate) fn create_schema(schema: &Ident, owner: &Ident) -> Sql {
    Sql(format!("CREATE SCHEMA {schema} AUTHORIZATION {owner}"))
}

/// Creates an extension, as the role `creator` if there is one.
pub(crate) fn create_extension(
    extension: &Ident,
    schema: Option<&Ident>,
    version: Option<&str>,
    creator: Option<&Ident>,
) -> Sql {
    let mut text = format!("CREATE EXTENSION {extension}");
    if let Some(schema) = schema {
        let _ = write!(text, " SCHEMA {schema}");
    }
    if let Some(version) = version {
        // The version is a name or a string in the grammar; as a string it needs no special case.
        let _ = write!(text, " VERSION {}", Literal::new(version));
    }
    text.push_str(" CASCADE");
    Sql(match creator {
        None => text,
        Some(creator) => format!("SET ROLE {creator};\n{text};\nRESET ROLE"),
    })
}

pub(crate) fn update_extension(extension: &Ident, version: &str) -> Sql {
    Sql(format!("ALTER EXTENSION {extension} UPDATE TO {}", Literal::new(version)))
}

pub(crate) fn move_extension(extension: &Ident, schema: &Ident) -> Sql {
    Sql(format!("ALTER EXTENSION {extension} SET SCHEMA {schema}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail on the spot")]
mod tests;
