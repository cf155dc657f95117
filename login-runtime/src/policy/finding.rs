//! One thing that should not go live.

use std::fmt;

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// An attacker gains a login, or users lose theirs.
    Error,
    /// Safe in some applications, and a mistake in others: a person has to decide.
    Warning,
}

/// One setting that should not go live as it is.
///
/// `Display` writes one line: `memory-login-store (error): ..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// A stable name, for [`DeployCheck::allow`](crate::DeployCheck::allow).
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found: a clause without a full stop.
    pub what: String,
    /// What follows from it.
    pub follows: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

impl Finding {
    /// The finding as one sentence, which the log shows too.
    pub(crate) fn sentence(&self) -> String {
        let Self {
            what,
            follows,
            advice,
            ..
        } = self;
        format!("{what}, so {follows}; {advice}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{} ({severity}): {}", self.code, self.sentence())
    }
}
