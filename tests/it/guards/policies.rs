//! What guards ask for: user types, freshness, OPTIONS.

use std::time::Duration;

use actix_http::Request;
use actix_web::{
    Error,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    get,
    http::Method,
    post, route,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, CurrentUser, LoginError, fresh_login_required, login_required,
    test::{Browser, TestClock},
};
use login_tests::{Admin, User, Users, app, key, load_admin, manager};

use super::ada;

/// An application whose manager knows users and admins.
async fn two_kinds(
    routes: impl FnOnce(&mut ServiceConfig),
) -> (
    impl Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
    TestClock,
) {
    let (builder, clock) = manager(&Users::new());
    let manager = builder.user_loader(load_admin).build(key()).unwrap();
    (app(manager, routes).await, clock)
}

#[login_required]
#[get("/users")]
async fn for_users() -> &'static str {
    "users"
}

#[login_required(user = User)]
#[get("/named")]
async fn for_named_users(user: CurrentUser<User>) -> String {
    format!("named {}", user.name)
}

#[login_required(user = Admin)]
#[get("/admins")]
async fn for_admins(admin: CurrentUser<Admin>) -> String {
    format!("admin {}", admin.login)
}

#[get("/fresh-admins")]
#[fresh_login_required(user = login_tests::Admin)]
async fn for_fresh_admins() -> &'static str {
    "fresh admins"
}

#[login_required]
#[login_required(user = Admin)]
#[get("/both")]
async fn for_both(user: CurrentUser<User>, admin: CurrentUser<Admin>) -> String {
    format!("{} and {}", user.name, admin.login)
}

#[post("/logout/user")]
async fn log_out_user(auth: Auth<User>) -> Result<&'static str, LoginError> {
    auth.log_out().await?;
    Ok("")
}

#[post("/logout/admin")]
async fn log_out_admin(auth: Auth<Admin>) -> Result<&'static str, LoginError> {
    auth.log_out().await?;
    Ok("")
}

fn two_kinds_of_routes(routes: &mut ServiceConfig) {
    routes
        .service(for_users)
        .service(for_named_users)
        .service(for_admins);
    routes.service(for_fresh_admins).service(for_both);
    routes.service(log_out_user).service(log_out_admin);
}

/// The statuses of the pages for users, for admins, and for who is both.
async fn statuses<S>(browser: &Browser<'_, S>) -> [u16; 5]
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let mut statuses = [0; 5];
    let pages = ["/users", "/named", "/admins", "/fresh-admins", "/both"];
    for (status, page) in statuses.iter_mut().zip(pages) {
        *status = browser.get(page).await.status();
    }
    statuses
}

#[actix_web::test]
async fn a_login_of_one_user_type_says_nothing_about_another() {
    let (app, _) = two_kinds(two_kinds_of_routes).await;
    let browser = Browser::new(&app);
    assert_eq!(statuses(&browser).await, [303; 5]);

    browser.log_in(ada()).await;
    assert_eq!(statuses(&browser).await, [200, 200, 303, 303, 303]);

    let other = Browser::new(&app);
    other.log_in(Admin::new("root")).await;
    assert_eq!(statuses(&other).await, [303, 303, 200, 200, 303]);
    assert_eq!(other.get("/admins").await.text(), "admin root");

    browser.log_in(Admin::new("root")).await;
    assert_eq!(statuses(&browser).await, [200; 5]);
    assert_eq!(browser.get("/both").await.text(), "ada and root");
}

#[actix_web::test]
async fn logging_out_one_user_type_keeps_the_other() {
    let (app, _) = two_kinds(two_kinds_of_routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    browser.log_in(Admin::new("root")).await;
    let other = browser.copy();

    browser.post("/logout/user").await;
    assert_eq!(statuses(&browser).await, [303, 303, 200, 200, 303]);
    browser.post("/logout/admin").await;
    assert_eq!(statuses(&browser).await, [303; 5]);

    other.post("/logout/admin").await;
    assert_eq!(statuses(&other).await, [200, 200, 303, 303, 303]);
}

#[login_required]
#[fresh_login_required]
#[get("/stacked/login-first")]
async fn stacked_login_first() -> &'static str {
    "stacked"
}

#[fresh_login_required]
#[get("/stacked/fresh-first")]
#[login_required]
async fn stacked_fresh_first() -> &'static str {
    "stacked"
}

#[get("/stacked/below")]
#[fresh_login_required]
#[login_required]
async fn stacked_below() -> &'static str {
    "stacked"
}

#[login_required(fresh)]
#[get("/stacked/option")]
async fn fresh_by_option() -> &'static str {
    "stacked"
}

#[actix_web::test]
async fn a_stale_login_passes_one_guard_of_two() {
    let (app, _) = two_kinds(|routes| {
        routes.service(for_users).service(fresh_by_option);
        routes
            .service(stacked_login_first)
            .service(stacked_fresh_first)
            .service(stacked_below);
    })
    .await;
    let browser = Browser::new(&app);
    let pages = [
        "/stacked/login-first",
        "/stacked/fresh-first",
        "/stacked/below",
        "/stacked/option",
    ];
    for page in pages {
        let answer = browser.get(page).await;
        // Nobody is logged in, which is said before the freshness of a login is.
        answer.assert_redirects_to_login("/login", page);
    }
    browser.log_in(ada()).stale().await;
    for page in pages {
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 401, "{page}");
        assert_eq!(
            answer.text(),
            "Unauthorized: give your credentials again first.",
            "{page}"
        );
    }
    assert_eq!(browser.get("/users").await.text(), "users");
    browser.log_in(ada()).await;
    for page in pages {
        assert_eq!(browser.get(page).await.text(), "stacked", "{page}");
    }
}

#[actix_web::test]
async fn a_stale_login_of_the_right_type_is_not_made_up_for_by_a_fresh_one_of_another() {
    let (app, _) = two_kinds(two_kinds_of_routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    browser.log_in(Admin::new("root")).stale().await;
    assert_eq!(statuses(&browser).await, [200, 200, 200, 401, 200]);
    browser.log_in(Admin::new("root")).await;
    assert_eq!(statuses(&browser).await, [200; 5]);
}

#[login_required(fresh = "10m")]
#[get("/aged/fresh")]
async fn aged_by_fresh() -> &'static str {
    "aged"
}

#[get("/aged/max-age")]
#[fresh_login_required(max_age = "10m")]
async fn aged_by_max_age() -> &'static str {
    "aged"
}

#[fresh_login_required(max_age = "0s")]
#[get("/aged/none")]
async fn aged_by_none() -> &'static str {
    "aged"
}

#[actix_web::test]
async fn a_fresh_login_grows_too_old() {
    let (app, clock) = two_kinds(|routes| {
        routes
            .service(aged_by_fresh)
            .service(aged_by_max_age)
            .service(aged_by_none);
        routes.service(stacked_below);
        routes.service(
            web::resource("/aged/wrapped")
                .wrap(login_required().max_age(Duration::from_secs(600)))
                .to(async || "aged"),
        );
    })
    .await;
    let browser = Browser::new(&app);
    let pages = ["/aged/fresh", "/aged/max-age", "/aged/wrapped"];
    for page in pages {
        assert_eq!(browser.get(page).await.status(), 303, "{page}");
    }
    browser.log_in(ada()).await;
    assert_eq!(browser.get("/aged/none").await.text(), "aged");
    clock.advance(Duration::from_secs(1));
    assert_eq!(browser.get("/aged/none").await.status(), 401);
    for (age, status) in [(599, 200), (600, 200), (601, 401)] {
        clock.set(login_tests::START + age);
        for page in pages {
            assert_eq!(
                browser.get(page).await.status(),
                status,
                "{page} after {age} seconds"
            );
        }
    }
    // Only the guard with an age is past it.
    assert_eq!(browser.get("/stacked/below").await.status(), 200);
    // The challenge says what would do (RFC 9470 §3).
    let challenge = browser.get("/aged/max-age").await;
    let challenge = challenge.header("www-authenticate").unwrap();
    assert!(challenge.contains("max_age=\"600\""), "{challenge}");
}

#[actix_web::test]
async fn the_manager_says_how_old_a_fresh_login_may_be_and_a_guard_knows_better() {
    let (builder, clock) = manager(&Users::new());
    let manager = builder
        .fresh_for(Duration::from_secs(60))
        .build(key())
        .unwrap();
    let app = app(manager, |routes| {
        routes
            .service(stacked_below)
            .service(fresh_by_option)
            .service(aged_by_fresh);
        routes.service(
            web::resource("/wrapped")
                .wrap(fresh_login_required())
                .to(async || "wrapped"),
        );
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for (age, status) in [(59, 200), (60, 200), (61, 401)] {
        clock.set(login_tests::START + age);
        for page in ["/stacked/below", "/stacked/option", "/wrapped"] {
            assert_eq!(
                browser.get(page).await.status(),
                status,
                "{page} after {age} seconds"
            );
        }
        assert_eq!(browser.get("/aged/fresh").await.status(), 200);
    }
}

#[login_required(exempt_options)]
#[route("/exempt", method = "GET", method = "OPTIONS")]
async fn exempt() -> &'static str {
    "exempt"
}

#[fresh_login_required(exempt_options)]
#[route("/fresh-exempt", method = "GET", method = "OPTIONS")]
async fn fresh_exempt() -> &'static str {
    "exempt"
}

#[login_required(exempt_options)]
async fn exempt_by_any_method() -> &'static str {
    "exempt"
}

#[login_required]
#[route("/not-exempt", method = "GET", method = "OPTIONS")]
async fn not_exempt() -> &'static str {
    "not exempt"
}

#[login_required(exempt_options)]
#[route("/exempt-for-a-user", method = "GET", method = "OPTIONS")]
async fn exempt_for_a_user(user: CurrentUser<User>) -> String {
    user.name.clone()
}

fn exempt_routes(routes: &mut ServiceConfig) {
    routes
        .service(exempt)
        .service(fresh_exempt)
        .service(not_exempt)
        .service(exempt_for_a_user);
    routes.route("/exempt/any", web::to(exempt_by_any_method));
    routes.service(
        web::resource("/exempt/wrapped")
            .wrap(login_required().exempt_options())
            .to(async || "exempt"),
    );
}

#[actix_web::test]
async fn options_pass_only_where_they_are_exempt() {
    let (app, _) = two_kinds(exempt_routes).await;
    let browser = Browser::new(&app);
    let options = |path| browser.ask(Method::OPTIONS, path);
    assert_eq!(options("/not-exempt").await.status(), 303);
    // Whoever wants the user wants it of an OPTIONS request too.
    assert_eq!(options("/exempt-for-a-user").await.status(), 303);
    for path in ["/exempt", "/fresh-exempt", "/exempt/any", "/exempt/wrapped"] {
        assert_eq!(browser.get(path).await.status(), 303, "{path}");
        assert_eq!(options(path).await.text(), "exempt", "{path}");
    }
    // Methods are case-sensitive (RFC 9110 §9.1): this is another one.
    for path in ["/exempt/any", "/exempt/wrapped"] {
        let odd = Method::from_bytes(b"options").unwrap();
        assert_eq!(browser.ask(odd, path).await.status(), 303, "{path}");
    }
    browser.log_in(ada()).await;
    for path in [
        "/not-exempt",
        "/exempt-for-a-user",
        "/exempt",
        "/exempt/any",
    ] {
        assert_eq!(options(path).await.status(), 200, "{path}");
        assert_eq!(browser.get(path).await.status(), 200, "{path}");
    }
}

#[actix_web::test]
async fn a_manager_can_exempt_options_everywhere() {
    let (builder, _) = manager(&Users::new());
    let app = app(
        builder.exempt_options().build(key()).unwrap(),
        exempt_routes,
    )
    .await;
    let browser = Browser::new(&app);
    for path in ["/not-exempt", "/exempt", "/exempt/any", "/exempt/wrapped"] {
        assert_eq!(browser.get(path).await.status(), 303, "{path}");
        assert_eq!(
            browser.ask(Method::OPTIONS, path).await.status(),
            200,
            "{path}"
        );
    }
    let path = "/exempt-for-a-user";
    assert_eq!(browser.ask(Method::OPTIONS, path).await.status(), 303);
}
