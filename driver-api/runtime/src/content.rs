//! What the Secret with the login says. Pure.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};

use crate::failure::{Failure, Result};
use api::Reason;
use api::SecretTemplate;
use driver::{Login, Server};

/// How many steps a template may take. A plain one takes about a dozen.
const TEMPLATE_FUEL: u64 = 50_000;

/// The key that says how a connection is to be secured.
const SSLMODE: &str = "sslmode";

/// The key with the authorities, under the name that mounts of Secrets use.
const CA: &str = "ca.crt";

/// The same under the name of the Service Binding specification.
const CERTIFICATES: &str = "certificates";

/// The standard keys that a template may set: they are younger than templates that do.
const OVERRIDABLE: [&str; 2] = [SSLMODE, CA];

/// The keys of every Secret, after the Service Binding specification 1.1, and those that the driver says of its `engine`.
///
/// # Errors
///
/// `Internal` if the driver says what is not its to say.
pub(crate) fn standard_keys(
    engine: &str,
    server: &Server,
    login: &Login,
    of_engine: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let mut keys = BTreeMap::from([
        ("type".to_owned(), engine.to_owned()),
        ("provider".to_owned(), "db-operator".to_owned()),
        ("host".to_owned(), server.host.clone()),
        ("port".to_owned(), server.port.to_string()),
        ("username".to_owned(), login.username.clone()),
        ("password".to_owned(), login.password.expose().to_owned()),
    ]);
    for (key, value) in of_engine {
        if keys.contains_key(&key) || [CA, CERTIFICATES].contains(&key.as_str()) || !is_key(&key) {
            return Err(Failure::new(
                Reason::Internal,
                format!(
                    "the driver's binding has {key:?}, which is not its to set: this is a defect of the driver"
                ),
            ));
        }
        keys.insert(key, value);
    }
    if let Some(ca) = &server.tls.ca {
        keys.insert(CERTIFICATES.to_owned(), ca.clone());
        keys.insert(CA.to_owned(), ca.clone());
    }
    Ok(keys)
}

/// What the API server takes as a key of a Secret.
fn is_key(key: &str) -> bool {
    let is_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !key.is_empty() && key.len() <= 253 && key.chars().all(is_of_it)
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
        if !is_key(key) {
            return Err(invalid("is not a name for a key of a Secret".to_owned()));
        }
        if (keys.contains_key(key) || key == CERTIFICATES) && !OVERRIDABLE.contains(&key.as_str()) {
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
    use driver::{ServerTls, TlsMode, binding};

    fn server(host: &str) -> Server {
        let admin = Login::new("admin", Secret::new("admin's"));
        Server::new(host, 5432, ServerTls::new(TlsMode::Require, None), admin)
    }

    fn keys(password: &str, host: &str) -> BTreeMap<String, String> {
        let (server, login) = (server(host), Login::new("orders_a", Secret::new(password)));
        let of_engine = binding::standard("postgresql", &server, "orders", &login);
        standard_keys("postgresql", &server, &login, of_engine).unwrap()
    }

    fn template(key: &str, text: &str) -> SecretTemplate {
        SecretTemplate {
            data: BTreeMap::from([(key.to_owned(), text.to_owned())]),
            ..SecretTemplate::default()
        }
    }

    #[test]
    fn the_authorities_stand_under_both_names_if_they_are_given() {
        let login = Login::new("orders_a", Secret::new("x"));
        for ca in [None, Some("a PEM".to_owned())] {
            let tls = ServerTls::new(TlsMode::VerifyCa, ca.clone());
            let server = Server::new("h", 5432, tls, Login::new("admin", Secret::new("y")));
            let keys = standard_keys("postgresql", &server, &login, BTreeMap::new()).unwrap();
            assert_eq!((keys.get("ca.crt"), keys.get("certificates")), (ca.as_ref(), ca.as_ref()));
        }
    }

    #[test]
    fn a_driver_that_sets_what_is_not_its_own_is_refused_by_the_key() {
        let server = server("h");
        let login = Login::new("orders_a", Secret::new("hunter2"));
        for key in
            ["type", "provider", "host", "port", "username", "password", "ca.crt", "certificates", "a b", ""]
        {
            let of_engine = BTreeMap::from([(key.to_owned(), "hunter2".to_owned())]);
            let error = standard_keys("redis", &server, &login, of_engine).unwrap_err();
            assert_eq!(error.reason(), Reason::Internal);
            assert!(error.chain().contains(&format!("{key:?}")), "{}", error.chain());
            assert!(!error.chain().contains("hunter2"), "{}", error.chain());
        }
        let of_engine = BTreeMap::from([("prefix".to_owned(), "orders:".to_owned())]);
        let keys = standard_keys("redis", &server, &login, of_engine).unwrap();
        assert_eq!((keys["prefix"].as_str(), keys.get("uri")), ("orders:", None));
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
