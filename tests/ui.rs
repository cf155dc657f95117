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
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use login_tests::skips::{Extent, skip};

/// The compiler that wrote the `.stderr` files. Other versions word messages differently. `tests/all`
/// reads this line.
const TOOLCHAIN: &str = "1.95.0";

/// The version of the compiler in use, if it is another one.
fn other_compiler() -> Option<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    (version.split(' ').nth(1) != Some(TOOLCHAIN)).then_some(version)
}

#[test]
fn wrong_programs_are_told_what_to_do() {
    if let Some(version) = other_compiler() {
        let why = format!(
            "the expected messages are those of rustc {TOOLCHAIN}, and this is {}",
            version.trim(),
        );
        return skip(Extent::All, &why);
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

/// Where the compiler itself says what is wrong, and says it well.
const COMPILERS_OWN: [&str; 17] = [
    "derive/by-hand-without-a-name",
    "guards/stale-login-that-ends-others",
    "guards/wrong-body",
    "permissions/check-of-another-user",
    "permissions/check-that-returns-no-bool",
    "permissions/unknown-permission",
    "setup/fresh-user-of-a-bare-guard",
    "setup/loader-of-another-id",
    "setup/loader-that-is-not-async",
    "setup/loader-without-a-result",
    "setup/setting-without-effect",
    "setup/without-a-loader",
    "verified/forgotten-await",
    "verified/forgotten-confirmation",
    "verified/question-mark-before-await",
    "verified/question-mark-before-await-of-a-confirmation",
    "verified/used-twice",
];

/// Where actix-web complains too, in `.to(handler)`: a bound of its own that no macro can take back.
const HANDLER_BOUND: [&str; 3] = [
    "guards/registered-for-a-plain-struct",
    "guards/registered-with-a-wrong-response",
    "guards/registered-with-a-wrong-argument",
];

/// How many cases each theme has at least.
const THEMES: [(&str, usize); 5] = [
    ("derive", 15),
    ("guards", 20),
    ("permissions", 20),
    ("setup", 10),
    ("verified", 8),
];

/// An error as a case's `.stderr` shows it.
#[derive(Debug)]
struct Shown<'a> {
    message: &'a str,
    /// Where its primary span is.
    place: &'a str,
    /// Whether it is about what actix-web asks of every handler.
    is_handler_bound: bool,
}

/// The errors in a `.stderr`.
fn shown(stderr: &str) -> Vec<Shown<'_>> {
    let lines: Vec<_> = stderr.lines().collect();
    let mut starts: Vec<_> = (0..lines.len())
        .filter(|&line| lines[line].starts_with("error"))
        .collect();
    starts.push(lines.len());
    let errors = starts
        .windows(2)
        .map(|between| &lines[between[0]..between[1]]);
    errors
        .map(|error| Shown {
            message: error[0].split_once(": ").unwrap().1,
            // The primary span follows the message, which may have more than one line.
            place: error
                .iter()
                .find_map(|line| line.trim_start().strip_prefix("--> "))
                .unwrap(),
            is_handler_bound: error.iter().any(|line| line.contains("Resource::<T>::to`")),
        })
        .collect()
}

/// The text of every source file below a directory of the workspace, but for unit tests in folders of
/// their own, which repeat the messages.
fn sources(directory: &str) -> Vec<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut directories, mut texts) = (vec![workspace.join(directory)], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

/// Everything that the macros and the traits can say.
fn our_words() -> String {
    let mut words = sources("login-macros/src").concat();
    for source in sources("login-runtime/src") {
        // What traits say, and what a proof says that is none.
        let lines = source.lines().map(str::trim_start);
        words.extend(lines.filter(|line| {
            line.starts_with("message = ")
                || line.starts_with("\"the guard ")
                || line.starts_with("const EXEMPT")
        }));
    }
    words
}

/// Whether a message is ours: a piece of it, between names and numbers, stands in our source.
fn is_ours(message: &str, words: &str) -> bool {
    let between = |c: char| ",;:\"".contains(c) || c.is_ascii_digit();
    // Every second part is in back-ticks.
    let said = message.split('`').step_by(2);
    said.flat_map(|part| part.split(between))
        .any(|piece| piece.trim().len() > 9 && words.contains(piece.trim()))
}

/// What is wrong with the answer to a wrong program.
fn faults(name: &str, stderr: &str, words: &str) -> Vec<String> {
    let errors = shown(stderr);
    let mut faults = Vec::new();
    let Some((first, others)) = errors.split_first() else {
        return vec!["no error".to_owned()];
    };
    if is_ours(first.message, words) == COMPILERS_OWN.contains(&name) {
        faults.push(format!("whose words are these? {}", first.message));
    }
    if !first.place.starts_with(&format!("ui/{name}.rs:")) {
        faults.push(format!("points at {}", first.place));
    }
    let mut bounds = 0;
    for other in others {
        if !other.is_handler_bound {
            faults.push(format!("one error too many: {}", other.message));
        } else {
            bounds += 1;
        }
    }
    if (bounds > 0) != HANDLER_BOUND.contains(&name) {
        faults.push(format!("{bounds} errors about actix-web's `Handler`"));
    }
    if stderr.contains("warning") {
        faults.push("a warning".to_owned());
    }
    faults
}

#[test]
fn one_mistake_is_one_error_in_the_file_that_makes_it() {
    let words = our_words();
    let (mut wrong, mut counts) = (String::new(), BTreeMap::new());
    for case in cases() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&case);
        let stderr = fs::read_to_string(path.with_extension("stderr")).unwrap_or_default();
        let name = case.with_extension("");
        let name = name.strip_prefix("ui").unwrap().to_str().unwrap();
        for fault in faults(name, &stderr, &words) {
            writeln!(wrong, "{name}: {fault}").unwrap();
        }
        let theme = name.split_once('/').unwrap().0.to_owned();
        *counts.entry(theme).or_insert(0) += 1;
    }
    assert_eq!(wrong, "");
    let all: usize = counts.values().sum();
    eprintln!(
        "{all} wrong programs: {counts:?}; one error each, {} in the compiler's words",
        COMPILERS_OWN.len()
    );
    for (theme, at_least) in THEMES {
        assert!(counts.get(theme) >= Some(&at_least), "{counts:?}");
    }
}

#[test]
fn the_check_of_the_answers_finds_what_is_wrong_with_them() {
    let words = our_words();
    let ours = "error: `passive` takes no value\n --> ui/guards/x.rs:3:18\n";
    let foreign = "error[E0308]: mismatched types\n --> ui/guards/x.rs:5:1\n";
    let bound = "error[E0277]: the trait bound `u32: Responder` is not satisfied\n \
                 --> ui/guards/x.rs:5:1\n\
                 note: required by a bound in `Resource::<T>::to`\n";
    assert_eq!(faults("guards/x", ours, &words), [""; 0]);
    assert_eq!(faults("guards/x", "", &words), ["no error"]);
    for (stderr, expected) in [
        (
            foreign.to_owned(),
            "whose words are these? mismatched types",
        ),
        (
            ours.replace("guards/x", "guards/y"),
            "points at ui/guards/y.rs:3:18",
        ),
        (
            ours.repeat(2),
            "one error too many: `passive` takes no value",
        ),
        (
            format!("{ours}{foreign}"),
            "one error too many: mismatched types",
        ),
        (
            format!("{ours}{bound}"),
            "1 errors about actix-web's `Handler`",
        ),
        (format!("{ours}warning: unused\n"), "a warning"),
    ] {
        assert_eq!(faults("guards/x", &stderr, &words), [expected]);
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
