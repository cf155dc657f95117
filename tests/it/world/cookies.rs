//! The cookies that answers set, and requests with cookies that a browser would not send.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    cookie::{Cookie, SameSite, time},
    http::header::{COOKIE, HeaderValue},
    test::TestRequest,
};
use login_runtime::test::{Answer, Browser};

use super::App;

/// The name of the session cookie, unless a test chooses another.
pub(crate) const SESSION: &str = "__Host-session";
/// The name of the remember cookie, unless a test chooses another.
pub(crate) const REMEMBER: &str = "__Host-remember";
/// The name of the login cookie, unless a test chooses another.
pub(crate) const LOGIN: &str = "__Host-login";

/// Asserts the attributes that all cookies have by default.
#[track_caller]
fn assert_strict(cookie: &Cookie<'_>) {
    assert_eq!(cookie.secure(), Some(true), "{cookie}");
    assert_eq!(cookie.http_only(), Some(true), "{cookie}");
    assert_eq!(cookie.same_site(), Some(SameSite::Lax), "{cookie}");
    assert_eq!(cookie.path(), Some("/"), "{cookie}");
    assert_eq!(cookie.domain(), None, "{cookie}");
}

/// Asserts that an answer sets a cookie once, with the default attributes and this `Max-Age`, which is
/// `None` for a cookie that ends with the browser. Returns the cookie's value.
#[track_caller]
pub(crate) fn assert_sets(answer: &Answer, name: &str, age: Option<Duration>) -> String {
    let cookie = the_cookie(answer, name);
    assert_strict(&cookie);
    let age = age.map(|age| time::Duration::try_from(age).unwrap());
    assert_eq!(cookie.max_age(), age, "{cookie}");
    assert!(cookie.expires().is_none(), "{cookie}");
    assert!(!cookie.value().is_empty(), "{cookie}");
    cookie.value().to_owned()
}

/// Asserts that an answer clears a cookie, with the default attributes.
#[track_caller]
pub(crate) fn assert_clears(answer: &Answer, name: &str) {
    let cookie = the_cookie(answer, name);
    assert_strict(&cookie);
    assert_cleared(&cookie);
}

/// Asserts that a cookie makes the browser delete it.
#[track_caller]
pub(crate) fn assert_cleared(cookie: &Cookie<'_>) {
    assert_eq!(cookie.value(), "", "{cookie}");
    assert_eq!(cookie.max_age(), Some(time::Duration::ZERO), "{cookie}");
    let expires = cookie.expires().and_then(|expires| expires.datetime());
    let now = time::OffsetDateTime::now_utc();
    assert!(expires.is_some_and(|expires| expires < now), "{cookie}");
}

/// The `Set-Cookie` of an answer for this name, of which there has to be one.
#[track_caller]
pub(crate) fn the_cookie(answer: &Answer, name: &str) -> Cookie<'static> {
    let cookies = answer.set_cookies();
    let mut cookies = cookies.into_iter().filter(|cookie| cookie.name() == name);
    let cookie = cookies.next();
    let cookie = cookie.unwrap_or_else(|| panic!("{name} is not there: {:?}", answer.headers()));
    assert!(cookies.next().is_none(), "{name} is set twice");
    cookie
}

/// Asserts that an answer does not set or clear this cookie.
#[track_caller]
pub(crate) fn assert_leaves(answer: &Answer, name: &str) {
    assert!(answer.set_cookie(name).is_none(), "{:?}", answer.headers());
}

/// Asserts that an answer sets and clears no cookie.
#[track_caller]
pub(crate) fn assert_no_cookies(answer: &Answer) {
    assert!(answer.set_cookies().is_empty(), "{:?}", answer.headers());
}

/// Sends a request with a `Cookie` header of any bytes, which a [`Browser`] would not.
pub(crate) async fn with_raw_cookies<S: App>(app: &S, path: &str, cookies: &[u8]) -> HttpResponse {
    let cookies = HeaderValue::from_bytes(cookies).unwrap();
    let request = TestRequest::get()
        .uri(path)
        .insert_header((COOKIE, cookies))
        .to_request();
    app.call(request).await.unwrap().into_parts().1
}

/// Sets and deletes a browser's cookies as an answer says.
pub(crate) fn apply<S: App>(browser: &Browser<'_, S>, answer: &Answer) {
    for cookie in answer.set_cookies() {
        match cookie.max_age() {
            Some(age) if age.is_zero() => browser.drop_cookie(cookie.name()),
            _ => browser.set_cookie(cookie.name(), cookie.value()),
        }
    }
}
