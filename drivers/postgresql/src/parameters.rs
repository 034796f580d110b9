//! `spec.parameters` of a PostgreSQL database.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// Longest name that the server does not cut, in bytes.
const MAX_NAME: usize = 63;

/// `spec.parameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
#[non_exhaustive]
pub struct Parameters {
    /// Extensions that must be there. Removing one from the list leaves it installed.
    pub extensions: Vec<Extension>,
    /// Schemas that must be there, owned by the group role. Removing one from the list leaves it there.
    pub schemas: Vec<String>,
    /// Character set, such as `UTF8`. Only at creation.
    pub encoding: Option<String>,
    /// Who sorts and compares text. Only at creation.
    pub locale_provider: Option<LocaleProvider>,
    /// Locale of that provider. Only at creation.
    pub locale: Option<String>,
    /// `LC_COLLATE`. Only at creation.
    pub collate: Option<String>,
    /// `LC_CTYPE`. Only at creation.
    pub ctype: Option<String>,
    /// How many sessions the database takes.
    pub connection_limit: Option<i32>,
}

/// Who sorts and compares text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocaleProvider {
    /// The operating system's C library.
    Libc,
    /// ICU, from PostgreSQL 15 on.
    Icu,
    /// PostgreSQL itself, from PostgreSQL 17 on.
    Builtin,
}

impl LocaleProvider {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Libc, Self::Icu, Self::Builtin];

    /// How people and statements spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Libc => "libc",
            Self::Icu => "icu",
            Self::Builtin => "builtin",
        }
    }

    /// How the catalog spells it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Libc => "c",
            Self::Icu => "i",
            Self::Builtin => "b",
        }
    }

    /// The first major version that has it.
    pub(crate) fn since(self) -> i32 {
        match self {
            Self::Libc => 13,
            Self::Icu => 15,
            Self::Builtin => 17,
        }
    }
}

/// An extension: its name alone, or with the schema and the version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// Name, such as `pgcrypto`.
    pub name: String,
    /// Schema of its objects, if it lets one choose. The default is `public`.
    pub schema: Option<String>,
    /// Version. By default the server's own at creation, and none is enforced later.
    pub version: Option<String>,
}

/// What people write, before the checks.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    extensions: Vec<Extension>,
    schemas: Vec<String>,
    encoding: Option<String>,
    locale_provider: Option<LocaleProvider>,
    locale: Option<String>,
    collate: Option<String>,
    ctype: Option<String>,
    connection_limit: Option<i32>,
}

impl TryFrom<Written> for Parameters {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            extensions,
            schemas,
            encoding,
            locale_provider,
            locale,
            collate,
            ctype,
            connection_limit,
        } = written;
        let mut seen = BTreeSet::new();
        for Extension { name, schema, version } in &extensions {
            check_name("extensions", name)?;
            if let Some(schema) = schema {
                check_name("extensions: schema", schema)?;
            }
            check_value("extensions: version", version.as_deref())?;
            if !seen.insert(name.as_str()) {
                return Err(format!("extensions: {name:?} is there twice"));
            }
        }
        let mut seen = BTreeSet::new();
        for schema in &schemas {
            check_name("schemas", schema)?;
            if schema.starts_with("pg_") || schema == "information_schema" {
                return Err(format!("schemas: {schema:?} is reserved"));
            }
            if !seen.insert(schema.as_str()) {
                return Err(format!("schemas: {schema:?} is there twice"));
            }
        }
        for (field, value) in
            [("encoding", &encoding), ("locale", &locale), ("collate", &collate), ("ctype", &ctype)]
        {
            check_value(field, value.as_deref())?;
        }
        if matches!(locale_provider, Some(LocaleProvider::Icu | LocaleProvider::Builtin)) && locale.is_none()
        {
            return Err("localeProvider: set locale too, which icu and builtin need".to_owned());
        }
        if matches!(locale_provider, None | Some(LocaleProvider::Libc))
            && locale.is_some()
            && (collate.is_some() || ctype.is_some())
        {
            return Err("locale: set it, or collate and ctype, not both".to_owned());
        }
        if connection_limit.is_some_and(|limit| limit < 1) {
            return Err("connectionLimit: must be 1 or more; leave it out for no limit".to_owned());
        }
        Ok(Self { extensions, schemas, encoding, locale_provider, locale, collate, ctype, connection_limit })
    }
}

fn check_name(field: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return Err(format!("{field}: {name:?} must have 1 to {MAX_NAME} bytes"));
    }
    Ok(())
}

fn check_value(field: &str, value: Option<&str>) -> Result<(), String> {
    if value.is_some_and(|value| value.is_empty() || value.contains('\0')) {
        return Err(format!("{field}: must not be empty"));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Extension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            name: String,
            schema: Option<String>,
            version: Option<String>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Extension;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an extension, or an object with its name, schema and version")
            }

            fn visit_str<E>(self, name: &str) -> Result<Extension, E> {
                Ok(Extension { name: name.to_owned(), schema: None, version: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Extension, A::Error> {
                let Full { name, schema, version } = Full::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Extension { name, schema, version })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Result<Parameters, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_required() {
        assert_eq!(parse(json!({})), Ok(Parameters::default()));
    }

    #[test]
    fn an_extension_is_a_name_or_an_object() {
        let parameters =
            parse(json!({"extensions": ["pgcrypto", {"name": "hstore", "schema": "ext", "version": "1.8"}]}))
                .unwrap();
        let names: Vec<_> = parameters.extensions.iter().map(|extension| extension.name.as_str()).collect();
        assert_eq!(names, ["pgcrypto", "hstore"]);
        assert_eq!(parameters.extensions[1].schema.as_deref(), Some("ext"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (value, named) in [
            (json!({"extension": ["x"]}), "`extension`"),
            (json!({"extensions": [{"name": "x", "shcema": "y"}]}), "`shcema`"),
            (json!({"extensions": [7]}), "the name of an extension"),
            (json!({"extensions": ["x", "x"]}), "\"x\" is there twice"),
            (json!({"extensions": [""]}), "extensions"),
            (json!({"schemas": ["pg_own"]}), "\"pg_own\" is reserved"),
            (json!({"schemas": ["a", "a"]}), "twice"),
            (json!({"schemas": ["n".repeat(64)]}), "63 bytes"),
            (json!({"encoding": ""}), "encoding"),
            (json!({"localeProvider": "musl"}), "`musl`"),
            (json!({"localeProvider": "icu"}), "locale"),
            (json!({"locale": "C", "collate": "C"}), "not both"),
            (json!({"connectionLimit": 0}), "connectionLimit"),
            (json!({"connectionLimit": "7"}), "\"7\""),
        ] {
            let error = parse(value.clone()).unwrap_err();
            assert!(error.contains(named), "{value}: {error}");
        }
    }
}
