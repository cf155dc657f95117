//! Sessions that do not fit into their cookie: browsers drop a cookie over 4096 bytes without a word.

use actix_session::{Session, SessionMiddleware, storage::CookieSessionStore};
use actix_web::{
    HttpResponse,
    cookie::Cookie,
    http::header::SET_COOKIE,
    web::{self, Data, Path},
};
use login_runtime::test::strict::{Rule, tolerate};
use login_runtime::{
    Auth, CookieSettings, LoginManager, MemoryLoginStore, Verified,
    config::LoginManagerBuilder,
    login_required,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager, manager_base, sessions::MemorySessions};

use crate::{
    events::Log,
    world::{
        App, REMEMBER, SESSION, account_status, cart_of, cookies_of_a_domain, name_of, pages, site,
    },
};

/// The longest cookie that browsers keep, with its name and its attributes.
const MAX: usize = 4096;

/// The lengths of the cookies that an answer sets.
fn lengths(answer: &Answer) -> Vec<usize> {
    let cookies = answer.headers().get_all(SET_COOKIE);
    cookies.map(|cookie| cookie.len()).collect()
}

/// Asserts that a browser keeps all cookies of an answer.
#[track_caller]
fn assert_kept(answer: &Answer) {
    assert!(
        lengths(answer).iter().all(|len| *len <= MAX),
        "{:?}",
        lengths(answer)
    );
}

/// Puts so much into the cart.
async fn fill<S: App>(browser: &Browser<'_, S>, len: usize) -> Answer {
    browser.post(&format!("/cart/{}", "x".repeat(len))).await
}

/// Managers that keep sessions in their cookies.
fn builders() -> Vec<LoginManagerBuilder> {
    let users = Users::new();
    let stored = || manager_base(&users).0.login_store(MemoryLoginStore::new());
    let long = CookieSettings::new().domain("a-rather-long-domain.app.test");
    vec![
        manager(&users).0,
        stored(),
        stored().session_cookie(long),
        stored().session_lifecycle(actix_session::config::PersistentSession::default()),
    ]
}

#[actix_web::test]
async fn whatever_is_in_the_cart_a_log_in_works_or_says_that_it_does_not() {
    let _known = cookies_of_a_domain();
    for builder in builders() {
        let manager = builder.build(key()).unwrap();
        let logins = manager.logins();
        let app = site(manager, &Users::new()).await;
        let (mut worked, mut failed) = (0, 0);
        for len in (2000..2900).step_by(10) {
            let browser = Browser::new(&app);
            let answer = fill(&browser, len).await;
            assert_kept(&answer);
            if answer.status() == 500 {
                // It was too long without a login.
                assert_eq!(cart_of(&browser).await, None);
                continue;
            }
            let before = match &logins {
                Some(logins) => logins.of::<User>(&1).await.unwrap().len(),
                None => 0,
            };
            let answer = browser.post("/login/1?remember=true").await;
            assert_kept(&answer);
            if answer.status() == 303 {
                assert_eq!(name_of(&browser).await, "ada", "{len}");
                worked += 1;
            } else {
                assert_eq!(answer.status(), 500);
                assert!(
                    answer.text().contains("keep less in the session"),
                    "{}",
                    answer.text()
                );
                assert!(answer.text().contains("session_store"), "{}", answer.text());
                assert_eq!(lengths(&answer), [0; 0]);
                assert_eq!(name_of(&browser).await, "nobody", "{len}");
                if let Some(logins) = &logins {
                    // No login is left behind that nobody has.
                    assert_eq!(logins.of::<User>(&1).await.unwrap().len(), before);
                }
                failed += 1;
            }
            assert_eq!(cart_of(&browser).await.map(|cart| cart.len()), Some(len));
        }
        assert!(
            worked > 10 && failed > 0,
            "{worked} worked, {failed} failed"
        );
    }
}

#[actix_web::test]
async fn a_cart_that_outgrows_the_cookie_of_a_login_is_500_and_the_login_stays() {
    let _known = cookies_of_a_domain();
    for builder in builders() {
        let app = site(builder.build(key()).unwrap(), &Users::new()).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        let (mut kept, mut refused) = (0, 0);
        for len in (2400..4200).step_by(20) {
            let answer = fill(&browser, len).await;
            assert_kept(&answer);
            match answer.status() {
                200 => kept = len,
                status => {
                    assert_eq!(status, 500, "{len}");
                    assert_eq!(lengths(&answer), [0; 0]);
                    refused += 1;
                }
            }
            assert_eq!(account_status(&browser).await, 200, "{len}");
            assert_eq!(cart_of(&browser).await.map_or(0, |cart| cart.len()), kept);
        }
        assert!(kept > 2400 && refused > 10, "{kept}, {refused} refused");
    }
}

#[actix_web::test]
async fn the_log_tells_the_size_of_a_session_that_is_too_long_and_what_to_do() {
    let _known = cookies_of_a_domain();
    let (log, _guard) = Log::start();
    for builder in builders() {
        let app = site(builder.build(key()).unwrap(), &Users::new()).await;
        // A little too long, far too long, and a log in.
        for (logged_in, len) in [(true, 2900), (true, 10_000), (false, 2760)] {
            let browser = Browser::new(&app);
            if logged_in {
                browser.post("/login/1").await;
            }
            let before = log.text().len();
            let filled = fill(&browser, len).await;
            if !logged_in {
                browser.post("/login/1").await;
            } else {
                assert_eq!(filled.status(), 500);
            }
            let text = log.text().split_off(before.min(log.text().len()));
            assert!(text.contains("session_too_long"), "{len}: {text}");
            assert!(text.contains("\"bytes\": \""), "{text}");
            assert!(text.contains("keep less in the session"), "{text}");
            assert!(!text.contains("xxxx"), "{text}");
        }
    }
}

#[actix_web::test]
async fn a_login_that_a_remember_cookie_restores_is_not_lost_without_a_word() {
    let _known = cookies_of_a_domain();
    for builder in builders() {
        let app = site(builder.build(key()).unwrap(), &Users::new()).await;
        let remembered = Browser::new(&app);
        remembered.post("/login/1?remember=true").await;
        let token = remembered
            .cookie(REMEMBER)
            .or_else(|| remembered.cookie("__Secure-remember"))
            .unwrap();
        let mut refused = 0;
        for len in (2600..2900).step_by(20) {
            let browser = Browser::new(&app);
            if fill(&browser, len).await.status() != 200 {
                break;
            }
            browser.set_cookie(REMEMBER, &token);
            let answer = browser.get("/account").await;
            assert_kept(&answer);
            match answer.status() {
                200 => assert_eq!(browser.get("/account").await.status(), 200),
                status => {
                    assert_eq!(status, 500);
                    refused += 1;
                }
            }
        }
        assert!(refused > 0);
    }
}

#[actix_web::test]
async fn a_full_session_can_still_be_confirmed_and_left() {
    let _known = cookies_of_a_domain();
    for builder in builders() {
        let app = site(builder.build(key()).unwrap(), &Users::new()).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        for len in (2400..2900).step_by(10) {
            fill(&browser, len).await;
        }
        let answer = browser.post("/confirm/1").await;
        assert_kept(&answer);
        assert!([200, 500].contains(&answer.status()), "{}", answer.text());
        if answer.status() == 200 {
            assert_eq!(account_status(&browser).await, 200);
        }
        let answer = browser.post("/logout").await;
        assert_eq!(answer.status(), 303);
        assert_eq!(name_of(&browser).await, "nobody");
    }
}

#[actix_web::test]
async fn what_a_handler_writes_after_a_log_in_counts_too() {
    let _known = cookies_of_a_domain();
    async fn log_in(
        auth: Auth<User>,
        session: Session,
        len: Path<usize>,
        users: Data<Users>,
    ) -> Result<HttpResponse, actix_web::Error> {
        let user = users.get(1).unwrap();
        auth.log_in(Verified::trust(user, "test"))
            .remember(true)
            .await?;
        session.insert("greeting", "x".repeat(*len))?;
        Ok(HttpResponse::SeeOther()
            .insert_header(("location", "/"))
            .finish())
    }
    for builder in builders() {
        let app = app(builder.build(key()).unwrap(), |routes| {
            pages(routes, Users::new());
            routes.route("/then/{len}", web::post().to(log_in));
        })
        .await;
        for (len, status) in [(100, 303), (2950, 500), (5000, 500)] {
            let browser = Browser::new(&app);
            let answer = browser.post(&format!("/then/{len}")).await;
            assert_eq!(answer.status(), status, "{len}");
            assert_kept(&answer);
            let expected = if status == 303 { "ada" } else { "nobody" };
            assert_eq!(name_of(&browser).await, expected, "{len}");
        }
    }
}

#[actix_web::test]
async fn a_session_on_the_server_may_be_as_long_as_it_likes() {
    let users = Users::new();
    for stored in [false, true] {
        let builder = match stored {
            true => manager_base(&users).0.login_store(MemoryLoginStore::new()),
            false => manager(&users).0,
        };
        let manager = builder.session_store(MemorySessions::new()).build(key());
        let app = site(manager.unwrap(), &users).await;
        let browser = Browser::new(&app);
        assert_eq!(fill(&browser, 20_000).await.status(), 200);
        assert_eq!(browser.post("/login/1").await.status(), 303);
        assert_eq!(name_of(&browser).await, "ada");
        assert_eq!(cart_of(&browser).await.map(|cart| cart.len()), Some(20_000));
    }
}

#[actix_web::test]
async fn a_login_in_its_own_cookie_is_not_lost_with_a_session_that_is_too_long() {
    let builder = manager_base(&Users::new())
        .0
        .login_store(MemoryLoginStore::new());
    let manager = builder.login_cookie(CookieSettings::new()).build(key());
    let app = site(manager.unwrap(), &Users::new()).await;
    let browser = Browser::new(&app);
    fill(&browser, 2700).await;
    assert_eq!(browser.post("/login/1").await.status(), 303);
    for len in [2800, 2900, 3000, 5000] {
        let answer = fill(&browser, len).await;
        assert_kept(&answer);
        assert_eq!(account_status(&browser).await, 200);
    }
    assert_eq!(fill(&browser, 3000).await.status(), 500);
}

#[actix_web::test]
async fn the_applications_own_session_middleware_is_watched_too() {
    fn own(builder: LoginManagerBuilder) -> LoginManager<CookieSessionStore> {
        let own = || {
            SessionMiddleware::builder(CookieSessionStore::default(), key())
                .cookie_name("__Host-own".to_owned())
                .build()
        };
        builder.session_middleware(own).build(key()).unwrap()
    }
    let users = Users::new();
    let stored = manager_base(&users).0.login_store(MemoryLoginStore::new());
    for builder in [manager(&users).0, stored] {
        let app = site(own(builder), &users).await;
        let mut refused = 0;
        for len in (2400..3000).step_by(10) {
            let browser = Browser::new(&app);
            assert_kept(&fill(&browser, len).await);
            let answer = browser.post("/login/1").await;
            assert_kept(&answer);
            let expected = match answer.status() {
                303 => "ada",
                _ => "nobody",
            };
            refused += usize::from(answer.status() == 500);
            assert_eq!(name_of(&browser).await, expected);
        }
        assert!(refused > 3);
    }
}

#[actix_web::test]
async fn a_long_cookie_of_the_application_is_its_own_business() {
    let _known = tolerate(
        &[
            Rule::Secure,
            Rule::Prefix,
            Rule::SameSite,
            Rule::HttpOnly,
            Rule::Path,
            Rule::Size,
            Rule::Grammar,
            Rule::Lifetime,
            Rule::ClearText,
            Rule::Domain,
        ],
        "",
        "cookies of the application",
    );
    async fn long(session: Session, write: Path<bool>) -> HttpResponse {
        if *write {
            let _ = session.insert("n", 1);
        }
        let cookie = Cookie::new("own", "x".repeat(5000));
        HttpResponse::Ok().cookie(cookie).finish()
    }
    #[login_required]
    async fn guarded() -> HttpResponse {
        long_cookie()
    }
    fn long_cookie() -> HttpResponse {
        let cookie = Cookie::new("__Host-sessions", "x".repeat(5000));
        HttpResponse::Ok().cookie(cookie).finish()
    }
    let app = app(manager(&Users::new()).0.build(key()).unwrap(), |routes| {
        pages(routes, Users::new());
        routes.route("/long/{write}", web::get().to(long));
        routes.route("/guarded", web::get().to(guarded));
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/long/false").await.status(), 200);
    assert_eq!(browser.get("/long/true").await.status(), 200);
    browser.post("/login/1").await;
    assert_eq!(browser.get("/guarded").await.status(), 200);
    assert!(browser.cookie(SESSION).is_some());
}
