//! Answers that depend on who asks: no cache may give them to somebody else.

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, CurrentUser,
    config::LoginManagerBuilder,
    fresh_login_required,
    guards::{Refusal, RefusedRequest},
    login_required,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager};

use crate::world::App;

#[track_caller]
fn assert_private(answer: &Answer, page: &str) {
    let status = answer.status();
    assert_eq!(
        answer.header("cache-control"),
        Some("no-store"),
        "{page}: {status}"
    );
    assert_eq!(answer.header("vary"), Some("Cookie"), "{page}: {status}");
}

async fn shown() -> &'static str {
    "shown"
}

#[login_required]
async fn account() -> &'static str {
    "account"
}

#[fresh_login_required]
async fn settings() -> &'static str {
    "settings"
}

#[login_required(role = "nobody")]
async fn forbidden() -> &'static str {
    "forbidden"
}

async fn required(auth: Auth<User>) -> Result<&'static str, Error> {
    auth.require_login().await?;
    Ok("required")
}

async fn refused(auth: Auth<User>, kind: web::Path<String>) -> Refusal {
    match kind.as_str() {
        "unauthorized" => auth.unauthorized().await,
        "stale" => auth.needs_refresh().await,
        _ => auth.forbidden().await,
    }
}

/// A middleware of the application that asks for the user, and returns the refusal as an error.
async fn asks(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    request.extract::<CurrentUser<User>>().await?;
    next.call(request).await
}

fn routes(routes: &mut ServiceConfig) {
    let scope = |path: &str| web::resource(path.to_owned());
    routes
        .route("/account", web::get().to(account))
        .route("/settings", web::get().to(settings))
        .route("/forbidden", web::get().to(forbidden))
        .route("/required", web::get().to(required))
        .route("/undeclared", web::get().to(shown))
        .service(
            scope("/refused/{kind}")
                .to(|auth, kind| async { refused(auth, kind).await.into_response() }),
        )
        .service(scope("/scope").wrap(login_required()).to(shown))
        .service(scope("/scope/fresh").wrap(fresh_login_required()).to(shown))
        .service(
            scope("/scope/role")
                .wrap(login_required().role("nobody"))
                .to(shown),
        )
        .service(scope("/asks").wrap(from_fn(asks)).to(shown));
}

/// Pages that an anonymous client does not get.
const CLOSED: &[&str] = &[
    "/account",
    "/settings",
    "/forbidden",
    "/required",
    "/refused/unauthorized",
    "/scope",
    "/scope/fresh",
    "/scope/role",
    "/asks",
];

const STALE: &[&str] = &["/settings", "/scope/fresh", "/refused/stale"];

const FORBIDDEN: &[&str] = &["/forbidden", "/scope/role", "/refused/forbidden"];

async fn site(builder: LoginManagerBuilder) -> impl App {
    app(builder.build(key()).unwrap(), routes).await
}

/// These settings with and without deny by default, and the pages that are closed then.
fn closing(
    builder: impl Fn() -> LoginManagerBuilder,
) -> [(LoginManagerBuilder, Vec<&'static str>); 2] {
    let undeclared = [CLOSED, &["/undeclared"]].concat();
    [
        (builder(), CLOSED.to_vec()),
        (builder().deny_by_default(), undeclared),
    ]
}

async fn own(_: RefusedRequest) -> HttpResponse {
    HttpResponse::Ok().body("our own answer")
}

#[actix_web::test]
async fn no_cache_keeps_what_the_application_answers_itself_to_a_refused_client() {
    let builder = || {
        let builder = manager(&Users::new()).0.unauthorized_handler(own);
        builder.needs_refresh_handler(own).forbidden_handler(own)
    };
    for (builder, closed) in closing(builder) {
        let app = site(builder).await;
        let check = async |browser: &Browser<'_, _>, pages: &[&str]| {
            for page in pages {
                let answer = browser.get(page).await;
                assert_eq!(answer.text(), "our own answer", "{page}");
                assert_private(&answer, page);
            }
        };
        let browser = Browser::new(&app);
        check(&browser, &closed).await;
        browser.set_cookie("theme", "dark");
        check(&browser, &closed).await;
        browser.log_in(User::new(1, "ada")).stale().await;
        check(&browser, STALE).await;
        check(&browser, FORBIDDEN).await;
    }
}

#[actix_web::test]
async fn no_cache_keeps_a_refusal() {
    let plain = || manager(&Users::new()).0;
    let with_view = || plain().refresh_view("/refresh");
    let views = [(303, closing(with_view)), (401, closing(plain))];
    let views = views
        .into_iter()
        .flat_map(|(stale, apps)| apps.map(|app| (stale, app)));
    for (stale, (builder, closed)) in views {
        let app = site(builder).await;
        let browser = Browser::new(&app);
        let check = async |browser: &Browser<'_, _>, pages: &[&str], status: u16| {
            for page in pages {
                for accept in ["text/html", "application/json"] {
                    let answer = browser.get(page).header("accept", accept).await;
                    let expected = match (status, accept) {
                        (303, "application/json") => 401,
                        _ => status,
                    };
                    assert_eq!(answer.status(), expected, "{page}");
                    assert_private(&answer, page);
                }
            }
        };
        check(&browser, &closed, 303).await;
        browser.log_in(User::new(1, "ada")).stale().await;
        check(&browser, STALE, stale).await;
        check(&browser, FORBIDDEN, 403).await;
    }
}

#[actix_web::test]
async fn the_applications_own_word_about_caches_stays() {
    let builder = manager(&Users::new()).0;
    let builder = builder.unauthorized_handler(|_| async {
        HttpResponse::Unauthorized()
            .insert_header(("cache-control", "private, max-age=60"))
            .insert_header(("vary", "Accept"))
            .finish()
    });
    let app = site(builder).await;
    let answer = Browser::new(&app).get("/account").await;
    assert_eq!(answer.header("cache-control"), Some("private, max-age=60"));
    let vary: Vec<_> = answer.headers().get_all("vary").collect();
    assert_eq!(vary, ["Accept", "Cookie"]);
}

#[actix_web::test]
async fn no_cache_keeps_the_answer_to_a_failed_load() {
    let users = Users::new();
    let default = || manager(&users).0;
    let own = || default().load_error_handler(|_, _| HttpResponse::Ok().body("try later"));
    let apps = [(503, closing(default)), (200, closing(own))];
    let apps = apps
        .into_iter()
        .flat_map(|(status, apps)| apps.map(|app| (status, app)));
    for (status, (builder, closed)) in apps {
        let app = site(builder).await;
        let browser = Browser::new(&app);
        browser.log_in(User::new(1, "ada")).await;
        users.set_down(true);
        for page in closed
            .into_iter()
            .filter(|page| *page != "/refused/unauthorized")
        {
            let answer = browser.get(page).await;
            assert_eq!(answer.status(), status, "{page}");
            assert_private(&answer, page);
        }
        users.set_down(false);
    }
}
