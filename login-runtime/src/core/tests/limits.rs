//! When a login is over, stale or idle, compared with a count in numbers that cannot overflow, and with a
//! login that is used again and again.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::config;
use crate::core::{
    Freshness, Limits, LoginFacts, LoginRecord, LoginSource, RefusalReason, Requirement, Verdict,
    freshness::{decide, is_fresh},
    resolve::{EntryVerdict, RecordCheck, RecordVerdict, judge_entry, judge_record},
};

/// Times near others, and times at the ends of the range.
fn any_time() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0_i64..5_000,
        1 => any::<i64>(),
        1 => select(&[i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX][..]),
    ]
}

/// Seconds; as many as fit between two times.
fn any_seconds() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..5_000, 1 => 0..u64::MAX / 2]
}

/// A login lasts for a second at least; settings without that are refused.
fn any_limits() -> impl Strategy<Value = Limits> {
    (option::of(any_seconds()), any_seconds()).prop_map(|(idle, absolute)| {
        let limits = Limits::new().absolute(Duration::from_secs(absolute.max(1)));
        match idle {
            Some(idle) => limits.idle(Duration::from_secs(idle)),
            None => limits.danger_no_idle_limit(),
        }
    })
}

/// How much later one time is than another.
fn later(time: i64, than: i64) -> i128 {
    i128::from(time) - i128::from(than)
}

fn facts(fresh: bool, authenticated_at: Option<i64>) -> LoginFacts {
    LoginFacts {
        source: LoginSource::Session,
        authenticated_at,
        fresh,
    }
}

fn record(last_seen: i64) -> LoginRecord {
    LoginRecord {
        user_type: "user".to_owned(),
        user_id: "7".to_owned(),
        created_at: last_seen,
        authenticated_at: last_seen,
        last_seen,
        expires_at: i64::MAX,
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

fn any_verdict() -> impl Strategy<Value = Verdict> {
    select(&[Verdict::Same, Verdict::Stale, Verdict::Over][..])
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn limits_are_counted_as_in_numbers_without_an_end(
        limits in any_limits(),
        then in any_time(),
        now in any_time(),
        near in option::of((0_usize..3, -1_i64..=1)),
    ) {
        let (idle, absolute) = limits.seconds();
        let step = (idle.unwrap_or(3_600) / 10).max(1);
        // At a limit, one second before it, and one second after it.
        let now = near.map_or(now, |(limit, off)| {
            let limit = [idle.unwrap_or(step), absolute, step][limit];
            then.saturating_add_unsigned(limit).saturating_add(off)
        });
        let passed = later(now, then).max(0);
        assert_eq!(limits.is_expired(then, now), passed >= i128::from(absolute));
        assert_eq!(limits.is_idle(then, now), idle.is_some_and(|idle| passed > i128::from(idle)));
        assert_eq!(limits.is_step(then, now), passed >= i128::from(step));
        let end = i128::from(now) + i128::from(absolute);
        assert_eq!(i128::from(limits.expires_at(now)), end.min(i128::from(i64::MAX)));
    }

    /// Stores delete by the time before which a login is idle, and requests count from the last use.
    #[test]
    fn a_store_deletes_exactly_the_logins_that_a_request_finds_idle(
        limits in any_limits(),
        last_seen in 0_i64..10_000,
        now in 0_i64..10_000,
        near in option::of(-1_i64..=1),
    ) {
        let now = match (near, limits.seconds().0) {
            (Some(off), Some(idle)) => last_seen.saturating_add_unsigned(idle).saturating_add(off),
            _ => now,
        };
        let deletes = limits.idle_since(now).is_some_and(|since| last_seen < since);
        assert_eq!(deletes, limits.is_idle(last_seen, now));
    }

    #[test]
    fn a_login_with_an_end_of_its_own_is_over_then_or_at_the_absolute_limit(
        limits in any_limits(),
        (now, end, later) in (0_i64..10_000, 0_i64..20_000, 0_i64..20_000),
    ) {
        let started_at = limits.started_at(end, now);
        let ends = end.min(limits.expires_at(now));
        // A clock that was set back does not end it.
        let expected = later >= ends && later >= started_at;
        assert_eq!(limits.is_expired(started_at, later), expected);
    }

    #[test]
    fn a_login_is_fresh_if_credentials_were_given_in_time(
        fresh in any::<bool>(),
        at in option::of(any_time()),
        within in option::of(any_seconds()),
        now in any_time(),
        near in option::of(-1_i64..=1),
    ) {
        let now = match (near, at, within) {
            (Some(off), Some(at), Some(within)) => at.saturating_add_unsigned(within).saturating_add(off),
            _ => now,
        };
        let in_time = at.is_some_and(|at| within.is_none_or(|within| later(now, at) <= i128::from(within)));
        let within = within.map(Duration::from_secs);
        assert_eq!(is_fresh(&facts(fresh, at), within, now), fresh && in_time);
    }

    #[test]
    fn the_first_thing_that_is_missing_is_the_reason(
        is_anonymous in any::<bool>(),
        is_active in any::<bool>(),
        (fresh, at) in (any::<bool>(), option::of(any_time())),
        freshness in prop_oneof![
            Just(Freshness::Any),
            Just(Freshness::Default),
            any_seconds().prop_map(|seconds| Freshness::Within(Duration::from_secs(seconds))),
        ],
        by_manager in option::of(any_seconds()),
        now in any_time(),
    ) {
        let facts = facts(fresh, at);
        let by_manager = by_manager.map(Duration::from_secs);
        let is_stale = match freshness {
            Freshness::Any => false,
            Freshness::Default => !is_fresh(&facts, by_manager, now),
            Freshness::Within(age) => !is_fresh(&facts, Some(age), now),
        };
        let rows = [
            (is_anonymous, RefusalReason::Anonymous),
            (!is_active, RefusalReason::Inactive),
            (is_stale, RefusalReason::Stale),
        ];
        let missing = rows.into_iter().find(|(is_missing, _)| *is_missing);
        let expected = missing.map_or(Ok(()), |(_, reason)| Err(reason));
        let login = (!is_anonymous).then_some((is_active, &facts));
        let requirement = Requirement { freshness, ..Requirement::LOGIN };
        assert_eq!(decide(&requirement, login, by_manager, now), expected);
    }

    #[test]
    fn the_first_thing_that_is_wrong_with_a_login_ends_it(
        exists in any::<bool>(),
        other_type in any::<bool>(),
        limits in any_limits(),
        (last_seen, now) in (any_time(), any_time()),
        client in any_verdict(),
        unseen_token in option::of(any::<i64>()),
        passive in any::<bool>(),
    ) {
        let record = LoginRecord { unseen_token, ..record(last_seen) };
        let rows = [
            (!exists, RecordVerdict::Gone),
            (other_type, RecordVerdict::Gone),
            (limits.is_idle(last_seen, now), RecordVerdict::Idle),
            (client == Verdict::Over, RecordVerdict::OtherClient),
        ];
        let load = RecordVerdict::Load {
            stale: client == Verdict::Stale,
            touch: limits.is_step(last_seen, now) && !passive,
            token_arrived: unseen_token.is_some(),
        };
        let wrong = rows.into_iter().find(|(is_wrong, _)| *is_wrong);
        let user_type = if other_type { "admin" } else { "user" };
        let check = RecordCheck { user_type, limits: &limits, passive, now };
        assert_eq!(
            judge_record(exists.then_some(&record), check, |_| client),
            wrong.map_or(load, |(_, verdict)| verdict),
        );
        let entry = match client {
            _ if limits.is_expired(last_seen, now) => EntryVerdict::Expired,
            Verdict::Over => EntryVerdict::OtherClient,
            Verdict::Stale => EntryVerdict::Load { stale: true },
            Verdict::Same => EntryVerdict::Load { stale: false },
        };
        assert_eq!(judge_entry(last_seen, &limits, client, now), entry);
    }

    /// The use is recorded in steps, so that a login may end by a step too early, and never too late.
    #[test]
    fn a_login_lives_while_it_is_used_and_ends_a_tenth_early_at_most(
        idle in 1_i64..2_000,
        pauses in vec((0_i64..2_500, any::<bool>()), 1..40),
    ) {
        let limits = Limits::new().idle(Duration::from_secs(idle.unsigned_abs()));
        let (mut now, mut last_seen, mut last_use) = (0, 0, 0);
        for (pause, passive) in pauses {
            now += pause;
            let record = record(last_seen);
            let check = RecordCheck { user_type: "user", limits: &limits, passive, now };
            let unused = now - last_use;
            match judge_record(Some(&record), check, |_| Verdict::Same) {
                RecordVerdict::Load { touch, .. } => {
                    assert!(unused <= idle, "still in after {unused} s without use");
                    if touch {
                        last_seen = now;
                    }
                }
                RecordVerdict::Idle => {
                    assert!(unused > idle - (idle / 10).max(1), "out after {unused} s without use");
                    return Ok(());
                }
                other => panic!("{other:?}"),
            }
            if !passive {
                last_use = now;
            }
        }
    }
}
