//! What the Secret with the login says. Pure.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::failure::{Failure, Result};
use api::Reason;
use api::SecretTemplate;
use driver::{Login, Server};

/// How many steps a template may take. A plain one takes about a dozen.
const TEMPLATE_FUEL: u64 = 50_000;

/// What RFC 3986 leaves unescaped everywhere.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The standard keys, after the Service Binding specification 1.1, and `database`.
pub(crate) fn standard_keys(
    engine: &str,
    server: &Server,
    database: &str,
    login: &Login,
) -> BTreeMap<String, String> {
    let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let uri = format!(
        "{engine}://{}:{}@{server}/{}",
        encode(&login.username),
        encode(login.password.expose()),
        encode(database),
    );
    let mut keys = BTreeMap::from([
        ("type".to_owned(), engine.to_owned()),
        ("provider".to_owned(), "db-operator".to_owned()),
        ("host".to_owned(), server.host.clone()),
        ("port".to_owned(), server.port.to_string()),
        ("database".to_owned(), database.to_owned()),
        ("username".to_owned(), login.username.clone()),
        ("password".to_owned(), login.password.expose().to_owned()),
        ("uri".to_owned(), uri),
    ]);
    if let Some(ca) = &server.tls.ca {
        keys.insert("certificates".to_owned(), ca.clone());
    }
    keys
}

/// The standard keys and those that `template` adds.
///
/// # Errors
///
/// `Invalid`, naming the key, where a template does not parse, uses an unknown variable, takes a standard
/// key, or runs for too long.
pub(crate) fn with_template(
    keys: &BTreeMap<String, String>,
    template: Option<&SecretTemplate>,
) -> Result<BTreeMap<String, String>> {
    let mut all = keys.clone();
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for (key, text) in template.iter().flat_map(|template| &template.data) {
        let invalid = |why: String| {
            Failure::new(
                Reason::Invalid,
                format!("spec.secretTemplate.data[{key:?}] {why}: correct the spec"),
            )
        };
        // What the API server takes as a key of a Secret.
        let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.is_empty() || key.len() > 253 || !key.chars().all(is_key) {
            return Err(invalid("is not a name for a key of a Secret".to_owned()));
        }
        if keys.contains_key(key) || key == "certificates" {
            return Err(invalid("is a standard key, which a template cannot set".to_owned()));
        }
        // The kind of error, not its text: that could quote a value.
        let rendered = environment
            .render_str(text, keys)
            .map_err(|error| invalid(format!("does not render: {}", error.kind())))?;
        all.insert(key.clone(), rendered);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driver::secret::Secret;
    use driver::{ServerTls, TlsMode};

    fn keys(password: &str, host: &str) -> BTreeMap<String, String> {
        let tls = ServerTls::new(TlsMode::Require, None);
        let admin = Login::new("admin", Secret::new("admin's"));
        let server = Server::new(host, 5432, tls, admin);
        standard_keys("postgresql", &server, "orders", &Login::new("orders_a", Secret::new(password)))
    }

    fn template(key: &str, text: &str) -> SecretTemplate {
        SecretTemplate {
            data: BTreeMap::from([(key.to_owned(), text.to_owned())]),
            ..SecretTemplate::default()
        }
    }

    #[test]
    fn the_uri_is_percent_encoded() {
        assert_eq!(
            keys("p@ss/wörd", "db.example.com")["uri"],
            "postgresql://orders_a:p%40ss%2Fw%C3%B6rd@db.example.com:5432/orders"
        );
        assert_eq!(keys("x", "fd00::1")["uri"], "postgresql://orders_a:x@[fd00::1]:5432/orders");
    }

    #[test]
    fn a_template_adds_keys() {
        let template = template(
            "jdbc-url",
            "jdbc:postgresql://{{ host }}:{{ port }}/{{ database }}?password={{ password | urlencode }}",
        );
        let all = with_template(&keys("p&q", "h"), Some(&template)).unwrap();
        assert_eq!(all["jdbc-url"], "jdbc:postgresql://h:5432/orders?password=p%26q");
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn a_bad_template_is_refused_by_its_key() {
        let endless = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        for (key, text) in
            [("dsn", "{{ hots }}"), ("dsn", "{{ host"), ("uri", "x"), ("d s n", "x"), ("dsn", endless)]
        {
            let error = with_template(&keys("hunter2", "h"), Some(&template(key, text))).unwrap_err();
            assert_eq!(error.reason(), Reason::Invalid);
            let message = error.chain();
            assert!(message.contains(&format!("data[\"{key}\"]")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
