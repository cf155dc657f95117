//! Middlewares of others, outside and inside the login manager, with and without deny by default. The
//! guide's page on middlewares says the same in words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::time::Duration;

use actix_cors::Cors;
use actix_extensible_rate_limit::{
    RateLimiter,
    backend::{SimpleInputFunctionBuilder, memory::InMemoryBackend},
};
use actix_web::{
    App, Error, Responder,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    get,
    http::{Method, StatusCode, header},
    middleware::{
        Compat, Compress, Condition, DefaultHeaders, ErrorHandlerResponse, ErrorHandlers, Logger,
        Next, NormalizePath, from_fn,
    },
    test::init_service,
    web,
};
use login_runtime::{
    CurrentUser, LoginManager,
    guards::routes_behind,
    login_required, public,
    test::{
        Answer, Browser,
        strict::{Rule, tolerate},
    },
};
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

/// The requests, and what clients get if there is only the login manager.
struct Answers {
    /// A program without a login asks for `/account`, which is guarded.
    program: String,
    /// A browser without a login asks for it.
    browser: String,
    /// A client without a login asks for `/about`, which is declared public.
    about: String,
    /// A client without a login asks for `/forgotten`, which declares nothing.
    forgotten: String,
    /// A client without a login asks for `/nowhere`, which does not exist.
    nowhere: String,
    /// Ada, who is logged in, asks for `/account`.
    ada: String,
    /// A browser asks whether a page of another origin may ask for `/account`.
    preflight: String,
    /// The headers of the first two and of the fourth answer.
    refused: Vec<Answer>,
}

impl Answers {
    /// The texts of all answers, in the order of the fields.
    fn texts(&self) -> [&str; 7] {
        [
            &self.program,
            &self.browser,
            &self.about,
            &self.forgotten,
            &self.nowhere,
            &self.ada,
            &self.preflight,
        ]
    }
}

/// The answers with a login manager alone.
fn alone(deny: bool) -> [&'static str; 7] {
    [
        "401",
        "303 /login?next=/account",
        "200 about us",
        if deny { "401" } else { "200 forgotten" },
        "404",
        "200 ada",
        // Nobody may ask from another origin: without CORS no route takes the request.
        if deny { "303" } else { "404" },
    ]
}

async fn ask<S, B>(app: &S) -> Answers
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let short = |answer: &Answer| {
        let text = match answer.location() {
            Some(location) => location.to_owned(),
            None if answer.status() == 200 => answer.text(),
            None => String::new(),
        };
        format!("{} {text}", answer.status()).trim_end().to_owned()
    };
    let browser = Browser::new(app);
    let program = |path| browser.get(path).header("accept", "application/json");
    let refused = vec![
        program("/account").await,
        browser.get("/account").header("accept", "text/html").await,
        program("/forgotten").await,
    ];
    let preflight = browser
        .ask(Method::OPTIONS, "/account")
        .header("origin", "https://other.test")
        .header("access-control-request-method", "GET")
        .await;
    let allowed = preflight.header("access-control-allow-origin").is_some();
    let ada = Browser::new(app);
    ada.log_in(User::new(1, "ada")).await;
    Answers {
        program: short(&refused[0]),
        browser: short(&refused[1]),
        forgotten: short(&refused[2]),
        about: short(&browser.get("/about").await),
        nowhere: short(&program("/nowhere").await),
        ada: short(&ada.get("/account").await),
        preflight: match allowed {
            true => format!("{} allowed", preflight.status()),
            false => preflight.status().to_string(),
        },
        refused,
    }
}

fn login_manager(deny: bool) -> LoginManager {
    let (builder, _clock) = manager(&Users::new());
    let builder = if deny {
        builder.deny_by_default()
    } else {
        builder
    };
    builder.build(key()).unwrap()
}

/// The answers with a middleware inside the manager.
macro_rules! inside {
    ($middleware:expr, $deny:expr) => {
        ask(&init_service(
            App::new()
                .wrap(Compat::new($middleware))
                .wrap(Compat::new(login_manager($deny)))
                .configure(routes),
        )
        .await)
        .await
    };
}

/// The answers with a middleware outside the manager.
macro_rules! outside {
    ($middleware:expr, $deny:expr) => {
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

/// Asserts that nothing changes in any of the four combinations.
macro_rules! changes_nothing {
    ($middleware:expr) => {
        for deny in [false, true] {
            assert_eq!(outside!($middleware, deny).texts(), alone(deny), "outside");
            assert_eq!(inside!($middleware, deny).texts(), alone(deny), "inside");
        }
    };
}

/// Asserts that nothing changes but that, inside a manager which denies by default, public routes are
/// closed, and open again in `routes_behind`.
macro_rules! hides_declarations {
    ($middleware:expr) => {
        for deny in [false, true] {
            assert_eq!(outside!($middleware, deny).texts(), alone(deny), "outside");
            let behind = inside!(routes_behind($middleware), deny);
            assert_eq!(behind.texts(), alone(deny), "inside, in `routes_behind`");
        }
        assert_eq!(inside!($middleware, false).texts(), alone(false), "inside");
        let mut closed = alone(true);
        closed[2] = "303 /login?next=/about";
        assert_eq!(inside!($middleware, true).texts(), closed, "inside");
    };
}

#[actix_web::test]
async fn loggers_compression_and_headers_change_no_decision() {
    changes_nothing!(Condition::new(false, DefaultHeaders::new()));
    changes_nothing!(Condition::new(true, DefaultHeaders::new()));
    changes_nothing!(DefaultHeaders::new().add(("x-page", "1")));
    changes_nothing!(Logger::default());
    changes_nothing!(Compress::default());
    changes_nothing!(NormalizePath::trim());
    changes_nothing!(TracingLogger::default());
    changes_nothing!(error_handlers());
}

#[actix_web::test]
async fn a_middleware_that_waits_hides_declarations_unless_it_is_outside_or_in_routes_behind() {
    async fn wait(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        tokio::task::yield_now().await;
        next.call(request).await
    }
    hides_declarations!(from_fn(wait));

    async fn pass(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        next.call(request).await
    }
    hides_declarations!(from_fn(pass));
}

#[actix_web::test]
async fn a_rate_limiter_outside_counts_refused_requests_and_inside_hides_declarations() {
    let backend = InMemoryBackend::builder().build();
    let limiter = |limit| {
        let input = SimpleInputFunctionBuilder::new(Duration::from_secs(60), limit);
        let input = input.custom_key(&limit.to_string()).build();
        RateLimiter::builder(backend.clone(), input).build()
    };
    hides_declarations!(limiter(5_000));
    let app = App::new().wrap(Compat::new(login_manager(true)));
    let app = app.wrap(limiter(3)).configure(routes);
    let app = init_service(app).await;
    let browser = Browser::new(&app);
    let why = "this rate limiter does not say when to try again";
    let _limited = tolerate(&[Rule::RetryAfter], "", why);
    for _ in 0..3 {
        assert_eq!(browser.get("/account").await.status(), 303);
    }
    assert_eq!(browser.get("/account").await.status(), 429);
}

#[actix_web::test]
async fn a_preflight_passes_cors_outside_the_manager_and_is_refused_inside_if_it_denies() {
    for deny in [false, true] {
        let mut allowed = alone(deny);
        allowed[6] = "200 allowed";
        assert_eq!(outside!(Cors::permissive(), deny).texts(), allowed);
        if !deny {
            assert_eq!(inside!(Cors::permissive(), deny).texts(), allowed);
        }
    }
    assert_eq!(inside!(Cors::permissive(), true).texts(), alone(true));
}

#[actix_web::test]
async fn a_script_of_an_allowed_origin_can_read_that_it_was_refused() {
    let app = App::new()
        .wrap(Compat::new(login_manager(true)))
        .wrap(Cors::permissive().supports_credentials())
        .configure(routes);
    let app = init_service(app).await;
    let browser = Browser::new(&app);
    for path in ["/account", "/forgotten"] {
        let answer = browser.get(path).header("accept", "application/json");
        let answer = answer.header("origin", "https://other.test").await;
        assert_eq!(answer.status(), 401, "{path}");
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://other.test"), "{path}");
    }
}

/// Marks every 401.
fn error_handlers<B: 'static>() -> ErrorHandlers<B> {
    ErrorHandlers::new().handler(
        StatusCode::UNAUTHORIZED,
        |mut response: ServiceResponse<B>| {
            let mark = header::HeaderValue::from_static("seen");
            response.headers_mut().insert(header::SERVER, mark);
            let response = response.map_into_left_body();
            Ok(ErrorHandlerResponse::Response(response))
        },
    )
}

#[actix_web::test]
async fn error_handlers_and_default_headers_reach_refusals_by_default_only_from_outside() {
    let is_marked = |answer: &Answer| answer.header("server") == Some("seen");
    for deny in [false, true] {
        let outside = outside!(error_handlers(), deny);
        assert!(is_marked(&outside.refused[0]), "a guard's");
        assert_eq!(is_marked(&outside.refused[2]), deny, "the manager's own");
        let inside = inside!(error_handlers(), deny);
        assert!(!is_marked(&inside.refused[2]), "the manager's own");
    }
    for deny in [false, true] {
        assert!(
            is_marked(&inside!(error_handlers(), deny).refused[0]),
            "a guard's"
        );
    }

    let headers = || DefaultHeaders::new().add(("server", "seen"));
    for deny in [false, true] {
        let outside = outside!(headers(), deny);
        assert!(outside.refused.iter().all(is_marked), "outside");
        let inside = inside!(headers(), deny);
        assert_eq!(is_marked(&inside.refused[2]), !deny, "the manager's own");
    }
}

#[actix_web::test]
async fn refusals_stay_out_of_caches_when_they_are_compressed() {
    for deny in [false, true] {
        for answers in [
            outside!(Compress::default(), deny),
            inside!(Compress::default(), deny),
        ] {
            for answer in &answers.refused[..2] {
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                let mut vary = answer.headers().get_all("vary");
                assert!(vary.any(|vary| vary.to_str().is_ok_and(|vary| vary.contains("Cookie"))));
            }
        }
    }
}

#[actix_web::test]
async fn a_normalized_path_is_guarded_like_the_path_itself() {
    for deny in [false, true] {
        let manager = || Compat::new(login_manager(deny));
        let outside = App::new().wrap(manager()).wrap(NormalizePath::trim());
        let outside = init_service(outside.configure(routes)).await;
        let inside = App::new().wrap(NormalizePath::trim()).wrap(manager());
        let inside = init_service(inside.configure(routes)).await;
        for path in ["/account/", "//account", "/account//"] {
            let answer = Browser::new(&outside).get(path).await;
            assert_eq!(answer.location(), Some("/login?next=/account"), "{path}");
            let answer = Browser::new(&inside).get(path).await;
            assert_eq!(answer.location(), Some("/login?next=/account"), "{path}");
        }
    }
}

#[test]
fn the_guide_names_every_middleware_with_its_place() {
    let guide = include_str!("../../login-runtime/src/guide/middlewares.md");
    let rows = guide.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<_> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().to_owned());
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    for (name, place) in [
        ("`Logger`", "outside"),
        ("`TracingLogger`", "outside"),
        ("`Compress`", "outside"),
        ("`NormalizePath`", "outside"),
        ("`Cors`", "outside"),
        ("`ErrorHandlers`", "outside"),
        ("`DefaultHeaders`", "outside"),
        ("`Condition`", "as what it contains"),
        ("a rate limiter", "outside"),
        ("`from_fn`", "outside, or in `routes_behind`"),
    ] {
        let row = (name.to_owned(), place.to_owned());
        assert!(rows.contains(&row), "{row:?}");
    }
}
