//! What is kept and what is logged lets nobody in.
//!
//! A scenario with everything in it is played on every combination of stores. Then all that the login
//! store holds, all that sessions hold and all that was logged is searched for everything that a
//! client was given, as it was given and in the ways in which bytes are usually written.

use std::{cell::RefCell, fmt::Write, future::IntoFuture};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use login_runtime::{
    store::{FamilyKey, LoginOwner, LoginStore, StoreError},
    test::Answer,
};
use login_tests::User;

use crate::{
    events::Log,
    world::{
        Call, LOGIN, LoginsThere, Options, REMEMBER, SESSION, When, World, name_of, on_every_store,
    },
};

/// Bytes that nobody else may have.
#[derive(Clone, PartialEq, Eq)]
struct Secret(Vec<u8>);

impl Secret {
    /// The ways in which they can be written.
    fn forms(&self) -> [String; 5] {
        let hex = self.0.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        [
            text(&self.0),
            hex.to_uppercase(),
            hex,
            STANDARD_NO_PAD.encode(&self.0),
            URL_SAFE_NO_PAD.encode(&self.0),
        ]
    }

    fn is_in(&self, dump: &str) -> bool {
        self.forms().iter().any(|form| dump.contains(form))
    }
}

/// Each byte as the character with its number, since the standard library searches texts quickly.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// What clients were given.
#[derive(Default)]
struct Issued(RefCell<Vec<Secret>>);

impl Issued {
    /// Sends a request, and keeps the cookies of the answer.
    async fn by(&self, request: impl IntoFuture<Output = Answer>) -> Answer {
        let answer = request.await;
        for cookie in answer.set_cookies() {
            let value = cookie.value();
            match cookie.name() {
                _ if value.is_empty() => {}
                SESSION => self.session(value),
                LOGIN => self.login(value),
                REMEMBER => self.token(value),
                other => panic!("a cookie called {other}"),
            }
        }
        answer
    }

    fn add(&self, secret: impl Into<Vec<u8>>) {
        self.0.borrow_mut().push(Secret(secret.into()));
    }

    fn session(&self, value: &str) {
        self.add(value);
        let value = percent_encoding::percent_decode_str(value).collect::<Vec<_>>();
        self.add(STANDARD.decode(&value).expect("it is encrypted"));
        self.add(value);
    }

    fn login(&self, value: &str) {
        self.add(value);
        self.add(URL_SAFE_NO_PAD.decode(value).expect("it is encrypted"));
    }

    fn token(&self, value: &str) {
        self.add(value);
        let (_, digits) = value.split_once('.').unwrap();
        self.add(digits);
        let bytes = URL_SAFE_NO_PAD.decode(digits).unwrap();
        // Family and generation are no secrets; the proof and the tag are.
        self.add(&bytes[24..56]);
        self.add(&bytes[56..]);
    }
}

fn family(token: &str) -> FamilyKey {
    let (_, digits) = token.split_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(digits).unwrap();
    FamilyKey(bytes[..16].try_into().unwrap())
}

/// The login ids in what was written into sessions.
fn login_ids(sessions: &str) -> Vec<Secret> {
    let decoded = sessions.split(['"', '\\']).filter(|part| part.len() == 43);
    let mut ids: Vec<_> = decoded
        .filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok().map(Secret))
        .collect();
    ids.dedup();
    ids
}

/// Everything that a login store holds.
async fn dump(world: &World, families: &[FamilyKey]) -> Vec<u8> {
    match world.logins.store() {
        // What it shows of itself, and everything that can be asked of it.
        LoginsThere::Memory(store) => {
            let mut dump = format!("{store:?}").into_bytes();
            for user_id in ["1", "2"] {
                let owner = LoginOwner {
                    user_type: "User",
                    user_id,
                };
                let logins = store.list(owner, 0).await.unwrap();
                dump.extend(format!("{logins:?}").into_bytes());
            }
            for key in families {
                if let Some(family) = store.find_family(*key, 0).await.unwrap() {
                    dump.extend(format!("{family:?} {:?}", family.hash).into_bytes());
                    dump.extend(family.seed);
                }
            }
            dump
        }
        #[cfg(feature = "sqlite")]
        LoginsThere::Sqlite(_, file) => file.bytes(),
        #[cfg(feature = "postgres")]
        LoginsThere::Postgres(_, schema) => {
            let tables: Vec<String> = sqlx::query_scalar(
                "SELECT table_name::text FROM information_schema.tables \
                 WHERE table_schema = current_schema()",
            )
            .fetch_all(&schema.pool)
            .await
            .unwrap();
            assert_eq!(tables.len(), 7, "{tables:?}");
            let mut dump = Vec::new();
            for table in tables {
                let rows = format!("SELECT row::text FROM {table} row");
                let rows: Vec<String> = sqlx::query_scalar(&rows)
                    .fetch_all(&schema.pool)
                    .await
                    .unwrap();
                dump.extend(rows.join("\n").into_bytes());
            }
            dump
        }
        #[cfg(feature = "redis")]
        LoginsThere::Redis(_, prefix) => redis_dump(prefix).await,
    }
}

/// All keys of a Redis that start like this, with all that is under them.
#[cfg(feature = "redis")]
async fn redis_dump(prefix: &str) -> Vec<u8> {
    use redis::{Value, cmd};

    fn write(value: &Value, dump: &mut Vec<u8>) {
        match value {
            Value::BulkString(bytes) => dump.extend(bytes),
            Value::Array(values) => values.iter().for_each(|value| write(value, dump)),
            other => dump.extend(format!("{other:?}").into_bytes()),
        }
        dump.push(b'\n');
    }

    let url = login_tests::services::redis().unwrap().url();
    let client = redis::Client::open(url).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut keys = cmd("KEYS");
    keys.arg(format!("{prefix}:*"));
    let keys: Vec<String> = keys.query_async(&mut redis).await.unwrap();
    let mut dump = Vec::new();
    for key in keys {
        let mut kind = cmd("TYPE");
        kind.arg(&key);
        let kind: String = kind.query_async(&mut redis).await.unwrap();
        let read = match kind.as_str() {
            "string" => cmd("GET").arg(&key).to_owned(),
            "hash" => cmd("HGETALL").arg(&key).to_owned(),
            "set" => cmd("SMEMBERS").arg(&key).to_owned(),
            "zset" => cmd("ZRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            other => panic!("{key} is a {other}"),
        };
        let value: Value = read.query_async(&mut redis).await.unwrap();
        dump.extend(key.into_bytes());
        write(&value, &mut dump);
    }
    dump
}

/// Everything that logins go through. Some of them are there in the end.
async fn play(world: &World, issued: &Issued) -> Vec<FamilyKey> {
    const HOURS: u64 = 12 * 60 * 60;
    let mut families = Vec::new();
    let phone = world.browser();
    issued.by(phone.post("/login/1?remember=true")).await;
    issued.by(phone.get("/account")).await;
    families.push(family(&phone.cookie(REMEMBER).unwrap()));
    let thief = phone.copy();
    for _ in 0..2 {
        world.wait(HOURS);
        phone.restart();
        // Restored with another token, which the next page shows to have arrived.
        for page in ["/account", "/account", "/logins"] {
            assert_eq!(issued.by(phone.get(page)).await.status(), 200, "{page}");
        }
    }
    assert_eq!(issued.by(phone.post("/confirm/1")).await.status(), 200);
    assert_eq!(issued.by(phone.post("/cart/pear")).await.status(), 200);

    // What fails is logged with its reason.
    world.wait(600);
    for call in [Call::Find, Call::Touch] {
        world.logins.on(move |moment| async move {
            match (moment.when, moment.call) {
                (When::Before, failing) if failing == call => Err(StoreError::new("is away")),
                _ => Ok(()),
            }
        });
        issued.by(phone.get("/account")).await;
    }
    world.logins.off();
    world.users.set_down(true);
    assert_eq!(issued.by(phone.get("/account")).await.status(), 503);
    world.users.set_down(false);

    thief.restart();
    world.events.take();
    assert_eq!(issued.by(thief.get("/account")).await.status(), 303);
    assert_eq!(world.events.count("remember_token_reused"), 1);
    assert_eq!(issued.by(phone.get("/account")).await.status(), 303);

    let out = world.browser();
    issued.by(out.post("/login/2?remember=true")).await;
    let copy = out.copy();
    issued.by(out.post("/logout")).await;
    assert_eq!(issued.by(copy.get("/account")).await.status(), 303);

    for user in [1, 2] {
        let browser = world.browser();
        issued
            .by(browser.post(&format!("/login/{user}?remember=true")))
            .await;
        issued.by(browser.post("/change/current")).await;
        issued
            .by(browser.post(&format!("/login/{user}?remember=true")))
            .await;
        families.push(family(&browser.cookie(REMEMBER).unwrap()));
        assert_ne!(name_of(&browser).await, "nobody");
    }
    families
}

#[actix_web::test]
async fn what_clients_were_given_is_neither_kept_nor_logged() {
    on_every_store(Options::default(), async |world| {
        let (log, guard) = Log::start();
        let issued = Issued::default();
        let families = play(world, &issued).await;
        drop(guard);
        let log = log.text();
        let dump = text(&dump(world, &families).await);
        let sessions = world.sessions.as_ref().map(|sessions| sessions.written());
        let sessions = format!("{sessions:?}");
        let ids = login_ids(&sessions);
        let issued = issued.0.into_inner();
        assert!(issued.len() > 30, "{}", issued.len());

        for (nth, secret) in issued.iter().enumerate() {
            assert!(!secret.is_in(&dump), "{nth} is kept");
            assert!(!secret.is_in(&log), "{nth} is logged");
            assert!(!secret.is_in(&sessions), "{nth} is in a session");
        }
        // A session names its login; nobody else does.
        for id in &ids {
            assert!(!id.is_in(&dump));
            assert!(!id.is_in(&log));
        }

        // The search finds what is there.
        if world.sessions.is_some() && !world.place.login_cookie {
            assert!(ids.len() > 5, "{}", ids.len());
            assert!(ids.iter().all(|id| id.is_in(&sessions)));
        }
        for user in [1, 2] {
            let logins = world.everybody().of::<User>(&user).await.unwrap();
            assert_eq!(logins.len(), 1);
            assert!(Secret(logins[0].key.as_bytes().to_vec()).is_in(&dump));
        }
        for family in &families[1..] {
            assert!(Secret(family.0.to_vec()).is_in(&dump));
        }
        for event in [
            "logged_in",
            "loaded_from_cookie",
            "remember_token_reused",
            "is away",
        ] {
            assert!(Secret(event.into()).is_in(&log), "{event}");
        }
    })
    .await;
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let secret = Secret(vec![0xfb, 0xff, 0x10, 0x41, 0x7f]);
    for dump in [
        &b"..\xfb\xff\x10\x41\x7f.."[..],
        b"..fbff10417f..",
        b"..FBFF10417F..",
        b"..+/8QQX8=..",
        b"..-_8QQX8..",
    ] {
        assert!(secret.is_in(&text(dump)), "{}", dump.escape_ascii());
    }
    for dump in [&b""[..], b"fbff10417", b"\xfb\xff\x10\x41\x7e"] {
        assert!(!secret.is_in(&text(dump)), "{}", dump.escape_ascii());
    }
}
