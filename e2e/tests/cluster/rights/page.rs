//! The tables of docs/security.md: a test writes each, and fails when the page has another.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};

/// One test at a time writes the page.
static PAGE: Mutex<()> = Mutex::new(());

/// Fails if the page has not exactly these rows between its marks `name`; with `EXPECTORATE=overwrite`, writes them.
pub(crate) fn has_table(name: &str, rows: &[String]) -> Result<()> {
    let _alone = PAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let page = std::fs::read_to_string(&path)?;
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = page.split_once(&begin).context("docs/security.md has lost a mark")?;
    let (found, after) = rest.split_once(&end).context("docs/security.md has lost a mark")?;
    let table = format!("\n| Tried | Refused by |\n|---|---|\n{}\n", rows.concat());
    if std::env::var_os("EXPECTORATE").is_some_and(|value| value == "overwrite") {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}"))?;
        return Ok(());
    }
    ensure!(
        found == table,
        "docs/security.md does not say what was seen; repeat this test with EXPECTORATE=overwrite, and read the difference.\nseen:{table}"
    );
    Ok(())
}
