//! What a recorder of the facade `metrics` gets: counters, gauges, times, and labels of a fixed set.

use std::{
    collections::BTreeSet,
    fs,
    future::IntoFuture as _,
    path::Path,
    sync::{Mutex, mpsc},
    time::Duration,
};

use actix_web::{FromRequest as _, HttpResponse, web};
use futures_util::{FutureExt as _, future::pending};
use login_runtime::{
    Auth, AuthUser, CurrentUser, LoginManager, MemoryLoginStore,
    config::SessionProtection,
    login_required,
    logins::Logins,
    metrics::{PASSWORD_CHECKS_RUNNING, PASSWORD_CHECKS_WAITING, describe},
    password::PasswordVerifier,
    store::StoreError,
    test::{Browser, TestClock},
    throttle::{Throttle, TryLimit, attempt},
};
use login_tests::{START, User, Users, app, key, manager_base};
use metrics::{Unit, set_default_local_recorder};
use tokio::time;

use self::recorder::Recorded;
use crate::world::{
    App, Call, DAY, Events, HOUR, LoginsThere, MINUTE, Options, Place, Probe, REMEMBER, SESSION,
    World, pages,
};

mod recorder;

const RIGHT: &str = "difference engine";

/// A user whose id and name no label may contain.
#[derive(AuthUser, Clone)]
struct Person {
    #[auth(id)]
    name: String,
    #[auth(password_hash)]
    hash: String,
}

fn person(name: &str) -> Option<Person> {
    (name != "nobody").then(|| Person {
        name: name.to_owned(),
        hash: format!("$plain${RIGHT}"),
    })
}

async fn log_in(
    auth: Auth<Person>,
    name: web::Path<String>,
    password: String,
    passwords: web::Data<PasswordVerifier>,
) -> Result<HttpResponse, actix_web::Error> {
    let checked = passwords.verify(&auth, &name, person(&name), &password);
    Ok(match checked.await? {
        Some(user) => {
            auth.log_in(user).await?;
            HttpResponse::Ok().body("welcome")
        }
        None => HttpResponse::Forbidden().body("wrong name or password"),
    })
}

async fn log_out(auth: Auth<Person>) -> Result<HttpResponse, actix_web::Error> {
    auth.log_out().await?;
    Ok(HttpResponse::Ok().body("bye"))
}

async fn look_and_log_out(auth: Auth<Person>) -> Result<HttpResponse, actix_web::Error> {
    let _ = auth.current_user().await;
    log_out(auth).await
}

async fn code(auth: Auth<Person>, typed: String) -> Result<HttpResponse, actix_web::Error> {
    let check = async || Ok::<_, actix_web::Error>((typed == "123456").then_some(()));
    let right = attempt(&auth, "code of user 4711", "ada", check).await?;
    Ok(right
        .map_or_else(HttpResponse::Forbidden, |()| HttpResponse::Ok())
        .finish())
}

#[login_required]
async fn account(user: CurrentUser<Person>) -> String {
    user.name.clone()
}

#[login_required(role = "admin")]
async fn admin(user: CurrentUser<Person>) -> String {
    user.name.clone()
}

/// An application with passwords, on a login store that a test can take down.
struct Site<A> {
    app: A,
    store: Probe,
    recorded: Recorded,
}

fn verifier(check: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> PasswordVerifier {
    let passwords = PasswordVerifier::new().costs(8, 1, 1).unwrap();
    let check = move |password: &str, stored: &str| Ok::<_, String>(check(password, stored));
    passwords
        .foreign_hashes(|it| it.starts_with("$plain$"), "$plain$", check)
        .unwrap()
}

fn is_right(password: &str, stored: &str) -> bool {
    stored.strip_prefix("$plain$") == Some(password)
}

/// Call it after the recorder is in place.
async fn site(recorded: &Recorded, passwords: PasswordVerifier) -> Site<impl App + use<>> {
    let store = Probe::new(LoginsThere::Memory(Box::default()));
    let builder = LoginManager::builder(async |name: String| Ok::<_, String>(person(&name)))
        .login_store(store.clone())
        .throttle(Throttle::new().per_account_and_client(TryLimit::new(2)))
        .clock(TestClock::at(START));
    let manager = builder.build(key()).unwrap();
    let app = app(manager, move |routes| {
        routes
            .app_data(web::Data::new(passwords))
            .route("/login/{name}", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
            .route("/look-and-log-out", web::post().to(look_and_log_out))
            .route("/code", web::post().to(code))
            .route("/admin", web::get().to(admin))
            .route("/account", web::get().to(account));
    })
    .await;
    Site {
        app,
        store,
        recorded: recorded.clone(),
    }
}

impl<A: App> Site<A> {
    async fn log_in(&self, browser: &Browser<'_, A>, name: &str, password: &str) -> u16 {
        let asked = browser.post(&format!("/login/{name}"));
        asked.body(password.to_owned()).await.status()
    }

    #[track_caller]
    fn counted(&self, expected: &[&str]) {
        assert_eq!(self.recorded.counted(), expected);
    }

    /// The calls of the stores since the last time, but for those of every request with a session.
    #[track_caller]
    fn timed(&self, expected: &[&str]) {
        let mut lines = self.recorded.timed();
        lines
            .retain(|line| !line.contains("is_session_revoked") && !line.contains("check_session"));
        let lines: Vec<_> = lines
            .iter()
            .filter_map(|line| line.strip_prefix("login_store_seconds"))
            .collect();
        assert_eq!(lines, expected);
    }
}

fn is_down() -> StoreError {
    StoreError::new("the database is down")
}

#[actix_web::test]
async fn each_step_of_a_round_is_counted_once_by_what_happened() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let site = site(&recorded, verifier(is_right)).await;
    let browser = Browser::new(&site.app);
    site.counted(&[]);

    assert_eq!(browser.get("/account").await.status(), 401);
    site.counted(&["login_refusals_total{reason=anonymous} 1"]);
    site.timed(&[]);

    assert_eq!(site.log_in(&browser, "ada", "wrong").await, 403);
    site.counted(&["login_passwords_refused_total{reason=wrong password} 1"]);
    site.timed(&["{operation=claim,outcome=ok} 1"]);

    assert_eq!(site.log_in(&browser, "nobody", RIGHT).await, 403);
    site.counted(&["login_passwords_refused_total{reason=unknown user} 1"]);

    recorded.timed();
    assert_eq!(site.log_in(&browser, "ada", RIGHT).await, 200);
    site.counted(&["login_logins_total{method=password} 1"]);
    site.timed(&[
        "{operation=claim,outcome=ok} 1",
        "{operation=insert,outcome=ok} 1",
        "{operation=succeed,outcome=ok} 1",
    ]);

    assert_eq!(browser.get("/account").await.status(), 200);
    site.counted(&[]);
    site.timed(&["{operation=find_for_auth,outcome=ok} 1"]);

    assert_eq!(browser.get("/admin").await.status(), 403);
    site.counted(&["login_refusals_total{reason=forbidden} 1"]);

    let forged = browser
        .post("/logout")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(forged.await.status(), 403);
    site.counted(&["login_refusals_total{reason=cross_site} 1"]);

    recorded.timed();
    site.store.on(|_| async { Err(is_down()) });
    assert_eq!(browser.get("/account").await.status(), 503);
    site.counted(&["login_load_failures_total 1"]);
    site.timed(&["{operation=find_for_auth,outcome=error} 1"]);
    assert_eq!(browser.post("/logout").await.status(), 503);
    recorded.counted();
    site.store.off();

    assert_eq!(browser.post("/logout").await.status(), 200);
    site.counted(&["login_logouts_total 1"]);

    while site.log_in(&browser, "ada", "wrong").await == 403 {
        recorded.counted();
    }
    site.counted(&["login_throttled_total{purpose=password,by=account and client} 1"]);
    while browser.post("/code").body("000000").await.status() == 403 {
        site.counted(&["login_attempts_refused_total 1"]);
    }
    // The application chose this purpose, which is no label.
    site.counted(&["login_throttled_total{purpose=other,by=account and client} 1"]);
}

#[actix_web::test]
async fn the_time_of_a_store_that_does_not_answer_is_recorded_too() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let site = site(&recorded, verifier(is_right)).await;
    let browser = Browser::new(&site.app);
    assert_eq!(site.log_in(&browser, "ada", RIGHT).await, 200);
    recorded.counted();
    recorded.timed();
    time::pause();
    site.store.on(|moment| async move {
        // Other calls are not what this test is about.
        if moment.call != Call::IsBuried {
            pending::<()>().await;
        }
        Ok(())
    });

    // A guard polls the store by itself.
    assert_eq!(browser.get("/account").await.status(), 503);
    site.timed(&["{operation=find_for_auth,outcome=timeout} 1"]);
    site.counted(&["login_load_failures_total 1"]);
    // The second call of the request has no time left.
    assert_eq!(browser.post("/look-and-log-out").await.status(), 503);
    site.timed(&[
        "{operation=find_for_auth,outcome=not_asked} 1",
        "{operation=find_for_auth,outcome=timeout} 1",
    ]);
    // The client hangs up while the store thinks.
    let mut request = Box::pin(browser.get("/account").into_future());
    assert!((&mut request).now_or_never().is_none());
    site.timed(&[]);
    drop(request);
    site.timed(&["{operation=find_for_auth,outcome=cancelled} 1"]);
}

#[actix_web::test]
async fn a_store_without_room_is_told_apart_from_one_that_fails() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let full = MemoryLoginStore::with_capacity(1);
    let users = Users::new();
    let (builder, _) = manager_base(&users);
    let manager = builder.login_store(full).build(key()).unwrap();
    let app = app(manager, |routes| pages(routes, users)).await;
    let first = Browser::new(&app);
    assert_eq!(first.post("/login/1").await.status(), 303);
    recorded.timed();
    assert_eq!(Browser::new(&app).post("/login/2").await.status(), 503);
    let lines = recorded.timed();
    let full = "login_store_seconds{operation=insert,outcome=full} 1".to_owned();
    assert!(lines.contains(&full), "{lines:#?}");
}

/// A site whose next checks of passwords wait for the test.
async fn held_site(
    recorded: &Recorded,
    at_a_time: usize,
    max_wait: Duration,
) -> (Site<impl App + use<>>, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (release, released) = mpsc::channel();
    let (start, started) = mpsc::channel();
    let held = Mutex::new((start, released));
    let passwords = verifier(move |password, stored| {
        // The decoy is tried when the verifier is made.
        if password == RIGHT {
            let held = held.lock().unwrap();
            held.0.send(()).unwrap();
            held.1.recv().unwrap();
        }
        is_right(password, stored)
    });
    let passwords = passwords.at_most(at_a_time, max_wait);
    (site(recorded, passwords).await, release, started)
}

#[actix_web::test]
async fn gauges_show_the_checks_of_passwords_that_run_and_that_wait() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let (site, release, started) = held_site(&recorded, 1, 600 * MINUTE).await;
    let gauges = || {
        [PASSWORD_CHECKS_RUNNING, PASSWORD_CHECKS_WAITING]
            .map(|name| recorded.gauge(name).unwrap_or_default() as i64)
    };
    let browsers = [(); 3].map(|()| Browser::new(&site.app));
    let names = ["ada", "ben", "cy"];
    let log_in = |at: usize| Box::pin(site.log_in(&browsers[at], names[at], RIGHT));
    let mut first = log_in(0);
    assert!((&mut first).now_or_never().is_none());
    let started = actix_web::rt::task::spawn_blocking(move || {
        started.recv().unwrap();
        started
    });
    let started = started.await.unwrap();
    assert_eq!(gauges(), [1, 0]);
    let mut second = log_in(1);
    assert!((&mut second).now_or_never().is_none());
    let mut gone = log_in(2);
    assert!((&mut gone).now_or_never().is_none());
    assert_eq!(gauges(), [1, 2]);
    // Its client hangs up.
    drop(gone);
    assert_eq!(gauges(), [1, 1]);
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!((first.await, second.await), (200, 200));
    assert_eq!(gauges(), [0, 0]);
    let mut lines = recorded.timed();
    lines.retain(|line| line.starts_with("login_password"));
    assert_eq!(
        lines,
        [
            "login_password_check_seconds 2",
            "login_password_wait_seconds{outcome=cancelled} 1",
            "login_password_wait_seconds{outcome=ok} 2",
        ]
    );
    drop(started);
}

#[actix_web::test]
async fn a_check_of_a_password_that_is_not_made_is_counted_as_busy() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let (site, release, _started) = held_site(&recorded, 1, Duration::ZERO).await;
    let (ada, ben) = (Browser::new(&site.app), Browser::new(&site.app));
    let mut first = Box::pin(site.log_in(&ada, "ada", RIGHT));
    assert!((&mut first).now_or_never().is_none());
    assert_eq!(site.log_in(&ben, "ben", RIGHT).await, 503);
    site.counted(&["login_passwords_busy_total{reason=queue} 1"]);
    release.send(()).unwrap();
    assert_eq!(first.await, 200);
    site.counted(&["login_logins_total{method=password} 1"]);
    let lines = recorded.timed();
    let busy = "login_password_wait_seconds{outcome=busy} 1".to_owned();
    assert!(lines.contains(&busy), "{lines:#?}");
}

/// Every label that the crate gives, and the values that it may have.
const LABELS: &[(&str, &str, &[&str])] = &[
    // `form`, `confirmed` and `test` are reasons of `Verified::trust` in these tests.
    (
        "login_logins_total",
        "method",
        &["password", "remember", "form", "test"],
    ),
    ("login_logins_refused_total", "reason", LOG_INS),
    ("login_confirmations_refused_total", "reason", LOG_INS),
    ("login_refusals_total", "reason", REFUSALS),
    ("login_ended_total", "reason", ENDS),
    ("login_remember_cookies_refused_total", "reason", ENDS),
    ("login_other_clients_total", "mode", &["basic", "strong"]),
    ("login_passwords_refused_total", "reason", PASSWORDS),
    (
        "login_passwords_busy_total",
        "reason",
        &["queue", "threads", "memory"],
    ),
    ("login_throttled_total", "purpose", &["password", "other"]),
    (
        "login_throttled_total",
        "by",
        &["account and client", "account", "client"],
    ),
    ("login_store_seconds", "operation", OPERATIONS),
    ("login_store_seconds", "outcome", OUTCOMES),
    (
        "login_password_wait_seconds",
        "outcome",
        &["ok", "busy", "cancelled"],
    ),
];

const REFUSALS: &[&str] = &[
    "anonymous",
    "inactive",
    "forbidden",
    "stale",
    "asked",
    "same_site",
    "cross_site",
    "unknown_site",
    "other_origin",
    "null_origin",
    "unknown_origin",
];

const ENDS: &[&str] = &[
    "invalid",
    "user_gone",
    "inactive",
    "session_hash_changed",
    "ended",
    "idle",
    "expired",
    "replaced",
    "chosen",
    "others",
    "limit",
    "credentials_changed",
    "by_application",
];

const LOG_INS: &[&str] = &["inactive", "too_many_logins", "not_logged_in", "other_user"];

const PASSWORDS: &[&str] = &[
    "unknown user",
    "no password",
    "wrong password",
    "inactive",
    "malformed hash",
    "unknown pepper",
    "too dear",
    "foreign check failed",
];

const OPERATIONS: &[&str] = &[
    "insert",
    "find",
    "find_for_auth",
    "touch",
    "make_stale",
    "end",
    "end_many",
    "list",
    "insert_family",
    "end_oldest_families",
    "find_family",
    "update_family_if",
    "token_arrived",
    "purge",
    "revoke_session",
    "is_session_revoked",
    "check_session",
    "claim",
    "succeed",
    "give_back",
    "session_load",
    "session_save",
    "session_update",
    "session_update_ttl",
    "session_delete",
];

const OUTCOMES: &[&str] = &["ok", "full", "error", "timeout", "not_asked", "cancelled"];

/// Does everything that has an event, as users whose ids and names are unlike any label.
async fn all_that_happens(recorded: &Recorded) {
    let site = site(recorded, verifier(is_right)).await;
    let browser = Browser::new(&site.app);
    for name in ["user-4711", "nobody"] {
        for password in ["wrong", RIGHT, "wrong"] {
            site.log_in(&browser, name, password).await;
        }
    }
    for path in ["/account", "/admin"] {
        browser.get(path).await;
    }
    for _ in 0..4 {
        browser.post("/code").body("000000").await;
    }
    for protection in [SessionProtection::Basic, SessionProtection::Strong] {
        let users = Users::new();
        users.put(User::new(4711, "user-4711"));
        let (builder, clock) = manager_base(&users);
        let store = Probe::new(LoginsThere::Memory(Box::default()));
        let manager = builder
            .login_store(store.clone())
            .session_protection(protection)
            .build(key())
            .unwrap();
        let logins = manager.logins().unwrap();
        let app = app(manager, |routes| pages(routes, users.clone())).await;
        everyday_life(&app, &users, &clock, &logins, &store).await;
    }
}

async fn everyday_life(
    app: &impl App,
    users: &Users,
    clock: &TestClock,
    logins: &Logins,
    store: &Probe,
) {
    let browser = Browser::new(app);
    let phone = Browser::new(app);
    for path in ["/account", "/unauthorized", "/needs-refresh"] {
        browser.get(path).await;
    }
    for site in ["cross-site", "same-site", "user-4711"] {
        let forged = browser.post("/login/4711").header("sec-fetch-site", site);
        assert_eq!(forged.await.status(), 403);
    }
    for origin in ["https://user-4711.test", "null", "user-4711"] {
        let forged = browser.post("/login/4711").header("origin", origin);
        assert_eq!(forged.await.status(), 403);
    }
    browser.post("/login/3").await;
    for path in [
        "/login/4711?remember=true&stale=true",
        "/confirm/4711",
        "/logout",
        "/login/4711?remember=true",
    ] {
        browser.post(path).await;
    }
    phone.post("/login/4711").await;
    browser.post("/end-others").await;
    browser.get("/logins").await;
    phone.get("/who").await;
    phone.post("/login/4711?stale=true").await;
    phone.get("/settings").await;
    logins.end_all_of::<User>(&4711).await.unwrap();
    logins.purge(10).await.unwrap();
    phone.get("/who").await;
    browser.post("/login/4711?remember=true").await;
    browser.post("/change/current").await;
    browser.post("/login/4711?remember=true").await;
    for _ in 0..3 {
        clock.advance(DAY);
        let thief = browser.copy();
        browser.drop_cookie(SESSION);
        browser.get("/who").await;
        thief.get("/who").await;
    }
    clock.advance(HOUR);
    browser.set_cookie(REMEMBER, "forged");
    browser.drop_cookie(SESSION);
    browser.get("/who").await;
    browser.post("/login/4711").await;
    browser.set_user_agent("somebody else/1");
    browser.get("/account").await;
    browser.post("/login/4711").await;
    clock.advance(HOUR * 2);
    browser.get("/account").await;
    browser.post("/login/4711").await;
    users.change(4711, |user| user.hash.push('!'));
    browser.get("/account").await;
    browser.post("/login/4711").await;
    users.change(4711, |user| user.is_active = false);
    browser.get("/account").await;
    users.put(User::new(4711, "user-4711"));
    browser.post("/login/4711").await;
    users.delete(4711);
    browser.get("/account").await;
    users.put(User::new(4711, "user-4711"));
    browser.post("/login/4711").await;
    browser.post("/confirm/1").await;
    Browser::new(app).post("/confirm/1").await;
    let key = logins.of::<User>(&4711).await.unwrap()[0].key;
    browser.post(&format!("/end/{key}")).await;
    for _ in 0..60 {
        Browser::new(app).post("/login/1").await;
    }
    browser.post("/login/4711").await;
    store.on(|_| async { Err(StoreError::new("user-4711 is down")) });
    browser.get("/account").await;
    browser.post("/logout").await;
    browser.post("/login/4711").await;
    store.off();
}

#[actix_web::test]
async fn every_label_has_a_value_of_a_fixed_set_and_none_names_a_user_or_a_path() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    all_that_happens(&recorded).await;
    let mut labels = recorded.labels();
    assert!(labels.len() > 40, "{labels:#?}");
    labels.retain(|(metric, label, value)| {
        let known = LABELS
            .iter()
            .find(|known| (known.0, known.1) == (metric, label));
        !known.is_some_and(|(_, _, values)| values.contains(&value.as_str()))
    });
    assert_eq!(labels, BTreeSet::new());
}

/// The page of the guide.
fn guide() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join("login-runtime/src/guide/metrics.md")).unwrap()
}

#[actix_web::test]
async fn each_metric_is_described_once_with_its_unit_and_is_in_the_guide() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let (builder, _) = manager_base(&Users::new());
    builder.session_only().build(key()).unwrap();
    let descriptions = recorded.descriptions();
    // For an application whose recorder came later.
    describe();
    assert_eq!(
        recorded.descriptions(),
        [&*descriptions, &*descriptions].concat()
    );
    let names: BTreeSet<_> = descriptions.iter().map(|it| it.0.clone()).collect();
    assert_eq!(names.len(), descriptions.len(), "{descriptions:#?}");
    let guide = guide();
    for (name, unit, text) in &descriptions {
        let expected = if name.ends_with("_seconds") {
            Unit::Seconds
        } else {
            Unit::Count
        };
        assert_eq!(*unit, Some(expected), "{name}");
        assert!(text.len() > 5 && !text.ends_with('.'), "{text}");
        assert!(
            guide.contains(&format!("| `{name}` |")),
            "{name} is missing in the guide"
        );
    }
    for (metric, label, values) in LABELS {
        let mut lines = guide.lines();
        let row = lines.find(|line| line.starts_with(&format!("| `{metric}` |")));
        let row = row.unwrap();
        assert!(row.contains(&format!("`{label}`")), "{row}");
        let missing = |value: &&&str| !guide.contains(&format!("`{value}`"));
        let missing: Vec<_> = values.iter().filter(missing).collect();
        let of_tests = ["form", "test"];
        let missing: Vec<_> = missing
            .iter()
            .filter(|it| !of_tests.contains(**it))
            .collect();
        assert!(missing.is_empty(), "{metric} {label} {missing:?}");
    }
    // Nothing is recorded without a description.
    all_that_happens(&recorded).await;
    let undescribed: Vec<_> = recorded.names().difference(&names).cloned().collect();
    assert_eq!(undescribed, [""; 0]);
}

#[actix_web::test]
async fn what_a_subscriber_causes_is_counted_although_no_subscriber_hears_of_it() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let users = Users::new();
    let (builder, _) = manager_base(&users);
    let builder = builder
        .login_store(MemoryLoginStore::new())
        .on_event(|event, request| {
            if event.name() == "logged_out" {
                let auth = Auth::<User>::extract(request).now_or_never();
                let auth = auth.unwrap().unwrap();
                auth.unauthorized().now_or_never().unwrap();
            }
        });
    let (builder, events) = Events::of(builder);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users);
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    recorded.counted();
    events.take();
    browser.post("/logout").await;
    assert_eq!(events.take_but_accessed(), ["logged_out ada"]);
    assert_eq!(
        recorded.counted(),
        [
            "login_logouts_total 1",
            "login_refusals_total{reason=asked} 1"
        ]
    );
}

#[actix_web::test]
async fn logins_that_users_and_administrators_end_are_counted_by_their_number() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    let users = Users::new();
    let (builder, _) = manager_base(&users);
    // Clients are looked up because a subscriber listens.
    let builder = builder
        .login_store(MemoryLoginStore::new())
        .on_event(|_, _| {});
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = app(manager, |routes| pages(routes, users)).await;
    let browsers = [(); 3].map(|()| Browser::new(&app));
    for browser in &browsers {
        browser.post("/login/1").await;
    }
    let expected = [
        "login_logins_total{method=form} 3",
        "login_new_clients_total 1",
    ];
    assert_eq!(recorded.counted(), expected);
    assert_eq!(browsers[0].post("/end-others").await.text(), "2");
    assert_eq!(recorded.counted(), ["login_ended_total{reason=others} 2"]);
    browsers[1].post("/login/1").await;
    recorded.counted();
    assert_eq!(logins.end_all_of::<User>(&1).await.unwrap(), 2);
    let expected = ["login_ended_total{reason=by_application} 2"];
    assert_eq!(recorded.counted(), expected);
}

#[actix_web::test]
async fn a_session_store_on_the_server_is_measured_and_one_in_the_cookie_is_not() {
    let recorded = Recorded::default();
    let _guard = set_default_local_recorder(&recorded);
    for (place, expected) in [(Place::COOKIE, false), (Place::MEMORY, true)] {
        let world = World::open(place, Options::default()).await;
        recorded.timed();
        let browser = world.logged_in(1).await;
        browser.get("/account").await;
        browser.post("/logout").await;
        let mut lines = recorded.timed();
        lines.retain(|line| line.contains("operation=session"));
        let of_call = |call: &str| format!("login_store_seconds{{operation={call},outcome=ok}}");
        let seen = ["session_save", "session_load", "session_delete"]
            .map(|call| lines.iter().any(|line| line.starts_with(&of_call(call))));
        assert_eq!(seen, [expected; 3], "{lines:#?}");
    }
}
