//! The measurements in `results.json`.

use std::{fs, io, path::PathBuf};

use login_benches::counts::{package_directory, target_directory};
use serde_json::{Map, Value};

use crate::quick::is_quick;

/// Writes the measurements of a part, in place of its earlier ones.
pub(crate) fn keep(part: &str, measured: &Value) -> io::Result<()> {
    let mut results = results();
    results.insert(part.to_owned(), measured.clone());
    let text = serde_json::to_string_pretty(&results)? + "\n";
    fs::write(results_file(), text)
}

/// The last measurements of a part; `Null` if there are none.
pub(crate) fn kept(part: &str) -> Value {
    results().remove(part).unwrap_or_default()
}

fn results() -> Map<String, Value> {
    let text = fs::read_to_string(results_file()).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn results_file() -> PathBuf {
    output("results.json")
}

/// Where a file with results is written.
pub(crate) fn output(name: &str) -> PathBuf {
    if is_quick() {
        // Without the directory of the package.
        let name = name.trim_start_matches("../");
        target_directory().join(format!("quick-{name}"))
    } else {
        package_directory().join(name)
    }
}
