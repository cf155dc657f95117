//! An address that a client carries through the log in does not lead away, however it is carried.

use actix_web::{
    HttpResponse,
    cookie::Key,
    http::{Uri, header::COOKIE},
    test::TestRequest,
    web,
};
use login_runtime::{Auth, CurrentUser, LoginManager};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    input::{Input, header},
    next::{PAGES, stays},
    seal::Sealed,
    site::{Answer, NOW, Site, User, key, manager},
};

const FALLBACK: &str = "/fallback";

async fn go(auth: Auth<User>) -> HttpResponse {
    auth.redirect_to_next_or(FALLBACK)
}

async fn back(auth: Auth<User>) -> HttpResponse {
    auth.redirect_to_login_view(None)
}

async fn private(_user: CurrentUser<User>) -> &'static str {
    "private"
}

fn site(manager: LoginManager) -> Site {
    Site::new(manager, |pages| {
        pages
            .route("/go", web::get().to(go))
            .route("/back", web::get().to(back))
            .default_service(web::to(private));
    })
}

fn build(key: Key) -> LoginManager {
    manager().session_only().build(key).expect("valid settings")
}

thread_local! {
    static IN_QUERY: Site = site(build(key()));
    static IN_COOKIE: Site = {
        let manager = manager().session_only().use_session_for_next();
        site(manager.build(key()).expect("valid settings"))
    };
    static RULE: LoginManager = build(key());
}

/// The address that a browser is sent to.
fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    let location = answer.header("location").expect("a redirect says where");
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    assert!(location.bytes().all(is_plain), "{location:?}");
    PAGES.iter().for_each(|page| stays(page, location));
    location
}

/// Checks that a browser is sent to `next`, if that may be followed, or else to the fallback.
fn leads_to(location: &str, next: Option<&str>) {
    let next = next.filter(|next| RULE.with(|rule| rule.check_next(next).is_ok()));
    let page = Url::parse(PAGES[0]).expect("an address");
    // A header has to escape some characters that the URL standard leaves as they are.
    let resolved = |address: &str| {
        // The `url` crate does not remove `c|/..`, whatever the scheme is.
        let url = page.join(&address.replace('|', "%7C")).expect("an address");
        percent_decode_str(url.as_str()).collect::<Vec<_>>()
    };
    let there = resolved(next.unwrap_or(FALLBACK));
    assert_eq!(resolved(location), there, "{location:?} for {next:?}");
}

/// The only `next` in a query.
fn in_query(query: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let mut values = pairs.filter(|(name, _)| name == "next");
    let (_, next) = values.next()?;
    values.next().is_none().then(|| next.into_owned())
}

fn get(path: &str) -> Option<TestRequest> {
    let uri: Uri = path.parse().ok()?;
    // Otherwise it is a request to a proxy, or no path at all.
    let is_path = uri.host().is_none() && path.starts_with('/');
    is_path.then(|| TestRequest::get().uri(path))
}

pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let rest = input.rest();
    let text = String::from_utf8_lossy(rest);
    match kind % 4 {
        // A query as a client sends it.
        0 => {
            let Some(request) = get(&format!("/go?{text}")) else {
                return;
            };
            let query = request.to_http_request().query_string().to_owned();
            let request = get(&format!("/go?{text}")).expect("as before").to_request();
            let answer = IN_QUERY.with(|site| site.ask(request));
            leads_to(location(&answer), in_query(&query).as_deref());
        }
        // The same for a form that is shown again.
        1 => {
            let Some(request) = get(&format!("/back?{text}")) else {
                return;
            };
            let answer = IN_QUERY.with(|site| site.ask(request.to_request()));
            let location = location(&answer);
            assert!(
                location == "/login" || location.starts_with("/login?next="),
                "{location}"
            );
        }
        // A cookie with any content, as if it were ours.
        2 => {
            let text = [&(NOW + 1).to_be_bytes()[..], rest].concat();
            let cookie = format!("__Host-next={}", Sealed::Next.seal(&text));
            let request = TestRequest::get()
                .uri("/go")
                .insert_header((COOKIE, cookie));
            let answer = IN_COOKIE.with(|site| site.ask(request.to_request()));
            let is_short = rest.len() < 3000;
            if is_short {
                leads_to(location(&answer), str::from_utf8(rest).ok());
            }
        }
        // The address of a page that refuses the client.
        _ => {
            let Some(request) = get(&format!("/{text}")) else {
                return;
            };
            let asked = request.to_http_request().uri().to_string();
            if asked.starts_with("/login") || asked.starts_with("/go") || asked.starts_with("/back")
            {
                return;
            }
            let request = get(&format!("/{text}")).expect("as before").to_request();
            let answer = IN_QUERY.with(|site| site.ask(request));
            if answer.status != 303 {
                assert!(
                    answer.status.is_client_error() || answer.body.len() < 10,
                    "{answer:?}"
                );
                return;
            }
            let location = location(&answer).to_owned();
            let (view, query) = location.split_once('?').unwrap_or((&location, ""));
            assert_eq!(view, "/login");
            // After the log in, the client gets where it wanted to, unless it may not be followed.
            let Some(next) = in_query(query) else {
                assert!(query.is_empty(), "{query}");
                return;
            };
            assert_eq!(next, asked);
            let cookie = header("").expect("an empty value");
            let request = get(&format!("/go?{query}")).expect("a query of ours");
            let request = request.insert_header((COOKIE, cookie)).to_request();
            let answer = IN_QUERY.with(|site| site.ask(request));
            leads_to(self::location(&answer), Some(&asked));
        }
    }
}
