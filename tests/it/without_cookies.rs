//! Requests that only read and have no cookie: there is no session to load, but the page may begin one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use actix_session::{
    Session,
    storage::{CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError},
};
use actix_web::{
    Error, HttpResponse, Responder,
    body::MessageBody,
    cookie::time::Duration,
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorImATeapot,
    http::Method,
    middleware::{Next, from_fn},
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, CookieSettings, CurrentUser, LoginManager, MemoryLoginStore, Verified,
    config::LoginManagerBuilder, login_required, logins::Logins, test::Browser,
};
use login_tests::{User, Users, app, key, manager_base};

type Runs = Arc<AtomicUsize>;

/// A page that notes something in the session, and says how often it has been asked for.
fn noting(runs: &Runs) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let runs = Arc::clone(runs);
    move |routes| {
        let note = move |session: Session| {
            let count = runs.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                session.insert("noted", count).unwrap();
                HttpResponse::Ok()
                    .insert_header(("x-page", "note"))
                    .append_header((
                        "set-cookie",
                        "__Host-theme=dark; Secure; HttpOnly; SameSite=Lax; Path=/",
                    ))
                    .body(count.to_string())
            }
        };
        routes.route("/note", web::to(note));
        routes.route("/noted", web::get().to(noted));
        routes.route("/purged", web::get().to(purged));
        routes.route("/plain", web::get().to(|| async { "plain" }));
    }
}

async fn noted(session: Session) -> impl Responder {
    let noted: Option<usize> = session.get("noted").unwrap();
    noted.map_or_else(|| "nothing".to_owned(), |count| count.to_string())
}

async fn purged(session: Session) -> impl Responder {
    session.insert("noted", 7).unwrap();
    session.purge();
    "purged"
}

/// Managers of all kinds, each without a gate and with one.
fn managers(users: &Users) -> Vec<(String, LoginManager)> {
    let kinds: [(&str, Settings); 4] = [
        ("session", |builder| builder.session_only()),
        ("store", |builder| {
            builder.login_store(MemoryLoginStore::new())
        }),
        ("login cookie", |builder| {
            builder.session_only().login_cookie(CookieSettings::new())
        }),
        ("store and login cookie", |builder| {
            let builder = builder.login_store(MemoryLoginStore::new());
            builder.login_cookie(CookieSettings::new())
        }),
    ];
    let builder = || manager_base(users).0;
    let built = kinds.map(|(name, kind)| (name.to_owned(), kind(builder()).build(key()).unwrap()));
    built.into()
}

type Settings = fn(LoginManagerBuilder) -> LoginManagerBuilder;

#[actix_web::test]
async fn a_page_that_writes_the_first_session_of_a_browser_runs_once_and_the_session_is_kept() {
    for (name, manager) in managers(&Users::new()) {
        let runs = Runs::default();
        let app = app(manager, noting(&runs)).await;
        for method in [Method::GET, Method::OPTIONS, Method::POST] {
            runs.store(0, Ordering::SeqCst);
            let browser = Browser::new(&app);
            let answer = browser.ask(method.clone(), "/note").await;
            assert_eq!(
                (answer.status(), answer.text().as_str()),
                (200, "1"),
                "{name}"
            );
            assert_eq!(answer.header("x-page"), Some("note"), "{name}");
            // A session is nothing that a shared cache may keep.
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
            let set = answer.set_cookies();
            let set: Vec<_> = set.iter().map(|cookie| cookie.name().to_owned()).collect();
            assert_eq!(set, ["__Host-theme", "__Host-session"], "{name} {method}");
            assert_eq!(runs.load(Ordering::SeqCst), 1, "{name} {method}");
            assert_eq!(browser.get("/noted").await.text(), "1", "{name}");
        }
    }
}

#[actix_web::test]
async fn a_page_that_writes_no_session_sets_no_cookie_and_says_nothing_about_caches() {
    for (name, manager) in managers(&Users::new()) {
        let app = app(manager, noting(&Runs::default())).await;
        let browser = Browser::new(&app);
        for (path, text) in [
            ("/plain", "plain"),
            ("/noted", "nothing"),
            ("/purged", "purged"),
        ] {
            let answer = browser.get(path).await;
            assert_eq!(answer.text(), text, "{name}");
            assert!(answer.set_cookies().is_empty(), "{name} {path}");
            assert_eq!(answer.header("cache-control"), None, "{name} {path}");
        }
    }
}

#[actix_web::test]
async fn new_browsers_at_the_same_time_get_a_session_each() {
    let runs = Runs::default();
    for (name, manager) in managers(&Users::new()) {
        runs.store(0, Ordering::SeqCst);
        let app = app(manager, noting(&runs)).await;
        let browsers: Vec<_> = (0..8).map(|_| Browser::new(&app)).collect();
        let asked = browsers
            .iter()
            .map(|browser| async { browser.get("/note").await.text() });
        let mut texts = futures_util::future::join_all(asked).await;
        for (browser, text) in browsers.iter().zip(&texts) {
            assert_eq!(browser.get("/noted").await.text(), *text, "{name}");
        }
        texts.sort();
        assert_eq!(texts, ["1", "2", "3", "4", "5", "6", "7", "8"], "{name}");
    }
}

/// Sessions in cookies, as long as the store is not down.
struct Sessions {
    cookies: CookieSessionStore,
    is_down: Arc<AtomicBool>,
}

impl SessionStore for Sessions {
    async fn load(
        &self,
        key: &SessionKey,
    ) -> Result<Option<std::collections::HashMap<String, String>>, LoadError> {
        self.cookies.load(key).await
    }

    async fn save(
        &self,
        state: std::collections::HashMap<String, String>,
        ttl: &Duration,
    ) -> Result<SessionKey, SaveError> {
        tokio::task::yield_now().await;
        if self.is_down.load(Ordering::SeqCst) {
            return Err(SaveError::Other(anyhow::anyhow!("the store is down")));
        }
        self.cookies.save(state, ttl).await
    }

    async fn update(
        &self,
        key: SessionKey,
        state: std::collections::HashMap<String, String>,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.cookies.update(key, state, ttl).await
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        self.cookies.update_ttl(key, ttl).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.cookies.delete(key).await
    }
}

#[actix_web::test]
async fn a_first_session_that_cannot_be_saved_is_an_outage_for_all_methods_alike() {
    let is_down = Arc::new(AtomicBool::new(true));
    let runs = Runs::default();
    let store = Sessions {
        cookies: CookieSessionStore::default(),
        is_down: Arc::clone(&is_down),
    };
    let builder = manager_base(&Users::new())
        .0
        .login_store(MemoryLoginStore::new());
    let manager = builder.session_store(store).build(key()).unwrap();
    let app = app(manager, noting(&runs)).await;
    let browser = Browser::new(&app);
    for method in [Method::GET, Method::POST] {
        let answer = browser.ask(method.clone(), "/note").await;
        assert_eq!(answer.status(), 503, "{method}");
        assert!(answer.set_cookies().is_empty(), "{method}");
    }
    assert_eq!(browser.get("/plain").await.text(), "plain");
    is_down.store(false, Ordering::SeqCst);
    assert_eq!(browser.get("/note").await.text(), "3");
    assert_eq!(browser.get("/noted").await.text(), "3");
}

#[login_required]
async fn mine(user: CurrentUser<User>) -> String {
    user.name.clone()
}

/// The end of a log in with another service, which a browser reaches by a link.
async fn callback(auth: Auth<User>) -> Result<impl Responder, Error> {
    let user = Verified::trust(User::new(1, "ada"), "a test").state_checked();
    auth.log_in(user).await?;
    Ok("welcome")
}

#[actix_web::test]
async fn a_log_in_by_a_link_of_another_service_is_kept_without_a_session_before_it() {
    let users = Users::new();
    for (name, manager) in managers(&users) {
        let app = app(manager, |routes| {
            routes.route("/callback", web::get().to(callback));
            routes.route("/mine", web::get().to(mine));
        })
        .await;
        let browser = Browser::new(&app);
        assert_eq!(browser.get("/mine").await.status(), 303, "{name}");
        let answer = browser.get("/callback").await;
        assert_eq!(answer.text(), "welcome", "{name}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
        assert_eq!(browser.get("/mine").await.text(), "ada", "{name}");
    }
}

async fn end_all(logins: Logins) -> Result<impl Responder, Error> {
    let ended = logins.end_all_of::<User>(&1).await?;
    Ok(ended.to_string())
}

#[actix_web::test]
async fn a_request_that_only_reads_ends_no_logins_of_others_without_a_cookie_either() {
    let users = Users::new();
    let builder = manager_base(&users).0.login_store(MemoryLoginStore::new());
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = app(manager, move |routes| {
        routes.route(
            "/end",
            web::to(move || {
                let logins = logins.clone();
                async move { end_all(logins).await }
            }),
        );
        routes.route("/mine", web::get().to(mine));
    })
    .await;
    let (known, stranger) = (Browser::new(&app), Browser::new(&app));
    known.log_in(User::new(1, "ada")).await;
    assert_eq!(stranger.get("/end").await.status(), 500);
    assert_eq!(known.get("/mine").await.text(), "ada");
    assert_eq!(stranger.post("/end").await.text(), "1");
    assert_eq!(known.get("/mine").await.status(), 303);
}

/// Middleware that returns an error after the page has answered.
async fn fail(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    if response.request().query_string() == "fail" {
        return Err(ErrorImATeapot("no"));
    }
    Ok(response)
}

#[actix_web::test]
async fn a_session_is_not_kept_if_a_middleware_fails_after_the_page() {
    for (name, manager) in managers(&Users::new()) {
        let runs = Runs::default();
        let app = app(manager, |routes| {
            let pages = web::scope("").wrap(from_fn(fail)).configure(noting(&runs));
            routes.service(pages);
        })
        .await;
        let browser = Browser::new(&app);
        for method in [Method::GET, Method::POST] {
            let answer = browser.ask(method, "/note?fail").await;
            assert_eq!(answer.status(), 418, "{name}");
            assert!(answer.set_cookies().is_empty(), "{name}");
        }
        assert_eq!(browser.get("/note").await.text(), "3", "{name}");
        assert_eq!(browser.get("/noted").await.text(), "3", "{name}");
    }
}
