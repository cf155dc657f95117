//! What kinds of functions a guarded handler can be.

use std::{
    fmt,
    future::{Future, Ready, ready},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
};

use actix_web::{
    Either, HttpRequest, HttpResponse, Responder, ResponseError, get,
    http::StatusCode,
    web::{self, Data, Json, Path},
};
use futures_util::future::{LocalBoxFuture, TryFutureExt as _};
use login_runtime::{login_required, test::Browser};
use login_tests::{Users, app, key, manager};

use super::{ada, check, get as get_page, post as post_page};

trait Repo: 'static {
    const NAME: &'static str;

    fn find(&self, id: u32) -> String;
}

struct Books;

impl Repo for Books {
    const NAME: &'static str = "books";

    fn find(&self, id: u32) -> String {
        format!("book {id}")
    }
}

#[login_required]
async fn generic<R>(repo: Data<R>, id: Path<u32>) -> String
where
    R: Repo,
{
    format!("{} {}", R::NAME, repo.find(*id))
}

#[login_required]
async fn bounded<R: Repo, const N: u32>(repo: Data<R>) -> impl Responder {
    repo.find(N)
}

trait Find: Send + Sync {
    fn find(&self, id: u32) -> String;
}

impl Find for Books {
    fn find(&self, id: u32) -> String {
        format!("dyn book {id}")
    }
}

#[login_required]
#[get("/dyn/{id}")]
async fn by_object(repo: Data<dyn Find>, id: Path<u32>) -> String {
    repo.find(*id)
}

#[actix_web::test]
async fn generic_handlers_are_guarded() {
    check(
        |routes| {
            routes.app_data(Data::new(Books));
            routes.app_data(Data::from(Arc::new(Books) as Arc<dyn Find>));
            routes.route("/generic/{id}", web::get().to(generic::<Books>));
            routes.route("/bounded", web::get().to(bounded::<Books, 8>));
            routes.service(by_object);
        },
        &[
            get_page("/generic/7", "books book 7"),
            get_page("/bounded", "book 8"),
            get_page("/dyn/7", "dyn book 7"),
        ],
    )
    .await;
}

#[derive(Debug)]
enum ShopError {
    SoldOut,
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sold out")
    }
}

impl std::error::Error for ShopError {}

impl ResponseError for ShopError {
    fn status_code(&self) -> StatusCode {
        StatusCode::CONFLICT
    }
}

async fn stock(item: &str) -> Result<u32, ShopError> {
    match item {
        "hats" => Ok(3),
        _ => Err(ShopError::SoldOut),
    }
}

#[login_required]
#[get("/own-error/{item}")]
async fn own_error(item: Path<String>) -> Result<String, ShopError> {
    let left = stock(&item).await?;
    Ok(format!("{left} {item}"))
}

#[login_required]
#[get("/any-error/{item}")]
async fn any_error(item: Path<String>) -> actix_web::Result<impl Responder> {
    let left = stock(&item).map_err(actix_web::Error::from).await?;
    Ok(Json(left))
}

#[login_required]
#[get("/either/{item}")]
async fn either(item: Path<String>) -> Either<HttpResponse, Result<String, ShopError>> {
    match &**item {
        "all" => Either::Left(HttpResponse::Ok().body("all")),
        item => Either::Right(stock(item).await.map(|left| left.to_string())),
    }
}

#[login_required]
#[get("/option/{item}")]
async fn option(item: Path<String>) -> Option<String> {
    stock(&item).await.ok().map(|left| left.to_string())
}

#[actix_web::test]
async fn a_handler_answers_with_its_own_errors_after_the_guard() {
    let (builder, _) = manager(&Users::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes
            .service(own_error)
            .service(any_error)
            .service(either)
            .service(option);
    })
    .await;
    let browser = Browser::new(&app);
    let pages = [
        ("/own-error/shoes", 409, "sold out"),
        ("/own-error/hats", 200, "3 hats"),
        ("/any-error/shoes", 409, "sold out"),
        ("/any-error/hats", 200, "3"),
        ("/either/shoes", 409, "sold out"),
        ("/either/hats", 200, "3"),
        ("/either/all", 200, "all"),
        ("/option/shoes", 404, ""),
        ("/option/hats", 200, "3"),
    ];
    for (path, _, _) in pages {
        assert_eq!(browser.get(path).await.status(), 303, "{path}");
    }
    browser.log_in(ada()).await;
    for (path, status, text) in pages {
        let answer = browser.get(path).await;
        assert_eq!((answer.status(), &*answer.text()), (status, text), "{path}");
    }
}

struct Pages;

impl Pages {
    const TITLE: &'static str = "pages";

    fn title(id: u32) -> String {
        format!("{} {id}", Self::TITLE)
    }

    #[login_required]
    async fn show(id: Path<u32>) -> impl Responder {
        Self::title(*id)
    }
}

/// Answers with whatever it is.
struct Body(String);

impl Responder for Body {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().body(self.0)
    }
}

impl Body {
    #[login_required]
    async fn make() -> Self {
        Self("made".to_owned())
    }
}

struct Shelf<R>(PhantomData<R>);

impl<R: Repo> Shelf<R> {
    #[login_required]
    async fn show(repo: Data<R>, id: Path<u32>) -> String {
        format!("{} {}", R::NAME, repo.find(*id))
    }

    #[login_required]
    async fn of_two<S: Repo>(_: Data<S>) -> String {
        format!("{} {}", R::NAME, S::NAME)
    }
}

struct Library<Storage>(PhantomData<Storage>);

impl<Storage: Repo> Library<Storage> {
    #[login_required]
    async fn show(storage: Data<Storage>) -> String {
        storage.find(1)
    }
}

#[actix_web::test]
async fn associated_functions_are_guarded() {
    check(
        |routes| {
            routes.app_data(Data::new(Books));
            routes.route("/pages/{id}", web::get().to(Pages::show));
            routes.route("/self", web::get().to(Body::make));
            routes.route("/shelf/{id}", web::get().to(Shelf::<Books>::show));
            routes.route("/two", web::get().to(Shelf::<Books>::of_two::<Books>));
            routes.route("/library", web::get().to(Library::<Books>::show));
        },
        &[
            get_page("/pages/7", "pages 7"),
            get_page("/self", "made"),
            get_page("/shelf/7", "books book 7"),
            get_page("/two", "books books"),
            get_page("/library", "book 1"),
        ],
    )
    .await;
}

#[login_required]
fn later(id: Path<u32>) -> impl Future<Output = String> {
    async move { format!("later {id}") }
}

#[login_required]
fn at_once() -> Ready<HttpResponse> {
    ready(HttpResponse::Ok().body("at once"))
}

#[login_required]
fn boxed(id: Path<u32>) -> Pin<Box<dyn Future<Output = String>>> {
    Box::pin(async move { format!("boxed {id}") })
}

#[login_required]
#[get("/local-box/{id}")]
fn local_box(id: Path<u32>) -> LocalBoxFuture<'static, String> {
    Box::pin(async move { format!("local box {id}") })
}

#[actix_web::test]
async fn functions_that_return_a_future_are_guarded() {
    check(
        |routes| {
            routes.route("/later/{id}", web::get().to(later));
            routes.route("/at-once", web::get().to(at_once));
            routes.route("/boxed/{id}", web::get().to(boxed));
            routes.service(local_box);
        },
        &[
            get_page("/later/7", "later 7"),
            get_page("/at-once", "at once"),
            get_page("/boxed/7", "boxed 7"),
            get_page("/local-box/7", "local box 7"),
        ],
    )
    .await;
}

macro_rules! handler {
    ($name:ident, $path:literal, $argument:ident: $type:ty, $answer:expr) => {
        #[login_required]
        #[get($path)]
        async fn $name($argument: $type) -> String {
            $answer
        }
    };
}

handler!(from_macro, "/from-macro/{id}", id: Path<u32>, format!("from macro {id}"));

macro_rules! handler_with_own_names {
    ($(#[$attribute:meta])* $visibility:vis $name:ident -> $output:ty) => {
        $(#[$attribute])*
        $visibility async fn $name(id: Path<u32>, request: HttpRequest) -> $output {
            let answer = format!("{} {id}", request.method());
            answer.into()
        }
    };
}

handler_with_own_names!(
    #[login_required]
    pub(super) own_names -> String
);

macro_rules! handler_with_options {
    ($name:ident, $user:ty, $fresh:literal) => {
        #[login_required(user = $user, fresh = $fresh)]
        async fn $name() -> &'static str {
            stringify!($name)
        }
    };
}

handler_with_options!(with_options, login_tests::User, "10m");

macro_rules! handler_from_tokens {
    ($($item:tt)*) => { $($item)* };
}

handler_from_tokens! {
    #[login_required]
    async fn from_tokens((id, _): (Path<u32>, HttpRequest)) -> String {
        format!("from tokens {id}")
    }
}

macro_rules! guard_item {
    ($item:item) => {
        #[login_required]
        $item
    };
}

guard_item! {
    async fn from_item(id: Path<u32>) -> String {
        format!("from item {id}")
    }
}

#[actix_web::test]
async fn handlers_made_by_macros_are_guarded() {
    check(
        |routes| {
            routes.service(from_macro);
            routes.route("/own-names/{id}", web::post().to(own_names));
            routes.route("/with-options", web::get().to(with_options));
            routes.route("/from-tokens/{id}", web::get().to(from_tokens));
            routes.route("/from-item/{id}", web::get().to(from_item));
        },
        &[
            get_page("/from-macro/7", "from macro 7"),
            post_page("/own-names/7", "POST 7"),
            get_page("/with-options", "with_options"),
            get_page("/from-tokens/7", "from tokens 7"),
            get_page("/from-item/7", "from item 7"),
        ],
    )
    .await;
}

#[login_required]
#[get("/raw/{id}")]
async fn r#type(r#match: Path<u32>) -> String {
    format!("raw {}", r#match)
}

#[login_required(r#user = login_tests::User)]
async fn r#loop() -> &'static str {
    "loop"
}

#[actix_web::test]
async fn raw_names_are_names() {
    check(
        |routes| {
            routes.service(r#type);
            routes.route("/loop", web::get().to(r#loop));
        },
        &[get_page("/raw/7", "raw 7"), get_page("/loop", "loop")],
    )
    .await;
}

#[login_required]
async fn items_first(id: Path<u32>) -> String {
    use std::fmt::Write as _;
    const ANSWER: &str = "items";
    let mut answer = String::new();
    write!(answer, "{ANSWER} {id}").unwrap();
    answer
}

#[login_required]
async fn returns_early(id: Path<u32>) -> String {
    #![allow(
        clippy::needless_return,
        reason = "asks whether `return` leaves the handler"
    )]
    if *id == 7 {
        return "early".to_owned();
    }
    return "late".to_owned();
}

#[login_required]
async fn with_a_lifetime_of_its_own(text: web::Bytes) -> String {
    fn longer<'a>(one: &'a [u8], other: &'a [u8]) -> &'a [u8] {
        if one.len() > other.len() { one } else { other }
    }
    String::from_utf8_lossy(longer(&text, b"xy")).into_owned()
}

#[actix_web::test]
async fn bodies_stay_as_they_are() {
    check(
        |routes| {
            routes.route("/items/{id}", web::get().to(items_first));
            routes.route("/early/{id}", web::get().to(returns_early));
            routes.route("/lifetime", web::post().to(with_a_lifetime_of_its_own));
        },
        &[
            get_page("/items/7", "items 7"),
            get_page("/early/7", "early"),
            get_page("/early/8", "late"),
            post_page("/lifetime", "xyz").sending("text/plain", "xyz"),
        ],
    )
    .await;
}
