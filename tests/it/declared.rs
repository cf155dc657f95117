//! What the audit says of routes that are declared more than once, and of methods that change
//! something.

use std::collections::BTreeMap;

use actix_web::{
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    http::Method,
    middleware::{Next, from_fn},
    web::{self, ServiceConfig},
};
use login_runtime::{
    audit::{Audit, Decision, audit},
    fresh_login_required,
    guards::{guarded, routes_behind},
    login_required, public,
    test::Browser,
};
use login_tests::{Users, app, key, manager};

async fn page() -> &'static str {
    "page"
}

#[public]
#[get("/attribute")]
async fn open() -> &'static str {
    "page"
}

#[login_required]
#[get("/attribute")]
async fn closed() -> &'static str {
    "page"
}

async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    next.call(request).await
}

async fn audit_of(routes: fn(&mut ServiceConfig)) -> Audit {
    let builder = manager(&Users::new()).0;
    let app = app(builder.build(key()).unwrap(), routes).await;
    audit(&app).await.unwrap()
}

/// Routes that a guard and `public` both declare, at each place where one can stand.
fn declared_twice(routes: &mut ServiceConfig) {
    let guarded_page = || web::get().to(page).wrap(login_required());
    let public_page = || web::get().to(page).wrap(public());
    routes
        .service(web::resource("/a").wrap(public()).route(guarded_page()))
        .service(
            web::resource("/b")
                .wrap(login_required())
                .route(public_page()),
        )
        .service(
            web::scope("/c")
                .wrap(public())
                .route("/page", guarded_page()),
        )
        .service(
            web::scope("/d")
                .wrap(login_required())
                .route("/page", public_page()),
        )
        .service(web::scope("/e").wrap(public()).service(closed))
        .service(web::scope("/f").wrap(login_required()).service(open))
        .route(
            "/g",
            web::get().to(page).wrap(public()).wrap(login_required()),
        )
        .route(
            "/h",
            web::get().to(page).wrap(login_required()).wrap(public()),
        )
        .service(
            web::scope("/i")
                .wrap(public())
                .service(web::scope("/j").wrap(fresh_login_required()).service(open)),
        )
        .service(
            web::scope("/k")
                .wrap(routes_behind(from_fn(pass)))
                .wrap(public())
                .service(closed),
        )
        .service(
            web::scope("/l")
                .wrap(public())
                .route("/page", web::get().to(guarded(page)).wrap(login_required())),
        );
}

#[actix_web::test]
async fn a_route_that_is_public_and_guarded_is_listed_as_guarded() {
    let audit = audit_of(declared_twice).await;
    // A public scope also has what answers for paths without a route.
    let routes = audit.routes().iter();
    let routes: Vec<_> = routes
        .filter(|route| !route.pattern.ends_with("{default}"))
        .collect();
    assert_eq!(routes.len(), 11, "{audit}");
    for route in routes {
        let guard = if route.pattern.starts_with("/i") {
            "fresh"
        } else {
            "login"
        };
        let guard = Decision::Guarded(vec![guard.to_owned()]);
        assert_eq!(route.decision, guard, "{audit}");
        assert!(!route.is_public_and_unsafe(), "{audit}");
    }
    assert_eq!(audit.undeclared().count(), 0);
}

#[actix_web::test]
async fn a_route_that_is_public_and_guarded_is_closed_to_strangers() {
    let builder = manager(&Users::new()).0;
    let app = app(builder.build(key()).unwrap(), declared_twice).await;
    let stranger = Browser::new(&app);
    let user = Browser::new(&app);
    user.log_in(login_tests::User::new(1, "ada")).await;
    for path in [
        "/a",
        "/b",
        "/c/page",
        "/d/page",
        "/e/attribute",
        "/f/attribute",
        "/g",
        "/h",
        "/i/j/attribute",
        "/k/attribute",
        "/l/page",
    ] {
        assert_eq!(stranger.get(path).await.status(), 303, "{path}");
        assert_eq!(user.get(path).await.text(), "page", "{path}");
    }
}

/// A public route and a guarded one for each method.
fn every_method(routes: &mut ServiceConfig) {
    for (name, _) in METHODS {
        let method = || Method::from_bytes(name.as_bytes()).unwrap();
        let path = name.to_lowercase();
        let route = || web::method(method()).to(page);
        routes
            .route(&format!("/public/{path}"), route().wrap(public()))
            .route(&format!("/guarded/{path}"), route().wrap(login_required()));
    }
    routes.service(web::resource("/public/any").wrap(public()).to(page));
}

/// Methods, and whether they are safe (RFC 9110 §9.2.1).
const METHODS: &[(&str, bool)] = &[
    ("GET", true),
    ("HEAD", true),
    ("OPTIONS", true),
    ("TRACE", true),
    ("POST", false),
    ("PUT", false),
    ("PATCH", false),
    ("DELETE", false),
    ("CONNECT", false),
    ("PURGE", false),
];

#[actix_web::test]
async fn a_public_route_of_a_method_that_changes_something_is_marked_as_unsafe() {
    let audit = audit_of(every_method).await;
    let unsafe_ones: BTreeMap<_, _> = audit
        .routes()
        .iter()
        .map(|route| {
            (
                (route.pattern.as_str(), &*route.method),
                route.is_public_and_unsafe(),
            )
        })
        .collect();
    for (method, is_safe) in METHODS {
        let path = method.to_lowercase();
        let (free, shut) = (format!("/public/{path}"), format!("/guarded/{path}"));
        assert_eq!(unsafe_ones[&(&*free, *method)], !is_safe, "{audit}");
        assert!(!unsafe_ones[&(&*shut, *method)], "{audit}");
        let line = format!("{method:<7}  {free:<16}  public (unsafe method)");
        assert_eq!(
            audit.to_string().contains(&line),
            !is_safe,
            "{line}\n{audit}"
        );
    }
    // A route that takes every method takes those, too.
    assert!(unsafe_ones[&("/public/any", "*")], "{audit}");
    let marked = unsafe_ones.values().filter(|marked| **marked).count();
    assert_eq!(audit.public_and_unsafe().count(), marked);
}
