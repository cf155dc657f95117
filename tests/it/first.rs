//! Guards decide first: whoever is refused has no body read.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{Payload, Request};
use actix_web::{
    Error, HttpResponse,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    error::PayloadError,
    http::header,
    post,
    test::TestRequest,
    web::{self, Bytes, Json, JsonConfig, ServiceConfig},
};
use futures_util::Stream;
use login_runtime::{
    Auth, CurrentUser, LoginManager, guards::guarded, login_required, test::Browser,
};
use login_tests::{User, Users, app, key};

/// A body that counts how often it is asked for a chunk.
struct Body {
    chunk: Bytes,
    left: usize,
    polls: Rc<Cell<usize>>,
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.polls.set(this.polls.get() + 1);
        if this.left == 0 {
            return Poll::Ready(None);
        }
        this.left -= 1;
        Poll::Ready(Some(Ok(this.chunk.clone())))
    }
}

/// The bodies that clients send: one that is no JSON, and one of 40 MB.
pub(crate) const BODIES: [(&str, &[u8], usize); 2] = [
    ("malformed", b"{\"words\": [", 1),
    ("huge", &[b'['; 64 * 1024], 640),
];

/// Sends a body to a page, with the cookies of a browser: the status of the answer, and how often
/// the body was asked for a chunk.
pub(crate) async fn send<S>(
    app: &S,
    browser: &Browser<'_, S>,
    path: &str,
    body: (&'static [u8], usize),
) -> (u16, usize)
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    send_with(app, browser, path, body, &[]).await
}

/// The same with more headers.
pub(crate) async fn send_with<S>(
    app: &S,
    browser: &Browser<'_, S>,
    path: &str,
    (chunk, chunks): (&'static [u8], usize),
    headers: &[(&'static str, &'static str)],
) -> (u16, usize)
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let mut request = TestRequest::post()
        .uri(path)
        .peer_addr(([127, 0, 0, 1], 50_000).into())
        .insert_header((header::USER_AGENT, "test/1"))
        .insert_header((header::CONTENT_TYPE, "application/json"));
    for header in headers {
        request = request.append_header(*header);
    }
    let cookies: Vec<_> = browser
        .cookie_names()
        .into_iter()
        .map(|name| format!("{name}={}", browser.cookie(&name).unwrap_or_default()))
        .collect();
    if !cookies.is_empty() {
        request = request.insert_header((header::COOKIE, cookies.join("; ")));
    }
    let polls = Rc::new(Cell::new(0));
    let body = Body {
        chunk: Bytes::from_static(chunk),
        left: chunks,
        polls: Rc::clone(&polls),
    };
    let payload = Payload::Stream {
        payload: Box::pin(body) as _,
    };
    let (request, _) = request.to_request().replace_payload(payload);
    let status = match app.call(request).await {
        Ok(response) => response.status().as_u16(),
        Err(error) => error.as_response_error().status_code().as_u16(),
    };
    (status, polls.get())
}

/// A manager with a loader that takes its time.
fn slow_manager(users: &Users) -> LoginManager {
    let users = users.clone();
    let loader = move |id| {
        let users = users.clone();
        async move {
            // Extractors that are polled together with this one have their turns meanwhile.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            users.load(id).await
        }
    };
    LoginManager::builder(loader)
        .session_only()
        .login_view("/login")
        .build(key())
        .unwrap()
}

#[login_required]
#[post("/attribute")]
async fn by_attribute(words: Json<Vec<String>>) -> String {
    words.join(" ")
}

#[post("/attribute-below")]
#[login_required]
async fn by_attribute_below(words: Json<Vec<String>>, user: CurrentUser<User>) -> String {
    format!("{} {}", words.join(" "), user.name)
}

#[login_required(user = User, fresh = "10m")]
#[post("/fresh")]
async fn by_freshness(user: CurrentUser<User>, body: web::Bytes) -> String {
    format!("{} {}", user.name, body.len())
}

#[login_required]
#[login_required(fresh)]
#[post("/stacked")]
async fn stacked(words: Json<Vec<String>>) -> String {
    words.join(" ")
}

async fn unguarded(words: Json<Vec<String>>) -> String {
    words.join(" ")
}

/// Guards in all their shapes, with a handler behind them that reads the body.
const GUARDED: [&str; 8] = [
    "/attribute",
    "/attribute-below",
    "/fresh",
    "/stacked",
    "/closure",
    "/scope/page",
    "/resource",
    "/route",
];

fn routes(routes: &mut ServiceConfig) {
    // The huge body is to be read to its end where it is read at all.
    routes.app_data(JsonConfig::default().limit(64 << 20));
    routes.app_data(web::PayloadConfig::default().limit(64 << 20));
    routes
        .service(by_attribute)
        .service(by_attribute_below)
        .service(by_freshness);
    routes.service(stacked);
    routes.route("/closure", web::post().to(guarded(unguarded)));
    routes.service(
        web::scope("/scope")
            .wrap(login_required())
            .route("/page", web::post().to(unguarded)),
    );
    routes.service(
        web::resource("/resource")
            .wrap(login_required())
            .to(unguarded),
    );
    routes.route("/route", web::post().to(unguarded).wrap(login_required()));
}

#[actix_web::test]
async fn the_body_of_a_stranger_is_not_read() {
    let app = app(slow_manager(&Users::new()), routes).await;
    let browser = Browser::new(&app);
    for path in GUARDED {
        for (what, chunk, chunks) in BODIES {
            let sent = send(&app, &browser, path, (chunk, chunks)).await;
            assert_eq!(sent, (303, 0), "{what} body to {path}");
        }
    }
}

#[actix_web::test]
async fn the_body_of_a_deleted_user_is_not_read() {
    let users = Users::new();
    let app = app(slow_manager(&users), routes).await;
    let known = Browser::new(&app);
    known.log_in(User::new(1, "ada")).await;
    users.delete(1);
    for path in GUARDED {
        for (what, chunk, chunks) in BODIES {
            let sent = send(&app, &known, path, (chunk, chunks)).await;
            assert_eq!(sent, (303, 0), "{what} body to {path}");
        }
    }
    assert_eq!(
        users.loads(),
        GUARDED.len() * BODIES.len(),
        "each request had to wait"
    );
}

#[actix_web::test]
async fn the_body_of_an_inactive_user_is_not_read() {
    let users = Users::new();
    let app = app(slow_manager(&users), routes).await;
    let known = Browser::new(&app);
    known.log_in(User::new(1, "ada")).await;
    users.change(1, |user| user.is_active = false);
    for path in GUARDED {
        for (what, chunk, chunks) in BODIES {
            let sent = send(&app, &known, path, (chunk, chunks)).await;
            assert_eq!(sent, (303, 0), "{what} body to {path}");
        }
    }
    assert_eq!(
        users.loads(),
        GUARDED.len() * BODIES.len(),
        "each request had to wait"
    );
}

#[actix_web::test]
async fn the_body_is_not_read_while_the_database_is_down() {
    let users = Users::new();
    let app = app(slow_manager(&users), routes).await;
    let known = Browser::new(&app);
    known.log_in(User::new(1, "ada")).await;
    users.set_down(true);
    for path in GUARDED {
        for (what, chunk, chunks) in BODIES {
            let sent = send(&app, &known, path, (chunk, chunks)).await;
            assert_eq!(sent, (503, 0), "{what} body to {path}");
        }
    }
}

#[actix_web::test]
async fn the_body_of_a_stale_login_is_not_read_where_a_fresh_one_is_asked_for() {
    let app = app(slow_manager(&Users::new()), routes).await;
    let known = Browser::new(&app);
    known.log_in(User::new(1, "ada")).stale().await;
    for path in ["/fresh", "/stacked"] {
        for (what, chunk, chunks) in BODIES {
            let sent = send(&app, &known, path, (chunk, chunks)).await;
            assert_eq!(sent, (401, 0), "{what} body to {path}");
        }
    }
}

#[actix_web::test]
async fn the_body_is_read_for_who_is_let_through() {
    let app = app(slow_manager(&Users::new()), routes).await;
    let known = Browser::new(&app);
    known.log_in(User::new(1, "ada")).await;
    for path in GUARDED {
        for (what, chunk, chunks) in BODIES {
            let (status, polls) = send(&app, &known, path, (chunk, chunks)).await;
            // `Bytes` takes what is no JSON, too.
            assert_eq!(
                status,
                if path == "/fresh" { 200 } else { 400 },
                "{what} body to {path}"
            );
            assert_eq!(polls, chunks + 1, "{what} body to {path}");
        }
        let (status, _) = send(&app, &known, path, (b"[\"a\"]", 1)).await;
        assert_eq!(status, 200, "{path}");
    }
}

#[post("/by-hand")]
async fn by_hand(auth: Auth<User>, payload: web::Payload) -> actix_web::Result<HttpResponse> {
    auth.require_login().await?;
    let length = payload
        .to_bytes_limited(64 << 20)
        .await
        .map(|body| body.map(|body| body.len()));
    Ok(HttpResponse::Ok().body(format!("{length:?}")))
}

#[actix_web::test]
async fn a_handler_that_decides_itself_need_not_read_the_body_either() {
    let users = Users::new();
    let app = app(slow_manager(&users), |routes| {
        routes.service(by_hand);
    })
    .await;
    let (_, chunk, chunks) = BODIES[1];
    let browser = Browser::new(&app);
    assert_eq!(
        send(&app, &browser, "/by-hand", (chunk, chunks)).await,
        (303, 0)
    );
    browser.log_in(User::new(1, "ada")).await;
    assert_eq!(
        send(&app, &browser, "/by-hand", (chunk, chunks)).await,
        (200, chunks + 1)
    );
}

/// What the guards are there to prevent, and why this file can fail: extractors side by side.
#[actix_web::test]
async fn an_extractor_among_others_loses_the_race_to_the_body() {
    let users = Users::new();
    let app = app(slow_manager(&users), |routes| {
        routes.route(
            "/unguarded",
            web::post().to(async |user: CurrentUser<User>, words: Json<Vec<String>>| {
                format!("{} {}", user.name, words.join(" "))
            }),
        );
    })
    .await;
    let known = Browser::new(&app);
    known.log_in(User::new(1, "ada")).await;
    users.delete(1);
    let (_, chunk, chunks) = BODIES[0];
    let (status, polls) = send(&app, &known, "/unguarded", (chunk, chunks)).await;
    assert_eq!((status, polls), (400, 2));
}
