//! Whether requests cost more than they did: `check`, and `check keep` to keep the counts at hand.
//!
//! Only instructions are compared, which are the same in every run; never times.

use std::{env, fs, io, path::PathBuf, process::ExitCode};

use login_benches::counts::{self, Counts};
use serde::{Deserialize, Serialize};

/// How much more a scenario may cost, in percent. Raising it lets the cost creep; lowering it makes
/// changes fail that only moved code around.
const MOST: f64 = 2.0;
/// How far the floor's own counts may be from those that were kept, in percent, before ours are
/// compared as parts of it: another processor picks other code in libraries.
const SAME: f64 = 0.5;

#[derive(Deserialize, Serialize)]
struct Kept {
    /// The compiler; another one makes other code.
    rustc: String,
    /// Instructions per request.
    counts: Counts,
}

fn main() -> io::Result<ExitCode> {
    let file = counts::here().join("counts.json");
    if env::args().nth(1).as_deref() == Some("keep") {
        return keep(&file).map(|()| ExitCode::SUCCESS);
    }
    let kept: Kept = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let rustc = counts::rustc();
    if kept.rustc != rustc {
        println!(
            "SKIPPED: the counts are of {}, and this is {rustc}; keep new ones with `benches/run check keep`",
            kept.rustc
        );
        return Ok(ExitCode::SUCCESS);
    }
    let counts = counts::count(&["--no-default-features"])?;
    Ok(compare(&kept.counts, &counts))
}

fn keep(file: &PathBuf) -> io::Result<()> {
    let kept = Kept {
        rustc: counts::rustc(),
        counts: counts::count(&["--no-default-features"])?,
    };
    fs::write(file, serde_json::to_string_pretty(&kept)? + "\n")
}

/// Prints every scenario, and fails if one of ours costs more than it may.
fn compare(kept: &Counts, counts: &Counts) -> ExitCode {
    let more = |before: u64, now: u64| 100.0 * (now as f64 / before as f64 - 1.0);
    let drift = |scenario: &str| {
        let of = |counts: &Counts| counts.get("floor")?.get(scenario).copied();
        match (of(kept), of(counts)) {
            (Some(before), Some(now)) if more(before, now).abs() > SAME => {
                now as f64 / before as f64
            }
            _ => 1.0,
        }
    };
    let mut failed = false;
    println!("{:<14}{:<14}{:>9}{:>9}  change", "", "", "kept", "now");
    for (contender, scenarios) in kept {
        for (scenario, &before) in scenarios {
            let Some(&now) = counts
                .get(contender)
                .and_then(|counts| counts.get(scenario))
            else {
                failed = true;
                println!("{contender:<14}{scenario:<14}{before:>9}  missing: FAILED");
                continue;
            };
            // Without the floor among them, a scenario is compared as it is.
            let drift = if contender == "floor" {
                1.0
            } else {
                drift(scenario)
            };
            let more = more(before, now) / drift - 100.0 * (1.0 - 1.0 / drift);
            let over = contender != "floor" && more > MOST;
            failed |= over;
            let verdict = match (over, drift != 1.0) {
                (true, _) => ": FAILED",
                (false, true) => " (as a part of the floor, which differs here)",
                (false, false) => "",
            };
            println!("{contender:<14}{scenario:<14}{before:>9}{now:>9}  {more:+.2} %{verdict}");
        }
    }
    if failed {
        println!(
            "requests cost over {MOST} % more than before; if that is meant, `benches/run check keep`"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
