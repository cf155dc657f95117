//! How long a login lasts without use, and how long at most.

use std::{fmt, time::Duration};

/// The number of steps of the idle limit: the use of a login is recorded at most once a step.
///
/// Raising it makes the idle limit more exact and writes more often; ten is the lowest number that keeps
/// the error within a tenth.
const STEPS: u64 = 10;

/// How far the clocks of two nodes may be apart, in seconds.
///
/// Nobody is taken for a thief, or treated as late, because two nodes disagree about the time by this
/// much. Raising it tolerates worse clocks; lowering it notices thieves and late requests more exactly.
pub(crate) const CLOCK_SKEW: i64 = 120;

const MINUTE: u64 = 60;

const HOUR: u64 = 60 * MINUTE;

const DAY: u64 = 24 * HOUR;

/// How long a login lasts without use, and how long at most (ASVS 7.3.1, 7.3.2).
///
/// The server checks both limits at each request that asks for the user. The idle limit needs a login
/// store, which records when a login was last used; the absolute limit always applies.
///
/// With several nodes, the limits are as exact as the clocks of the nodes agree: keep the clocks
/// synchronized, and choose an idle limit well above the difference that is left.
///
/// `Display` writes the limits for a security policy (ASVS 7.1.1):
///
/// ```
/// use login_runtime::Limits;
///
/// assert_eq!(Limits::default().to_string(), "a login ends after 30 min without use, and after 12 h at the latest");
/// assert_eq!(Limits::aal1().to_string(), "a login ends after 30 d at the latest");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    idle: Option<Duration>,
    absolute: Duration,
    remember: Option<Duration>,
}

impl Limits {
    /// 30 minutes without use, 12 hours at the latest.
    pub const fn new() -> Self {
        Self {
            idle: Some(Duration::from_secs(30 * MINUTE)),
            absolute: Duration::from_secs(12 * HOUR),
            remember: None,
        }
    }

    /// NIST SP 800-63B-4, authenticator assurance level 1: 30 days at the latest, remembered or not.
    pub const fn aal1() -> Self {
        Self {
            idle: None,
            absolute: Duration::from_secs(30 * DAY),
            remember: Some(Duration::from_secs(30 * DAY)),
        }
    }

    /// Level 2: an hour without use, 24 hours at the latest, remembered or not.
    ///
    /// A remember cookie restores a login that ended without use, as a stale one. Where that should
    /// need credentials too, do not ask for a remember cookie at log in.
    pub const fn aal2() -> Self {
        Self {
            idle: Some(Duration::from_secs(HOUR)),
            absolute: Duration::from_secs(24 * HOUR),
            remember: Some(Duration::from_secs(24 * HOUR)),
        }
    }

    /// Level 3: 15 minutes without use, 12 hours at the latest, remembered or not. What
    /// [`aal2`](Self::aal2) says about remember cookies applies here too.
    pub const fn aal3() -> Self {
        Self {
            idle: Some(Duration::from_secs(15 * MINUTE)),
            absolute: Duration::from_secs(12 * HOUR),
            remember: Some(Duration::from_secs(12 * HOUR)),
        }
    }

    /// Ends a login that was not used for this long.
    ///
    /// Raising it helps people who are interrupted; lowering it protects people who leave their device
    /// unlocked.
    #[must_use]
    pub const fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// Lets a login last without use until the absolute limit.
    #[must_use]
    pub const fn danger_no_idle_limit(mut self) -> Self {
        self.idle = None;
        self
    }

    /// Ends a login this long after it was made, whether it is used or not.
    #[must_use]
    pub const fn absolute(mut self, limit: Duration) -> Self {
        self.absolute = limit;
        self
    }

    /// Ends every remember cookie, and the logins that it restored, this long after credentials were
    /// given.
    ///
    /// Raising it asks people to log in less often; lowering it shortens the life of a stolen cookie.
    /// The presets of NIST SP 800-63B-4 set it to their absolute limit. Without it, a remember cookie may
    /// restore logins for as long as [`RememberCookie`](crate::RememberCookie) says.
    #[must_use]
    pub const fn remember_at_most(mut self, limit: Duration) -> Self {
        self.remember = Some(limit);
        self
    }

    /// How long after credentials were given a login may be remembered.
    pub(crate) fn remember(&self) -> Option<Duration> {
        self.remember
    }

    pub(crate) fn has_idle(&self) -> bool {
        self.idle.is_some()
    }

    /// What keeps these limits from an assurance level of NIST SP 800-63B-4, if a login may be remembered
    /// for this long after credentials were given.
    pub(crate) fn misses(&self, level: &Self, remembered: Option<Duration>) -> Vec<String> {
        let mut found = Vec::new();
        if self.absolute > level.absolute {
            found.push(format!(
                "a login lasts longer than {}",
                Span(level.absolute)
            ));
        }
        if remembered.is_some_and(|time| time > level.absolute) {
            found.push(format!(
                "it is remembered longer than {}",
                Span(level.absolute)
            ));
        }
        if let Some(limit) = level.idle
            && self.idle.is_none_or(|idle| idle > limit)
        {
            found.push(format!("it lasts longer than {} without use", Span(limit)));
        }
        found
    }

    /// The seconds of the idle limit and of the absolute limit.
    pub(crate) fn seconds(&self) -> (Option<u64>, u64) {
        (
            self.idle.map(|idle| idle.as_secs()),
            self.absolute.as_secs(),
        )
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.absolute.as_secs() == 0 {
            return Err("ends logins when they are made; give `absolute` at least a second");
        }
        match self.idle {
            Some(idle) if idle.as_secs() == 0 => {
                Err("ends logins at their first use; give `idle` at least a second")
            }
            Some(idle) if idle > self.absolute => {
                Err("has an idle limit above the absolute limit; lower `idle`")
            }
            _ => Ok(()),
        }
    }

    /// When a login that is made now ends at the latest.
    pub(crate) fn expires_at(&self, now: i64) -> i64 {
        now.saturating_add_unsigned(self.absolute.as_secs())
    }

    /// The time at which a login was made that ends at `end`, if it would not end before.
    pub(crate) fn started_at(&self, end: i64, now: i64) -> i64 {
        now.min(end.saturating_sub_unsigned(self.absolute.as_secs()))
    }

    /// Whether a login that was made at `started_at` is over the absolute limit.
    pub(crate) fn is_expired(&self, started_at: i64, now: i64) -> bool {
        since(started_at, now) >= self.absolute.as_secs()
    }

    /// Whether a login that was last used at `last_seen` is over the idle limit.
    pub(crate) fn is_idle(&self, last_seen: i64, now: i64) -> bool {
        self.idle
            .is_some_and(|limit| since(last_seen, now) > limit.as_secs())
    }

    /// Whether the use of a login has to be recorded.
    pub(crate) fn is_step(&self, last_seen: i64, now: i64) -> bool {
        // Without an idle limit, the time is only shown to people.
        let limit = self.idle.unwrap_or(Duration::from_secs(HOUR)).as_secs();
        since(last_seen, now) >= (limit / STEPS).max(1)
    }

    /// A login that was last used before this time is over the idle limit.
    pub(crate) fn idle_since(&self, now: i64) -> Option<i64> {
        self.idle
            .map(|limit| now.saturating_sub_unsigned(limit.as_secs()))
    }
}

/// Seconds from one time to another; zero if the clock went back.
fn since(then: i64, now: i64) -> u64 {
    now.saturating_sub(then).max(0).unsigned_abs()
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a login ends after ")?;
        if let Some(idle) = self.idle {
            write!(f, "{} without use, and after ", Span(idle))?;
        }
        write!(f, "{} at the latest", Span(self.absolute))
    }
}

/// A duration in the largest unit that divides it.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")];
        // One unit is written in the next smaller one: limits are easier to compare as 24 h and 12 h.
        let unit = units
            .iter()
            .find(|(unit, _)| seconds.is_multiple_of(*unit) && seconds > *unit);
        let (unit, name) = unit.unwrap_or(&(1, "s"));
        write!(f, "{} {name}", seconds / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_say_what_nist_says() {
        assert_eq!(
            Limits::aal1().to_string(),
            "a login ends after 30 d at the latest"
        );
        assert_eq!(
            Limits::aal2().to_string(),
            "a login ends after 60 min without use, and after 24 h at the latest"
        );
        assert_eq!(
            Limits::aal3().to_string(),
            "a login ends after 15 min without use, and after 12 h at the latest"
        );
    }

    #[test]
    fn a_preset_remembers_no_longer_than_its_absolute_limit() {
        for preset in [Limits::aal1(), Limits::aal2(), Limits::aal3()] {
            assert_eq!(preset.remember(), Some(preset.absolute));
        }
        assert_eq!(Limits::new().remember(), None);
        let limit = Duration::from_secs(60);
        assert_eq!(
            Limits::new().remember_at_most(limit).remember(),
            Some(limit)
        );
    }

    #[test]
    fn a_login_that_ends_early_counts_as_made_before() {
        let limits = Limits::new().absolute(Duration::from_secs(100));
        let now = 1_000;
        for (end, started_at) in [(1_100, 1_000), (1_040, 940), (1_500, 1_000)] {
            assert_eq!(limits.started_at(end, now), started_at, "{end}");
        }
    }

    #[test]
    fn the_limits_are_these_numbers_of_seconds() {
        for (limits, idle, absolute) in [
            (Limits::new(), Some(1_800), 43_200),
            (Limits::default(), Some(1_800), 43_200),
            (Limits::aal1(), None, 2_592_000),
            (Limits::aal2(), Some(3_600), 86_400),
            (Limits::aal3(), Some(900), 43_200),
            (Limits::new().danger_no_idle_limit(), None, 43_200),
        ] {
            assert_eq!(limits.has_idle(), idle.is_some(), "{limits}");
            assert_eq!(limits.idle_since(5_000), idle.map(|idle| 5_000 - idle));
            if let Some(idle) = idle {
                assert!(!limits.is_idle(0, idle), "{limits}");
                assert!(limits.is_idle(0, idle + 1), "{limits}");
            }
            assert_eq!(limits.expires_at(5_000), 5_000 + absolute, "{limits}");
            assert!(!limits.is_expired(0, absolute - 1), "{limits}");
            assert!(limits.is_expired(0, absolute), "{limits}");
            assert!(!limits.is_expired(5_000, 0), "the clock went back");
        }
        assert_eq!(Limits::new().expires_at(i64::MAX), i64::MAX);
        assert_eq!(Limits::new().idle_since(i64::MIN), Some(i64::MIN));
    }

    #[test]
    fn a_login_is_idle_one_second_after_its_limit() {
        let limits = Limits::new();
        assert!(!limits.is_idle(0, 1_800));
        assert!(limits.is_idle(0, 1_801));
        assert!(!limits.is_idle(5_000, 0), "the clock went back");
        assert!(!Limits::aal1().is_idle(0, i64::MAX));
    }

    #[test]
    fn use_is_recorded_once_a_step() {
        let limits = Limits::new();
        assert!(!limits.is_step(0, 179));
        assert!(limits.is_step(0, 180));
        assert!(!limits.is_step(180, 0));
        // Without an idle limit as with one of an hour, and never more often than the clock moves.
        assert!(!Limits::aal1().is_step(0, 359));
        assert!(Limits::aal1().is_step(0, 360));
        let short = limits.idle(Duration::from_secs(5));
        assert!(!short.is_step(0, 0));
        assert!(short.is_step(0, 1));
    }

    #[test]
    fn invalid_limits_are_refused() {
        let limits = Limits::new();
        assert!(limits.check().is_ok());
        assert!(limits.idle(Duration::from_secs(43_200)).check().is_ok());
        assert!(limits.idle(Duration::from_secs(43_201)).check().is_err());
        assert!(limits.idle(Duration::ZERO).check().is_err());
        assert!(limits.absolute(Duration::ZERO).check().is_err());
    }
}
