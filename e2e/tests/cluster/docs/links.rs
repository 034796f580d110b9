//! Every link leads somewhere: to a file that is there, and to a heading that is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::pages::{documents, name_of, root};

/// How a page that is read elsewhere, as that of a crate is, links to one of ours.
const OURS: &str = "https://github.com/isotoma/db-operator/blob/main/";

/// The lines that are text, and no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What a line links to.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    // What is between backticks is no link.
    let text = line.split('`').step_by(2);
    text.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// The anchors that a page has: GitHub makes one of each heading.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let headings =
        prose(text).filter(|line| line.trim_start_matches('#').starts_with(' ') && line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
            let anchor: String = kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect();
            let before = times.entry(anchor.clone()).or_default();
            *before += 1;
            if *before == 1 { anchor } else { format!("{anchor}-{}", *before - 1) }
        })
        .collect()
}

/// Where a link in `file` leads: a file, and an anchor in it. None for a link to somebody else's page.
fn destination(file: &Path, target: &str) -> Result<Option<(PathBuf, String)>> {
    let (folder, target) = match target.strip_prefix(OURS) {
        Some(ours) => (root(), ours),
        None => (file.parent().context("a file without a folder")?.to_owned(), target),
    };
    if target.contains("://") {
        return Ok(None);
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { file.to_owned() } else { folder.join(path) };
    Ok(Some((path, anchor.to_owned())))
}

/// What is wrong with the links of a page that says `text`.
fn broken(file: &Path, text: &str) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for target in prose(text).flat_map(targets) {
        let Some((path, anchor)) = destination(file, target)? else { continue };
        let leads_somewhere = path.exists()
            && (anchor.is_empty()
                || path == file && anchors(text).contains(&anchor)
                || path != file && anchors(&std::fs::read_to_string(&path)?).contains(&anchor));
        if !leads_somewhere {
            broken.push(format!("{}: {target} leads nowhere", name_of(file)));
        }
    }
    Ok(broken)
}

#[test]
fn every_link_between_documents_leads_to_a_file_and_a_heading() {
    let check = || -> Result<()> {
        let mut wrong = Vec::new();
        for file in documents()? {
            wrong.extend(broken(&file, &std::fs::read_to_string(&file)?)?);
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    };
    check().unwrap();
}

#[test]
fn a_link_that_leads_nowhere_is_found_wherever_it_is() {
    let file = root().join("docs/README.md");
    let text = format!(
        "# One `thing`, twice\n# One thing twice\n[a](#one-thing-twice) [b](#one-thing-twice-1) [c](#one-thing-twice-2)\n\
         [d](no.md) [e](platform.md#install) [f](platform.md#no) [g]({OURS}docs/no.md) [h]({OURS}README.md#try-it)\n\
         `[i](no.md)` [j](https://example.com/no#no)\n```sh\n# no-heading\n[k](no.md)\n```\n[l](#no-heading)"
    );
    let found = broken(&file, &text).unwrap();
    let named = |target: &str| format!("docs/README.md: {target} leads nowhere");
    let expected =
        ["#one-thing-twice-2", "no.md", "platform.md#no", &format!("{OURS}docs/no.md"), "#no-heading"]
            .map(named);
    assert_eq!(found, expected);
}
