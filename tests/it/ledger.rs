//! The comparison with Flask-Login: that no row is missing, and that every test it names exists.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// The numbers of the rows: everything that Flask-Login does.
const ROWS: [RangeInclusive<u32>; 12] = [
    1..=11,
    20..=26,
    30..=37,
    40..=46,
    50..=58,
    60..=74,
    80..=92,
    100..=116,
    120..=132,
    140..=147,
    150..=150,
    160..=163,
];

/// How many of its weaknesses there are.
const WEAKNESSES: u32 = 29;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The cells of the table rows, but for headings.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/from-flask-login.md")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let rows = lines.map(|line| {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        cells
    });
    rows.filter(|cells| cells[0] != "row" && !cells[0].starts_with("---"))
        .collect()
}

#[test]
fn every_row_is_there_once_and_is_complete() {
    let fl = ROWS.into_iter().flatten().map(|row| format!("FL-{row:03}"));
    let w = (1..=WEAKNESSES).map(|row| format!("W{row}"));
    let expected: Vec<_> = fl.chain(w).collect();
    let rows = rows();
    let found: Vec<_> = rows.iter().map(|cells| cells[0].clone()).collect();
    assert_eq!(found, expected);
    for cells in &rows {
        let columns = if cells[0].starts_with('W') { 4 } else { 5 };
        assert_eq!(cells.len(), columns, "{cells:?}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{cells:?}");
        if columns == 5 {
            let reason = cells[3].split_once(": ").map(|(verdict, _)| verdict);
            let verdict = reason.unwrap_or(&cells[3]);
            assert!(
                ["same", "better", "not here"].contains(&verdict),
                "{cells:?}"
            );
            assert!(verdict == "same" || reason.is_some(), "{cells:?}");
        }
    }
}

/// Whether a file has a function of this name.
fn has_function(file: &Path, name: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {name}()")))
}

/// Looks for a test, as a cell names it.
fn exists(test: &str) -> bool {
    if let Some(path) = test.strip_prefix("ui/") {
        return root().join("tests/ui").join(path).is_file();
    }
    let (directories, test) = match test.strip_prefix("unit: ") {
        Some(test) => (["login-runtime/src", "login-macros/src"], test),
        None => (["tests/it", "tests"], test),
    };
    let Some((module, name)) = test.rsplit_once("::") else {
        return false;
    };
    let file = PathBuf::from(format!("{}.rs", module.replace("::", "/")));
    directories
        .iter()
        .any(|directory| has_function(&root().join(directory).join(&file), name))
}

#[test]
fn every_test_that_is_named_exists() {
    let mut named = 0;
    for cells in rows() {
        let cell = cells.last().unwrap();
        // What stands in back-ticks is a test; the rest is the reason why there is none.
        for test in cell.split('`').skip(1).step_by(2) {
            assert!(exists(test), "{}: there is no test `{test}`", cells[0]);
            named += 1;
        }
    }
    assert!(named > 140, "{named}");
}

#[test]
fn what_does_not_exist_is_noticed() {
    for test in [
        "login::no_such_test",
        "no_such_module::a_whole_round",
        "a_whole_round",
        "ui/no-such-case.rs",
        "unit: core::next::no_such_test",
        "unit: login::a_whole_round",
    ] {
        assert!(!exists(test), "{test}");
    }
    for test in [
        "login::a_whole_round",
        "ui/derive/without-an-id.rs",
        "unit: core::next::paths_of_this_origin_are_followed",
        "unit: auth_user::tests::structs::a_field_called_id_is_the_id",
    ] {
        assert!(exists(test), "{test}");
    }
}
