//! What keeps a page of one user from others: caches, pages of other origins, the next person at the browser.

use actix_web::{
    Either, Error, HttpRequest, HttpResponse, HttpResponseBuilder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{Method, StatusCode},
    middleware::{Next, from_fn},
    web::{self, Bytes, ServiceConfig},
};
use futures_util::{future::join_all, stream};
use login_runtime::{
    Auth, CurrentUser, LoginError, LoginScope, MaybeUser, MemoryLoginStore,
    config::{LoginManagerBuilder, PageCaching, ResourcePolicy},
    guards::Condition,
    login_required, public,
    test::{
        Answer, Browser,
        strict::{Rule, Tolerated, tolerate},
    },
};
use login_tests::{Admin, User, Users, app, key, load_admin, manager, manager_base};

use crate::{events::Log, world::App};

fn ada() -> User {
    User::new(1, "ada")
}

fn plain() -> LoginManagerBuilder {
    manager(&Users::new()).0
}

/// The answer of a handler that says what the header `say` of the request asks for: `name: value` in each line.
fn say(request: &HttpRequest) -> HttpResponse {
    said(request, HttpResponse::Ok()).body("page")
}

fn said(request: &HttpRequest, mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    let lines = request.headers().get("say");
    let lines = lines.map_or("", |lines| lines.to_str().unwrap());
    for line in lines.split('|').filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        response.append_header((name, value));
    }
    response
}

async fn nobody_asks(request: HttpRequest) -> HttpResponse {
    say(&request)
}

#[login_required]
async fn guarded(request: HttpRequest) -> HttpResponse {
    say(&request)
}

async fn current(_: CurrentUser<User>, request: HttpRequest) -> HttpResponse {
    say(&request)
}

async fn optional(_: MaybeUser<User>, request: HttpRequest) -> HttpResponse {
    say(&request)
}

/// An extractor that fails is an anonymous client for this application.
async fn tried(request: HttpRequest, _: Either<CurrentUser<User>, ()>) -> HttpResponse {
    say(&request)
}

async fn auth(auth: Auth<User>, request: HttpRequest) -> Result<HttpResponse, Error> {
    auth.current_user().await?;
    Ok(say(&request))
}

/// It takes `Auth` and does nothing with it.
async fn idle(_: Auth<User>, request: HttpRequest) -> HttpResponse {
    say(&request)
}

async fn required(auth: Auth<User>, request: HttpRequest) -> Result<HttpResponse, Error> {
    auth.require(Condition::check(|_: &User| true)).await?;
    Ok(say(&request))
}

async fn not_modified(_: MaybeUser<User>, request: HttpRequest) -> HttpResponse {
    said(&request, HttpResponse::NotModified()).finish()
}

async fn streamed(_: MaybeUser<User>, request: HttpRequest) -> HttpResponse {
    let parts = ["pa", "ge"].map(|part| Ok::<_, Error>(Bytes::from_static(part.as_bytes())));
    said(&request, HttpResponse::Ok()).streaming(stream::iter(parts))
}

/// The answer of a handler that fails after it has asked.
async fn failed(_: MaybeUser<User>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let answer = said(&request, HttpResponse::NotFound()).finish();
    Err(InternalError::from_response("not found", answer).into())
}

/// A middleware of the application that asks for the user.
async fn asks(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    request.extract::<MaybeUser<User>>().await?;
    next.call(request).await
}

/// The error of a middleware that says what the request asks for.
fn error(request: &ServiceRequest) -> Error {
    error_of(request.request())
}

fn error_of(request: &HttpRequest) -> Error {
    let answer = said(request, HttpResponse::PaymentRequired()).finish();
    InternalError::from_response("pay first", answer).into()
}

async fn asks_and_fails(
    mut request: ServiceRequest,
    _: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<String>, Error> {
    request.extract::<MaybeUser<User>>().await?;
    Err(error(&request))
}

/// It catches the refusal of a guard, and answers with an error of its own.
async fn replaces(
    mut request: ServiceRequest,
    _: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<String>, Error> {
    let _ = request.extract::<CurrentUser<User>>().await;
    Err(error(&request))
}

async fn fails(
    request: ServiceRequest,
    _: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<String>, Error> {
    Err(error(&request))
}

async fn log_in(auth: Auth<User>, id: web::Path<i64>) -> Result<HttpResponse, Error> {
    let user = login_runtime::Verified::trust(User::new(*id, "ada"), "test");
    auth.log_in(user).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn log_out(auth: Auth<User>, request: HttpRequest) -> Result<HttpResponse, LoginError> {
    auth.log_out().await?;
    Ok(say(&request))
}

fn routes(routes: &mut ServiceConfig) {
    let at = |path: &str| web::resource(path.to_owned());
    routes
        .service(at("/public").wrap(public()).to(nobody_asks))
        .service(at("/guarded").to(guarded))
        .service(at("/current").wrap(public()).to(current))
        .service(at("/optional").wrap(public()).to(optional))
        .service(at("/tried").wrap(public()).to(tried))
        .service(at("/auth").wrap(public()).to(auth))
        .service(at("/idle").wrap(public()).to(idle))
        .service(at("/required").wrap(public()).to(required))
        .service(at("/scope").wrap(login_required()).to(nobody_asks))
        .service(
            at("/middleware")
                .wrap(from_fn(asks))
                .wrap(public())
                .to(nobody_asks),
        )
        .service(at("/undeclared").to(nobody_asks))
        .service(at("/304").wrap(public()).to(not_modified))
        .service(at("/stream").wrap(public()).to(streamed))
        .service(at("/failed").wrap(public()).to(failed))
        .service(
            at("/asks-and-fails")
                .wrap(from_fn(asks_and_fails))
                .wrap(public())
                .to(nobody_asks),
        )
        .service(
            at("/replaces")
                .wrap(from_fn(replaces))
                .wrap(public())
                .to(nobody_asks),
        )
        .service(
            at("/fails")
                .wrap(from_fn(fails))
                .wrap(public())
                .to(nobody_asks),
        )
        .service(at("/login/{id}").wrap(public()).to(log_in))
        .service(at("/logout").wrap(public()).to(log_out));
}

async fn site(builder: LoginManagerBuilder) -> impl App {
    app(builder.deny_by_default().build(key()).unwrap(), routes).await
}

fn all(answer: &Answer, name: &str) -> String {
    let values = answer.headers().get_all(name);
    let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
    values.join(" | ")
}

/// The client and the path > what the handler says > `Cache-Control` > `Vary` >
/// `Cross-Origin-Resource-Policy`.
const TABLE: &[&str] = &[
    // Nobody asks who the user is.
    "nobody /public >  >  >  > ",
    "ada /public >  >  >  > ",
    "ada /public > cache-control: public, max-age=60 > public, max-age=60 >  > ",
    "ada /public > vary: Accept >  > Accept > ",
    "ada /public > expires: Tue, 01 Jan 2030 00:00:00 GMT >  >  > ",
    "ada /fails > cache-control: public > public >  > ",
    // The handler says nothing about caches.
    "ada /guarded >  > no-store > Cookie > same-origin",
    "nobody /guarded >  > no-store > Cookie > same-origin",
    "ada /current >  > no-store > Cookie > same-origin",
    "nobody /current >  > no-store > Cookie > same-origin",
    "ada /scope >  > no-store > Cookie > same-origin",
    "nobody /scope >  > no-store > Cookie > same-origin",
    "ada /required >  > no-store > Cookie > same-origin",
    "nobody /required >  > no-store > Cookie > same-origin",
    "ada /undeclared >  > no-store > Cookie > same-origin",
    "nobody /undeclared >  > no-store > Cookie > same-origin",
    "ada /tried >  > no-store > Cookie > same-origin",
    "nobody /tried >  > no-store > Cookie > same-origin",
    "ada /optional >  > no-store > Cookie > ",
    "nobody /optional >  > no-store > Cookie > ",
    "ada /auth >  > no-store > Cookie > ",
    "nobody /auth >  > no-store > Cookie > ",
    "nobody /idle >  > no-store > Cookie > ",
    "ada /middleware >  > no-store > Cookie > ",
    "nobody /middleware >  > no-store > Cookie > ",
    "nobody /no-such-page >  > no-store > Cookie > same-origin",
    // It invites shared caches.
    "ada /guarded > cache-control: public > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: PUBLIC , max-age=9 > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: s-maxage=9 > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: private, s-maxage=9 > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: immutable > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: private=\"set-cookie\", max-age=9 > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: private|cache-control: public > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: must-understand, no-store > no-store > Cookie > same-origin",
    "ada /scope > cache-control: max-age=9 > no-store > Cookie > same-origin",
    "ada /current > cache-control: public, no-transform > no-store, no-transform > Cookie > same-origin",
    "ada /undeclared > cache-control: public > no-store > Cookie > same-origin",
    "ada /required > cache-control: public > no-store > Cookie > same-origin",
    "nobody /tried > cache-control: public > no-store > Cookie > same-origin",
    "nobody /optional > cache-control: public, max-age=9 > no-store > Cookie > ",
    "ada /optional > cache-control: stale-while-revalidate=9 > no-store > Cookie > ",
    "nobody /middleware > cache-control: public > no-store > Cookie > ",
    "nobody /auth > cache-control: public > no-store > Cookie > ",
    "ada /304 > cache-control: public|etag: \"1\" > no-store > Cookie > ",
    "ada /stream > cache-control: public > no-store > Cookie > ",
    "ada /failed > cache-control: public > no-store > Cookie > ",
    "ada /asks-and-fails > cache-control: public > no-store > Cookie > ",
    "nobody /asks-and-fails > cache-control: max-age=9 > no-store > Cookie > ",
    "ada /replaces > cache-control: public > no-store > Cookie > same-origin",
    "nobody /replaces > cache-control: public > no-store > Cookie > same-origin",
    "ada /optional > expires: Tue, 01 Jan 2030 00:00:00 GMT > no-store > Cookie > ",
    // It leaves room for shared caches.
    "ada /guarded > cache-control: no-cache > no-store > Cookie > same-origin",
    "ada /guarded > cache-control: max-age=0, must-revalidate > no-store > Cookie > same-origin",
    "ada /optional > cache-control: no-transform > no-store, no-transform > Cookie > ",
    "ada /optional > cache-control: x=\"private\" > no-store > Cookie > ",
    // It keeps shared caches out itself.
    "ada /guarded > cache-control: private, max-age=9 > private, max-age=9 > Cookie > same-origin",
    "ada /guarded > cache-control: Private > Private > Cookie > same-origin",
    "ada /guarded > cache-control: private, immutable > private, immutable > Cookie > same-origin",
    "ada /optional > cache-control: no-cache, no-store > no-cache, no-store > Cookie > ",
    "ada /asks-and-fails > cache-control: private > private > Cookie > ",
    "ada /304 > cache-control: private|etag: \"1\" > private > Cookie > ",
    // Its `Vary`.
    "ada /guarded > vary: Accept > no-store > Accept | Cookie > same-origin",
    "ada /guarded > vary: Accept, cookie > no-store > Accept, cookie > same-origin",
    "ada /guarded > vary: Accept|vary: Cookie > no-store > Accept | Cookie > same-origin",
    "ada /optional > vary: * > no-store > * > ",
    "ada /optional > vary: X-Cookie > no-store > X-Cookie | Cookie > ",
    "ada /failed > vary: Accept > no-store > Accept | Cookie > ",
    "ada /asks-and-fails > vary: Accept > no-store > Accept | Cookie > ",
    // Its policy for other origins.
    "ada /guarded > cross-origin-resource-policy: cross-origin > no-store > Cookie > cross-origin",
    "ada /guarded > cross-origin-resource-policy: same-origin > no-store > Cookie > same-origin",
    "ada /public > cross-origin-resource-policy: same-site >  >  > same-site",
];

#[actix_web::test]
async fn no_shared_cache_gets_a_page_for_which_something_asked_who_the_user_is() {
    // With a gate in front of the routes, and without one.
    check_table(&site(plain()).await, true).await;
    check_table(&app(plain().build(key()).unwrap(), routes).await, false).await;
}

async fn check_table(app: &impl App, denies: bool) {
    let (ada_s, anonymous) = (Browser::new(app), Browser::new(app));
    ada_s.log_in(ada()).await;
    for row in TABLE {
        let parts: Vec<_> = row.split(" > ").collect();
        let (who, path) = parts[0].split_once(' ').unwrap();
        if !denies && matches!(path, "/undeclared" | "/no-such-page") {
            continue;
        }
        let browser = if who == "ada" { &ada_s } else { &anonymous };
        let answer = browser.get(path).header("say", parts[1]).await;
        let found = ["cache-control", "vary", "cross-origin-resource-policy"];
        let found = found.map(|name| all(&answer, name));
        assert_eq!(found, parts[2..], "{row} {}", answer.status());
        if parts[1].contains("expires") {
            let stays = answer.header("expires").is_some();
            assert_eq!(stays, path == "/public", "{row}");
        }
    }
}

#[actix_web::test]
async fn the_answers_in_the_table_are_those_of_the_handlers() {
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for (path, status, text) in [
        ("/guarded", 200, "page"),
        ("/tried", 200, "page"),
        ("/304", 304, ""),
        ("/stream", 200, "page"),
        ("/failed", 404, ""),
        ("/asks-and-fails", 402, ""),
        ("/fails", 402, ""),
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status(), &*answer.text()), (status, text), "{path}");
    }
    let answer = Browser::new(&app).get("/tried").await;
    assert_eq!((answer.status(), &*answer.text()), (200, "page"));
}

#[actix_web::test]
async fn a_field_for_one_kind_of_cache_does_not_let_it_store_a_page_of_a_user() {
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for (name, value, stays) in [
        ("cdn-cache-control", "max-age=60", false),
        ("cdn-cache-control", "public", false),
        ("cdn-cache-control", "no-cache", false),
        ("cdn-cache-control", "private", true),
        ("cdn-cache-control", "no-store", true),
        ("some-cdn-cache-control", "max-age=60", false),
        ("surrogate-control", "max-age=60", false),
        ("surrogate-control", "no-store", true),
        ("x-dns-prefetch-control", "on", true),
        ("x-cache-control", "no-store", true),
    ] {
        let says = format!("{name}: {value}");
        let answer = browser.get("/guarded").header("say", &says).await;
        assert_eq!(answer.header(name), stays.then_some(value), "{says}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{says}");
        let both = format!("cache-control: private|{says}");
        let answer = browser.get("/guarded").header("say", &both).await;
        assert_eq!(answer.header(name), stays.then_some(value), "{both}");
        assert_eq!(answer.header("cache-control"), Some("private"), "{both}");
        let answer = browser.get("/public").header("say", &says).await;
        assert_eq!(answer.header(name), Some(value), "{says}");
    }
}

#[actix_web::test]
async fn the_log_names_each_route_once_that_invites_shared_caches() {
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    let (log, _guard) = Log::start();
    let warnings = || -> Vec<String> {
        let lines = log.take_ours().into_iter();
        lines
            .filter(|line| line.contains("event=cache_overruled"))
            .collect()
    };
    let ask = async |path: &str, say: &str| {
        browser.get(path).header("say", say).await;
        warnings()
    };
    let found = ask("/guarded", "cache-control: public, max-age=60").await;
    assert_eq!(found.len(), 1, "{found:?}");
    for part in [
        "WARN",
        "method=GET",
        "route=/guarded",
        "`cache-control: public, max-age=60`",
        "`Cache-Control: no-store`",
    ] {
        assert!(found[0].contains(part), "{part}: {found:?}");
    }
    assert_eq!(ask("/guarded", "cache-control: s-maxage=9").await.len(), 0);
    // Another method and another route are other handlers.
    browser
        .post("/guarded")
        .header("say", "cache-control: public")
        .await;
    assert_eq!(warnings().len(), 1);
    for (path, say, expected) in [
        (
            "/optional",
            "expires: Tue, 01 Jan 2030 00:00:00 GMT",
            "`expires: Tue, 01 Jan 2030 00:00:00 GMT`",
        ),
        (
            "/scope",
            "cdn-cache-control: max-age=60",
            "`cdn-cache-control: max-age=60`",
        ),
        ("/login/{id}", "", ""),
        (
            "/current",
            "cache-control: private|cache-control: public",
            "`cache-control: private, public`",
        ),
        ("/asks-and-fails", "cache-control: public", "route=(none)"),
        ("/asks-and-fails", "cache-control: public", ""),
    ] {
        let found = ask(path, say).await;
        assert_eq!(
            found.len(),
            usize::from(!expected.is_empty()),
            "{path}: {found:?}"
        );
        assert!(
            found.iter().all(|line| line.contains(expected)),
            "{path}: {found:?}"
        );
    }
    // What is no invitation needs no warning.
    for say in [
        "cache-control: no-cache",
        "cache-control: private, max-age=60",
        "expires: Thu, 01 Jan 1970 00:00:00 GMT",
        "expires: 0",
        "cdn-cache-control: no-cache",
    ] {
        let found = ask("/auth", say).await;
        assert_eq!(found, [""; 0], "{say}");
    }
    let found = ask("/public", "cache-control: public").await;
    assert_eq!(found, [""; 0]);
}

#[actix_web::test]
async fn with_private_pages_only_the_browser_stores_a_page() {
    let app = site(plain().page_caching(PageCaching::Private)).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for (path, say, caching) in [
        ("/guarded", "", "private, no-cache"),
        ("/optional", "cache-control: public", "private, no-cache"),
        ("/304", "etag: \"1\"", "private, no-cache"),
        ("/asks-and-fails", "", "private, no-cache"),
        ("/guarded", "cache-control: no-store", "no-store"),
        (
            "/guarded",
            "cache-control: max-age=9, no-transform",
            "private, no-cache, no-transform",
        ),
        ("/public", "", ""),
    ] {
        let answer = browser.get(path).header("say", say).await;
        assert_eq!(all(&answer, "cache-control"), caching, "{path} {say}");
    }
    // Nobody asks again for a refusal.
    for path in ["/guarded", "/scope", "/undeclared", "/current", "/required"] {
        let answer = Browser::new(&app).get(path).await;
        assert_eq!(all(&answer, "cache-control"), "no-store", "{path}");
    }
}

#[actix_web::test]
async fn with_a_request_loader_pages_vary_with_the_authorization() {
    let builder =
        plain().request_loader(|_: &HttpRequest| async { Ok::<Option<User>, String>(None) });
    let app = site(builder).await;
    let browser = Browser::new(&app);
    for (path, say, vary) in [
        ("/public", "", ""),
        ("/guarded", "", "Cookie, Authorization"),
        ("/optional", "", "Cookie, Authorization"),
        ("/optional", "vary: Authorization", "Authorization | Cookie"),
        (
            "/optional",
            "vary: authorization, COOKIE",
            "authorization, COOKIE",
        ),
        ("/optional", "vary: *", "*"),
        (
            "/asks-and-fails",
            "vary: X-Key",
            "X-Key | Cookie, Authorization",
        ),
    ] {
        let answer = browser.get(path).header("say", say).await;
        assert_eq!(all(&answer, "vary"), vary, "{path} {say}");
    }
}

#[actix_web::test]
async fn the_application_decides_which_pages_may_embed_its_protected_responses() {
    for (policy, expected) in [
        (ResourcePolicy::SameOrigin, "same-origin"),
        (ResourcePolicy::SameSite, "same-site"),
        (ResourcePolicy::Unset, ""),
    ] {
        let app = site(plain().resource_policy(policy)).await;
        let browser = Browser::new(&app);
        browser.log_in(ada()).await;
        for browser in [&browser, &Browser::new(&app)] {
            for path in ["/guarded", "/scope", "/current", "/required", "/undeclared"] {
                let answer = browser.get(path).await;
                assert_eq!(
                    all(&answer, "cross-origin-resource-policy"),
                    expected,
                    "{path}"
                );
            }
            for path in ["/public", "/optional", "/auth"] {
                let answer = browser.get(path).await;
                assert_eq!(all(&answer, "cross-origin-resource-policy"), "", "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn a_failed_look_up_is_kept_from_others_like_a_page() {
    let users = Users::new();
    let app = site(manager(&users).0).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    users.set_down(true);
    for path in [
        "/guarded",
        "/scope",
        "/current",
        "/required",
        "/undeclared",
        "/optional",
        "/auth",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(all(&answer, "cache-control"), "no-store", "{path}");
        assert_eq!(all(&answer, "vary"), "Cookie", "{path}");
        assert_eq!(all(&answer, "retry-after"), "5", "{path}");
        let policy = if path == "/auth" { "" } else { "same-origin" };
        assert_eq!(
            all(&answer, "cross-origin-resource-policy"),
            policy,
            "{path}"
        );
    }
}

const CLEARS: &str = "\"storage\"";

#[actix_web::test]
async fn a_log_out_clears_what_pages_have_stored_if_the_application_asks_for_it() {
    for (builder, clears) in [(plain(), ""), (plain().clear_storage_at_log_out(), CLEARS)] {
        let app = site(builder).await;
        let browser = Browser::new(&app);
        let answer = browser.post("/login/1").await;
        assert_eq!(all(&answer, "clear-site-data"), "");
        for path in ["/guarded", "/optional", "/public"] {
            assert_eq!(
                all(&browser.get(path).await, "clear-site-data"),
                "",
                "{path}"
            );
        }
        let answer = browser.post("/logout").await;
        assert_eq!(answer.text(), "page");
        assert_eq!(all(&answer, "clear-site-data"), clears);
        assert_eq!(all(&answer, "cache-control"), "no-store");
        // The login may have reached its limit before.
        assert_eq!(
            all(&browser.post("/logout").await, "clear-site-data"),
            clears
        );
        assert_eq!(all(&browser.get("/guarded").await, "clear-site-data"), "");
    }
}

#[actix_web::test]
async fn what_a_handler_clears_at_log_out_is_cleared_too() {
    let app = site(plain().clear_storage_at_log_out()).await;
    let browser = Browser::new(&app);
    for (say, clears) in [
        ("clear-site-data: \"cache\"", "\"cache\" | \"storage\""),
        (
            "clear-site-data: \"cache\", \"storage\"",
            "\"cache\", \"storage\"",
        ),
        ("clear-site-data: \"*\"", "\"*\""),
    ] {
        let answer = browser.post("/logout").header("say", say).await;
        assert_eq!(all(&answer, "clear-site-data"), clears, "{say}");
    }
}

#[actix_web::test]
async fn every_way_to_log_out_clears_the_storage() {
    use actix_session::SessionExt as _;

    async fn purge(_: Auth<User>, request: HttpRequest) -> &'static str {
        request.get_session().purge();
        "purged"
    }
    async fn end_this(auth: Auth<User>) -> Result<&'static str, Error> {
        let proof = auth.require_fresh_login().await?;
        for login in auth.logins().await? {
            if login.is_current {
                auth.end_login(&proof, login.key).await?;
            }
        }
        Ok("ended")
    }
    async fn end_others(auth: Auth<User>) -> Result<&'static str, Error> {
        let proof = auth.require_fresh_login().await?;
        for login in auth.logins().await? {
            if !login.is_current {
                auth.end_login(&proof, login.key).await?;
            }
        }
        Ok("ended")
    }
    async fn fail_after(auth: Auth<User>) -> Result<&'static str, Error> {
        auth.log_out().await?;
        Err(actix_web::error::ErrorImATeapot("no coffee"))
    }
    async fn switch(auth: Auth<User>) -> Result<&'static str, Error> {
        auth.log_out().await?;
        let user = login_runtime::Verified::trust(User::new(2, "bob"), "test");
        auth.log_in(user).await?;
        Ok("switched")
    }
    async fn middleware_fails(
        mut request: ServiceRequest,
        _: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<String>, Error> {
        let auth = request.extract::<Auth<User>>().await?;
        auth.log_out().await?;
        Err(actix_web::error::ErrorImATeapot("no coffee"))
    }
    let builder = manager_base(&Users::new())
        .0
        .login_store(MemoryLoginStore::new())
        .login_cookie(login_runtime::CookieSettings::new())
        .clear_storage_at_log_out();
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes
            .route("/login/{id}", web::to(log_in))
            .route("/purge", web::to(purge))
            .route("/end-this", web::to(end_this))
            .route("/end-others", web::to(end_others))
            .route("/fail-after", web::to(fail_after))
            .route("/switch", web::to(switch))
            .service(
                web::resource("/middleware-fails")
                    .wrap(from_fn(middleware_fails))
                    .to(nobody_asks),
            );
    })
    .await;
    for (path, status, clears) in [
        ("/purge", 200, CLEARS),
        ("/end-this", 200, CLEARS),
        ("/end-others", 200, ""),
        ("/fail-after", 418, CLEARS),
        ("/switch", 200, CLEARS),
        ("/middleware-fails", 418, CLEARS),
    ] {
        let (browser, other) = (Browser::new(&app), Browser::new(&app));
        browser.post("/login/1").await;
        other.post("/login/1").await;
        let answer = browser.post(path).await;
        assert_eq!(answer.status(), status, "{path}: {}", answer.text());
        assert_eq!(all(&answer, "clear-site-data"), clears, "{path}");
    }
}

#[actix_web::test]
async fn a_log_out_that_failed_clears_nothing() {
    let users = Users::new();
    let store = crate::world::Probe::new(crate::world::LoginsThere::Memory(Box::default()));
    let builder = manager_base(&users).0.login_store(store.clone());
    let app = site(builder.clear_storage_at_log_out()).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    store.on(|_| async { Err(login_runtime::store::StoreError::new("down")) });
    let answer = browser.post("/logout").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(all(&answer, "clear-site-data"), "");
    assert_eq!(all(&answer, "retry-after"), "5");
    assert_eq!(all(&answer, "cache-control"), "no-store");
}

/// The handler of these tests breaks it: the manager does not touch a 503 of the application.
fn no_time_to_wait() -> Tolerated {
    tolerate(&[Rule::RetryAfter], "", "a 503 of the application")
}

#[actix_web::test]
async fn a_handler_for_failed_look_ups_can_give_the_default_answer() {
    let users = Users::new();
    let builder = manager(&users).0.load_error_handler(|request, error| {
        match request
            .headers()
            .get("own")
            .map(|own| own.to_str().unwrap())
        {
            Some("200") => HttpResponse::Ok().body("own"),
            Some("503") => HttpResponse::ServiceUnavailable().body("own"),
            Some(time) => HttpResponse::ServiceUnavailable()
                .insert_header(("retry-after", time.to_owned()))
                .insert_header(("cache-control", "public"))
                .body("own"),
            None => error.default_response(request),
        }
    });
    let default = "Service unavailable: try again later.";
    let problem = r#"{"type":"about:blank","title":"Service unavailable","status":503,"detail":"try again later.","code":"unavailable"}"#;
    let builder = builder.deny_by_default();
    let app = app(builder.build(key()).unwrap(), |all| {
        all.configure(routes).service(
            web::scope("/api")
                .wrap(LoginScope::new().api())
                .route("/guarded", web::to(guarded)),
        );
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    users.set_down(true);
    let mut rows = Vec::new();
    for path in ["/guarded", "/scope", "/undeclared", "/optional"] {
        rows.extend([
            (path, "accept", "text/html", 503, default, "5"),
            (path, "accept", "application/json", 503, problem, "5"),
            (path, "own", "200", 200, "own", ""),
            (path, "own", "503", 503, "own", "5"),
            (path, "own", "77", 503, "own", "77"),
        ]);
    }
    rows.push(("/api/guarded", "accept", "text/html", 503, problem, "5"));
    for row in rows {
        let (path, name, value, status, text, wait) = row;
        let answer = browser.get(path).header(name, value).await;
        assert_eq!(
            (answer.status(), &*answer.text()),
            (status, text),
            "{row:?}"
        );
        assert_eq!(all(&answer, "retry-after"), wait, "{row:?}");
        assert_eq!(all(&answer, "cache-control"), "no-store", "{row:?}");
        assert_eq!(all(&answer, "vary"), "Cookie", "{row:?}");
    }
}

#[actix_web::test]
async fn a_503_of_the_application_stays_as_it_is() {
    async fn maintenance() -> HttpResponse {
        HttpResponse::ServiceUnavailable().body("maintenance")
    }
    let _tolerated = no_time_to_wait();
    let app = app(plain().build(key()).unwrap(), |routes| {
        routes.route("/maintenance", web::to(maintenance));
    })
    .await;
    let answer = Browser::new(&app).get("/maintenance").await;
    assert_eq!((answer.status(), &*answer.text()), (503, "maintenance"));
    assert_eq!(all(&answer, "retry-after"), "");
    assert_eq!(all(&answer, "cache-control"), "");
}

#[actix_web::test]
async fn each_error_of_the_crate_says_no_store_and_when_to_try_again() {
    use actix_web::ResponseError;
    use login_runtime::{
        LoadError, password::PasswordError, store::StoreError, throttle::ThrottleError,
    };

    #[track_caller]
    fn check(error: &dyn ResponseError, status: u16, wait: Option<&str>) {
        let response = error.error_response();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            response.status(),
            StatusCode::from_u16(status).unwrap(),
            "{error}"
        );
        assert_eq!(
            header("cache-control").as_deref(),
            Some("no-store"),
            "{error}"
        );
        assert_eq!(header("retry-after").as_deref(), wait, "{error}");
        assert_eq!(
            header("www-authenticate").is_some(),
            status == 401,
            "{error}"
        );
    }
    let down = || StoreError::new("down");
    check(&down(), 503, Some("5"));
    check(&LoadError::from(down()), 503, Some("5"));
    check(&LoginError::from(down()), 503, Some("5"));
    check(&LoginError::from(LoadError::from(down())), 503, Some("5"));
    check(&PasswordError::Busy, 503, Some("5"));
    check(&PasswordError::Unavailable, 503, Some("5"));
    check(&PasswordError::Throttled { retry_after: 9 }, 429, Some("9"));
    check(&ThrottleError::Unavailable, 503, Some("5"));
    check(&ThrottleError::Throttled { retry_after: 9 }, 429, Some("9"));
    check(&LoginError::Inactive, 403, None);
    check(&LoginError::NotLoggedIn, 401, None);
    check(&LoginError::NoStore, 500, None);
}

#[actix_web::test]
async fn a_401_of_the_application_is_in_no_cache() {
    async fn wrong_password() -> HttpResponse {
        HttpResponse::Unauthorized().body("wrong password")
    }
    async fn own_words() -> HttpResponse {
        HttpResponse::Unauthorized()
            .insert_header(("cache-control", "private"))
            .finish()
    }
    let app = app(plain().build(key()).unwrap(), |routes| {
        routes
            .route("/wrong", web::to(wrong_password))
            .route("/own", web::to(own_words));
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser.post("/wrong").await;
    assert_eq!(all(&answer, "cache-control"), "no-store");
    assert_eq!(all(&answer, "vary"), "Cookie");
    let answer = browser.post("/own").await;
    assert_eq!(all(&answer, "cache-control"), "private");
}

#[actix_web::test]
async fn requests_at_the_same_time_do_not_share_what_they_asked() {
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    let say = ("say", "cache-control: public");
    let ask = |path: &'static str| {
        let request = browser.get(path).header(say.0, say.1);
        async move { all(&request.await, "cache-control") }
    };
    let paths = [
        "/public",
        "/middleware",
        "/fails",
        "/asks-and-fails",
        "/public",
        "/tried",
    ];
    let found = join_all(paths.map(ask)).await;
    let (public, no_store) = ("public", "no-store");
    assert_eq!(
        found,
        [public, no_store, public, no_store, public, no_store]
    );
}

#[actix_web::test]
async fn an_exempt_options_request_does_not_ask_who_the_user_is() {
    let manager = plain().exempt_options().build(key()).unwrap();
    let app = app(manager, routes).await;
    let browser = Browser::new(&app);
    let ask = browser.ask(Method::OPTIONS, "/guarded");
    let answer = ask.header("say", "cache-control: public").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(all(&answer, "cache-control"), "public");
    assert_eq!(all(&answer, "cross-origin-resource-policy"), "");
}

#[actix_web::test]
async fn no_shared_cache_gets_a_session_cookie() {
    use actix_session::{
        Session,
        config::{PersistentSession, TtlExtensionPolicy::OnEveryRequest},
    };
    use actix_web::cookie::Cookie;

    async fn write(session: Session, request: HttpRequest) -> HttpResponse {
        session.insert("cart", "pears").unwrap();
        say(&request)
    }
    async fn own_cookie(request: HttpRequest) -> HttpResponse {
        let cookie = Cookie::build("theme", "dark").finish();
        said(&request, HttpResponse::Ok()).cookie(cookie).finish()
    }
    let sliding = || PersistentSession::default().session_ttl_extension_policy(OnEveryRequest);
    let stored = || {
        manager_base(&Users::new())
            .0
            .login_store(MemoryLoginStore::new())
    };
    let rules = [
        Rule::HttpOnly,
        Rule::SameSite,
        Rule::Secure,
        Rule::Prefix,
        Rule::Path,
        Rule::ClearText,
    ];
    let _cookie = tolerate(&rules, "theme", "a cookie of the application");
    for (builder, is_sliding) in [
        (plain(), false),
        (plain().session_lifecycle(sliding()), true),
        (stored(), false),
        (stored().session_lifecycle(sliding()), true),
    ] {
        let app = app(builder.build(key()).unwrap(), |all| {
            all.configure(routes)
                .route("/write", web::to(write))
                .route("/own-cookie", web::to(own_cookie));
        })
        .await;
        let browser = Browser::new(&app);
        let ask = async |path: &str, say: &str| {
            let answer = browser.get(path).header("say", say).await;
            ["cache-control", "vary"].map(|name| all(&answer, name))
        };
        let public = "cache-control: public, max-age=60";
        let kept = ["no-store", "Cookie"];
        let as_said = ["public, max-age=60", ""];
        assert_eq!(ask("/public", public).await, as_said);
        assert_eq!(ask("/own-cookie", public).await, as_said);
        assert_eq!(ask("/write", public).await, kept);
        assert_eq!(ask("/write", "").await, kept);
        browser.get("/login/1").await;
        let expected = if is_sliding { kept } else { as_said };
        assert_eq!(ask("/public", public).await, expected);
        let expected = if is_sliding { kept } else { ["", ""] };
        assert_eq!(ask("/public", "").await, expected);
    }
}

#[actix_web::test]
async fn a_page_behind_an_inner_manager_stays_out_of_caches_if_the_outer_application_answers() {
    async fn outer_error(
        request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<String>, Error> {
        let response = next.call(request).await?;
        Err(error_of(response.request()))
    }
    let cookie = login_runtime::CookieSettings::new;
    let outer = plain().login_cookie(cookie()).build(key()).unwrap();
    let inner = plain().realm("inner").login_cookie(cookie());
    let inner = inner.build(key()).unwrap();
    let app = app(outer, move |all| {
        let scope = web::scope("/in").wrap(inner).configure(routes);
        all.service(scope.wrap(from_fn(outer_error)));
    })
    .await;
    let browser = Browser::new(&app);
    let say = "cache-control: public";
    let answer = browser.get("/in/public").header("say", say).await;
    assert_eq!(all(&answer, "cache-control"), "public");
    for path in ["/in/guarded", "/in/optional", "/in/tried"] {
        let answer = browser.get(path).header("say", say).await;
        assert_eq!(all(&answer, "cache-control"), "no-store", "{path}");
    }
}

#[actix_web::test]
async fn no_cache_keeps_the_refusal_of_a_forged_request() {
    use actix_web::{App, test::init_service};
    use login_runtime::guards::CrossSiteGuard;

    let alone = App::new().route("/", web::to(nobody_asks));
    let alone = init_service(alone.wrap(CrossSiteGuard::new())).await;
    let browser = Browser::new(&alone);
    let ask = browser.post("/");
    let answer = ask.header("sec-fetch-site", "cross-site").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(all(&answer, "cache-control"), "no-store");
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    for path in ["/public", "/guarded", "/undeclared"] {
        let ask = browser.post(path);
        let answer = ask.header("sec-fetch-site", "cross-site").await;
        assert_eq!(answer.status(), 403, "{path}");
        let headers = ["cache-control", "vary", "cross-origin-resource-policy"];
        let found = headers.map(|name| all(&answer, name));
        assert_eq!(found, ["no-store", "Cookie", "same-origin"], "{path}");
    }
}

#[actix_web::test]
async fn a_page_for_two_user_types_depends_on_both() {
    async fn both(_: MaybeUser<Admin>, request: HttpRequest) -> HttpResponse {
        say(&request)
    }
    let builder = plain().user_loader(load_admin);
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.route("/both", web::to(both));
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser
        .get("/both")
        .header("say", "cache-control: public")
        .await;
    assert_eq!(all(&answer, "cache-control"), "no-store");
    assert_eq!(all(&answer, "vary"), "Cookie");
}
