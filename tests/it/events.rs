//! What subscribers and the log are told, and what they are not.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write as _},
    sync::{Arc, LazyLock, Mutex},
};

use actix_web::{HttpRequest, HttpResponse, web};
use login_runtime::{
    Auth, CurrentUser, LoadError, LoginError, MaybeUser, MemoryLoginStore, Verified,
    config::{LoginManagerBuilder, SessionProtection},
    events::LoginEvent,
    logins::AuthMethod,
    test::Browser,
};
use login_tests::{
    Admin, START, User, Users, app, key, load_admin, manager, manager_base, record_logins,
};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, Interest, set_default},
};

use crate::world::{DAY, Events, HOUR, MINUTE, REMEMBER, SESSION, pages, site};

/// Has requests with an API key bring their user along.
fn with_api_keys(builder: LoginManagerBuilder, users: &Users) -> LoginManagerBuilder {
    let users = users.clone();
    builder.request_loader(move |request: &HttpRequest| {
        let id = request.headers().get("x-api-key");
        let user = id.and_then(|id| users.get(id.to_str().ok()?.parse().ok()?));
        async move { Ok::<_, String>(user) }
    })
}

#[actix_web::test]
async fn everything_that_happens_to_a_login_is_reported_once_with_its_user() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let builder = with_api_keys(builder, &users)
        .user_loader(load_admin)
        .session_protection(SessionProtection::Strong);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;

    let browser = Browser::new(&app);
    let happened = |expected: &[&str]| assert_eq!(events.take(), expected);
    browser.get("/").await;
    happened(&[]);
    browser.get("/who").await;
    happened(&["accessed"]);
    browser.get("/account").await;
    happened(&["accessed", "unauthorized Anonymous"]);
    browser.post("/login/3").await;
    happened(&["log_in_refused cy"]);
    browser.post("/login/1").await;
    happened(&["logged_in ada"]);
    browser.post("/login/1?remember=true&stale=true").await;
    happened(&["login_ended Replaced", "logged_in ada remembered"]);
    browser.get("/settings").await;
    happened(&["accessed", "needs_refresh Stale"]);
    browser.post("/confirm/2").await;
    happened(&["accessed", "confirmation_refused ben"]);
    browser.post("/confirm/1").await;
    happened(&["accessed", "login_confirmed ada"]);
    browser.post("/logout").await;
    happened(&["accessed", "logged_out ada"]);
    browser.post("/logout").await;
    happened(&["accessed", "logged_out"]);

    browser.get("/account").header("x-api-key", "2").await;
    happened(&["accessed", "loaded_from_request ben"]);

    browser.post("/login/2?remember=true").await;
    browser.drop_cookie(SESSION);
    events.take();
    browser.get("/account").await;
    happened(&["accessed", "loaded_from_cookie ben"]);
    users.change(2, |user| user.is_active = false);
    browser.get("/account").await;
    happened(&["accessed", "unauthorized Inactive"]);
    browser.drop_cookie(SESSION);
    browser.get("/who").await;
    happened(&["accessed", "remember_cookie_refused Inactive"]);

    for (how, expected) in [
        (0, "login_ended UserGone"),
        (1, "login_ended SessionHashChanged"),
    ] {
        users.put(User::new(1, "ada"));
        browser.post("/login/1").await;
        events.take();
        match how {
            0 => users.delete(1),
            _ => users.change(1, |user| user.hash.push('!')),
        }
        browser.get("/who").await;
        happened(&["accessed", expected]);
        browser.get("/who").await;
        happened(&["accessed"]);
    }
    users.put(User::new(1, "ada"));
    browser.post("/login/1?for=60").await;
    browser.set_user_agent("test/2");
    events.take();
    browser.get("/who").await;
    happened(&["accessed", "session_protected Strong"]);
    browser.post("/login/1?for=3600").await;
    browser.drop_cookie(SESSION);
    clock.advance(HOUR);
    events.take();
    browser.get("/who").await;
    happened(&["accessed", "remember_cookie_refused Invalid"]);
    browser.post("/login/1").await;
    events.take();
    users.set_down(true);
    browser.get("/account").await;
    happened(&["accessed", "load_failed"]);
    users.set_down(false);

    browser.log_in(Admin::new("root")).await;
    happened(&["logged_in root"]);
}

#[actix_web::test]
async fn the_end_of_a_login_record_says_why() {
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let builder = builder.login_store(MemoryLoginStore::new());
    let (builder, events) = Events::of(builder);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    clock.advance(HOUR);
    events.take();
    browser.get("/who").await;
    assert_eq!(events.take_but_accessed(), ["login_ended Idle"]);
    // From another device, by the user.
    let phone = Browser::new(&app);
    phone.post("/login/1").await;
    browser.post("/login/1").await;
    events.take();
    assert_eq!(phone.post("/end-others").await.text(), "1");
    assert_eq!(events.take_but_accessed(), ["logins_ended ada"]);
    browser.get("/who").await;
    assert_eq!(events.take_but_accessed(), ["login_ended Ended"]);
    // Used all the time, and over all the same after twelve hours.
    browser.post("/login/1").await;
    events.take();
    for _ in 0..29 {
        assert_eq!(events.take_but_accessed(), [""; 0]);
        clock.advance(25 * MINUTE);
        browser.get("/who").await;
    }
    assert_eq!(events.take_but_accessed(), ["login_ended Ended"]);

    // A token that its browser gave up gives the thief away.
    browser.post("/login/1?remember=true").await;
    browser.drop_cookie(SESSION);
    let thief = browser.copy();
    for _ in 0..3 {
        clock.advance(DAY);
        browser.drop_cookie(SESSION);
        browser.get("/who").await;
    }
    clock.advance(HOUR);
    events.take();
    thief.get("/who").await;
    assert_eq!(events.take_but_accessed(), ["remember_token_reused"]);
}

#[actix_web::test]
async fn an_event_tells_more_than_its_name() {
    type Seen = Arc<Mutex<Vec<String>>>;
    let users = Users::new();
    let seen = Seen::default();
    let see = Arc::clone(&seen);
    let (builder, _) = manager(&users);
    let builder = builder
        .user_loader(load_admin)
        .on_event(move |event, request| {
            let mut words = format!("{} {}", request.path(), event.name());
            if let Some(user) = event.user() {
                write!(words, " {:?}{}", user.user_type(), user.id()).unwrap();
                let kinds = (user.get::<User>().is_some(), user.get::<Admin>().is_some());
                write!(words, " {kinds:?}").unwrap();
            }
            match event {
                LoginEvent::LoggedIn {
                    method: AuthMethod::Trusted(reason),
                    remembered,
                    ..
                } => write!(words, " {reason} {remembered}").unwrap(),
                LoginEvent::LoadFailed { error } => write!(words, " {error}").unwrap(),
                _ => {}
            }
            see.lock().unwrap().push(words);
        });
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.log_in(Admin::new("root")).await;
    users.set_down(true);
    browser.get("/who").await;
    assert_eq!(
        *seen.lock().unwrap(),
        [
            r#"/login/1 logged_in "User"1 (true, false) form true"#,
            r#"/.login-runtime/test/log-in logged_in "admin""root" (false, true) test false"#,
            "/who accessed",
            "/who load_failed the user could not be loaded",
        ]
    );
}

/// One line of the log.
#[derive(Clone, Debug)]
struct Line {
    level: Level,
    target: String,
    fields: BTreeMap<String, String>,
}

/// Keeps what is logged on this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

/// With a single subscriber about, `tracing` asks the thread that first comes to a place whether
/// anybody listens there, and tells all others the same. With these there are more.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(Log::default())));

impl Log {
    /// Starts to keep what is logged, until the guard is dropped.
    pub(crate) fn start() -> (Self, DefaultGuard) {
        LazyLock::force(&OTHERS);
        let log = Self::default();
        let guard = set_default(log.clone());
        (log, guard)
    }

    /// Everything that was logged, whoever did.
    pub(crate) fn text(&self) -> String {
        format!("{:#?}", self.0.lock().unwrap())
    }

    fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// What the toolkit logged: the level and the fields of each line.
    pub(crate) fn take_fields(&self) -> Vec<(Level, BTreeMap<String, String>)> {
        let lines = self.take().into_iter();
        let ours = lines.filter(|line| line.target == "login");
        ours.map(|line| (line.level, line.fields)).collect()
    }

    /// What the toolkit logged, each line in one text.
    pub(crate) fn take_ours(&self) -> Vec<String> {
        let lines = self.take().into_iter();
        let ours = lines.filter(|line| line.target == "login");
        ours.map(|line| {
            let fields: Vec<_> = line
                .fields
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{} {}", line.level, fields.join(" "))
        })
        .collect()
    }
}

impl Subscriber for Log {
    // Not "always", which would make other threads' requests believe that somebody listens.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Fields(BTreeMap<String, String>);
        impl Visit for Fields {
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.insert(field.name().to_owned(), value.to_owned());
            }
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.insert(field.name().to_owned(), format!("{value:?}"));
            }
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(Line {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            fields: fields.0,
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The lines without the client, which each of them names.
fn without_client(lines: Vec<String>) -> Vec<String> {
    let client = |field: &&str| field.starts_with("address=") || field.starts_with("user_agent=");
    let lines = lines.into_iter().map(|line| {
        let fields = line.split(' ');
        assert_eq!(fields.clone().filter(client).count(), 2, "{line}");
        let fields: Vec<_> = fields.filter(|field| !client(field)).collect();
        fields.join(" ")
    });
    lines.collect()
}

#[actix_web::test]
async fn the_log_has_a_line_for_each_event_with_its_fields() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = with_api_keys(builder, &users)
        .user_loader(load_admin)
        .refresh_view("/refresh");
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    log.take();
    let logged = |expected: &[&str]| assert_eq!(without_client(log.take_ours()), expected);

    browser.get("/").await;
    logged(&[]);
    browser.get("/account").await;
    logged(&[
        "TRACE event=accessed",
        "INFO event=unauthorized reason=anonymous",
    ]);
    browser.post("/login/3").await;
    logged(&["WARN event=log_in_refused reason=inactive user=3 user_type=User"]);
    browser.post("/login/1?remember=true&stale=true").await;
    logged(&["INFO event=logged_in reason=form remembered=true user=1 user_type=User"]);
    browser.get("/settings").await;
    logged(&[
        "TRACE event=accessed",
        "INFO event=needs_refresh reason=stale user=1 user_type=User",
    ]);
    browser.post("/confirm/1").await;
    logged(&[
        "TRACE event=accessed",
        "INFO event=login_confirmed user=1 user_type=User",
    ]);
    browser.set_user_agent("test/2");
    browser.get("/account").await;
    logged(&[
        "TRACE event=accessed",
        "WARN event=session_protected reason=Basic user=1 user_type=User",
    ]);
    browser.drop_cookie(SESSION);
    browser.get("/account").await;
    logged(&[
        "TRACE event=accessed",
        "INFO event=loaded_from_cookie user=1 user_type=User",
    ]);
    browser.post("/logout").await;
    logged(&[
        "TRACE event=accessed",
        "INFO event=logged_out user=1 user_type=User",
    ]);
    browser.post("/logout").await;
    logged(&[
        "TRACE event=accessed",
        "INFO event=logged_out user_type=User",
    ]);
    browser.get("/account").header("x-api-key", "2").await;
    logged(&[
        "TRACE event=accessed",
        "TRACE event=loaded_from_request user=2 user_type=User",
    ]);
    browser.log_in(Admin::new("root")).await;
    logged(&[r#"INFO event=logged_in reason=test remembered=false user="root" user_type=admin"#]);
    browser.set_cookie(REMEMBER, "forged");
    browser.get("/who").await;
    logged(&[
        "TRACE event=accessed",
        "WARN event=remember_cookie_refused reason=invalid user_type=User",
    ]);
    browser.post("/login/2").await;
    log.take();
    users.change(2, |user| user.hash.push('!'));
    browser.get("/who").await;
    logged(&[
        "TRACE event=accessed",
        "WARN event=login_ended reason=session_hash_changed user=2 user_type=User",
    ]);
    browser.post("/login/2").await;
    log.take();
    users.set_down(true);
    browser.get("/who").await;
    logged(&[
        "TRACE event=accessed",
        "ERROR event=load_failed reason=the database is down",
    ]);
}

#[actix_web::test]
async fn no_secret_gets_into_the_log() {
    const HASH: &str = "hash-that-nobody-should-read";
    let (log, _guard) = Log::start();
    for with_store in [false, true] {
        let users = Users::new();
        users.change(1, |user| user.hash = HASH.to_owned());
        let (builder, clock) = manager_base(&users);
        let builder = with_api_keys(builder, &users);
        let builder = record_logins(builder, with_store.then(MemoryLoginStore::new));
        // What subscribers write down with `{:?}` counts as well.
        let printed = Arc::new(Mutex::new(String::new()));
        let print = Arc::clone(&printed);
        let builder =
            builder.on_event(move |event, _| *print.lock().unwrap() += &format!("{event:?}\n"));
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        let mut secrets = vec![HASH.to_owned(), "key-nobody-should-read".to_owned()];
        let mut note = || {
            for name in browser.cookie_names() {
                let value = browser.cookie(&name).unwrap();
                secrets.extend(value.split('.').map(str::to_owned));
                secrets.push(value);
            }
        };
        browser.post("/login/1?remember=true").await;
        note();
        browser.get("/account").await;
        browser.post("/confirm/1").await;
        note();
        browser.set_user_agent("test/2");
        browser.get("/settings").await;
        note();
        browser.drop_cookie(SESSION);
        clock.advance(DAY);
        browser.get("/account").await;
        note();
        users.change(1, |user| user.hash.push('!'));
        browser.get("/account").await;
        let ask = browser.get("/account");
        ask.header("x-api-key", "key-nobody-should-read").await;
        browser.set_cookie(SESSION, "session-nobody-made");
        browser.set_cookie(REMEMBER, "token-nobody-made");
        secrets.push("session-nobody-made".to_owned());
        secrets.push("token-nobody-made".to_owned());
        browser.get("/account").await;
        browser.post("/login/1?remember=true").await;
        browser.post("/logout").await;

        let mut text = printed.lock().unwrap().clone();
        assert!(text.lines().count() > 12, "{text}");
        let lines = log.take();
        assert!(lines.len() > 12, "{lines:?}");
        for line in lines {
            writeln!(text, "{line:?}").unwrap();
        }
        assert!(secrets.len() > 8, "{secrets:?}");
        for secret in secrets.iter().filter(|secret| secret.len() > 3) {
            assert!(!text.contains(&**secret), "{secret} is in\n{text}");
        }
    }
}

#[actix_web::test]
async fn nothing_that_can_be_printed_prints_a_secret() {
    async fn print(
        auth: Auth<User>,
        current: CurrentUser<User>,
        maybe: MaybeUser<User>,
        users: web::Data<Users>,
    ) -> Result<HttpResponse, LoginError> {
        let mut text = format!("{auth:?}\n{current:?}\n{maybe:?}\n");
        let verified = || Verified::trust(users.get(1).unwrap(), "test");
        writeln!(text, "{:?}", verified()).unwrap();
        let log_in = auth.log_in(verified()).remember(true);
        writeln!(text, "{log_in:?}").unwrap();
        writeln!(text, "{:?}", log_in.await?).unwrap();
        writeln!(text, "{:?}", auth.confirm_login(verified()).await?).unwrap();
        let refusal = auth.unauthorized().await;
        writeln!(text, "{refusal:?} {refusal}").unwrap();
        let ben = Verified::trust(users.get(2).unwrap(), "test");
        let error = auth.confirm_login(ben).await.unwrap_err();
        writeln!(text, "{error:?} {error}").unwrap();
        Ok(HttpResponse::Ok().body(text))
    }
    let secret = "hash-that-nobody-should-read";
    let users = Users::new();
    users.change(1, |user| user.hash = secret.to_owned());
    let (builder, _) = manager_base(&users);
    let builder = with_api_keys(builder, &users).login_store(MemoryLoginStore::new());
    let mut text = format!("{builder:?}\n");
    let manager = builder.build(key()).unwrap();
    writeln!(text, "{manager:?}").unwrap();
    let app = app(manager, |routes| {
        pages(routes, users.clone());
        routes.route("/print", web::post().to(print));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let mut secrets = vec![secret.to_owned()];
    let mut note = || {
        for name in browser.cookie_names() {
            let value = browser.cookie(&name).unwrap();
            secrets.extend(value.split('.').map(str::to_owned));
        }
    };
    note();
    let answer = browser.post("/print").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    text.push_str(&answer.text());
    note();
    writeln!(text, "{browser:?}").unwrap();
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        assert!(!text.contains(&**secret), "{secret} is in\n{text}");
    }
    let start_of_key = format!("{:?}", &key().master()[..4]);
    let start_of_key = start_of_key.trim_matches(['[', ']']);
    assert!(!text.contains(start_of_key), "{text}");
    assert!(text.contains("Trusted(\"test\")"), "{text}");
    assert!(text.contains(&START.to_string()), "{text}");
}

#[actix_web::test]
async fn a_failing_loader_tells_the_log_why_and_the_client_nothing() {
    async fn ask(auth: Auth<User>) -> Result<String, LoadError> {
        auth.current_user().await?;
        Ok("never".to_owned())
    }
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/ask", web::get().to(ask));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    users.set_down(true);
    for page in ["/who", "/account", "/settings", "/ask"] {
        log.take();
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 503, "{page}");
        assert!(!answer.text().contains("database"), "{}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            without_client(log.take_ours())
                .contains(&"ERROR event=load_failed reason=the database is down".to_owned()),
            "{page}"
        );
    }
    users.set_down(false);
    browser.get("/account").await.assert_page_shown();
}
