//! What differs from what is desired, and the statements that put it right. Pure: `observe` shows the differences and
//! `ensure_present` runs the statements of one and the same list.

use crate::catalog::ServerState;
use crate::catalog::grants::Grant;
use crate::layout::Layout;
use crate::parameters::Parameters;
use crate::session::About;
use crate::sql::{self, READS, Sql, WRITES};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// What differs, for a person.
    pub(crate) text: String,
    /// What puts it right.
    pub(crate) repair: Vec<Sql>,
}

/// How the accounts differ that exist and are ours.
pub(crate) fn accounts(
    state: &ServerState,
    layout: &Layout,
    about: About,
    parameters: &Parameters,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let wanted = parameters.connection_limit.unwrap_or(0);
    for name in layout.accounts() {
        let Some(account) = state.our_account(name, layout) else { continue };
        let mut change = |wrong: bool, text: String, repair: Vec<Sql>| {
            changes.extend(wrong.then(|| Change { text: format!("account {name} {text}"), repair }));
        };
        change(
            account.sessions != wanted || account.is_throttled,
            format!("has a limit of {} sessions or statements, not {wanted}", account.sessions),
            vec![sql::limit(name, wanted)],
        );
        let missing = missing_rights(state, layout, about, name);
        let pattern = sql::pattern(&layout.database, about.wildcards);
        let grant = |privileges: &[&'static str]| sql::grant(privileges, &pattern, name);
        let all: Vec<_> = READS.into_iter().chain(WRITES).collect();
        // What was meant for one name is for many where wildcards are, such as after `partial_revokes` was turned off.
        for other in other_grants(state, layout, about, name) {
            change(
                true,
                format!("has rights on {:?}, which is not its database alone", other.pattern),
                vec![sql::revoke_database(&other.privileges, &other.pattern, name, "%")],
            );
        }
        // What it has beside a database's own rights is a way out of its database.
        let may_grant = own_grant(state, layout, about, name)
            .is_some_and(|grant| grant.privileges.iter().any(|held| held == "GRANT OPTION"));
        if account.has_global_rights || may_grant {
            change(
                true,
                "has rights beyond its database".to_owned(),
                vec![sql::revoke_everything(name), grant(&all)],
            );
        } else {
            change(
                !missing.is_empty(),
                format!("lacks {} on the database", missing.join(", ")),
                vec![grant(&missing)],
            );
        }
        let is_active = name == layout.active;
        change(!account.is_locked && !is_active, "may log in".to_owned(), vec![sql::lock(name)]);
        // Last: nobody enters before everything else is right.
        change(account.is_locked && is_active, "may not log in".to_owned(), vec![sql::unlock(name)]);
    }
    changes
}

/// The rights of one of our accounts on this database alone, under the name that we give it.
fn own_grant<'a>(state: &'a ServerState, layout: &Layout, about: About, name: &str) -> Option<&'a Grant> {
    let pattern = sql::pattern(&layout.database, about.wildcards);
    state.grants.iter().find(|grant| {
        grant.table.is_none() && grant.name == name && grant.host == "%" && grant.pattern == pattern
    })
}

/// The rights of one of our accounts on this database and others, under another name than the one that we give.
fn other_grants<'a>(
    state: &'a ServerState,
    layout: &Layout,
    about: About,
    name: &str,
) -> impl Iterator<Item = &'a Grant> {
    let (pattern, name) = (sql::pattern(&layout.database, about.wildcards), name.to_owned());
    state.grants.iter().filter(move |grant| {
        grant.table.is_none() && grant.name == name && grant.host == "%" && grant.pattern != pattern
    })
}

/// What an account may not do with its database, and should.
fn missing_rights(state: &ServerState, layout: &Layout, about: About, name: &str) -> Vec<&'static str> {
    let grant = own_grant(state, layout, about, name);
    let has =
        |privilege: &str| grant.is_some_and(|grant| grant.privileges.iter().any(|held| held == privilege));
    READS.into_iter().chain(WRITES).filter(|privilege| !has(privilege)).collect()
}

/// The rights by which one of our accounts can write: what a definer's event or routine goes on with, though the account
/// is locked.
pub(crate) fn rights_to_write(
    state: &ServerState,
    layout: &Layout,
    about: About,
    name: &str,
) -> Vec<&'static str> {
    let missing = missing_rights(state, layout, about, name);
    WRITES.into_iter().filter(|privilege| !missing.contains(privilege)).collect()
}

#[cfg(test)]
mod tests {
    use driver_api::{Mark, Target};

    use crate::catalog::AccountState;
    use crate::catalog::registry::{Entry, Kind};
    use crate::engine::Engine;

    use super::*;

    fn texts(pattern: &str, edit: impl Fn(&mut AccountState, &mut Grant)) -> Vec<String> {
        let layout = Layout::of(&Target::new("or_ders", Mark::new("c", "u"), 32));
        let about = About { engine: Engine::parse("8.0.31").unwrap(), wildcards: true };
        let mut state = ServerState::default();
        for name in layout.accounts() {
            let mut account = AccountState {
                name: name.to_owned(),
                is_locked: name == layout.standby,
                ..AccountState::default()
            };
            let privileges = READS.iter().chain(&WRITES).map(|&privilege| privilege.to_owned()).collect();
            let mut grant = Grant {
                name: name.to_owned(),
                host: "%".to_owned(),
                pattern: pattern.to_owned(),
                privileges,
                ..Grant::default()
            };
            edit(&mut account, &mut grant);
            state.accounts.push(account);
            state.grants.push(grant);
            state.entries.push(Entry {
                kind: Kind::Account,
                name: name.to_owned(),
                mark: layout.mark.clone(),
                confirmed: true,
                proof: String::new(),
            });
        }
        accounts(&state, &layout, about, &Parameters::default())
            .into_iter()
            .map(|change| change.text)
            .collect()
    }

    #[test]
    fn what_is_right_does_not_differ() {
        assert_eq!(texts("or\\_ders", |_, _| ()), Vec::<String>::new());
    }

    #[test]
    fn rights_under_a_pattern_are_not_those_of_the_database() {
        let found = texts("or_ders", |_, _| ());
        let count = |what: &str| found.iter().filter(|text| text.contains(what)).count();
        assert_eq!(
            (count("lacks SELECT"), count("not its database alone"), found.len()),
            (2, 2, 4),
            "{found:?}"
        );
    }

    #[test]
    fn each_difference_is_named() {
        let pattern = "or\\_ders";
        let found = texts(pattern, |account, _| account.is_locked = !account.is_locked);
        assert_eq!(found, ["account or_ders_a may not log in", "account or_ders_b may log in"]);
        let found = texts(pattern, |_, grant| grant.privileges.retain(|held| held != "EVENT"));
        assert!(found[0].contains("lacks EVENT on"), "{found:?}");
        let found = texts(pattern, |_, grant| grant.privileges.push("GRANT OPTION".to_owned()));
        assert!(found[0].contains("beyond"), "{found:?}");
        let found = texts(pattern, |account, _| account.sessions = 3);
        assert!(found[0].contains("limit of 3"), "{found:?}");
    }
}
