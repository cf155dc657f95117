//! A test suite for every [`ThrottleStore`], including your own.
//!
//! Most times in it are around November 2023, because a store takes the time only from its arguments. The
//! names of counters are random, so [`run`] can be repeated on a database that keeps its data.
//!
//! Run it on a runtime with several threads, so that concurrent calls also run in parallel. For a store that
//! several processes share, pass something that asks several stores on one database in turn.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//!
//! use login_runtime::{test::throttle_store, throttle::MemoryThrottleStore};
//!
//! # async fn example() {
//! // In a test, with your own store:
//! throttle_store::run(Arc::new(MemoryThrottleStore::new())).await;
//! # }
//! # actix_web::rt::System::new().block_on(example());
//! ```

#![allow(
    clippy::panic,
    reason = "a store that breaks a rule fails the test that runs this"
)]

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    core::throttle::{Attempt, Claimed, Counted, CounterKey, ThrottledBy, TryLimit},
    store::throttle_store::ThrottleStore,
    test::store::{at_once, ok, random},
};

/// The present time of most tests.
const NOW: i64 = 1_700_000_000;

const DAY: i64 = 86_400;

/// The number of concurrent calls.
const MANY: usize = 50;

/// The number of repetitions of tests whose outcome depends on timing.
const ROUNDS: usize = 5;

/// How long a call may take whose duration is not tested.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs all tests.
///
/// # Panics
///
/// If a test fails.
pub async fn run<S: ThrottleStore>(store: Arc<S>) {
    let store = &store;
    free_tries_are_counted_and_then_the_delay_grows(store).await;
    each_of_the_three_counters_refuses(store).await;
    tries_are_forgotten_one_at_a_time(store).await;
    tries_are_shared_by_what_names_the_same_counter(store).await;
    a_try_that_is_taken_back_was_never_made(store).await;
    a_success_forgets_the_tries_of_this_client_at_this_account(store).await;
    a_known_client_is_free_of_the_counter_of_its_account(store).await;
    a_clock_that_was_ahead_locks_nobody_out(store).await;
    extreme_values_read_back_as_written(store).await;
    many_claims_at_once_count_exactly(store).await;
    tries_taken_back_during_claims_count_exactly(store).await;
    successes_during_claims_count_exactly(store).await;
    calls_for_the_same_counters_do_not_block_each_other(store).await;
    a_cancelled_call_does_no_harm(store).await;
}

/// A limit that refuses nothing here.
fn loose() -> TryLimit {
    TryLimit::new(10_000)
}

fn new_key() -> CounterKey {
    CounterKey(random())
}

/// An attempt of a new client at a new account.
fn attempt(limits: [TryLimit; 3]) -> Attempt {
    Attempt {
        counters: [new_key(), new_key(), new_key()],
        limits,
        known: new_key(),
        client: i64::from_be_bytes(random()),
    }
}

/// The same with this limit for one client at one account.
fn limited(limit: TryLimit) -> Attempt {
    attempt([limit, loose(), loose()])
}

/// An attempt of a new client at the same account.
fn from_elsewhere(at: &Attempt) -> Attempt {
    let [_, account, _] = at.counters;
    Attempt {
        counters: [new_key(), account, new_key()],
        client: i64::from_be_bytes(random()),
        ..*at
    }
}

async fn claim<S: ThrottleStore>(store: &S, attempt: &Attempt, now: i64) -> Claimed {
    ok(store.claim(attempt, now).await)
}

/// How long the client has to wait; zero if the try is counted.
async fn wait<S: ThrottleStore>(store: &S, attempt: &Attempt, now: i64) -> i64 {
    match claim(store, attempt, now).await {
        Claimed::Allowed(_) => 0,
        Claimed::Refused { retry_after, .. } => retry_after,
    }
}

/// Makes a try that must be allowed.
async fn counted<S: ThrottleStore>(store: &S, attempt: &Attempt, now: i64) -> [Counted; 3] {
    match claim(store, attempt, now).await {
        Claimed::Allowed(counted) => counted,
        Claimed::Refused { by, .. } => panic!("the counter of {} refused a free try", by.name()),
    }
}

/// Makes tries until one is refused. Returns how many were counted.
async fn exhaust<S: ThrottleStore>(store: &S, attempt: &Attempt, now: i64) -> u32 {
    for tries in 0..1_000 {
        if wait(store, attempt, now).await > 0 {
            return tries;
        }
    }
    panic!("a limit refuses at some time");
}

async fn free_tries_are_counted_and_then_the_delay_grows<S: ThrottleStore>(store: &Arc<S>) {
    let attempt = limited(TryLimit::new(5).max_delay(Duration::from_secs(6)));
    let mut now = NOW;
    for _ in 0..5 {
        counted(&**store, &attempt, now).await;
    }
    for delay in [1, 2, 4, 6, 6] {
        for _ in 0..3 {
            assert_eq!(
                wait(&**store, &attempt, now).await,
                delay,
                "the delay is as long as the rule says, and a refused try does not make it longer"
            );
        }
        now += delay - 1;
        assert_eq!(
            wait(&**store, &attempt, now).await,
            1,
            "the delay lasts until its last second"
        );
        now += 1;
        assert_eq!(
            wait(&**store, &attempt, now).await,
            0,
            "after the delay one try is allowed"
        );
    }
}

async fn each_of_the_three_counters_refuses<S: ThrottleStore>(store: &Arc<S>) {
    for position in 0..3 {
        let mut limits = [loose(); 3];
        if let Some(limit) = limits.get_mut(position) {
            *limit = TryLimit::new(2);
        }
        let attempt = attempt(limits);
        assert_eq!(
            exhaust(&**store, &attempt, NOW).await,
            2,
            "as many tries as the limit allows are free"
        );
        assert_eq!(
            claim(&**store, &attempt, NOW).await,
            Claimed::Refused {
                by: ThrottledBy::at(position),
                retry_after: 1
            },
            "the counter that refuses names itself"
        );
    }
}

async fn tries_are_forgotten_one_at_a_time<S: ThrottleStore>(store: &Arc<S>) {
    let limit = TryLimit::new(3).forget_one_every(Duration::from_secs(10));
    let attempt = limited(limit);
    assert_eq!(exhaust(&**store, &attempt, NOW).await, 3, "three are free");
    assert_eq!(
        exhaust(&**store, &attempt, NOW + 10).await,
        1,
        "one was forgotten"
    );
    assert_eq!(
        exhaust(&**store, &attempt, NOW + 40).await,
        3,
        "all were forgotten"
    );
    assert_eq!(
        exhaust(&**store, &attempt, NOW + 10 * DAY).await,
        3,
        "what was forgotten long ago is as new"
    );
}

async fn tries_are_shared_by_what_names_the_same_counter<S: ThrottleStore>(store: &Arc<S>) {
    let first = attempt([TryLimit::new(3); 3]);
    for _ in 0..2 {
        counted(&**store, &first, NOW).await;
    }
    for position in 0..3 {
        let mut other = attempt([TryLimit::new(3); 3]);
        if let (Some(counter), Some(shared)) = (
            other.counters.get_mut(position),
            first.counters.get(position),
        ) {
            *counter = *shared;
        }
        counted(&**store, &other, NOW).await;
        assert_eq!(
            claim(&**store, &other, NOW).await,
            Claimed::Refused {
                by: ThrottledBy::at(position),
                retry_after: 1
            },
            "the tries of both are counted together in the counter that both name"
        );
    }
    assert_eq!(
        exhaust(&**store, &attempt([TryLimit::new(3); 3]), NOW).await,
        3,
        "counters that nobody else names are empty"
    );
}

async fn a_try_that_is_taken_back_was_never_made<S: ThrottleStore>(store: &Arc<S>) {
    for limits in [[TryLimit::new(3); 3], [TryLimit::new(1); 3]] {
        let attempt = attempt(limits);
        for _ in 0..3 {
            let counted = counted(&**store, &attempt, NOW).await;
            ok(store.give_back(&attempt, &counted, NOW).await);
        }
        let (tries, _, _) = limits.map(TryLimit::parts)[0];
        assert_eq!(
            i64::from(exhaust(&**store, &attempt, NOW).await),
            tries,
            "what was taken back leaves all tries free"
        );
    }
    // Later, when the counters are gone, there is nothing to take back.
    let attempt = attempt([TryLimit::new(3); 3]);
    let counted = counted(&**store, &attempt, NOW).await;
    ok(store.give_back(&attempt, &counted, NOW + 10 * DAY).await);
    assert_eq!(
        exhaust(&**store, &attempt, NOW + 10 * DAY).await,
        3,
        "a counter that is gone gives no more tries than an empty one"
    );
    // The same where a store may have kept them.
    let fourth = exhaust(&**store, &attempt, NOW).await;
    assert_eq!(fourth, 0, "what was counted later counts, too");
}

async fn a_success_forgets_the_tries_of_this_client_at_this_account<S: ThrottleStore>(
    store: &Arc<S>,
) {
    let attempt = attempt([TryLimit::new(3), TryLimit::new(8), TryLimit::new(9)]);
    for _ in 0..2 {
        counted(&**store, &attempt, NOW).await;
    }
    let right = counted(&**store, &attempt, NOW).await;
    ok(store.succeed(&attempt, &right, NOW, NOW).await);
    assert_eq!(
        exhaust(&**store, &attempt, NOW).await,
        3,
        "all tries of this client at this account are free again"
    );
    let elsewhere = from_elsewhere(&attempt);
    assert_eq!(
        exhaust(&**store, &elsewhere, NOW).await,
        3,
        "a client has its own tries"
    );
    // Two before the success, three after it, and three from elsewhere.
    assert_eq!(
        claim(&**store, &from_elsewhere(&attempt), NOW).await,
        Claimed::Refused {
            by: ThrottledBy::Account,
            retry_after: 1
        },
        "a success forgets no tries of others at the account"
    );
    let [_, _, client] = attempt.counters;
    let mut elsewhere = self::attempt(attempt.limits);
    elsewhere.counters[2] = client;
    // Two before the success, and three after it.
    counted(&**store, &elsewhere, NOW).await;
    counted(&**store, &elsewhere, NOW).await;
    elsewhere.counters[0] = new_key();
    assert_eq!(
        exhaust(&**store, &elsewhere, NOW).await,
        2,
        "a success forgets no tries of the client at other accounts"
    );
}

async fn a_known_client_is_free_of_the_counter_of_its_account<S: ThrottleStore>(store: &Arc<S>) {
    let account = TryLimit::new(3).max_delay(Duration::from_secs(1_000_000));
    let owner = attempt([loose(), account, loose()]);
    let right = counted(&**store, &owner, NOW).await;
    ok(store.succeed(&owner, &right, NOW + 100, NOW).await);
    assert_eq!(
        exhaust(&**store, &from_elsewhere(&owner), NOW).await,
        3,
        "what succeeded does not count"
    );
    for now in [NOW, NOW + 1, NOW + 99] {
        assert_eq!(
            wait(&**store, &owner, now).await,
            0,
            "a known client is not refused"
        );
    }
    assert!(
        wait(&**store, &from_elsewhere(&owner), NOW).await > 0,
        "another client is"
    );
    // So long that the counter refuses at the end of the time, too.
    for now in [NOW + 1, NOW + 3, NOW + 7, NOW + 15, NOW + 31, NOW + 63] {
        counted(&**store, &from_elsewhere(&owner), now).await;
    }
    assert!(
        wait(&**store, &owner, NOW + 100).await > 0,
        "a client is known until the given time"
    );

    // Clients that share a place replace each other.
    let first = attempt([loose(), account, loose()]);
    let second = from_elsewhere(&first);
    for known in [&first, &second] {
        let right = counted(&**store, known, NOW).await;
        ok(store.succeed(known, &right, NOW + DAY, NOW).await);
    }
    exhaust(&**store, &from_elsewhere(&first), NOW).await;
    assert!(
        wait(&**store, &first, NOW).await > 0,
        "a client that was replaced is not known any more"
    );
    assert_eq!(
        wait(&**store, &second, NOW).await,
        0,
        "the one that replaced it is known"
    );
}

async fn a_clock_that_was_ahead_locks_nobody_out<S: ThrottleStore>(store: &Arc<S>) {
    let limit = TryLimit::new(2).max_delay(Duration::from_secs(60));
    let attempt = limited(limit);
    assert_eq!(
        exhaust(&**store, &attempt, NOW + 100 * DAY).await,
        2,
        "two are free"
    );
    let waits = wait(&**store, &attempt, NOW).await;
    assert!(
        (1..=60).contains(&waits),
        "a wait of {waits} seconds is longer than the limit says"
    );
    assert_eq!(
        wait(&**store, &attempt, NOW + 60).await,
        0,
        "the try after the longest delay is allowed"
    );
}

async fn extreme_values_read_back_as_written<S: ThrottleStore>(store: &Arc<S>) {
    let longest = TryLimit::new(1)
        .max_delay(Duration::MAX)
        .forget_one_every(Duration::MAX);
    for client in [i64::MIN, -1, 0, i64::MAX] {
        let owner = Attempt {
            client,
            ..attempt([loose(), longest, loose()])
        };
        let elsewhere = Attempt {
            client: client ^ 1,
            ..from_elsewhere(&owner)
        };
        let right = counted(&**store, &owner, NOW).await;
        ok(store.succeed(&owner, &right, i64::MAX / 4, NOW).await);
        let mut now = NOW;
        for _ in 0..40 {
            counted(&**store, &elsewhere, now).await;
            let waits = wait(&**store, &elsewhere, now).await;
            assert!(waits > 0, "each try is followed by a delay");
            now += waits;
        }
        assert_eq!(
            wait(&**store, &owner, now).await,
            0,
            "a known client is not refused"
        );
    }
}

async fn many_claims_at_once_count_exactly<S: ThrottleStore>(store: &Arc<S>) {
    for _ in 0..ROUNDS {
        for free in [5, 1, 50] {
            let attempt = attempt([loose(), TryLimit::new(free), loose()]);
            let claims = at_once(store, MANY, |store, index| {
                // Half of them are of one client.
                let attempt = match index % 2 {
                    0 => attempt,
                    _ => from_elsewhere(&attempt),
                };
                async move { claim(&*store, &attempt, NOW).await }
            })
            .await;
            let allowed = claims.iter().filter(|it| matches!(it, Claimed::Allowed(_)));
            assert_eq!(
                allowed.count(),
                usize::try_from(free).unwrap_or_default(),
                "of many claims at once, as many are allowed as tries are free"
            );
            assert!(
                wait(&**store, &from_elsewhere(&attempt), NOW).await > 0,
                "no claim of many at once is lost"
            );
        }
    }
}

async fn tries_taken_back_during_claims_count_exactly<S: ThrottleStore>(store: &Arc<S>) {
    for _ in 0..ROUNDS {
        let attempt = attempt([TryLimit::new(30); 3]);
        let mut before = Vec::new();
        for _ in 0..10 {
            before.push(counted(&**store, &attempt, NOW).await);
        }
        at_once(store, 20, |store, index| {
            let before = before.get(index).copied();
            async move {
                match before {
                    Some(counted) => ok(store.give_back(&attempt, &counted, NOW).await),
                    None => {
                        counted(&*store, &attempt, NOW).await;
                    }
                }
            }
        })
        .await;
        assert_eq!(
            exhaust(&**store, &attempt, NOW).await,
            20,
            "of twenty tries, ten were taken back"
        );
    }
}

async fn successes_during_claims_count_exactly<S: ThrottleStore>(store: &Arc<S>) {
    for _ in 0..ROUNDS {
        let first = attempt([loose(), TryLimit::new(30), loose()]);
        let mut before = Vec::new();
        for _ in 0..10 {
            let attempt = from_elsewhere(&first);
            before.push((attempt, counted(&**store, &attempt, NOW).await));
        }
        at_once(store, 20, |store, index| {
            let (before, other) = (before.get(index).copied(), from_elsewhere(&first));
            async move {
                match before {
                    Some((attempt, counted)) => {
                        ok(store.succeed(&attempt, &counted, NOW, NOW).await)
                    }
                    None => {
                        counted(&*store, &other, NOW).await;
                    }
                }
            }
        })
        .await;
        assert_eq!(
            exhaust(&**store, &from_elsewhere(&first), NOW).await,
            20,
            "of twenty tries, ten succeeded"
        );
    }
}

/// Attempts that name the same counters at different positions must not wait for each other in a circle.
async fn calls_for_the_same_counters_do_not_block_each_other<S: ThrottleStore>(store: &Arc<S>) {
    for _ in 0..ROUNDS {
        let attempt = attempt([loose(); 3]);
        let [a, b, c] = attempt.counters;
        let orders = [
            [a, b, c],
            [c, b, a],
            [b, c, a],
            [c, a, b],
            [b, a, c],
            [a, c, b],
        ];
        let calls = at_once(store, MANY, |store, index| {
            let counters = orders.get(index % 6).copied().unwrap_or([a, b, c]);
            let attempt = Attempt {
                counters,
                ..attempt
            };
            async move {
                let counted = counted(&*store, &attempt, NOW).await;
                match index % 3 {
                    0 => ok(store.give_back(&attempt, &counted, NOW).await),
                    1 => ok(store.succeed(&attempt, &counted, NOW + 1, NOW).await),
                    _ => {}
                }
            }
        });
        assert!(
            timeout(PATIENCE, calls).await.is_ok(),
            "calls wait for each other"
        );
    }
}

/// The manager cancels calls that take too long. Such a call may still take effect.
async fn a_cancelled_call_does_no_harm<S: ThrottleStore>(store: &Arc<S>) {
    let attempt = attempt([loose(), TryLimit::new(20), loose()]);
    for wait in 0..40 {
        let wait = Duration::from_micros(wait * 50);
        if let Ok(claimed) = timeout(wait, store.claim(&attempt, NOW)).await
            && let Claimed::Allowed(counted) = ok(claimed)
        {
            let _ = timeout(wait, store.give_back(&attempt, &counted, NOW)).await;
        }
    }
    for attempt in [from_elsewhere(&attempt), self::attempt(attempt.limits)] {
        let left = timeout(PATIENCE, exhaust(&**store, &attempt, NOW)).await;
        assert!(
            left.is_ok_and(|left| left <= 20),
            "a cancelled call neither blocks the next one nor adds tries"
        );
    }
}
