//! What stands in Redis for a login: evicted, cut short, or written by the version before.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use login_runtime::{
    store::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore,
        MaxLogins, RedisLoginStore, SessionCheck, StoreError, TokenFamily,
    },
    test::{Browser, store},
};
use login_tests::{
    Users, key as secret, manager_base,
    services::{self, unique},
};
use redis::{Client, FromRedisValue, aio::ConnectionManager, cmd};

use crate::world::site;

const FAMILY: FamilyKey = FamilyKey([6; 16]);

/// A store under a prefix of its own, and a view behind it.
struct There {
    store: RedisLoginStore,
    redis: ConnectionManager,
    prefix: String,
}

impl There {
    async fn open() -> Option<Self> {
        let url = services::redis()?.url();
        let prefix = unique("rows");
        let client = Client::open(url.as_str()).unwrap();
        Some(Self {
            store: RedisLoginStore::new(&url)
                .await
                .unwrap()
                .key_prefix(&prefix),
            redis: ConnectionManager::new(client).await.unwrap(),
            prefix,
        })
    }

    /// A command whose first argument is a key without the prefix.
    async fn call<T: FromRedisValue>(&self, name: &str, key: &str, args: &[&[u8]]) -> T {
        let mut call = cmd(name);
        call.arg(format!("{}:{key}", self.prefix)).arg(args);
        call.query_async(&mut self.redis.clone()).await.unwrap()
    }

    /// The names of the keys of one kind, without the prefix.
    async fn keys(&self, kind: &str) -> Vec<String> {
        let found: Vec<String> = self.call("KEYS", kind, &[]).await;
        let name = |key: String| key[self.prefix.len() + 1..].to_owned();
        found.into_iter().map(name).collect()
    }

    /// Deletes all keys of one kind, as an eviction does.
    async fn evict(&self, kind: &str) {
        for key in self.keys(kind).await {
            assert_eq!(self.call::<u32>("DEL", &key, &[]).await, 1);
        }
    }

    async fn is_valid(&self, key: LoginKey) -> bool {
        let found = self.store.find(key, 0).await.unwrap();
        let for_auth = self.store.find_for_auth(key, 0).await.unwrap();
        assert_eq!(found.is_some(), for_auth.is_some());
        let checked = self.store.check_session(self::key(99), key, 0).await;
        assert_eq!(checked.unwrap(), SessionCheck::ValidWithLogin(for_auth));
        found.is_some()
    }
}

fn key(number: u8) -> LoginKey {
    LoginKey::from_bytes([number; 32])
}

fn record(family: Option<FamilyKey>) -> LoginRecord {
    LoginRecord {
        user_type: "User".to_owned(),
        user_id: "7".to_owned(),
        created_at: 10,
        authenticated_at: 9,
        last_seen: 11,
        expires_at: 1_000,
        fresh: true,
        allow_inactive: false,
        method: "password".to_owned(),
        client: u64::MAX,
        user_agent: "Ädä's browser".to_owned(),
        address: "::1".to_owned(),
        hash: Some("print".to_owned()),
        family,
        unseen_token: family.map(|_| 4),
    }
}

fn family() -> TokenFamily {
    TokenFamily {
        user_type: "User".to_owned(),
        user_id: "7".to_owned(),
        seed: [7; 16],
        version: 1,
        generation: 4,
        rotated_at: 0,
        seen_at: None,
        restored_at: None,
        authenticated_at: 0,
        expires_at: 1_000,
        lifetime: 3_600,
        hash: None,
    }
}

const OWNER: LoginOwner<'_> = LoginOwner {
    user_type: "User",
    user_id: "7",
};

const OF_USER: LoginSelector<'_> = LoginSelector::Of {
    owner: OWNER,
    but: None,
    but_family: None,
};

/// The kinds of keys, and whether the login is still valid without them.
const KINDS: [(&str, bool); 9] = [
    ("login:*", false),
    ("user-logins:*", false),
    ("family-logins:*", false),
    ("family:*", true),
    ("user-families:*", true),
    ("expiry", true),
    ("last-seen", true),
    ("*revoked*", true),
    ("none", true),
];

/// The ways to end the login with key 1.
#[derive(Clone, Copy, Debug)]
enum End {
    One,
    OfUser,
    OfFamily,
    All,
}

const ENDS: [End; 4] = [End::One, End::OfUser, End::OfFamily, End::All];

async fn end(store: &RedisLoginStore, how: End) {
    match how {
        End::One => drop(store.end(key(1)).await.unwrap()),
        End::OfUser => drop(store.end_many(OF_USER).await.unwrap()),
        End::OfFamily => drop(store.end_many(LoginSelector::Family(FAMILY)).await.unwrap()),
        End::All => drop(store.end_many(LoginSelector::All).await.unwrap()),
    }
}

#[actix_web::test]
async fn whatever_redis_evicts_before_a_log_out_the_log_out_is_final() {
    for pair in 0..KINDS.len() * KINDS.len() {
        let kinds = [KINDS[pair / KINDS.len()], KINDS[pair % KINDS.len()]];
        let how = ENDS[pair % ENDS.len()];
        for how in [how, End::OfFamily, End::OfUser] {
            let Some(there) = There::open().await else {
                return;
            };
            let store = &there.store;
            store.insert_family(FAMILY, &family()).await.unwrap();
            let login = record(Some(FAMILY));
            store.insert(key(1), &login, None, 0).await.unwrap();
            let revoking = store.revoke_session(key(9), OWNER, 100, 9);
            revoking.await.unwrap();
            for (kind, _) in kinds {
                there.evict(kind).await;
            }
            let expected = kinds.iter().all(|(_, is_valid)| *is_valid);
            assert_eq!(there.is_valid(key(1)).await, expected, "{kinds:?}");
            let listed = store.list(OWNER, 0).await.unwrap();
            assert_eq!(listed.len(), usize::from(expected), "{kinds:?}");

            end(store, how).await;
            assert!(!there.is_valid(key(1)).await, "{kinds:?} {how:?}");
            assert!(store.list(OWNER, 0).await.unwrap().is_empty());
            // Nothing that comes later brings it back.
            store.touch(key(1), 20).await.unwrap();
            store.make_stale(key(1)).await.unwrap();
            store.token_arrived(key(1), 20).await.unwrap();
            store.insert(key(2), &login, None, 0).await.unwrap();
            assert!(!there.is_valid(key(1)).await, "{kinds:?} {how:?}");
            assert!(there.is_valid(key(2)).await, "{kinds:?} {how:?}");
        }
    }
}

#[actix_web::test]
async fn whatever_redis_evicts_after_a_log_out_the_log_out_is_final() {
    for (kind, _) in KINDS {
        for how in ENDS {
            let Some(there) = There::open().await else {
                return;
            };
            let store = &there.store;
            store.insert_family(FAMILY, &family()).await.unwrap();
            for number in [1, 2] {
                let login = record(Some(FAMILY).filter(|_| number == 1));
                store.insert(key(number), &login, None, 0).await.unwrap();
            }
            end(store, how).await;
            there.evict(kind).await;
            assert!(!there.is_valid(key(1)).await, "{kind} {how:?}");
        }
    }
}

#[actix_web::test]
async fn a_login_that_an_eviction_ended_stays_ended_when_its_user_logs_in_again() {
    for (kind, in_family) in [
        ("user-logins:*", false),
        ("user-logins:*", true),
        ("family-logins:*", true),
    ] {
        let Some(there) = There::open().await else {
            return;
        };
        let login = record(in_family.then_some(FAMILY));
        there.store.insert(key(1), &login, None, 0).await.unwrap();
        there.evict(kind).await;
        assert!(!there.is_valid(key(1)).await, "{kind}");
        // The set is there again, with another login in it.
        there.store.insert(key(2), &login, None, 0).await.unwrap();
        assert!(!there.is_valid(key(1)).await, "{kind}");
        assert!(there.is_valid(key(2)).await, "{kind}");

        // What is over can be stored once more, and ended.
        there.store.insert(key(1), &login, None, 0).await.unwrap();
        assert!(there.is_valid(key(1)).await, "{kind}");
        there.store.end_many(OF_USER).await.unwrap();
        assert!(
            !there.is_valid(key(1)).await && !there.is_valid(key(2)).await,
            "{kind}"
        );
    }
}

#[actix_web::test]
async fn a_row_that_is_cut_short_is_no_login() {
    let Some(there) = There::open().await else {
        return;
    };
    let store = &there.store;
    let row = format!("login:{}", key(1));
    for login in [record(Some(FAMILY)), record(None)] {
        store.insert(key(1), &login, None, 0).await.unwrap();
        let whole: Vec<u8> = there.call("HGET", &row, &[b"packed"]).await;
        let put = async |packed: &[u8]| there.call::<u32>("HSET", &row, &[b"packed", packed]).await;
        let is_login = async || {
            let found = store.find(key(1), 0).await;
            let listed = store.list(OWNER, 0).await;
            let for_auth = store.find_for_auth(key(1), 0).await;
            let is =
                |found: Result<Option<LoginRecord>, StoreError>| found.is_ok_and(|it| it.is_some());
            [
                is(found),
                is(for_auth),
                listed.is_ok_and(|all| !all.is_empty()),
            ]
        };
        assert_eq!(is_login().await, [true; 3]);
        for len in 0..whole.len() {
            put(&whole[..len]).await;
            assert_eq!(is_login().await, [false; 3], "{len}");
            // What changes a login does not mend it.
            store.touch(key(1), 20).await.unwrap();
            store.make_stale(key(1)).await.unwrap();
            store.token_arrived(key(1), 20).await.unwrap();
            assert_eq!(is_login().await, [false; 3], "{len}");
        }
        put(&[whole.as_slice(), b" "].concat()).await;
        assert_eq!(is_login().await, [false; 3]);
        // It can be ended, and another one can take its place.
        assert!(store.end(key(1)).await.unwrap());
        assert!(there.keys("login:*").await.is_empty());
        store.insert(key(1), &login, None, 0).await.unwrap();
        assert_eq!(is_login().await, [true; 3]);
        store.end(key(1)).await.unwrap();
    }
}

#[actix_web::test]
async fn a_changed_row_reads_as_it_was_changed() {
    let Some(there) = There::open().await else {
        return;
    };
    let store = &there.store;
    store.insert_family(FAMILY, &family()).await.unwrap();
    let mut login = record(Some(FAMILY));
    store.insert(key(1), &login, None, 0).await.unwrap();
    for (last_seen, expected) in [
        (5, 11),
        (20, 20),
        (19, 20),
        (i64::from(u32::MAX) * 9, 38_654_705_655),
    ] {
        store.touch(key(1), last_seen).await.unwrap();
        login.last_seen = expected;
        assert_eq!(store.find(key(1), 0).await.unwrap().as_ref(), Some(&login));
    }
    store.make_stale(key(1)).await.unwrap();
    login.fresh = false;
    assert_eq!(store.find(key(1), 0).await.unwrap().as_ref(), Some(&login));
    store.token_arrived(key(1), 30).await.unwrap();
    login.unseen_token = None;
    assert_eq!(store.find(key(1), 0).await.unwrap().as_ref(), Some(&login));
    let found = store.find_family(FAMILY, 0).await.unwrap().unwrap();
    assert_eq!((found.seen_at, found.version), (Some(30), 2));
    assert_eq!(
        store.list(OWNER, 0).await.unwrap(),
        [(key(1), login.clone())]
    );
    // A look-up to authenticate leaves out what is only shown.
    let bare = LoginRecord {
        method: String::new(),
        user_agent: String::new(),
        address: String::new(),
        ..login
    };
    assert_eq!(store.find_for_auth(key(1), 0).await.unwrap(), Some(bare));
}

#[actix_web::test]
async fn one_question_tells_of_a_session_and_of_the_login_in_it() {
    let Some(there) = There::open().await else {
        return;
    };
    let store = &there.store;
    let (session, login) = (key(8), record(None));
    store.insert(key(1), &login, None, 0).await.unwrap();
    let check = async |now| store.check_session(session, key(1), now).await.unwrap();
    assert!(matches!(
        check(0).await,
        SessionCheck::ValidWithLogin(Some(_))
    ));
    assert_eq!(
        check(1_000).await,
        SessionCheck::ValidWithLogin(None),
        "expired"
    );
    store.revoke_session(session, OWNER, 100, 9).await.unwrap();
    assert_eq!(check(99).await, SessionCheck::Revoked);
    assert!(matches!(
        check(100).await,
        SessionCheck::ValidWithLogin(Some(_))
    ));
    store.end(key(1)).await.unwrap();
    assert_eq!(check(99).await, SessionCheck::Revoked);
    assert_eq!(check(100).await, SessionCheck::ValidWithLogin(None));
}

/// Replaces a packed row by the fields that the version before stored.
const UNPACK: &str = "
if redis.call('HDEL', KEYS[1], 'packed') == 1 then
  for i = 1, #ARGV, 2 do
    redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end";

/// A store whose logins are those of the version before.
struct Older(There);

impl Older {
    async fn unpack(&self, key: LoginKey, record: &LoginRecord) {
        let mut script = cmd("EVAL");
        script.arg(UNPACK).arg(1);
        script.arg(format!("{}:login:{key}", self.0.prefix));
        script.arg("user_type").arg(&record.user_type);
        script.arg("user_id").arg(&record.user_id);
        for (name, number) in [
            ("created_at", record.created_at),
            ("authenticated_at", record.authenticated_at),
            ("fresh", record.fresh.into()),
            ("allow_inactive", record.allow_inactive.into()),
        ] {
            script.arg(name).arg(number);
        }
        script.arg("method").arg(&record.method);
        script.arg("client").arg(record.client);
        script.arg("user_agent").arg(&record.user_agent);
        script.arg("address").arg(&record.address);
        if let Some(hash) = &record.hash {
            script.arg("hash").arg(hash);
        }
        () = script.query_async(&mut self.0.redis.clone()).await.unwrap();
    }
}

macro_rules! same {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(async fn $method(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
            self.0.store.$method($($argument),*).await
        })*
    };
}

impl LoginStore for Older {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        let inserted = self.0.store.insert(key, record, max, now).await?;
        self.unpack(key, record).await;
        Ok(inserted)
    }

    same! {
        find(key: LoginKey, now: i64) -> Option<LoginRecord>;
        find_for_auth(key: LoginKey, now: i64) -> Option<LoginRecord>;
        touch(key: LoginKey, last_seen: i64) -> ();
        make_stale(key: LoginKey) -> ();
        end(key: LoginKey) -> bool;
        end_many(which: LoginSelector<'_>) -> u64;
        list(owner: LoginOwner<'_>, now: i64) -> Vec<(LoginKey, LoginRecord)>;
        insert_family(key: FamilyKey, family: &TokenFamily) -> ();
        end_oldest_families(owner: LoginOwner<'_>, keep: u32) -> u64;
        find_family(key: FamilyKey, now: i64) -> Option<TokenFamily>;
        update_family_if(key: FamilyKey, expected: i64, family: &TokenFamily) -> bool;
        token_arrived(login: LoginKey, now: i64) -> ();
        purge(now: i64, idle_since: Option<i64>, limit: u32) -> u64;
        revoke_session(session: LoginKey, owner: LoginOwner<'_>, until: i64, max: u32) -> ();
        is_session_revoked(session: LoginKey, now: i64) -> bool;
        check_session(session: LoginKey, login: LoginKey, now: i64) -> SessionCheck;
    }
}

#[actix_web::test]
async fn rows_of_the_version_before_keep_all_promises_of_a_store() {
    let Some(there) = There::open().await else {
        return;
    };
    let store = Arc::new(Older(there));
    store::run(Arc::clone(&store)).await;
    store::run_alone(store).await;
}

#[actix_web::test]
async fn a_row_of_the_version_before_ends_with_its_sets_too() {
    for (kind, is_valid) in KINDS {
        let Some(there) = There::open().await else {
            return;
        };
        let older = Older(there);
        let login = record(Some(FAMILY));
        older.insert_family(FAMILY, &family()).await.unwrap();
        older.insert(key(1), &login, None, 0).await.unwrap();
        let there = &older.0;
        assert_eq!(
            there.store.find(key(1), 0).await.unwrap().as_ref(),
            Some(&login)
        );
        let row = format!("login:{}", key(1));
        assert_eq!(there.call::<u8>("HEXISTS", &row, &[b"packed"]).await, 0);
        there.evict(kind).await;
        assert_eq!(there.is_valid(key(1)).await, is_valid, "{kind}");
        there.store.end_many(OF_USER).await.unwrap();
        assert!(!there.is_valid(key(1)).await, "{kind}");
    }
}

#[actix_web::test]
async fn a_user_stays_logged_in_over_an_update_and_can_still_log_out() {
    let Some(there) = There::open().await else {
        return;
    };
    let store = there.store.clone();
    let older = Older(there);
    let users = Users::new();
    let (builder, _clock) = manager_base(&users);
    let app = site(builder.login_store(store).build(secret()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login/1").await.status(), 303);
    let unpacked = AtomicUsize::new(0);
    for row in older.0.keys("login:*").await {
        let key = LoginKey::parse(&row["login:".len()..]).unwrap();
        let record = older.find(key, 0).await.unwrap().unwrap();
        older.unpack(key, &record).await;
        unpacked.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(unpacked.into_inner(), 1);
    assert_eq!(browser.get("/account").await.status(), 200);
    let copy = browser.copy();
    assert_eq!(browser.post("/logout").await.status(), 303);
    for browser in [browser, copy] {
        assert_eq!(browser.get("/account").await.status(), 303);
    }
}
