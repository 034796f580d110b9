//! SQL text as tokens. Pure.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space, or a comment.
    Space,
    /// A name or a keyword without quotes.
    Word,
    /// A name in double quotes.
    Name,
    /// A string, quoted in any way.
    Text,
    /// A line for a client program, such as `\restrict`. SQL has no backslash outside of quotes.
    Client,
    /// One character of anything else, such as `;` or a digit.
    Other(u8),
}

/// A token: what it is, and how many bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) length: usize,
}

/// The token at the beginning of `text`, or none if its end is not in `text` yet. With `is_all` the text ends
/// there, and so does the token.
///
/// Strings are read as with `standard_conforming_strings`.
pub(crate) fn token(text: &[u8], is_all: bool) -> Option<Token> {
    let first = *text.first()?;
    let (kind, length) = match first {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
            (Kind::Space, Some(span(text, |byte| byte.is_ascii_whitespace() || byte == 0x0b)))
        }
        b'-' => match text.get(1) {
            Some(b'-') => (Kind::Space, line(text)),
            second => (Kind::Other(first), second.map(|_| 1)),
        },
        b'/' => match text.get(1) {
            Some(b'*') => (Kind::Space, comment(text)),
            second => (Kind::Other(first), second.map(|_| 1)),
        },
        b'\'' => (Kind::Text, quoted(text, 1, b'\'', false)),
        b'"' => (Kind::Name, quoted(text, 1, b'"', false)),
        b'\\' => (Kind::Client, line(text)),
        b'$' => (Kind::Text, dollar(text, is_all)),
        _ if begins_word(first) => {
            let length = span(text, |byte| begins_word(byte) || byte.is_ascii_digit() || byte == b'$');
            match (text.get(length), text.get(..length)) {
                (None, _) => (Kind::Word, None),
                (Some(b'\''), Some(b"e" | b"E")) => (Kind::Text, quoted(text, 2, b'\'', true)),
                _ => (Kind::Word, Some(length)),
            }
        }
        _ => (Kind::Other(first), Some(1)),
    };
    let length = match (length, is_all) {
        // A tag that is none: `$1` is a parameter.
        (Some(0), _) => return Some(Token { kind: Kind::Other(first), length: 1 }),
        (Some(length), _) => length,
        (None, true) if matches!(kind, Kind::Other(_)) => 1,
        (None, true) => text.len(),
        (None, false) => return None,
    };
    Some(Token { kind, length })
}

/// The tokens of a text, each with its bytes.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = (Kind, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let Token { kind, length } = token(rest.as_bytes(), true)?;
        // A character of more than one byte is in a word or in quotes only.
        let (this, next) = rest.split_at_checked(length)?;
        rest = next;
        Some((kind, this))
    })
}

/// The name that a word or a quoted name stands for.
pub(crate) fn name(kind: Kind, text: &str) -> Option<String> {
    match kind {
        Kind::Word => Some(text.to_ascii_lowercase()),
        Kind::Name => {
            let inner = text.strip_prefix('"')?.strip_suffix('"')?;
            Some(inner.replace("\"\"", "\""))
        }
        Kind::Space | Kind::Text | Kind::Client | Kind::Other(_) => None,
    }
}

/// A token that says something, and its place among all tokens.
pub(crate) type Part<'a> = (usize, Kind, &'a str);

/// Those of the tokens that are neither white space nor comment.
pub(crate) fn parts<'a>(tokens: impl Iterator<Item = (Kind, &'a str)>) -> impl Iterator<Item = Part<'a>> {
    tokens
        .enumerate()
        .filter(|(_, (kind, _))| *kind != Kind::Space)
        .map(|(at, (kind, text))| (at, kind, text))
}

/// Whether a part is that keyword.
pub(crate) fn is_word(part: &Part<'_>, word: &str) -> bool {
    part.1 == Kind::Word && part.2.eq_ignore_ascii_case(word)
}

/// The first words of a statement, six at most, in lower case.
pub(crate) fn leading_words(parts: &[Part<'_>]) -> Vec<String> {
    let words = parts.iter().take_while(|(_, kind, _)| *kind == Kind::Word).take(6);
    words.map(|(_, _, text)| text.to_ascii_lowercase()).collect()
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn span(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len())
}

/// To the end of the line, which is its own.
fn line(text: &[u8]) -> Option<usize> {
    Some(text.iter().position(|byte| *byte == b'\n')? + 1)
}

fn comment(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match (text.get(at)?, text.get(at + 1)?) {
            (b'/', b'*') => {
                depth += 1;
                at += 2;
            }
            (b'*', b'/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
}

/// To the quote that ends it: one that is not doubled, and with `escapes` not after a backslash.
fn quoted(text: &[u8], begin: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut at = begin;
    loop {
        let byte = *text.get(at)?;
        if byte == quote {
            if *text.get(at + 1)? != quote {
                return Some(at + 1);
            }
            at += 2;
        } else if escapes && byte == b'\\' {
            at += 2;
        } else {
            at += 1;
        }
    }
}

/// A string such as `$tag$ … $tag$`; 0 if it is none.
fn dollar(text: &[u8], is_all: bool) -> Option<usize> {
    let rest = text.get(1..)?;
    let tag = span(rest, |byte| begins_word(byte) || byte.is_ascii_digit());
    match rest.get(tag) {
        None if is_all => return Some(0),
        None => return None,
        Some(b'$') if !rest.first().is_some_and(u8::is_ascii_digit) => {}
        Some(_) => return Some(0),
    }
    let delimiter = text.get(..tag + 2)?;
    let body = text.get(delimiter.len()..)?;
    let end = body.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some(end + 2 * delimiter.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).filter(|(kind, _)| *kind != Kind::Space).collect()
    }

    #[test]
    fn quotes_of_all_kinds_are_one_token() {
        for text in [
            "'a;b'",
            "'it''s'",
            "'back\\'",
            "E'it\\'s'",
            "e'a''b\\\\'",
            "$$a;b$$",
            "$x$ $$ $y$ $x$",
            "$_1é$;$_1é$",
            "E'\\''",
            "''",
            "$$$$",
            "$a$$a$",
        ] {
            assert_eq!(kinds(text), [(Kind::Text, text)], "{text}");
        }
        for text in ["\"a;b\"", "\"say \"\"x\"\"\"", "\"\\\"", "\"é\""] {
            assert_eq!(kinds(text), [(Kind::Name, text)], "{text}");
        }
        for text in ["/* a; /* b */ ; */", "-- it's;\n"] {
            assert_eq!(kinds(text), [], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_quote_is_none() {
        assert_eq!(kinds("a$b$c"), [(Kind::Word, "a$b$c")]);
        assert_eq!(kinds("$1")[0], (Kind::Other(b'$'), "$"));
        assert_eq!(kinds("$1$ $1$")[0], (Kind::Other(b'$'), "$"));
        assert_eq!(kinds("a-b/c").len(), 5);
        assert_eq!(kinds("be'x'"), [(Kind::Word, "be"), (Kind::Text, "'x'")]);
        assert_eq!(kinds("x E")[1], (Kind::Word, "E"));
    }

    #[test]
    fn names_are_read() {
        assert_eq!(name(Kind::Word, "Orders").unwrap(), "orders");
        assert_eq!(name(Kind::Name, "\"We\"\"ird\"").unwrap(), "We\"ird");
        assert_eq!(name(Kind::Text, "'x'"), None);
    }

    /// However a text is cut, a token is as long as in the whole text, or not there yet.
    #[test]
    fn a_cut_text_has_no_other_tokens() {
        let text = "a$b E'x\\'y' 'it''s' \"q\"\"r\" $t$ $$ ' $t$ /* / /* */ ** / */ -- x\n - / $1 e 'x' é;\\restrict x\n;";
        let mut at = 0;
        while at < text.len() {
            let rest = &text.as_bytes()[at..];
            let whole = token(rest, true).unwrap();
            for cut in 1..rest.len() {
                if let Some(token) = token(&rest[..cut], false) {
                    let is_space = token.kind == Kind::Space && whole.kind == Kind::Space;
                    assert!(token == whole || is_space, "{at} {cut}: {token:?} {whole:?}");
                }
            }
            at += whole.length;
        }
    }
}
