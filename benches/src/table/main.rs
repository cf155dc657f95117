//! Measures, prints the table, says which goals are met, and keeps all of it in `results.json` and in
//! `BENCHMARKS.md`: `table`, `table <part> ..`, or `table print`.

mod breakdown;
mod build;
mod goals;
mod growth;
mod here;
mod plot;
mod report;
mod server;

use std::{env, fs, io, path::PathBuf};

use login_benches::counts;
use serde_json::{Map, Value};

type Measure = fn() -> io::Result<Value>;

/// What can be measured on its own, in the order in which it is.
const PARTS: [(&str, Measure); 6] = [
    ("counts", count),
    ("requests", here::measure),
    ("redis", server::redis_commands),
    ("load", server::load),
    ("growth", growth::measure),
    ("build", build::measure),
];

/// In place of a part: prints what is there, and measures nothing.
const PRINT: &str = "print";

fn main() -> io::Result<()> {
    let asked: Vec<_> = env::args().skip(1).collect();
    let is_part = |asked: &String| PARTS.iter().any(|(name, _)| asked == name);
    if let Some(unknown) = asked
        .iter()
        .find(|&asked| !is_part(asked) && asked != PRINT)
    {
        let parts = PARTS.map(|(name, _)| name).join(", ");
        let message = format!("there is no {unknown}, only {parts} and {PRINT}");
        return Err(io::Error::other(message));
    }
    for (name, measure) in PARTS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            eprintln!("measuring: {name}");
            keep(name, &measure()?)?;
        }
    }
    report::write()
}

fn count() -> io::Result<Value> {
    let counts = counts::count(&[])?;
    keep("breakdown", &breakdown::measure()?)?;
    Ok(serde_json::to_value(counts)?)
}

fn keep(part: &str, measured: &Value) -> io::Result<()> {
    let mut results = results();
    results.insert(part.to_owned(), measured.clone());
    let text = serde_json::to_string_pretty(&results)? + "\n";
    fs::write(results_file(), text)
}

/// What was measured last, or nothing.
fn kept(part: &str) -> Value {
    results().remove(part).unwrap_or_default()
}

fn results() -> Map<String, Value> {
    let text = fs::read_to_string(results_file()).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn results_file() -> PathBuf {
    counts::here().join("results.json")
}
