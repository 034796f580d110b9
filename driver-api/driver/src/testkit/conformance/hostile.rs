//! Names and values from the caller are hostile.

use crate::driver::{Mark, Target};
use crate::error::ErrorKind;
use crate::secret::Secret;
use crate::server::Login;
use crate::testkit::conformance::case::{Case, Failure, Kit, Outcome, ensure, same};
use crate::testkit::conformance::harness::Harness;

/// How many names, and how many values.
const COUNT: usize = 200;

/// What is put together. `{victim}` becomes the name of a database that is to survive.
const PARTS: [&str; 32] = [
    "'",
    "\"",
    "`",
    "\\",
    ";",
    "--",
    "/*",
    "*/",
    "#",
    "%",
    "_",
    "$1",
    "$$",
    "{}",
    "%s",
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{202e}",
    "é",
    "\u{1f980}",
    "e\u{301}",
    "SELECT",
    "NULL",
    "../",
    "' OR '1'='1",
    "\"; DROP DATABASE {victim}; --",
    "'; DROP DATABASE {victim}; --",
    "`; DROP DATABASE {victim}; --",
    "\\'; DROP DATABASE {victim}; --",
];

/// Hostile texts: each part alone, twice and doubled by itself, and then parts drawn by a fixed sequence.
fn texts(victim: &str) -> Vec<String> {
    let mut texts: Vec<_> = PARTS.iter().map(|part| format!("x{part}")).collect();
    texts.extend(PARTS.iter().map(|part| format!("x{part}{part}y")));
    texts.extend(["n".repeat(63), "n".repeat(64), "é".repeat(40), "n".repeat(300), "n".repeat(70_000)]);
    // The multiplier and the increment of Knuth's MMIX: any fixed sequence would do.
    let mut seed: u64 = 42;
    while texts.len() < COUNT {
        let mut text = "x".to_owned();
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(seed >> 33).unwrap_or_default() % PARTS.len();
            text.push_str(PARTS.get(at).copied().unwrap_or_default());
            text.push(if seed & 1 == 0 { 'a' } else { 'b' });
        }
        texts.push(text);
    }
    texts.into_iter().map(|text| text.replace("{victim}", victim)).collect()
}

/// Those that are tried here.
fn sample<H: Harness>(kit: &Kit<H>, victim: &str) -> impl Iterator<Item = String> {
    texts(victim).into_iter().step_by((COUNT / kit.harness.thorough().max(1)).max(1))
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// A database that hostile names and values are to leave alone.
async fn victim<H: Harness>(kit: &Kit<H>) -> Outcome<(Case<H>, String, String)> {
    let case = kit.case("victim");
    case.present().await?;
    case.commit(&["kept"]).await?;
    let (picture, content) = (case.picture().await?, case.content().await?);
    Ok((case, picture, content))
}

async fn survives<H: Harness>((case, picture, content): &(Case<H>, String, String)) -> Outcome {
    case.is_unchanged("a hostile text", picture).await?;
    same("the victim's content", &case.content().await?, content)
}

/// Holds if it was refused as `Invalid`; says whether it was done.
fn done(result: crate::error::Result<()>) -> Outcome<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Invalid => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// "Names and values from the caller are hostile: a driver MUST quote them." A name is a name or `Invalid`.
pub async fn hostile_names_are_only_names<H: Harness>(kit: &Kit<H>) -> Outcome {
    let kept = victim(kit).await?;
    for text in sample(kit, &kept.0.target.name) {
        let case = kit.case(&text);
        let name = shown(&text);
        let told = |failure: Failure| Failure(format!("the name {name}: {failure}"));
        let is_done = done(case.present().await).map_err(told)?;
        if is_done {
            case.is_complete().await.map_err(told)?;
            // It is that name in full: a longer or a shorter one is another.
            let longer = kit.case(&format!("{text}x"));
            if let Ok(presence) = longer.look().await {
                let is_other = presence == crate::driver::Presence::Absent;
                ensure(is_other, || format!("the name {name} is cut: a longer one is {presence:?}"))?;
            }
            case.absent().await?;
            case.is_absent().await.map_err(told)?;
        } else {
            ensure(case.absent().await.is_err(), || format!("the name {name} is refused, and dropped"))?;
        }
        survives(&kept).await.map_err(told)?;
    }
    Ok(())
}

/// "Names and values from the caller are hostile: a driver MUST quote them." A password is a password or `Invalid`.
pub async fn hostile_passwords_are_only_passwords<H: Harness>(kit: &Kit<H>) -> Outcome {
    let kept = victim(kit).await?;
    let mut case = kit.case("a");
    for text in sample(kit, &kept.0.target.name) {
        case = case.with_password(&text);
        let told = |failure: Failure| Failure(format!("the password {}: {failure}", shown(&text)));
        if done(case.present().await).map_err(told)? {
            case.is_complete().await.map_err(told)?;
            let cut = text.chars().next().map(String::from).unwrap_or_default();
            let login = Login::new(&case.target.active_login, Secret::new(cut));
            let is_in = kit.harness.log_in(&case.target, &login).await.is_ok();
            ensure(!is_in, || "a part of the password is enough".to_owned()).map_err(told)?;
        }
        survives(&kept).await.map_err(told)?;
    }
    Ok(())
}

/// "Names and values from the caller are hostile: a driver MUST quote them." A mark is read back as it was written.
pub async fn hostile_marks_are_only_marks<H: Harness>(kit: &Kit<H>) -> Outcome {
    let kept = victim(kit).await?;
    for text in sample(kit, &kept.0.target.name) {
        // A cluster and an object name themselves by a uid, in which there is no white space.
        let text: String = text.split_whitespace().collect();
        let mut case = kit.case("a");
        case.target = Target { mark: Mark::new(format!("c{text}"), format!("u{text}")), ..case.target };
        let told = |failure: Failure| Failure(format!("the mark {}: {failure}", shown(&text)));
        if done(case.present().await).map_err(told)? {
            case.is_complete().await.map_err(told)?;
            case.absent().await?;
            case.is_absent().await.map_err(told)?;
        }
        survives(&kept).await.map_err(told)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{COUNT, PARTS, texts};

    #[test]
    fn texts_are_many_different_and_the_same_each_time() {
        let all = texts("victim");
        assert_eq!(all, texts("victim"));
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (COUNT, COUNT));
        for part in PARTS.map(|part| part.replace("{victim}", "victim")) {
            assert!(all.iter().filter(|text| text.contains(&part)).count() > 2, "{part:?}");
        }
    }
}
