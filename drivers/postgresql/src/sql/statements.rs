//! The statements of a text that comes in pieces. Pure.

use driver_api::{DriverError, ErrorKind, Result};

use crate::sql::lexer::{self, Kind, Token};

/// Takes a text in pieces, and gives its statements one by one.
///
/// It is what `psql` does with the text of `pg_dump`, without anything of `psql`: what is for a client program is
/// left out.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// Where the statement that is being read begins.
    begin: usize,
    /// What lies before it has been read.
    read: usize,
    /// The buffer's length at which reading on is worth it: a token that does not end is not read at each piece.
    enough: usize,
    is_all: bool,
    nesting: Nesting,
}

/// What a semicolon stands in, and then it does not end the statement.
#[derive(Debug, Default)]
struct Nesting {
    parentheses: usize,
    /// `BEGIN ATOMIC` and `CASE` that have not ended.
    blocks: usize,
    /// The first words, lower case: only `CREATE [OR REPLACE] FUNCTION | PROCEDURE` has a block.
    words: Vec<String>,
}

impl Nesting {
    fn take(&mut self, kind: Kind, text: &[u8]) {
        match kind {
            Kind::Other(b'(') => self.parentheses += 1,
            Kind::Other(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Word if self.parentheses == 0 => {
                let word = String::from_utf8_lossy(text).to_ascii_lowercase();
                match word.as_str() {
                    "begin" if self.is_routine() => self.blocks += 1,
                    "case" if self.blocks > 0 => self.blocks += 1,
                    "end" => self.blocks = self.blocks.saturating_sub(1),
                    _ => {}
                }
                if self.words.len() < 4 {
                    self.words.push(word);
                }
            }
            Kind::Space | Kind::Word | Kind::Name | Kind::Text | Kind::Client | Kind::Other(_) => {}
        }
    }

    fn is_routine(&self) -> bool {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure"]
        )
    }
}

impl Splitter {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.begin);
        self.read -= self.begin;
        self.enough = self.enough.saturating_sub(self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// Says that there is no more.
    pub(crate) fn finish(&mut self) {
        self.is_all = true;
    }

    /// There is no more.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_all
    }

    /// The next statement, without its semicolon, if it is all there.
    pub(crate) fn next(&mut self) -> Result<Option<String>> {
        if self.buffer.len() < self.enough && !self.is_all {
            return Ok(None);
        }
        loop {
            let rest = self.buffer.get(self.read..).unwrap_or_default();
            let Some(Token { kind, length }) = lexer::token(rest, self.is_all) else {
                self.enough = self.read + 2 * rest.len();
                break;
            };
            let is_at_begin = self.begin == self.read;
            let text = rest.get(..length).unwrap_or_default();
            let is_end =
                kind == Kind::Other(b';') && self.nesting.parentheses == 0 && self.nesting.blocks == 0;
            if is_end {
                let statement = self.cut(self.read)?;
                self.read += length;
                self.begin = self.read;
                self.nesting = Nesting::default();
                if !statement.is_empty() {
                    return Ok(Some(statement));
                }
                continue;
            }
            self.nesting.take(kind, text);
            self.read += length;
            if is_at_begin && matches!(kind, Kind::Space | Kind::Client) {
                self.begin = self.read;
            }
        }
        if self.is_all && self.begin < self.read {
            return Err(damaged("its last statement does not end"));
        }
        Ok(None)
    }

    fn cut(&self, end: usize) -> Result<String> {
        let bytes = self.buffer.get(self.begin..end).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("a statement of it is not UTF-8"))?;
        Ok(text.to_owned())
    }
}

fn damaged(what: &str) -> DriverError {
    DriverError::new(ErrorKind::BackupDamaged, format!("a stream of statements is not whole: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements of a text that comes in pieces of that length.
    fn split(text: &str, length: usize) -> Result<Vec<String>> {
        let mut splitter = Splitter::default();
        let mut statements = Vec::new();
        for piece in text.as_bytes().chunks(length) {
            splitter.push(piece);
            while let Some(statement) = splitter.next()? {
                statements.push(statement);
            }
        }
        splitter.finish();
        while let Some(statement) = splitter.next()? {
            statements.push(statement);
        }
        Ok(statements)
    }

    fn assert_split(text: &str, statements: &[&str]) {
        for length in 1..=text.len().max(1) {
            assert_eq!(split(text, length).unwrap(), statements, "in pieces of {length}");
        }
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes() {
        assert_split(
            "SELECT 'a;b', E'it\\';s', \"x;y\"; SELECT $$;$$ , $a$ ; $$ ; $a$ ;",
            &["SELECT 'a;b', E'it\\';s', \"x;y\"", "SELECT $$;$$ , $a$ ; $$ ; $a$ "],
        );
        assert_split("", &[]);
        assert_split(" ;; ; \n-- nothing; at all\n", &[]);
    }

    #[test]
    fn comments_are_no_statements() {
        assert_split(
            "--\n-- Name: it's; x\n--\n\nCREATE TABLE t (a int -- it's; so\n);\n/* ; /* ' */ ; */ SELECT 1;",
            &["CREATE TABLE t (a int -- it's; so\n)", "SELECT 1"],
        );
    }

    #[test]
    fn what_is_for_a_client_is_left_out() {
        assert_split(
            "--\n\\restrict aB1;c\n\nSET x = 1;\n\\unrestrict aB1\nSELECT '\n\\! rm\n';\n\\connect evil",
            &["SET x = 1", "SELECT '\n\\! rm\n'"],
        );
    }

    #[test]
    fn a_body_in_sql_has_semicolons() {
        let function = "CREATE OR REPLACE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql\n BEGIN ATOMIC\n \
            SELECT CASE WHEN a > 1 THEN CASE a WHEN 2 THEN 3 END ELSE 2 END; SELECT (CASE 1 WHEN 1 THEN 2 END);\nEND";
        assert_split(&format!("{function};\nSELECT 2;"), &[function, "SELECT 2"]);
        let procedure = "CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO \"end\" VALUES ('end;'); END";
        assert_split(&format!("{procedure};SELECT 2;"), &[procedure, "SELECT 2"]);
        let quoted =
            "CREATE FUNCTION \"begin\"() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS \"case\"; END";
        assert_split(&format!("{quoted};SELECT 2;"), &[quoted, "SELECT 2"]);
    }

    #[test]
    fn begin_elsewhere_is_a_statement() {
        assert_split("BEGIN;\nSELECT 1;\nEND;\nCOMMIT;", &["BEGIN", "SELECT 1", "END", "COMMIT"]);
        assert_split(
            "CREATE TABLE begin (case int); SELECT 1;",
            &["CREATE TABLE begin (case int)", "SELECT 1"],
        );
    }

    #[test]
    fn a_rule_has_semicolons_in_parentheses() {
        let rule =
            "CREATE RULE r AS ON INSERT TO t DO ( INSERT INTO a VALUES (1); INSERT INTO b VALUES (')'); )";
        assert_split(&format!("{rule};SELECT 1;"), &[rule, "SELECT 1"]);
    }

    #[test]
    fn what_does_not_end_is_damaged() {
        for text in [
            "SELECT 1",
            "SELECT 'x;",
            "SELECT $$;",
            "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;",
            "SELECT (;",
        ] {
            for length in 1..=text.len() {
                assert_eq!(split(text, length).unwrap_err().kind(), ErrorKind::BackupDamaged, "{text}");
            }
        }
    }

    #[test]
    fn a_long_string_is_not_read_at_each_piece() {
        let text = format!("SELECT '{}';", "x;".repeat(4 << 20));
        let begin = std::time::Instant::now();
        assert_eq!(split(&text, 512).unwrap().len(), 1);
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }
}
