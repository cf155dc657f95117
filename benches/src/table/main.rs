//! Measures everything, compares it with the goals and prints the tables.
//!
//! The results are kept in `results.json` and `BENCHMARKS.md`. `table <part> ..` measures only these
//! parts, `table print` measures nothing. `table quick ..` measures once and with little data, to try
//! whether everything runs: its results are kept in the target directory.

mod breakdown;
mod compile_time;
mod delay;
mod goals;
mod growth;
mod load;
mod many;
mod plot;
mod postgres;
mod processes;
mod quick;
mod redis;
mod report;
mod requests;
mod results;
mod round_trips;
mod server;

use std::{env, io};

use login_benches::counts;
use serde_json::Value;

use self::{quick::QUICK, results::keep};

type Measure = fn() -> io::Result<Value>;

/// The parts that can be measured on their own, in the order of a whole run.
const PARTS: [(&str, Measure); 6] = [
    ("counts", count),
    ("requests", requests::measure),
    ("redis", round_trips::measure),
    ("load", load::measure),
    ("growth", growth::measure),
    ("build", compile_time::measure),
];

/// The argument with which nothing is measured.
const PRINT: &str = "print";

fn main() -> io::Result<()> {
    let asked = env::args().skip(1).filter(|argument| argument != QUICK);
    let asked: Vec<_> = asked.collect();
    let is_part = |asked: &String| PARTS.iter().any(|(name, _)| asked == name);
    if let Some(unknown) = asked
        .iter()
        .find(|&asked| !is_part(asked) && asked != PRINT)
    {
        let parts = PARTS.map(|(name, _)| name).join(", ");
        let message = format!("there is no {unknown}, only {parts}, {PRINT} and {QUICK}");
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

/// Counts instructions and allocations, and keeps the breakdown of the same profiles.
fn count() -> io::Result<Value> {
    let counts = counts::count(&[], None)?;
    keep("breakdown", &breakdown::measure()?)?;
    Ok(serde_json::to_value(counts)?)
}
