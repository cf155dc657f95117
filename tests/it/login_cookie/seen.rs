//! What the session middleware and the application see of the cookies of a request with a login cookie.

use actix_session::SessionExt as _;
use actix_web::{
    Error, HttpMessage as _, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{Service as _, ServiceRequest, ServiceResponse},
    middleware::{Compat, Next, from_fn},
};

use super::*;

/// What a middleware around the manager keeps with the request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note(String);

/// Reads all cookies, and puts a note into the request; reads the note of the handler from the response.
async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.path() == "/parsed-before" {
        let _ = request.cookies();
    }
    if request.path() == "/begun-outside" {
        request.get_session().insert("cart", "pear")?;
    }
    request
        .extensions_mut()
        .insert(Note("of the middleware".to_owned()));
    let response = next.call(request).await?.map_into_boxed_body();
    let note = response.request().extensions().get::<Note>().cloned();
    assert_eq!(note.unwrap().0, "of the middleware, and of the handler");
    Ok(response)
}

/// Names and values of the cookies, as actix-web reads them.
async fn seen(request: HttpRequest) -> Json<Vec<(String, String)>> {
    note(&request);
    let cookies = request.cookies().unwrap();
    let pairs = cookies.iter().map(|cookie| {
        let (name, value) = cookie.name_value();
        let value = if name.starts_with("__Host-") {
            "(sealed)"
        } else {
            value
        };
        (name.to_owned(), value.to_owned())
    });
    Json(pairs.collect())
}

fn note(request: &HttpRequest) {
    let mut extensions = request.extensions_mut();
    let note = extensions.get_mut::<Note>().expect("the middleware's");
    note.0.push_str(", and of the handler");
}

async fn begin(request: HttpRequest, session: Session) -> Result<Json<Option<String>>, Error> {
    note(&request);
    Ok(Json(session.get("cart")?))
}

async fn put(request: HttpRequest, session: Session) -> Result<&'static str, Error> {
    note(&request);
    session.insert("cart", "tea")?;
    Ok("put")
}

async fn log_in(
    request: HttpRequest,
    auth: Auth<User>,
    users: Data<Users>,
) -> Result<&'static str, LoginError> {
    note(&request);
    let user = users.get(1).expect("Ada");
    auth.log_in(Verified::trust(user, "test")).await?;
    Ok("in")
}

async fn name(request: HttpRequest, user: MaybeUser<User>) -> String {
    note(&request);
    user.user()
        .map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

fn routes(routes: &mut ServiceConfig, users: Users) {
    routes
        .app_data(Data::new(users))
        .route("/seen", web::get().to(seen))
        .route("/parsed-before", web::get().to(seen))
        .route("/begun-outside", web::get().to(begin))
        .route("/cart", web::get().to(begin))
        .route("/put", web::post().to(put))
        .route("/me", web::get().to(name))
        .route("/login", web::post().to(log_in));
}

async fn serve(with_records: bool) -> impl App {
    let users = Users::new();
    let manager = builder(&users, with_records).0.build(key()).unwrap();
    let app = actix_web::App::new()
        .wrap(Compat::new(manager))
        .wrap(from_fn(around))
        .configure(|config| routes(config, users));
    actix_web::test::init_service(app).await
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[actix_web::test]
async fn a_page_reads_all_cookies_of_a_browser_that_is_logged_in() {
    for with_records in WITH_RECORDS {
        let app = serve(with_records).await;
        let browser = Browser::new(&app);
        browser.set_cookie("theme", "dark");
        browser.set_cookie("spaced", "a%20b");
        browser.post("/login").await;
        let sealed = "(sealed)";
        let expected = pairs(&[(LOGIN, sealed), ("spaced", "a b"), ("theme", "dark")]);
        for path in ["/seen", "/parsed-before", "/seen"] {
            let mut seen: Vec<(String, String)> = browser.get(path).await.json().unwrap();
            seen.sort();
            assert_eq!(seen, expected, "{path}");
        }
        // And when there is a session, too.
        browser.post("/put").await;
        let expected = pairs(&[
            (LOGIN, sealed),
            (SESSION, sealed),
            ("spaced", "a b"),
            ("theme", "dark"),
        ]);
        for path in ["/seen", "/parsed-before", "/seen"] {
            let mut seen: Vec<(String, String)> = browser.get(path).await.json().unwrap();
            seen.sort();
            assert_eq!(seen, expected, "{path}");
        }
        assert_eq!(browser.get("/me").await.text(), "ada");
    }
}

#[actix_web::test]
async fn a_session_that_begins_in_a_browser_that_is_logged_in_is_kept() {
    for with_records in WITH_RECORDS {
        let app = serve(with_records).await;
        let browser = Browser::new(&app);
        browser.post("/login").await;
        assert_eq!(browser.cookie_names(), [LOGIN]);
        assert_sets(&browser.post("/put").await, SESSION, None);
        let cart = browser.get("/cart").await.json::<Option<String>>();
        assert_eq!(cart, Some(Some("tea".to_owned())));
        // A session without a login, and a login without a session.
        for (kept, cart, name) in [(SESSION, Some("tea"), "nobody"), (LOGIN, None, "ada")] {
            let one = Browser::new(&app);
            one.set_cookie(kept, &browser.cookie(kept).unwrap());
            let found = one.get("/cart").await.json::<Option<String>>().unwrap();
            assert_eq!((found.as_deref(), kept), (cart, kept));
            assert_eq!(one.get("/me").await.text(), name);
        }
    }
}

#[actix_web::test]
async fn a_session_that_a_middleware_around_the_manager_begins_is_the_same_one() {
    for with_records in WITH_RECORDS {
        let app = serve(with_records).await;
        let browser = Browser::new(&app);
        browser.post("/login").await;
        let answer = browser.get("/begun-outside").await;
        assert_eq!(answer.json(), Some(Some("pear".to_owned())));
        assert_sets(&answer, SESSION, None);
        let cart = browser.get("/cart").await.json::<Option<String>>();
        assert_eq!(cart, Some(Some("pear".to_owned())));
    }
}

#[actix_web::test]
async fn a_session_under_a_disguised_name_is_nobodys_beside_a_login_cookie() {
    let app = serve(true).await;
    let (victim, attacker) = (Browser::new(&app), Browser::new(&app));
    attacker.post("/put").await;
    victim.post("/login").await;
    let (session, login) = (
        attacker.cookie(SESSION).unwrap(),
        victim.cookie(LOGIN).unwrap(),
    );
    let request = async |header: String| {
        let request = actix_web::test::TestRequest::get().uri("/cart");
        let request = request.insert_header(("cookie", header)).to_request();
        let answer = app.call(request).await.unwrap();
        actix_web::test::read_body_json::<Option<String>, _>(answer).await
    };
    let login = format!("{LOGIN}={login}");
    for name in [
        "%5F_Host-session",
        " __Host-session",
        "__Host-session%20",
        "__Host-sess%69on",
    ] {
        for header in [
            format!("{login}; {name}={session}"),
            format!("{name}={session}; {login}"),
        ] {
            assert_eq!(request(header).await, None, "{name}");
        }
    }
    let both = format!("{login}; {SESSION}={session}");
    assert_eq!(request(both).await.as_deref(), Some("tea"));
}
