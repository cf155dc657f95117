//! What a guard asks for, in words: `login`, `fresh(10m, user = Admin)`.

use std::{fmt, time::Duration};

/// What a guard asks for. Each policy adds its part; see [`Described`].
#[doc(hidden)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    fresh: bool,
    terms: Vec<String>,
}

impl Description {
    pub(crate) fn of<P: Described>() -> Self {
        let mut description = Self::default();
        P::describe(&mut description);
        description
    }

    /// Asks for a fresh login, at most this old if that is said.
    pub(crate) fn fresh(&mut self, within: Option<Duration>) {
        self.fresh = true;
        if let Some(age) = within {
            self.terms.insert(0, short(age));
        }
    }

    /// Asks for this user type, and not for that of the manager's first loader.
    pub(crate) fn user(&mut self, type_name: &str) {
        // Without the path; generic arguments may have paths too, so those stay whole.
        let name = match type_name.contains('<') {
            true => type_name,
            false => type_name.rsplit("::").next().unwrap_or(type_name),
        };
        self.add(format!("user = {name}"));
    }

    /// Adds a condition as it is written in an attribute, such as `passive`.
    pub(crate) fn add(&mut self, term: impl Into<String>) {
        self.terms.push(term.into());
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.fresh { "fresh" } else { "login" })?;
        if self.terms.is_empty() {
            return Ok(());
        }
        write!(f, "({})", self.terms.join(", "))
    }
}

/// What a guard asks for, in words.
///
/// Asks less of the types in it than [`Policy`](crate::guard::Policy) does: what is no user there has
/// been complained about already.
pub trait Described: 'static {
    #[doc(hidden)]
    fn describe(description: &mut Description);
}

/// A duration as attributes take it: `10m`.
fn short(age: Duration) -> String {
    let seconds = age.as_secs();
    let (number, unit) = match seconds {
        s if s > 0 && s % 86_400 == 0 => (s / 86_400, "d"),
        s if s > 0 && s % 3_600 == 0 => (s / 3_600, "h"),
        s if s > 0 && s % 60 == 0 => (s / 60, "m"),
        s => (s, "s"),
    };
    format!("{number}{unit}")
}
