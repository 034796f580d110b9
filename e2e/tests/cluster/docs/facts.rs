//! What the documentation says about the code, and that no example in it is somebody's secret.

use anyhow::{Context as _, Result, ensure};

use super::pages::{documents, name_of, root};

/// The words for numbers, as pages write them.
const NUMBERS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
];

/// How many methods the trait has that a driver implements.
fn methods_of_a_driver() -> Result<usize> {
    let source = std::fs::read_to_string(root().join("driver-api/driver/src/driver.rs"))?;
    let (_, rest) = source.split_once("pub trait Driver").context("where is the trait?")?;
    let (body, _) = rest.split_once("\n}\n").context("the trait does not end")?;
    Ok(body.lines().filter(|line| line.starts_with("    fn ")).count())
}

#[test]
fn the_documentation_counts_the_methods_of_a_driver_right() {
    let check = || -> Result<()> {
        let right = NUMBERS.get(methods_of_a_driver()?).context("so many?")?;
        let mut places = 0;
        for file in documents()? {
            let text = std::fs::read_to_string(&file)?;
            for (before, _) in text.match_indices(" methods").map(|(at, _)| text.split_at(at)) {
                let said = before.rsplit(char::is_whitespace).next().unwrap_or_default();
                if before.ends_with(&format!("trait with {said}")) {
                    ensure!(said == *right, "{}: {said} methods, and it is {right}", name_of(&file));
                    places += 1;
                }
            }
        }
        ensure!(places >= 2, "only {places} pages say how many: the test looks for the wrong words");
        Ok(())
    };
    check().unwrap();
}

#[test]
fn no_recipient_in_the_documentation_is_one_whose_key_is_in_this_repository() {
    let check = || -> Result<()> {
        let ours = include_str!("../age-recipient.txt").trim();
        let mut found = Vec::new();
        for file in documents()? {
            let text = std::fs::read_to_string(&file)?;
            let words = text.split(|sign: char| !sign.is_ascii_alphanumeric());
            found.extend(
                words.filter(|word| word.starts_with("age1") && word.len() == ours.len()).map(str::to_owned),
            );
        }
        ensure!(!found.is_empty(), "no recipient was found: the test looks for the wrong words");
        ensure!(
            !found.iter().any(|recipient| recipient == ours),
            "whoever has this repository can read such a backup"
        );
        Ok(())
    };
    check().unwrap();
}
