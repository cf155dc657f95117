//! The application that most tests send their requests to, and what they look at in its answers.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use actix_http::Request;
use actix_session::{Session, storage::SessionStore};
use actix_web::{
    Error, HttpResponse, Responder,
    body::BoxBody,
    cookie::{Cookie, SameSite, time},
    dev::{Service, ServiceResponse},
    error::{ErrorInternalServerError, ErrorNotFound},
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use login_runtime::{
    Auth, CurrentUser, LoginError, LoginEvent, LoginManager, LoginManagerBuilder, MaybeUser,
    Verified, fresh_login_required, login_required,
    test::{Answer, Browser},
};
use login_tests::{Admin, User, Users};
use serde::{Deserialize, Serialize};

/// The session cookie's name, unless a test says otherwise.
pub(crate) const SESSION: &str = "__Host-session";
/// The remember cookie's name, unless a test says otherwise.
pub(crate) const REMEMBER: &str = "__Host-remember";

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// An application as `actix_web::test` knows it.
pub(crate) trait App:
    Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>
{
}

impl<T: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>> App for T {}

/// The application.
pub(crate) async fn site<T>(manager: LoginManager<T>, users: &Users) -> impl App + use<T>
where
    T: SessionStore + 'static,
{
    let users = users.clone();
    login_tests::app(manager, |routes| pages(routes, users)).await
}

/// The application's pages, for a test that adds some of its own.
pub(crate) fn pages(routes: &mut ServiceConfig, users: Users) {
    routes
        .app_data(Data::new(users))
        .route("/", web::get().to(public))
        .route("/who", web::get().to(whoami))
        .route("/account", web::to(account))
        .route("/settings", web::to(settings))
        .route("/login/{id}", web::post().to(log_in))
        .route("/logout", web::post().to(log_out))
        .route("/confirm/{id}", web::post().to(confirm))
        .route("/next", web::get().to(take_next))
        .route("/unauthorized", web::get().to(unauthorized))
        .route("/needs-refresh", web::get().to(needs_refresh))
        .route("/cart", web::get().to(cart))
        .route("/cart/{item}", web::post().to(fill_cart));
}

async fn public() -> impl Responder {
    "public"
}

/// What a page can find out about the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) id: Option<i64>,
    /// Whether guards let the user through.
    pub(crate) authenticated: bool,
    pub(crate) fresh: bool,
    pub(crate) source: Option<String>,
    /// When credentials were given.
    pub(crate) at: Option<i64>,
    /// Whether there is a good remember cookie.
    pub(crate) remembered: bool,
}

impl Who {
    pub(crate) fn of(user: &MaybeUser<User>, auth: &Auth<User>) -> Self {
        let known = user.user().or_else(|| user.inactive());
        let seconds = |at: std::time::SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self {
            id: known.map(|user| user.id),
            authenticated: user.is_authenticated(),
            fresh: known.is_some_and(CurrentUser::is_fresh),
            source: known.map(|user| format!("{:?}", CurrentUser::source(user))),
            at: known
                .and_then(CurrentUser::authenticated_at)
                .map(|at| seconds(at).try_into().unwrap()),
            remembered: auth.is_remembered(),
        }
    }
}

async fn whoami(user: MaybeUser<User>, auth: Auth<User>) -> Json<Who> {
    Json(Who::of(&user, &auth))
}

#[login_required]
async fn account(user: CurrentUser<User>) -> String {
    format!("account of {}", user.name)
}

#[fresh_login_required]
async fn settings(user: CurrentUser<User>) -> String {
    format!("settings of {}", user.name)
}

/// How to log in.
#[derive(Deserialize)]
pub(crate) struct How {
    #[serde(default)]
    remember: bool,
    #[serde(rename = "for")]
    remember_for: Option<u64>,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    force: bool,
}

/// Logs a user in as a request says, and tells who is logged in then.
pub(crate) async fn do_log_in(auth: &Auth<User>, user: User, how: &How) -> Result<(), LoginError> {
    let mut log_in = auth
        .log_in(Verified::trust(user, "test"))
        .remember(how.remember);
    if let Some(seconds) = how.remember_for {
        log_in = log_in.remember_for(Duration::from_secs(seconds));
    }
    if how.stale {
        log_in = log_in.stale();
    }
    if how.force {
        log_in = log_in.danger_even_if_inactive();
    }
    log_in.await.map(|_| ())
}

async fn log_in(
    auth: Auth<User>,
    id: Path<i64>,
    how: Query<How>,
    users: Data<Users>,
) -> Result<HttpResponse, Error> {
    let user = users
        .get(*id)
        .ok_or_else(|| ErrorNotFound("no such user"))?;
    do_log_in(&auth, user, &how).await?;
    Ok(auth.redirect_to_next_or("/"))
}

async fn log_out(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    Ok(web::Redirect::to("/").see_other())
}

async fn confirm(
    auth: Auth<User>,
    id: Path<i64>,
    users: Data<Users>,
) -> Result<impl Responder, Error> {
    let user = users
        .get(*id)
        .ok_or_else(|| ErrorNotFound("no such user"))?;
    auth.confirm_login(Verified::trust(user, "test")).await?;
    Ok("confirmed")
}

async fn take_next(auth: Auth<User>) -> Json<Option<String>> {
    Json(auth.take_next())
}

async fn unauthorized(auth: Auth<User>) -> HttpResponse {
    auth.unauthorized().await.into_response()
}

async fn needs_refresh(auth: Auth<User>) -> HttpResponse {
    auth.needs_refresh().await.into_response()
}

/// What the session holds for the application: something that nobody else should see.
async fn cart(session: Session) -> Result<Json<Option<String>>, Error> {
    Ok(Json(session.get("cart").map_err(ErrorInternalServerError)?))
}

async fn fill_cart(session: Session, item: Path<String>) -> Result<impl Responder, Error> {
    session.insert("cart", item.into_inner())?;
    Ok("filled")
}

/// Who a browser is, as the application sees it.
pub(crate) async fn who<S: App>(browser: &Browser<'_, S>) -> Who {
    let answer = browser.get("/who").await;
    answer
        .json()
        .unwrap_or_else(|| panic!("{} {}", answer.status(), answer.text()))
}

/// What is in the browser's cart.
pub(crate) async fn cart_of<S: App>(browser: &Browser<'_, S>) -> Option<String> {
    browser.get("/cart").await.json().expect("a cart")
}

/// What happened to logins, in words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    /// Has a manager write down what happens.
    pub(crate) fn of<T: SessionStore + 'static>(
        builder: LoginManagerBuilder<T>,
    ) -> (LoginManagerBuilder<T>, Self) {
        let events = Self::default();
        let record = events.clone();
        let builder = builder.on_event(move |event, _| record.0.lock().unwrap().push(words(event)));
        (builder, events)
    }

    /// What happened since the last look.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// What happened since the last look, but for the news that somebody looked.
    pub(crate) fn take_but_accessed(&self) -> Vec<String> {
        let mut events = self.take();
        events.retain(|event| event != "accessed");
        events
    }
}

fn words(event: &LoginEvent<'_>) -> String {
    let mut words = event.name().to_owned();
    if let Some(user) = event.user() {
        let name = match (user.get::<User>(), user.get::<Admin>()) {
            (Some(user), None) => user.name.clone(),
            (None, Some(admin)) => admin.login.clone(),
            _ => user.id(),
        };
        words.push_str(&format!(" {name}"));
    }
    let mut detail = |detail: &dyn Debug| words.push_str(&format!(" {detail:?}"));
    match event {
        LoginEvent::Unauthorized { reason } | LoginEvent::NeedsRefresh { reason } => detail(reason),
        LoginEvent::LoginEnded { reason } | LoginEvent::RememberCookieRefused { reason } => {
            detail(reason);
        }
        LoginEvent::SessionProtected { mode } => detail(mode),
        LoginEvent::Forbidden {
            condition: Some(condition),
            ..
        } => words.push_str(&format!(" {condition}")),
        LoginEvent::LoggedIn { remembered, .. } if *remembered => words.push_str(" remembered"),
        _ => {}
    }
    words
}

/// Asserts the attributes that both cookies have by default.
#[track_caller]
fn assert_strict(cookie: &Cookie<'_>) {
    assert_eq!(cookie.secure(), Some(true), "{cookie}");
    assert_eq!(cookie.http_only(), Some(true), "{cookie}");
    assert_eq!(cookie.same_site(), Some(SameSite::Lax), "{cookie}");
    assert_eq!(cookie.path(), Some("/"), "{cookie}");
    assert_eq!(cookie.domain(), None, "{cookie}");
}

/// Asserts that an answer sets a cookie once, with the default attributes and this life; nothing
/// for one that ends with the browser.
#[track_caller]
pub(crate) fn assert_sets(answer: &Answer, name: &str, age: Option<Duration>) -> String {
    let cookie = the_cookie(answer, name);
    assert_strict(&cookie);
    let age = age.map(|age| time::Duration::try_from(age).unwrap());
    assert_eq!(cookie.max_age(), age, "{cookie}");
    assert!(cookie.expires().is_none(), "{cookie}");
    assert!(!cookie.value().is_empty(), "{cookie}");
    cookie.value().to_owned()
}

/// Asserts that an answer clears a cookie, with the default attributes.
#[track_caller]
pub(crate) fn assert_clears(answer: &Answer, name: &str) {
    let cookie = the_cookie(answer, name);
    assert_strict(&cookie);
    assert_cleared(&cookie);
}

/// Asserts that a cookie makes the browser forget.
#[track_caller]
pub(crate) fn assert_cleared(cookie: &Cookie<'_>) {
    assert_eq!(cookie.value(), "", "{cookie}");
    assert_eq!(cookie.max_age(), Some(time::Duration::ZERO), "{cookie}");
    let expires = cookie.expires().and_then(|expires| expires.datetime());
    let now = time::OffsetDateTime::now_utc();
    assert!(expires.is_some_and(|expires| expires < now), "{cookie}");
}

/// What an answer says about a cookie, once.
#[track_caller]
pub(crate) fn the_cookie(answer: &Answer, name: &str) -> Cookie<'static> {
    let cookies = answer.set_cookies();
    let mut cookies = cookies.into_iter().filter(|cookie| cookie.name() == name);
    let cookie = cookies.next();
    let cookie = cookie.unwrap_or_else(|| panic!("{name} is not there: {:?}", answer.headers()));
    assert!(cookies.next().is_none(), "{name} is set twice");
    cookie
}

/// Asserts that an answer says nothing about a cookie.
#[track_caller]
pub(crate) fn assert_leaves(answer: &Answer, name: &str) {
    assert!(answer.set_cookie(name).is_none(), "{:?}", answer.headers());
}

/// Asserts that an answer says nothing about any cookie.
#[track_caller]
pub(crate) fn assert_no_cookies(answer: &Answer) {
    assert!(answer.set_cookies().is_empty(), "{:?}", answer.headers());
}

/// Sends a request with a `Cookie` header of any bytes, which a [`Browser`] would not.
pub(crate) async fn with_raw_cookies<S: App>(app: &S, path: &str, cookies: &[u8]) -> HttpResponse {
    let cookies = actix_web::http::header::HeaderValue::from_bytes(cookies).unwrap();
    let request = actix_web::test::TestRequest::get()
        .uri(path)
        .insert_header((actix_web::http::header::COOKIE, cookies))
        .to_request();
    app.call(request).await.unwrap().into_parts().1
}
