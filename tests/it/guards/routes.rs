//! Guarded handlers that are registered by hand.

use actix_web::{HttpRequest, Responder, get, guard, http::Method, post, web};
use login_runtime::{login_required, test::Browser};
use login_tests::{Users, app, key, manager};

use super::{check, get as get_page, page, post as post_page};

#[login_required]
async fn show(request: HttpRequest) -> impl Responder {
    format!("{} {}", request.method(), request.path())
}

#[login_required]
async fn numbered(id: web::Path<u32>) -> impl Responder {
    format!("number {id}")
}

#[actix_web::test]
async fn a_guard_holds_wherever_the_handler_is_registered() {
    check(
        |routes| {
            routes.route("/route", web::get().to(show));
            routes.route("/any-method", web::to(show));
            routes.route("/method", web::method(Method::PATCH).to(show));
            routes.route("/guarded", web::route().guard(guard::Post()).to(show));
            routes.service(
                web::resource("/resource/{id}")
                    .route(web::get().to(numbered))
                    .route(web::post().to(show)),
            );
            routes.service(web::resource("/to").to(show));
            routes.service(web::scope("/scope").service(web::scope("/inner").configure(
                |routes| {
                    routes.route("/{id}", web::get().to(numbered));
                },
            )));
            routes.default_service(web::to(show));
        },
        &[
            get_page("/route", "GET /route"),
            get_page("/any-method", "GET /any-method"),
            page(Method::DELETE, "/any-method", "DELETE /any-method"),
            page(Method::PATCH, "/method", "PATCH /method"),
            post_page("/guarded", "POST /guarded"),
            get_page("/resource/7", "number 7"),
            post_page("/resource/7", "POST /resource/7"),
            get_page("/to", "GET /to"),
            get_page("/scope/inner/8", "number 8"),
            get_page("/no/such/page", "GET /no/such/page"),
        ],
    )
    .await;
}

#[actix_web::scope("/v1")]
mod v1 {
    use actix_web::{Responder, get, post, web};
    use login_runtime::login_required;

    #[login_required]
    #[get("/above/{id}")]
    pub(super) async fn above(id: web::Path<u32>) -> impl Responder {
        format!("above {id}")
    }

    #[post("/below")]
    #[login_required]
    pub(super) async fn below() -> impl Responder {
        "below"
    }
}

#[actix_web::test]
async fn a_guard_holds_within_a_scope_attribute() {
    check(
        |routes| {
            routes.service(v1::above).service(v1::below);
        },
        &[
            get_page("/v1/above/7", "above 7"),
            post_page("/v1/below", "below"),
        ],
    )
    .await;
}

#[get("/open")]
async fn open() -> &'static str {
    "open"
}

#[login_required]
#[post("/open")]
async fn closed() -> &'static str {
    "closed"
}

#[actix_web::test]
async fn a_guard_leaves_its_neighbours_alone() {
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(open).service(closed);
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/open").await.status(), 303);
    assert_eq!(browser.get("/open").await.text(), "open");
}

#[actix_web::test]
async fn the_login_view_is_told_where_the_client_wanted_to_go() {
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.route("/pages/{id}", web::to(show));
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/pages/7?a=b&c=%20d").await;
    answer.assert_redirects_to_login("/login", "/pages/7?a=b&c=%20d");
    // Whoever follows a redirect sends GET, which is not what was asked for.
    assert_eq!(browser.post("/pages/7").await.location(), Some("/login"));
}
