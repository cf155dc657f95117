//! Remember tokens: honest browsers whose requests overtake each other and whose responses are lost, and two
//! browsers that have the same token.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};

use super::config;
use crate::core::{
    CLOCK_SKEW, FIRST_GENERATION, Presented, Remembering, Token, TokenFamily,
    remember::{COOL_DOWN, GRACE, present},
};

const NOW: i64 = 1_700_000_000;

/// How long a request, or a response, is on its way at most.
const SLOWEST: i64 = GRACE - CLOCK_SKEW;

fn family() -> TokenFamily {
    TokenFamily {
        user_type: "user".to_owned(),
        user_id: "7".to_owned(),
        seed: [1; 16],
        version: 1,
        generation: FIRST_GENERATION,
        rotated_at: NOW,
        seen_at: None,
        restored_at: None,
        authenticated_at: NOW,
        expires_at: i64::MAX,
        lifetime: 1,
        hash: None,
    }
}

/// A request of a browser, and what the network makes of it. Times are in seconds.
#[derive(Clone, Copy, Debug)]
struct Trip {
    /// How long after the one before the browser sends it.
    after: i64,
    there: i64,
    back: i64,
    is_lost: bool,
    /// How far the clock of the node that answers it is off.
    clock: i64,
    /// Whether the browser still has the login that it got last: then it does not need its token.
    has_login: bool,
}

fn any_trip() -> impl Strategy<Value = Trip> {
    let after = prop_oneof![9 => 0_i64..3, 1 => 0_i64..200, 2 => 0_i64..2_000, 1 => 0_i64..100_000];
    let way = || prop_oneof![3 => 0_i64..3, 1 => 0..=SLOWEST, 1 => Just(SLOWEST)];
    const AHEAD: i64 = CLOCK_SKEW / 2;
    let clock = prop_oneof![-AHEAD..=AHEAD, Just(-AHEAD), Just(AHEAD)];
    let (is_lost, has_login) = (prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    (after, way(), way(), is_lost, clock, has_login).prop_map(
        |(after, there, back, is_lost, clock, has_login)| Trip {
            after,
            there,
            back,
            is_lost,
            clock,
            has_login,
        },
    )
}

/// What happens next, and when.
#[derive(Debug)]
enum Event {
    Sent(Trip),
    /// A token is presented.
    Asked(Trip, i64),
    /// A login is used whose response contained this token.
    Used(Trip, i64),
    /// A login arrives, perhaps with a token.
    Answered(Option<i64>),
}

/// The first of the events that happen at the earliest time.
fn next_event(events: &mut Vec<(i64, Event)>) -> Option<(i64, Event)> {
    let first = (0..events.len()).min_by_key(|at| events[*at].0)?;
    Some(events.remove(first))
}

/// One visit of a browser whose responses all arrive, and which uses the login that it gets.
fn visit(row: &mut TokenFamily, token: &mut i64, now: i64) -> bool {
    match present(row, *token, now) {
        Presented::Restore { next, send } => {
            *row = next;
            if send {
                *token = row.generation;
                row.seen_at = row.seen_at.or(Some(now + 1));
            }
            true
        }
        Presented::Share { .. } => panic!("visits are far apart"),
        Presented::Theft => false,
        Presented::Unknown => panic!("a token that was never sent"),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_honest_browser_is_never_taken_for_a_thief(trips in vec(any_trip(), 1..200)) {
        let mut events = Vec::new();
        let mut now = NOW;
        for trip in trips {
            now += trip.after;
            events.push((now, Event::Sent(trip)));
        }
        let mut row = family();
        // What the browser has: its token, and the token that came with its login, if one did.
        let (mut token, mut with_login) = (FIRST_GENERATION, None);
        while let Some((now, event)) = next_event(&mut events) {
            let answer = match event {
                Event::Sent(trip) => {
                    let event = match with_login {
                        Some(arrived) if trip.has_login => Event::Used(trip, arrived),
                        _ => Event::Asked(trip, token),
                    };
                    events.push((now + trip.there, event));
                    continue;
                }
                Event::Answered(sent) => {
                    token = sent.unwrap_or(token);
                    with_login = sent;
                    continue;
                }
                Event::Used(trip, arrived) => {
                    if row.generation == arrived {
                        row.seen_at = row.seen_at.or(Some(now + trip.clock));
                    }
                    continue;
                }
                Event::Asked(trip, presented) => match present(&row, presented, now + trip.clock) {
                    Presented::Restore { next, send } => {
                        assert_eq!(next.version, row.version + 1);
                        row = next;
                        (trip, send)
                    }
                    Presented::Share { send, .. } => (trip, send),
                    refused => panic!("{refused:?}: {presented} of {row:?}, at {now}"),
                },
            };
            let (trip, send) = answer;
            if !trip.is_lost {
                events.push((now + trip.back, Event::Answered(send.then_some(row.generation))));
            }
        }
    }

    /// Whoever uses the token second has one that the first has replaced.
    #[test]
    fn a_copied_token_is_found_as_soon_as_both_have_used_it(
        before in 0_usize..5,
        first in 1_usize..5,
        pause in COOL_DOWN + GRACE + 2..100_000,
    ) {
        let mut row = family();
        let mut owner = FIRST_GENERATION;
        let mut now = NOW;
        // The first request after the log in shows that the token arrived.
        row.seen_at = Some(now);
        for _ in 0..before {
            now += pause;
            assert!(visit(&mut row, &mut owner, now));
        }
        let mut copy = owner;
        // It does not matter which of the two is the owner.
        for _ in 0..first {
            now += pause;
            assert!(visit(&mut row, &mut copy, now));
        }
        now += pause;
        assert!(!visit(&mut row, &mut owner, now), "both used {owner} of {row:?}");
    }

    #[test]
    fn remembering_has_an_end_that_use_does_not_move(
        (duration, at_most, limit) in (option::of(1_u64..500), option::of(1_u64..500), option::of(1_u64..500)),
        asked in option::of(1_u64..500),
        uses in vec(0_i64..40, 0..60),
    ) {
        const DAY: i64 = 86_400;
        let days = |days: Option<u64>| days.map(|days| Duration::from_secs(days * DAY.unsigned_abs()));
        let Ok(remembering) = Remembering::new(days(duration), days(at_most), days(limit)) else {
            let longest = at_most.into_iter().chain(limit).min();
            let is_over = |time: Option<u64>| time.is_some_and(|time| time > 400 || longest.is_some_and(|it| time > it));
            assert!(is_over(duration) || is_over(at_most) || is_over(limit), "refused without a reason");
            return Ok(());
        };
        let end = at_most.or(limit).map(|days| days.cast_signed() * DAY);
        let lifetime = remembering.lifetime(days(asked)).as_secs().cast_signed();
        let last = end.unwrap_or(lifetime.max(90 * DAY));
        let (mut now, mut expires_at) = (0, lifetime);
        for pause in uses {
            now += pause * DAY;
            if now >= expires_at {
                break;
            }
            expires_at = remembering.prolonged(now, 0, lifetime);
            assert!(expires_at >= now.saturating_add(lifetime).min(last), "use does not shorten it");
            assert!(expires_at <= last, "{expires_at} is after {last}");
            assert!(remembering.end(expires_at, 0) <= last);
        }
    }

    #[test]
    fn a_signed_token_reads_back_as_it_was_written(
        (authenticated_at, issued_at, expires_at) in any::<(i64, i64, i64)>(),
        hash in option::of("[-_a-zA-Z0-9]{1,44}"),
        nonce in "[-_a-zA-Z0-9]{22}",
        id in ".{0,40}",
        now in any::<i64>(),
    ) {
        let hash = hash.as_deref();
        let token = Token { authenticated_at, issued_at, expires_at, hash, nonce: &nonce, id: &id };
        let expected = (now < expires_at).then_some(token);
        assert_eq!(Token::read(&token.write(), now), expected);
    }

    #[test]
    fn any_signed_text_is_read_or_refused(text in "[12](,-?[0-9]{0,12}){2,6}.{0,10}", now in any::<i64>()) {
        if let Some(token) = Token::read(&text, now) {
            assert!(now < token.expires_at);
            assert!(text.ends_with(token.id));
        }
    }
}
