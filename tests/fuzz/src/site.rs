//! Applications whose requests are played within the fuzzer's own thread.

use std::{
    convert::Infallible,
    future::Future,
    mem::ManuallyDrop,
    pin::Pin,
    time::{Duration, UNIX_EPOCH},
};

use actix_http::Request;
use actix_rt::{System, SystemRunner};
use actix_session::storage::SessionStore;
use actix_web::{
    App, HttpResponse,
    body::to_bytes,
    cookie::Key,
    dev::{Service as _, ServiceResponse},
    http::{
        StatusCode,
        header::{HeaderMap, SET_COOKIE},
    },
    middleware::Compat,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, AuthUser, CurrentUser, LoginError, LoginManager, MaybeUser, Verified,
    config::{LoginManagerBuilder, SessionProtection},
    test::TestClock,
};

/// The time of all applications, in seconds since 1970.
pub const NOW: i64 = 1_700_000_000;

/// A user like those of most applications.
#[derive(AuthUser, Clone, Debug)]
pub struct User {
    id: i64,
    #[auth(session_hash)]
    hash: String,
}

/// The users: ada and ben.
pub const ADA: i64 = 1;
/// See [`ADA`].
pub const BEN: i64 = 2;

/// What a change of would end the logins of a user.
pub fn hash_of(id: i64) -> Option<&'static str> {
    match id {
        ADA => Some("hash of ada"),
        BEN => Some("hash of ben"),
        _ => None,
    }
}

fn user(id: i64) -> Option<User> {
    let hash = hash_of(id)?.to_owned();
    Some(User { id, hash })
}

/// The name of [`User`], which is part of its cookies and sessions.
pub const USER: &str = User::NAME;

/// Another user type, whose id is a text. A user of each name exists.
#[derive(AuthUser, Clone, Debug)]
#[auth(name = "admin")]
pub struct Admin {
    #[auth(id)]
    name: String,
}

/// The application's secret.
pub fn key() -> Key {
    Key::derive_from(&[7; 64])
}

/// A manager for the two user types, without session protection, so that the client does not matter.
pub fn manager() -> LoginManagerBuilder {
    LoginManager::builder(|id| async move { Ok::<_, Infallible>(user(id)) })
        .user_loader(|name: String| async move { Ok::<_, Infallible>(Some(Admin { name })) })
        .session_protection(SessionProtection::None)
        .login_view("/login")
        .clock(TestClock::at(NOW))
}

/// What a request came to.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("a header of ours is ASCII"))
    }

    /// The value that the answer sets a cookie to.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.headers.get_all(SET_COOKIE);
        let mut lines = lines.map(|line| line.to_str().expect("a cookie is ASCII"));
        lines.find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix('=')?;
            Some(value.split(';').next().unwrap_or(value))
        })
    }
}

type Call = dyn Fn(Request) -> Pin<Box<dyn Future<Output = Answer>>>;

/// An application, and the runtime in which it runs.
///
/// Never dropped: a runtime cannot be dropped while a thread ends, which drops what targets keep.
pub struct Site {
    system: ManuallyDrop<SystemRunner>,
    call: ManuallyDrop<Box<Call>>,
}

impl Site {
    /// The application with this manager, the pages of all targets, and these.
    pub fn new<S: SessionStore + 'static>(
        manager: LoginManager<S>,
        pages: impl FnOnce(&mut ServiceConfig),
    ) -> Self {
        let system = System::new();
        let app = App::new()
            .wrap(Compat::new(manager))
            .configure(all)
            .configure(pages);
        let app = std::rc::Rc::new(system.block_on(init_service(app)));
        let call = move |request| {
            let app = std::rc::Rc::clone(&app);
            let answer = async move {
                match app.call(request).await {
                    Ok(response) => read(response).await,
                    Err(error) => {
                        let response = error.error_response();
                        let (status, headers) = (response.status(), response.headers().clone());
                        let body = String::new();
                        Answer {
                            status,
                            headers,
                            body,
                        }
                    }
                }
            };
            Box::pin(answer) as Pin<Box<dyn Future<Output = Answer>>>
        };
        Self {
            system: ManuallyDrop::new(system),
            call: ManuallyDrop::new(Box::new(call)),
        }
    }

    /// Plays a request. No request may fail the server.
    pub fn ask(&self, request: Request) -> Answer {
        let answer = self.system.block_on((self.call)(request));
        assert!(!answer.status.is_server_error(), "{answer:?}");
        answer
    }

    /// Waits for a store.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.system.block_on(future)
    }
}

async fn read(response: ServiceResponse) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body()).await;
    let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
    let body = body.unwrap_or_default();
    Answer {
        status,
        headers,
        body,
    }
}

fn all(pages: &mut ServiceConfig) {
    pages
        .route("/me", web::get().to(me))
        .route("/admin", web::get().to(admin))
        .route("/login/{id}", web::post().to(log_in));
}

/// `1 fresh 1700000000` for ada, and `-` for an anonymous client.
async fn me(user: MaybeUser<User>) -> String {
    user.user()
        .map_or("-".to_owned(), |user| describe(user, user.id))
}

async fn admin(user: MaybeUser<Admin>) -> String {
    user.user()
        .map_or("-".to_owned(), |user| describe(user, &user.name))
}

fn describe<U: AuthUser>(user: &CurrentUser<U>, id: impl std::fmt::Debug) -> String {
    let fresh = if CurrentUser::is_fresh(user) {
        "fresh"
    } else {
        "stale"
    };
    let at = CurrentUser::authenticated_at(user).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let at = at.as_ref().map(Duration::as_secs);
    format!("{id:?} {fresh} {at:?}")
}

/// What `/me` shows of a login.
pub fn shown(id: impl std::fmt::Debug, fresh: bool, at: i64) -> String {
    let fresh = if fresh { "fresh" } else { "stale" };
    let at = u64::try_from(at).ok();
    format!("{id:?} {fresh} {at:?}")
}

async fn log_in(auth: Auth<User>, id: web::Path<i64>) -> Result<HttpResponse, LoginError> {
    if let Some(user) = user(*id) {
        auth.log_in(Verified::trust(user, "the address names the user"))
            .remember(true)
            .await?;
    }
    Ok(HttpResponse::NoContent().finish())
}
