//! Decides about a login that a request names: one rule for logins with a record, one for logins that are
//! only in a session or a login cookie, and one for the user who was loaded.
//!
//! These functions take facts and return a verdict. The caller acts on it.

use crate::core::{
    limits::Limits,
    login::{EndReason, LoginRecord},
    protection::Verdict,
};

/// What a record is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordCheck<'a> {
    /// The user type that the request asks for.
    pub(crate) user_type: &'a str,
    pub(crate) limits: &'a Limits,
    /// Whether the request does not count as use of the login.
    pub(crate) passive: bool,
    pub(crate) now: i64,
}

/// What has to happen with a login that has a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordVerdict {
    /// There is no such login, or it is of another user type.
    Gone,
    /// The login was not used for longer than the idle limit.
    Idle,
    /// Another client uses the login, and session protection ends it.
    OtherClient,
    /// The user has to be loaded.
    Load {
        /// Another client uses the login, and session protection makes it stale.
        stale: bool,
        /// The use of the login has to be recorded.
        touch: bool,
        /// It has to be recorded that the remember token which was sent with the login has arrived.
        token_arrived: bool,
    },
}

/// Judges the record that the store found. `client` compares the client that the login is bound to with
/// the client of the request.
pub(crate) fn judge_record(
    record: Option<&LoginRecord>,
    check: RecordCheck<'_>,
    client: impl FnOnce(u64) -> Verdict,
) -> RecordVerdict {
    let RecordCheck { limits, now, .. } = check;
    let Some(record) = record.filter(|record| record.user_type == check.user_type) else {
        return RecordVerdict::Gone;
    };
    if limits.is_idle(record.last_seen, now) {
        return RecordVerdict::Idle;
    }
    let stale = match client(record.client) {
        Verdict::Over => return RecordVerdict::OtherClient,
        Verdict::Stale => true,
        Verdict::Same => false,
    };
    let is_step = limits.is_step(record.last_seen, now);
    RecordVerdict::Load {
        stale,
        touch: is_step && !check.passive,
        token_arrived: record.unseen_token.is_some(),
    }
}

/// What has to happen with a login without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryVerdict {
    /// The login was made longer ago than a login may last.
    Expired,
    /// Another client uses the login, and session protection ends it.
    OtherClient,
    /// The user has to be loaded.
    Load {
        /// Another client uses the login, and session protection makes it stale.
        stale: bool,
    },
}

/// Judges a login that a session or a login cookie describes without a record.
pub(crate) fn judge_entry(
    started_at: i64,
    limits: &Limits,
    client: Verdict,
    now: i64,
) -> EntryVerdict {
    if limits.is_expired(started_at, now) {
        return EntryVerdict::Expired;
    }
    match client {
        Verdict::Over => EntryVerdict::OtherClient,
        Verdict::Stale => EntryVerdict::Load { stale: true },
        Verdict::Same => EntryVerdict::Load { stale: false },
    }
}

/// Judges what the loader returned for a login: the user, or why the login ends.
pub(crate) fn judge_user<U>(
    user: Option<U>,
    has_same_hash: impl FnOnce(&U) -> bool,
) -> Result<U, EndReason> {
    match user {
        // The login ends, because the id may be given to another user later.
        None => Err(EndReason::UserGone),
        Some(user) if has_same_hash(&user) => Ok(user),
        Some(_) => Err(EndReason::SessionHashChanged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::login::FamilyKey;

    const NOW: i64 = 1_700_000_000;
    /// A tenth of the idle limit of half an hour.
    const STEP: i64 = 180;

    fn record() -> LoginRecord {
        LoginRecord {
            user_type: "user".to_owned(),
            user_id: "7".to_owned(),
            created_at: NOW - 10_000,
            authenticated_at: NOW - 10_000,
            last_seen: NOW,
            expires_at: NOW + 10_000,
            fresh: true,
            allow_inactive: false,
            method: "password".to_owned(),
            client: 1,
            user_agent: String::new(),
            address: String::new(),
            hash: None,
            family: None,
            unseen_token: None,
        }
    }

    const QUIET: RecordVerdict = RecordVerdict::Load {
        stale: false,
        touch: false,
        token_arrived: false,
    };

    #[track_caller]
    fn check(record: Option<LoginRecord>, passive: bool, client: Verdict, expected: RecordVerdict) {
        let check = RecordCheck {
            user_type: "user",
            limits: &Limits::new(),
            passive,
            now: NOW,
        };
        assert_eq!(judge_record(record.as_ref(), check, |_| client), expected);
    }

    #[test]
    fn a_login_without_a_record_of_its_user_type_is_gone() {
        check(None, false, Verdict::Same, RecordVerdict::Gone);
        for other in ["", "admin", "user2", "User"] {
            let record = LoginRecord {
                user_type: other.to_owned(),
                ..record()
            };
            check(Some(record), false, Verdict::Same, RecordVerdict::Gone);
        }
        check(Some(record()), false, Verdict::Same, QUIET);
    }

    #[test]
    fn a_login_is_idle_a_second_after_its_limit_whatever_its_client() {
        for client in [Verdict::Same, Verdict::Stale, Verdict::Over] {
            let record = LoginRecord {
                last_seen: NOW - 1_801,
                ..record()
            };
            check(Some(record), false, client, RecordVerdict::Idle);
        }
        let record = LoginRecord {
            last_seen: NOW - 1_800,
            ..record()
        };
        let used = RecordVerdict::Load {
            stale: false,
            touch: true,
            token_arrived: false,
        };
        check(Some(record), false, Verdict::Same, used);
    }

    #[test]
    fn another_client_ends_a_login_or_makes_it_stale() {
        check(
            Some(record()),
            false,
            Verdict::Over,
            RecordVerdict::OtherClient,
        );
        let stale = RecordVerdict::Load {
            stale: true,
            touch: false,
            token_arrived: false,
        };
        check(Some(record()), false, Verdict::Stale, stale);
    }

    #[test]
    fn the_client_is_compared_with_the_one_of_the_record() {
        let check = RecordCheck {
            user_type: "user",
            limits: &Limits::new(),
            passive: false,
            now: NOW,
        };
        let record = LoginRecord {
            client: 42,
            ..record()
        };
        let client = |bound| match bound {
            42 => Verdict::Same,
            _ => Verdict::Over,
        };
        assert_eq!(judge_record(Some(&record), check, client), QUIET);
    }

    #[test]
    fn use_is_noted_once_a_step_and_never_by_a_passive_request() {
        for (ago, passive, touch) in [
            (STEP - 1, false, false),
            (STEP, false, true),
            (STEP, true, false),
        ] {
            let record = LoginRecord {
                last_seen: NOW - ago,
                ..record()
            };
            let expected = RecordVerdict::Load {
                stale: false,
                touch,
                token_arrived: false,
            };
            check(Some(record), passive, Verdict::Same, expected);
        }
    }

    #[test]
    fn the_first_request_of_a_login_shows_that_its_remember_token_arrived() {
        for (unseen_token, passive) in [(None, false), (Some(7), false), (Some(7), true)] {
            for age in [0, 10_000] {
                let record = LoginRecord {
                    family: Some(FamilyKey([2; 16])),
                    unseen_token,
                    created_at: NOW - age,
                    ..record()
                };
                let expected = RecordVerdict::Load {
                    stale: false,
                    touch: false,
                    token_arrived: unseen_token.is_some(),
                };
                check(Some(record), passive, Verdict::Same, expected);
            }
        }
    }

    #[test]
    fn a_login_without_a_record_is_over_at_its_absolute_limit() {
        let limits = Limits::new();
        let twelve_hours = 12 * 60 * 60;
        for (age, client, expected) in [
            (0, Verdict::Same, EntryVerdict::Load { stale: false }),
            (
                twelve_hours - 1,
                Verdict::Same,
                EntryVerdict::Load { stale: false },
            ),
            (twelve_hours, Verdict::Same, EntryVerdict::Expired),
            (twelve_hours, Verdict::Over, EntryVerdict::Expired),
            (0, Verdict::Stale, EntryVerdict::Load { stale: true }),
            (0, Verdict::Over, EntryVerdict::OtherClient),
            // The clock went back.
            (-60, Verdict::Same, EntryVerdict::Load { stale: false }),
        ] {
            assert_eq!(
                judge_entry(NOW - age, &limits, client, NOW),
                expected,
                "{age} {client:?}"
            );
        }
    }

    #[test]
    fn a_login_ends_with_its_user_and_with_the_users_credentials() {
        assert_eq!(judge_user(Some(7), |_| true), Ok(7));
        assert_eq!(
            judge_user(Some(7), |_| false),
            Err(EndReason::SessionHashChanged)
        );
        assert_eq!(judge_user(None::<i64>, |_| true), Err(EndReason::UserGone));
    }
}
