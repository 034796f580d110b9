//! The parameters that are chosen for good when the database is created. Pure.

use driver_api::{DriverError, ErrorKind, Result};

use crate::catalog::DatabaseState;
use crate::parameters::{LocaleProvider, Parameters};
use crate::session::Administrator;

/// Parameters that differ and are chosen for good at creation.
pub(crate) fn differences(state: &DatabaseState, parameters: &Parameters) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |field: &str, wanted: Option<&str>, is: &str, same: &dyn Fn(&str) -> String| {
        if let Some(wanted) = wanted.filter(|wanted| same(wanted) != same(is)) {
            differences.push(format!("{field} is {is:?}, not {wanted:?}"));
        }
    };
    let exact = |text: &str| text.to_owned();
    compare("encoding", parameters.encoding.as_deref(), &state.encoding, &encoding);
    let provider = LocaleProvider::ALL.iter().find(|provider| provider.code() == state.provider);
    let provider = provider.map_or(state.provider.as_str(), |provider| provider.name());
    compare("localeProvider", parameters.locale_provider.map(LocaleProvider::name), provider, &exact);
    compare("collate", parameters.collate.as_deref(), &state.collate, &exact);
    compare("ctype", parameters.ctype.as_deref(), &state.ctype, &exact);
    let locale = parameters.locale.as_deref();
    match parameters.locale_provider.unwrap_or(LocaleProvider::Libc) {
        LocaleProvider::Libc => {
            compare("locale", locale, &state.collate, &exact);
            compare("locale", locale, &state.ctype, &exact);
        }
        LocaleProvider::Builtin => compare("locale", locale, state.locale.as_deref().unwrap_or(""), &exact),
        // The server rewrites ICU's names; only the plain ones can be compared.
        LocaleProvider::Icu => compare(
            "locale",
            locale.filter(|locale| is_plain_tag(locale)),
            state.locale.as_deref().unwrap_or(""),
            &|tag: &str| tag.replace('_', "-").to_lowercase(),
        ),
    }
    differences
}

/// The server takes `utf-8`, `UTF_8` and `unicode` for `UTF8`.
fn encoding(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_lowercase().as_str() {
        "unicode" => "utf8".to_owned(),
        "iso88591" => "latin1".to_owned(),
        "iso885915" => "latin9".to_owned(),
        other => other.to_owned(),
    }
}

/// Language, or language and region, such as `de` or `de-AT`.
fn is_plain_tag(locale: &str) -> bool {
    let mut parts = locale.split(['-', '_']);
    let letters = |part: &str| part.chars().all(|c| c.is_ascii_alphabetic());
    parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && letters(part))
        && parts.next().is_none_or(|part| part.len() == 2 && letters(part))
        && parts.next().is_none()
}

/// Refuses parameters that this server does not have.
pub(crate) fn check_version(parameters: &Parameters, administrator: &Administrator) -> Result<()> {
    match parameters.locale_provider {
        Some(provider) if provider.since() > administrator.version => Err(DriverError::new(
            ErrorKind::Unsupported,
            format!(
                "localeProvider {} needs PostgreSQL {}, and the server is {}: choose another",
                provider.name(),
                provider.since(),
                administrator.version
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(wanted: serde_json::Value) -> Vec<String> {
        let state = DatabaseState {
            encoding: "UTF8".to_owned(),
            collate: "en_US.UTF-8".to_owned(),
            ctype: "en_US.UTF-8".to_owned(),
            provider: "i".to_owned(),
            locale: Some("de-AT".to_owned()),
            ..DatabaseState::default()
        };
        differences(&state, &serde_json::from_value(wanted).unwrap())
    }

    #[test]
    fn other_spellings_of_the_same_do_not_differ() {
        for wanted in [
            json!({}),
            json!({"encoding": "utf-8"}),
            json!({"encoding": "Unicode"}),
            json!({"localeProvider": "icu", "locale": "de_at"}),
            // The server has rewritten it in a way that we do not know.
            json!({"localeProvider": "icu", "locale": "de-AT@collation=phonebook"}),
            json!({"collate": "en_US.UTF-8"}),
        ] {
            assert_eq!(found(wanted.clone()), Vec::<String>::new(), "{wanted}");
        }
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        for (wanted, text) in [
            (json!({"encoding": "LATIN1"}), "encoding is \"UTF8\", not \"LATIN1\""),
            (json!({"localeProvider": "libc"}), "localeProvider is \"icu\", not \"libc\""),
            (json!({"localeProvider": "icu", "locale": "de-CH"}), "locale is \"de-AT\", not \"de-CH\""),
            (json!({"ctype": "C"}), "ctype is \"en_US.UTF-8\", not \"C\""),
        ] {
            assert_eq!(found(wanted), [text]);
        }
    }
}
