//! Rules about the source that no compiler checks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::imports::{Files, Root};

mod examples;
mod imports;
mod order;
mod pure;
mod tokens;

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

#[test]
fn few_files_know_the_session_crate() {
    // A manager and its builder name the type of the session store, and so does the service.
    let expected = [
        "auth/logins.rs",
        "manager.rs",
        "policy/deploy.rs",
        "policy/describe.rs",
        "service/login.rs",
        "session/contents.rs",
        "session/mod.rs",
        "session/store.rs",
        "setup/build.rs",
        "setup/builder.rs",
        "setup/sessions.rs",
        "setup/settings.rs",
    ];
    assert_eq!(files_with(&["actix_session"]), expected);
    assert_eq!(
        files_with(&["\"_login"]),
        ["session/entry.rs"],
        "the keys of our session entries"
    );
}

#[test]
fn signatures_and_randomness_have_one_place() {
    let words = ["hmac::", "siphasher::", "subtle::", "getrandom::"];
    // The suite for stores makes keys that no other run has.
    let places = ["keys/fingerprints.rs", "keys.rs", "test/store.rs"];
    assert_eq!(files_with(&words), places);
    // A store is given the hash of a login token, and never the token; two stores hash the owner.
    assert_eq!(
        files_with(&["sha2::"]),
        ["core/login.rs", "keys.rs", "store/sql/postgres.rs"]
    );
    assert_eq!(files_with(&["argon2::"]), ["users/password/check.rs"]);
    assert_eq!(files_with(&["SystemTime::now"]), ["clock.rs"]);
    // A purge measures how long it holds others up, and a request how long it waited in vain. The metrics
    // measure calls of stores and checks of passwords. A cache knows how old its answers are.
    assert_eq!(
        files_with(&["Instant::now"]),
        [
            "measure.rs",
            "store/cached.rs",
            "store/deadline.rs",
            "store/sql/readers.rs",
            "store/sql.rs"
        ]
    );
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

/// The files of `login-runtime/src`, top first: each imports only what stands below it.
const RUNTIME: &[&str] = &[
    "lib.rs",
    "audit_trail.rs",
    "config.rs",
    "guards.rs",
    "guide.rs",
    "logins.rs",
    "password.rs",
    "private.rs",
    "throttle.rs",
    "proxies.rs",
    "service/cross_site.rs",
    "service/login.rs",
    "service/late.rs",
    "service/reopen.rs",
    "service/response.rs",
    "setup/builder.rs",
    "setup/build.rs",
    "setup/sessions.rs",
    "setup/settings.rs",
    "setup/warnings.rs",
    "test/asvs.rs",
    "test/asvs/suite.rs",
    "test/asvs/checks.rs",
    "test/asvs/crossing.rs",
    "test/asvs/guessing.rs",
    "test/asvs/written.rs",
    "test/asvs/play.rs",
    "test/asvs/log.rs",
    "test/asvs/report.rs",
    "test/asvs/facts.rs",
    "test.rs",
    "test/audit.rs",
    "test/review.rs",
    "test/throttle_store.rs",
    "test/store.rs",
    "test/strict.rs",
    "test/strict/set_cookie.rs",
    "test/strict/challenge.rs",
    "test/strict/rule.rs",
    "auth/verify.rs",
    "auth/attempt.rs",
    "policy/describe.rs",
    "policy/deploy.rs",
    "policy/weaknesses.rs",
    "policy/finding.rs",
    "policy/document.rs",
    "auth/carried.rs",
    "auth/confirm.rs",
    "auth/log_in.rs",
    "auth/establish.rs",
    "auth/log_out.rs",
    "auth/logins.rs",
    "auth/seen_client.rs",
    "auth/require.rs",
    "auth/safe_method.rs",
    "auth/auth.rs",
    "routes/audit.rs",
    "routes/gate.rs",
    "routes/seen_declared.rs",
    "routes/cross_site.rs",
    "routes/strict.rs",
    "routes/scope_guard.rs",
    "routes/declare.rs",
    "routes/login_scope.rs",
    "routes/behind.rs",
    "routes/probe.rs",
    "routes/audited_views.rs",
    "routes/report.rs",
    "routes/samples.rs",
    "guard/description.rs",
    "guard/guarded.rs",
    "guard/proof.rs",
    "guard/current.rs",
    "guard/decide.rs",
    "guard/views.rs",
    "guard/policy.rs",
    "guard/terms.rs",
    "request/restore.rs",
    "request/fast_lookup.rs",
    "request/lookup.rs",
    "request/client.rs",
    "request/remember_cookie.rs",
    "request/due_message.rs",
    "request/root_span.rs",
    "request/stand_in.rs",
    "request/state.rs",
    "request/credential.rs",
    "request/local_mutex.rs",
    "request/trace.rs",
    "manager.rs",
    "refusal/answer.rs",
    "refusal/messages.rs",
    "refusal/redirect.rs",
    "refusal/here.rs",
    "refusal/views.rs",
    "refusal/navigation.rs",
    "refusal/accept.rs",
    "refusal/scope.rs",
    "refusal/settings.rs",
    "refusal/kept_next.rs",
    "audit_trail/trail.rs",
    "audit_trail/stored.rs",
    "events/count.rs",
    "events.rs",
    "events/login.rs",
    "conditions/condition.rs",
    "conditions/outcome.rs",
    "users/password.rs",
    "users/password/check.rs",
    "users/password/queue.rs",
    "users/permission.rs",
    "users/fields.rs",
    "users/user_type.rs",
    "users/loader.rs",
    "users/verified.rs",
    "session/store.rs",
    "session/contents.rs",
    "session/fate.rs",
    "session/identity.rs",
    "session/entry.rs",
    "store/mod.rs",
    "store/throttle.rs",
    "store/memory/mod.rs",
    "store/memory/index.rs",
    "store/memory/shard.rs",
    "store/memory/throttle.rs",
    "store/records.rs",
    "store/deadline.rs",
    "store/cached.rs",
    "store/redis_throttle.rs",
    "store/redis.rs",
    "store/redis/connection.rs",
    "store/redis/packed.rs",
    "store/sql.rs",
    "store/event_sink.rs",
    "store/login_store.rs",
    "store/throttle_store.rs",
    "store/ahead.rs",
    "store/sql/postgres.rs",
    "store/sql/readers.rs",
    "store/sql/sqlite.rs",
    "store/sql/throttle.rs",
    "store/sql/events.rs",
    "store/sql/statements.rs",
    "http/caching.rs",
    "http/seen.rs",
    "http/cookie_settings.rs",
    "http/session_cookie.rs",
    "http/cookies.rs",
    "http/pass_through.rs",
    "http/set_cookie.rs",
    "http/cross_site.rs",
    "http/proxies.rs",
    "http/view.rs",
    "http/escape.rs",
    "keys.rs",
    "keys/fingerprints.rs",
    "hooks.rs",
    "error.rs",
    "spans.rs",
    "measure.rs",
    "metrics.rs",
    "core/caching.rs",
    "core/costs.rs",
    "core/cross_site.rs",
    "core/forwarded.rs",
    "core/freshness.rs",
    "core/next.rs",
    "core/resolve.rs",
    "core/protection.rs",
    "core/remember.rs",
    "core/throttle.rs",
    "core/seen_client.rs",
    "core/limits.rs",
    "core/login.rs",
    "core/user.rs",
    "core/weak_secret.rs",
    "clock.rs",
];

/// The same for `login-macros/src`.
const MACROS: &[&str] = &[
    "lib.rs",
    "auth_user/check.rs",
    "auth_user/expand.rs",
    "auth_user/fallback.rs",
    "auth_user/mod.rs",
    "auth_user/parse.rs",
    "auth_user/model.rs",
    "guards/assertions.rs",
    "guards/check.rs",
    "guards/expand.rs",
    "guards/mod.rs",
    "guards/order.rs",
    "guards/parse.rs",
    "guards/policy.rs",
    "guards/model.rs",
    "permissions.rs",
    "public.rs",
    "condition_types.rs",
    "conditions/expand.rs",
    "conditions/parse.rs",
    "conditions/model.rs",
    "options.rs",
    "source_text.rs",
    "routes.rs",
    "handler.rs",
    "errors.rs",
    "argument_check.rs",
    "guard_kind.rs",
    "paths.rs",
    "spans.rs",
    "types.rs",
];

/// The same for `benches`.
const BENCHES: &[&str] = &[
    "benches/instructions/main.rs",
    "benches/instructions/deterministic.rs",
    "src/check.rs",
    "src/serve.rs",
    "src/table/main.rs",
    "src/table/report.rs",
    "src/table/goals.rs",
    "src/table/growth.rs",
    "src/table/results.rs",
    "src/table/",
    "src/table/redis.rs",
    "src/table/server.rs",
    "src/table/processes.rs",
    "src/table/plot.rs",
    "src/table/quick.rs",
    "src/lib.rs",
    "src/contenders/run.rs",
    "src/contenders/",
    "src/contenders/floor.rs",
    "src/contenders/sessions.rs",
    "src/contenders/client.rs",
    "src/contenders/contender.rs",
    "src/contenders/setup.rs",
    "src/users.rs",
    "src/scenario.rs",
    "src/counts.rs",
];

/// A crate that begins in `lib.rs`.
const LIB: [Root<'static>; 1] = [Root {
    file: "lib.rs",
    name: None,
}];

/// The Rust files in some folders of a package, by their paths from the package's own folder.
fn files(package: &str, folders: &[&str]) -> Files {
    let folders = folders.iter().map(|folder| format!("{package}{folder}"));
    let sources = folders.flat_map(|folder| sources(&folder));
    sources
        .filter_map(|Source { path, text }| {
            let path = path.strip_prefix(package)?.strip_prefix('/')?;
            path.ends_with(".rs").then(|| (path.to_owned(), text))
        })
        .collect()
}

fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn imports_of_the_runtime_go_down() {
    let directory = "login-runtime/src";
    let files = files(directory, &[""]);
    assert_none(&order::breaches(directory, &files, &LIB, RUNTIME));
}

#[test]
fn the_core_of_the_runtime_is_pure() {
    let directory = "login-runtime/src";
    let files = files(directory, &[""]);
    assert_none(&pure::breaches(directory, &files, &LIB, "core/"));
}

#[test]
fn imports_of_the_macros_go_down() {
    let directory = "login-macros/src";
    let files = files(directory, &[""]);
    assert_none(&order::breaches(directory, &files, &LIB, MACROS));
}

#[test]
fn imports_of_the_benchmarks_go_down() {
    let root = |file, name| Root { file, name };
    let roots = [
        root("src/lib.rs", Some("login_benches")),
        root("src/table/main.rs", None),
        root("src/serve.rs", None),
        root("src/check.rs", None),
        root("benches/instructions/main.rs", None),
    ];
    let files = files("benches", &["/src", "/benches"]);
    assert_none(&order::breaches("benches", &files, &roots, BENCHES));
}
