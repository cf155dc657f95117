//! Rules about the source that no compiler checks.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A Rust file of ours, or a manifest.
struct Source {
    /// Relative to the workspace, with slashes.
    path: String,
    text: String,
}

impl Source {
    /// The file's lines with their numbers, but for comments and what is compiled for tests only.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let text = match self.text.split_once("\n#[cfg(test)]\nmod tests {") {
            Some((code, tests)) => {
                let end = tests.find("\n}\n").map(|end| &tests[end + 3..]);
                assert_eq!(
                    end,
                    Some(""),
                    "{}: the test module ends the file",
                    self.path
                );
                code
            }
            None => &self.text,
        };
        text.lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(index, line)| (index + 1, line))
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Where one of these words stands in the code.
    fn find(&self, words: &[&str]) -> Vec<String> {
        self.code()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
            .map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim()))
            .collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust files and manifests below a directory of the workspace.
fn sources(directory: &str) -> Vec<Source> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path
                .extension()
                .is_some_and(|end| end == "rs" || end == "toml")
            {
                found.push(path);
            }
        }
    }

    let mut found = Vec::new();
    walk(&root().join(directory), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{directory}");
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/"),
    };
    found.into_iter().map(source).collect()
}

fn runtime() -> Vec<Source> {
    sources("login-runtime/src")
}

/// The files of the runtime that mention one of these words.
fn files_with(words: &[&str]) -> Vec<String> {
    runtime()
        .iter()
        .filter(|source| !source.find(words).is_empty())
        .filter_map(|source| {
            source
                .path
                .strip_prefix("login-runtime/src/")
                .map(str::to_owned)
        })
        .collect()
}

/// Where security is decided: plain functions, tested as such.
const PURE: [&str; 5] = [
    "next.rs",
    "policy.rs",
    "protection.rs",
    "remember.rs",
    "user.rs",
];

#[test]
fn pure_files_import_no_framework_no_clock_and_no_chance() {
    let pure: Vec<_> = runtime()
        .into_iter()
        .filter(|source| PURE.contains(&source.name()))
        .collect();
    assert_eq!(pure.len(), PURE.len());
    for source in &pure {
        for (number, line) in source.code() {
            let line = line.trim_start();
            let import = line
                .strip_prefix("pub(crate) ")
                .or_else(|| line.strip_prefix("pub "))
                .unwrap_or(line)
                .strip_prefix("use ");
            let Some(import) = import else {
                assert!(
                    !line.contains("crate::"),
                    "{}:{number}: {line}",
                    source.path
                );
                continue;
            };
            let mut parts = import
                .split([':', ';', ' '])
                .filter(|part| !part.is_empty());
            let from = parts.next().unwrap_or_default();
            let ours = from == "crate"
                && PURE.contains(&&*format!("{}.rs", parts.next().unwrap_or_default()));
            // What they may import besides: the derive, and the row that a token is judged by.
            let allowed = matches!(
                (source.name(), import),
                ("user.rs", "login_macros::AuthUser;") | ("remember.rs", "crate::store::Family;")
            );
            assert!(
                matches!(from, "std" | "serde") || ours || allowed,
                "{}:{number}: {line}",
                source.path,
            );
        }
        let words = [
            "actix",
            "tokio",
            "tracing",
            "SystemTime",
            "Instant",
            "clock",
            "rand",
            "async ",
            "std::env",
            "std::fs",
        ];
        assert_eq!(source.find(&words), [""; 0]);
    }
}

#[test]
fn few_files_know_the_session_crate() {
    let expected = [
        // Hands the session on to `session.rs`, with a user whose type it alone knows.
        "loader.rs",
        // The manager names the type of its session store, and so does who adds to it.
        "logins.rs",
        "manager.rs",
        "middleware.rs",
        "session.rs",
        "session_store.rs",
    ];
    assert_eq!(files_with(&["actix_session"]), expected);
    assert_eq!(
        files_with(&["\"_login"]),
        ["session.rs"],
        "the keys of our session entries"
    );
}

#[test]
fn signatures_and_chance_have_one_place() {
    let words = ["hmac::", "siphasher::", "subtle::", "getrandom::"];
    // The suite for stores makes keys that no other run has.
    assert_eq!(files_with(&words), ["cookies.rs", "test/store.rs"]);
    // A store is handed the hash of a login's id, and never the id; two of them hash whose it is.
    assert_eq!(
        files_with(&["sha2::"]),
        [
            "cookies.rs",
            "store/mod.rs",
            "store/redis.rs",
            "store/sql.rs"
        ]
    );
    assert_eq!(files_with(&["argon2::"]), ["password.rs"]);
    assert_eq!(files_with(&["SystemTime::now"]), ["clock.rs"]);
    // A purge measures how long it keeps others waiting, and a request how long it waited in vain.
    assert_eq!(
        files_with(&["Instant::now"]),
        ["store/erased.rs", "store/sql.rs"]
    );
}

#[test]
fn nobody_but_the_crate_knows_the_middleware() {
    for source in runtime() {
        let own = source.name() == "lib.rs";
        let imports = source.find(&[
            "mod middleware",
            "crate::middleware",
            "super::middleware",
            "{middleware::",
            " middleware::",
        ]);
        assert_eq!(imports.len(), usize::from(own), "{imports:?}");
    }
}

#[test]
fn the_crates_never_panic_on_purpose() {
    let words = [
        ".unwrap()",
        ".unwrap_err()",
        ".expect(",
        ".expect_err(",
        "panic!",
        "todo!",
        "unimplemented!",
        "unreachable!",
        "dbg!",
        "println!",
    ];
    let mut all = runtime();
    all.extend(sources("login-macros/src"));
    for source in all {
        // What asserts something for a test panics if it is not so.
        if source.name() == "test.rs" || source.path.contains("/test") {
            continue;
        }
        assert_eq!(source.find(&words), [""; 0]);
    }
}

#[test]
fn macros_give_the_same_output_for_the_same_input() {
    for source in sources("login-macros/src") {
        assert_eq!(
            source.find(&["HashMap", "HashSet", "std::env", "SystemTime"]),
            [""; 0]
        );
    }
}

#[test]
fn tests_and_examples_reach_what_users_reach() {
    for directory in ["tests", "examples"] {
        for source in sources(directory) {
            // This file has to name what it looks for.
            if source.name() == "tidy.rs" {
                continue;
            }
            let words: &[_] = match source.name() {
                "Cargo.toml" => &["login-macros"],
                _ => &["login_macros", "__private::"],
            };
            assert_eq!(source.find(words), [""; 0]);
        }
    }
}

#[test]
fn every_file_says_what_it_is_about() {
    for directory in ["login-macros/src", "login-runtime/src", "tests/it"] {
        for source in sources(directory) {
            assert!(source.text.starts_with("//! "), "{}", source.path);
        }
    }
}
