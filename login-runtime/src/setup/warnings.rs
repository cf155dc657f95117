//! What a login manager's settings weaken, for the log.
//!
//! A setting that can only weaken has `danger` in its name. One that weakens only with some values, or
//! that many applications need, is logged when the manager is built.

use crate::{manager::Manager, policy::weaknesses::weaknesses};

/// Logs a line for each setting that weakens.
pub(crate) fn log(manager: &Manager) {
    for weakness in weaknesses(manager) {
        if !weakness.is_logged {
            continue;
        }
        let finding = weakness.finding;
        let text = finding.sentence();
        if finding.code.starts_with("cookie-") {
            tracing::warn!(target: "login", event = "weak_cookie", "{text}");
        } else {
            tracing::warn!(target: "login", event = "weak_setting", "{text}");
        }
    }
}
