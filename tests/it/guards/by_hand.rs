//! Guards without an attribute: closures, and decisions inside a handler.

use actix_web::{
    HttpRequest, HttpResponse, Responder, get,
    web::{self, Json, Path},
};
use login_runtime::{
    Auth, CurrentUser,
    guards::{Refusal, guarded},
    test::Browser,
};
use login_tests::{User, Users, app, key, manager};

use super::{ada, check, get as get_page, post as post_page};

async fn foreign(id: Path<u32>, request: HttpRequest) -> impl Responder {
    format!("foreign {id} {}", request.method())
}

#[actix_web::test]
async fn closures_and_foreign_handlers_are_guarded() {
    let greeting = "hello";
    check(
        |routes| {
            routes.route("/foreign/{id}", web::get().to(guarded(foreign)));
            routes.route("/none", web::get().to(guarded(|| async { "none" })));
            routes.route("/async", web::get().to(guarded(async || "async")));
            routes.route(
                "/captures",
                web::get().to(guarded(move |user: CurrentUser<User>| async move {
                    format!("{greeting} {}", user.name)
                })),
            );
            routes.route(
                "/json",
                web::post().to(guarded(async |Json(numbers): Json<Vec<u32>>| {
                    numbers.iter().sum::<u32>().to_string()
                })),
            );
            routes.service(web::resource("/resource").to(guarded(async |_: HttpRequest| "to")));
        },
        &[
            get_page("/foreign/7", "foreign 7 GET"),
            get_page("/none", "none"),
            get_page("/async", "async"),
            get_page("/captures", "hello ada"),
            post_page("/json", "6").sending("application/json", "[1, 2, 3]"),
            get_page("/resource", "to"),
        ],
    )
    .await;
}

#[get("/required")]
async fn required(auth: Auth<User>) -> actix_web::Result<impl Responder> {
    let user = auth.require_login().await?;
    Ok(format!("required {}", user.name))
}

#[get("/required-fresh")]
async fn required_fresh(auth: Auth<User>) -> actix_web::Result<impl Responder> {
    let user = auth.require_fresh_login().await?;
    Ok(format!("required {}", user.name))
}

#[get("/extracted")]
async fn extracted(user: CurrentUser<User>) -> impl Responder {
    format!("extracted {}", user.name)
}

#[actix_web::test]
async fn a_handler_decides_itself() {
    check(
        |routes| {
            routes
                .service(required)
                .service(required_fresh)
                .service(extracted);
        },
        &[
            get_page("/required", "required ada"),
            get_page("/required-fresh", "required ada"),
            get_page("/extracted", "extracted ada"),
        ],
    )
    .await;
}

#[actix_web::test]
async fn a_handler_asks_for_a_fresh_login() {
    let (builder, clock) = manager(&Users::new());
    let builder = builder.fresh_for(std::time::Duration::from_secs(600));
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(required).service(required_fresh);
    })
    .await;
    let browser = Browser::new(&app);
    browser
        .get("/required-fresh")
        .await
        .assert_redirects_to_login("/login", "/required-fresh");
    browser.log_in(ada()).stale().await;
    assert_eq!(browser.get("/required-fresh").await.status(), 401);
    assert_eq!(browser.get("/required").await.text(), "required ada");
    browser.log_in(ada()).await;
    for (age, status) in [(600, 200), (601, 401)] {
        clock.set(login_tests::START + age);
        assert_eq!(
            browser.get("/required-fresh").await.status(),
            status,
            "{age}"
        );
    }
}

#[get("/pages/{id}")]
async fn later_pages_only(auth: Auth<User>, id: Path<u32>) -> Result<String, Refusal> {
    if *id > 7 {
        Ok(format!("page {id}"))
    } else {
        Err(auth.unauthorized().await)
    }
}

#[get("/response")]
async fn response(auth: Auth<User>) -> HttpResponse {
    auth.unauthorized().await.into_response()
}

#[get("/stale")]
async fn stale(auth: Auth<User>) -> actix_web::Result<HttpResponse> {
    Err(auth.needs_refresh().await)?
}

#[actix_web::test]
async fn a_handler_refuses_whoever_is_logged_in() {
    let (builder, _) = manager(&Users::new());
    let app = app(
        builder.refresh_view("/confirm").build(key()).unwrap(),
        |routes| {
            routes
                .service(later_pages_only)
                .service(response)
                .service(stale);
        },
    )
    .await;
    let browser = Browser::new(&app);
    for _ in ["nobody", "ada"] {
        for page in ["/pages/7?a=b", "/response"] {
            browser
                .get(page)
                .await
                .assert_redirects_to_login("/login", page);
        }
        browser
            .get("/stale")
            .await
            .assert_redirects_to_login("/confirm", "/stale");
        assert_eq!(browser.get("/pages/8").await.text(), "page 8");
        browser.log_in(ada()).await;
    }
}
