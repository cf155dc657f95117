//! Whether to measure only roughly.

use std::env;

/// The argument with which everything is measured roughly.
pub(crate) const QUICK: &str = "quick";

/// Whether the measurements only have to run, and need not be exact.
pub(crate) fn is_quick() -> bool {
    env::args().any(|argument| argument == QUICK)
}
