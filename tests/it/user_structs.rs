//! Structs of applications as user types: their ids, session hashes and password hashes.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_web::{
    cookie::time,
    web::{self, ServiceConfig},
};
use chrono::{FixedOffset, TimeZone as _};
use login_runtime::{
    Auth, AuthUser, CurrentUser, LoginError, LoginManager, PasswordField, SessionHashPart,
    Verified, login_required,
    password::{PasswordUser, PasswordVerifier},
    test::Browser,
};
use login_tests::{app, key};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// The bytes of a session hash.
fn bytes(hash: impl SessionHashPart) -> Option<Vec<u8>> {
    hash.part().map(|part| part.into_owned())
}

#[test]
fn a_changed_hash_of_any_type_changes_the_session_hash() {
    let different: [&[Option<Vec<u8>>]; 10] = [
        &[bytes(1_u8), bytes(2_u8)],
        &[bytes(-1_i64), bytes(1_i64), bytes(256_i64)],
        &[bytes("a"), bytes("b"), bytes("ab"), bytes("")],
        &[bytes(Some("")), bytes(None::<&str>)],
        &[bytes(Uuid::from_u128(1)), bytes(Uuid::from_u128(2))],
        &[
            bytes(UNIX_EPOCH),
            bytes(UNIX_EPOCH + Duration::from_nanos(1)),
            bytes(UNIX_EPOCH - Duration::from_nanos(1)),
        ],
        &[
            bytes(chrono::Utc.timestamp_nanos(7)),
            bytes(chrono::Utc.timestamp_nanos(8)),
        ],
        &[
            bytes(time::OffsetDateTime::UNIX_EPOCH),
            bytes(time::OffsetDateTime::UNIX_EPOCH + Duration::from_nanos(1)),
        ],
        &[
            bytes(SecretString::from("a")),
            bytes(SecretString::from("b")),
        ],
        // The end of one member is not the start of the next, and nothing is not an empty text.
        &[
            bytes(("ab", "c")),
            bytes(("a", "bc")),
            bytes(("abc", "")),
            bytes(("abc", None::<&str>)),
            bytes((None::<&str>, "abc")),
        ],
    ];
    for (nth, hashes) in different.into_iter().enumerate() {
        let distinct: HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len(), "{nth}");
    }
}

#[test]
fn the_same_hash_in_another_form_is_the_same() {
    let utc = chrono::Utc.timestamp_nanos(7);
    let zone = FixedOffset::east_opt(7200).unwrap();
    assert_eq!(bytes(utc), bytes(utc.with_timezone(&zone)));
    assert_eq!(bytes(utc), bytes(utc.naive_utc()));
    let time = time::OffsetDateTime::UNIX_EPOCH;
    let elsewhere = time.to_offset(time::UtcOffset::from_hms(2, 0, 0).unwrap());
    assert_eq!(bytes(time), bytes(elsewhere));
    let lent_twice = &&"hash";
    for same in [
        bytes("hash".to_owned()),
        bytes(Box::<str>::from("hash")),
        bytes(Arc::<str>::from("hash")),
        bytes(std::borrow::Cow::Borrowed("hash")),
        bytes(b"hash".to_vec()),
        bytes(*b"hash"),
        bytes(Some("hash")),
        bytes(SecretString::from("hash")),
        bytes(lent_twice),
    ] {
        assert_eq!(same.as_deref(), Some(&b"hash"[..]));
    }
}

/// A row as a database library makes it, in a module of its own.
mod db {
    #[derive(Clone)]
    pub(super) struct Row {
        pub(super) uid: i64,
        pub(super) hash: String,
    }
}

/// Everything through functions.
#[derive(AuthUser, Clone)]
#[auth(id = Account::uid -> i64)]
#[auth(password_hash = Account::hash, set_password_hash = Account::set_hash)]
struct Account(db::Row);

impl Account {
    fn uid(&self) -> i64 {
        self.0.uid
    }

    fn hash(&self) -> &str {
        &self.0.hash
    }

    fn set_hash(&mut self, hash: String) {
        self.0.hash = hash;
    }
}

/// An account with more that belongs to it.
#[derive(AuthUser, Clone)]
struct AccountWithRoles {
    #[auth(flatten, password_hash)]
    account: Account,
    #[auth(roles)]
    roles: Vec<String>,
    #[auth(session_hash)]
    signed_out_at: SystemTime,
    is_active: bool,
}

/// Hashes of several types.
#[derive(AuthUser, Clone)]
struct Mixed {
    id: Uuid,
    #[auth(password_hash, session_hash)]
    password: Option<SecretString>,
    #[auth(session_hash)]
    stamp: Uuid,
    #[auth(session_hash)]
    changed_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// A session hash from a function that returns several values.
#[derive(AuthUser, Clone)]
#[auth(session_hash = Versioned::versions)]
struct Versioned {
    id: i64,
    password: String,
    second_factor: u32,
}

impl Versioned {
    fn versions(&self) -> (&str, u32) {
        (&self.password, self.second_factor)
    }
}

fn account(hash: &str) -> Account {
    Account(db::Row {
        uid: 7,
        hash: hash.to_owned(),
    })
}

fn with_roles(hash: &str) -> AccountWithRoles {
    AccountWithRoles {
        account: account(hash),
        roles: vec!["editor".to_owned()],
        signed_out_at: UNIX_EPOCH,
        is_active: true,
    }
}

fn mixed() -> Mixed {
    Mixed {
        id: Uuid::from_u128(7),
        password: Some("hash".into()),
        stamp: Uuid::from_u128(1),
        changed_at: None,
    }
}

async fn log_in<U: AuthUser + Clone>(
    auth: Auth<U>,
    row: web::Data<Mutex<U>>,
) -> Result<String, LoginError> {
    let user = row.lock().unwrap().clone();
    auth.log_in(Verified::trust(user, "test")).await?;
    Ok("in".to_owned())
}

async fn page<U: AuthUser>(_: CurrentUser<U>) -> &'static str {
    "page"
}

/// Logs a user in, changes the row, and asks for a page. Whether the login survived.
async fn survives<U>(user: U, change: impl FnOnce(&mut U)) -> bool
where
    U: AuthUser + Clone + Send + Sync,
{
    let row = web::Data::new(Mutex::new(user));
    let found = row.clone().into_inner();
    let manager = LoginManager::builder(move |_| {
        let user = found.lock().unwrap().clone();
        async move { Ok::<_, String>(Some(user)) }
    });
    let manager = manager.session_only().build(key()).unwrap();
    let pages = |routes: &mut ServiceConfig| {
        routes
            .app_data(row.clone())
            .route("/login", web::post().to(log_in::<U>))
            .route("/page", web::get().to(page::<U>));
    };
    let app = app(manager, pages).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login").await.text(), "in");
    assert_eq!(browser.get("/page").await.text(), "page");
    change(&mut row.lock().unwrap());
    browser.get("/page").await.status() == 200
}

#[actix_web::test]
async fn a_change_of_each_part_of_the_session_hash_ends_the_login() {
    assert!(survives(mixed(), |_| {}).await);
    assert!(!survives(mixed(), |user| user.password = Some("other".into())).await);
    assert!(!survives(mixed(), |user| user.password = None).await);
    assert!(!survives(mixed(), |user| user.stamp = Uuid::from_u128(2)).await);
    let now = Some(chrono::Utc.timestamp_nanos(0));
    assert!(!survives(mixed(), |user| user.changed_at = now).await);
    assert!(survives(account("a"), |_| {}).await);
    assert!(!survives(account("a"), |user| user.0.hash.push('b')).await);
    let versioned = || Versioned {
        id: 7,
        password: "a".to_owned(),
        second_factor: 1,
    };
    assert!(survives(versioned(), |_| {}).await);
    assert!(!survives(versioned(), |user| user.password.push('b')).await);
    assert!(!survives(versioned(), |user| user.second_factor = 2).await);
}

#[actix_web::test]
async fn a_user_inside_another_struct_is_out_when_either_says_so() {
    assert!(survives(with_roles("a"), |user| user.roles.clear()).await);
    assert!(!survives(with_roles("a"), |user| user.account.0.hash.push('b')).await);
    let later = UNIX_EPOCH + Duration::from_secs(1);
    assert!(!survives(with_roles("a"), |user| user.signed_out_at = later).await);
    assert!(!survives(with_roles("a"), |user| user.is_active = false).await);
}

#[login_required(role = "editor")]
async fn drafts(user: CurrentUser<AccountWithRoles>) -> String {
    user.get_id().to_string()
}

#[actix_web::test]
async fn a_role_beside_a_flattened_user_opens_a_guard() {
    let manager = LoginManager::builder(async |_| Ok::<_, String>(Some(with_roles("a"))));
    let manager = manager.session_only().build(key()).unwrap();
    let app = app(manager, |routes| {
        routes.route("/drafts", web::get().to(drafts));
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/drafts").await.status(), 401);
    browser.log_in(with_roles("a")).await;
    assert_eq!(browser.get("/drafts").await.text(), "7");
}

/// Whether a log-in form accepts a password.
async fn verifies<U: PasswordUser + Clone>(
    verifier: &PasswordVerifier,
    user: U,
    typed: &'static str,
) -> bool {
    let manager = LoginManager::builder(async |_: U::Id| Ok::<_, String>(None::<U>));
    let manager = manager.session_only().build(key()).unwrap();
    let verifier = verifier.clone();
    let app = app(manager, move |routes| {
        let check = move |auth: Auth<U>| {
            let (verifier, user) = (verifier.clone(), user.clone());
            async move {
                let verified = verifier.verify(&auth, "name", Some(user), typed).await;
                verified.unwrap().is_some().to_string()
            }
        };
        routes.route("/", web::post().to(check));
    })
    .await;
    Browser::new(&app).post("/").await.text() == "true"
}

#[actix_web::test]
async fn a_password_is_verified_wherever_its_hash_is_kept() {
    let verifier = PasswordVerifier::new();
    let hash = verifier.hash("difference engine").await.unwrap();
    let user = Mixed {
        password: Some(hash.clone().into()),
        ..mixed()
    };
    for (typed, expected) in [("difference engine", true), ("analytical engine", false)] {
        assert_eq!(verifies(&verifier, user.clone(), typed).await, expected);
        assert_eq!(verifies(&verifier, account(&hash), typed).await, expected);
        assert_eq!(
            verifies(&verifier, with_roles(&hash), typed).await,
            expected
        );
    }
}

#[test]
fn an_outdated_hash_is_replaced_wherever_it_is_kept() {
    let (mut account, mut outer, mut mixed) = (account("a"), with_roles("a"), mixed());
    account.set_password_hash("new".to_owned());
    outer.set_password_hash("new".to_owned());
    mixed.set_password_hash("new".to_owned());
    assert_eq!(account.0.hash, "new");
    assert_eq!(outer.account.0.hash, "new");
    assert_eq!(mixed.password.as_ref().unwrap().expose_secret(), "new");
    assert_eq!(mixed.password_hash(), Some("new"));
    mixed.password = None;
    assert_eq!(mixed.password_hash(), None);
    PasswordField::set(&mut mixed.password, "again".to_owned());
    assert_eq!(PasswordField::get(&mixed.password), Some("again"));
}
