//! Each sentence of the contract is tied to a rule, and each rule to a sentence.

use std::path::Path;

use crate::testkit::conformance::rules::RULES;

/// What no test can show, and why.
const CANNOT_BE_SHOWN: &[(&str, &str)] = &[];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The doc comments of a file as one line.
fn documentation(path: &str) -> String {
    let text = read(path);
    let lines = text.lines().map(str::trim_start);
    let lines = lines.filter_map(|line| line.strip_prefix("///").or_else(|| line.strip_prefix("//!")));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn contract() -> String {
    ["src/driver.rs", "src/dump.rs", "src/error.rs"].map(documentation).join(" ")
}

/// Where `part` is in `text`.
fn places<'a>(text: &'a str, part: &'a str) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
    text.match_indices(part).map(|(begin, _)| begin..begin + part.len())
}

#[test]
fn each_must_is_shown_by_a_rule() {
    let text = contract();
    let quoted = RULES.iter().map(|rule| rule.shows).chain(CANNOT_BE_SHOWN.iter().map(|(part, _)| *part));
    let shown: Vec<_> = quoted.flat_map(|part| places(&text, part)).collect();
    let musts: Vec<_> = places(&text, "MUST").collect();
    assert!(musts.len() >= 15, "only {} are found", musts.len());
    for must in musts {
        let around = text.get(must.start.saturating_sub(80)..(must.end + 80).min(text.len()));
        let is_shown = shown.iter().any(|part| part.start <= must.start && must.end <= part.end);
        assert!(is_shown, "no rule shows: … {} …", around.unwrap_or("?"));
    }
}

#[test]
fn each_rule_shows_what_the_contract_says_once() {
    let text = contract();
    for rule in RULES {
        let count = places(&text, rule.shows).count();
        assert!(count == 1 || (count > 0 && !rule.shows.contains("MUST")), "{}: {count} times", rule.name);
    }
}

#[test]
fn each_rule_is_documented_with_a_sentence_of_the_contract() {
    for rule in RULES {
        let source = read(&format!("src/testkit/conformance/{}.rs", rule.group));
        let (before, _) = source
            .split_once(&format!("pub async fn {}<", rule.name))
            .unwrap_or_else(|| panic!("{}", rule.name));
        let lines: Vec<_> = before.lines().rev().take_while(|line| line.starts_with("///")).collect();
        assert!(lines.iter().any(|line| line.contains('"')), "{} quotes nothing", rule.name);
    }
}

#[test]
fn the_guide_for_authors_lists_the_rules() {
    let text = read("../../docs/drivers.md");
    let listed: Vec<_> =
        text.lines().filter(|line| line.starts_with("| `") && line.matches('`').count() >= 2).collect();
    let listed: Vec<_> = listed.into_iter().skip_while(|line| !line.contains(RULES[0].name)).collect();
    let rules: Vec<_> = RULES.iter().map(|rule| format!("| `{}` | {} |", rule.name, rule.shows)).collect();
    assert_eq!(listed, rules);
}
