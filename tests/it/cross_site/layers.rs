//! The check behind other middleware, at undeclared routes, and in nested managers.

use std::sync::{Arc, Mutex};

use actix_web::{
    App as ActixApp, Error, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Compat, DefaultHeaders, Next, from_fn},
    post,
    test::init_service,
    web::{self, Data, ServiceConfig},
};
use login_runtime::{
    CookieSettings, RememberCookie, config::LoginManagerBuilder, events::LoginEvent,
    guards::routes_behind, login_required, public, test::Browser,
};
use login_tests::{User, Users, app, key};

use super::{Changes, FOREIGN, OWN, SIBLING, assert_refused, base, change, changing, post};

async fn hook(changes: Data<Changes>) -> impl Responder {
    changes.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    "hooked"
}

fn routes(changes: &Changes) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    let changes = changes.clone();
    move |routes| {
        routes.app_data(Data::new(changes));
        routes.route("/hook", web::post().to(hook).wrap(public().cross_site()));
        routes.route("/open", web::post().to(change).wrap(public()));
        routes.route("/plain", web::post().to(change));
        let guarded = web::post().to(change).wrap(login_required());
        routes.route("/guarded", guarded);
    }
}

/// Middleware that calls the routes, but only when it is polled.
async fn pass_on(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}

/// The middleware that each refusal names.
type Named = Arc<Mutex<Vec<Option<String>>>>;

fn naming(builder: LoginManagerBuilder) -> (LoginManagerBuilder, Named) {
    let named = Named::default();
    let heard = Arc::clone(&named);
    let builder = builder.on_event(move |event, _| {
        if let LoginEvent::CrossSiteRefused { middleware, .. } = event {
            heard.lock().unwrap().push(middleware.map(str::to_owned));
        }
    });
    (builder, named)
}

#[actix_web::test]
async fn undeclared_and_guarded_routes_and_paths_without_a_route_refuse() {
    for denies in [false, true] {
        let changes = Changes::default();
        let mut builder = base(&Users::new());
        if denies {
            builder = builder.deny_by_default();
        }
        let app = app(builder.build(key()).unwrap(), routes(&changes)).await;
        let known = Browser::new(&app);
        known.log_in(User::new(1, "ada")).await;
        let stranger = Browser::new(&app);
        for path in ["/plain", "/open", "/guarded", "/nowhere"] {
            for browser in [&known, &stranger] {
                assert_refused(&post(browser, path, FOREIGN).await);
                assert_refused(&post(browser, path, SIBLING).await);
            }
        }
        assert_eq!(changes.take(), 0);
        for path in ["/plain", "/open", "/guarded"] {
            assert_eq!(post(&known, path, OWN).await.status(), 200, "{path}");
            assert_eq!(changes.take(), 1);
        }
        for browser in [&known, &stranger] {
            assert_eq!(post(browser, "/hook", FOREIGN).await.text(), "hooked");
            assert_eq!(changes.take(), 1);
        }
        let status = post(&stranger, "/plain", OWN).await.status();
        assert_eq!(status, if denies { 303 } else { 200 });
    }
}

#[actix_web::test]
async fn middleware_that_awaits_hides_that_a_route_takes_other_sites_and_the_event_names_it() {
    for denies in [false, true] {
        let changes = Changes::default();
        let (mut builder, named) = naming(base(&Users::new()));
        if denies {
            builder = builder.deny_by_default();
        }
        let manager = builder.build(key()).unwrap();
        let app = init_service(
            ActixApp::new()
                .wrap(from_fn(pass_on))
                .wrap(Compat::new(manager))
                .configure(routes(&changes)),
        )
        .await;
        let browser = Browser::new(&app);
        for expected in [true, false] {
            assert_refused(&post(&browser, "/hook", FOREIGN).await);
            let found = named.lock().unwrap().split_off(0);
            let [found] = found.as_slice() else {
                panic!("{found:?}");
            };
            // Once for each route.
            let names = found.as_ref().is_some_and(|name| name.contains("pass_on"));
            assert_eq!(names, expected, "{found:?}");
        }
        assert_eq!(changes.take(), 0);
    }
}

#[actix_web::test]
async fn behind_a_gate_a_route_is_decided_by_what_it_declares() {
    for denies in [false, true] {
        let changes = Changes::default();
        let (mut builder, named) = naming(base(&Users::new()));
        if denies {
            builder = builder.deny_by_default();
        }
        let manager = builder.build(key()).unwrap();
        let app = init_service(
            ActixApp::new()
                .wrap(routes_behind(from_fn(pass_on)))
                .wrap(DefaultHeaders::new().add(("x-seen", "1")))
                .wrap(routes_behind(from_fn(pass_on)))
                .wrap(Compat::new(manager))
                .configure(routes(&changes)),
        )
        .await;
        let browser = Browser::new(&app);
        assert_eq!(post(&browser, "/hook", FOREIGN).await.text(), "hooked");
        assert_eq!(changes.take(), 1);
        for path in ["/plain", "/open", "/guarded", "/nowhere"] {
            assert_refused(&post(&browser, path, FOREIGN).await);
        }
        assert_eq!(changes.take(), 0);
        assert_eq!(named.lock().unwrap().len(), 4);
        assert_eq!(post(&browser, "/open", OWN).await.status(), 200);
    }
}

/// Gives a manager other cookies than those of the manager around it.
fn inner(builder: LoginManagerBuilder) -> LoginManagerBuilder {
    let cookie = |name: &'static str| CookieSettings::new().name(name);
    builder
        .session_cookie(cookie("inner"))
        .login_cookie(cookie("inner-login"))
        .remember_cookie(RememberCookie::new().cookie(cookie("inner-remember")))
}

#[actix_web::test]
async fn of_two_managers_each_refuses_what_it_does_not_take() {
    let outer = |builder: LoginManagerBuilder| builder.login_cookie(CookieSettings::new());
    let users = Users::new();
    type Change = fn(LoginManagerBuilder) -> LoginManagerBuilder;
    let same: Change = |builder| builder;
    let siblings: Change = LoginManagerBuilder::allow_same_site;
    let off: Change = LoginManagerBuilder::danger_no_cross_site_check;
    let denies: Change = LoginManagerBuilder::deny_by_default;
    for (around, within, takes_sibling, takes_foreign) in [
        (same, same, false, false),
        (siblings, siblings, true, false),
        (siblings, same, false, false),
        (same, siblings, false, false),
        (off, same, false, false),
        (same, off, false, false),
        (off, off, true, true),
        (denies, same, false, false),
        (same, denies, false, false),
    ] {
        let changes = Changes::default();
        let around = around(outer(base(&users))).build(key()).unwrap();
        let within = within(inner(base(&users))).build(key()).unwrap();
        let app = init_service(
            ActixApp::new().wrap(Compat::new(around)).service(
                web::scope("")
                    .wrap(Compat::new(within))
                    .configure(routes(&changes)),
            ),
        )
        .await;
        let browser = Browser::new(&app);
        for (headers, takes) in [(SIBLING, takes_sibling), (FOREIGN, takes_foreign)] {
            let answer = post(&browser, "/open", headers).await;
            match takes {
                true => assert_eq!((answer.status(), changes.take()), (200, 1)),
                false => {
                    assert_refused(&answer);
                    assert_eq!(changes.take(), 0);
                }
            }
            // A declaration counts for both.
            assert_eq!(post(&browser, "/hook", headers).await.text(), "hooked");
            assert_eq!(changes.take(), 1);
        }
        assert_eq!(post(&browser, "/open", OWN).await.status(), 200);
        changes.take();
    }
}

#[actix_web::test]
async fn a_declaration_around_a_manager_counts_inside_it() {
    let users = Users::new();
    let changes = Changes::default();
    let outer = base(&users).login_cookie(CookieSettings::new());
    let outer = outer.deny_by_default().build(key()).unwrap();
    let within = inner(base(&users)).deny_by_default().build(key()).unwrap();
    let app = init_service(
        ActixApp::new().wrap(Compat::new(outer)).service(
            web::scope("")
                .wrap(Compat::new(within))
                .wrap(public().cross_site())
                .configure(routes(&changes)),
        ),
    )
    .await;
    let browser = Browser::new(&app);
    assert_eq!(post(&browser, "/plain", FOREIGN).await.status(), 200);
    assert_eq!(changes.take(), 1);
    assert_refused(&post(&browser, "/guarded", FOREIGN).await);
    assert_eq!(changes.take(), 0);
}

#[post("/once")]
async fn once(changes: Data<Changes>) -> impl Responder {
    changes.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    "once"
}

#[actix_web::test]
async fn handlers_that_take_every_method_are_checked_at_the_unsafe_ones() {
    let changes = Changes::default();
    let manager = base(&Users::new()).build(key()).unwrap();
    let with = changes.clone();
    let app = app(manager, |routes| {
        changing(&with)(routes);
        routes.service(once);
    })
    .await;
    let browser = Browser::new(&app);
    assert_refused(&post(&browser, "/once", FOREIGN).await);
    assert_refused(&post(&browser, "/change", FOREIGN).await);
    assert_eq!(changes.take(), 0);
}
