//! What every [`LoginStore`] promises, as a suite to run over one's own.
//!
//! All times in it are around November 2023: a store takes the time from its arguments and from
//! nowhere else. Ids and users are random, so [`run`] can be repeated on a database that keeps its
//! data, and leaves logins in it that nobody has the id of. [`run_alone`] ends everything, so give it
//! a database of its own.
//!
//! Give both a runtime with several threads, or little of what they do at once really happens at once.
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
    reason = "a broken promise fails the test that runs this"
)]

use std::{collections::BTreeSet, error::Error, future::Future, sync::Arc, time::Duration};

use tokio::{sync::Barrier, time::timeout};

use crate::store::{
    FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore, MaxLogins,
    StoreError, TokenFamily,
};

/// What time it is, for most of the suite.
const NOW: i64 = 1_700_000_000;

/// How many do something at once.
const MANY: usize = 64;

/// How often what may go wrong only sometimes is tried.
const ROUNDS: usize = 20;

/// Runs all that can run beside other users of the same database.
///
/// # Panics
///
/// At the first promise that is broken.
pub async fn run<S: LoginStore>(store: Arc<S>) {
    let store = &store;
    logins_read_back_as_written(store).await;
    a_login_is_over_from_the_second_it_expires(store).await;
    nothing_becomes_of_what_is_unknown(store).await;
    last_seen_only_moves_forward(store).await;
    a_login_made_stale_stays_stale(store).await;
    an_ended_login_does_not_come_back(store).await;
    ending_wins_over_what_runs_beside_it(store).await;
    one_of_many_ends_a_login(store).await;
    all_of_a_user_end_and_nobody_elses(store).await;
    all_of_a_user_end_but_one(store).await;
    a_family_ends_with_its_logins_only(store).await;
    a_list_is_newest_first_and_of_one_user(store).await;
    a_login_that_is_there_is_not_stored_again(store).await;
    the_limit_ends_the_oldest(store).await;
    the_limit_refuses(store).await;
    the_limit_holds_when_many_log_in_at_once(store).await;
    families_read_back_as_written(store).await;
    a_claim_needs_the_version(store).await;
    one_of_many_claims_wins(store).await;
    an_ended_family_cannot_be_claimed(store).await;
    no_login_slips_past_the_end_of_its_family(store).await;
    a_purge_takes_what_is_over_and_leaves_the_rest(store).await;
    a_purge_takes_what_is_idle(store).await;
    a_revoked_session_stays_revoked_until_its_time(store).await;
    a_call_that_is_given_up_does_no_harm(store).await;
}

/// Runs what ends everything in the store.
///
/// # Panics
///
/// At the first promise that is broken.
pub async fn run_alone<S: LoginStore>(store: Arc<S>) {
    everything_ends(&store).await;
}

/// What a store answers that did not fail.
#[track_caller]
fn ok<T>(answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => match error.source() {
            Some(source) => panic!("{error}: {source}"),
            None => panic!("{error}"),
        },
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(
        getrandom::fill(&mut bytes),
        Ok(()),
        "no random bytes to be had"
    );
    bytes
}

fn new_key() -> LoginKey {
    LoginKey::from_bytes(random())
}

fn new_family() -> FamilyKey {
    FamilyKey(random())
}

/// A user nobody has ever heard of.
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

/// A login made at [`NOW`] that is good for a day.
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
    }
}

/// A family made at [`NOW`] that is good for a month.
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

async fn is_there<S: LoginStore>(store: &S, key: LoginKey) -> bool {
    ok(store.find(key, NOW).await).is_some()
}

/// The keys of a user's logins, in the order of the list.
async fn keys_of<S: LoginStore>(store: &S, user_id: &str, now: i64) -> Vec<LoginKey> {
    ok(store.list(owner(user_id), now).await)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

/// Calls that start together, and their answers.
async fn at_once<S, T, F>(store: &Arc<S>, count: usize, call: impl Fn(Arc<S>, usize) -> F) -> Vec<T>
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
        let bare = ok(store.find_for_auth(key, NOW).await);
        let filled_in = bare.map(|bare| LoginRecord {
            method: record.method.clone(),
            user_agent: record.user_agent.clone(),
            address: record.address.clone(),
            ..bare
        });
        assert_eq!(
            filled_in.as_ref(),
            Some(&record),
            "a bare login lacks nothing but what is for people to read"
        );
        let listed = ok(store.list(record.owner(), NOW).await);
        assert!(
            listed.contains(&(key, record)),
            "a listed login reads back as written"
        );
    }
}

async fn a_login_is_over_from_the_second_it_expires<S: LoginStore>(store: &Arc<S>) {
    let record = login(&new_user());
    let key = insert(&**store, &record).await;
    let end = record.expires_at;
    assert!(
        ok(store.find(key, end - 1).await).is_some(),
        "a login is good until it expires"
    );
    assert_eq!(
        ok(store.find(key, end).await),
        None,
        "a login is over in the second it expires"
    );
    assert_eq!(
        ok(store.find(key, i64::MAX).await),
        None,
        "a login stays over"
    );
    ok(store.touch(key, end + 1).await);
    assert_eq!(
        ok(store.find(key, end).await),
        None,
        "use does not make a login last longer"
    );
}

async fn nothing_becomes_of_what_is_unknown<S: LoginStore>(store: &Arc<S>) {
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
        "touching makes no login"
    );
    assert!(!ok(store.end(key).await), "there was no login to end");
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
    let claimed = ok(store.update_family_if(family_key, 1, &family(&user)).await);
    assert!(!claimed, "an unknown family cannot be claimed");
    assert_eq!(
        ok(store.find_family(family_key, NOW).await),
        None,
        "a claim makes no family"
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
            "`last_seen` moves forward only, and nothing else"
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
        "the latest of many touches stands"
    );
    assert_eq!(
        ok(store.find(other, NOW).await),
        Some(record),
        "another login is not touched"
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
    assert!(ok(store.end(key).await), "there was a login to end");
    assert!(
        !is_there(&**store, key).await,
        "an ended login is not found"
    );
    ok(store.touch(key, NOW + 1).await);
    ok(store.make_stale(key).await);
    assert!(
        !is_there(&**store, key).await,
        "an ended login does not come back by use"
    );
    assert_eq!(
        keys_of(&**store, &user, NOW).await,
        [],
        "an ended login is not listed"
    );
    assert!(!ok(store.end(key).await), "a login ends once");
}

async fn ending_wins_over_what_runs_beside_it<S: LoginStore>(store: &Arc<S>) {
    for round in 0..ROUNDS {
        let user = new_user();
        let key = insert(&**store, &login(&user)).await;
        at_once(store, 8, |store, index| {
            let user = user.clone();
            async move {
                match index {
                    0 if round % 2 == 0 => assert!(ok(store.end(key).await), "it was there"),
                    0 => assert_eq!(ok(store.end_many(of(&user)).await), 1, "it was there"),
                    1 | 2 => ok(store.make_stale(key).await),
                    _ => ok(store.touch(key, NOW + 1).await),
                }
            }
        })
        .await;
        assert!(
            !is_there(&**store, key).await,
            "ending wins over touches beside it"
        );
        assert_eq!(
            keys_of(&**store, &user, NOW).await,
            [],
            "an ended login is not listed"
        );
    }
}

async fn one_of_many_ends_a_login<S: LoginStore>(store: &Arc<S>) {
    let key = insert(&**store, &login(&new_user())).await;
    let answers = at_once(
        store,
        MANY,
        |store, _| async move { ok(store.end(key).await) },
    )
    .await;
    let winners = answers.into_iter().filter(|ended| *ended).count();
    assert_eq!(winners, 1, "one of many calls ends a login");
}

async fn all_of_a_user_end_and_nobody_elses<S: LoginStore>(store: &Arc<S>) {
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

    // Others, some of whom have the same letters in another place.
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
            !is_there(&**store, key).await,
            "a login of the user has ended"
        );
    }
    assert_eq!(
        ok(store.find_family(family_key, NOW).await),
        None,
        "the user's family has ended"
    );
    let claimed = ok(store.update_family_if(family_key, 1, &kept_family).await);
    assert!(
        !claimed,
        "a family that ended with its user's logins cannot be claimed"
    );
    for ((key, family_key), other) in kept.into_iter().zip(&others) {
        assert!(
            is_there(&**store, key).await,
            "a login of {:?} stays",
            other.owner()
        );
        let found = ok(store.find_family(family_key, NOW).await);
        assert!(found.is_some(), "a family of {:?} stays", other.owner());
    }
}

async fn all_of_a_user_end_but_one<S: LoginStore>(store: &Arc<S>) {
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
    assert_eq!(ok(store.end_many(which).await), 1, "all but one end");
    assert!(
        !is_there(&**store, first).await,
        "the other login has ended"
    );
    assert!(is_there(&**store, kept).await, "the named login stays");
    assert_eq!(
        keys_of(&**store, &user, NOW).await,
        [kept],
        "only the named login is listed"
    );
    assert_eq!(
        ok(store.find_family(first_family, NOW).await),
        None,
        "the other family has ended"
    );
    assert!(
        ok(store.find_family(kept_family, NOW).await).is_some(),
        "the named family stays"
    );

    // Nobody else's login stays for being named.
    let (other, stranger) = (new_user(), insert(&**store, &login(&new_user())).await);
    let others = insert(&**store, &login(&other)).await;
    let which = LoginSelector::Of {
        owner: owner(&other),
        but: Some(stranger),
        but_family: Some(kept_family),
    };
    assert_eq!(
        ok(store.end_many(which).await),
        1,
        "a login of another user keeps none alive"
    );
    assert!(
        !is_there(&**store, others).await,
        "a login of another user keeps none alive"
    );
    assert!(
        is_there(&**store, stranger).await,
        "the other user's login stays"
    );
}

async fn a_family_ends_with_its_logins_only<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let key = insert_family(&**store, &family(&user)).await;
    let other_key = insert_family(&**store, &family(&user)).await;
    let born = LoginRecord {
        family: Some(key),
        ..login(&user)
    };
    let (first, second) = (insert(&**store, &born).await, insert(&**store, &born).await);
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
            !is_there(&**store, ended).await,
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
            is_there(&**store, other).await,
            "a login that is not of the family stays"
        );
    }
    assert!(
        ok(store.find_family(other_key, NOW).await).is_some(),
        "another family stays"
    );

    // A login may outlive its family, and still ends with it.
    let short = TokenFamily {
        expires_at: NOW + 10,
        ..family(&user)
    };
    let key = insert_family(&**store, &short).await;
    let born = insert(
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
        "the family is over"
    );
    assert!(
        is_there(&**store, born).await,
        "a login outlives its family"
    );
    assert_eq!(
        ok(store.end_many(LoginSelector::Family(key)).await),
        1,
        "a login ends with a family that is over"
    );
    assert!(
        !is_there(&**store, born).await,
        "a login ends with a family that is over"
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
    // Last, since who knows what time it is may delete what is over by then.
    let over = LoginRecord {
        expires_at: NOW,
        ..login_at(&user, NOW - 5)
    };
    let over = insert(&**store, &over).await;
    let listed = keys_of(&**store, &user, NOW).await;
    assert_eq!(
        listed,
        [newest, middle, oldest],
        "newest first, and none that is over"
    );
    let earlier = keys_of(&**store, &user, NOW - 1).await;
    assert_eq!(
        earlier,
        [over, newest, middle, oldest],
        "until it is over a login is listed"
    );
}

/// Requests that restore a login together store it together, and it counts once.
async fn a_login_that_is_there_is_not_stored_again<S: LoginStore>(store: &Arc<S>) {
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
        assert!(is_there(&**store, other).await, "it ended another: {max:?}");
    }
    // One that is over is not there.
    let later = LoginRecord {
        expires_at: record.expires_at + 100,
        ..changed
    };
    ok(store.insert(key, &later, None, record.expires_at).await);
    let found = ok(store.find(key, record.expires_at).await);
    assert_eq!(
        found,
        Some(later),
        "a login that is over was kept in its place"
    );
}

async fn the_limit_ends_the_oldest<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    for age in 50..70 {
        let over = LoginRecord {
            expires_at: NOW,
            ..login_at(&user, NOW - age)
        };
        insert(&**store, &over).await;
    }
    let mut keys = Vec::new();
    // Not in the order of age.
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
        "what is over does not count"
    );
    let (next, three) = (new_key(), Some(MaxLogins::EndOldest(3)));
    let inserted = ok(store
        .insert(next, &login_at(&user, NOW + 1), three, NOW + 1)
        .await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 2 },
        "as many end as have to"
    );
    let listed = keys_of(&**store, &user, NOW + 1).await;
    assert_eq!(listed, [next, key, keys[2]], "the oldest end");
    for other in [other, other_type] {
        assert!(
            is_there(&**store, other).await,
            "a login of another user stays"
        );
    }

    let (last, one) = (new_key(), Some(MaxLogins::EndOldest(1)));
    let inserted = ok(store
        .insert(last, &login_at(&user, NOW + 2), one, NOW + 2)
        .await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 3 },
        "as many end as have to"
    );
    assert_eq!(
        keys_of(&**store, &user, NOW + 2).await,
        [last],
        "the new one stays"
    );
}

async fn the_limit_refuses<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let two = Some(MaxLogins::Refuse(2));
    for age in 50..70 {
        let over = LoginRecord {
            expires_at: NOW,
            ..login_at(&user, NOW - age)
        };
        insert(&**store, &over).await;
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
            "there is room, and what is over takes none"
        );
    }
    let inserted = ok(store.insert(third, &login(&user), two, NOW).await);
    assert_eq!(inserted, Inserted::Refused, "there is no room");
    assert!(
        !is_there(&**store, third).await,
        "a refused login is not stored"
    );
    assert_eq!(
        keys_of(&**store, &user, NOW).await.len(),
        2,
        "a refused login is not listed"
    );
    assert!(ok(store.end(first).await), "there was a login to end");
    let inserted = ok(store.insert(third, &login(&user), two, NOW).await);
    assert_eq!(
        inserted,
        Inserted::Done { ended: 0 },
        "an ended login leaves room"
    );
    let none = Some(MaxLogins::Refuse(0));
    let inserted = ok(store
        .insert(new_key(), &login(&new_user()), none, NOW)
        .await);
    assert_eq!(inserted, Inserted::Refused, "there is no room for anybody");
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
            assert_eq!(ended, 0, "none ends where one more is refused");
        }
    }
}

async fn families_read_back_as_written<S: LoginStore>(store: &Arc<S>) {
    let user = format!(r#""'; -- \"{}\u0000 ünï © 🦀""#, FamilyKey(random()));
    let odd = TokenFamily {
        user_type: "app::Admin<'_>".to_owned(),
        // Not text, whatever the encoding.
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
            "a family is over when it expires"
        );
    }
}

async fn a_claim_needs_the_version<S: LoginStore>(store: &Arc<S>) {
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
            "another version does not do"
        );
    }
    assert!(
        ok(store.find_family(key, NOW).await) == Some(first.clone()),
        "a lost claim changes nothing"
    );
    assert!(
        ok(store.update_family_if(key, 1, &second).await),
        "the version does"
    );
    assert!(
        ok(store.find_family(key, NOW).await) == Some(second.clone()),
        "a claim replaces all of it"
    );
    assert!(
        !ok(store.update_family_if(key, 1, &first).await),
        "a version can be claimed once"
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
        "the next does"
    );
    assert!(
        ok(store.find_family(other, NOW).await) == Some(first),
        "another family stays as it was"
    );
}

async fn one_of_many_claims_wins<S: LoginStore>(store: &Arc<S>) {
    let family = family(&new_user());
    let key = insert_family(&**store, &family).await;
    for version in 1..=3 {
        let answers =
            at_once(store, MANY, |store, index| {
                let generation = i64::try_from(index).unwrap_or_default();
                let claim = TokenFamily {
                    version: version + 1,
                    generation,
                    ..family.clone()
                };
                async move {
                    ok(store.update_family_if(key, version, &claim).await).then_some(generation)
                }
            })
            .await;
        let winners: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "one of many claims of a version wins");
        let found =
            ok(store.find_family(key, NOW).await).map(|found| (found.version, found.generation));
        assert_eq!(
            found,
            Some((version + 1, winners[0])),
            "what the winner wrote is there"
        );
    }
}

async fn an_ended_family_cannot_be_claimed<S: LoginStore>(store: &Arc<S>) {
    let user = new_user();
    let next = TokenFamily {
        version: 2,
        ..family(&user)
    };
    for which in ["family", "user"] {
        let key = insert_family(&**store, &family(&user)).await;
        let found = ok(store.find_family(key, NOW).await);
        assert!(found.is_some(), "the family is there");
        let end = if which == "family" {
            LoginSelector::Family(key)
        } else {
            of(&user)
        };
        ok(store.end_many(end).await);
        // Whoever found it before has come too late.
        assert!(
            !ok(store.update_family_if(key, 1, &next).await),
            "an ended {which} cannot be claimed"
        );
        assert_eq!(
            ok(store.find_family(key, NOW).await),
            None,
            "an ended {which} stays ended"
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
            "ending wins over claims beside it"
        );
    }
}

/// Who restores a login looks for the family once more when the login is stored. Seeing it means
/// that its end is yet to come, and will take the login along.
async fn no_login_slips_past_the_end_of_its_family<S: LoginStore>(store: &Arc<S>) {
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
            let found = is_there(&**store, login_key).await;
            assert!(
                !found,
                "a login stored before its family ended has ended with it"
            );
        }
    }
}

/// Purges until nothing is left.
async fn purge_all<S: LoginStore>(store: &S, now: i64, idle_since: Option<i64>) -> u64 {
    const LIMIT: u32 = 10;
    let mut purged = 0;
    for _ in 0..100_000 {
        let batch = ok(store.purge(now, idle_since, LIMIT).await);
        assert!(
            batch < u64::from(LIMIT) * 2,
            "a purge deletes about as many rows as it may"
        );
        purged += batch;
        if batch < u64::from(LIMIT) {
            return purged;
        }
    }
    panic!("a purge comes to an end when nothing is left");
}

/// A time long before the rest of the suite, so that a purge then takes nothing of the rest.
fn long_ago() -> i64 {
    1_000_000 + i64::from(u32::from_be_bytes(random()) % 1_000_000_000)
}

async fn a_purge_takes_what_is_over_and_leaves_the_rest<S: LoginStore>(store: &Arc<S>) {
    let then = long_ago();
    let user = new_user();
    let over = LoginRecord {
        expires_at: then,
        ..login_at(&user, then - 100)
    };
    let living = LoginRecord {
        expires_at: then + 1,
        ..over.clone()
    };
    let (mut dead_keys, mut living_keys) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        dead_keys.push(insert(&**store, &over).await);
        living_keys.push(insert(&**store, &living).await);
    }
    let over_family = TokenFamily {
        rotated_at: then - 100,
        expires_at: then,
        ..family(&user)
    };
    let living_family = TokenFamily {
        expires_at: then + 1,
        ..over_family.clone()
    };
    let mut families = Vec::new();
    for _ in 0..12 {
        families.push(insert_family(&**store, &over_family).await);
    }
    let kept_family = insert_family(&**store, &living_family).await;
    let (forgotten, remembered) = (new_key(), new_key());
    ok(store.revoke_session(forgotten, then).await);
    ok(store.revoke_session(remembered, then + 1).await);

    let purged = purge_all(&**store, then, None).await;
    assert!(
        purged >= 37,
        "{purged} rows were deleted, and at least 37 were over"
    );
    for key in dead_keys {
        // Asked as of a time when it was still good: it is gone, not only over.
        assert_eq!(
            ok(store.find(key, then - 1).await),
            None,
            "a login that is over is deleted"
        );
    }
    for key in families {
        let found = ok(store.find_family(key, then - 1).await);
        assert_eq!(found, None, "a family that is over is deleted");
    }
    assert!(
        !ok(store.is_session_revoked(forgotten, then).await),
        "a note that may be forgotten is"
    );
    let listed: BTreeSet<_> = keys_of(&**store, &user, then).await.into_iter().collect();
    assert_eq!(
        listed,
        living_keys.into_iter().collect(),
        "what is not over stays"
    );
    assert!(
        ok(store.find_family(kept_family, then).await).is_some(),
        "what is not over stays"
    );
    assert!(
        ok(store.is_session_revoked(remembered, then).await),
        "what is not over stays"
    );
    assert!(
        ok(store.purge(then, None, 1_000).await) < 1_000,
        "few are left when nothing is"
    );
}

async fn a_purge_takes_what_is_idle<S: LoginStore>(store: &Arc<S>) {
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
        "used at the very limit is not idle"
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
        "logins that are used stay"
    );
}

async fn a_revoked_session_stays_revoked_until_its_time<S: LoginStore>(store: &Arc<S>) {
    let session = new_key();
    ok(store.revoke_session(session, NOW + 100).await);
    assert!(
        ok(store.is_session_revoked(session, NOW + 99).await),
        "an ended session is known"
    );
    assert!(
        !ok(store.is_session_revoked(session, NOW + 100).await),
        "its time is over"
    );
    assert!(
        !ok(store.is_session_revoked(new_key(), NOW).await),
        "another session is not revoked"
    );
    ok(store.revoke_session(session, NOW + 200).await);
    ok(store.revoke_session(session, NOW + 50).await);
    assert!(
        ok(store.is_session_revoked(session, NOW + 199).await),
        "the longer of two notes counts"
    );
    let answers = at_once(store, 8, |store, _| async move {
        ok(store.revoke_session(session, NOW + 300).await);
        ok(store.is_session_revoked(session, NOW + 299).await)
    })
    .await;
    assert!(
        answers.into_iter().all(|revoked| revoked),
        "many may revoke it at once"
    );
}

/// The manager gives up calls that take too long, wherever they are. They may still be carried out.
async fn a_call_that_is_given_up_does_no_harm<S: LoginStore>(store: &Arc<S>) {
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
                "a call that was given up does not hold up the next",
            );
            let listed = keys_of(&**store, &user, NOW).await.len();
            assert!(listed <= 2, "the limit holds where calls were given up");
        }
    }
    let user = new_user();
    let key = insert(&**store, &login(&user)).await;
    assert!(ok(store.end(key).await), "there was a login to end");
    for _ in 0..MANY {
        assert!(
            !is_there(&**store, key).await,
            "an ended login stays ended, whoever asks"
        );
    }
}

async fn everything_ends<S: LoginStore>(store: &Arc<S>) {
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
    ok(store.revoke_session(session, NOW + 100).await);
    let ended = ok(store.end_many(LoginSelector::All).await);
    assert!(ended >= 400, "all logins of all users end");
    for key in keys {
        assert!(!is_there(&**store, key).await, "all logins have ended");
    }
    for (key, user) in families.into_iter().zip([&first, &second]) {
        assert_eq!(
            ok(store.find_family(key, NOW).await),
            None,
            "all families have ended"
        );
        assert!(
            !ok(store.update_family_if(key, 1, &family(user)).await),
            "none can be claimed"
        );
        assert_eq!(keys_of(&**store, user, NOW).await, [], "nothing is listed");
    }
    assert!(
        ok(store.is_session_revoked(session, NOW).await),
        "ended sessions stay ended"
    );
    let key = insert(&**store, &login(&first)).await;
    assert!(is_there(&**store, key).await, "a new login is good");

    // As in `no_login_slips_past_the_end_of_its_family`.
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
                !is_there(&**store, key).await,
                "a login stored before all ended has ended"
            );
        }
    }
}
