//! A test that knows all routes.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::routes::audit::{Audit, Route};

/// Set to anything, it has [`assert_reviewed`] write the file anew.
const UPDATE: &str = "UPDATE_AUDIT";

/// Fails the test if a route is undeclared, or if the routes are not those in the file at `path`.
///
/// The file is the table that [`Audit`] prints, reviewed and checked in with the code: a new route, or
/// one that opens, shows up in its difference. `UPDATE_AUDIT=1 cargo test` writes it. The path is
/// relative to the package.
///
/// # Panics
///
/// That is how it fails. It names each undeclared route and where it seems to be in the source.
#[track_caller]
pub fn assert_reviewed(audit: &Audit, path: impl AsRef<Path>) {
    let undeclared: Vec<_> = audit.undeclared().map(describe).collect();
    assert!(
        undeclared.is_empty(),
        "these routes do not say who may reach them; put `#[login_required]` or `#[public]` above the \
         route attribute, or `.wrap(public())` around them:\n{}",
        undeclared.concat(),
    );
    let path = package().join(path);
    let found = audit.to_string();
    if env::var_os(UPDATE).is_some() {
        let written = fs::write(&path, &found);
        assert!(written.is_ok(), "{}: {written:?}", path.display());
        return;
    }
    let reviewed = fs::read_to_string(&path)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert!(
        found == reviewed,
        "the routes are not those in {} (`{UPDATE}=1 cargo test` writes it):\n{}",
        path.display(),
        difference(&reviewed, &found),
    );
}

fn package() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from)
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

/// Lines that only one of the two has.
fn difference(reviewed: &str, found: &str) -> String {
    let gone = reviewed
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line));
    let new = found
        .lines()
        .filter(|line| !reviewed.lines().any(|other| other == *line));
    let lines = gone
        .map(|line| format!("- {line}\n"))
        .chain(new.map(|line| format!("+ {line}\n")));
    lines.collect()
}

/// Where in the sources of the package a route seems to be: its handler, or else its path.
fn place(route: &Route) -> Option<String> {
    let package = package();
    let mut files = Vec::new();
    rust_files(&package, &mut files);
    files.sort();
    let texts: Vec<_> = files
        .iter()
        .filter_map(|file| Some((file, fs::read_to_string(file).ok()?)))
        .collect();
    let find = |wanted: &dyn Fn(&str) -> bool| {
        texts.iter().find_map(|(file, text)| {
            let line = text.lines().position(wanted)?;
            let file = file.strip_prefix(&package).unwrap_or(file);
            Some(format!("{}:{}", file.display(), line + 1))
        })
    };
    // The path as far as it stands in one place: without more and more of the scopes around it.
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
