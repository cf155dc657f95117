//! The rules for answers: a test fails as soon as an answer loses a part that they ask for.

use std::thread;

use actix_session::Session;
use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE},
    middleware::{Next, from_fn},
    test::init_service,
    web,
};
use login_runtime::{
    Auth, CookieSettings, CurrentUser, LoginError, MemoryLoginStore, Verified, login_required,
    test::Browser,
};
use login_tests::{User, Users, key, manager_base};

/// What an answer loses.
#[derive(Clone, Debug)]
enum Loss {
    Nothing,
    /// The first part of a cookie that reads so.
    OfCookie(String, &'static str),
    Header(HeaderName),
}

async fn log_in(auth: Auth<User>, session: Session) -> Result<HttpResponse, LoginError> {
    session.insert("theme", "dark").unwrap();
    let user = Verified::trust(User::new(1, "ada"), "test");
    auth.log_in(user).remember(true).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn log_out(auth: Auth<User>) -> Result<HttpResponse, LoginError> {
    auth.log_out().await?;
    Ok(HttpResponse::NoContent().finish())
}

#[login_required]
async fn account(_user: CurrentUser<User>) -> &'static str {
    "account"
}

/// The application's own answer when something else is down.
async fn down() -> HttpResponse {
    let mut answer = HttpResponse::ServiceUnavailable();
    answer.insert_header((RETRY_AFTER, "5")).finish()
}

async fn lose(
    loss: Loss,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    match loss {
        Loss::Nothing => {}
        Loss::Header(name) => drop(headers.remove(name)),
        Loss::OfCookie(name, part) => {
            for cookie in headers.remove(SET_COOKIE).collect::<Vec<_>>() {
                let mut cookie = cookie.to_str().unwrap().to_owned();
                if cookie.starts_with(&format!("{name}=")) {
                    cookie = cookie.replacen(part, "", 1);
                }
                headers.append(SET_COOKIE, HeaderValue::from_str(&cookie).unwrap());
            }
        }
    }
    Ok(response)
}

/// Logs in, is refused, and logs out. Returns the name of every cookie that was set.
async fn round(loss: Loss) -> Vec<String> {
    let (builder, _clock) = manager_base(&Users::new());
    let builder = builder.login_store(MemoryLoginStore::new());
    let builder = builder
        .login_cookie(CookieSettings::new())
        .use_session_for_next();
    let manager = builder.build(key()).unwrap();
    let app = App::new()
        .wrap(manager)
        .wrap(from_fn(move |request, next| {
            lose(loss.clone(), request, next)
        }))
        .route("/login", web::post().to(log_in))
        .route("/logout", web::post().to(log_out))
        .route("/account", web::get().to(account))
        .route("/down", web::get().to(down));
    let app = init_service(app).await;
    let browser = Browser::new(&app);
    let page = browser.get("/account").header("accept", "text/html");
    let program = browser.get("/account").header("accept", "application/json");
    let mut answers = vec![page.await, program.await];
    for path in ["/login", "/logout"] {
        answers.push(browser.post(path).await);
    }
    answers.push(browser.get("/down").await);
    let cookies = answers.iter().flat_map(|answer| answer.set_cookies());
    let mut names: Vec<_> = cookies.map(|cookie| cookie.name().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// What the test of somebody else says about an answer that has lost something, if it says anything.
fn complaint(loss: Loss) -> Option<String> {
    let system = move || actix_web::rt::System::new().block_on(round(loss));
    let failed = thread::spawn(system).join().err()?;
    failed.downcast_ref::<String>().cloned()
}

#[actix_web::test]
async fn each_attribute_of_each_cookie_fails_the_test_that_misses_it() {
    let cookies = round(Loss::Nothing).await;
    let names = [
        "__Host-login",
        "__Host-next",
        "__Host-remember",
        "__Host-session",
    ];
    assert_eq!(cookies, names);
    for name in &cookies {
        for (part, rule) in [
            ("; Secure", "Secure"),
            ("; HttpOnly", "HttpOnly"),
            ("; SameSite=Lax", "SameSite"),
            ("; Path=/", "Path"),
            ("__Host-", "Prefix"),
        ] {
            let said = complaint(Loss::OfCookie(name.clone(), part)).unwrap_or_default();
            assert!(
                said.contains(&format!("{rule}: ")),
                "{name} without {part:?}: {said:?}"
            );
        }
    }
}

#[actix_web::test]
async fn a_challenge_and_a_time_to_wait_fail_the_test_that_misses_them() {
    for (header, rule) in [(WWW_AUTHENTICATE, "Challenge"), (RETRY_AFTER, "RetryAfter")] {
        let said = complaint(Loss::Header(header)).unwrap_or_default();
        assert!(said.contains(&format!("{rule}: ")), "{said:?}");
    }
}
