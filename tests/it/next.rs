//! Where a client is sent after log in.

use actix_web::{HttpResponse, web};
use login_runtime::{Auth, test::Browser};
use login_tests::{User, Users, app, key, manager};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::world::{App, HOSTILE_NEXT, pages, site};

/// What `/go` falls back to.
const FALLBACK: &str = "/fallback";

async fn go(auth: Auth<User>) -> HttpResponse {
    auth.redirect_to_next_or(FALLBACK)
}

async fn going() -> impl App {
    let users = Users::new();
    let (builder, _) = manager(&users);
    app(builder.build(key()).unwrap(), move |routes| {
        pages(routes, users);
        routes.route("/go", web::get().to(go));
    })
    .await
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Where a client is sent that asks for `next`.
async fn sent_to<S: App>(browser: &Browser<'_, S>, next: &str) -> String {
    let answer = browser.get(&format!("/go?next={}", escaped(next))).await;
    assert_eq!(answer.status(), 303, "{next:?}");
    answer.location().unwrap().to_owned()
}

#[actix_web::test]
async fn next_to_another_host_is_dropped() {
    let app = going().await;
    let browser = Browser::new(&app);
    let long = format!("/{}", "a".repeat(10_000));
    for bad in HOSTILE_NEXT.iter().copied().chain([&*long]) {
        assert_eq!(sent_to(&browser, bad).await, FALLBACK, "{bad:?}");
    }
}

#[actix_web::test]
async fn next_on_this_origin_is_followed() {
    let app = going().await;
    let browser = Browser::new(&app);
    for (good, location) in [
        ("/", "/"),
        ("/account", "/account"),
        ("/account/", "/account/"),
        ("/account?a=b&c=d#e", "/account?a=b&c=d#e"),
        (
            "/account?next=http://evil.test",
            "/account?next=http://evil.test",
        ),
        ("/account?u=//evil.test", "/account?u=//evil.test"),
        ("/account#//evil.test", "/account#//evil.test"),
        ("/a%2Fb", "/a%2Fb"),
        ("/%2F/evil.test", "/%2F/evil.test"),
        ("/%5Cevil.test", "/%5Cevil.test"),
        ("/@evil.test", "/@evil.test"),
        ("/:80", "/:80"),
        ("/http:evil.test", "/http:evil.test"),
        ("/a,b;c=d!$'()*+~", "/a,b;c=d!$'()*+~"),
        ("/../..", "/../.."),
        // What a header cannot hold is escaped.
        ("/grüße?ü=ß#ü", "/gr%C3%BC%C3%9Fe?%C3%BC=%C3%9F#%C3%BC"),
        ("/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
    ] {
        assert_eq!(sent_to(&browser, good).await, location, "{good:?}");
    }
}

#[actix_web::test]
async fn of_two_nexts_neither_is_followed() {
    let app = going().await;
    let browser = Browser::new(&app);
    for query in [
        "next=/account&next=/account",
        "next=/account&next=//evil.test",
        "next=//evil.test&next=/account",
        "next=/account&n%65xt=/settings",
    ] {
        let answer = browser.get(&format!("/go?{query}")).await;
        assert_eq!(answer.location(), Some(FALLBACK), "{query}");
    }
    // Fields of other names do not count.
    let answer = browser.get("/go?NEXT=/x&next=/account&xnext=/y").await;
    assert_eq!(answer.location(), Some("/account"));
}

#[actix_web::test]
async fn a_query_that_cannot_be_read_is_no_error() {
    let app = going().await;
    let browser = Browser::new(&app);
    for (query, location) in [
        ("", FALLBACK),
        ("&&&", FALLBACK),
        ("next", FALLBACK),
        ("next=", FALLBACK),
        ("=", FALLBACK),
        ("%", FALLBACK),
        ("next=/%", "/%"),
        ("next=/%zz", "/%zz"),
        ("next=/%25", "/%"),
        ("next=%ff%fe", FALLBACK),
        ("next=/account&%ff=%ff", "/account"),
        ("next=%2Faccount&x=%E0%A4%A", "/account"),
    ] {
        let answer = browser.get(&format!("/go?{query}")).await;
        assert_eq!(answer.status(), 303, "{query}");
        assert_eq!(answer.location(), Some(location), "{query}");
    }
}

#[actix_web::test]
async fn what_the_session_kept_is_checked_as_well() {
    let users = Users::new();
    let builder = manager(&users).0.use_session_for_next();
    #[login_runtime::login_required]
    async fn anything() -> &'static str {
        "anything"
    }
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.default_service(web::to(anything));
    })
    .await;
    for (path, location) in [
        ("/a/b?c=d", "/a/b?c=d"),
        ("//evil.test/account", "/"),
        ("/.//evil.test", "/"),
        ("/a/..//evil.test", "/"),
        ("/a//evil.test", "/a//evil.test"),
        ("http://evil.test/a?b=c", "/a?b=c"),
    ] {
        let browser = Browser::new(&app);
        let answer = browser.get(path).await;
        assert_eq!(answer.location(), Some("/login"), "{path}");
        let answer = browser.post("/login/1").await;
        assert_eq!(answer.location(), Some(location), "{path}");
    }
}

#[actix_web::test]
async fn next_is_taken_once() {
    let users = Users::new();
    let builder = manager(&users).0.use_session_for_next();
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    let next = async |path: &str| {
        let next: Option<String> = browser.get(path).await.json().expect("next");
        next
    };
    browser.get("/account").await;
    assert_eq!(next("/next").await.as_deref(), Some("/account"));
    assert_eq!(next("/next").await, None);
    assert_eq!(
        next("/next?next=/settings").await.as_deref(),
        Some("/settings")
    );
}

/// Numbers that look random and are the same at every run.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// Pieces of which addresses are made that lead somewhere else than they seem to.
const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    "//",
    "\\",
    ".",
    "..",
    "/./",
    "/../",
    ":",
    "@",
    "?",
    "#",
    "%",
    "&",
    "=",
    ";",
    "\t",
    "\n",
    "\r",
    " ",
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "a",
    "b",
    "z",
    "0",
    "80",
    "http",
    "https:",
    "HTTP://",
    "javascript:",
    "data:",
    "file:",
    "evil.test",
    "app.test",
    "www",
    "%2f",
    "%2F",
    "%5c",
    "%5C",
    "%2e",
    "%2E%2e",
    "%09",
    "%0a",
    "%00",
    "%",
    "%2",
    "[::1]",
    "[",
    "]",
    "|",
    "<",
    ">",
    "\"",
    "^",
    "`",
    "{",
    "}",
    "~",
    "-",
    "_",
    "ü",
    "。",
    "．",
    "／",
    "＼",
    "∕",
    "⁄",
    "⧸",
    "\u{200b}",
    "\u{200e}",
    "\u{202e}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "🦀",
];

#[actix_web::test]
async fn no_next_leaves_the_origin_whatever_it_is_made_of() {
    let base = Url::parse("http://app.test/login").unwrap();
    let app = going().await;
    let browser = Browser::new(&app);
    let mut random = Xorshift(0x5eed);
    let (mut followed, mut dropped, mut dangerous) = (0, 0, 0);
    for round in 0..20_000 {
        let mut next = String::new();
        // Most start like a path, or nearly all would be dropped at their first letter.
        next.push_str(["", "/", "/", "/a"][round % 4]);
        for _ in 0..random.below(9) {
            next.push_str(PIECES[random.below(PIECES.len())]);
        }
        let would_leave = base
            .join(&next)
            .is_ok_and(|url| url.origin() != base.origin());
        dangerous += usize::from(would_leave);

        let location = sent_to(&browser, &next).await;
        let target = base.join(&location).unwrap();
        assert_eq!(target.origin(), base.origin(), "{next:?} -> {location:?}");
        assert_eq!(target.username(), "", "{next:?} -> {location:?}");
        // Joined twice, as a proxy that cleans addresses up would.
        let again = base.join(target.path()).unwrap();
        assert_eq!(again.origin(), base.origin(), "{next:?} -> {location:?}");
        if location == FALLBACK {
            dropped += 1;
        } else {
            followed += 1;
            assert!(!would_leave, "{next:?}");
            // Followed as it was meant, but for what was escaped.
            let plain = |url: &Url| percent_decode_str(url.as_str()).collect::<Vec<_>>();
            let meant = base.join(&next).unwrap();
            assert_eq!(plain(&target), plain(&meant), "{next:?}");
        }
    }
    // The pieces are worth something only if they make addresses of all kinds.
    assert!(
        dangerous > 500 && followed > 5_000 && dropped > 5_000,
        "{dangerous} dangerous, {followed} followed, {dropped} dropped"
    );
}
