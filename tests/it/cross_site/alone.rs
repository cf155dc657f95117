//! The guard without a login manager.

use actix_web::{
    App as ActixApp, Error, Responder,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Compat, Next, from_fn},
    post,
    test::init_service,
    web::{self, Data, ServiceConfig},
};
use login_runtime::{
    CookieSettings, MaybeUser, guards::CrossSiteGuard, login_required, public, test::Browser,
};
use login_tests::{User, Users, key};

use super::{Changes, FOREIGN, OWN, SIBLING, assert_refused, base, change, changing, post};
use crate::{
    events::Log,
    first::{BODIES, send_with},
    world::BoxedApp,
};

async fn name(user: MaybeUser<User>) -> String {
    user.user()
        .map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

#[public(cross_site)]
#[post("/hook")]
async fn hook() -> impl Responder {
    "hooked"
}

fn routes(changes: &Changes) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let changes = changes.clone();
    move |routes| {
        routes.app_data(Data::new(changes)).service(hook);
        routes.route("/change", web::post().to(change));
        routes.route("/hooks/{id}", web::post().to(change));
    }
}

async fn pass_on(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}

#[actix_web::test]
async fn an_application_without_logins_refuses_requests_of_other_sites() {
    let changes = Changes::default();
    let guard = CrossSiteGuard::new();
    let app = ActixApp::new().wrap(Compat::new(guard));
    let app = init_service(app.configure(routes(&changes))).await;
    let browser = Browser::new(&app);
    let (log, _guard) = Log::start();
    for headers in [FOREIGN, SIBLING] {
        assert_refused(&post(&browser, "/change", headers).await);
        assert_refused(&post(&browser, "/nowhere", headers).await);
        assert_eq!(post(&browser, "/hook", headers).await.text(), "hooked");
    }
    let lines = log.take_ours();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for part in [
        "event=cross_site_refused",
        "reason=cross_site",
        "origin=https://evil.test",
        "pattern=/change",
    ] {
        assert!(lines[0].contains(part), "{lines:#?}");
    }
    assert_eq!(changes.take(), 0);
    assert_eq!(post(&browser, "/change", OWN).await.status(), 200);
    assert_eq!(browser.post("/change").await.status(), 200);
    for (what, chunk, chunks) in BODIES {
        let foreign = [("sec-fetch-site", "cross-site")];
        let sent = send_with(&app, &browser, "/change", (chunk, chunks), &foreign).await;
        assert_eq!(sent, (403, 0), "{what}");
    }
}

#[actix_web::test]
async fn a_function_of_the_application_says_which_requests_are_exempt() {
    let changes = Changes::default();
    let guard = CrossSiteGuard::new().exempt(|request| request.path().starts_with("/hooks/"));
    let app = ActixApp::new().wrap(Compat::new(guard));
    let app = init_service(app.configure(routes(&changes))).await;
    let browser = Browser::new(&app);
    assert_eq!(post(&browser, "/hooks/1", FOREIGN).await.status(), 200);
    assert_refused(&post(&browser, "/change", FOREIGN).await);
}

#[actix_web::test]
async fn middleware_that_awaits_hides_a_declaration_and_the_log_says_so() {
    let changes = Changes::default();
    let guard = CrossSiteGuard::new();
    let app = ActixApp::new()
        .wrap(from_fn(pass_on))
        .wrap(Compat::new(guard))
        .configure(routes(&changes));
    let app = init_service(app).await;
    let browser = Browser::new(&app);
    let (log, _guard) = Log::start();
    assert_refused(&post(&browser, "/hook", FOREIGN).await);
    assert_refused(&post(&browser, "/hook", FOREIGN).await);
    let lines = log.take_ours();
    assert!(lines[0].contains("pass_on"), "{lines:#?}");
    assert!(!lines[1].contains("pass_on"), "{lines:#?}");
}

async fn boxed<T>(app: ActixApp<T>) -> BoxedApp
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse,
            Error = Error,
            InitError = (),
        > + 'static,
{
    actix_service::boxed::service(init_service(app).await)
}

#[actix_web::test]
async fn guard_and_manager_each_refuse_what_they_do_not_take() {
    let users = Users::new();
    for (is_around, denies) in [(true, false), (true, true), (false, false), (false, true)] {
        for (guard, allows) in [
            (CrossSiteGuard::new(), false),
            (CrossSiteGuard::new().allow_same_site(), true),
        ] {
            let changes = Changes::default();
            let mut builder = base(&users).allow_same_site();
            builder = builder.login_cookie(CookieSettings::new());
            if denies {
                builder = builder.deny_by_default();
            }
            let manager = Compat::new(builder.build(key()).unwrap());
            let guard = Compat::new(guard);
            let exempt = web::post().to(name).wrap(public().cross_site());
            let open = web::post().to(change).wrap(public());
            let guarded = web::post().to(name).wrap(login_required());
            let with = changes.clone();
            let routes = move |routes: &mut ServiceConfig| {
                routes.app_data(Data::new(with));
                routes
                    .route("/exempt", exempt)
                    .route("/open", open)
                    .route("/guarded", guarded);
            };
            let app = ActixApp::new();
            let app = match is_around {
                true => boxed(app.wrap(manager).wrap(guard).configure(routes)).await,
                false => boxed(app.wrap(guard).wrap(manager).configure(routes)).await,
            };
            let browser = Browser::new(&app);
            browser.log_in(User::new(1, "ada")).await;
            let what = format!("around {is_around}, denies {denies}, allows {allows}");
            assert_refused(&post(&browser, "/open", FOREIGN).await);
            assert_refused(&post(&browser, "/guarded", FOREIGN).await);
            assert_eq!(changes.take(), 0);
            let sibling = post(&browser, "/open", SIBLING).await.status();
            assert_eq!(sibling, if allows { 200 } else { 403 }, "{what}");
            assert_eq!(changes.take(), usize::from(allows));
            let exempt = post(&browser, "/exempt", FOREIGN).await.text();
            assert_eq!(exempt, "nobody", "{what}");
            assert_eq!(post(&browser, "/exempt", OWN).await.text(), "ada", "{what}");
            assert_eq!(
                post(&browser, "/guarded", OWN).await.text(),
                "ada",
                "{what}"
            );
            assert_eq!(post(&browser, "/open", OWN).await.status(), 200, "{what}");
        }
    }
}

#[actix_web::test]
async fn a_guard_with_a_malformed_origin_is_not_made() {
    let error = CrossSiteGuard::new().trusted_origins(["https://a.test", "https://b.test/x"]);
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("the trusted origin `https://b.test/x` has a path"),
        "{error}"
    );
    assert!(CrossSiteGuard::new().own_origin("app.test").is_err());
    let changes = Changes::default();
    let app = ActixApp::new().wrap(Compat::new(CrossSiteGuard::default()));
    let app = init_service(app.configure(changing(&changes))).await;
    let browser = Browser::new(&app);
    assert_refused(&post(&browser, "/change", FOREIGN).await);
}
