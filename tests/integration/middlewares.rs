//! Middlewares of others, outside and inside the login manager, with and without deny by default.

use std::{cell::RefCell, rc::Rc, time::Duration};

use actix_cors::Cors;
use actix_extensible_rate_limit::{
    RateLimiter,
    backend::{SimpleInputFunctionBuilder, memory::InMemoryBackend},
};
use actix_web::{
    App, Error, HttpRequest, Responder,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    get,
    http::{Method, StatusCode, header},
    middleware::{
        Compat, Compress, Condition, DefaultHeaders, ErrorHandlerResponse, ErrorHandlers, Logger,
        Next, NormalizePath, from_fn,
    },
    test::init_service,
    web,
};
use login_runtime::{CurrentUser, guards::routes_behind, login_required, public, test::Browser};
use login_tests::{User, Users, key, manager};
use tracing_actix_web::TracingLogger;

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> impl Responder {
    user.name.clone()
}

#[public]
#[get("/about")]
async fn about() -> impl Responder {
    "about us"
}

#[get("/forgotten")]
async fn forgotten() -> impl Responder {
    "forgotten"
}

fn routes(app: &mut web::ServiceConfig) {
    app.service((account, about, forgotten));
}

/// What clients get, in the order of [`ASKED`].
type Answers = [String; 7];

/// The requests: without a login, but for the last but one.
const ASKED: [&str; 7] = [
    "a program asks for /account",
    "a browser asks for /account",
    "anybody asks for /about",
    "a program asks for /forgotten, which declares nothing",
    "a program asks for /nowhere, which does not exist",
    "Ada asks for /account",
    "a page of another origin asks before it sends a request to /account",
];

async fn ask<S, B>(app: &S) -> Answers
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let short = |answer: login_runtime::test::Answer| {
        let text = match answer.location() {
            Some(location) => location.to_owned(),
            None if answer.status() == 200 => answer.text(),
            None => String::new(),
        };
        format!("{} {text}", answer.status()).trim_end().to_owned()
    };
    let browser = Browser::new(app);
    let program = |path| browser.get(path).header("accept", "application/json");
    let origin = "https://other.test";
    let preflight = browser
        .ask(Method::OPTIONS, "/account")
        .header("origin", origin)
        .header("access-control-request-method", "GET");
    let answers = [
        short(program("/account").await),
        short(browser.get("/account").header("accept", "text/html").await),
        short(browser.get("/about").await),
        short(program("/forgotten").await),
        short(program("/nowhere").await),
        String::new(),
        {
            let answer = preflight.await;
            let allowed = answer.header("access-control-allow-origin").is_some();
            format!(
                "{} {}",
                answer.status(),
                if allowed { "allowed" } else { "not allowed" }
            )
        },
    ];
    let ada = Browser::new(app);
    ada.log_in(User::new(1, "ada")).await;
    let mut answers = answers;
    answers[5] = short(ada.get("/account").await);
    answers
}

/// The answers with a middleware inside or outside the manager.
macro_rules! answers {
    ($middleware:expr, inside, $deny:expr) => {
        ask(&init_service(
            App::new()
                .wrap(Compat::new($middleware))
                .wrap(Compat::new(login_manager($deny)))
                .configure(routes),
        )
        .await)
        .await
    };
    ($middleware:expr, outside, $deny:expr) => {
        ask(&init_service(
            App::new()
                .wrap(Compat::new(login_manager($deny)))
                .wrap(Compat::new($middleware))
                .configure(routes),
        )
        .await)
        .await
    };
}

fn login_manager(deny: bool) -> login_runtime::LoginManager {
    let (builder, _clock) = manager(&Users::new());
    let builder = if deny {
        builder.deny_by_default()
    } else {
        builder
    };
    builder.build(key()).unwrap()
}
macro_rules! show {
    ($name:literal, $middleware:expr) => {
        for deny in [false, true] {
            println!(
                "{} outside deny={deny}: {:?}",
                $name,
                answers!($middleware, outside, deny)
            );
            println!(
                "{} inside  deny={deny}: {:?}",
                $name,
                answers!($middleware, inside, deny)
            );
        }
    };
}

async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}
async fn wait_pass(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    tokio::task::yield_now().await;
    next.call(request).await
}

#[actix_web::test]
async fn show() {
    show!("none", Condition::new(false, DefaultHeaders::new()));
    show!("Logger", Logger::default());
    show!("Compress", Compress::default());
    show!("NormalizePath", NormalizePath::trim());
    show!("Cors", Cors::permissive());
    show!(
        "ErrorHandlers",
        ErrorHandlers::new().handler(
            StatusCode::UNAUTHORIZED,
            |mut response: ServiceResponse<_>| {
                response
                    .response_mut()
                    .headers_mut()
                    .insert(header::SERVER, header::HeaderValue::from_static("x"));
                Ok(ErrorHandlerResponse::Response(
                    response.map_into_left_body(),
                ))
            }
        )
    );
    show!("Condition", Condition::new(true, DefaultHeaders::new()));
    show!("DefaultHeaders", DefaultHeaders::new().add(("x-a", "b")));
    show!("from_fn", from_fn(pass));
    show!("from_fn_wait", from_fn(wait_pass));
    show!("tracing", TracingLogger::default());
    let backend = InMemoryBackend::builder().build();
    let limit = || {
        let input = SimpleInputFunctionBuilder::new(Duration::from_secs(60), 5000)
            .custom_key("all")
            .build();
        RateLimiter::builder(backend.clone(), input).build()
    };
    show!("limit", limit());
}
