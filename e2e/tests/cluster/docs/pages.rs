//! The pages of the documentation, and the fenced blocks in them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::{helm, kubectl};

/// A fenced block: where it is, its info string, and its text.
pub(crate) struct Block {
    pub(crate) place: String,
    pub(crate) info: String,
    pub(crate) text: String,
}

/// The checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every page.
pub(crate) fn documents() -> Result<Vec<PathBuf>> {
    let mut found: Vec<_> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .into_iter()
        .map(|name| root().join(name))
        .collect();
    let mut folders: Vec<_> = ["docs", "charts", "driver-api", "drivers", "e2e"]
        .into_iter()
        .map(|name| root().join(name))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// How people call a file.
pub(crate) fn name_of(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// The fenced blocks of a page.
pub(crate) fn blocks(file: &Path) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in std::fs::read_to_string(file)?.lines().zip(1..) {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                let place = format!("{}:{number}", name_of(file));
                open = Some(Block { place, info: info.trim().to_owned(), text: String::new() });
            }
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    ensure!(open.is_none(), "{}: a block does not end", file.display());
    Ok(blocks)
}

/// The commands of the one block of a page that begins so: the words of each line.
pub(crate) fn commands(page: &str, begin: &str) -> Result<Vec<Vec<String>>> {
    let blocks = blocks(&root().join(page))?;
    let mut found = blocks.iter().filter(|block| block.text.starts_with(begin));
    let block = found.next().with_context(|| format!("{page} has no block that begins with {begin:?}"))?;
    ensure!(found.next().is_none(), "{page} has two blocks that begin with {begin:?}");
    Ok(block.text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
}

/// Runs a command of a page, with further arguments. No quotes of a page hold a space.
pub(crate) async fn run(command: &[String], further: &[&str]) -> Result<String> {
    let (program, arguments) = command.split_first().context("an empty line is no command")?;
    let arguments: Vec<_> = arguments.iter().map(|word| word.replace('\'', "")).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(further.iter().copied()).collect();
    match program.as_str() {
        "kubectl" => kubectl(&arguments).await,
        "helm" => helm(&arguments).await,
        other => bail!("nobody knows how to run {other}"),
    }
}

/// The blocks of YAML of all pages.
pub(crate) fn yaml_blocks() -> Result<Vec<Block>> {
    let mut all = Vec::new();
    for file in documents()? {
        all.extend(blocks(&file)?.into_iter().filter(|block| block.info.starts_with("yaml")));
    }
    ensure!(all.len() > 5, "only {} blocks of YAML found: the test looks in the wrong places", all.len());
    Ok(all)
}
