//! What a run does, effect by effect, read from what the runtime's own test has written down: the two cannot drift apart.

use std::sync::LazyLock;

use api::{DatabasePhase, Operation};

const TEXT: &str = include_str!("../../../driver-api/runtime/tests/protocol.txt");

/// Of which kind an effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Database,
    Backup,
    Restore,
    Secret,
}

/// How far a Backup or Restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    Starting,
    Working,
    Completed,
}

/// What a write of a Database's status says besides its phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of its own")]
pub(crate) struct Says {
    pub(crate) claim: bool,
    pub(crate) unclaim: bool,
    pub(crate) announce: bool,
    pub(crate) record: bool,
    pub(crate) forget: bool,
    pub(crate) created: bool,
    pub(crate) ready: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read(Kind),
    Make(Kind),
    Guard(Kind),
    Free(Kind),
    WriteDatabase(DatabasePhase, Says),
    WriteRequest(Kind, Progress),
    WriteSecret,
    Connect,
    LockOut,
    MakeDatabase,
    Drop,
    Dump,
    Load,
    Leave,
    Look,
    FirstByte,
    Manifest,
    ReadStored,
    DeleteStored,
}

/// One way that a run may go.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) operation: Operation,
    pub(crate) case: &'static str,
    pub(crate) effects: Vec<Effect>,
}

/// All of them.
pub(crate) static PATHS: LazyLock<Vec<Path>> = LazyLock::new(|| parse(TEXT));

/// The number of that path.
pub(crate) fn path(operation: Operation, case: &str) -> u8 {
    let number = PATHS.iter().position(|path| path.operation == operation && path.case == case);
    let number = number.unwrap_or_else(|| panic!("protocol.txt has no path `{operation} {case}`"));
    u8::try_from(number).unwrap()
}

/// What `protocol.txt` calls that path.
pub(crate) fn name(path: u8) -> String {
    let Path { operation, case, .. } = PATHS.get(usize::from(path)).unwrap();
    format!("{operation} {case}").trim_end().to_owned()
}

pub(crate) fn effect(path: u8, at: u8) -> Option<Effect> {
    PATHS.get(usize::from(path))?.effects.get(usize::from(at)).copied()
}

/// Where that effect comes first on a path.
pub(crate) fn position(path: u8, effect: Effect) -> u8 {
    let effects = &PATHS.get(usize::from(path)).unwrap().effects;
    u8::try_from(effects.iter().position(|known| *known == effect).unwrap()).unwrap()
}

fn parse(text: &'static str) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        if let ["operation", operation, case @ ..] = words.as_slice() {
            let case = case.first().copied().unwrap_or_default();
            paths.push(Path { operation: operation.parse().unwrap(), case, effects: Vec::new() });
            continue;
        }
        let effects = &mut paths.last_mut().unwrap().effects;
        let belongs = match effects.last_mut() {
            Some(Effect::WriteDatabase(_, says)) => also(says, &words),
            // What a Backup or Restore says of itself, or the record of a final backup, nobody decides by.
            Some(Effect::WriteRequest(..)) => matches!(words.as_slice(), ["ready", "backup" | "restore", _]),
            _ => false,
        };
        if !belongs {
            effects.push(one(&words).unwrap_or_else(|| panic!("what is `{line}`?")));
        }
    }
    paths
}

fn also(says: &mut Says, words: &[&str]) -> bool {
    match words {
        ["claim", "database"] => says.claim = true,
        ["unclaim", "database"] => says.unclaim = true,
        ["announce", "database"] => says.announce = true,
        ["record", "database"] => says.record = true,
        ["forget", "database"] => says.forget = true,
        ["created", "database"] => says.created = true,
        ["ready", "database", ready] => says.ready = Some(*ready == "True"),
        _ => return false,
    }
    true
}

fn one(words: &[&str]) -> Option<Effect> {
    Some(match words {
        ["read", kind] => Effect::Read(kind_of(kind)?),
        ["make", kind] => Effect::Make(kind_of(kind)?),
        ["guard", kind] => Effect::Guard(kind_of(kind)?),
        ["free", kind] => Effect::Free(kind_of(kind)?),
        ["write", "secret"] => Effect::WriteSecret,
        ["write", "database", phase] => {
            let phase = DatabasePhase::ALL.into_iter().find(|known| format!("{known:?}") == *phase)?;
            Effect::WriteDatabase(phase, Says::default())
        }
        ["write", kind, phase] => Effect::WriteRequest(
            kind_of(kind)?,
            match *phase {
                "Starting" => Progress::Starting,
                "BackingUp" | "Restoring" => Progress::Working,
                "Completed" => Progress::Completed,
                _ => return None,
            },
        ),
        ["server", "connect"] => Effect::Connect,
        ["server", "lock-out"] => Effect::LockOut,
        ["server", "make"] => Effect::MakeDatabase,
        ["server", "drop"] => Effect::Drop,
        ["server", "dump"] => Effect::Dump,
        ["server", "load"] => Effect::Load,
        ["server", "leave"] => Effect::Leave,
        ["store", "look"] => Effect::Look,
        ["store", "first-byte"] => Effect::FirstByte,
        ["store", "manifest"] => Effect::Manifest,
        ["store", "read"] => Effect::ReadStored,
        ["store", "delete"] => Effect::DeleteStored,
        _ => return None,
    })
}

fn kind_of(word: &str) -> Option<Kind> {
    Some(match word {
        "database" => Kind::Database,
        "backup" => Kind::Backup,
        "restore" => Kind::Restore,
        "secret" => Kind::Secret,
        _ => return None,
    })
}
