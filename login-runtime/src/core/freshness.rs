//! What a guard requires, and whether a login meets it.

use std::time::Duration;

use crate::core::login::LoginFacts;

/// How fresh a login has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It may be stale.
    Any,
    /// Credentials were given in this session, within the manager's
    /// [`fresh_for`](crate::config::LoginManagerBuilder::fresh_for) if that is set.
    Default,
    /// Credentials were given in this session, at most this long ago.
    Within(Duration),
}

impl Freshness {
    fn max_age(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Any => None,
            Self::Default => default,
            Self::Within(age) => Some(age),
        }
    }
}

/// What a guard requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub(crate) freshness: Freshness,
    /// Whether OPTIONS requests pass without a login.
    pub(crate) exempt_options: bool,
    /// Whether the request does not count as use of the login: a page that polls does not keep its user
    /// logged in.
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

/// How long a login is fresh by default: 30 minutes.
///
/// Raising it asks for passwords less often; lowering it gives less time to a person who finds the
/// device unlocked.
const FRESH_FOR: Duration = Duration::from_secs(30 * 60);

/// The manager's settings for all guards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardDefaults {
    /// How long a login is fresh, if the guard does not say; `None` for as long as it lasts.
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
    /// How old a login may be at most to be fresh; `None` if that has no limit, or it may be stale.
    pub(crate) fn max_age(&self, freshness: Freshness) -> Option<Duration> {
        freshness.max_age(self.fresh_for)
    }
}

/// Why a guard refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The client has no login.
    Anonymous,
    /// The user type says that the user may not be logged in.
    Inactive,
    /// The user may not do this.
    Forbidden,
    /// The login is not fresh, or not fresh enough.
    Stale,
    /// A handler asked for the refusal.
    Asked,
    /// A page of another site sent the request.
    CrossSite,
}

impl RefusalReason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Inactive => "inactive",
            Self::Forbidden => "forbidden",
            Self::Stale => "stale",
            Self::Asked => "asked",
            Self::CrossSite => "cross_site",
        }
    }
}

/// Decides whether a login meets a requirement.
///
/// `login` is whether the user is active, and what is known about the login; `None` for an anonymous
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
    let freshness = requirement.freshness;
    if freshness == Freshness::Any || is_fresh(facts, freshness.max_age(fresh_for), now) {
        Ok(())
    } else {
        Err(RefusalReason::Stale)
    }
}

/// Whether credentials were given in this session, at most `within` ago.
pub(crate) fn is_fresh(facts: &LoginFacts, within: Option<Duration>, now: i64) -> bool {
    let Some(at) = facts.authenticated_at.filter(|_| facts.fresh) else {
        return false;
    };
    // If the clock was set back, the login seems to be from the future: then its age is zero.
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
    fn anonymous_and_inactive_users_are_refused_before_freshness_counts() {
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
    fn a_login_is_fresh_for_half_an_hour_unless_the_guard_or_the_manager_says_otherwise() {
        let half_an_hour = Some(Duration::from_secs(1_800));
        let defaults = GuardDefaults::default();
        assert!(!defaults.exempt_options);
        let own = GuardDefaults {
            fresh_for: None,
            ..defaults
        };
        for (freshness, by_default, by_own) in [
            (Freshness::Any, None, None),
            (Freshness::Default, half_an_hour, None),
            (
                Freshness::Within(MINUTES_10),
                Some(MINUTES_10),
                Some(MINUTES_10),
            ),
        ] {
            assert_eq!(defaults.max_age(freshness), by_default, "{freshness:?}");
            assert_eq!(own.max_age(freshness), by_own, "{freshness:?}");
        }
    }

    #[test]
    fn each_reason_has_a_name_of_its_own() {
        let names = [
            RefusalReason::Anonymous,
            RefusalReason::Inactive,
            RefusalReason::Forbidden,
            RefusalReason::Stale,
            RefusalReason::Asked,
        ]
        .map(RefusalReason::name);
        assert_eq!(
            names,
            ["anonymous", "inactive", "forbidden", "stale", "asked"]
        );
    }

    #[test]
    fn without_a_limit_freshness_has_no_age() {
        assert!(is_fresh(&facts(true, Some(0)), None, i64::MAX));
        assert!(is_fresh(&facts(true, Some(i64::MIN)), None, i64::MAX));
    }
}
