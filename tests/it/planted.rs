//! Cookies that another host of the same domain has planted, or that the application left behind on
//! another domain.

use actix_session::{SessionMiddleware, storage::CookieSessionStore};
use actix_web::{
    App as ActixApp, HttpRequest,
    body::to_bytes,
    cookie::Cookie,
    dev::Service as _,
    http::header::{COOKIE, HeaderValue},
    middleware::Compat,
    test::{TestRequest, init_service},
    web,
};
use login_runtime::{
    CookieSettings, MemoryLoginStore, RememberCookie, config::LoginManagerBuilder, test::Browser,
};
use login_tests::{Users, app, key, manager, manager_base};

use crate::world::{
    App, DAY, LOGIN, REMEMBER, SESSION, cookie, cookies_of_a_domain, name_of, pages, site,
};

/// The body of a page, for a browser with these `Cookie` headers.
async fn page<S: App>(app: &S, path: &str, headers: &[&[u8]]) -> String {
    let mut request = TestRequest::get().uri(path);
    for header in headers {
        request = request.append_header((COOKIE, HeaderValue::from_bytes(header).unwrap()));
    }
    let answer = app.call(request.to_request()).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let body = to_bytes(answer.into_body()).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The user that these `Cookie` headers log in.
async fn user_of<S: App>(app: &S, headers: &[&[u8]]) -> String {
    page(app, "/me", headers).await
}

/// The value of a cookie of a browser in which this user is logged in.
async fn value_of<S: App>(app: &S, id: i64, name: &str) -> String {
    let browser = Browser::new(app);
    browser.post(&format!("/login/{id}?remember=true")).await;
    browser.cookie(name).unwrap()
}

/// A name as actix-session sends its values.
fn escaped(value: &str) -> String {
    value
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

async fn session_of<S: App>(app: &S, id: i64) -> String {
    escaped(&value_of(app, id, SESSION).await)
}

/// Names that actix-web reads as `__Host-session`, and in which a browser sees no prefix.
const DISGUISES: &[&str] = &[
    "%5F%5FHost-session",
    "%5f_Host-session",
    "__Host%2Dsession",
    "__Host-sessio%6E",
    "__Host-session ",
    "__Host-session\t",
    "\t__Host-session",
    "  __Host-session",
    "\u{a0}__Host-session",
    "__Host-session\u{2003}",
    "\u{3000}%5F%5FHost-session",
];

async fn plain_site() -> impl App {
    let users = Users::new();
    site(manager(&users).0.build(key()).unwrap(), &users).await
}

#[actix_web::test]
async fn a_planted_session_under_a_disguised_name_makes_nobody_its_user() {
    let app = plain_site().await;
    let (ada, ben) = (session_of(&app, 1).await, session_of(&app, 2).await);
    let ada = cookie(SESSION, ada);
    for name in DISGUISES {
        let planted = cookie(name, &ben);
        let alone = [b"a=b; ", &planted[..]].concat();
        assert_eq!(user_of(&app, &[&alone]).await, "nobody", "{name:?}");
        for (one, two) in [(&planted, &ada), (&ada, &planted)] {
            let together = [b"a=b; ", &one[..], b"; ", two].concat();
            assert_eq!(user_of(&app, &[&together]).await, "ada", "{name:?}");
            // HTTP/2 sends one line for each cookie.
            assert_eq!(user_of(&app, &[one, two]).await, "ada", "{name:?}");
        }
    }
}

#[actix_web::test]
async fn a_session_cookie_whose_name_differs_in_case_is_another_cookie() {
    let app = plain_site().await;
    let (ada, ben) = (session_of(&app, 1).await, session_of(&app, 2).await);
    for name in [
        "__host-session",
        "__HOST-SESSION",
        "__Host-Session",
        "__Secure-session",
    ] {
        let planted = cookie(name, &ben);
        assert_eq!(user_of(&app, &[&planted]).await, "nobody", "{name}");
        let ada = cookie(SESSION, &ada);
        assert_eq!(user_of(&app, &[&planted, &ada]).await, "ada", "{name}");
    }
}

#[actix_web::test]
async fn of_two_host_cookies_of_one_name_none_logs_a_user_in() {
    let users = Users::new();
    let app_with =
        async |builder: LoginManagerBuilder| site(builder.build(key()).unwrap(), &users).await;
    let stored = || manager_base(&users).0.login_store(MemoryLoginStore::new());
    let in_session = app_with(stored()).await;
    let in_cookie = app_with(stored().login_cookie(CookieSettings::new())).await;
    for name in [SESSION, REMEMBER] {
        let value = async |id| escaped(&value_of(&in_session, id, name).await);
        let (ada, ben) = (cookie(name, value(1).await), cookie(name, value(2).await));
        for two in [[&ada, &ben], [&ben, &ada], [&ada, &ada]] {
            let joined = two.map(|pair| &pair[..]).join(&b"; "[..]);
            assert_eq!(user_of(&in_session, &[&joined]).await, "nobody", "{name}");
            assert_eq!(
                user_of(&in_session, &two.map(|pair| &pair[..])).await,
                "nobody",
                "{name}"
            );
        }
    }
    let ada = cookie(LOGIN, value_of(&in_cookie, 1, LOGIN).await);
    let ben = cookie(LOGIN, value_of(&in_cookie, 2, LOGIN).await);
    assert_eq!(user_of(&in_cookie, &[&ada]).await, "ada");
    assert_eq!(user_of(&in_cookie, &[&ada, &ben]).await, "nobody");
}

#[actix_web::test]
async fn a_browser_with_two_host_sessions_can_still_log_in_once_one_of_them_is_gone() {
    let app = plain_site().await;
    let ada = cookie(SESSION, session_of(&app, 1).await);
    assert_eq!(user_of(&app, &[&ada, b"__Host-session=x"]).await, "nobody");
    assert_eq!(user_of(&app, &[&ada]).await, "ada");
}

/// The settings of cookies that other hosts of the domain can set too.
fn shared() -> CookieSettings {
    CookieSettings::new().domain("app.test")
}

#[actix_web::test]
async fn without_the_host_prefix_the_first_session_that_opens_counts() {
    let _known = cookies_of_a_domain();
    let users = Users::new();
    for stored in [false, true] {
        let builder = match stored {
            true => manager_base(&users).0.login_store(MemoryLoginStore::new()),
            false => manager(&users).0,
        };
        let other = manager(&users).0.session_cookie(shared());
        let other = other.build(login_tests::key_of(9)).unwrap();
        let other = site(other, &users).await;
        let app = site(
            builder.session_cookie(shared()).build(key()).unwrap(),
            &users,
        )
        .await;
        let name = "__Secure-session";
        let session = async |id| escaped(&value_of(&app, id, name).await);
        let (ada, ben) = (
            cookie(name, session(1).await),
            cookie(name, session(2).await),
        );
        let old = cookie(name, escaped(&value_of(&other, 2, name).await));
        for dead in [
            &b"__Secure-session=x"[..],
            b"__Secure-session=",
            b"__Secure-session=%",
            &old,
        ] {
            for headers in [[dead, &ada], [&ada, dead]] {
                assert_eq!(user_of(&app, &headers).await, "ada", "{dead:?}");
                assert_eq!(
                    user_of(&app, &[&headers.join(&b"; "[..])]).await,
                    "ada",
                    "{dead:?}"
                );
            }
        }
        assert_eq!(user_of(&app, &[&old]).await, "nobody");
        assert_eq!(user_of(&app, &[&ada, &ben]).await, "ada");
        assert_eq!(user_of(&app, &[&ben, &ada]).await, "ben");
        // The name still has to be the name.
        assert_eq!(
            user_of(
                &app,
                &[&cookie("%5F_Secure-session", session(2).await), &ada]
            )
            .await,
            "ada"
        );
    }
}

#[actix_web::test]
async fn without_the_host_prefix_the_first_login_and_remember_cookie_that_is_good_counts() {
    let _known = cookies_of_a_domain();
    let users = Users::new();
    for stored in [false, true] {
        let base = match stored {
            true => manager_base(&users).0.login_store(MemoryLoginStore::new()),
            false => manager(&users).0,
        };
        let builder = base
            .session_cookie(shared())
            .login_cookie(shared())
            .remember_cookie(RememberCookie::new().cookie(shared()));
        let app = site(builder.build(key()).unwrap(), &users).await;
        for name in ["__Secure-login", "__Secure-remember"] {
            let value = async |id| value_of(&app, id, name).await;
            let (ada, ben) = (cookie(name, value(1).await), cookie(name, value(2).await));
            for dead in ["x", "", "2.x", "\u{e9}"] {
                let dead = cookie(name, dead);
                assert_eq!(
                    user_of(&app, &[&dead, &ada]).await,
                    "ada",
                    "{name} {dead:?}"
                );
                assert_eq!(
                    user_of(&app, &[&ada, &dead]).await,
                    "ada",
                    "{name} {dead:?}"
                );
            }
            assert_eq!(user_of(&app, &[&ben, &ada]).await, "ben", "{name}");
        }
    }
}

#[actix_web::test]
async fn an_old_login_cookie_of_another_domain_keeps_nobody_out() {
    let _known = cookies_of_a_domain();
    let users = Users::new();
    for stored in [false, true] {
        let (base, clock) = match stored {
            true => {
                let (builder, clock) = manager_base(&users);
                (builder.login_store(MemoryLoginStore::new()), clock)
            }
            false => manager(&users),
        };
        let builder = base.session_cookie(shared()).login_cookie(shared());
        let app = site(builder.build(key()).unwrap(), &users).await;
        let name = "__Secure-login";
        let old = cookie(name, value_of(&app, 1, name).await);
        clock.advance(DAY);
        assert_eq!(user_of(&app, &[&old]).await, "nobody");
        let ada = cookie(name, value_of(&app, 1, name).await);
        let both = [&old[..], &ada].join(&b"; "[..]);
        for _ in 0..2 {
            let request = TestRequest::get().uri("/me");
            let request = request.insert_header((COOKIE, HeaderValue::from_bytes(&both).unwrap()));
            let answer = app.call(request.to_request()).await.unwrap();
            let is_cleared =
                |cookie: Cookie<'_>| cookie.name() == name && cookie.value().is_empty();
            assert!(
                !answer.response().cookies().any(is_cleared),
                "records: {stored}"
            );
            let body = to_bytes(answer.into_body()).await.unwrap();
            assert_eq!(body, "ada");
        }
    }
}

#[actix_web::test]
async fn an_old_remember_cookie_of_another_domain_keeps_nobody_out_and_is_no_theft() {
    let _known = cookies_of_a_domain();
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let builder = builder
        .login_store(MemoryLoginStore::new())
        .remember_cookie(RememberCookie::new().cookie(shared()));
    let app = site(builder.build(key()).unwrap(), &users).await;
    let name = "__Secure-remember";
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let old = browser.cookie(name).unwrap();
    // The family moves on: the old cookie is two tokens behind.
    for _ in 0..3 {
        clock.advance(DAY);
        browser.drop_cookie(SESSION);
        assert_eq!(name_of(&browser).await, "ada");
        clock.advance(DAY / 100);
        assert_eq!(name_of(&browser).await, "ada");
    }
    let new = browser.cookie(name).unwrap();
    assert_ne!(old, new);
    clock.advance(DAY);
    let (old, new) = (cookie(name, old), cookie(name, new));
    assert_eq!(user_of(&app, &[&old, &new]).await, "ada");
    assert_eq!(user_of(&app, &[&new, &old]).await, "ada");
    // Alone it still is one.
    assert_eq!(user_of(&app, &[&old]).await, "nobody");
    assert_eq!(user_of(&app, &[&new]).await, "nobody");
}

#[actix_web::test]
async fn a_log_out_ends_what_other_domains_left_in_the_browser() {
    let _known = cookies_of_a_domain();
    let users = Users::new();
    let builder = manager_base(&users).0.login_store(MemoryLoginStore::new());
    let builder = builder
        .session_cookie(shared())
        .login_cookie(shared())
        .remember_cookie(RememberCookie::new().cookie(shared()));
    let app = site(builder.build(key()).unwrap(), &users).await;
    let mut pairs = Vec::new();
    for id in [1, 2] {
        let browser = Browser::new(&app);
        browser.post(&format!("/login/{id}?remember=true")).await;
        for name in ["__Secure-login", "__Secure-remember"] {
            pairs.push(cookie(name, browser.cookie(name).unwrap()));
        }
    }
    let all = HeaderValue::from_bytes(&pairs.join(&b"; "[..])).unwrap();
    let request = TestRequest::post()
        .uri("/logout")
        .insert_header((COOKIE, all));
    assert!(
        app.call(request.to_request())
            .await
            .unwrap()
            .status()
            .is_redirection()
    );
    for pair in &pairs {
        assert_eq!(user_of(&app, &[pair]).await, "nobody");
    }
}

#[actix_web::test]
async fn a_foreign_cookie_that_is_not_utf8_logs_nobody_out() {
    let users = Users::new();
    let stored = || manager_base(&users).0.login_store(MemoryLoginStore::new());
    let in_session = site(stored().build(key()).unwrap(), &users).await;
    let builder = stored().login_cookie(CookieSettings::new());
    let in_cookie = site(builder.build(key()).unwrap(), &users).await;
    let ada = cookie(SESSION, session_of(&in_session, 1).await);
    let login = cookie(LOGIN, value_of(&in_cookie, 1, LOGIN).await);
    for foreign in [
        &b"a=\xff"[..],
        b"\xff\xfe=b",
        b"a=\xc3",
        b"\xe9",
        b"a=b; c=\x80\x80; d=e",
    ] {
        let joined = [foreign, &ada].join(&b"; "[..]);
        assert_eq!(user_of(&in_session, &[&joined]).await, "ada", "{foreign:?}");
        assert_eq!(
            user_of(&in_session, &[&ada, foreign]).await,
            "ada",
            "{foreign:?}"
        );
        assert_eq!(
            user_of(&in_cookie, &[foreign, &login]).await,
            "ada",
            "{foreign:?}"
        );
    }
    // Nor is it a way to hide a planted cookie.
    let ben = cookie("%5F%5FHost-session", session_of(&in_session, 2).await);
    assert_eq!(user_of(&in_session, &[b"a=\xff", &ben]).await, "nobody");
    assert_eq!(user_of(&in_session, &[b"a=\xff", &ben, &ada]).await, "ada");
}

/// The names and values of the cookies that the application sees.
async fn own_cookies(request: HttpRequest) -> String {
    let cookies = request.cookies().unwrap();
    let mut seen: Vec<_> = cookies
        .iter()
        .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
        .filter(|cookie| !cookie.contains("session"))
        .collect();
    seen.sort();
    let lines = request.headers().get_all(COOKIE).count();
    format!("{} in {lines}", seen.join(" "))
}

#[actix_web::test]
async fn the_application_still_reads_its_own_cookies() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), |routes| {
        routes.route("/cookies", web::get().to(own_cookies));
    })
    .await;
    let own = b"theme=dark; lang=\"de\"; a%20b=c%20d; empty=; nothing";
    let expected = "a b=c d empty= lang=de theme=dark";
    for planted in [
        &b"a=\xff"[..],
        b"%5F%5FHost-session=x",
        b"__Host-session=x; __Host-session=y",
        b"__Host-session=x",
    ] {
        assert_eq!(
            page(&app, "/cookies", &[planted, own]).await,
            format!("{expected} in 2"),
            "{planted:?}"
        );
        let joined = [own, planted].join(&b"; "[..]);
        assert_eq!(
            page(&app, "/cookies", &[&joined]).await,
            format!("{expected} in 1")
        );
    }
}

#[actix_web::test]
async fn a_middleware_that_has_read_the_cookies_before_makes_no_difference() {
    struct Tag;
    async fn tag(request: HttpRequest) -> String {
        use actix_web::HttpMessage as _;
        let is_there = request.extensions().get::<Tag>().is_some();
        format!("{} {is_there}", own_cookies(request).await)
    }
    let users = Users::new();
    let manager = manager(&users).0.build(key()).unwrap();
    let routes = ActixApp::new()
        .wrap(Compat::new(manager))
        .wrap_fn(|request, next| {
            use actix_web::HttpMessage as _;
            let _ = request.cookie("theme");
            request.extensions_mut().insert(Tag);
            next.call(request)
        })
        .configure(|routes| pages(routes, users))
        .route("/cookies", web::get().to(tag));
    let app = init_service(routes).await;
    let (ada, ben) = (session_of(&app, 1).await, session_of(&app, 2).await);
    let (ada, planted) = (cookie(SESSION, ada), cookie("__Host%2Dsession", ben));
    assert_eq!(user_of(&app, &[&planted]).await, "nobody");
    assert_eq!(user_of(&app, &[&planted, &ada]).await, "ada");
    assert_eq!(
        page(&app, "/cookies", &[&planted, b"theme=dark"]).await,
        "theme=dark in 2 true"
    );
}

#[actix_web::test]
async fn the_applications_own_session_middleware_is_protected_by_its_prefix() {
    let users = Users::new();
    let builder = manager(&users).0.session_middleware(|| {
        SessionMiddleware::builder(CookieSessionStore::default(), key())
            .cookie_name("__Host-own".to_owned())
            .build()
    });
    let app = site(builder.build(key()).unwrap(), &users).await;
    let value = async |id| escaped(&value_of(&app, id, "__Host-own").await);
    let (ada, ben) = (cookie("__Host-own", value(1).await), value(2).await);
    assert_eq!(
        user_of(&app, &[&ada, b"__Host-a=b; __Secure-c=d; e=f"]).await,
        "ada"
    );
    for name in [
        "%5F%5FHost-own",
        "__Host%2Down",
        "__Host-own ",
        "\u{a0}__Host-own",
    ] {
        let planted = cookie(name, &ben);
        assert_eq!(user_of(&app, &[&planted]).await, "nobody", "{name:?}");
        assert_eq!(user_of(&app, &[&planted, &ada]).await, "ada", "{name:?}");
    }
    let ben = cookie("__Host-own", &ben);
    assert_eq!(user_of(&app, &[&ben, &ada]).await, "nobody");
    assert_eq!(user_of(&app, &[b"a=\xff", &ada]).await, "ada");
}

#[actix_web::test]
async fn thousands_of_cookies_are_looked_at_in_no_time() {
    let app = plain_site().await;
    let ada = cookie(SESSION, session_of(&app, 1).await);
    let many = (0..10_000)
        .map(|at| format!("__Host-{at}=%5F"))
        .collect::<Vec<_>>()
        .join("; ");
    assert_eq!(user_of(&app, &[many.as_bytes(), &ada]).await, "ada");
    let many = vec!["__Host-session=x"; 10_000].join("; ");
    assert_eq!(user_of(&app, &[many.as_bytes(), &ada]).await, "nobody");
}
