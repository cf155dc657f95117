//! A guard that needs no database allocates no more than a guard that is written by hand with
//! actix-web and actix-session.
//!
//! A test binary of its own, because it counts the calls of the allocator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    collections::BTreeMap,
    future::{Ready, ready},
};

use actix_http::Request;
use actix_session::{Session, SessionExt as _, SessionMiddleware, storage::CookieSessionStore};
use actix_web::{
    App, Error, FromRequest, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{Payload, Service, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{Method, header},
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web::{self, ServiceConfig},
};
use futures_util::FutureExt as _;
use login_runtime::{LoginManager, login_required};
use login_tests::{Users, key, manager};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

const REQUESTS: u64 = 100;

/// A guard that is written by hand.
struct ByHand;

impl FromRequest for ByHand {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if request.get_session().contains_key("_login") {
            return ready(Ok(Self));
        }
        let response = refusal(request);
        ready(Err(InternalError::from_response("refused", response).into()))
    }
}

/// The same answer as the toolkit's.
fn refusal(request: &HttpRequest) -> HttpResponse {
    const QUERY_VALUE: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'&')
        .add(b'=')
        .add(b'?')
        .add(b'#')
        .add(b'%')
        .add(b'+');
    let location = match *request.method() {
        Method::GET => {
            let next = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            format!("/login?next={}", utf8_percent_encode(next, QUERY_VALUE))
        }
        _ => "/login".to_owned(),
    };
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "Cookie"))
        .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"))
        .finish()
}

async fn page() -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn page_guarded_by_hand(_: ByHand) -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// The guard as middleware.
async fn by_hand(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let exempt = request.method() == Method::OPTIONS;
    if exempt || request.get_session().contains_key("_login") {
        return next
            .call(request)
            .await
            .map(ServiceResponse::map_into_left_body);
    }
    let response = refusal(request.request());
    Ok(request.into_response(response).map_into_right_body())
}

#[login_required]
async fn guarded_page() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[login_required(exempt_options)]
async fn exempt_page() -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn choose_theme(session: Session) -> HttpResponse {
    session.insert("theme", "dark").unwrap();
    HttpResponse::Ok().finish()
}

fn routes(routes: &mut ServiceConfig) {
    routes.route("/theme", web::get().to(choose_theme));
    routes.route("/public", web::to(page));
    routes.route("/guarded", web::to(guarded_page));
    routes.route("/exempt", web::to(exempt_page));
    routes.service(
        web::resource("/wrapped")
            .wrap(login_required().exempt_options())
            .to(page),
    );
}

fn routes_by_hand(routes: &mut ServiceConfig) {
    routes.route("/theme", web::get().to(choose_theme));
    routes.route("/public", web::to(page));
    routes.route("/guarded", web::to(page_guarded_by_hand));
    routes.service(web::resource("/wrapped").wrap(from_fn(by_hand)).to(page));
}

fn login_manager() -> LoginManager {
    manager(&Users::new()).0.build(key()).unwrap()
}

/// The session middleware that the manager sets up.
fn session_middleware() -> SessionMiddleware<CookieSessionStore> {
    SessionMiddleware::builder(CookieSessionStore::default(), key())
        .cookie_name("__Host-session".to_owned())
        .build()
}

/// A cookie of a session without a login.
async fn session_cookie<S, B>(app: &S) -> String
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let response = app
        .call(TestRequest::get().uri("/theme").to_request())
        .await
        .unwrap();
    let cookie = response.response().cookies().next().unwrap();
    format!("{}={}", cookie.name(), cookie.value())
}

/// The answer of a page, and the number of allocations in [`REQUESTS`] requests.
struct Measured {
    status: u16,
    headers: BTreeMap<String, String>,
    allocations: u64,
}

fn measure<S, B>(app: &S, method: &Method, path: &str, cookie: Option<&str>) -> Measured
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let request = || {
        let mut request = TestRequest::default().method(method.clone()).uri(path);
        if let Some(cookie) = cookie {
            request = request.insert_header((header::COOKIE, cookie));
        }
        request.to_request()
    };
    let answer = || {
        app.call(request())
            .now_or_never()
            .expect("nothing to wait for")
            .unwrap()
    };
    // The first requests fill the pools that the later ones draw from.
    for _ in 0..10 {
        answer();
    }
    let response = answer();
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    drop(response);
    let allocations = (0..REQUESTS)
        .map(|_| {
            let request = request();
            let counted = allocation_counter::measure(|| {
                drop(app.call(request).now_or_never());
            });
            counted.count_total
        })
        .sum();
    Measured {
        status,
        headers,
        allocations,
    }
}

/// Asserts that the toolkit's page answers like the page by hand, with no more allocations.
#[track_caller]
fn compare(what: &str, ours: &Measured, by_hand: &Measured) {
    assert_eq!(
        (ours.status, &ours.headers),
        (by_hand.status, &by_hand.headers),
        "{what}"
    );
    assert!(
        ours.allocations <= by_hand.allocations,
        "{what}: {} allocations, and {} by hand, in {REQUESTS} requests",
        ours.allocations,
        by_hand.allocations,
    );
}

#[actix_web::test]
async fn a_guard_allocates_no_more_than_one_written_by_hand() {
    let ours = init_service(App::new().wrap(login_manager()).configure(routes)).await;
    let theirs = init_service(
        App::new()
            .wrap(session_middleware())
            .configure(routes_by_hand),
    )
    .await;
    let (our_cookie, their_cookie) = (session_cookie(&ours).await, session_cookie(&theirs).await);
    for with_cookie in [false, true] {
        let our_cookie = with_cookie.then_some(&*our_cookie);
        let their_cookie = with_cookie.then_some(&*their_cookie);
        let session = if with_cookie {
            "in a session without a login"
        } else {
            "without a session"
        };
        for (what, method, path, path_by_hand) in [
            ("a page without a guard", Method::GET, "/public", "/public"),
            ("a refusal with `next`", Method::GET, "/guarded", "/guarded"),
            (
                "a refusal without `next`",
                Method::POST,
                "/guarded",
                "/guarded",
            ),
            ("an exempt request", Method::OPTIONS, "/exempt", "/public"),
            (
                "a refusal around a resource",
                Method::GET,
                "/wrapped",
                "/wrapped",
            ),
            (
                "an exempt request to a resource",
                Method::OPTIONS,
                "/wrapped",
                "/wrapped",
            ),
        ] {
            compare(
                &format!("{what}, {session}"),
                &measure(&ours, &method, path, our_cookie),
                &measure(&theirs, &method, path_by_hand, their_cookie),
            );
        }
    }
}

/// The counting can fail.
#[actix_web::test]
async fn an_allocation_more_is_noticed() {
    async fn wasteful(request: HttpRequest) -> HttpResponse {
        std::hint::black_box(request.path().to_owned());
        HttpResponse::Ok().finish()
    }

    let app = init_service(
        App::new()
            .route("/frugal", web::to(page))
            .route("/wasted", web::to(wasteful)),
    )
    .await;
    let frugal = measure(&app, &Method::GET, "/frugal", None);
    let wasted = measure(&app, &Method::GET, "/wasted", None);
    assert_eq!(wasted.allocations, frugal.allocations + REQUESTS);
}
