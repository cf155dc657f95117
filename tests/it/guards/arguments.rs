//! The arguments of guarded handlers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest,
    dev::ConnectionInfo,
    get,
    http::{Method, Uri},
    post,
    web::{self, Bytes, Data, Form, Header, Json, Path, Query},
};
use futures_util::TryStreamExt as _;
use login_runtime::{Auth, CurrentUser, MaybeUser, login_required};
use login_tests::User;
use serde::Deserialize;

use super::{check, get as get_page, post as post_page};

#[derive(Deserialize)]
struct Search {
    words: String,
    #[serde(default)]
    exact: bool,
}

#[login_required]
#[get("/query")]
async fn searched(Query(search): Query<Search>) -> String {
    search.words
}

#[login_required]
#[get("/exact")]
async fn exact(Query(Search { words, exact }): Query<Search>) -> String {
    format!("{words} {exact}")
}

#[post("/json")]
#[login_required]
async fn sorted(Json(mut numbers): Json<Vec<u32>>) -> String {
    numbers.sort_unstable();
    format!("{numbers:?}")
}

#[login_required]
#[post("/form")]
async fn filled_in(mut form: Form<HashMap<String, String>>) -> String {
    form.insert("b".to_owned(), "2".to_owned());
    format!("{} {}", form["a"], form["b"])
}

#[login_required]
#[get("/ignored/{id}")]
async fn ignored(_: HttpRequest, _id: Path<u32>) -> &'static str {
    "ignored"
}

#[login_required]
#[get("/tuple/{first}/{second}")]
async fn tuple(path: Path<(u32, String)>) -> String {
    let (first, second) = path.into_inner();
    format!("{first} {second}")
}

#[login_required]
#[get("/whole/{id}")]
async fn whole(whole @ Query(_): Query<HashMap<String, String>>, ref id: Path<u32>) -> String {
    format!("{} {id}", whole.len())
}

#[login_required]
#[post("/multipart")]
async fn parts_of(mut multipart: Multipart) -> actix_web::Result<String> {
    let mut parts = Vec::new();
    while let Some(field) = multipart.try_next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes: Vec<Bytes> = field.try_collect().await?;
        parts.push(format!(
            "{name}={}",
            String::from_utf8_lossy(&bytes.concat())
        ));
    }
    Ok(parts.join("&"))
}

#[actix_web::test]
async fn arguments_are_patterns_as_before() {
    let multipart_body = "--b\r\n\
        content-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\
        content-disposition: form-data; name=\"b\"\r\n\r\n2\r\n--b--\r\n";
    let form_type = "application/x-www-form-urlencoded";
    check(
        |routes| {
            routes
                .service(searched)
                .service(exact)
                .service(sorted)
                .service(filled_in);
            routes
                .service(ignored)
                .service(tuple)
                .service(whole)
                .service(parts_of);
        },
        &[
            get_page("/query?words=a+b", "a b"),
            get_page("/exact?words=a&exact=true", "a true"),
            post_page("/json", "[1, 2, 3]").sending("application/json", "[3, 1, 2]"),
            post_page("/form", "1 2").sending(form_type, "a=1"),
            get_page("/ignored/7", "ignored"),
            get_page("/tuple/7/x", "7 x"),
            get_page("/whole/7?a=b", "1 7"),
            post_page("/multipart", "a=1&b=2")
                .sending("multipart/form-data; boundary=b", multipart_body),
        ],
    )
    .await;
}

#[login_required]
#[get("/cfg/with/{id}")]
async fn cfg_with(#[cfg(test)] id: Path<u32>) -> String {
    format!("id {id}")
}

#[login_required]
#[get("/cfg/without/{id}")]
async fn cfg_without(#[cfg(not(test))] id: NoSuchType, request: HttpRequest) -> String {
    #[cfg(not(test))]
    let _ = id;
    format!("{} without", request.method())
}

#[get("/cfg/several/{id}")]
#[login_required]
async fn cfg_several(
    #[cfg(not(doc))]
    #[cfg(test)]
    id: Path<u32>,
    #[cfg(doc)] body: NoSuchType,
    #[cfg(not(doc))]
    #[allow(unused_variables)]
    request: HttpRequest,
    #[cfg(not(doc))]
    #[cfg(doc)]
    more: NoSuchType,
    Query(search): Query<Search>,
) -> String {
    format!("id {id} words {}", search.words)
}

#[actix_web::test]
async fn conditions_on_arguments_hold() {
    check(
        |routes| {
            routes
                .service(cfg_with)
                .service(cfg_without)
                .service(cfg_several);
        },
        &[
            get_page("/cfg/with/7", "id 7"),
            get_page("/cfg/without/7", "GET without"),
            get_page("/cfg/several/7?words=a", "id 7 words a"),
        ],
    )
    .await;
}

#[login_required]
#[get("/none")]
async fn none() -> &'static str {
    "none"
}

#[login_required]
#[get("/one/{a}")]
async fn one(a: Path<u32>) -> String {
    format!("{a}")
}

#[login_required]
#[get("/two/{a}")]
async fn two(a: Path<u32>, user: CurrentUser<User>) -> String {
    format!("{a} {}", user.name)
}

#[login_required]
#[post("/twelve/{id}")]
async fn twelve(
    user: CurrentUser<User>,
    maybe: MaybeUser<User>,
    auth: Auth<User>,
    id: Path<u32>,
    query: Query<HashMap<String, String>>,
    request: HttpRequest,
    method: Method,
    uri: Uri,
    connection: ConnectionInfo,
    counter: Data<Mutex<u32>>,
    Header(length): Header<actix_web::http::header::ContentLength>,
    body: String,
) -> String {
    let name = &auth.require_login().await.unwrap().name;
    *counter.lock().unwrap() += 1;
    format!(
        "{} {} {name} {id} {} {} {method} {uri} {} {} {length:?} {body}",
        user.name,
        maybe.is_authenticated(),
        query["q"],
        request.path(),
        connection.scheme(),
        counter.lock().unwrap(),
    )
}

/// actix-web calls handlers with up to sixteen arguments.
#[login_required]
#[get("/sixteen/{id}")]
async fn sixteen(
    a: Path<u32>,
    b: Path<u32>,
    c: Path<u32>,
    d: Path<u32>,
    e: Path<u32>,
    f: Path<u32>,
    g: Path<u32>,
    h: Path<u32>,
    i: Path<u32>,
    j: Path<u32>,
    k: Path<u32>,
    l: Path<u32>,
    m: Path<u32>,
    n: Path<u32>,
    o: Path<u32>,
    p: CurrentUser<User>,
) -> String {
    let sum: u32 = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]
        .iter()
        .map(|id| **id)
        .sum();
    format!("{sum} {}", p.name)
}

#[actix_web::test]
async fn a_handler_takes_as_many_arguments_as_without_a_guard() {
    check(
        |routes| {
            routes.app_data(Data::from(Arc::new(Mutex::new(0_u32))));
            routes
                .service(none)
                .service(one)
                .service(two)
                .service(twelve)
                .service(sixteen);
        },
        &[
            get_page("/none", "none"),
            get_page("/one/7", "7"),
            get_page("/two/7", "7 ada"),
            post_page(
                "/twelve/7?q=r",
                "ada true ada 7 r /twelve/7 POST /twelve/7?q=r http 1 ContentLength(4) body",
            )
            .sending("text/plain", "body"),
            get_page("/sixteen/7", "105 ada"),
        ],
    )
    .await;
}

#[login_required]
async fn failing(_: Path<u32>, _: web::Header<actix_web::http::header::IfMatch>) -> &'static str {
    "extracted"
}

#[actix_web::test]
async fn an_argument_that_cannot_be_extracted_is_reported_after_the_guard() {
    let (builder, _) = login_tests::manager(&login_tests::Users::new());
    let app = login_tests::app(builder.build(login_tests::key()).unwrap(), |routes| {
        routes.route("/failing/{id}", web::get().to(failing));
    })
    .await;
    let browser = login_runtime::test::Browser::new(&app);
    assert_eq!(browser.get("/failing/x").await.status(), 303);
    browser.log_in(super::ada()).await;
    assert_eq!(browser.get("/failing/x").await.status(), 404);
}
