//! What a guard asks for, and whether a login meets it.

use std::time::Duration;

use crate::core::login::LoginFacts;

/// How fresh a login has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Any login will do.
    Any,
    /// Credentials were given in this session, within the manager's
    /// [`fresh_for`](crate::LoginManagerBuilder::fresh_for) if that is set.
    Default,
    /// Credentials were given in this session, at most this long ago.
    Within(Duration),
}

/// What a guard asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub(crate) freshness: Freshness,
    /// Whether OPTIONS requests pass unseen.
    pub(crate) exempt_options: bool,
    /// Whether the request counts as no use of the login: polling keeps nobody logged in.
    pub(crate) passive: bool,
}

impl Requirement {
    /// A login, fresh or not.
    pub(crate) const LOGIN: Self = Self {
        freshness: Freshness::Any,
        exempt_options: false,
        passive: false,
    };
}

/// How long a login is fresh unless told otherwise: 30 minutes.
///
/// Raising it asks for passwords less often; lowering it gives less time to whoever finds a device
/// unlocked.
const FRESH_FOR: Duration = Duration::from_secs(30 * 60);

/// What the manager says about all guards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardDefaults {
    /// How long a login is fresh, where the guard does not say.
    pub(crate) fresh_for: Option<Duration>,
    pub(crate) exempt_options: bool,
}

impl Default for GuardDefaults {
    fn default() -> Self {
        Self {
            fresh_for: Some(FRESH_FOR),
            exempt_options: false,
        }
    }
}

impl GuardDefaults {
    /// How old a fresh login may be at most; `None` if that has no limit, or any login will do.
    pub(crate) fn max_age(&self, freshness: Freshness) -> Option<Duration> {
        match freshness {
            Freshness::Any => None,
            Freshness::Default => self.fresh_for,
            Freshness::Within(age) => Some(age),
        }
    }
}

/// Why a guard refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Nobody is logged in.
    Anonymous,
    /// Somebody is logged in who may not be, as the user type says.
    Inactive,
    /// Somebody is logged in who may not do this.
    Forbidden,
    /// The login is not fresh, or not fresh enough.
    Stale,
    /// A handler asked for the refusal.
    Asked,
}

impl RefusalReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Inactive => "inactive",
            Self::Forbidden => "forbidden",
            Self::Stale => "stale",
            Self::Asked => "asked",
        }
    }
}

/// Decides whether a login meets a requirement.
///
/// `login` says whether the user is active and what is known of the login; nothing for an anonymous
/// client. Freshness does not slide: it counts from when credentials were given.
pub(crate) fn decide(
    requirement: &Requirement,
    login: Option<(bool, &LoginFacts)>,
    fresh_for: Option<Duration>,
    now: i64,
) -> Result<(), RefusalReason> {
    let (active, facts) = login.ok_or(RefusalReason::Anonymous)?;
    if !active {
        return Err(RefusalReason::Inactive);
    }
    let within = match requirement.freshness {
        Freshness::Any => return Ok(()),
        Freshness::Default => fresh_for,
        Freshness::Within(age) => Some(age),
    };
    if is_fresh(facts, within, now) {
        Ok(())
    } else {
        Err(RefusalReason::Stale)
    }
}

/// Whether a login is fresh, at most `within` old.
pub(crate) fn is_fresh(facts: &LoginFacts, within: Option<Duration>, now: i64) -> bool {
    let Some(at) = facts.authenticated_at.filter(|_| facts.fresh) else {
        return false;
    };
    // A clock that was set back does not make a login older than it is, nor one from the future
    // younger than new.
    within.is_none_or(|within| now.saturating_sub(at).max(0).unsigned_abs() <= within.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::login::LoginSource;

    const MINUTES_10: Duration = Duration::from_secs(600);

    fn facts(fresh: bool, at: Option<i64>) -> LoginFacts {
        LoginFacts {
            source: LoginSource::Session,
            authenticated_at: at,
            fresh,
        }
    }

    #[track_caller]
    fn check(
        freshness: Freshness,
        login: Option<(bool, LoginFacts)>,
        expected: Result<(), RefusalReason>,
    ) {
        let requirement = Requirement {
            freshness,
            ..Requirement::LOGIN
        };
        let login = login.as_ref().map(|(active, facts)| (*active, facts));
        assert_eq!(
            decide(&requirement, login, Some(MINUTES_10), 10_000),
            expected
        );
    }

    #[test]
    fn nobody_and_the_inactive_are_refused_before_freshness_counts() {
        for freshness in [
            Freshness::Any,
            Freshness::Default,
            Freshness::Within(MINUTES_10),
        ] {
            check(freshness, None, Err(RefusalReason::Anonymous));
            check(
                freshness,
                Some((false, facts(true, Some(10_000)))),
                Err(RefusalReason::Inactive),
            );
            check(freshness, Some((true, facts(true, Some(10_000)))), Ok(()));
        }
    }

    #[test]
    fn a_stale_login_passes_the_plain_guard_only() {
        check(
            Freshness::Any,
            Some((true, facts(false, Some(10_000)))),
            Ok(()),
        );
        check(
            Freshness::Default,
            Some((true, facts(false, Some(10_000)))),
            Err(RefusalReason::Stale),
        );
        check(
            Freshness::Default,
            Some((true, facts(true, None))),
            Err(RefusalReason::Stale),
        );
    }

    #[test]
    fn freshness_ends_one_second_after_its_age() {
        for freshness in [Freshness::Default, Freshness::Within(MINUTES_10)] {
            check(freshness, Some((true, facts(true, Some(9_401)))), Ok(()));
            check(freshness, Some((true, facts(true, Some(9_400)))), Ok(()));
            check(
                freshness,
                Some((true, facts(true, Some(9_399)))),
                Err(RefusalReason::Stale),
            );
        }
        check(
            Freshness::Within(Duration::ZERO),
            Some((true, facts(true, Some(10_000)))),
            Ok(()),
        );
        check(
            Freshness::Within(Duration::ZERO),
            Some((true, facts(true, Some(9_999)))),
            Err(RefusalReason::Stale),
        );
    }

    #[test]
    fn without_a_limit_freshness_has_no_age() {
        assert!(is_fresh(&facts(true, Some(0)), None, i64::MAX));
        assert!(is_fresh(&facts(true, Some(i64::MIN)), None, i64::MAX));
    }
}
