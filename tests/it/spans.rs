//! The user of a request on the root span of `tracing-actix-web`, and spans around what a request waits for.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard},
};

use actix_web::{
    App, Error, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Compat,
    test::init_service,
    web,
};
use login_runtime::{
    Auth, AuthUser, LoginManager, MemoryLoginStore,
    config::LoginManagerBuilder,
    events::LoginEvent,
    password::PasswordVerifier,
    spans::{LOGIN_HASH, LoginRootSpan, USER_ID, USER_TYPE},
    store::StoreError,
    test::Browser,
};
use login_tests::{Admin, User, Users, key, load_admin, manager_base};
use tracing::{
    Event, Metadata, Span, Subscriber,
    field::{Empty, Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, Interest, set_default},
};
use tracing_actix_web::{DefaultRootSpanBuilder, RootSpanBuilder, TracingLogger, root_span};
use tracing_core::span::Current;

use crate::{
    events::Log,
    world::{App as Service, LoginsThere, Probe, SESSION, admin_pages, pages},
};

/// A span, as a subscriber is told of it.
#[derive(Clone, Debug)]
struct Seen {
    metadata: &'static Metadata<'static>,
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Seen {
    /// One of the fields that the toolkit records.
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The user, the user type, and whether there is the name of a login.
    fn user(&self) -> [Option<&str>; 2] {
        [self.field(USER_ID), self.field(USER_TYPE)]
    }
}

/// The spans that were made on this thread; clones share them.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// The spans that are entered, the innermost last.
    entered: Vec<usize>,
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Spans {
    fn start() -> (Self, [DefaultGuard; 2]) {
        // Others listen too, so that `tracing` asks this subscriber itself about each span.
        let (_, others) = Log::start();
        let spans = Self::default();
        let guard = set_default(spans.clone());
        (spans, [guard, others])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Takes the spans since the last call.
    fn take(&self) -> Vec<Seen> {
        let mut state = self.state();
        assert_eq!(state.entered, [0; 0], "a request is still running");
        std::mem::take(&mut state.seen)
    }

    /// Takes the spans since the last call, and returns the root span of the only request.
    fn root(&self) -> Seen {
        let mut roots = self.take();
        roots.retain(|seen| seen.parent.is_none());
        assert_eq!(roots.len(), 1, "{roots:#?}");
        roots.remove(0)
    }
}

fn id(index: usize) -> Id {
    Id::from_u64(index as u64 + 1)
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).unwrap() - 1
}

impl Subscriber for Spans {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut state = self.state();
        let parent = state.entered.last().map(|at| state.seen[*at].name);
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        state.seen.push(Seen {
            metadata: attributes.metadata(),
            name: attributes.metadata().name(),
            parent,
            fields,
        });
        id(state.seen.len() - 1)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.state().seen[index(id)].fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn current_span(&self) -> Current {
        let state = self.state();
        let Some(at) = state.entered.last() else {
            return Current::none();
        };
        Current::new(id(*at), state.seen[*at].metadata)
    }

    fn enter(&self, id: &Id) {
        self.state().entered.push(index(id));
    }

    fn exit(&self, id: &Id) {
        let left = self.state().entered.pop();
        assert_eq!(left, Some(index(id)));
    }
}

/// An application with a root span of this kind.
async fn site<R: RootSpanBuilder + 'static>(
    builder: LoginManagerBuilder,
    users: &Users,
) -> impl Service + use<R> {
    let manager = builder.build(key()).unwrap();
    let users = users.clone();
    let app = App::new()
        .wrap(Compat::new(manager))
        .wrap(Compat::new(TracingLogger::<R>::new()))
        .configure(|routes| pages(routes, users))
        .service(admin_pages());
    init_service(app).await
}

fn with_store(users: &Users) -> LoginManagerBuilder {
    let (builder, _) = manager_base(users);
    builder.login_store(MemoryLoginStore::new())
}

#[actix_web::test]
async fn a_protected_page_has_its_user_and_the_name_of_the_login_on_its_root_span() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let name = Arc::new(Mutex::new(None));
    let of_login = Arc::clone(&name);
    let builder = with_store(&users).on_event(move |event, _| {
        if let LoginEvent::LoggedIn { .. } = event {
            *of_login.lock().unwrap() = event.login().map(|hash| hash.to_string());
        }
    });
    let app = site::<LoginRootSpan>(builder, &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/2").await;
    let name = name.lock().unwrap().clone();
    assert!(name.is_some());
    for (path, status) in [("/account", 200), ("/me", 200), ("/settings", 200)] {
        spans.take();
        assert_eq!(browser.get(path).await.status(), status);
        let root = spans.root();
        assert_eq!(root.user(), [Some("2"), Some("User")], "{path}");
        assert_eq!(root.field(LOGIN_HASH), name.as_deref(), "{path}");
    }
}

#[actix_web::test]
async fn an_anonymous_client_and_a_page_that_asks_for_no_user_have_none_of_the_fields() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let app = site::<LoginRootSpan>(with_store(&users), &users).await;
    let (known, unknown) = (Browser::new(&app), Browser::new(&app));
    known.post("/login/2").await;
    spans.take();
    for (browser, path) in [
        (&known, "/"),
        (&unknown, "/"),
        (&unknown, "/me"),
        (&unknown, "/account"),
    ] {
        browser.get(path).await;
        let root = spans.root();
        assert_eq!(root.user(), [None, None], "{path}");
        assert_eq!(root.field(LOGIN_HASH), None, "{path}");
    }
}

struct OnlyTheLogin;

impl RootSpanBuilder for OnlyTheLogin {
    fn on_request_start(request: &ServiceRequest) -> Span {
        root_span!(request, login.hash = Empty)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        DefaultRootSpanBuilder::on_request_end(span, outcome);
    }
}

#[actix_web::test]
async fn a_root_span_gets_only_the_fields_that_the_application_declares() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    users.put(User::new(4711, "ada"));
    let app = site::<DefaultRootSpanBuilder>(with_store(&users), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/4711").await;
    spans.take();
    browser.get("/account").await;
    let all = spans.take();
    assert!(all.len() > 1, "{all:#?}");
    assert!(!format!("{all:?}").contains("4711"), "{all:#?}");
    assert!(
        all.iter().all(|seen| seen.field(LOGIN_HASH).is_none()),
        "{all:#?}"
    );

    let app = site::<OnlyTheLogin>(with_store(&users), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/4711").await;
    spans.take();
    browser.get("/account").await;
    let root = spans.root();
    assert_eq!(root.user(), [None, None]);
    assert_eq!(root.field(LOGIN_HASH).map(str::len), Some(16));
}

#[actix_web::test]
async fn a_log_in_records_its_user_and_a_log_out_leaves_who_made_the_request() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let app = site::<LoginRootSpan>(with_store(&users), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login/1").await.status(), 303);
    let first = spans.root();
    assert_eq!(first.user(), [Some("1"), Some("User")]);
    assert_eq!(first.field(LOGIN_HASH).map(str::len), Some(16));
    // Another user in the same browser.
    assert_eq!(browser.post("/login/2").await.status(), 303);
    let second = spans.root();
    assert_eq!(second.user(), [Some("2"), Some("User")]);
    assert_ne!(second.field(LOGIN_HASH), first.field(LOGIN_HASH));
    assert_eq!(browser.post("/confirm/2").await.status(), 200);
    let confirmed = spans.root();
    assert_eq!(confirmed.field(LOGIN_HASH), second.field(LOGIN_HASH));
    assert_eq!(browser.post("/logout").await.status(), 303);
    let last = spans.root();
    assert_eq!(last.user(), [Some("2"), Some("User")]);
    assert_eq!(last.field(LOGIN_HASH), second.field(LOGIN_HASH));
    browser.get("/account").await;
    assert_eq!(spans.root().user(), [None, None]);
}

#[actix_web::test]
async fn an_id_that_is_a_text_is_recorded_as_it_is_with_the_realm_of_its_type() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let builder = with_store(&users).user_loader(load_admin).realm("shop");
    let app = site::<LoginRootSpan>(builder, &users).await;
    let browser = Browser::new(&app);
    let name = "o\"neill";
    assert_eq!(browser.post("/admin/login/o%22neill").await.status(), 200);
    assert_eq!(spans.root().user(), [Some(name), Some("shop/admin")]);
    assert_eq!(browser.get("/admin/page").await.status(), 200);
    assert_eq!(spans.root().user(), [Some(name), Some("shop/admin")]);
    browser.log_in(Admin::new("root")).await;
    assert_eq!(spans.root().user(), [Some("root"), Some("shop/admin")]);
}

#[actix_web::test]
async fn a_user_whom_guards_do_not_let_through_is_not_recorded() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let app = site::<LoginRootSpan>(with_store(&users), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login/3").await.status(), 403);
    assert_eq!(spans.root().user(), [None, None]);
    browser.post("/login/1").await;
    users.change(1, |user| user.is_active = false);
    spans.take();
    browser.get("/account").await;
    assert_eq!(spans.root().user(), [None, None]);
}

#[actix_web::test]
async fn a_restored_login_and_a_request_with_a_key_are_recorded_and_the_key_has_no_login() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let of_key = users.clone();
    let builder = with_store(&users).request_loader(move |request: &HttpRequest| {
        let has_key = request.headers().contains_key("x-api-key");
        let user = of_key.get(2).filter(|_| has_key);
        async move { Ok::<_, String>(user) }
    });
    let app = site::<LoginRootSpan>(builder, &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let login = spans.root();
    browser.drop_cookie(SESSION);
    browser.get("/account").await;
    let restored = spans.root();
    assert_eq!(restored.user(), [Some("1"), Some("User")]);
    assert_eq!(restored.field(LOGIN_HASH), login.field(LOGIN_HASH));
    let program = Browser::new(&app);
    program.get("/account").header("x-api-key", "secret").await;
    let by_key = spans.root();
    assert_eq!(by_key.user(), [Some("2"), Some("User")]);
    assert_eq!(by_key.field(LOGIN_HASH), None);
}

async fn undeclared() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn under_deny_by_default_the_user_at_a_route_that_declares_nothing_is_recorded() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let manager = with_store(&users).deny_by_default().build(key()).unwrap();
    let app = App::new()
        .route("/undeclared", web::get().to(undeclared))
        .wrap(Compat::new(manager))
        .wrap(Compat::new(TracingLogger::<LoginRootSpan>::new()));
    let app = init_service(app).await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).await;
    spans.take();
    assert_eq!(browser.get("/undeclared").await.status(), 200);
    assert_eq!(spans.root().user(), [Some("1"), Some("User")]);
    assert_eq!(Browser::new(&app).get("/undeclared").await.status(), 303);
    assert_eq!(spans.root().user(), [None, None]);
}

#[derive(AuthUser)]
struct Person {
    id: i64,
    #[auth(password_hash)]
    hash: String,
}

async fn check(
    auth: Auth<Person>,
    passwords: web::Data<PasswordVerifier>,
) -> Result<HttpResponse, Error> {
    let nobody = None::<Person>;
    let checked = passwords.verify(&auth, "ada", nobody, "wrong").await?;
    assert!(checked.is_none());
    Ok(HttpResponse::Forbidden().finish())
}

#[actix_web::test]
async fn calls_of_stores_and_checks_of_passwords_are_spans_within_the_root_span() {
    let (spans, _guards) = Spans::start();
    let users = Users::new();
    let store = Probe::new(LoginsThere::Memory(Box::default()));
    let (builder, _) = manager_base(&users);
    let app = site::<LoginRootSpan>(builder.login_store(store.clone()), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    spans.take();
    let calls = |spans: &Spans| -> Vec<_> {
        let mut seen = spans.take();
        seen.retain(|it| {
            it.field("operation")
                .is_some_and(|it| !["is_session_revoked", "check_session"].contains(&it))
        });
        let words = |it: Seen| {
            let field = |name| it.field(name).unwrap_or("none").to_owned();
            assert_eq!((it.name, it.parent), ("login_store", Some("HTTP request")));
            format!("{} {}", field("operation"), field("outcome"))
        };
        seen.into_iter().map(words).collect()
    };
    browser.get("/account").await;
    assert_eq!(calls(&spans), ["find_for_auth ok"]);
    browser.post("/logout").await;
    let expected = ["find_for_auth ok", "end ok", "revoke_session ok"];
    assert_eq!(calls(&spans), expected);
    browser.post("/login/1").await;
    spans.take();
    store.on(|_| async { Err(StoreError::new("the database is down")) });
    browser.get("/account").await;
    assert_eq!(calls(&spans), ["find_for_auth error"]);

    // What a store does is within the span of its call, whether a guard or the toolkit waits for it.
    store.on(|_| async {
        drop(tracing::info_span!("query"));
        Ok(())
    });
    for (path, method) in [("/account", Method::GET), ("/logout", Method::POST)] {
        browser.ask(method, path).await;
        let mut queries = spans.take();
        queries.retain(|it| it.name == "query");
        assert!(!queries.is_empty(), "{path}");
        let is_within = |it: &Seen| it.parent == Some("login_store");
        assert!(queries.iter().all(is_within), "{path} {queries:#?}");
    }

    let find = async |id: i64| {
        let hash = String::new();
        Ok::<_, String>(Some(Person { id, hash }))
    };
    let builder = LoginManager::builder(find).session_only();
    let passwords = PasswordVerifier::new().costs(8, 1, 1).unwrap();
    let app = App::new()
        .app_data(web::Data::new(passwords))
        .route("/check", web::post().to(check))
        .wrap(Compat::new(builder.build(key()).unwrap()))
        .wrap(Compat::new(TracingLogger::<LoginRootSpan>::new()));
    let app = init_service(app).await;
    spans.take();
    assert_eq!(Browser::new(&app).post("/check").await.status(), 403);
    let seen = spans.take();
    let inner: Vec<_> = seen.iter().map(|it| (it.name, it.parent)).collect();
    let within_root = Some("HTTP request");
    let expected = [
        ("HTTP request", None),
        ("login_store", within_root),
        ("password_check", within_root),
    ];
    assert_eq!(inner, expected);
}
