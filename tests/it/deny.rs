//! Routes that do not say who may reach them.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, Mutex},
};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    get, guard,
    http::Method,
    middleware::{DefaultHeaders, Next, NormalizePath, from_fn},
    post, put, route, routes,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    CurrentUser, LoginEvent, LoginManagerBuilder, fresh_login_required, gate, guarded,
    login_required, public,
    test::{Answer, Browser},
};
use login_tests::{Admin, User, Users, app, key, load_admin, manager};

fn denying(users: &Users) -> LoginManagerBuilder {
    manager(users).0.deny_by_default()
}

fn ada() -> User {
    User::new(1, "ada")
}

#[get("/forgotten")]
async fn forgotten() -> impl Responder {
    "forgotten"
}

#[public]
#[get("/public")]
async fn open() -> impl Responder {
    "public"
}

#[login_required]
#[get("/mine")]
async fn mine(user: CurrentUser<User>) -> impl Responder {
    user.name.clone()
}

#[get("/below")]
#[login_required]
async fn below() -> impl Responder {
    "below"
}

#[public]
#[routes]
#[get("/one")]
#[post("/two")]
async fn several() -> impl Responder {
    "several"
}

#[public]
#[route("/three", method = "GET", method = "PUT", wrap = "DefaultHeaders::new()")]
async fn with_methods() -> impl Responder {
    "methods"
}

async fn page() -> impl Responder {
    "page"
}

fn pages(routes: &mut ServiceConfig) {
    routes.service((forgotten, open, mine, below, several, with_methods));
    routes.route("/plain", web::get().to(page));
    routes.route("/wrapped", web::get().to(page).wrap(public()));
    routes.route("/guarded", web::get().to(guarded(page)));
    routes.service(
        web::scope("/open")
            .wrap(public())
            .route("/page", web::get().to(page)),
    );
    routes.service(
        web::scope("/closed")
            .wrap(login_required())
            .route("/page", web::get().to(page)),
    );
}

#[track_caller]
fn is_refused(answer: &Answer) {
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[actix_web::test]
async fn what_declares_nothing_is_closed_to_anonymous_clients() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), pages).await;
    let browser = Browser::new(&app);
    for path in ["/forgotten", "/plain", "/below", "/mine", "/guarded", "/closed/page"] {
        let answer = browser.get(path).await;
        answer.assert_redirects_to_login("/login", path);
        is_refused(&answer);
    }
    for (path, text) in [
        ("/public", "public"),
        ("/one", "several"),
        ("/three", "methods"),
        ("/wrapped", "page"),
        ("/open/page", "page"),
    ] {
        assert_eq!(browser.get(path).await.text(), text, "{path}");
    }
    assert_eq!(browser.post("/two").await.text(), "several");
    assert_eq!(users.loads(), 0, "nobody was to be loaded");
}

#[actix_web::test]
async fn who_is_logged_in_gets_to_undeclared_routes() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), pages).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for path in ["/forgotten", "/plain", "/below", "/mine", "/guarded", "/closed/page"] {
        users.loads();
        assert_eq!(browser.get(path).await.status(), 200, "{path}");
        assert_eq!(users.loads(), 1, "{path}");
    }
    assert_eq!(browser.get("/public").await.text(), "public");
    assert_eq!(users.loads(), 0, "a public page loads nobody");
}
