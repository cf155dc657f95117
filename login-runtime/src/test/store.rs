//! A test suite for every [`LoginStore`], including your own.
//!
//! Most times in it are around November 2023, because a store takes the time only from its arguments.
//! Ids and users are random, so [`run`] can be repeated on a database that keeps its data. It leaves
//! logins there whose ids no browser has. [`run_alone`] ends all logins, so give it a separate
//! database.
//!
//! Run both on a runtime with several threads, so that concurrent calls also run in parallel.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//!
//! use login_runtime::{MemoryLoginStore, test::store};
//!
//! # async fn example() {
//! // In a test, with your own store:
//! let my_store = Arc::new(MemoryLoginStore::new());
//! store::run(Arc::clone(&my_store)).await;
//! store::run_alone(my_store).await;
//! # }
//! # actix_web::rt::System::new().block_on(example());
//! ```

#![allow(
    clippy::panic,
    reason = "a store that breaks a rule fails the test that runs this"
)]

use std::{collections::BTreeSet, error::Error, future::Future, sync::Arc, time::Duration};

use tokio::{sync::Barrier, time::timeout};

use crate::store::{
    FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore, MaxLogins,
    SessionCheck, StoreError, TokenFamily,
};

/// The present time of most tests.
const NOW: i64 = 1_700_000_000;

/// The id of a user who is not known.
const NOBODY: &str = "";

/// More revocations than other tests make.
const MANY_REVOKED: u32 = 1_000_000;

/// The number of concurrent calls.
const MANY: usize = 64;

/// The number of repetitions of tests whose outcome depends on timing.
const ROUNDS: usize = 20;

/// Runs all tests that can share a database with others.
///
/// # Panics
///
/// If a test fails.
pub async fn run<S: LoginStore>(store: Arc<S>) {
    let store = &store;
    logins_read_back_as_written(store).await;
    a_login_is_not_found_from_the_second_it_expires(store).await;
    unknown_keys_have_no_effect(store).await;
    last_seen_only_moves_forward(store).await;
    a_login_made_stale_stays_stale(store).await;
    an_ended_login_does_not_come_back(store).await;
    ending_wins_over_concurrent_changes(store).await;
    one_of_many_calls_ends_a_login(store).await;
    all_logins_of_a_user_end_and_no_others(store).await;
    all_logins_of_a_user_end_except_one(store).await;
    a_family_ends_with_its_logins_only(store).await;
    a_list_is_newest_first_and_of_one_user(store).await;
    a_stored_login_is_not_stored_again(store).await;
    the_limit_ends_the_oldest(store).await;
    the_limit_refuses_a_new_login(store).await;
    the_limit_holds_when_many_log_in_at_once(store).await;
    families_read_back_as_written(store).await;
    an_update_needs_the_current_version(store).await;
    one_of_many_updates_succeeds(store).await;
    an_ended_family_cannot_be_updated(store).await;
    a_login_stored_before_its_family_ends_also_ends(store).await;
    the_token_that_was_sent_with_a_login_is_seen_once(store).await;
    one_of_many_calls_sees_a_token(store).await;
    a_purge_deletes_expired_rows_and_no_others(store).await;
    a_purge_deletes_idle_logins(store).await;
    a_session_is_revoked_until_the_given_time(store).await;
    a_session_is_checked_together_with_its_login(store).await;
    the_families_of_a_user_are_limited(store).await;
    the_revocations_of_a_user_are_limited(store).await;
    a_cancelled_call_does_no_harm(store).await;
}

/// Runs the test that ends all logins in the store.
///
/// # Panics
///
/// If the test fails.
pub async fn run_alone<S: LoginStore>(store: Arc<S>) {
    all_logins_and_families_end(&store).await;
}

/// Returns the answer of a call that must not fail.
#[track_caller]
pub(super) fn ok<T>(answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => match error.source() {
            Some(source) => panic!("{error}: {source}"),
            None => panic!("{error}"),
        },
    }
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(
        getrandom::fill(&mut bytes),
        Ok(()),
        "the system's random number generator failed"
    );
    bytes
}

fn new_key() -> LoginKey {
    LoginKey::from_bytes(random())
}

fn new_family() -> FamilyKey {
    FamilyKey(random())
}

/// The id of a new user.
fn new_user() -> String {
    format!("\"user {}\"", FamilyKey(random()))
}

fn owner(user_id: &str) -> LoginOwner<'_> {
    LoginOwner {
        user_type: "",
        user_id,
    }
}

fn of(user_id: &str) -> LoginSelector<'_> {
    LoginSelector::Of {
        owner: owner(user_id),
        but: None,
        but_family: None,
    }
}

/// A login that was made at [`NOW`] and is valid for a day.
fn login(user_id: &str) -> LoginRecord {
    login_at(user_id, NOW)
}

fn login_at(user_id: &str, created_at: i64) -> LoginRecord {
    LoginRecord {
        user_type: String::new(),
        user_id: user_id.to_owned(),
        created_at,
        authenticated_at: created_at,
        last_seen: created_at,
        expires_at: created_at + 86_400,
        fresh: true,
        allow_inactive: false,
        method: "password".to_owned(),
        client: 7,
        user_agent: "suite/1".to_owned(),
        address: "192.0.2.1".to_owned(),
        hash: None,
        family: None,
        unseen_token: None,
    }
}

/// A family that was made at [`NOW`] and is valid for a month.
fn family(user_id: &str) -> TokenFamily {
    TokenFamily {
        user_type: String::new(),
        user_id: user_id.to_owned(),
        seed: random(),
        version: 1,
        generation: 0,
        rotated_at: NOW,
        seen_at: None,
        restored_at: None,
        authenticated_at: NOW,
        expires_at: NOW + 30 * 86_400,
        lifetime: 30 * 86_400,
        hash: None,
    }
}

async fn insert<S: LoginStore>(store: &S, record: &LoginRecord) -> LoginKey {
    let key = new_key();
    let inserted = ok(store.insert(key, record, None, record.created_at).await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 0 },
        "without a limit every login is stored"
    );
    key
}

async fn insert_family<S: LoginStore>(store: &S, family: &TokenFamily) -> FamilyKey {
    let key = new_family();
    ok(store.insert_family(key, family).await);
    key
}

async fn is_stored<S: LoginStore>(store: &S, key: LoginKey) -> bool {
    ok(store.find(key, NOW).await).is_some()
}

/// The keys of a user's logins, in the order in which the store lists them.
async fn keys_of<S: LoginStore>(store: &S, user_id: &str, now: i64) -> Vec<LoginKey> {
    ok(store.list(owner(user_id), now).await)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

/// Makes several calls that start at the same time. Returns their answers.
pub(super) async fn at_once<S, T, F>(
    store: &Arc<S>,
    count: usize,
    call: impl Fn(Arc<S>, usize) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let calls: Vec<_> = (0..count)
        .map(|index| {
            let (barrier, call) = (Arc::clone(&barrier), call(Arc::clone(store), index));
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(count);
    for call in calls {
        match call.await {
            Ok(answer) => answers.push(answer),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    answers
}

async fn logins_read_back_as_written<S: LoginStore>(store: &Arc<S>) {
    let user = format!(r#""'; -- \"{}\u0000%_\\ ünï © 🦀 \n""#, FamilyKey(random()));
    let plain = login(&user);
    let odd = LoginRecord {
        user_type: "app::Admin<'_>".to_owned(),
        authenticated_at: -1,
        last_seen: NOW + 5,
        fresh: false,
        allow_inactive: true,
        method: "$1 {} % \\ ' \" `".to_owned(),
        client: u64::MAX,
        user_agent: "Mözilla/5.0 ".repeat(200),
        address: "2001:db8::1%eth0".to_owned(),
        hash: Some("' OR 1=1 --".to_owned()),
        family: Some(new_family()),
        unseen_token: Some(i64::MAX),
        ..login(&user)
    };
    let empty = LoginRecord {
        user_agent: String::new(),
        address: String::new(),
        method: String::new(),
        client: 0,
        hash: Some(String::new()),
        ..login(&user)
    };
    for record in [plain, odd, empty] {
        let key = insert(&**store, &record).await;
        let found = ok(store.find(key, NOW).await);
        assert_eq!(
            found.as_ref(),
            Some(&record),
            "a login reads back as written"
        );
        let found = ok(store.find_for_auth(key, NOW).await);
        let completed = found.map(|found| LoginRecord {
            method: record.method.clone(),
            user_agent: record.user_agent.clone(),
            address: record.address.clone(),
            ..found
        });
        assert_eq!(
            completed.as_ref(),
            Some(&record),
            "a login found for authentication has all fields but those shown to people"
        );
        let listed = ok(store.list(record.owner(), NOW).await);
        assert!(
            listed.contains(&(key, record)),
            "a listed login reads back as written"
        );
    }
}

async fn a_login_is_not_found_from_the_second_it_expires<S: LoginStore>(store: &Arc<S>) {
    let record = login(&new_user());
    let key = insert(&**store, &record).await;
    let end = record.expires_at;
    assert!(
        ok(store.find(key, end - 1).await).is_some(),
        "a login is valid until it expires"
    );
    assert_eq!(
        ok(store.find(key, end).await),
        None,
        "a login is not found in the second it expires"
    );
    assert_eq!(
        ok(store.find(key, i64::MAX).await),
        None,
        "an expired login stays expired"
    );
    ok(store.touch(key, end + 1).await);
    assert_eq!(
        ok(store.find(key, end).await),
        None,
        "use does not extend a login"
    );
}

async fn unknown_keys_have_no_effect<S: LoginStore>(store: &Arc<S>) {
    let (key, user) = (new_key(), new_user());
    assert_eq!(
        ok(store.find(key, NOW).await),
        None,
        "an unknown login is not found"
    );
    ok(store.touch(key, NOW).await);
    ok(store.make_stale(key).await);
    assert_eq!(
        ok(store.find(key, NOW).await),
        None,
        "`touch` stores no login"
    );
    assert!(
        !ok(store.end(key).await),
        "an unknown login cannot be ended"
    );
    assert_eq!(
        ok(store.list(owner(&user), NOW).await),
        [],
        "an unknown user has no logins"
    );
    assert_eq!(
        ok(store.end_many(of(&user)).await),
        0,
        "an unknown user has no logins to end"
    );
    let family_key = new_family();
    assert_eq!(
        ok(store.find_family(family_key, NOW).await),
        None,
        "an unknown family is not found"
    );
    let updated = ok(store.update_family_if(family_key, 1, &family(&user)).await);
    assert!(!updated, "an unknown family cannot be updated");
    assert_eq!(
        ok(store.find_family(family_key, NOW).await),
        None,
        "an update stores no family"
    );
    let ended = ok(store.end_many(LoginSelector::Family(family_key)).await);
    assert_eq!(ended, 0, "an unknown family has no logins to end");
    assert!(
        !ok(store.is_session_revoked(new_key(), NOW).await),
        "an unknown session is not revoked"
    );
}

async fn last_seen_only_moves_forward<S: LoginStore>(store: &Arc<S>) {
    let record = login(&new_user());
    let (key, other) = (
        insert(&**store, &record).await,
        insert(&**store, &record).await,
    );
    for (touched, expected) in [
        (NOW + 60, NOW + 60),
        (NOW + 30, NOW + 60),
        (NOW + 61, NOW + 61),
    ] {
        ok(store.touch(key, touched).await);
        let found = ok(store.find(key, NOW).await);
        let expected = LoginRecord {
            last_seen: expected,
            ..record.clone()
        };
        assert_eq!(
            found,
            Some(expected),
            "`last_seen` moves forward only, and nothing else changes"
        );
    }
    at_once(store, MANY, |store, index| async move {
        let offset = i64::try_from(index).unwrap_or_default();
        ok(store.touch(key, NOW + 100 + offset).await);
    })
    .await;
    let last_seen = ok(store.find(key, NOW).await).map(|found| found.last_seen);
    assert_eq!(
        last_seen,
        Some(NOW + 99 + MANY as i64),
        "the latest of many touches counts"
    );
    assert_eq!(
        ok(store.find(other, NOW).await),
        Some(record),
        "another login does not change"
    );
}

async fn a_login_made_stale_stays_stale<S: LoginStore>(store: &Arc<S>) {
    let record = login(&new_user());
    let (key, other) = (
        insert(&**store, &record).await,
        insert(&**store, &record).await,
    );
    ok(store.make_stale(key).await);
    ok(store.make_stale(key).await);
    ok(store.touch(key, NOW + 1).await);
    let stale = LoginRecord {
        fresh: false,
        last_seen: NOW + 1,
        ..record.clone()
    };
    assert_eq!(
        ok(store.find(key, NOW).await),
        Some(stale),
        "a login made stale stays stale"
    );
    assert_eq!(
        ok(store.find(other, NOW).await),
        Some(record),
        "another login stays fresh"
    );
}

async fn an_ended_login_does_not_come_back<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let key = insert(&**store, &login(&user)).await;
    assert!(ok(store.end(key).await), "the login was stored");
    assert!(
        !is_stored(&**store, key).await,
        "an ended login is not found"
    );
    ok(store.touch(key, NOW + 1).await);
    ok(store.make_stale(key).await);
    assert!(
        !is_stored(&**store, key).await,
        "use does not restore an ended login"
    );
    assert_eq!(
        keys_of(&**store, &user, NOW).await,
        [],
        "an ended login is not listed"
    );
    assert!(!ok(store.end(key).await), "a login ends once");
}

async fn ending_wins_over_concurrent_changes<S: LoginStore>(store: &Arc<S>) {
    for round in 0..ROUNDS {
        let user = new_user();
        let key = insert(&**store, &login(&user)).await;
        at_once(store, 8, |store, index| {
            let user = user.clone();
            async move {
                match index {
                    0 if round % 2 == 0 => {
                        assert!(ok(store.end(key).await), "the login was stored")
                    }
                    0 => assert_eq!(
                        ok(store.end_many(of(&user)).await),
                        1,
                        "the login was stored"
                    ),
                    1 | 2 => ok(store.make_stale(key).await),
                    _ => ok(store.touch(key, NOW + 1).await),
                }
            }
        })
        .await;
        assert!(
            !is_stored(&**store, key).await,
            "ending wins over concurrent changes"
        );
        assert_eq!(
            keys_of(&**store, &user, NOW).await,
            [],
            "an ended login is not listed"
        );
    }
}

async fn one_of_many_calls_ends_a_login<S: LoginStore>(store: &Arc<S>) {
    let key = insert(&**store, &login(&new_user())).await;
    let answers = at_once(
        store,
        MANY,
        |store, _| async move { ok(store.end(key).await) },
    )
    .await;
    let successes = answers.into_iter().filter(|ended| *ended).count();
    assert_eq!(successes, 1, "one of many calls ends a login");
}

async fn all_logins_of_a_user_end_and_no_others<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let record = LoginRecord {
        user_type: "type".to_owned(),
        ..login(&user)
    };
    let (first, second) = (
        insert(&**store, &record).await,
        insert(&**store, &record).await,
    );
    let kept_family = TokenFamily {
        user_type: "type".to_owned(),
        ..family(&user)
    };
    let family_key = insert_family(&**store, &kept_family).await;

    // Other owners. For some of them, type and id have the same characters if they are joined.
    let others = [
        LoginRecord {
            user_type: String::new(),
            ..record.clone()
        },
        LoginRecord {
            user_type: "Type".to_owned(),
            ..record.clone()
        },
        LoginRecord {
            user_type: "typ".to_owned(),
            user_id: format!("e{user}"),
            ..record.clone()
        },
        LoginRecord {
            user_type: format!("type{user}"),
            user_id: String::new(),
            ..record.clone()
        },
        LoginRecord {
            user_id: user.to_uppercase(),
            ..record.clone()
        },
        LoginRecord {
            user_id: format!("{user} "),
            ..record.clone()
        },
    ];
    let mut kept = Vec::new();
    for other in &others {
        let other_family = TokenFamily {
            user_type: other.user_type.clone(),
            user_id: other.user_id.clone(),
            ..family(&user)
        };
        kept.push((
            insert(&**store, other).await,
            insert_family(&**store, &other_family).await,
        ));
    }

    let which = LoginSelector::Of {
        owner: record.owner(),
        but: None,
        but_family: None,
    };
    assert_eq!(
        ok(store.end_many(which).await),
        2,
        "both logins of the user end"
    );
    for key in [first, second] {
        assert!(
            !is_stored(&**store, key).await,
            "a login of the user has ended"
        );
    }
    assert_eq!(
        ok(store.find_family(family_key, NOW).await),
        None,
        "the user's family has ended"
    );
    let updated = ok(store.update_family_if(family_key, 1, &kept_family).await);
    assert!(
        !updated,
        "a family that ended with its user's logins cannot be updated"
    );
    for ((key, family_key), other) in kept.into_iter().zip(&others) {
        assert!(
            is_stored(&**store, key).await,
            "a login of {:?} remains",
            other.owner()
        );
        let found = ok(store.find_family(family_key, NOW).await);
        assert!(found.is_some(), "a family of {:?} remains", other.owner());
    }
}

async fn all_logins_of_a_user_end_except_one<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let (first, kept) = (
        insert(&**store, &login(&user)).await,
        insert(&**store, &login(&user)).await,
    );
    let (first_family, kept_family) = (
        insert_family(&**store, &family(&user)).await,
        insert_family(&**store, &family(&user)).await,
    );
    let which = LoginSelector::Of {
        owner: owner(&user),
        but: Some(kept),
        but_family: Some(kept_family),
    };
    assert_eq!(
        ok(store.end_many(which).await),
        1,
        "all logins except one end"
    );
    assert!(
        !is_stored(&**store, first).await,
        "the other login has ended"
    );
    assert!(
        is_stored(&**store, kept).await,
        "the excepted login remains"
    );
    assert_eq!(
        keys_of(&**store, &user, NOW).await,
        [kept],
        "only the excepted login is listed"
    );
    assert_eq!(
        ok(store.find_family(first_family, NOW).await),
        None,
        "the other family has ended"
    );
    assert!(
        ok(store.find_family(kept_family, NOW).await).is_some(),
        "the excepted family remains"
    );

    // Excepting a login of another user has no effect.
    let (other, unrelated) = (new_user(), insert(&**store, &login(&new_user())).await);
    let others = insert(&**store, &login(&other)).await;
    let which = LoginSelector::Of {
        owner: owner(&other),
        but: Some(unrelated),
        but_family: Some(kept_family),
    };
    assert_eq!(
        ok(store.end_many(which).await),
        1,
        "excepting a login of another user has no effect"
    );
    assert!(
        !is_stored(&**store, others).await,
        "excepting a login of another user has no effect"
    );
    assert!(
        is_stored(&**store, unrelated).await,
        "the other user's login remains"
    );
}

async fn a_family_ends_with_its_logins_only<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let key = insert_family(&**store, &family(&user)).await;
    let other_key = insert_family(&**store, &family(&user)).await;
    let member = LoginRecord {
        family: Some(key),
        ..login(&user)
    };
    let (first, second) = (
        insert(&**store, &member).await,
        insert(&**store, &member).await,
    );
    let others = [
        insert(
            &**store,
            &LoginRecord {
                family: Some(other_key),
                ..login(&user)
            },
        )
        .await,
        insert(&**store, &login(&user)).await,
        insert(
            &**store,
            &LoginRecord {
                family: None,
                ..login(&new_user())
            },
        )
        .await,
    ];
    assert_eq!(
        ok(store.end_many(LoginSelector::Family(key)).await),
        2,
        "the family's logins end"
    );
    for ended in [first, second] {
        assert!(
            !is_stored(&**store, ended).await,
            "a login of the family has ended"
        );
    }
    assert_eq!(
        ok(store.find_family(key, NOW).await),
        None,
        "the family has ended"
    );
    for other in others {
        assert!(
            is_stored(&**store, other).await,
            "a login that does not belong to the family remains"
        );
    }
    assert!(
        ok(store.find_family(other_key, NOW).await).is_some(),
        "another family remains"
    );

    // A family may expire before a login of it, which ends with the family nevertheless.
    let short = TokenFamily {
        expires_at: NOW + 10,
        ..family(&user)
    };
    let key = insert_family(&**store, &short).await;
    let member = insert(
        &**store,
        &LoginRecord {
            family: Some(key),
            ..login(&user)
        },
    )
    .await;
    purge_all(&**store, NOW + 10, None).await;
    assert_eq!(
        ok(store.find_family(key, NOW + 10).await),
        None,
        "the family has expired"
    );
    assert!(
        is_stored(&**store, member).await,
        "a login remains after its family has expired"
    );
    assert_eq!(
        ok(store.end_many(LoginSelector::Family(key)).await),
        1,
        "a login ends with its expired family"
    );
    assert!(
        !is_stored(&**store, member).await,
        "a login ends with its expired family"
    );
}

async fn a_list_is_newest_first_and_of_one_user<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let middle = insert(&**store, &login_at(&user, NOW - 20)).await;
    let newest = insert(&**store, &login_at(&user, NOW - 10)).await;
    let oldest = insert(&**store, &login_at(&user, NOW - 30)).await;
    insert(
        &**store,
        &LoginRecord {
            user_type: "other".to_owned(),
            ..login(&user)
        },
    )
    .await;
    insert(&**store, &login(&new_user())).await;
    // This comes last, because a store may delete expired rows when it learns the time.
    let expired = LoginRecord {
        expires_at: NOW,
        ..login_at(&user, NOW - 5)
    };
    let expired_key = insert(&**store, &expired).await;
    let listed = keys_of(&**store, &user, NOW).await;
    assert_eq!(
        listed,
        [newest, middle, oldest],
        "the newest is first, and expired logins are not listed"
    );
    let earlier = keys_of(&**store, &user, NOW - 1).await;
    assert_eq!(
        earlier,
        [expired_key, newest, middle, oldest],
        "a login is listed until it expires"
    );
}

/// Several requests that restore the same login all store it, and it counts once.
async fn a_stored_login_is_not_stored_again<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let record = login(&user);
    let other = insert(&**store, &record).await;
    let key = insert(&**store, &record).await;
    let changed = LoginRecord {
        created_at: NOW + 1,
        method: "changed".to_owned(),
        ..record.clone()
    };
    for max in [
        None,
        Some(MaxLogins::EndOldest(2)),
        Some(MaxLogins::Refuse(2)),
        Some(MaxLogins::EndOldest(1)),
    ] {
        let inserted = ok(store.insert(key, &changed, max, NOW + 1).await);
        assert_eq!(inserted, Inserted::Done { ended: 0 }, "{max:?}");
        assert_eq!(ok(store.find(key, NOW + 1).await).as_ref(), Some(&record));
        assert!(
            is_stored(&**store, other).await,
            "another login remains: {max:?}"
        );
    }
    // An expired login counts as absent.
    let later = LoginRecord {
        expires_at: record.expires_at + 100,
        ..changed
    };
    ok(store.insert(key, &later, None, record.expires_at).await);
    let found = ok(store.find(key, record.expires_at).await);
    assert_eq!(found, Some(later), "a new login replaces an expired one");
}

async fn the_limit_ends_the_oldest<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    for age in 50..70 {
        let expired = LoginRecord {
            expires_at: NOW,
            ..login_at(&user, NOW - age)
        };
        insert(&**store, &expired).await;
    }
    let mut keys = Vec::new();
    // These are not in the order of age.
    for age in [30, 40, 20] {
        keys.push(insert(&**store, &login_at(&user, NOW - age)).await);
    }
    let other = insert(&**store, &login_at(&new_user(), NOW - 100)).await;
    let other_type = LoginRecord {
        user_type: "other".to_owned(),
        ..login_at(&user, NOW - 100)
    };
    let other_type = insert(&**store, &other_type).await;

    let (key, four) = (new_key(), Some(MaxLogins::EndOldest(4)));
    let inserted = ok(store.insert(key, &login(&user), four, NOW).await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 0 },
        "expired logins do not count"
    );
    let (next, three) = (new_key(), Some(MaxLogins::EndOldest(3)));
    let inserted = ok(store
        .insert(next, &login_at(&user, NOW + 1), three, NOW + 1)
        .await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 2 },
        "only as many logins end as necessary"
    );
    let listed = keys_of(&**store, &user, NOW + 1).await;
    assert_eq!(listed, [next, key, keys[2]], "the oldest logins end");
    for other in [other, other_type] {
        assert!(
            is_stored(&**store, other).await,
            "a login of another user remains"
        );
    }

    let (last, one) = (new_key(), Some(MaxLogins::EndOldest(1)));
    let inserted = ok(store
        .insert(last, &login_at(&user, NOW + 2), one, NOW + 2)
        .await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 3 },
        "only as many logins end as necessary"
    );
    assert_eq!(
        keys_of(&**store, &user, NOW + 2).await,
        [last],
        "the new login remains"
    );
}

async fn the_limit_refuses_a_new_login<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let two = Some(MaxLogins::Refuse(2));
    for age in 50..70 {
        let expired = LoginRecord {
            expires_at: NOW,
            ..login_at(&user, NOW - age)
        };
        insert(&**store, &expired).await;
    }
    insert(
        &**store,
        &LoginRecord {
            user_type: "other".to_owned(),
            ..login(&user)
        },
    )
    .await;
    let (first, second, third) = (new_key(), new_key(), new_key());
    for key in [first, second] {
        let inserted = ok(store.insert(key, &login(&user), two, NOW).await);
        assert_eq!(
            inserted,
            Inserted::Done { ended: 0 },
            "there is room, because expired logins do not count"
        );
    }
    let inserted = ok(store.insert(third, &login(&user), two, NOW).await);
    assert_eq!(inserted, Inserted::Refused, "there is no room");
    assert!(
        !is_stored(&**store, third).await,
        "a refused login is not stored"
    );
    assert_eq!(
        keys_of(&**store, &user, NOW).await.len(),
        2,
        "a refused login is not listed"
    );
    assert!(ok(store.end(first).await), "the login was stored");
    let inserted = ok(store.insert(third, &login(&user), two, NOW).await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 0 },
        "an ended login does not count"
    );
    let none = Some(MaxLogins::Refuse(0));
    let inserted = ok(store
        .insert(new_key(), &login(&new_user()), none, NOW)
        .await);
    assert_eq!(
        inserted,
        Inserted::Refused,
        "a limit of zero refuses every login"
    );
}

async fn the_limit_holds_when_many_log_in_at_once<S: LoginStore>(store: &Arc<S>) {
    for max in [MaxLogins::EndOldest(3), MaxLogins::Refuse(3)] {
        let user = new_user();
        let answers = at_once(store, MANY, |store, _| {
            let record = login(&user);
            async move { ok(store.insert(new_key(), &record, Some(max), NOW).await) }
        })
        .await;
        let mut stored = 0;
        let mut ended = 0;
        for answer in answers {
            if let Inserted::Done { ended: more } = answer {
                stored += 1;
                ended += more;
            }
        }
        assert_eq!(
            keys_of(&**store, &user, NOW).await.len(),
            3,
            "{max:?} holds"
        );
        assert_eq!(
            stored - ended,
            3,
            "{max:?}: every login that was stored is listed or ended"
        );
        if max == MaxLogins::Refuse(3) {
            assert_eq!(ended, 0, "no login ends if new ones are refused");
        }
    }
}

async fn families_read_back_as_written<S: LoginStore>(store: &Arc<S>) {
    let user = format!(r#""'; -- \"{}\u0000 ünï © 🦀""#, FamilyKey(random()));
    let odd = TokenFamily {
        user_type: "app::Admin<'_>".to_owned(),
        // These bytes are not text in any encoding.
        seed: [0, 255, 192, 0, 39, 34, 92, 10, 13, 0, 128, 0, 1, 2, 3, 254],
        version: i64::MAX,
        generation: 1 << 40,
        seen_at: Some(0),
        restored_at: Some(NOW + 7),
        authenticated_at: -1,
        lifetime: 1 << 41,
        hash: Some("' OR 1=1 --".to_owned()),
        ..family(&user)
    };
    let empty = TokenFamily {
        hash: Some(String::new()),
        ..family(&user)
    };
    for written in [family(&user), odd, empty] {
        let key = insert_family(&**store, &written).await;
        let end = written.expires_at;
        let found = ok(store.find_family(key, end - 1).await);
        assert!(
            found.as_ref() == Some(&written),
            "a family reads back as written"
        );
        assert_eq!(
            ok(store.find_family(key, end).await),
            None,
            "a family is not found from the second it expires"
        );
    }
}

async fn an_update_needs_the_current_version<S: LoginStore>(store: &Arc<S>) {
    let first = TokenFamily {
        seen_at: Some(NOW),
        hash: Some("hash".to_owned()),
        ..family(&new_user())
    };
    let key = insert_family(&**store, &first).await;
    let other = insert_family(&**store, &first).await;
    let second = TokenFamily {
        version: 2,
        generation: 1,
        rotated_at: NOW + 300,
        seen_at: None,
        restored_at: Some(NOW + 300),
        hash: None,
        ..first.clone()
    };
    for wrong in [0, 2, -1] {
        assert!(
            !ok(store.update_family_if(key, wrong, &second).await),
            "an update with another version fails"
        );
    }
    assert!(
        ok(store.find_family(key, NOW).await) == Some(first.clone()),
        "a failed update changes nothing"
    );
    assert!(
        ok(store.update_family_if(key, 1, &second).await),
        "an update with the current version succeeds"
    );
    assert!(
        ok(store.find_family(key, NOW).await) == Some(second.clone()),
        "an update replaces the whole family"
    );
    assert!(
        !ok(store.update_family_if(key, 1, &first).await),
        "a second update with the same version fails"
    );
    assert!(
        ok(store
            .update_family_if(
                key,
                2,
                &TokenFamily {
                    version: 3,
                    ..second
                }
            )
            .await),
        "an update with the next version succeeds"
    );
    assert!(
        ok(store.find_family(other, NOW).await) == Some(first),
        "another family does not change"
    );
}

async fn one_of_many_updates_succeeds<S: LoginStore>(store: &Arc<S>) {
    let family = family(&new_user());
    let key = insert_family(&**store, &family).await;
    for version in 1..=3 {
        let answers =
            at_once(store, MANY, |store, index| {
                let generation = i64::try_from(index).unwrap_or_default();
                let update = TokenFamily {
                    version: version + 1,
                    generation,
                    ..family.clone()
                };
                async move {
                    ok(store.update_family_if(key, version, &update).await).then_some(generation)
                }
            })
            .await;
        let successes: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(
            successes.len(),
            1,
            "one of many updates with the same version succeeds"
        );
        let found =
            ok(store.find_family(key, NOW).await).map(|found| (found.version, found.generation));
        assert_eq!(
            found,
            Some((version + 1, successes[0])),
            "the successful update is stored"
        );
    }
}

async fn an_ended_family_cannot_be_updated<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let next = TokenFamily {
        version: 2,
        ..family(&user)
    };
    for which in ["key", "user"] {
        let key = insert_family(&**store, &family(&user)).await;
        let found = ok(store.find_family(key, NOW).await);
        assert!(found.is_some(), "the family is stored");
        let end = if which == "key" {
            LoginSelector::Family(key)
        } else {
            of(&user)
        };
        ok(store.end_many(end).await);
        // The family was found before it ended, so this update comes too late.
        assert!(
            !ok(store.update_family_if(key, 1, &next).await),
            "a family that ended with its {which} cannot be updated"
        );
        assert_eq!(
            ok(store.find_family(key, NOW).await),
            None,
            "a family that ended with its {which} stays ended"
        );
    }
    for _ in 0..ROUNDS {
        let key = insert_family(&**store, &family(&user)).await;
        at_once(store, 8, |store, index| {
            let next = next.clone();
            async move {
                if index == 0 {
                    ok(store.end_many(LoginSelector::Family(key)).await);
                } else {
                    ok(store.update_family_if(key, 1, &next).await);
                }
            }
        })
        .await;
        assert_eq!(
            ok(store.find_family(key, NOW).await),
            None,
            "ending wins over concurrent updates"
        );
    }
}

/// A request that restores a login looks for the family again after it has stored the login. If it
/// finds the family, the family has not ended yet, and its end will end the login too.
async fn a_login_stored_before_its_family_ends_also_ends<S: LoginStore>(store: &Arc<S>) {
    for round in 0..ROUNDS {
        let user = new_user();
        let key = insert_family(&**store, &family(&user)).await;
        let max = (round % 4 < 2).then_some(MaxLogins::EndOldest(100));
        let seen = at_once(store, 8, |store, index| {
            let user = user.clone();
            async move {
                if index == 0 {
                    let end = if round % 2 == 0 {
                        LoginSelector::Family(key)
                    } else {
                        of(&user)
                    };
                    ok(store.end_many(end).await);
                    return Vec::new();
                }
                let mut seen = Vec::new();
                for _ in 0..4 {
                    let (login_key, record) = (
                        new_key(),
                        LoginRecord {
                            family: Some(key),
                            ..login(&user)
                        },
                    );
                    ok(store.insert(login_key, &record, max, NOW).await);
                    if ok(store.find_family(key, NOW).await).is_some() {
                        seen.push(login_key);
                    }
                }
                seen
            }
        })
        .await;
        for login_key in seen.into_iter().flatten() {
            let found = is_stored(&**store, login_key).await;
            assert!(
                !found,
                "a login stored before its family ended has ended with it"
            );
        }
    }
}

/// Stores a login and its family, whose token of generation 7 was sent together with the login.
async fn insert_with_token<S: LoginStore>(store: &S, user_id: &str) -> (LoginKey, FamilyKey) {
    let family = TokenFamily {
        generation: 7,
        ..family(user_id)
    };
    let family_key = insert_family(store, &family).await;
    let record = LoginRecord {
        family: Some(family_key),
        unseen_token: Some(7),
        ..login(user_id)
    };
    (insert(store, &record).await, family_key)
}

async fn the_token_that_was_sent_with_a_login_is_seen_once<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let (key, family_key) = insert_with_token(&**store, &user).await;
    let (other, other_family) = insert_with_token(&**store, &user).await;
    let before = ok(store.find_family(family_key, NOW).await);
    for now in [NOW + 5, NOW + 6] {
        ok(store.token_arrived(key, now).await);
        let seen = before.clone().map(|before| TokenFamily {
            seen_at: Some(NOW + 5),
            version: before.version + 1,
            ..before
        });
        assert!(
            ok(store.find_family(family_key, NOW).await) == seen,
            "the first call sees the token, and the second changes nothing"
        );
        let found = ok(store.find_for_auth(key, NOW).await);
        let unseen = found.map(|found| (found.family, found.unseen_token));
        assert_eq!(
            unseen,
            Some((Some(family_key), None)),
            "the login no longer waits for its token, and stays in its family"
        );
    }
    let found = ok(store.find(other, NOW).await).and_then(|found| found.unseen_token);
    assert_eq!(found, Some(7), "another login does not change");
    let found = ok(store.find_family(other_family, NOW).await).and_then(|found| found.seen_at);
    assert_eq!(found, None, "another family does not change");

    // The token was replaced after the login was made: the browser may not have the current one.
    let replaced = TokenFamily {
        version: 2,
        generation: 8,
        ..family(&user)
    };
    assert!(ok(store.update_family_if(other_family, 1, &replaced).await));
    ok(store.token_arrived(other, NOW + 5).await);
    assert!(
        ok(store.find_family(other_family, NOW).await) == Some(replaced),
        "a token that was replaced does not show that its successor arrived"
    );
    let found = ok(store.find(other, NOW).await).and_then(|found| found.unseen_token);
    assert_eq!(found, None, "the login no longer waits for its token");

    // Nothing happens for a login that does not exist, and nothing comes back.
    ok(store.token_arrived(new_key(), NOW).await);
    for end_family in [true, false] {
        let (key, family_key) = insert_with_token(&**store, &user).await;
        if end_family {
            ok(store.end_many(LoginSelector::Family(family_key)).await);
        } else {
            assert!(ok(store.end(key).await), "the login was stored");
        }
        ok(store.token_arrived(key, NOW).await);
        assert!(
            !is_stored(&**store, key).await,
            "an ended login stays ended"
        );
        let found = ok(store.find_family(family_key, NOW).await);
        assert_eq!(
            found.map(|found| found.seen_at),
            (!end_family).then_some(None),
            "an ended family stays ended, and an ended login changes no family"
        );
    }
}

async fn one_of_many_calls_sees_a_token<S: LoginStore>(store: &Arc<S>) {
    for _ in 0..ROUNDS {
        let (key, family_key) = insert_with_token(&**store, &new_user()).await;
        at_once(store, 8, |store, index| async move {
            let offset = i64::try_from(index).unwrap_or_default();
            ok(store.token_arrived(key, NOW + offset).await);
        })
        .await;
        let found = ok(store.find_family(family_key, NOW).await);
        let found = found.map(|found| (found.version, found.seen_at.is_some()));
        assert_eq!(
            found,
            Some((2, true)),
            "one of many calls sees the token, and raises the version once"
        );
    }
}

/// Purges until no expired row is left. Returns how many rows were deleted.
async fn purge_all<S: LoginStore>(store: &S, now: i64, idle_since: Option<i64>) -> u64 {
    const LIMIT: u32 = 10;
    let mut purged = 0;
    for _ in 0..100_000 {
        let batch = ok(store.purge(now, idle_since, LIMIT).await);
        assert!(
            batch < u64::from(LIMIT) * 2,
            "a purge deletes about as many rows as the limit allows"
        );
        purged += batch;
        if batch < u64::from(LIMIT) {
            return purged;
        }
    }
    panic!("purging ends when no expired row is left");
}

/// A time long before the other tests, so that a purge then does not delete their rows.
fn long_ago() -> i64 {
    1_000_000 + i64::from(u32::from_be_bytes(random()) % 1_000_000_000)
}

async fn a_purge_deletes_expired_rows_and_no_others<S: LoginStore>(store: &Arc<S>) {
    let then = long_ago();
    let user = new_user();
    let expired = LoginRecord {
        expires_at: then,
        ..login_at(&user, then - 100)
    };
    let valid = LoginRecord {
        expires_at: then + 1,
        ..expired.clone()
    };
    let (mut expired_keys, mut valid_keys) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        expired_keys.push(insert(&**store, &expired).await);
        valid_keys.push(insert(&**store, &valid).await);
    }
    let expired_family = TokenFamily {
        rotated_at: then - 100,
        expires_at: then,
        ..family(&user)
    };
    let valid_family = TokenFamily {
        expires_at: then + 1,
        ..expired_family.clone()
    };
    let mut families = Vec::new();
    for _ in 0..12 {
        families.push(insert_family(&**store, &expired_family).await);
    }
    let kept_family = insert_family(&**store, &valid_family).await;
    let (expired_session, valid_session) = (new_key(), new_key());
    ok(store
        .revoke_session(expired_session, owner(NOBODY), then, MANY_REVOKED)
        .await);
    ok(store
        .revoke_session(valid_session, owner(NOBODY), then + 1, MANY_REVOKED)
        .await);

    let purged = purge_all(&**store, then, None).await;
    assert!(
        purged >= 37,
        "{purged} rows were deleted, and at least 37 had expired"
    );
    for key in expired_keys {
        // At this time the login had not expired yet, so it is found unless it was deleted.
        assert_eq!(
            ok(store.find(key, then - 1).await),
            None,
            "an expired login is deleted"
        );
    }
    for key in families {
        let found = ok(store.find_family(key, then - 1).await);
        assert_eq!(found, None, "an expired family is deleted");
    }
    assert!(
        !ok(store.is_session_revoked(expired_session, then).await),
        "an expired revocation has no effect"
    );
    let listed: BTreeSet<_> = keys_of(&**store, &user, then).await.into_iter().collect();
    assert_eq!(
        listed,
        valid_keys.into_iter().collect(),
        "rows that have not expired remain"
    );
    assert!(
        ok(store.find_family(kept_family, then).await).is_some(),
        "rows that have not expired remain"
    );
    assert!(
        ok(store.is_session_revoked(valid_session, then).await),
        "rows that have not expired remain"
    );
    assert!(
        ok(store.purge(then, None, 1_000).await) < 1_000,
        "a purge with few expired rows deletes fewer than the limit"
    );
}

async fn a_purge_deletes_idle_logins<S: LoginStore>(store: &Arc<S>) {
    let then = long_ago();
    let user = new_user();
    let record = login_at(&user, then - 100);
    let (idle, touched) = (
        insert(&**store, &record).await,
        insert(&**store, &record).await,
    );
    let used = insert(
        &**store,
        &LoginRecord {
            last_seen: then,
            ..record.clone()
        },
    )
    .await;
    ok(store.touch(touched, then).await);
    purge_all(&**store, then, None).await;
    assert!(
        ok(store.find(idle, then).await).is_some(),
        "without a limit no login is idle"
    );
    purge_all(&**store, then, Some(then - 100)).await;
    assert!(
        ok(store.find(idle, then).await).is_some(),
        "a login that was used exactly at the limit is not idle"
    );
    assert!(
        purge_all(&**store, then, Some(then)).await >= 1,
        "an idle login is counted"
    );
    assert_eq!(
        ok(store.find(idle, then).await),
        None,
        "an idle login is deleted"
    );
    let listed: BTreeSet<_> = keys_of(&**store, &user, then).await.into_iter().collect();
    assert_eq!(
        listed,
        BTreeSet::from([touched, used]),
        "logins that were used remain"
    );
}

async fn a_session_is_revoked_until_the_given_time<S: LoginStore>(store: &Arc<S>) {
    let session = new_key();
    ok(store
        .revoke_session(session, owner(NOBODY), NOW + 100, MANY_REVOKED)
        .await);
    assert!(
        ok(store.is_session_revoked(session, NOW + 99).await),
        "a revoked session is revoked until the given time"
    );
    assert!(
        !ok(store.is_session_revoked(session, NOW + 100).await),
        "a revocation ends at the given time"
    );
    assert!(
        !ok(store.is_session_revoked(new_key(), NOW).await),
        "another session is not revoked"
    );
    ok(store
        .revoke_session(session, owner(NOBODY), NOW + 200, MANY_REVOKED)
        .await);
    ok(store
        .revoke_session(session, owner(NOBODY), NOW + 50, MANY_REVOKED)
        .await);
    assert!(
        ok(store.is_session_revoked(session, NOW + 199).await),
        "the longest of several revocations counts"
    );
    let answers = at_once(store, 8, |store, _| async move {
        ok(store
            .revoke_session(session, owner(NOBODY), NOW + 300, MANY_REVOKED)
            .await);
        ok(store.is_session_revoked(session, NOW + 299).await)
    })
    .await;
    assert!(
        answers.into_iter().all(|revoked| revoked),
        "concurrent calls may revoke the same session"
    );
}

async fn a_session_is_checked_together_with_its_login<S: LoginStore>(store: &Arc<S>) {
    let record = login(&new_user());
    let key = insert(&**store, &record).await;
    let session = new_key();
    let until = NOW + 100;
    for (login, now) in [(key, NOW), (new_key(), NOW), (key, record.expires_at)] {
        match ok(store.check_session(session, login, now).await) {
            SessionCheck::Valid => {}
            SessionCheck::ValidWithLogin(found) => assert_eq!(
                found,
                ok(store.find_for_auth(login, now).await),
                "a login that is found with its session is the one that is found alone"
            ),
            SessionCheck::Revoked => panic!("a session that has not ended is not revoked"),
        }
    }
    ok(store
        .revoke_session(session, owner(NOBODY), until, MANY_REVOKED)
        .await);
    for login in [key, new_key()] {
        assert_eq!(
            ok(store.check_session(session, login, until - 1).await),
            SessionCheck::Revoked,
            "a revoked session is revoked whatever login is in it"
        );
    }
    assert_ne!(
        ok(store.check_session(session, key, until).await),
        SessionCheck::Revoked,
        "a revocation ends at the given time"
    );
    // A login may have the same key as its session.
    ok(store
        .revoke_session(key, owner(NOBODY), until, MANY_REVOKED)
        .await);
    assert_eq!(
        ok(store.check_session(key, key, NOW).await),
        SessionCheck::Revoked,
        "a revoked session is revoked although its login is found"
    );
}

async fn the_families_of_a_user_are_limited<S: LoginStore>(store: &Arc<S>) {
    let (user, other) = (new_user(), new_user());
    let kept = insert_family(&**store, &family(&other)).await;
    let mut keys = Vec::new();
    // Neither the order of the keys nor that of the calls decides.
    for offset in [3, 1, 4, 0, 2] {
        let family = TokenFamily {
            rotated_at: NOW + offset,
            ..family(&user)
        };
        keys.push((offset, insert_family(&**store, &family).await));
    }
    let login_key = insert(
        &**store,
        &LoginRecord {
            family: keys
                .iter()
                .find(|(offset, _)| *offset == 0)
                .map(|(_, key)| *key),
            ..login(&user)
        },
    )
    .await;
    for (keep, ended) in [(9, 0), (5, 0), (3, 2), (3, 0), (1, 2)] {
        assert_eq!(
            ok(store.end_oldest_families(owner(&user), keep).await),
            ended,
            "as many families end as are too many"
        );
        for (offset, key) in &keys {
            let found = ok(store.find_family(*key, NOW).await).is_some();
            assert_eq!(
                found,
                5 - offset <= i64::from(keep),
                "the families whose tokens were replaced last remain"
            );
        }
    }
    assert!(
        ok(store.find_family(kept, NOW).await).is_some(),
        "the families of another user remain"
    );
    assert!(is_stored(&**store, login_key).await, "logins remain");

    at_once(store, MANY, |store, _| {
        let user = user.clone();
        async move {
            insert_family(&*store, &family(&user)).await;
            ok(store.end_oldest_families(owner(&user), 3).await);
        }
    })
    .await;
    assert_eq!(
        ok(store.end_oldest_families(owner(&user), 3).await),
        0,
        "the limit holds when many log in at once"
    );
}

async fn the_revocations_of_a_user_are_limited<S: LoginStore>(store: &Arc<S>) {
    let (user, other) = (new_user(), new_user());
    let kept = new_key();
    ok(store.revoke_session(kept, owner(&other), NOW + 1, 3).await);
    let mut sessions = Vec::new();
    for offset in [10, 30, 20, 40, 50] {
        let session = new_key();
        ok(store
            .revoke_session(session, owner(&user), NOW + offset, 3)
            .await);
        sessions.push((session, offset));
    }
    // To revoke a session again is not one more.
    for (session, offset) in sessions.iter().skip(3) {
        ok(store
            .revoke_session(*session, owner(&user), NOW + offset, 3)
            .await);
    }
    for (session, offset) in sessions {
        let found = ok(store.is_session_revoked(session, NOW).await);
        assert_eq!(found, offset >= 30, "the latest revocations remain");
    }
    assert!(
        ok(store.is_session_revoked(kept, NOW).await),
        "the revocations of another user remain"
    );
    // One that is revoked for longer is no longer the first to go.
    let user = new_user();
    let [first, second, third] = [10, 20, 30].map(|offset| (new_key(), offset));
    let prolonged = (first.0, 60);
    let last = (new_key(), 40);
    for (session, offset) in [first, second, third, prolonged, last] {
        ok(store
            .revoke_session(session, owner(&user), NOW + offset, 3)
            .await);
    }
    for ((session, _), remains) in [(first, true), (second, false), (third, true), (last, true)] {
        let found = ok(store.is_session_revoked(session, NOW).await);
        assert_eq!(found, remains, "the latest revocations remain");
    }
}

/// The manager cancels calls that take too long. Such a call may still take effect.
async fn a_cancelled_call_does_no_harm<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let max = Some(MaxLogins::EndOldest(2));
    for wait in 0..40 {
        let wait = Duration::from_micros(wait * 50);
        let _ = timeout(wait, store.insert(new_key(), &login(&user), max, NOW)).await;
        let _ = timeout(wait, store.end_many(of(&user))).await;
    }
    for user in [user, new_user()] {
        for _ in 0..4 {
            let (key, record) = (new_key(), login(&user));
            let inserted = store.insert(key, &record, max, NOW);
            let inserted = timeout(Duration::from_secs(30), inserted).await;
            assert!(
                inserted.is_ok_and(|inserted| matches!(ok(inserted), Inserted::Done { .. })),
                "a cancelled call does not block the next one",
            );
            let listed = keys_of(&**store, &user, NOW).await.len();
            assert!(listed <= 2, "the limit holds if calls were cancelled");
        }
    }
    let user = new_user();
    let key = insert(&**store, &login(&user)).await;
    assert!(ok(store.end(key).await), "the login was stored");
    for _ in 0..MANY {
        assert!(
            !is_stored(&**store, key).await,
            "an ended login stays ended on each connection"
        );
    }
}

async fn all_logins_and_families_end<S: LoginStore>(store: &Arc<S>) {
    let (first, second) = (new_user(), new_user());
    let mut keys = Vec::new();
    let mut families = Vec::new();
    ok(store.end_many(LoginSelector::All).await);
    for user in [&first, &second] {
        for _ in 0..200 {
            keys.push(insert(&**store, &login(user)).await);
        }
        families.push(insert_family(&**store, &family(user)).await);
    }
    let session = new_key();
    ok(store
        .revoke_session(session, owner(NOBODY), NOW + 100, MANY_REVOKED)
        .await);
    let ended = ok(store.end_many(LoginSelector::All).await);
    assert!(ended >= 400, "all logins of all users end");
    for key in keys {
        assert!(!is_stored(&**store, key).await, "all logins have ended");
    }
    for (key, user) in families.into_iter().zip([&first, &second]) {
        assert_eq!(
            ok(store.find_family(key, NOW).await),
            None,
            "all families have ended"
        );
        assert!(
            !ok(store.update_family_if(key, 1, &family(user)).await),
            "an ended family cannot be updated"
        );
        assert_eq!(keys_of(&**store, user, NOW).await, [], "no login is listed");
    }
    assert!(
        ok(store.is_session_revoked(session, NOW).await),
        "revoked sessions stay revoked"
    );
    let key = insert(&**store, &login(&first)).await;
    assert!(is_stored(&**store, key).await, "a new login is valid");

    // As in `a_login_stored_before_its_family_ends_also_ends`.
    for _ in 0..5 {
        let family_key = insert_family(&**store, &family(&first)).await;
        let seen = at_once(store, 8, |store, index| {
            let record = LoginRecord {
                family: Some(family_key),
                ..login(&first)
            };
            async move {
                let key = new_key();
                if index == 0 {
                    ok(store.end_many(LoginSelector::All).await);
                    return None;
                }
                ok(store.insert(key, &record, None, NOW).await);
                ok(store.find_family(family_key, NOW).await).map(|_| key)
            }
        })
        .await;
        for key in seen.into_iter().flatten() {
            assert!(
                !is_stored(&**store, key).await,
                "a login stored before all logins ended has ended"
            );
        }
    }
}
