//! Guards as middleware.

use actix_web::{
    App, HttpRequest, get,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{CurrentUser, fresh_login_required, login_required, test::Browser};
use login_tests::{Admin, User, Users, app, key, load_admin, manager};

use super::{ada, check, get as get_page, post as post_page};

async fn show(request: HttpRequest) -> String {
    format!("{} {}", request.method(), request.path())
}

#[get("/wrapped-by-attribute", wrap = "login_required()")]
async fn wrapped_by_attribute() -> &'static str {
    "wrapped by attribute"
}

#[actix_web::test]
async fn a_guard_wraps_scopes_resources_and_routes() {
    check(
        |routes| {
            routes.service(
                web::scope("/scope")
                    .wrap(login_required())
                    .route("/page", web::get().to(show)),
            );
            routes.service(
                web::resource("/resource")
                    .wrap(login_required())
                    .route(web::get().to(show))
                    .route(web::post().to(show)),
            );
            routes.route("/route", web::get().to(show).wrap(login_required()));
            routes.service(wrapped_by_attribute);
        },
        &[
            get_page("/scope/page", "GET /scope/page"),
            get_page("/resource", "GET /resource"),
            post_page("/resource", "POST /resource"),
            get_page("/route", "GET /route"),
            get_page("/wrapped-by-attribute", "wrapped by attribute"),
        ],
    )
    .await;
}

#[actix_web::test]
async fn a_guard_wraps_no_more_than_it_is_put_around() {
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(
            web::resource("/one-route")
                .route(web::get().to(show).wrap(login_required()))
                .route(web::post().to(show)),
        );
        routes.service(
            web::scope("/scope")
                .service(web::resource("/closed").wrap(login_required()).to(show))
                .service(web::resource("/open").to(show)),
        );
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/one-route").await.status(), 303);
    assert_eq!(browser.post("/one-route").await.text(), "POST /one-route");
    assert_eq!(browser.get("/scope/closed").await.status(), 303);
    assert_eq!(browser.get("/scope/open").await.text(), "GET /scope/open");
}

#[actix_web::test]
async fn a_guarded_scope_tells_strangers_nothing_about_its_pages() {
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(
            web::scope("/scope")
                .wrap(login_required())
                .route("/page", web::get().to(show)),
        );
    })
    .await;
    let browser = Browser::new(&app);
    for (path, later) in [
        ("/scope/page", 200),
        ("/scope/no-page", 404),
        ("/scope", 404),
    ] {
        assert_eq!(browser.get(path).await.status(), 303, "{path}");
        let known = browser.copy();
        known.log_in(ada()).await;
        assert_eq!(known.get(path).await.status(), later, "{path}");
    }
}

#[actix_web::test]
async fn a_guard_wraps_a_whole_application() {
    let (builder, _) = manager(&Users::new());
    let manager = builder.build(key()).unwrap();
    // The layer that is added last is the outermost.
    let app = init_service(
        App::new()
            .wrap(login_required())
            .wrap(manager)
            .route("/page", web::get().to(show)),
    )
    .await;
    let browser = Browser::new(&app);
    browser
        .get("/page")
        .await
        .assert_redirects_to_login("/login", "/page");
    browser.log_in(ada()).await;
    assert_eq!(browser.get("/page").await.text(), "GET /page");
}

#[actix_web::test]
async fn a_scope_within_a_scope_asks_for_more() {
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(
            web::scope("/account")
                .wrap(login_required())
                .route("/page", web::get().to(show))
                .service(
                    web::scope("/keys")
                        .wrap(fresh_login_required())
                        .route("/page", web::get().to(show)),
                ),
        );
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/account/page").await.status(), 303);
    assert_eq!(browser.get("/account/keys/page").await.status(), 303);
    browser.log_in(ada()).stale().await;
    assert_eq!(browser.get("/account/page").await.status(), 200);
    assert_eq!(browser.get("/account/keys/page").await.status(), 401);
    browser.log_in(ada()).await;
    assert_eq!(browser.get("/account/keys/page").await.status(), 200);
}

fn two_kinds_of_routes(routes: &mut ServiceConfig) {
    routes.service(
        web::scope("/admin")
            .wrap(login_required().user::<Admin>())
            .route(
                "",
                web::get().to(async |admin: CurrentUser<Admin>| admin.login.clone()),
            ),
    );
    routes.service(
        web::scope("/user")
            .wrap(login_required().user::<User>())
            .route(
                "",
                web::get().to(async |user: CurrentUser<User>| user.name.clone()),
            ),
    );
    routes.service(web::scope("/first").wrap(login_required()).route(
        "",
        web::get().to(async |user: CurrentUser<User>| user.name.clone()),
    ));
}

#[actix_web::test]
async fn a_wrapped_guard_asks_for_its_user_type() {
    let (builder, _) = manager(&Users::new());
    let manager = builder.user_loader(load_admin).build(key()).unwrap();
    let app = app(manager, two_kinds_of_routes).await;
    let browser = Browser::new(&app);
    for path in ["/admin", "/user", "/first"] {
        browser
            .get(path)
            .await
            .assert_redirects_to_login("/login", path);
    }
    browser.log_in(ada()).await;
    browser
        .get("/admin")
        .await
        .assert_redirects_to_login("/login", "/admin");
    assert_eq!(browser.get("/user").await.text(), "ada");
    assert_eq!(browser.get("/first").await.text(), "ada");
    let other = Browser::new(&app);
    other.log_in(Admin::new("root")).await;
    assert_eq!(other.get("/user").await.status(), 303);
    assert_eq!(other.get("/first").await.status(), 303);
    assert_eq!(other.get("/admin").await.text(), "root");
}
