//! Compares the costs of requests with those in `counts.json`.
//!
//! - `check` fails if a request costs more than before.
//! - `check keep` writes the present costs to `counts.json`.
//! - `check twice` counts two times and fails if the counts differ.
//! - `check <filter>` counts only names that begin with the filter: `check readme`, `check readme::`,
//!   `check readme_cookie::protected`, `check protected`. Without the floor, nothing is compared in
//!   relation to it.
//!
//! It compares instructions and allocations, which are the same in every run, and never times.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use login_benches::{
    contenders::Contender,
    counts::{self, Count, Counts},
};
use serde::{Deserialize, Serialize};

/// By how many percent the instructions of a scenario may grow. A higher limit lets the cost grow
/// unnoticed; a lower one fails for changes that only move code.
const MOST: f64 = 2.0;
/// By how much the allocations of a request may grow. A limit of one does not notice one more
/// allocation in each request; a lower limit than this fails if a table grows one request earlier.
const MOST_ALLOCATIONS: f64 = 0.5;
/// By how many percent the counts of the floor may differ from the kept ones. If they differ more, ours
/// are compared in relation to the floor: libraries choose other code on another processor.
const SAME: f64 = 0.5;
/// By how many percent two runs of the same code may differ.
const NOISE: f64 = 1.0;

/// Leaves the other login layers out, since our changes do not affect them.
const FEATURES: &[&str] = &["--no-default-features"];

#[derive(Deserialize, Serialize)]
struct Kept {
    /// The version of the compiler, since each version generates different code.
    rustc: String,
    counts: Counts,
}

fn main() -> io::Result<ExitCode> {
    let file = counts::package_directory().join("counts.json");
    match env::args().nth(1).as_deref() {
        None => check(&file, None),
        Some("keep") => keep(&file).map(|()| ExitCode::SUCCESS),
        Some("twice") => twice(),
        Some(filter) => check(&file, Some(filter)),
    }
}

fn keep(file: &PathBuf) -> io::Result<()> {
    let kept = Kept {
        rustc: counts::rustc(),
        counts: counts::count(FEATURES, None)?,
    };
    fs::write(file, serde_json::to_string_pretty(&kept)? + "\n")
}

fn check(file: &Path, filter: Option<&str>) -> io::Result<ExitCode> {
    let kept: Kept = serde_json::from_str(&fs::read_to_string(file)?)?;
    let counts = counts::count(FEATURES, filter)?;
    let same_compiler = kept.rustc == counts::rustc();
    let failed = compare(&kept.counts, &counts, same_compiler, filter.is_none());
    if !same_compiler {
        println!(
            "ONLY ALLOCATIONS WERE CHECKED: the counts are from {}, and this is {}",
            kept.rustc,
            counts::rustc()
        );
    }
    if failed {
        println!(
            "requests cost over {MOST} % or {MOST_ALLOCATIONS} allocations more than before; if that is intended, run `benches/run check keep`"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints every scenario and returns whether one of ours costs too much. Instructions are compared only
/// if the compiler is the same. If all were counted, a kept one that is missing costs too much as well.
fn compare(kept: &Counts, counts: &Counts, same_compiler: bool, all: bool) -> bool {
    let mut failed = false;
    println!(
        "{:<34}{:>9}{:>9}{:>10}{:>9}{:>9}",
        "", "kept", "now", "", "kept", "now"
    );
    for (contender, scenarios) in counts {
        for (scenario, now) in scenarios {
            let name = format!("{contender:<20}{scenario:<14}");
            let before = kept.get(contender).and_then(|kept| kept.get(scenario));
            let Some(before) = before else {
                failed = true;
                println!("{name}{:>9}{:>9}  FAILED: not kept", "", now.instructions);
                continue;
            };
            let (is_floor, drift) = (
                contender.starts_with("floor"),
                drift(kept, counts, contender, scenario),
            );
            let expected = if is_floor {
                before.instructions as f64
            } else {
                before.instructions as f64 * drift
            };
            let more = percent_more(expected, now.instructions as f64);
            let is_over = !is_floor && same_compiler && more > MOST;
            let allocates = !is_floor && now.allocations > before.allocations + MOST_ALLOCATIONS;
            failed |= is_over || allocates;
            println!(
                "{name}{:>9}{:>9}{more:>+8.2} %{:>9.2}{:>9.2}{}{}{}",
                before.instructions,
                now.instructions,
                before.allocations,
                now.allocations,
                if is_over {
                    "  FAILED: instructions"
                } else {
                    ""
                },
                if allocates {
                    "  FAILED: allocations"
                } else {
                    ""
                },
                if !is_floor && drift != 1.0 {
                    "  (in relation to the floor, which differs here)"
                } else {
                    ""
                },
            );
        }
    }
    for (contender, scenarios) in kept.iter().filter(|_| all) {
        let counted = counts.get(contender);
        for scenario in scenarios.keys() {
            if !counted.is_some_and(|counted| counted.contains_key(scenario)) {
                failed = true;
                println!("{contender:<20}{scenario:<14}  FAILED: no longer counted");
            }
        }
    }
    failed
}

/// The cost of the floor in relation to its kept cost; 1 if they differ by less than [`SAME`].
fn drift(kept: &Counts, counts: &Counts, contender: &str, scenario: &str) -> f64 {
    let floor = Contender::of(contender).map_or("floor", |contender| contender.floor().name());
    let of = |counts: &Counts| {
        let floor = counts.get(floor)?;
        // The floor lacks the scenarios that only ours has; a protected page is the nearest one.
        let count = floor.get(scenario).or_else(|| floor.get("protected"))?;
        Some(count.instructions as f64)
    };
    match of(kept).zip(of(counts)) {
        Some((before, now)) if percent_more(before, now).abs() > SAME => now / before,
        _ => 1.0,
    }
}

fn percent_more(before: f64, now: f64) -> f64 {
    100.0 * (now / before - 1.0)
}

/// Counts every contender twice and prints the differences between the two runs.
fn twice() -> io::Result<ExitCode> {
    let (first, second) = (counts::count(&[], None)?, counts::count(&[], None)?);
    let mut largest = (0.0, String::new());
    let (mut scenarios_counted, mut scenarios_different) = (0, 0);
    for (contender, scenarios) in &first {
        for (scenario, &one) in scenarios {
            let other = second
                .get(contender)
                .and_then(|counts| counts.get(scenario));
            let &other = other.ok_or_else(|| {
                io::Error::other(format!("{contender}, {scenario} was counted only once"))
            })?;
            let difference = difference(one, other);
            scenarios_counted += 1;
            if difference > 0.0 {
                scenarios_different += 1;
                println!("{contender:<20}{scenario:<14}{difference:>8.3} %  {one:?}, {other:?}");
            }
            if difference > largest.0 {
                largest = (difference, format!(", {contender}, {scenario}"));
            }
        }
    }
    let (most, place) = largest;
    println!(
        "{scenarios_different} of {scenarios_counted} scenarios differ between two runs; the largest difference is {most:.3} %{place}"
    );
    if most >= NOISE {
        println!("FAILED: that is {NOISE} % or more");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The difference in percent: of instructions or of allocations, whichever is larger.
fn difference(one: Count, other: Count) -> f64 {
    let instructions = percent_more(one.instructions as f64, other.instructions as f64);
    let allocations = percent_more(one.allocations, other.allocations);
    instructions.abs().max(allocations.abs())
}
