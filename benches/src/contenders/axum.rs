//! axum-login, on tower-sessions in memory.

use std::{cell::RefCell, convert::Infallible};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, Response, StatusCode, header},
    response::{IntoResponse, Redirect},
    routing::{RouterIntoService, get, post},
};
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, login_required,
};
use http_body_util::BodyExt;
use tower_service::Service;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use super::{
    client::Client,
    setup::{Setup, welcome},
};
use crate::{
    scenario::{Answer, Ask},
    users::{HashedUser, Users},
};

impl AuthUser for HashedUser {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password_hash.as_bytes()
    }
}

#[derive(Clone)]
struct Backend(Users);

impl AuthnBackend for Backend {
    type User = HashedUser;
    type Credentials = ();
    type Error = Infallible;

    async fn authenticate(&self, (): ()) -> Result<Option<HashedUser>, Infallible> {
        Ok(Some(self.0.next()))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<HashedUser>, Infallible> {
        Ok(self.0.find(*id).await)
    }
}

async fn account(auth: AuthSession<Backend>) -> Result<String, StatusCode> {
    let user = auth.user.ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(format!("Hello, {}!", user.name))
}

async fn log_in(
    mut auth: AuthSession<Backend>,
    State(users): State<Users>,
) -> Result<Redirect, StatusCode> {
    let logged_in = auth.login(&users.next()).await;
    logged_in.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Redirect::to("/"))
}

async fn log_out(mut auth: AuthSession<Backend>) -> Result<Redirect, StatusCode> {
    let logged_out = auth.logout().await;
    logged_out.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Redirect::to("/"))
}

fn router(setup: &Setup) -> Router {
    let sessions = SessionManagerLayer::new(MemoryStore::default());
    let auth = AuthManagerLayerBuilder::new(Backend(setup.users.clone()), sessions).build();
    Router::new()
        .route("/account", get(account))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .route("/", get(welcome))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(auth)
        .with_state(setup.users.clone())
}

/// Sends requests to a router without a network.
pub(super) struct TowerClient(RefCell<RouterIntoService<Body>>);

impl TowerClient {
    pub(super) fn new(setup: &Setup) -> Self {
        Self(RefCell::new(router(setup).into_service()))
    }
}

impl Client for TowerClient {
    type Request = Request<Body>;
    type Response = Response<Body>;

    fn request(&self, ask: &Ask) -> Request<Body> {
        let method = if ask.post { "POST" } else { "GET" };
        let mut request = Request::builder().method(method).uri(ask.path);
        for (name, value) in ask.headers.list(ask.post) {
            request = request.header(name, value);
        }
        if let Some(cookie) = &ask.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request.body(Body::empty()).expect("a request")
    }

    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let answering = self.0.borrow_mut().call(request);
        answering.await.into_response()
    }

    async fn read(response: Response<Body>) -> Answer {
        let (head, body) = response.into_parts();
        let text =
            |value: &header::HeaderValue| value.to_str().expect("a header is text").to_owned();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: head.status.as_u16(),
            location: head.headers.get(header::LOCATION).map(text),
            cookies: head
                .headers
                .get_all(header::SET_COOKIE)
                .iter()
                .map(text)
                .collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// Serves the application until the process ends.
pub async fn serve(setup: &Setup, listener: std::net::TcpListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, router(setup)).await
}
