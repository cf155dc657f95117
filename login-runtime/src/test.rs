//! Helpers for the tests of applications: a browser, a clock that can be set, and logins without a
//! form.
//!
//! A login that these helpers create goes through the manager, the session and its cookies like any
//! other login, so guards treat it the same.
//!
//! # Examples
//!
//! ```
//! use actix_web::{App, Responder, cookie::Key, get, test::init_service};
//! use login_runtime::{
//!     AuthUser, CurrentUser, LoginManager, MemoryLoginStore, login_required, test::Browser,
//! };
//!
//! #[derive(AuthUser)]
//! struct User { id: i64 }
//!
//! #[login_required]
//! #[get("/account")]
//! async fn account(user: CurrentUser<User>) -> impl Responder { format!("account {}", user.id) }
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
//!     .login_store(MemoryLoginStore::new())
//!     .login_view("/login")
//!     .build(Key::generate())?;
//! let app = init_service(App::new().wrap(login_manager).service(account)).await;
//!
//! let browser = Browser::new(&app);
//! browser.get("/account").await.assert_redirects_to_login("/login", "/account");
//!
//! browser.log_in(User { id: 7 }).await;
//! assert_eq!(browser.assert_logged_in::<User>().await.id, 7);
//! assert_eq!(browser.get("/account").await.text(), "account 7");
//! # Ok(())
//! # }
//! ```

use std::{
    cell::RefCell,
    future::{Future, IntoFuture},
    net::{IpAddr, SocketAddr},
    panic::Location,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{MessageBody, to_bytes},
    cookie::{Cookie, time},
    dev::{Service, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap},
    },
    test::TestRequest,
    web::Bytes,
};
use derive_more::Debug;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    auth::Auth,
    clock::Clock,
    core::AuthUser,
    guard::{CurrentUser, Guarded, MaybeUser},
    request::LoginState,
    users::Verified,
};

pub mod asvs;
#[cfg(feature = "audit")]
mod audit;
mod review;
pub mod store;
pub mod strict;
pub mod throttle_store;

#[cfg(feature = "audit")]
pub use audit::assert_reviewed;
pub use review::assert_policy;

/// The request type of an application under test.
pub use actix_http::Request;

/// A clock that only a test moves. Its clones show the same time.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// A clock that shows this time, in seconds since the Unix epoch.
    pub fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

type AskedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// What the login layer does before it handles a request: a log in, or a look at the user.
struct Asked(Box<dyn FnOnce(HttpRequest) -> AskedFuture>);

impl Asked {
    /// Runs `ask` with the request. The result is in the cell afterwards, unless there is no login layer.
    fn new<T, F>(ask: impl FnOnce(HttpRequest) -> F + 'static) -> (Self, Rc<RefCell<Option<T>>>)
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let outcome = Rc::new(RefCell::new(None));
        let written = Rc::clone(&outcome);
        let asked = Self(Box::new(|request| {
            Box::pin(async move {
                let found = ask(request).await;
                *written.borrow_mut() = Some(found);
            })
        }));
        (asked, outcome)
    }
}

/// What a request asks for. A client cannot send it: only the code that creates a request can add it.
pub(crate) fn asked(request: &HttpRequest) -> Option<impl Future<Output = ()> + use<>> {
    let Asked(ask) = request.extensions_mut().remove()?;
    Some(ask(request.clone()))
}

/// Fails a test.
#[allow(clippy::panic, reason = "it fails a test")]
fn fail(why: String) -> ! {
    panic!("{why}")
}

/// The paths of requests that only ask. No application has them.
const LOG_IN_PATH: &str = "/.login-runtime/test/log-in";
const WHO_PATH: &str = "/.login-runtime/test/who";

/// A user who has just logged in, for a handler that a test calls directly.
///
/// # Examples
///
/// ```
/// use login_runtime::{AuthUser, CurrentUser, login_required, test};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, name: String }
///
/// async fn greeting(user: CurrentUser<User>) -> String { format!("Hello, {}!", user.name) }
///
/// #[login_required]
/// async fn account(user: CurrentUser<User>) -> String { format!("account of {}", user.name) }
///
/// # #[actix_web::main]
/// # async fn main() {
/// let ada = || test::current_user(User { id: 1, name: "Ada".to_owned() });
/// assert_eq!(greeting(ada()).await, "Hello, Ada!");
/// // A handler below `#[login_required]` takes its arguments through its guard.
/// assert_eq!(account(test::guarded((ada(),))).await, "account of Ada");
/// # }
/// ```
pub fn current_user<U: AuthUser>(user: U) -> CurrentUser<U> {
    CurrentUser::of_test(user, true)
}

/// A user whose login is stale; see [`current_user`].
pub fn stale_user<U: AuthUser>(user: U) -> CurrentUser<U> {
    CurrentUser::of_test(user, false)
}

/// A user, or an anonymous client, for a handler that a test calls directly. A user whom guards would
/// refuse is [`inactive`](MaybeUser::inactive).
pub fn maybe_user<U: AuthUser>(user: impl Into<Option<U>>) -> MaybeUser<U> {
    MaybeUser::of_test(user.into())
}

/// The arguments of a handler below `#[login_required]` or a similar attribute, as a tuple, as if its guard
/// had let the client through.
pub fn guarded<P, A>(arguments: A) -> Guarded<P, A> {
    Guarded::of_test(arguments)
}

/// A browser: keeps cookies between requests, and has an address and a user agent.
///
/// It can also judge every answer that it gets: see [`strict`].
#[derive(Debug)]
pub struct Browser<'a, S> {
    #[debug(skip)]
    app: &'a S,
    #[debug(skip)]
    cookies: RefCell<Vec<Cookie<'static>>>,
    agent: RefCell<Option<String>>,
    address: RefCell<SocketAddr>,
}

impl<'a, S, B> Browser<'a, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    /// A browser without cookies, for an application that `actix_web::test::init_service` made.
    pub fn new(app: &'a S) -> Self {
        Self {
            app,
            cookies: RefCell::default(),
            agent: RefCell::new(Some("test/1".to_owned())),
            address: RefCell::new(SocketAddr::from(([127, 0, 0, 1], 50_000))),
        }
    }

    /// Sets the user agent of all further requests; `None` sends no such header.
    pub fn set_user_agent<'b>(&self, agent: impl Into<Option<&'b str>>) {
        *self.agent.borrow_mut() = agent.into().map(str::to_owned);
    }

    /// Sets the address that all further requests come from.
    pub fn set_address(&self, address: impl Into<IpAddr>) {
        self.address.borrow_mut().set_ip(address.into());
    }

    /// A second browser with copies of the cookies, the address and the user agent.
    #[must_use]
    pub fn copy(&self) -> Self {
        self.at(self.app)
    }

    /// A copy of this browser that sends its requests to another application: a restarted one, or
    /// another node.
    #[must_use]
    pub fn at<'b, T>(&self, app: &'b T) -> Browser<'b, T> {
        Browser {
            app,
            cookies: self.cookies.clone(),
            agent: self.agent.clone(),
            address: self.address.clone(),
        }
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies
            .borrow()
            .iter()
            .find(|cookie| cookie.name() == name)
            .map(|cookie| cookie.value().to_owned())
    }

    /// The names of all cookies.
    pub fn cookie_names(&self) -> Vec<String> {
        self.cookies
            .borrow()
            .iter()
            .map(|cookie| cookie.name().to_owned())
            .collect()
    }

    /// Gives the browser a cookie.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.take_cookie(Cookie::new(name.to_owned(), value.to_owned()));
    }

    /// Removes a cookie from the browser.
    pub fn drop_cookie(&self, name: &str) {
        self.cookies
            .borrow_mut()
            .retain(|cookie| cookie.name() != name);
    }

    /// Closes and opens the browser, which deletes cookies without `Max-Age` and `Expires`.
    pub fn restart(&self) {
        self.cookies
            .borrow_mut()
            .retain(|cookie| cookie.max_age().is_some() || cookie.expires().is_some());
    }

    fn take_cookie(&self, cookie: Cookie<'static>) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.retain(|other| other.name() != cookie.name());
        if cookie.max_age() != Some(time::Duration::ZERO) {
            cookies.push(cookie);
        }
    }

    /// Prepares a GET request.
    pub fn get(&self, path: &str) -> Ask<'_, 'a, S> {
        self.ask(Method::GET, path)
    }

    /// Prepares a POST request.
    pub fn post(&self, path: &str) -> Ask<'_, 'a, S> {
        self.ask(Method::POST, path)
    }

    /// Prepares a request with any method.
    pub fn ask(&self, method: Method, path: &str) -> Ask<'_, 'a, S> {
        Ask {
            browser: self,
            request: TestRequest::default().method(method).uri(path),
        }
    }

    /// The user of this type who is logged in, whether guards let the user through or not. Does not count as
    /// use of the login.
    ///
    /// # Panics
    ///
    /// If there is no login manager for the user type, or the user cannot be loaded.
    pub async fn current_user<U: AuthUser>(&self) -> Option<CurrentUser<U>> {
        self.look_up().await.unwrap_or_else(|why| fail(why))
    }

    async fn look_up<U: AuthUser>(&self) -> Result<Option<CurrentUser<U>>, String> {
        let (asked, outcome) = Asked::new(async move |request: HttpRequest| {
            let auth = Auth::<U>::of(&request).map_err(|error| error.to_string())?;
            auth.state.passive.set(true);
            let user = auth.current_user().await;
            let user = user.map_err(|error| error.to_string())?;
            let inactive = user.inactive().cloned();
            Ok(user.into_user().or(inactive))
        });
        self.send(TestRequest::get().uri(WHO_PATH), Some(asked))
            .await;
        let none = || Err("no login manager around this application".to_owned());
        outcome.take().unwrap_or_else(none)
    }

    /// Asserts that a user of this type is logged in, and that guards let the user through.
    ///
    /// It asks the login manager, and not a page: the status of a page says little about who is logged in.
    /// [`Answer::assert_page_shown`] is about a page.
    ///
    /// # Panics
    ///
    /// If no user is logged in, or the user is not active, or cannot be loaded.
    #[track_caller]
    pub fn assert_logged_in<U: AuthUser>(&self) -> impl Future<Output = CurrentUser<U>> {
        let place = Location::caller();
        async move {
            let is_active = |user: &CurrentUser<U>| user.is_active() && user.is_authenticated();
            let why = match self.look_up::<U>().await {
                Ok(Some(user)) if is_active(&user) => return user,
                Ok(Some(_)) => "the user is logged in, but not active".to_owned(),
                Ok(None) => "nobody is logged in".to_owned(),
                Err(error) => error,
            };
            fail(format!("at {place}: {why}"))
        }
    }

    /// Asserts that no user of this type is logged in.
    ///
    /// # Panics
    ///
    /// If a user is, or could not be loaded.
    #[track_caller]
    pub fn assert_logged_out<U: AuthUser>(&self) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let why = match self.look_up::<U>().await {
                Ok(None) => return,
                Ok(Some(_)) => "a user is logged in".to_owned(),
                Err(error) => error,
            };
            fail(format!("at {place}: {why}"))
        }
    }

    /// Logs a user in without a form, when it is awaited.
    pub fn log_in<U: AuthUser>(&self, user: U) -> TestLogIn<'_, 'a, S, U> {
        TestLogIn {
            browser: self,
            user,
            fresh: true,
            remember: None,
            at: None,
        }
    }

    async fn send(&self, request: TestRequest, asked: Option<Asked>) -> Answer {
        let mut request = request.peer_addr(*self.address.borrow());
        if let Some(agent) = self.agent.borrow().as_deref() {
            request = request.insert_header((header::USER_AGENT, agent));
        }
        let cookies: Vec<_> = self
            .cookies
            .borrow()
            .iter()
            .map(|cookie| cookie.stripped().to_string())
            .collect();
        if !cookies.is_empty() {
            request = request.insert_header((header::COOKIE, cookies.join("; ")));
        }
        let request = request.to_request();
        if let Some(asked) = asked {
            request.extensions_mut().insert(asked);
        }
        let asks = format!("{} {}", request.method(), request.uri());
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).map(str::to_owned);
        let (response, reads_login): (HttpResponse<_>, _) = match self.app.call(request).await {
            Ok(response) => {
                let reads_login = LoginState::existing(response.request()).is_some();
                let response = response.into_parts().1.map_into_boxed_body();
                (response, reads_login)
            }
            Err(error) => (error.error_response(), false),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let judged = strict::Judged {
            status: status.as_u16(),
            headers: &headers,
            host: host.as_deref(),
            reads_login,
        };
        if let Some(complaint) = judged.complaint() {
            fail(format!(
                "{asks} got {status}, which breaks rules:\n{complaint}"
            ));
        }
        let body = to_bytes(response.into_body()).await.unwrap_or_default();
        let answer = Answer {
            status,
            headers,
            body,
        };
        for cookie in answer.set_cookies() {
            self.take_cookie(cookie);
        }
        answer
    }
}

/// A request, which is sent when it is awaited.
#[derive(Debug)]
#[debug("Ask")]
#[must_use = "nothing is sent before this is awaited"]
pub struct Ask<'b, 'a, S> {
    browser: &'b Browser<'a, S>,
    request: TestRequest,
}

impl<S> Ask<'_, '_, S> {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.append_header((name, value));
        self
    }

    /// Sends fields as a form.
    pub fn form(mut self, fields: impl Serialize) -> Self {
        self.request = self.request.set_form(fields);
        self
    }

    /// Sends JSON.
    pub fn json(mut self, value: impl Serialize) -> Self {
        self.request = self.request.set_json(value);
        self
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request = self.request.set_payload(body);
        self
    }
}

impl<'b, 'a: 'b, S, B> IntoFuture for Ask<'b, 'a, S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + 'b>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.browser.send(self.request, None))
    }
}

/// A log in without a form, made by [`Browser::log_in`] and done when it is awaited.
#[derive(Debug)]
#[debug("TestLogIn")]
#[must_use = "no user is logged in before this is awaited"]
pub struct TestLogIn<'b, 'a, S, U> {
    browser: &'b Browser<'a, S>,
    user: U,
    fresh: bool,
    remember: Option<Option<Duration>>,
    at: Option<i64>,
}

impl<S, U> TestLogIn<'_, '_, S, U> {
    /// Makes the login stale.
    pub fn stale(mut self) -> Self {
        self.fresh = false;
        self
    }

    /// Also gives the browser a remember cookie.
    pub fn remember(mut self) -> Self {
        self.remember = Some(None);
        self
    }

    /// Also gives the browser a remember cookie that is valid for this long.
    pub fn remember_for(mut self, duration: Duration) -> Self {
        self.remember = Some(Some(duration));
        self
    }

    /// Makes the login as old as if the user had given credentials at this time.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.at = time
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_secs()).ok());
        self
    }
}

impl<'b, 'a: 'b, S, B, U> IntoFuture for TestLogIn<'b, 'a, S, U>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
    U: AuthUser,
{
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + 'b>>;

    /// # Panics
    ///
    /// If the log in is refused, or there is no login manager for the user type.
    fn into_future(self) -> Self::IntoFuture {
        let Self {
            browser,
            user,
            fresh,
            remember,
            at,
        } = self;
        let log_in = async move |request: HttpRequest| {
            let auth = Auth::<U>::of(&request).map_err(|error| error.to_string())?;
            // The request is a GET.
            let user = Verified::trust(user, "test").state_checked();
            let mut log_in = auth.log_in(user).at(at);
            if !fresh {
                log_in = log_in.stale();
            }
            log_in = match remember {
                None => log_in,
                Some(None) => log_in.remember(true),
                Some(Some(duration)) => log_in.remember_for(duration),
            };
            let done = log_in.await;
            done.map(drop).map_err(|error| error.to_string())
        };
        Box::pin(async move {
            let (asked, outcome) = Asked::new(log_in);
            // Any response carries the cookies of the login.
            let request = TestRequest::get().uri(LOG_IN_PATH);
            browser.send(request, Some(asked)).await;
            let outcome = outcome.take();
            assert!(
                outcome.is_some(),
                "no login manager around this application"
            );
            assert_eq!(
                outcome,
                Some(Ok(())),
                "the test user could not be logged in"
            );
        })
    }
}

/// A response: status, headers and body.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `Location` header, to which a redirect leads.
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, or `None` if it is not such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The cookies that the response sets or clears.
    pub fn set_cookies(&self) -> Vec<Cookie<'static>> {
        self.headers
            .get_all(header::SET_COOKIE)
            .filter_map(|value| Cookie::parse(value.to_str().ok()?.to_owned()).ok())
            .collect()
    }

    /// The cookie with this name, if the response sets or clears it.
    pub fn set_cookie(&self, name: &str) -> Option<Cookie<'static>> {
        self.set_cookies()
            .into_iter()
            .find(|cookie| cookie.name() == name)
    }

    /// Asserts that the page itself answered: the status is neither a redirect nor 401, 403 or 5xx.
    ///
    /// It does not say who is logged in: a public page is shown to everybody, and a form may redirect a user
    /// who is logged in. See [`Browser::assert_logged_in`].
    ///
    /// # Panics
    ///
    /// If it is one of these.
    #[track_caller]
    pub fn assert_page_shown(&self) -> &Self {
        let refused = self.status.is_redirection()
            || self.status.is_server_error()
            || matches!(
                self.status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
            );
        assert!(
            !refused,
            "no page, but {} to {:?}: {}",
            self.status,
            self.location(),
            self.text()
        );
        self
    }

    /// Asserts that the response redirects to the login view, which leads back to `next`.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn assert_redirects_to_login(&self, login_view: &str, next: &str) -> &Self {
        self.assert_redirects_to(login_view, next)
    }

    /// Asserts that the response redirects to the refresh view, where the user of a stale login gives the
    /// credentials again, and which leads back to `next`.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn assert_redirects_to_refresh(&self, refresh_view: &str, next: &str) -> &Self {
        self.assert_redirects_to(refresh_view, next)
    }

    #[track_caller]
    fn assert_redirects_to(&self, view: &str, next: &str) -> &Self {
        assert!(
            self.status.is_redirection(),
            "{} is not a redirect: {}",
            self.status,
            self.text()
        );
        let base = url::Url::parse("http://test.invalid").ok();
        let location = base.and_then(|base| base.join(self.location()?).ok());
        let found = location.as_ref().map(|url| {
            let next = url
                .query_pairs()
                .find(|(name, _)| name == "next")
                .map(|(_, next)| next.into_owned());
            (url.path().to_owned(), next)
        });
        assert_eq!(
            found,
            Some((view.to_owned(), Some(next.to_owned()))),
            "{:?}",
            self.location()
        );
        self
    }
}
