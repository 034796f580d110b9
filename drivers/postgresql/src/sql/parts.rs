//! The tokens of a statement that say something. Pure.

use crate::sql::lexer::Kind;

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
