//! What a Database says about itself.

use api::{Conditions, Database, READY};

/// Whether the Ready condition is true, for the generation that is live.
pub fn ready(database: &Database) -> bool {
    database.status.as_ref().is_some_and(|status| {
        status.conditions.is_true(READY) && status.observed_generation == database.metadata.generation
    })
}

/// The reason in the Ready condition; empty where there is none.
pub fn ready_reason(database: &Database) -> &str {
    condition(database).map_or("", |(reason, _)| reason)
}

/// The message in the Ready condition; empty where there is none.
pub fn ready_message(database: &Database) -> &str {
    condition(database).map_or("", |(_, message)| message)
}

fn condition(database: &Database) -> Option<(&str, &str)> {
    let status = database.status.as_ref()?;
    let ready = Conditions::get(&status.conditions, READY)?;
    Some((ready.reason.as_str(), ready.message.as_str()))
}
