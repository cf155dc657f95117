//! Prints which tests were skipped in this run of cargo, and why.
//!
//! Not a test but a test target without a harness, since the harness has no hook at its end and hides
//! what tests print. Cargo runs the test targets of a package in the order of their names, so this
//! name has to come last.

use std::{env, io::Write as _, process::ExitCode};

use login_tests::skips::{List, report};

fn main() -> ExitCode {
    // Other test runners ask for a list of tests first; there are none.
    if env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let skipped = List::of_this_run().and_then(|list| list.take());
    let printed = skipped.and_then(|skipped| {
        let report = report(&skipped);
        match report.is_empty() {
            true => Ok(()),
            false => writeln!(std::io::stdout(), "\n{report}"),
        }
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("which tests were skipped is not known: {error}");
            ExitCode::FAILURE
        }
    }
}
