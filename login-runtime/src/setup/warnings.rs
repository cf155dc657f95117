//! What a login manager's settings weaken, for the log.
//!
//! A setting that can only weaken has `danger` in its name. One that weakens only with some values, or
//! that many applications need, is logged when the manager is built.

use crate::{
    manager::Manager,
    policy::weaknesses::{Weakness, weaknesses},
};

/// Logs a line for each setting that weakens.
pub(crate) fn log(manager: &Manager) {
    for Weakness { finding, event } in weaknesses(manager) {
        if let Some(event) = event {
            tracing::warn!(target: "login", event, "{}", finding.sentence());
        }
    }
}
