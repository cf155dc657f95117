//! Events that are stored: what is in an audit trail, and what requests notice of it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use login_runtime::{
    MemoryLoginStore,
    audit_trail::{AuditTrail, EventRecord, EventSink},
    events::LoginEvent,
    store::StoreError,
    test::{Browser, TestClock},
};
use login_tests::{Admin, START, User, Users, key, load_admin, manager, manager_base};
use tokio::sync::Semaphore;

use crate::world::{App, DAY, HOUR, site};

/// What a sink of a test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Works,
    IsDown,
    /// It stores the events, and says that it has not.
    LosesTheAnswer,
    Panics,
}

/// A sink whose behaviour a test chooses.
struct Moody<S> {
    inner: S,
    mode: Mutex<Mode>,
    calls: AtomicUsize,
}

impl<S> Moody<S> {
    fn new(inner: S) -> Arc<Self> {
        Arc::new(Self {
            inner,
            mode: Mutex::new(Mode::Works),
            calls: AtomicUsize::new(0),
        })
    }

    fn be(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

impl<S: EventSink> EventSink for Moody<S> {
    async fn store_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mode = *self.mode.lock().unwrap();
        match mode {
            Mode::Works => self.inner.store_events(events).await,
            Mode::IsDown => Err(StoreError::new("the sink is down")),
            Mode::LosesTheAnswer => {
                self.inner.store_events(events).await?;
                Err(StoreError::new("the connection broke"))
            }
            Mode::Panics => panic!("the sink panics"),
        }
    }
}

/// Keeps events in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<EventRecord>>>);

impl Kept {
    fn names(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        events.iter().map(|event| event.event.to_string()).collect()
    }

    fn take(&self) -> Vec<EventRecord> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl EventSink for Kept {
    async fn store_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend_from_slice(events);
        Ok(())
    }
}

/// An application with this trail.
async fn open(users: &Users, trail: &AuditTrail) -> (impl App + use<>, TestClock) {
    let (builder, clock) = manager_base(users);
    let builder = builder
        .login_store(MemoryLoginStore::new())
        .audit_trail(trail.clone());
    (site(builder.build(key()).unwrap(), users).await, clock)
}

async fn log_in<S: App>(app: &S, id: i64) {
    assert_eq!(
        Browser::new(app)
            .post(&format!("/login/{id}"))
            .await
            .status(),
        303
    );
}

#[actix_web::test]
async fn a_trail_tells_who_did_what_when_and_from_where() {
    let users = Users::new();
    let (kept, trail) = trail();
    let (app, clock) = open(&users, &trail).await;
    let browser = Browser::new(&app);
    browser.set_address([192, 0, 2, 7]);
    browser.set_user_agent("Mozilla/5.0 (X11)");
    browser.post("/login/1?remember=true").await;
    clock.advance(HOUR / 4);
    browser.post("/logout").await;
    trail.flush().await.unwrap();
    let events = kept.take();
    let [logged_in, logged_out] = &*events else {
        panic!("{events:#?}")
    };
    assert_eq!((&*logged_in.event, logged_in.at), ("logged_in", START));
    assert_eq!(
        (&*logged_out.event, logged_out.at),
        ("logged_out", START + 900)
    );
    assert_eq!(logged_in.reason.as_deref(), Some("form"));
    let details = serde_json::to_string(&logged_in.details).unwrap();
    assert_eq!(details, r#"{"new_client":true,"remembered":true}"#);
    assert!(logged_in.login.is_some());
    assert_ne!(logged_in.id, logged_out.id);
    for event in [logged_in, logged_out] {
        assert_eq!(event.user_type.as_deref(), Some("User"));
        assert_eq!(event.user_id.as_deref(), Some("1"));
        assert_eq!(event.login, logged_in.login);
        assert_eq!(event.address.as_deref(), Some("192.0.2.7"));
        assert_eq!(event.user_agent.as_deref(), Some("Mozilla/5.0 (X11)"));
    }
}

fn trail() -> (Kept, AuditTrail) {
    let kept = Kept::default();
    (kept.clone(), AuditTrail::new(kept))
}

#[actix_web::test]
async fn anonymous_clients_write_nothing_into_a_trail() {
    let users = Users::new();
    let (kept, trail) = trail();
    let (app, _) = open(&users, &trail).await;
    let browser = Browser::new(&app);
    for page in ["/", "/me", "/account", "/settings", "/no-such-page"] {
        browser.get(page).await;
        browser.set_cookie("__Host-remember", "forged");
        browser.set_cookie("remember", "forged");
    }
    users.set_down(true);
    browser.get("/account").await;
    users.set_down(false);
    trail.flush().await.unwrap();
    assert_eq!(kept.names(), [""; 0]);
    log_in(&app, 1).await;
    trail.flush().await.unwrap();
    assert_eq!(kept.names(), ["logged_in"]);
}

#[actix_web::test]
async fn an_application_chooses_what_its_trail_stores() {
    let kept = Kept::default();
    let only = |event: &LoginEvent<'_>| matches!(event, LoginEvent::LogInRefused { .. });
    let trail = AuditTrail::new(kept.clone()).only(only);
    let (app, _) = open(&Users::new(), &trail).await;
    let browser = Browser::new(&app);
    for id in [1, 3, 2] {
        browser.post(&format!("/login/{id}")).await;
    }
    trail.flush().await.unwrap();
    assert_eq!(kept.names(), ["log_in_refused"]);
    assert_eq!(trail.lost(), 0);
}

#[actix_web::test]
async fn requests_go_on_while_the_sink_is_down_and_it_gets_the_events_later_in_order() {
    let kept = Kept::default();
    let sink = Moody::new(kept.clone());
    let trail = AuditTrail::new(Arc::clone(&sink));
    let (app, _) = open(&Users::new(), &trail).await;
    for mode in [Mode::IsDown, Mode::Panics] {
        sink.be(mode);
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        assert!(trail.flush().await.is_err(), "{mode:?}");
        browser.get("/account").await.assert_page_shown();
        browser.post("/confirm/1").await;
        browser.post("/logout").await;
        let error = trail.flush().await.unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(why, "3 events are not stored yet");
        assert_eq!(kept.names(), [""; 0]);
        sink.be(Mode::Works);
        trail.flush().await.unwrap();
        assert_eq!(kept.names(), ["logged_in", "login_confirmed", "logged_out"]);
        kept.take();
    }
    assert_eq!(trail.lost(), 0);
}

/// A sink that takes its time until a test lets it go on.
struct Slow {
    kept: Kept,
    gate: Semaphore,
    waiting: Semaphore,
}

impl EventSink for Slow {
    async fn store_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
        self.waiting.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.kept.store_events(events).await
    }
}

impl Slow {
    fn new() -> (Kept, Arc<Self>) {
        let kept = Kept::default();
        let slow = Self {
            kept: kept.clone(),
            gate: Semaphore::new(0),
            waiting: Semaphore::new(0),
        };
        (kept, Arc::new(slow))
    }

    /// Waits until the sink has been called.
    async fn called(&self) {
        self.waiting.acquire().await.unwrap().forget();
    }
}

#[actix_web::test]
async fn no_request_waits_for_a_sink_that_hangs_and_lost_events_are_counted_and_reported() {
    let (kept, slow) = Slow::new();
    let trail = AuditTrail::new(Arc::clone(&slow)).capacity(4);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let users = Users::new();
    let (builder, _) = manager_base(&users);
    let builder = builder
        .login_store(MemoryLoginStore::new())
        .audit_trail(trail.clone())
        .on_maintenance(move |event| {
            if let LoginEvent::EventsLost { events } = event {
                tell.lock().unwrap().push(*events);
            }
        });
    let app = site(builder.build(key()).unwrap(), &users).await;
    log_in(&app, 1).await;
    slow.called().await;
    // The first is out of the queue, four are in it, and three are lost.
    for _ in 0..7 {
        log_in(&app, 2).await;
    }
    assert_eq!(trail.lost(), 3);
    slow.gate.add_permits(100);
    trail.flush().await.unwrap();
    let mut expected = vec!["logged_in"; 5];
    expected.push("events_lost");
    assert_eq!(kept.names(), expected);
    let events = kept.take();
    assert_eq!(events[0].user_id.as_deref(), Some("1"));
    assert_eq!(events[5].details["events"], 3);
    assert_eq!(*told.lock().unwrap(), [3]);
    // There is room again, and nothing is reported twice.
    log_in(&app, 1).await;
    trail.flush().await.unwrap();
    assert_eq!(
        (kept.names(), trail.lost()),
        (vec!["logged_in".to_owned()], 3)
    );
    assert_eq!(*told.lock().unwrap(), [3]);
}

#[actix_web::test]
async fn a_flood_of_refusals_does_not_push_log_ins_out_of_the_trail() {
    let (kept, slow) = Slow::new();
    let trail = AuditTrail::new(Arc::clone(&slow)).capacity(8);
    let users = Users::new();
    let (app, _) = open(&users, &trail).await;
    // A user who is refused again and again, and a cookie that is over.
    let refused = Browser::new(&app);
    refused.post("/login/1?stale=true&remember=true").await;
    slow.called().await;
    let copy = refused.copy();
    copy.drop_cookie(crate::world::SESSION);
    for _ in 0..50 {
        assert_eq!(refused.get("/settings").await.status(), 401);
    }
    for _ in 0..3 {
        log_in(&app, 2).await;
    }
    refused.post("/logout").await;
    for _ in 0..50 {
        copy.copy().get("/me").await;
    }
    slow.gate.add_permits(100);
    trail.flush().await.unwrap();
    let names = kept.names();
    let count = |name| names.iter().filter(|other| *other == name).count();
    assert_eq!(
        (count("logged_in"), count("logged_out")),
        (4, 1),
        "{names:?}"
    );
    assert_eq!(count("events_lost"), 1, "{names:?}");
}

#[actix_web::test]
async fn a_trail_that_is_closed_has_stored_everything_and_counts_what_comes_later() {
    let (kept, trail) = trail();
    let (app, _) = open(&Users::new(), &trail).await;
    for _ in 0..250 {
        log_in(&app, 1).await;
    }
    trail.close().await.unwrap();
    let count = || kept.names().iter().filter(|it| *it == "logged_in").count();
    assert_eq!((count(), trail.lost()), (250, 0));
    log_in(&app, 2).await;
    assert_eq!((count(), trail.lost()), (250, 1));
    // Nobody waits for a trail that has ended.
    assert!(trail.flush().await.is_err());
    assert!(trail.close().await.is_err());
}

#[actix_web::test]
async fn a_trail_that_is_closed_while_its_sink_is_down_says_what_is_lost() {
    let sink = Moody::new(Kept::default());
    let trail = AuditTrail::new(Arc::clone(&sink));
    let (app, _) = open(&Users::new(), &trail).await;
    sink.be(Mode::IsDown);
    for _ in 0..3 {
        log_in(&app, 1).await;
    }
    assert!(trail.close().await.is_err());
    // Three log ins, and the row that would have told of them.
    assert!(trail.lost() >= 3, "{}", trail.lost());
}

#[actix_web::test]
async fn a_trail_without_a_manager_has_nothing_to_store() {
    let (kept, trail) = trail();
    trail.flush().await.unwrap();
    trail.close().await.unwrap();
    assert!(trail.recent::<User>(&1, 10).await.is_err());
    assert!(trail.purge(DAY, 10).await.is_err());
    assert_eq!((kept.names().len(), trail.lost()), (0, 0));
}

#[actix_web::test]
async fn every_text_in_a_trail_is_one_printable_line() {
    let (kept, trail) = trail();
    let (app, _) = open(&Users::new(), &trail).await;
    for agent in [
        "a\tb\"c'",
        "x\u{202e}y\u{2028}z",
        &"x".repeat(5_000),
        "\u{9b}31m",
    ] {
        let browser = Browser::new(&app);
        browser.set_user_agent(agent);
        browser.post("/login/1").await;
    }
    trail.flush().await.unwrap();
    let events = kept.take();
    assert!(!events.is_empty());
    for event in events {
        let agent = event.user_agent.clone().unwrap_or_default();
        assert!(
            agent.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{agent}"
        );
        assert!(agent.len() <= 480, "{}", agent.len());
        let line = serde_json::to_string(&event).unwrap();
        assert!(
            line.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{line}"
        );
    }
}

#[actix_web::test]
async fn what_the_application_does_outside_of_requests_is_in_the_trail_without_a_client() {
    let users = Users::new();
    let (kept, trail) = trail();
    let (builder, _) = manager_base(&users);
    let builder = builder
        .login_store(MemoryLoginStore::new())
        .audit_trail(trail.clone());
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = site(manager, &users).await;
    log_in(&app, 1).await;
    logins.end_all_of::<User>(&1).await.unwrap();
    trail.flush().await.unwrap();
    let events = kept.take();
    let revoked = events.last().unwrap();
    assert_eq!(revoked.event, "logins_revoked");
    assert_eq!(revoked.user_id.as_deref(), Some("1"));
    assert_eq!(revoked.details["logins"], 1);
    assert_eq!((&revoked.address, &revoked.user_agent), (&None, &None));
}

#[actix_web::test]
async fn the_policy_says_whether_there_is_a_trail() {
    let users = Users::new();
    let policy = |builder: login_runtime::config::LoginManagerBuilder| {
        builder.build(key()).unwrap().policy().to_string()
    };
    let without = policy(manager(&users).0);
    assert!(without.contains("There is no audit trail"), "{without}");
    let with = policy(manager(&users).0.audit_trail(trail().1));
    assert!(with.contains("are stored in an audit trail"), "{with}");
    assert!(!with.contains("There is no audit trail"), "{with}");
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod databases {
    use std::{fs, path::PathBuf};

    use login_runtime::store::LoginOwner;
    use login_tests::services::unique;

    use super::*;

    /// A database with the tables of a login store.
    #[derive(Clone)]
    enum Database {
        #[cfg(feature = "sqlite")]
        Sqlite(login_runtime::store::SqliteLoginStore, PathBuf),
        #[cfg(feature = "postgres")]
        Postgres(login_runtime::store::PostgresLoginStore, sqlx::PgPool),
    }

    macro_rules! on_store {
        ($database:expr, $store:ident => $call:expr) => {
            match $database {
                #[cfg(feature = "sqlite")]
                Database::Sqlite($store, _) => $call,
                #[cfg(feature = "postgres")]
                Database::Postgres($store, _) => $call,
            }
        };
    }

    impl EventSink for Database {
        async fn store_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
            on_store!(self, store => store.store_events(events).await)
        }

        async fn recent_events(
            &self,
            owner: LoginOwner<'_>,
            limit: u32,
        ) -> Result<Vec<EventRecord>, StoreError> {
            on_store!(self, store => store.recent_events(owner, limit).await)
        }

        async fn purge_events(
            &self,
            now: i64,
            older_than: Duration,
            limit: u32,
        ) -> Result<u64, StoreError> {
            on_store!(self, store => store.purge_events(now, older_than, limit).await)
        }
    }

    impl<S: EventSink> Moody<S> {
        fn works(&self) {
            self.be(Mode::Works);
        }
    }

    impl Database {
        #[cfg(feature = "sqlite")]
        async fn sqlite() -> Self {
            use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

            let directory = std::env::temp_dir().join(unique("login_tests_trail"));
            fs::create_dir(&directory).unwrap();
            let options = SqliteConnectOptions::new()
                .filename(directory.join("test.db"))
                .create_if_missing(true);
            let pool = SqlitePoolOptions::new().max_connections(2);
            let pool = pool.connect_with(options).await.unwrap();
            let store = login_runtime::store::SqliteLoginStore::new(pool);
            store.migrate().await.unwrap();
            Self::Sqlite(store, directory)
        }

        #[cfg(feature = "postgres")]
        async fn postgres(url: &str) -> Self {
            let pool = sqlx::postgres::PgPoolOptions::new()
                .max_connections(2)
                .acquire_timeout(Duration::from_secs(30));
            let pool = pool.connect(url).await.unwrap();
            let store = login_runtime::store::PostgresLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            Self::Postgres(store, pool)
        }

        async fn all() -> Vec<Self> {
            vec![
                #[cfg(feature = "sqlite")]
                Self::sqlite().await,
                #[cfg(feature = "postgres")]
                match login_tests::services::postgres() {
                    Some(postgres) => Self::postgres(&postgres.database()).await,
                    None => return Vec::new(),
                },
            ]
        }

        /// Everything that is stored, as text.
        async fn dump(&self) -> String {
            match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(_, directory) => {
                    let files = fs::read_dir(directory).unwrap();
                    let bytes = files.flat_map(|file| fs::read(file.unwrap().path()).unwrap());
                    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
                }
                #[cfg(feature = "postgres")]
                Self::Postgres(_, pool) => {
                    let rows = sqlx::query_scalar("SELECT login_events::text FROM login_events");
                    let rows: Vec<String> = rows.fetch_all(pool).await.unwrap();
                    rows.join("\n")
                }
            }
        }
    }

    impl Drop for Database {
        fn drop(&mut self) {
            #[cfg(feature = "sqlite")]
            if let Self::Sqlite(_, directory) = self {
                let _ = fs::remove_dir_all(directory);
            }
        }
    }

    /// The names of the events about a user, in the order in which they happened.
    async fn names_of(trail: &AuditTrail, id: i64) -> Vec<String> {
        let mut events = trail.recent::<User>(&id, 1_000).await.unwrap();
        events.reverse();
        events.iter().map(|event| event.event.to_string()).collect()
    }

    type Told = (String, Option<String>, Option<String>);

    #[actix_web::test]
    async fn a_database_has_each_event_of_a_user_once_and_in_order() {
        for database in Database::all().await {
            let users = Users::new();
            let database = Arc::new(database);
            let trail = AuditTrail::new(Arc::clone(&database));
            let told = Arc::new(Mutex::new(Vec::<Told>::new()));
            let tell = Arc::clone(&told);
            let (builder, _) = manager_base(&users);
            let builder = builder
                .login_store(MemoryLoginStore::new())
                .audit_trail(trail.clone())
                .user_loader(load_admin)
                .on_event(move |event, _| {
                    tell.lock().unwrap().push((
                        event.name().to_owned(),
                        event.user_id().map(|id| id.into_owned()),
                        event.login().map(|hash| hash.to_string()),
                    ));
                });
            let app = site(builder.build(key()).unwrap(), &users).await;
            for _ in 0..30 {
                let browser = Browser::new(&app);
                for path in ["/login/1", "/login/2?remember=true", "/login/3", "/login/1"] {
                    browser.post(path).await;
                }
                browser.log_in(Admin::new("1")).await;
                browser.post("/confirm/1").await;
                browser.post("/change/current").await;
                browser.post("/logout").await;
            }
            trail.flush().await.unwrap();
            let told = std::mem::take(&mut *told.lock().unwrap());
            for id in ["1", "2", "3"] {
                let told: Vec<_> = told
                    .iter()
                    .filter(|(name, user, _)| name != "accessed" && user.as_deref() == Some(id))
                    .map(|(name, _, login)| (name.clone(), login.clone()))
                    .collect();
                let number = id.parse().unwrap();
                let mut stored = trail.recent::<User>(&number, 1_000).await.unwrap();
                stored.reverse();
                let stored: Vec<_> = stored
                    .into_iter()
                    .map(|event| (event.event.into_owned(), event.login))
                    .collect();
                assert!(stored.len() >= 30, "{}", stored.len());
                assert_eq!(stored, told);
            }
            // The admin has the same id, as another text.
            let admin = trail.recent::<Admin>(&"1".to_owned(), 5).await.unwrap();
            assert_eq!(admin.len(), 5);
            assert!(
                admin
                    .iter()
                    .all(|event| event.user_type.as_deref() == Some("admin"))
            );
            assert_eq!(trail.recent::<User>(&9, 5).await.unwrap(), []);
            assert_eq!(trail.recent::<User>(&1, 0).await.unwrap(), []);
        }
    }

    #[actix_web::test]
    async fn a_database_gives_back_what_was_stored() {
        for database in Database::all().await {
            let kept = Kept::default();
            let (app, _) = open(&Users::new(), &AuditTrail::new(kept.clone())).await;
            let browser = Browser::new(&app);
            browser.post("/login/1?remember=true").await;
            browser.post("/change/current").await;
            browser.post("/logout").await;
            let events = loop {
                match kept.take() {
                    events if events.is_empty() => tokio::task::yield_now().await,
                    events => break events,
                }
            };
            database.store_events(&events).await.unwrap();
            let owner = LoginOwner {
                user_type: "User",
                user_id: "1",
            };
            let mut stored = database.recent_events(owner, 100).await.unwrap();
            stored.reverse();
            assert_eq!(stored, events);
        }
    }

    #[actix_web::test]
    async fn events_whose_database_lost_the_answer_are_in_it_once() {
        for database in Database::all().await {
            let sink = Moody::new(database);
            let trail = AuditTrail::new(Arc::clone(&sink));
            let (app, _) = open(&Users::new(), &trail).await;
            sink.be(Mode::LosesTheAnswer);
            let browser = Browser::new(&app);
            browser.post("/login/1").await;
            assert!(trail.flush().await.is_err());
            browser.post("/confirm/1").await;
            assert!(trail.flush().await.is_err());
            sink.works();
            browser.post("/logout").await;
            trail.flush().await.unwrap();
            let mut events = sink
                .inner
                .recent_events(
                    LoginOwner {
                        user_type: "User",
                        user_id: "1",
                    },
                    100,
                )
                .await
                .unwrap();
            events.reverse();
            let names: Vec<_> = events.iter().map(|event| &*event.event).collect();
            assert_eq!(names, ["logged_in", "login_confirmed", "logged_out"]);
        }
    }

    #[actix_web::test]
    async fn no_secret_gets_into_a_database_of_events() {
        const HASH: &str = "hash-that-nobody-should-read";
        for database in Database::all().await {
            let users = Users::new();
            users.change(1, |user| user.hash = HASH.to_owned());
            let database = Arc::new(database);
            let trail = AuditTrail::new(Arc::clone(&database));
            let (app, clock) = open(&users, &trail).await;
            let browser = Browser::new(&app);
            let mut secrets = vec![HASH.to_owned(), "token-nobody-made".to_owned()];
            let mut note = || {
                for name in browser.cookie_names() {
                    let value = browser.cookie(&name).unwrap();
                    secrets.extend(value.split('.').map(str::to_owned));
                    secrets.push(value);
                }
            };
            browser.post("/login/1?remember=true&stale=true").await;
            note();
            browser.get("/settings").await;
            browser.post("/confirm/1").await;
            note();
            browser.drop_cookie(crate::world::SESSION);
            clock.advance(DAY);
            browser.get("/account").await;
            note();
            browser.post("/confirm/1").await;
            assert_eq!(browser.post("/change/current").await.status(), 200);
            note();
            users.set_down(true);
            browser.get("/account").await;
            users.set_down(false);
            let copy = browser.copy();
            browser.post("/logout").await;
            copy.get("/account").await;
            browser.set_cookie(crate::world::REMEMBER, "token-nobody-made");
            browser.get("/account").await;
            trail.flush().await.unwrap();
            let text = database.dump().await;
            for expected in ["logged_in", "needs_refresh", "credentials_changed"] {
                assert!(text.contains(expected), "{expected} is not in\n{text}");
            }
            assert!(secrets.len() > 8, "{secrets:?}");
            for secret in secrets.iter().filter(|secret| secret.len() > 3) {
                assert!(!text.contains(&**secret), "{secret} is in\n{text}");
            }
        }
    }

    #[actix_web::test]
    async fn a_purge_deletes_events_after_the_stated_time_and_only_those() {
        for database in Database::all().await {
            let database = Arc::new(database);
            let trail = AuditTrail::new(Arc::clone(&database));
            let users = Users::new();
            let (app, clock) = open(&users, &trail).await;
            for _ in 0..5 {
                log_in(&app, 1).await;
            }
            clock.advance(10 * DAY);
            log_in(&app, 1).await;
            trail.flush().await.unwrap();
            assert_eq!(trail.purge(10 * DAY, 100).await.unwrap(), 0);
            clock.advance(Duration::from_secs(1));
            assert_eq!(trail.purge(10 * DAY, 2).await.unwrap(), 2);
            assert_eq!(trail.purge(10 * DAY, 100).await.unwrap(), 3);
            assert_eq!(names_of(&trail, 1).await, ["logged_in"]);
            // A node whose clock is ahead does not delete the trail of all.
            clock.set(4_000_000_000);
            let years = Duration::from_secs(4_000_000_000 - START.unsigned_abs());
            assert_eq!(trail.purge(years - 11 * DAY, 100).await.unwrap(), 0);
            assert_eq!(names_of(&trail, 1).await, ["logged_in"]);
        }
    }

    #[actix_web::test]
    async fn each_realm_reads_its_own_trail() {
        for database in Database::all().await {
            let database = Arc::new(database);
            let mut trails = Vec::new();
            for realm in ["shop", "desk"] {
                let users = Users::new();
                let trail = AuditTrail::new(Arc::clone(&database));
                let (builder, _) = manager(&users);
                let builder = builder.realm(realm).audit_trail(trail.clone());
                let app = site(builder.build(key()).unwrap(), &users).await;
                log_in(&app, 1).await;
                if realm == "desk" {
                    log_in(&app, 1).await;
                }
                trail.flush().await.unwrap();
                trails.push(trail);
            }
            assert_eq!(names_of(&trails[0], 1).await.len(), 1);
            assert_eq!(names_of(&trails[1], 1).await.len(), 2);
        }
    }

    #[cfg(feature = "postgres")]
    #[actix_web::test]
    async fn requests_go_on_while_postgres_is_gone_and_it_gets_the_events_when_it_is_back() {
        let Some(mut postgres) = login_tests::services::Postgres::start() else {
            return;
        };
        let database = Database::postgres(&postgres.database()).await;
        let trail = AuditTrail::new(database).capacity(4);
        let (app, _) = open(&Users::new(), &trail).await;
        log_in(&app, 1).await;
        trail.flush().await.unwrap();
        postgres.kill();
        let browser = Browser::new(&app);
        for _ in 0..20 {
            assert_eq!(browser.post("/login/1").await.status(), 303);
            browser.get("/account").await.assert_page_shown();
        }
        let lost = trail.lost();
        assert!(lost > 0, "{lost}");
        postgres.restart();
        trail.flush().await.unwrap();
        assert_eq!(trail.lost(), lost);
        let names = names_of(&trail, 1).await;
        assert_eq!(names[0], "logged_in");
        // A log in, and 20 more that each replace the one before.
        assert_eq!(names.len() as u64, 1 + 39 - lost, "{names:?}");
    }

    #[cfg(feature = "sqlite")]
    #[actix_web::test]
    async fn one_sqlite_database_has_the_logins_and_their_trail() {
        let database = Database::sqlite().await;
        #[allow(irrefutable_let_patterns, reason = "there may be one database only")]
        let Database::Sqlite(store, _) = &database else {
            unreachable!()
        };
        let trail = AuditTrail::new(store.clone());
        let users = Users::new();
        let (builder, _) = manager_base(&users);
        let builder = builder
            .login_store(store.clone())
            .audit_trail(trail.clone());
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        for _ in 0..20 {
            browser.post("/login/1").await;
            browser.get("/account").await.assert_page_shown();
            browser.post("/logout").await;
        }
        trail.close().await.unwrap();
        assert_eq!(
            names_of(&trail, 1).await,
            ["logged_in", "logged_out"].repeat(20)
        );
    }
}
