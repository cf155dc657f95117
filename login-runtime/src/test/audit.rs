//! An assertion that compares all routes with a reviewed list.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    routes::audit::{Audit, Route},
    test::review::{assert_reviewed_text, package},
};

/// The environment variable that makes [`assert_reviewed`] write the file again, whatever its value.
const UPDATE: &str = "UPDATE_AUDIT";

/// Fails the test if a route is undeclared, if a login or refresh view leads to no route or refuses the
/// clients who are sent there, or if the routes differ from those in the file at `path`.
///
/// The file contains the table that [`Audit`] prints. Review it, and commit it with the code: its
/// diff then shows a new route, or one that is no longer guarded. `UPDATE_AUDIT=1 cargo test` writes
/// it. The path is relative to the package.
///
/// # Panics
///
/// If the test fails. The message lists each undeclared route, with its likely place in the source.
#[track_caller]
pub fn assert_reviewed(audit: &Audit, path: impl AsRef<Path>) {
    let undeclared: Vec<_> = audit.undeclared().map(describe).collect();
    assert!(
        undeclared.is_empty(),
        "these routes are undeclared; put `#[login_required]` or `#[public]` above the route attribute, \
         or `.wrap(public())` around them; if that is there, middleware in between awaits something first: \
         wrap it in `routes_behind(..)`:\n{}{}",
        undeclared.concat(),
        audit.note().unwrap_or_default(),
    );
    assert!(
        audit.broken_views().is_empty(),
        "refused clients would be sent to the wrong place:\n  {}",
        audit.broken_views().join("\n  "),
    );
    let found = audit.to_string();
    assert_reviewed_text(
        &found,
        "the routes differ from those",
        path.as_ref(),
        UPDATE,
    );
}

fn describe(route: &Route) -> String {
    let condition = route.condition.as_deref();
    let condition = condition.map_or_else(String::new, |text| format!(" [{text}]"));
    let (method, pattern) = (&route.method, &route.pattern);
    match place(route) {
        Some(place) => format!("  {method} {pattern}{condition} in {place}\n"),
        None => format!("  {method} {pattern}{condition}\n"),
    }
}

/// The likely place of a route in the sources of the package: its route attribute, its handler, or
/// else its path.
fn place(route: &Route) -> Option<String> {
    let package = package();
    let mut files = Vec::new();
    rust_files(&package, &mut files);
    files.sort();
    let texts: Vec<_> = files
        .iter()
        .filter_map(|file| Some((file, fs::read_to_string(file).ok()?)))
        .collect();
    let find = |matches: &dyn Fn(&str) -> bool| {
        texts.iter().find_map(|(file, text)| {
            let line = text.lines().position(matches)?;
            let file = file.strip_prefix(&package).unwrap_or(file);
            Some(format!("{}:{}", file.display(), line + 1))
        })
    };
    // The source contains the path without the paths of the scopes around it. How many those are is
    // unknown, so this tries each end of the path, the longest first.
    let path = route.pattern.strip_prefix('/').unwrap_or_default();
    let mut ends: Vec<_> = path
        .match_indices('/')
        .map(|(at, _)| &path[at + 1..])
        .collect();
    ends.insert(0, path);
    let quoted = |end: &str| [format!("\"/{end}\""), format!("\"{end}\"")];
    let method = route.method.to_lowercase();
    let attribute = |line: &str| {
        let route = format!("{method}(");
        line.trim_start().starts_with("#[") && (line.contains(&route) || line.contains("route("))
    };
    let by_attribute = ends.iter().find_map(|end| {
        find(&|line| attribute(line) && quoted(end).iter().any(|path| line.contains(path)))
    });
    let by_name = || {
        let handler = format!("fn {}(", route.handler.as_deref()?);
        find(&|line| line.contains(&handler))
    };
    let by_path = || {
        ends.iter()
            .filter(|end| !end.is_empty())
            .find_map(|end| find(&|line| quoted(end).iter().any(|path| line.contains(path))))
    };
    by_attribute.or_else(by_name).or_else(by_path)
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}
