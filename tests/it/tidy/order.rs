//! Who may import whom: one ordered list of the files and folders of a package.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::{Files, Import, Reading, Root, read};

/// Every breach of an ordered list, one line each.
///
/// The list begins with the top. An entry is a file or, with a slash at its end, a folder. Each file
/// belongs to the longest entry that fits, so a file may be listed apart from its folder. A breach is
///
/// 1. an import of a file that belongs to an entry above,
/// 2. a circle of imports between files, even within one entry,
/// 3. a file that fits no entry, unless it is a face and imports nothing but its own folder,
/// 4. an entry to which no file belongs,
/// 5. a file that no `mod` line declares.
///
/// What a face imports from its own folder is not judged.
pub(super) fn breaches(
    directory: &str,
    files: &Files,
    roots: &[Root<'_>],
    order: &[&str],
) -> Vec<String> {
    let mut reading = match read(files, roots) {
        Ok(reading) => reading,
        Err(error) => return vec![format!("{directory}/{error}")],
    };
    let Reading { faces, imports, .. } = &mut reading;
    imports.retain(|import| {
        let own = faces.get(&import.file);
        own.is_none_or(|folder| !import.target.starts_with(folder))
    });

    let mut found = unknown(&reading, order);
    found.extend(upward(&reading.imports, order));
    found.extend(circles(&reading.imports));
    let mut lines: Vec<_> = found
        .into_iter()
        .map(|breach| format!("{directory}/{breach}"))
        .collect();
    for (place, entry) in order.iter().enumerate() {
        if !reading
            .files
            .iter()
            .any(|file| level(file, order) == Some(place))
        {
            lines.push(format!(
                "{directory}: no file belongs to the entry `{entry}`"
            ));
        }
    }
    lines
}

/// The place of a file's entry in the list.
fn level(file: &str, order: &[&str]) -> Option<usize> {
    let fits = |entry: &str| file == entry || entry.ends_with('/') && file.starts_with(entry);
    let places = 0..order.len();
    places
        .filter(|place| fits(order[*place]))
        .max_by_key(|place| (order[*place].len(), std::cmp::Reverse(*place)))
}

fn unknown(reading: &Reading, order: &[&str]) -> Vec<String> {
    let imports_others = |file: &str| reading.imports.iter().any(|import| import.file == file);
    let listed = reading
        .files
        .iter()
        .filter(|file| level(file, order).is_none())
        .filter(|file| !reading.faces.contains_key(*file) || imports_others(file))
        .map(|file| format!("{file}:1: is not in the list"));
    let declared = reading
        .undeclared
        .iter()
        .map(|file| format!("{file}:1: no `mod` line declares this file"));
    listed.chain(declared).collect()
}

fn upward(imports: &BTreeSet<Import>, order: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for Import { file, line, target } in imports {
        if let (Some(own), Some(other)) = (level(file, order), level(target, order))
            && other < own
        {
            found.push(format!(
                "{file}:{line}: imports {target}, which is above it"
            ));
        }
    }
    found
}

/// One line for each set of files that all import each other, directly or through others.
fn circles(imports: &BTreeSet<Import>) -> Vec<String> {
    let mut graph: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for Import { file, line, target } in imports {
        let targets = graph.entry(file).or_default();
        targets.entry(target).or_insert(*line);
    }
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    for file in graph.keys() {
        if told.contains(file) {
            continue;
        }
        let reached = shortest_ways(&graph, file);
        let members: Vec<_> = reached
            .keys()
            .filter(|other| shortest_ways(&graph, other).contains_key(file))
            .copied()
            .collect();
        // The file itself is reached only over others.
        let Some(way) = reached.get(file) else {
            continue;
        };
        told.extend(members.iter().copied());
        let line = graph[file][way[0]];
        found.push(format!(
            "{file}:{line}: imports {}, and a circle leads back: {file} -> {}; {} files import each \
             other: {}",
            way[0],
            way.join(" -> "),
            members.len(),
            members.join(", "),
        ));
    }
    found
}

/// The files that a file imports, directly or through others, with the shortest way to each.
fn shortest_ways<'a>(
    graph: &BTreeMap<&'a str, BTreeMap<&'a str, usize>>,
    file: &'a str,
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut ways: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut queue = VecDeque::from([(file, Vec::new())]);
    while let Some((from, way)) = queue.pop_front() {
        for target in graph.get(from).into_iter().flat_map(BTreeMap::keys) {
            if !ways.contains_key(target) {
                let mut way = way.clone();
                way.push(*target);
                ways.insert(target, way.clone());
                queue.push_back((target, way));
            }
        }
    }
    ways
}
