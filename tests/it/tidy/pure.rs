//! Folders of plain functions and data: no framework, no clock, no randomness, no system.

use super::{
    imports::{Files, Root, read},
    tokens::{Kind, Token, tokens},
};

/// Paths of other packages that no pure file names, nor anything below them.
const PATHS: [&str; 8] = [
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
];
/// Crates that no pure file names; one with a `*` stands for all crates that begin with it.
const CRATES: [&str; 6] = [
    "actix*",
    "tokio*",
    "tracing*",
    "rand",
    "rand_*",
    "getrandom",
];
/// Words that are in no pure file, whatever they mean there.
const WORDS: [&str; 4] = ["SystemTime", "Instant", "async", "await"];

/// Every breach of the purity of a folder, one line each. A pure folder imports only its own files.
pub(super) fn breaches(
    directory: &str,
    files: &Files,
    roots: &[Root<'_>],
    folder: &str,
) -> Vec<String> {
    let reading = match read(files, roots) {
        Ok(reading) => reading,
        Err(error) => return vec![format!("{directory}/{error}")],
    };
    let is_pure = |file: &str| file.starts_with(folder);
    let mut found = Vec::new();
    if !reading.files.iter().any(|file| is_pure(file)) {
        found.push(format!("{directory}: no file is in `{folder}`"));
    }
    let imports = reading.imports.iter().filter(|it| !is_pure(&it.target));
    let outside = reading.outside.iter().filter(|it| is_forbidden(&it.target));
    for import in imports.chain(outside).filter(|it| is_pure(&it.file)) {
        let super::imports::Import { file, line, target } = import;
        found.push(format!("{directory}/{file}:{line}: names {target}"));
    }
    for file in reading.files.iter().filter(|file| is_pure(file)) {
        let tokens = files.get(file).map(|source| tokens(source));
        // It could be read before.
        for (line, word) in forbidden_words(&tokens.and_then(Result::ok).unwrap_or_default()) {
            found.push(format!("{directory}/{file}:{line}: names {word}"));
        }
    }
    found
}

fn is_forbidden(path: &str) -> bool {
    let first = path.split("::").find(|name| !name.is_empty());
    let first = first.unwrap_or_default();
    let is_crate = |name: &&str| match name.strip_suffix('*') {
        Some(start) => first.starts_with(start),
        None => first == *name,
    };
    let path = match path.strip_prefix("core::") {
        Some(rest) => format!("std::{rest}"),
        None => path.to_owned(),
    };
    CRATES.iter().any(is_crate)
        || PATHS.iter().any(|start| {
            let rest = path.strip_prefix(start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
}

fn forbidden_words(tokens: &[Token]) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for token in tokens {
        match &token.kind {
            Kind::Word(word) if WORDS.contains(&word.as_str()) => found.push((token.line, &**word)),
            Kind::TestOnly(_) => {}
            _ => found.extend(forbidden_words(token.inner())),
        }
    }
    found
}
