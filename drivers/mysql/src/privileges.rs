//! What the administrator's login may do, and what it lacks.

use driver_api::{DriverError, ErrorKind, Result};

use crate::engine::Flavor;
use crate::layout::{Layout, REGISTRY};
use crate::session::Session;
use crate::sql::{Ident, READS, WRITES, pattern};

/// What the administrator has been granted on one level.
#[derive(Debug, PartialEq, Eq)]
struct Granted {
    /// The pattern of a database's name; none is every database and the server itself.
    on: Option<String>,
    privileges: Vec<String>,
    /// It may give them to others.
    option: bool,
}

/// Reads a line of `SHOW GRANTS`. What is about a table, a role or a proxy is no concern of ours.
fn parse(line: &str) -> Option<Granted> {
    let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (on, rest) = if let Some(rest) = rest.strip_prefix("*.* TO ") {
        (None, rest)
    } else {
        let (name, rest) = unquoted(rest)?;
        (Some(name), rest.strip_prefix(".* TO ")?)
    };
    let privileges = privileges.split(',').map(|privilege| privilege.trim().to_uppercase()).collect();
    Some(Granted { on, privileges, option: rest.contains("WITH GRANT OPTION") })
}

/// The name in backticks that the text begins with, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('`')?;
        name.push_str(part);
        // Two are one that belongs to the name.
        let Some(after) = after.strip_prefix('`') else { return Some((name, after)) };
        name.push('`');
        rest = after;
    }
}

/// Whether a grant on `pattern` is one on `name`: `_` is any character, `%` any text, `\` takes the meaning away.
fn covers(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, _) => name.is_empty(),
        (Some(('%', rest)), _) => (0..=name.len()).any(|at| covers(rest, name.get(at..).unwrap_or_default())),
        (Some(('\\', [escaped, rest @ ..])), Some((is, others))) => escaped == is && covers(rest, others),
        (Some(('_', rest)), Some((_, others))) => covers(rest, others),
        (Some((wanted, rest)), Some((is, others))) => wanted == is && covers(rest, others),
        (Some(_), None) => false,
    }
}

/// One thing that the work needs.
struct Needed<'a> {
    /// The database; none is the server itself.
    on: Option<&'a str>,
    privileges: Vec<&'static str>,
    option: bool,
}

fn needed(layout: &Layout, flavor: Flavor) -> [Needed<'_>; 4] {
    let tenants = READS.into_iter().chain(WRITES).collect();
    [
        Needed {
            on: None,
            privileges: vec!["CREATE USER", "PROCESS", flavor.kill_privilege()],
            option: false,
        },
        Needed { on: Some("mysql"), privileges: vec!["SELECT"], option: false },
        Needed {
            on: Some(REGISTRY),
            privileges: vec!["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE"],
            option: false,
        },
        Needed { on: Some(&layout.database), privileges: tenants, option: true },
    ]
}

/// What is lacking, each with the statement that gives it.
fn lacking(granted: &[Granted], needed: &[Needed<'_>], wildcards: bool, admin: &str) -> Vec<String> {
    let is_on = |granted: &Granted, on: Option<&str>| match (&granted.on, on) {
        (None, _) => true,
        (Some(pattern), Some(name)) if wildcards => {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            covers(&characters(pattern), &characters(name))
        }
        (Some(pattern), Some(name)) => pattern == name,
        (Some(_), None) => false,
    };
    let mut statements = Vec::new();
    for Needed { on, privileges, option } in needed {
        let level: Vec<_> = granted.iter().filter(|granted| is_on(granted, *on)).collect();
        let has = |wanted: &str| {
            let may = |held: &String| {
                held == wanted
                    || held == "ALL PRIVILEGES"
                    // The old right to do everything ends sessions too.
                    || (held == "SUPER" && wanted.starts_with("CONNECTION"))
            };
            level.iter().any(|granted| granted.privileges.iter().any(may))
        };
        let mut missing: Vec<&str> = privileges.iter().copied().filter(|privilege| !has(privilege)).collect();
        let lacks_option = *option && !level.iter().any(|granted| granted.option);
        if missing.is_empty() && !lacks_option {
            continue;
        }
        if missing.is_empty() {
            missing.push("USAGE");
        }
        let on = on
            .map_or_else(|| "*.*".to_owned(), |name| format!("{}.*", Ident::new(&pattern(name, wildcards))));
        let suffix = if *option { " WITH GRANT OPTION" } else { "" };
        statements.push(format!("GRANT {} ON {on} TO {admin}{suffix}", missing.join(", ")));
    }
    statements
}

/// Refuses, before anything is changed, an administrator who cannot do all of it, and names what is missing.
pub(crate) async fn check(session: &mut Session, layout: &Layout) -> Result<()> {
    let doing = "cannot read what the administrator may do";
    let connection = &mut session.connection;
    let rows = connection.rows("SHOW GRANTS", (), doing).await?;
    let mut granted = Vec::new();
    for row in &rows {
        granted.extend(parse(&connection.cell::<String>(row, 0)?));
    }
    let about = session.about;
    let admin = Ident::new(session.dialer.admin());
    let statements =
        lacking(&granted, &needed(layout, about.flavor()), about.wildcards, &format!("{admin}@`…`"));
    if statements.is_empty() {
        return Ok(());
    }
    Err(DriverError::new(
        ErrorKind::InsufficientPrivilege,
        format!(
            "the administrator's login at {} lacks rights: run {}",
            session.connection.place(),
            statements.join("; ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use driver_api::{Mark, Target};

    use super::*;

    fn missing(grants: &[&str], wildcards: bool) -> Vec<String> {
        let layout = Layout::of(&Target::new("a_b", Mark::new("c", "u"), 32));
        let granted: Vec<_> = grants.iter().filter_map(|line| parse(line)).collect();
        lacking(&granted, &needed(&layout, Flavor::MySql), wildcards, "`admin`@`%`")
    }

    #[test]
    fn what_covers_what_is_as_the_server_says() {
        for (pattern, name, covered) in [
            ("a_b", "axb", true),
            ("a\\_b", "axb", false),
            ("a\\_b", "a_b", true),
            ("a%", "a", true),
            ("a%c", "abbc", true),
            ("a%c", "abb", false),
            ("%", "", true),
            ("", "a", false),
        ] {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(covers(&characters(pattern), &characters(name)), covered, "{pattern} {name}");
        }
    }

    #[test]
    fn lines_are_read_whatever_the_name() {
        let granted =
            parse("GRANT SELECT, CREATE USER ON `a``.* TO \\_b`.* TO `u`@`%` WITH GRANT OPTION").unwrap();
        assert_eq!(granted.on.as_deref(), Some("a`.* TO \\_b"));
        assert_eq!(granted.privileges, ["SELECT", "CREATE USER"]);
        assert!(granted.option);
        for other in
            ["GRANT `role`@`%` TO `u`@`%`", "GRANT SELECT ON `a`.`t` TO `u`@`%`", "REVOKE X ON *.* FROM y"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_statement() {
        assert_eq!(
            missing(&["GRANT ALL PRIVILEGES ON *.* TO `u`@`%` WITH GRANT OPTION"], true),
            Vec::<String>::new()
        );
        let all = missing(&[], true);
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(all[0], "GRANT CREATE USER, PROCESS, CONNECTION_ADMIN ON *.* TO `admin`@`%`");
        assert!(all[3].contains("ON `a\\_b`.* TO `admin`@`%` WITH GRANT OPTION"), "{all:?}");
        let most = [
            "GRANT CREATE USER, PROCESS, SUPER ON *.* TO `u`@`%`",
            "GRANT ALL PRIVILEGES ON `db\\_operator`.* TO `u`@`%`",
            "GRANT SELECT ON `mysql`.* TO `u`@`%`",
            "GRANT ALL PRIVILEGES ON `a%`.* TO `u`@`%`",
        ];
        assert_eq!(missing(&most, true), ["GRANT USAGE ON `a\\_b`.* TO `admin`@`%` WITH GRANT OPTION"]);
        assert_eq!(missing(&most, false).len(), 2, "a pattern is a name with partial_revokes");
    }
}
