//! `#[login_required]` among other attributes.

use std::sync::{Arc, Mutex};

use actix_web::{
    HttpRequest, Responder, delete, get, http::Method, patch, post, put, route, routes, web,
};
use login_runtime::{login_required, test::Browser};
use login_tests::{Users, app, key, manager};
use tracing::{
    Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use super::{ada, check, get as get_page, page, post as post_page};

#[login_required]
#[get("/above-get")]
async fn above_get() -> &'static str {
    "above get"
}

#[get("/below-get")]
#[login_required]
async fn below_get() -> &'static str {
    "below get"
}

#[login_required]
#[post("/above-post")]
async fn above_post(body: String) -> String {
    format!("above post {body}")
}

#[post("/below-post")]
#[login_required]
async fn below_post(body: String) -> String {
    format!("below post {body}")
}

#[login_required]
#[put("/put")]
async fn above_put() -> &'static str {
    "put"
}

#[patch("/patch")]
#[login_required]
async fn below_patch() -> &'static str {
    "patch"
}

#[login_required]
#[delete("/delete/{id}")]
async fn above_delete(id: web::Path<u32>) -> String {
    format!("delete {id}")
}

#[login_required]
#[actix_web::get("/by-path")]
async fn route_by_path() -> &'static str {
    "by path"
}

#[login_runtime::login_required]
#[actix_web::get("/guard-by-path")]
async fn guard_by_path() -> &'static str {
    "guard by path"
}

#[actix_web::test]
async fn a_guard_stands_above_or_below_the_route() {
    check(
        |routes| {
            routes.service(above_get).service(below_get);
            routes.service(above_post).service(below_post);
            routes
                .service(above_put)
                .service(below_patch)
                .service(above_delete);
            routes.service(route_by_path).service(guard_by_path);
        },
        &[
            get_page("/above-get", "above get"),
            get_page("/below-get", "below get"),
            post_page("/above-post", "above post x").sending("text/plain", "x"),
            post_page("/below-post", "below post x").sending("text/plain", "x"),
            page(Method::PUT, "/put", "put"),
            page(Method::PATCH, "/patch", "patch"),
            page(Method::DELETE, "/delete/7", "delete 7"),
            get_page("/by-path", "by path"),
            get_page("/guard-by-path", "guard by path"),
        ],
    )
    .await;
}

#[login_required]
#[route("/above-route", method = "GET", method = "POST")]
async fn above_route(request: HttpRequest) -> String {
    format!("above {}", request.method())
}

#[route("/below-route", method = "GET", method = "POST")]
#[login_required]
async fn below_route(request: HttpRequest) -> String {
    format!("below {}", request.method())
}

#[actix_web::test]
async fn a_guard_holds_for_each_method_of_a_route() {
    check(
        |routes| {
            routes.service(above_route).service(below_route);
        },
        &[
            get_page("/above-route", "above GET"),
            post_page("/above-route", "above POST"),
            get_page("/below-route", "below GET"),
            post_page("/below-route", "below POST"),
        ],
    )
    .await;
}

#[login_required]
#[routes]
#[get("/top/a")]
#[post("/top/b")]
async fn top(request: HttpRequest) -> String {
    format!("top {}", request.path())
}

#[routes]
#[login_required]
#[get("/second/a")]
#[post("/second/b")]
async fn second(request: HttpRequest) -> String {
    format!("second {}", request.path())
}

#[routes]
#[get("/third/a")]
#[login_required]
#[post("/third/b")]
async fn third(request: HttpRequest) -> String {
    format!("third {}", request.path())
}

#[routes]
#[get("/bottom/a")]
#[post("/bottom/b")]
#[login_required]
async fn bottom(request: HttpRequest) -> String {
    format!("bottom {}", request.path())
}

#[actix_web::test]
async fn a_guard_holds_for_all_routes_of_a_handler() {
    check(
        |routes| {
            routes
                .service(top)
                .service(second)
                .service(third)
                .service(bottom);
        },
        &[
            get_page("/top/a", "top /top/a"),
            post_page("/top/b", "top /top/b"),
            get_page("/second/a", "second /second/a"),
            post_page("/second/b", "second /second/b"),
            get_page("/third/a", "third /third/a"),
            post_page("/third/b", "third /third/b"),
            get_page("/bottom/a", "bottom /bottom/a"),
            post_page("/bottom/b", "bottom /bottom/b"),
        ],
    )
    .await;
}

#[login_required]
#[get("/conditional")]
#[cfg(test)]
async fn conditional() -> &'static str {
    "there"
}

#[login_required]
#[get("/conditional")]
#[cfg(not(test))]
async fn conditional() -> &'static str {
    "not there"
}

#[login_required]
#[cfg_attr(all(), get("/conditional-route"))]
async fn conditional_route() -> &'static str {
    "conditional route"
}

#[get("/conditional-guard")]
#[cfg_attr(all(), login_required)]
async fn conditional_guard() -> &'static str {
    "conditional guard"
}

#[actix_web::test]
async fn conditions_on_handlers_and_attributes_hold() {
    check(
        |routes| {
            routes
                .service(conditional)
                .service(conditional_route)
                .service(conditional_guard);
        },
        &[
            get_page("/conditional", "there"),
            get_page("/conditional-route", "conditional route"),
            get_page("/conditional-guard", "conditional guard"),
        ],
    )
    .await;
}

/// A page.
///
/// With a second paragraph.
#[login_required]
#[allow(clippy::let_and_return, reason = "asks whether this attribute stays")]
#[get("/kept")]
// A comment is no attribute.
#[must_use = "kept"]
/// Some more about the page.
#[inline]
async fn kept(#[expect(unused_variables)] request: HttpRequest) -> &'static str {
    let kept = "kept";
    kept
}

#[login_required]
#[deprecated = "asks whether this attribute stays"]
async fn deprecated() -> &'static str {
    "deprecated"
}

#[actix_web::test]
async fn other_attributes_stay() {
    check(
        |routes| {
            routes.service(kept);
            #[expect(deprecated)]
            routes.route("/deprecated", web::get().to(deprecated));
        },
        &[
            get_page("/kept", "kept"),
            get_page("/deprecated", "deprecated"),
        ],
    )
    .await;
}

#[tracing::instrument]
#[login_required]
#[get("/instrumented/above/{id}")]
async fn instrumented_above(id: web::Path<u32>) -> impl Responder {
    format!("above {id}")
}

#[login_required]
#[tracing::instrument]
#[get("/instrumented/between/{id}")]
async fn instrumented_between(id: web::Path<u32>) -> impl Responder {
    format!("between {id}")
}

#[login_required]
#[get("/instrumented/below/{id}")]
#[tracing::instrument]
async fn instrumented_below(id: web::Path<u32>) -> impl Responder {
    format!("below {id}")
}

#[get("/instrumented/last/{id}")]
#[login_required]
#[tracing::instrument(skip_all, fields(id = %id))]
async fn instrumented_last(id: web::Path<u32>, request: HttpRequest) -> impl Responder {
    format!("last {id} {}", request.method())
}

/// Keeps the names of spans and their fields.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == module_path!()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().unwrap();
        let fields: Vec<_> = span
            .metadata()
            .fields()
            .iter()
            .map(|field| field.name())
            .collect();
        spans.push(format!("{}({})", span.metadata().name(), fields.join(", ")));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[actix_web::test]
async fn an_instrumented_handler_has_the_fields_it_was_written_with() {
    let spans = Spans::default();
    let _default = tracing::subscriber::set_default(spans.clone());
    let taken = || std::mem::take(&mut *spans.0.lock().unwrap());
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes
            .service(instrumented_above)
            .service(instrumented_between);
        routes
            .service(instrumented_below)
            .service(instrumented_last);
    })
    .await;
    let browser = Browser::new(&app);
    for place in ["above", "between", "below", "last"] {
        assert_eq!(
            browser
                .get(&format!("/instrumented/{place}/7"))
                .await
                .status(),
            303,
            "{place}"
        );
        assert_eq!(taken(), [""; 0], "a refused handler does not run");
    }
    browser.log_in(ada()).await;
    for place in ["above", "between", "below", "last"] {
        let answer = browser.get(&format!("/instrumented/{place}/7")).await;
        assert_eq!(answer.status(), 200, "{place}");
        assert!(
            answer.text().starts_with(&format!("{place} 7")),
            "{}",
            answer.text()
        );
        assert_eq!(taken(), [format!("instrumented_{place}(id)")]);
    }
}
