//! Measures, prints the table, says which goals are met, and keeps all of it in `results` and in
//! `BENCHMARKS.md`: `table`, or `table <part> ..`.

mod breakdown;
mod build;
mod goals;
mod growth;
mod here;
mod plot;
mod report;
mod server;

use std::{env, fs, io};

use serde_json::Value;

type Measure = fn() -> io::Result<Value>;

/// What can be measured on its own, in the order in which it is.
const PARTS: [(&str, Measure); 6] = [
    ("counts", counts),
    ("requests", here::measure),
    ("redis", server::redis_commands),
    ("load", server::load),
    ("growth", growth::measure),
    ("build", build::measure),
];

fn main() -> io::Result<()> {
    let asked: Vec<_> = env::args().skip(1).collect();
    for (name, measure) in PARTS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            eprintln!("measuring: {name}");
            keep(name, &measure()?)?;
        }
    }
    report::write()
}

fn counts() -> io::Result<Value> {
    let counts = login_benches::counts::count(&[])?;
    keep("breakdown", &breakdown::measure()?)?;
    Ok(serde_json::to_value(counts)?)
}

fn keep(part: &str, measured: &Value) -> io::Result<()> {
    let directory = login_benches::counts::here().join("results");
    fs::create_dir_all(&directory)?;
    let text = serde_json::to_string_pretty(measured)? + "\n";
    fs::write(directory.join(part).with_extension("json"), text)
}

/// What was measured last, or nothing.
fn kept(part: &str) -> Value {
    let file = login_benches::counts::here()
        .join("results")
        .join(part)
        .with_extension("json");
    let text = fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
