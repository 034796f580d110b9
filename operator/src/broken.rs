//! What people are told about an object that cannot be decoded. Pure.

use crate::notice::Notice;
use crate::seen::decode::Broken;

/// What to say about an object that cannot be decoded, which costs nobody else anything.
pub fn notice(broken: &Broken) -> Notice {
    let Broken { kind, name, why, .. } = broken;
    Notice::warning(
        "Undecodable",
        format!(
            "{} {name} cannot be read by this release of db-operator: {why}. It is left alone until it can: its status may have been written by a newer release, or the CustomResourceDefinition is an older one",
            kind.name()
        ),
    )
}
