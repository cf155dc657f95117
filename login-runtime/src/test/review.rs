//! Compares a text with a file that a person has reviewed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::policy::document::Policy;

/// The environment variable that makes [`assert_policy`] write the file again, whatever its value.
const UPDATE: &str = "UPDATE_POLICY";

/// Fails the test if a login manager's policy differs from the text in the file at `path`.
///
/// Review the file, and commit it with the code: its diff then shows each setting that changes (ASVS 7.1.1 to
/// 7.1.3). `UPDATE_POLICY=1 cargo test` writes it. The path is relative to the package.
///
/// # Panics
///
/// If the test fails.
#[track_caller]
pub fn assert_policy(policy: &Policy, path: impl AsRef<Path>) {
    assert_reviewed_text(
        &policy.to_string(),
        "the policy differs from that",
        path.as_ref(),
        UPDATE,
    );
}

/// Fails if a text differs from the file, or writes the file if the variable is set.
#[track_caller]
pub(crate) fn assert_reviewed_text(found: &str, what: &str, path: &Path, update: &str) {
    let path = package().join(path);
    if env::var_os(update).is_some() {
        let written = fs::write(&path, found);
        assert!(written.is_ok(), "{}: {written:?}", path.display());
        return;
    }
    let reviewed = fs::read_to_string(&path)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert!(
        found == reviewed,
        "{what} in {} (`{update}=1 cargo test` writes it):\n{}",
        path.display(),
        difference(&reviewed, found),
    );
}

pub(crate) fn package() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from)
}

/// The lines that only one of the two texts contains.
fn difference(reviewed: &str, found: &str) -> String {
    let only = |sign, text: &str, other: &str| {
        let lines = text
            .lines()
            .filter(|line| other.lines().all(|it| it != *line));
        lines
            .map(|line| format!("{sign} {line}\n"))
            .collect::<String>()
    };
    only('-', reviewed, found) + &only('+', found, reviewed)
}
