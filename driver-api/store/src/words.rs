//! Whether the words of a spec, which become part of a request, are names and lead nowhere else.
//!
//! The CRDs have patterns for the same. An object may be older than they are, or its status written by somebody.

use super::target::StoreTarget;
use driver::error::{DriverError, ErrorKind, Result};

/// Fails if a word of the target is not what it should be. `s3.` begins the name of the field.
pub(super) fn check_target(target: &StoreTarget) -> Result<()> {
    let StoreTarget { region, bucket, prefix, endpoint: _, path_style: _, credentials: _ } = target;
    if !is_region(region) {
        return Err(invalid("s3.region", region, "letters, digits, dashes and underscores"));
    }
    if !is_bucket(bucket) {
        return Err(invalid(
            "s3.bucket",
            bucket,
            "3 to 63 lowercase letters, digits, dashes and single dots",
        ));
    }
    if let Some(prefix) = prefix
        && !is_prefix(prefix)
    {
        return Err(invalid(
            "s3.prefix",
            prefix,
            "at most 512 characters: folders of letters, digits and !_'()*=.- with single slashes between them",
        ));
    }
    Ok(())
}

/// Fails if that is not a folder below a prefix.
pub(super) fn check_path(path: &str) -> Result<()> {
    if path.split('/').all(is_folder) {
        return Ok(());
    }
    Err(invalid(
        "the path of a backup",
        path,
        "folders of letters, digits and !_'()*=.- with single slashes between",
    ))
}

fn invalid(field: &str, word: &str, expected: &str) -> DriverError {
    let message = format!("{field} {word:?} cannot be: use {expected}");
    DriverError::new(ErrorKind::Invalid, message)
}

/// It becomes part of a host name.
fn is_region(word: &str) -> bool {
    let is_within = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    is_bounded(word) && word.len() <= 63 && word.chars().all(is_within)
}

/// By the rules of S3.
fn is_bucket(word: &str) -> bool {
    let is_label = |label: &str| {
        let is_within = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        is_bounded(label) && label.chars().all(is_within)
    };
    let is_number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    let is_address = word.split('.').count() == 4 && word.split('.').all(is_number);
    (3..=63).contains(&word.len()) && word.split('.').all(is_label) && !is_address
}

fn is_prefix(word: &str) -> bool {
    let begun = word.strip_prefix('/').unwrap_or(word);
    let folders = begun.strip_suffix('/').unwrap_or(begun);
    word.len() <= 512 && (folders.is_empty() && word.len() < 2 || folders.split('/').all(is_folder))
}

/// Whether it begins and ends with a letter or digit.
fn is_bounded(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Whether it is the name of a folder, and not the folder itself or the one above.
fn is_folder(word: &str) -> bool {
    let is_within = |c: char| c.is_ascii_alphanumeric() || "!_'()*=.-".contains(c);
    !word.trim_matches('.').is_empty() && word.chars().all(is_within)
}
