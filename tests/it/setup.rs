//! What a program that is set up wrongly is told.

use actix_web::{
    App, HttpResponse, Responder,
    cookie::SameSite,
    get,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, AuthUser, BuildError, CookieSettings, CurrentUser, LoginManager, LoginScope, MaybeUser,
    MemoryLoginStore, RememberCookie, config::LoginManagerBuilder, login_required, test::Browser,
};
use login_tests::{Admin, User, Users, app, key, load_admin, manager, manager_base};

#[login_required]
#[get("/guard")]
async fn by_guard() -> impl Responder {
    "page"
}

#[get("/current")]
async fn by_current_user(_: CurrentUser<User>) -> impl Responder {
    "page"
}

#[get("/maybe")]
async fn by_maybe_user(_: MaybeUser<User>) -> impl Responder {
    "page"
}

#[get("/auth")]
async fn by_auth(_: Auth<User>) -> impl Responder {
    "page"
}

fn routes(routes: &mut ServiceConfig) {
    routes
        .service(by_guard)
        .service(by_current_user)
        .service(by_maybe_user)
        .service(by_auth);
    routes.service(
        web::resource("/wrapped")
            .wrap(login_required())
            .to(HttpResponse::Ok),
    );
}

#[actix_web::test]
async fn without_a_manager_the_answer_says_what_to_add() {
    let app = init_service(App::new().configure(routes)).await;
    let browser = Browser::new(&app);
    for path in ["/guard", "/wrapped", "/current", "/maybe", "/auth"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), 500, "{path}");
        assert_eq!(
            answer.text(),
            "no login manager for this request; add `.wrap(login_manager.clone())` to the `App`",
            "{path}",
        );
    }
}

#[actix_web::test]
async fn a_manager_around_another_scope_is_no_manager() {
    let (builder, _) = manager(&Users::new());
    let manager = builder.build(key()).unwrap();
    let app = init_service(
        App::new()
            .service(web::scope("/inside").wrap(manager).configure(routes))
            .configure(routes),
    )
    .await;
    let browser = Browser::new(&app);
    for path in ["/guard", "/current", "/maybe", "/auth"] {
        assert_eq!(browser.get(path).await.status(), 500, "{path}");
    }
    assert_eq!(browser.get("/inside/guard").await.status(), 303);
    assert_eq!(browser.get("/inside/maybe").await.status(), 200);
}

#[login_required(user = Admin)]
#[get("/guard")]
async fn by_guard_for_admins() -> impl Responder {
    "page"
}

#[get("/current")]
async fn by_current_admin(_: CurrentUser<Admin>) -> impl Responder {
    "page"
}

#[get("/maybe")]
async fn by_maybe_admin(_: MaybeUser<Admin>) -> impl Responder {
    "page"
}

#[get("/auth")]
async fn by_admin_auth(_: Auth<Admin>) -> impl Responder {
    "page"
}

fn admin_routes(routes: &mut ServiceConfig) {
    routes
        .service(by_guard_for_admins)
        .service(by_current_admin);
    routes.service(by_maybe_admin).service(by_admin_auth);
    routes.service(
        web::resource("/wrapped")
            .wrap(login_required().user::<Admin>())
            .to(HttpResponse::Ok),
    );
}

#[actix_web::test]
async fn a_user_type_that_nobody_loads_is_named() {
    let (builder, _) = manager(&Users::new());
    let without = app(builder.build(key()).unwrap(), admin_routes).await;
    let browser = Browser::new(&without);
    for logged_in in [false, true] {
        for path in ["/guard", "/wrapped", "/current", "/maybe", "/auth"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status(), 500, "{path}, logged in: {logged_in}");
            assert_eq!(
                answer.text(),
                "the login manager does not load `login_tests::Admin` but [\"login_tests::User\"]; \
                 add `.user_loader(..)` for it",
                "{path}",
            );
        }
        browser.log_in(User::new(1, "ada")).await;
    }
    let (builder, _) = manager(&Users::new());
    let with = app(
        builder.user_loader(load_admin).build(key()).unwrap(),
        admin_routes,
    );
    let with = with.await;
    let browser = Browser::new(&with);
    for (path, status) in [
        ("/guard", 303),
        ("/wrapped", 303),
        ("/current", 303),
        ("/maybe", 200),
        ("/auth", 200),
    ] {
        assert_eq!(browser.get(path).await.status(), status, "{path}");
    }
}

fn builder() -> LoginManagerBuilder {
    manager(&Users::new()).0
}

#[track_caller]
fn check(builder: LoginManagerBuilder, expected: &str) {
    let error = builder.build(key()).expect_err(expected);
    assert_eq!(error.to_string(), expected);
    // `main` of an actix program returns this.
    let error = std::io::Error::from(error);
    assert_eq!(
        (error.kind(), &*error.to_string()),
        (std::io::ErrorKind::InvalidInput, expected)
    );
}

#[derive(AuthUser)]
struct Robot {
    id: u32,
}

async fn load_robot(id: u32) -> Result<Option<Robot>, String> {
    Ok(Some(Robot { id }))
}

#[test]
fn user_types_and_their_names_are_kept_apart() {
    check(
        builder().user_loader(async |_: i64| Ok::<Option<User>, String>(None)),
        "`login_tests::User` has two user loaders; keep one",
    );
    check(
        builder().request_loader(|_| async { Ok::<Option<Robot>, String>(None) }),
        "the request loader finds `it::setup::Robot`, which no user loader loads; \
         add `.user_loader(..)` for it",
    );
    let two = builder().user_loader(load_admin).user_loader(load_robot);
    assert!(two.build(key()).is_ok());
}

#[test]
fn views_are_addresses() {
    for (view, why) in [
        (
            "//evil.test/login",
            "names another host; write the whole URL",
        ),
        ("/\\evil.test", "names another host; write the whole URL"),
        ("/log in", "is not a path; escape what a URL cannot contain"),
        ("javascript:alert(1)", "is not an http or https URL"),
        ("ftp://auth.test", "is not an http or https URL"),
        ("", "is empty; write a path or a URL"),
    ] {
        let expected = format!("the view `{view}` {why}");
        check(builder().login_view(view), &expected);
        check(builder().refresh_view(view), &expected);
        let error = LoginScope::new().login_view(view).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let error = LoginScope::new().refresh_view(view).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    for view in ["/login?a=b#c", "https://auth.test/login", "/{lang}/login"] {
        assert!(
            builder()
                .login_view(view)
                .refresh_view(view)
                .build(key())
                .is_ok(),
            "{view}"
        );
    }
}

#[test]
fn cookies_that_browsers_reject_do_not_build() {
    let new = CookieSettings::new;
    for (settings, name, why) in [
        (
            new().name("__Host-sid").path("/area"),
            "__Host-sid",
            "starts with `__Host-`, so it needs Secure, the path `/` and no domain",
        ),
        (
            new().name("__Secure-sid").danger_insecure(),
            "__Secure-sid",
            "starts with `__Secure-`, so it needs Secure",
        ),
        (
            new()
                .name("sid")
                .same_site(SameSite::None)
                .danger_insecure(),
            "sid",
            "has SameSite=None, so it needs Secure",
        ),
        (
            new().name("s id"),
            "s id",
            "is not a cookie name; use ASCII letters, digits, `-` and `_`",
        ),
        (
            new().name("sid").path("area"),
            "sid",
            "has an invalid path; a path starts with `/`",
        ),
        (
            new().name("sid").domain("https://app.test"),
            "sid",
            "has an invalid domain; write a host name such as `example.com`",
        ),
    ] {
        let expected = format!("the cookie `{name}` {why}");
        check(builder().session_cookie(settings.clone()), &expected);
        check(
            builder().remember_cookie(RememberCookie::new().cookie(settings)),
            &expected,
        );
    }
}

#[test]
fn settings_that_cannot_be_meant_do_not_build() {
    use std::time::Duration;

    let remember = |seconds| {
        builder().remember_cookie(RememberCookie::new().duration(Duration::from_secs(seconds)))
    };
    let days = 24 * 60 * 60;
    let too_long = "`RememberCookie::duration` is not between 1 second and 400 days, \
                    the longest that browsers keep a cookie";
    check(remember(0), too_long);
    check(remember(400 * days + 1), too_long);
    assert!(remember(400 * days).build(key()).is_ok());
    check(
        builder().next_field(""),
        "`next_field` is empty; name a query parameter, such as `next`",
    );
    let no_host =
        "`force_host_for_redirects` is not a host; write `example.com` or `example.com:8080`";
    check(
        builder().force_host_for_redirects("https://app.test/x"),
        no_host,
    );
    check(
        builder().origins(["app.test"]),
        "the view `app.test` is not an origin; \
         write scheme and host, such as `https://app.example.com`",
    );
}

#[test]
fn a_manager_says_where_logins_are_recorded_or_does_not_build() {
    let undecided = || manager_base(&Users::new()).0;
    check(
        undecided(),
        "nothing records logins; add `.login_store(..)`, or `.session_only()` if a log out need not \
         end a copy of the session cookie",
    );
    let error = undecided().build(key()).unwrap_err();
    assert_eq!(error, BuildError::NoLoginStore);
    check(
        undecided()
            .login_store(MemoryLoginStore::new())
            .session_only(),
        "`session_only` contradicts `login_store`; leave out one of them",
    );
    let recorded = undecided().login_store(MemoryLoginStore::new());
    assert!(recorded.build(key()).unwrap().logins().is_some());
    let unrecorded = undecided().session_only().build(key()).unwrap();
    assert!(unrecorded.logins().is_none());
}

#[test]
fn an_own_session_middleware_brings_its_own_cookie() {
    use actix_session::{SessionMiddleware, storage::CookieSessionStore};

    let own = |builder: LoginManagerBuilder| {
        let factory = || SessionMiddleware::new(CookieSessionStore::default(), key());
        builder.session_middleware(factory).build(key()).map(|_| ())
    };
    let expected = Err(BuildError::Setting {
        name: "session_middleware",
        why: "brings its own cookie; configure that cookie there, and not here",
    });
    assert_eq!(
        own(builder().session_cookie(CookieSettings::new())),
        expected
    );
    assert_eq!(own(builder().danger_insecure_cookies()), expected);
    assert_eq!(own(builder()), Ok(()));
}

#[test]
fn debug_output_shows_user_types_and_no_secret() {
    let manager = LoginManager::builder(load_robot)
        .session_only()
        .build(key())
        .unwrap();
    assert_eq!(
        format!("{manager:?}"),
        "LoginManager { users: [\"it::setup::Robot\"], .. }"
    );
    assert_eq!(format!("{:?}", builder()), "LoginManagerBuilder");
}
