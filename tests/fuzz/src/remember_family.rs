//! A token of a family logs its user in only if it is genuine, and a token that its browser has replaced ends
//! the family.

use std::sync::Arc;

use actix_web::{http::header::COOKIE, test::TestRequest};
use login_runtime::{
    MemoryLoginStore,
    store::{FamilyKey, LoginSelector, LoginStore as _, TokenFamily},
};

use crate::{
    input::{Input, header},
    seal::{family_proof, family_token, fingerprint, read_family_token},
    site::{ADA, BEN, NOW, Site, USER, hash_of, key, manager, shown},
};

const NAME: &str = "__Host-remember";

/// An even last byte: a family with tokens.
const FAMILY: [u8; 16] = [4; 16];
const SEED: [u8; 16] = [5; 16];
const GENERATION: i64 = 7;

/// How far the clocks of two nodes may be apart, as the documentation of the rules says.
const SKEW: i64 = 120;
const GRACE: i64 = 60 + SKEW;
const COOL_DOWN: i64 = 300;
const SHARE: i64 = 10;

struct Stored {
    site: Site,
    store: Arc<MemoryLoginStore>,
}

thread_local! {
    static STORED: Stored = {
        let store = Arc::new(MemoryLoginStore::new());
        let manager = manager().login_store(Arc::clone(&store)).build(key()).expect("valid settings");
        let site = Site::new(manager, |_| {});
        Stored { site, store }
    };
}

#[derive(Debug, PartialEq)]
enum Outcome {
    /// The family and its user are not touched.
    Nothing,
    LoggedIn {
        rotated: bool,
        sends: bool,
    },
    /// The family ends.
    Ended,
}

/// The rules in the documentation of `core/remember.rs`, written down a second time.
fn model(row: &TokenFamily, token: Option<([u8; 16], i64, [u8; 32])>) -> Outcome {
    let Some((family, generation, proof)) = token else {
        return Outcome::Nothing;
    };
    let is_genuine = family == FAMILY && proof == family_proof(FAMILY, SEED, generation);
    if !is_genuine || NOW >= row.expires_at {
        return Outcome::Nothing;
    }
    let behind = i128::from(row.generation) - i128::from(generation);
    let ago = |at: i64| i128::from(NOW) - i128::from(at);
    let seen_for = row.seen_at.map(ago);
    let is_shared = row.restored_at.map(ago);
    let is_shared =
        is_shared.is_some_and(|ago| ago >= -i128::from(SKEW) && ago < i128::from(SHARE));
    let was_seen = seen_for.is_some_and(|age| age > i128::from(GRACE));
    let is_old = ago(row.rotated_at) >= i128::from(COOL_DOWN);
    let (rotated, sends) = match behind {
        ..0 => return Outcome::Nothing,
        0 if !is_shared && was_seen && is_old => (true, true),
        0 => (false, false),
        1 if was_seen => return Outcome::Ended,
        1 => (false, seen_for.is_none()),
        _ => return Outcome::Ended,
    };
    let id: Option<i64> = serde_json::from_str(&row.user_id).ok();
    let hash = id.and_then(hash_of).map(fingerprint);
    // The credentials have changed, or the user is gone.
    if hash.is_none() || hash != row.hash {
        return Outcome::Ended;
    }
    Outcome::LoggedIn { rotated, sends }
}

pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let optional = |input: &mut Input<'_>| (input.byte() & 1 == 1).then(|| input.time(NOW));
    let hash = match input.byte() % 4 {
        0 | 1 => Some(fingerprint(hash_of(ADA).expect("ada"))),
        2 => Some(fingerprint(hash_of(BEN).expect("ben"))),
        _ => None,
    };
    let row = TokenFamily {
        user_type: USER.to_owned(),
        user_id: if input.byte() == 7 { "3" } else { "1" }.to_owned(),
        seed: SEED,
        version: 3,
        generation: GENERATION,
        rotated_at: input.time(NOW),
        seen_at: optional(&mut input),
        restored_at: optional(&mut input),
        authenticated_at: input.time(NOW),
        expires_at: if kind & 0x40 == 0 {
            NOW + 1000
        } else {
            // A store has no time before the first one.
            input.time(NOW).max(i64::MIN + 1)
        },
        lifetime: 1000,
        hash,
    };
    let token =
        |generation, seed| family_token(FAMILY, generation, family_proof(FAMILY, seed, generation));
    let value = match kind % 4 {
        0 => input.rest().to_vec(),
        1 => input.mutate(token(GENERATION, SEED).as_bytes()),
        // A genuine token of any generation.
        2 => {
            let generation = match input.byte() {
                0xff => i64::from_be_bytes(input.array()),
                byte => GENERATION - i64::from(byte % 8) + 2,
            };
            token(generation, SEED).into_bytes()
        }
        // A valid tag, as a person who has the secret but not the store could make it.
        _ => family_token(input.array(), GENERATION, input.array()).into_bytes(),
    };
    if value.contains(&b';') {
        return;
    }
    let Some(cookie) = header([NAME.as_bytes(), b"=", &value].concat()) else {
        return;
    };
    let expected = model(&row, read_family_token(value.trim_ascii()));
    STORED.with(|Stored { site, store }| {
        let key = FamilyKey(FAMILY);
        site.wait(store.insert_family(key, &row)).expect("memory");
        let request = TestRequest::get()
            .uri("/me")
            .insert_header((COOKIE, cookie));
        let answer = site.ask(request.to_request());
        let now = site
            .wait(store.find_family(key, NOW.min(row.expires_at - 1)))
            .expect("memory");
        site.wait(store.end_many(LoginSelector::All))
            .expect("memory");
        let at = row.authenticated_at;
        match expected {
            Outcome::Nothing => {
                assert_eq!(answer.body, "-", "{row:?}");
                assert_eq!(now.as_ref(), Some(&row));
            }
            Outcome::Ended => {
                assert_eq!(answer.body, "-", "{row:?}");
                assert_eq!(now, None, "{row:?}");
            }
            Outcome::LoggedIn { rotated, sends } => {
                assert_eq!(answer.body, shown(ADA, false, at), "{row:?}");
                let generation = now.map(|row| row.generation);
                assert_eq!(generation, Some(GENERATION + i64::from(rotated)), "{row:?}");
                let sent = answer
                    .cookie(NAME)
                    .and_then(|sent| read_family_token(sent.as_bytes()));
                let sent = sent.map(|(_, generation, _)| generation);
                assert_eq!(sent, generation.filter(|_| sends), "{row:?}");
            }
        }
    });
}
