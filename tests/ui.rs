//! What a wrong program is told: one error, in its own file, that says what to do.
//!
//! After a message changed, `TRYBUILD=overwrite cargo test -p login-tests --test ui` writes the
//! `.stderr` files anew. Read the difference like code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The compiler whose words the `.stderr` files hold. Others word things differently.
const TOOLCHAIN: &str = "1.95.0";

/// The compiler at hand, if it is another one.
fn other_compiler() -> Option<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    (version.split(' ').nth(1) != Some(TOOLCHAIN)).then_some(version)
}

#[test]
fn wrong_programs_are_told_what_to_do() {
    if let Some(version) = other_compiler() {
        eprintln!(
            "skipped: the messages are those of rustc {TOOLCHAIN}, and this is {}; \
             run `rustup toolchain install {TOOLCHAIN}` and \
             `cargo +{TOOLCHAIN} test -p login-tests --test ui`",
            version.trim(),
        );
        return;
    }
    trybuild::TestCases::new().compile_fail("ui/*/*.rs");
}

/// The cases, relative to this package.
fn cases() -> Vec<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases = Vec::new();
    for group in fs::read_dir(package.join("ui")).unwrap() {
        for file in fs::read_dir(group.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "rs") {
                cases.push(file.strip_prefix(package).unwrap().to_owned());
            }
        }
    }
    cases.sort();
    cases
}

#[test]
fn one_mistake_is_one_error_in_the_file_that_makes_it() {
    let cases = cases();
    assert!(cases.len() > 20, "{cases:?}");
    for case in cases {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(&case)
            .with_extension("stderr");
        let stderr = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = stderr.lines().collect();
        let errors: Vec<_> = (0..lines.len())
            .filter(|&line| lines[line].starts_with("error"))
            .collect();
        let [error] = *errors else {
            panic!("{} errors in {}:\n{stderr}", errors.len(), path.display());
        };
        // The primary span follows the message, which may have more than one line.
        let place = lines[error..]
            .iter()
            .find_map(|line| line.trim_start().strip_prefix("--> "));
        let here = format!("{}:", case.display());
        assert!(
            place.is_some_and(|place| place.starts_with(&here)),
            "{} points at {place:?}:\n{stderr}",
            path.display(),
        );
        assert!(!stderr.contains("warning"), "{}:\n{stderr}", path.display());
    }
}

#[test]
fn case_names_are_kebab_case() {
    for case in cases() {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let kebab = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(
            kebab && case.with_extension("stderr").file_name().is_some(),
            "{name}"
        );
    }
}
