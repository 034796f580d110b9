//! What the Secret with the login says. Pure.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::failure::{Failure, Result};
use api::Reason;
use api::SecretTemplate;
use driver::{Login, Server, TlsMode};

/// How many steps a template may take. A plain one takes about a dozen.
const TEMPLATE_FUEL: u64 = 50_000;

/// The key that says how a connection is to be secured.
const SSLMODE: &str = "sslmode";

/// The key with the authorities, under the name that mounts of Secrets use.
const CA: &str = "ca.crt";

/// The standard keys that a template may set: they are younger than templates that do.
const OVERRIDABLE: [&str; 2] = [SSLMODE, CA];

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
    keys.insert(SSLMODE.to_owned(), sslmode(server.tls.mode).to_owned());
    if let Some(ca) = &server.tls.ca {
        keys.insert("certificates".to_owned(), ca.clone());
        keys.insert(CA.to_owned(), ca.clone());
    }
    keys
}

/// The transport security that the driver itself uses, in the words of `connect.tls.mode`.
fn sslmode(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Disable => "disable",
        TlsMode::Require => "require",
        TlsMode::VerifyCa => "verify-ca",
        TlsMode::VerifyFull => "verify-full",
    }
}

/// The standard keys and those that `template` adds.
///
/// # Errors
///
/// `Invalid`, naming the key, if a template does not parse, uses an unknown variable, takes a standard
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
        if (keys.contains_key(key) || key == "certificates") && !OVERRIDABLE.contains(&key.as_str()) {
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
    use driver::ServerTls;
    use driver::secret::Secret;

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
    fn a_connection_is_to_be_secured_as_the_drivers_own_is() {
        for (mode, expected) in [
            (TlsMode::Disable, "disable"),
            (TlsMode::Require, "require"),
            (TlsMode::VerifyCa, "verify-ca"),
            (TlsMode::VerifyFull, "verify-full"),
        ] {
            let login = Login::new("orders_a", Secret::new("x"));
            for ca in [None, Some("a PEM".to_owned())] {
                let tls = ServerTls::new(mode, ca.clone());
                let server = Server::new("h", 5432, tls, Login::new("admin", Secret::new("y")));
                let keys = standard_keys("postgresql", &server, "orders", &login);
                assert_eq!(keys["sslmode"], expected);
                assert_eq!((keys.get("ca.crt"), keys.get("certificates")), (ca.as_ref(), ca.as_ref()));
                assert_eq!(keys["uri"], "postgresql://orders_a:x@h:5432/orders", "as it was handed out");
            }
        }
    }

    #[test]
    fn a_template_that_is_older_than_a_standard_key_keeps_its_own() {
        for (key, text) in [("sslmode", "prefer"), ("ca.crt", "of {{ host }}")] {
            let all = with_template(&keys("x", "h"), Some(&template(key, text))).unwrap();
            assert_eq!(all[key], text.replace("{{ host }}", "h"));
        }
        let error = with_template(&keys("x", "h"), Some(&template("certificates", "x"))).unwrap_err();
        assert_eq!(error.reason(), Reason::Invalid);
    }

    #[test]
    fn a_template_adds_keys() {
        let template = template(
            "jdbc-url",
            "jdbc:postgresql://{{ host }}:{{ port }}/{{ database }}?password={{ password | urlencode }}",
        );
        let all = with_template(&keys("p&q", "h"), Some(&template)).unwrap();
        assert_eq!(all["jdbc-url"], "jdbc:postgresql://h:5432/orders?password=p%26q");
        assert_eq!(all.len(), 10);
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
