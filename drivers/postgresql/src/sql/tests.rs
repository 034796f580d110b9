//! Whatever a name or a value holds, it stays a name or a value.

use driver_api::Secret;

use crate::parameters::Parameters;
use crate::sql::text::{Ident, Literal, Verifier};
use crate::sql::{MayLogIn, create_database, create_role, set_password};

/// Reads one quoted token as the server does, and returns what it stands for and what follows it.
fn unquote(text: &str, quote: char) -> (String, String) {
    let text = text.trim_start();
    let (escapes, body) = match text.strip_prefix('E') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut characters = body.chars().peekable();
    assert_eq!(characters.next(), Some(quote), "{text}");
    let mut value = String::new();
    while let Some(c) = characters.next() {
        if c == quote {
            if characters.peek() != Some(&quote) {
                return (value, characters.collect());
            }
            characters.next();
        } else if c == '\\' && escapes {
            assert_eq!(characters.next(), Some('\\'), "only the backslash is escaped: {text}");
        } else {
            assert!(c != '\\' || quote == '"', "a backslash outside E'': {text}");
        }
        value.push(c);
    }
    panic!("{text} does not end");
}

/// Every string of up to four pieces that mean something to the lexer.
fn hostile() -> Vec<String> {
    let pieces = ["'", "\"", "\\", ";", "--", "/*", "$$", "\n", "é", "a", "%", "E'", "\u{2019}"];
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..4 {
        last =
            last.iter().flat_map(|begin| pieces.iter().map(move |piece| format!("{begin}{piece}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn identifiers_are_one_token_that_stands_for_the_name() {
    for name in hostile() {
        let (value, rest) = unquote(&Ident::new(&name).to_string(), '"');
        assert_eq!((value.as_str(), rest.as_str()), (name.as_str(), ""));
    }
}

#[test]
fn literals_are_one_token_that_stands_for_the_text() {
    for text in hostile() {
        let (value, rest) = unquote(&Literal::new(&text).to_string(), '\'');
        assert_eq!((value.as_str(), rest.as_str()), (text.as_str(), ""));
    }
}

#[test]
fn a_password_is_sent_as_a_verifier() {
    let verifier = Verifier::of(&Secret::new("correct horse"));
    let sql = create_role(&Ident::new("orders_a"), MayLogIn::With(Some(&verifier)));
    assert!(sql.text().contains("PASSWORD 'SCRAM-SHA-256$4096:"), "{}", sql.text());
    assert!(!sql.text().contains("correct horse"));
    assert!(!set_password(&Ident::new("orders_a"), &verifier).text().contains("correct horse"));
}

#[test]
fn a_database_is_created_shut_and_from_template0() {
    let parameters: Parameters = serde_json::from_value(serde_json::json!({
        "encoding": "UTF8", "localeProvider": "icu", "locale": "de'", "connectionLimit": 7,
    }))
    .unwrap();
    assert_eq!(
        create_database(&Ident::new("a\"b"), &Ident::new("a\"b_own"), &parameters, 15).text(),
        "CREATE DATABASE \"a\"\"b\" OWNER \"a\"\"b_own\" TEMPLATE template0 ALLOW_CONNECTIONS false \
         ENCODING 'UTF8' LOCALE_PROVIDER 'icu' ICU_LOCALE 'de''' CONNECTION LIMIT 7"
    );
}
