//! The database, its rights, and the schemas and extensions inside it.

use std::fmt::Write as _;

use crate::parameters::{LocaleProvider, Parameters};
use crate::sql::text::{Ident, Literal, Sql};

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

/// Creates an extension, as the role `creator` where there is one.
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
