//! What becomes of a statement of a dump in the database that it is loaded into. Pure.

use crate::dump::roles::{Roles, is_about_others, places_of_roles};
use crate::sql::Ident;
use crate::sql::lexer::{self, Kind, Part, is_word, leading_words, parts};

/// What is there before the load.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The roles of the database that the dump is of.
    pub(crate) source: Roles,
    /// The roles of the database that takes it.
    pub(crate) target: Roles,
    /// The schemas that it has.
    pub(crate) schemas: Vec<String>,
    /// The extensions that it has.
    pub(crate) extensions: Vec<String>,
}

/// The statement to run, or none if there is nothing to do.
pub(crate) fn rewrite(statement: &str, facts: &Facts) -> Option<String> {
    let tokens: Vec<(Kind, &str)> = lexer::tokens(statement).collect();
    let parts: Vec<Part<'_>> = parts(tokens.iter().copied()).collect();
    let words = leading_words(&parts);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        // The session's own limits hold; who it is does not change.
        ["set", name, ..] if name.ends_with("_timeout") => return None,
        ["set" | "reset", "session", "authorization", ..] | ["comment", "on", "extension", ..] => {
            return None;
        }
        ["create", "extension", ..] if is_among(&facts.extensions, &parts) => return None,
        ["create", "schema", ..] if is_among(&facts.schemas, &parts) => return None,
        ["alter", "default", "privileges", ..] if is_about_others(&parts, &facts.source) => return None,
        _ => {}
    }
    let roles = places_of_roles(&words, &parts);
    if roles.is_empty() {
        return Some(statement.to_owned());
    }
    let mut text = String::with_capacity(statement.len());
    for (at, (kind, token)) in tokens.iter().enumerate() {
        let name = roles.contains(&at).then(|| lexer::name(*kind, token)).flatten();
        match name.and_then(|name| facts.source.in_other(&name, &facts.target)) {
            Some(role) => text.push_str(&Ident::new(role).to_string()),
            None => text.push_str(token),
        }
    }
    Some(text)
}

/// Says what a statement is about, for an error: its beginning without any string, which may hold a secret.
pub(crate) fn title(statement: &str) -> String {
    let parts = lexer::tokens(statement).filter(|(kind, _)| *kind != Kind::Space);
    let mut title = String::new();
    for (kind, text) in parts.take_while(|(kind, _)| !matches!(kind, Kind::Text | Kind::Other(b'('))).take(14)
    {
        let is_joined = matches!(kind, Kind::Other(_)) || title.ends_with('.');
        if !title.is_empty() && !is_joined {
            title.push(' ');
        }
        title.push_str(text);
    }
    title
}

/// The table that a statement of index or key is about; only such statements may run beside others.
pub(crate) fn index_of(statement: &str) -> Option<String> {
    let parts: Vec<Part<'_>> = parts(lexer::tokens(statement)).take(40).collect();
    let words = leading_words(&parts);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let after = match words.as_slice() {
        ["create", "index", ..] | ["create", "unique", "index", ..] => {
            parts.iter().position(|part| is_word(part, "on"))? + 1
        }
        ["alter", "table", ..] => {
            let is_key = parts.windows(2).any(|pair| {
                matches!(pair, [first, second]
                    if is_word(first, "primary") && is_word(second, "key") || is_word(first, "unique") && second.1 == Kind::Other(b'('))
            });
            let adds = parts.windows(2).any(|pair| {
                matches!(pair, [first, second] if is_word(first, "add") && is_word(second, "constraint"))
            });
            if !(is_key && adds) {
                return None;
            }
            2
        }
        _ => return None,
    };
    let rest = parts.get(after..)?;
    let rest = if rest.first().is_some_and(|part| is_word(part, "only")) { rest.get(1..)? } else { rest };
    let names: Vec<String> = rest
        .iter()
        .take_while(|(_, kind, _)| matches!(kind, Kind::Name | Kind::Other(b'.')))
        .filter_map(|(_, kind, text)| lexer::name(*kind, text))
        .collect();
    (names.len() == 2).then(|| names.join("."))
}

/// Whether what is created, after two words and `IF NOT EXISTS`, is there.
fn is_among(names: &[String], parts: &[Part<'_>]) -> bool {
    let skipped = |part: &&Part<'_>| ["if", "not", "exists"].iter().any(|word| is_word(part, word));
    let created = parts.iter().skip(2).find(|part| !skipped(part));
    created.and_then(|(_, kind, text)| lexer::name(*kind, text)).is_some_and(|name| names.contains(&name))
}

#[cfg(test)]
mod tests;
