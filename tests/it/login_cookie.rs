//! Logins that are kept in a cookie of their own, and not in the session.

use std::{convert::Infallible, sync::Arc};

use actix_session::Session;
use actix_web::{
    Responder,
    cookie::Key,
    http::Method,
    web::{self, Data, Json, Path, ServiceConfig},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use login_runtime::{
    Auth, AuthUser, CookieSettings, CurrentUser, LoginError, LoginManager, MaybeUser,
    MemoryLoginStore, Verified,
    config::{LoginManagerBuilder, SessionProtection},
    login_required,
    test::{Browser, TestClock},
};
use login_tests::{
    Admin, User, Users, app, key, key_of as secret, load_admin, manager, manager_base,
    record_logins,
};

use crate::world::{
    App, Events, LOGIN, REMEMBER, SESSION, Who, WorthlessCookies, account_status, admin_page,
    admin_pages, assert_clears, assert_leaves, assert_no_cookies, assert_sets, cart_of, cookie,
    pages, site, who, with_raw_cookies,
};

mod dead;
mod late;
mod seen;
mod settings;
mod together;

/// The admins' login cookie.
const LOGIN_ADMIN: &str = "__Host-login-admin";

/// Whether the manager keeps records of logins.
const WITH_RECORDS: [bool; 2] = [false, true];

/// A manager whose logins are in a cookie of their own.
fn builder(users: &Users, with_records: bool) -> (LoginManagerBuilder, TestClock) {
    let (builder, clock) = builder_base(users);
    let store = with_records.then(MemoryLoginStore::new);
    (record_logins(builder, store), clock)
}

/// The same without the choice where logins are recorded.
fn builder_base(users: &Users) -> (LoginManagerBuilder, TestClock) {
    let (builder, clock) = manager_base(users);
    (builder.login_cookie(CookieSettings::new()), clock)
}

/// The pages, those of admins, and those that do two things in one request.
fn more_pages(routes: &mut ServiceConfig, users: Users) {
    pages(routes, users);
    routes
        .route("/account/purge", web::post().to(purge_mine))
        .route("/in-and-out", web::post().to(in_and_out))
        .route("/out-and-in", web::post().to(out_and_in))
        .route("/in-and-purge", web::post().to(in_and_purge))
        .route("/out-and-purge", web::post().to(out_and_purge))
        .route("/both-out", web::post().to(both_out))
        .service(admin_pages());
}

async fn more(builder: LoginManagerBuilder, users: &Users) -> impl App + use<> {
    let users = users.clone();
    app(builder.build(key()).unwrap(), |routes| {
        more_pages(routes, users);
    })
    .await
}

#[login_required]
async fn purge_mine(session: Session) -> impl Responder {
    session.purge();
    "purged"
}

async fn in_and_out(auth: Auth<User>, users: Data<Users>) -> Result<impl Responder, LoginError> {
    auth.log_in(Verified::trust(users.get(1).unwrap(), "test"))
        .await?;
    auth.log_out().await?;
    Ok("out")
}

async fn out_and_in(auth: Auth<User>, users: Data<Users>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    auth.log_in(Verified::trust(users.get(1).unwrap(), "test"))
        .await?;
    Ok("in")
}

async fn in_and_purge(
    auth: Auth<User>,
    users: Data<Users>,
    session: Session,
) -> Result<impl Responder, LoginError> {
    auth.log_in(Verified::trust(users.get(1).unwrap(), "test"))
        .await?;
    session.purge();
    Ok("purged")
}

async fn out_and_purge(auth: Auth<User>, session: Session) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    session.purge();
    Ok("purged")
}

async fn both_out(auth: Auth<User>, admin: Auth<Admin>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    admin.log_out().await?;
    Ok("out")
}

#[actix_web::test]
async fn it_ends_with_the_browser_and_comes_alone() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        assert_eq!(account_status(&browser).await, 303);
        let answer = browser.post("/login/1").await;
        let value = assert_sets(&answer, LOGIN, None);
        // Nothing is in the session, so there is none.
        assert_eq!(answer.set_cookies().len(), 1, "{:?}", answer.headers());
        for page in ["/", "/who", "/account", "/settings"] {
            let answer = browser.get(page).await;
            answer.assert_page_shown();
            assert_no_cookies(&answer);
        }
        let again = assert_sets(&browser.post("/login/1").await, LOGIN, None);
        assert_ne!(value, again);
        browser.restart();
        assert_eq!(who(&browser).await, Who::default());
    }
}

#[actix_web::test]
async fn it_says_nothing_about_the_user() {
    const ID: &str = "somebody@example.com";
    for with_records in WITH_RECORDS {
        let manager = LoginManager::builder(load_admin).login_cookie(CookieSettings::new());
        let manager = record_logins(manager, with_records.then(MemoryLoginStore::new));
        let app = app(manager.build(key()).unwrap(), |routes| {
            routes.route("/admin", web::get().to(admin_page));
        })
        .await;
        let values = [0; 2].map(|_| Browser::new(&app));
        for browser in &values {
            browser.log_in(Admin::new(ID)).await;
            assert_eq!(browser.get("/admin").await.text(), format!("admin {ID}"));
        }
        let values = values.map(|browser| browser.cookie(LOGIN).unwrap());
        assert_ne!(values[0], values[1]);
        let decoded = values.map(|value| BASE64.decode(value).unwrap());
        for bytes in &decoded {
            let says = |text: &str| bytes.windows(text.len()).any(|at| at == text.as_bytes());
            // Any four letters of it would be a coincidence.
            assert!(!(0..ID.len() - 4).any(|at| says(&ID[at..at + 4])));
        }
        // Nor do both have anything in common, but for their length.
        let [one, other] = decoded;
        assert_eq!(one.len(), other.len());
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < one.len() / 4, "{same} of {}", one.len());
    }
}

/// Asserts that a request with these cookies is anonymous and otherwise ordinary, and that a remember
/// token beside them is still accepted.
async fn check_worthless<S: App>(app: &S, cookies: &[u8], token: Option<&str>) {
    let shown = String::from_utf8_lossy(cookies);
    for (path, status) in [("/", 200), ("/who", 200), ("/account", 303)] {
        let answer = with_raw_cookies(app, path, cookies).await;
        assert_eq!(answer.status(), status, "{path} {shown}");
    }
    let nobody = || async {
        let answer = with_raw_cookies(app, "/who", cookies).await;
        actix_web::body::to_bytes(answer.into_body()).await.unwrap()
    };
    assert_eq!(
        nobody().await,
        serde_json::to_string(&Who::default()).unwrap(),
        "{shown}"
    );
    if let Some(token) = token {
        let cookies = [cookies, b"; ", REMEMBER.as_bytes(), b"=", token.as_bytes()].concat();
        let answer = with_raw_cookies(app, "/account", &cookies).await;
        assert_eq!(answer.status(), 200, "{shown}");
    }
}

#[actix_web::test]
async fn one_changed_character_anywhere_makes_it_worthless() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        let good = browser.cookie(LOGIN).unwrap();
        for at in 0..good.len() {
            for other in *b"AB-_z9%" {
                let mut changed = good.clone().into_bytes();
                if std::mem::replace(&mut changed[at], other) == other {
                    continue;
                }
                let cookies = cookie(LOGIN, &changed);
                let answer = with_raw_cookies(&app, "/account", &cookies).await;
                assert_eq!(answer.status(), 303, "{at}");
            }
        }
        let answer = with_raw_cookies(&app, "/account", &cookie(LOGIN, &good)).await;
        assert_eq!(answer.status(), 200);
    }
}

#[actix_web::test]
async fn what_is_no_login_cookie_disturbs_nothing() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (plain, _) = builder(&users, with_records);
        let app = more(plain.user_loader(load_admin), &users).await;
        let other = builder(&users, with_records).0;
        let other = site(other.build(secret(8)).unwrap(), &users).await;

        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        browser.post("/admin/login/root").await;
        browser.post("/cart/tea").await;
        let stranger = Browser::new(&other);
        stranger.post("/login/1").await;
        assert_eq!(account_status(&stranger).await, 200);
        let value = |name| browser.cookie(name).unwrap();
        let (good, token) = (value(LOGIN), value(REMEMBER));

        let worthless = WorthlessCookies {
            name: LOGIN,
            valid: &good,
        };
        for cookies in worthless.all() {
            check_worthless(&app, &cookies, Some(&token)).await;
        }
        // Valid values of other applications and other cookies.
        let of_another = stranger.cookie(LOGIN).unwrap();
        for value in [&of_another, &value(LOGIN_ADMIN), &value(SESSION), &token] {
            check_worthless(&app, &cookie(LOGIN, value), Some(&token)).await;
        }
        // Names that only decode to the name, or differ from it in case.
        for name in ["%5F%5FHost-login", "__Host%2Dlogin", "__host-login"] {
            check_worthless(&app, &cookie(name, &good), None).await;
        }
        for name in [SESSION, REMEMBER, LOGIN_ADMIN] {
            check_worthless(&app, &cookie(name, &good), None).await;
        }
        let answer = with_raw_cookies(&app, "/account", &cookie(LOGIN, &good)).await;
        assert_eq!(answer.status(), 200);
    }
}

/// A guest, whose ids are texts like those of admins.
#[derive(AuthUser)]
struct Guest {
    id: String,
}

impl Guest {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

async fn load_guest(id: String) -> Result<Option<Guest>, Infallible> {
    Ok(Some(Guest { id }))
}

#[login_required]
async fn lobby(guest: CurrentUser<Guest>) -> String {
    format!("guest {}", guest.id)
}

#[actix_web::test]
async fn that_of_one_user_type_is_none_of_another_with_the_same_ids() {
    for with_records in WITH_RECORDS {
        let builder = LoginManager::builder(load_guest)
            .user_loader(load_admin)
            .login_cookie(CookieSettings::new());
        let builder = record_logins(builder, with_records.then(MemoryLoginStore::new));
        let app = app(builder.build(key()).unwrap(), |routes| {
            routes
                .route("/lobby", web::get().to(lobby))
                .route("/admin", web::get().to(admin_page));
        })
        .await;
        let (guest, admin) = (Browser::new(&app), Browser::new(&app));
        guest.log_in(Guest::new("root")).await;
        admin.log_in(Admin::new("root")).await;
        let of_guest = guest.cookie(LOGIN).unwrap();
        let of_admin = admin.cookie(LOGIN_ADMIN).unwrap();
        for (name, value, statuses) in [
            (LOGIN_ADMIN, &of_guest, (401, 401)),
            (LOGIN, &of_admin, (401, 401)),
            (LOGIN, &of_guest, (200, 401)),
            (LOGIN_ADMIN, &of_admin, (401, 200)),
        ] {
            let browser = Browser::new(&app);
            browser.set_cookie(name, value);
            let (lobby, admin) = (browser.get("/lobby").await, browser.get("/admin").await);
            assert_eq!((lobby.status(), admin.status()), statuses, "{name}");
        }
    }
}

#[actix_web::test]
async fn under_an_older_key_it_is_good_and_comes_back_under_the_new_one() {
    const MODES: [SessionProtection; 3] = [
        SessionProtection::None,
        SessionProtection::Basic,
        SessionProtection::Strong,
    ];
    for (mode, with_records) in MODES.into_iter().flat_map(|m| WITH_RECORDS.map(|r| (m, r))) {
        let users = Users::new();
        let store = Arc::new(MemoryLoginStore::new());
        let build = async |secret, old: &[Key]| {
            let (builder, events) = Events::of(builder_base(&users).0.session_protection(mode));
            let builder = builder.fallback_keys(old.iter().cloned());
            let builder = record_logins(builder, with_records.then(|| Arc::clone(&store)));
            (site(builder.build(secret).unwrap(), &users).await, events)
        };
        let (first, _) = build(secret(1), &[]).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;

        // Without the old key it is nobody's.
        let (other, events) = build(secret(2), &[]).await;
        assert_eq!(who(&browser.at(&other)).await, Who::default(), "{mode:?}");
        assert_eq!(events.take_but_accessed(), [""; 0]);

        // With it, it comes back under the new key, once.
        let (second, events) = build(secret(2), &[secret(3), secret(1)]).await;
        let browser = browser.at(&second);
        let answer = browser.get("/settings").await;
        assert_eq!(answer.text(), "settings of ada", "{mode:?}");
        assert_sets(&answer, LOGIN, None);
        assert_eq!(answer.set_cookies().len(), 1);
        let answer = browser.get("/settings").await;
        assert_eq!(answer.text(), "settings of ada", "{mode:?}");
        assert_no_cookies(&answer);
        assert_eq!(events.take_but_accessed(), [""; 0]);

        // So that the old one can go; records keep what they were made with, and need it longer.
        if !with_records {
            let (third, events) = build(secret(2), &[]).await;
            let answer = browser.at(&third).get("/settings").await;
            assert_eq!(answer.text(), "settings of ada", "{mode:?}");
            assert_no_cookies(&answer);
            assert_eq!(events.take_but_accessed(), [""; 0]);
        }
        assert_eq!(browser.post("/logout").await.status(), 303);
        assert_eq!(account_status(&browser).await, 303);
    }
}

#[actix_web::test]
async fn that_of_a_client_that_has_changed_comes_back_under_the_new_key_too() {
    for with_records in WITH_RECORDS {
        for (mode, stale) in [
            (SessionProtection::None, false),
            (SessionProtection::Basic, true),
        ] {
            let store = Arc::new(MemoryLoginStore::new());
            let build = async |secret, old: Option<Key>| {
                let builder = LoginManager::builder(load_admin)
                    .login_cookie(CookieSettings::new())
                    .session_protection(mode)
                    .fallback_keys(old);
                let builder = record_logins(builder, with_records.then(|| Arc::clone(&store)));
                app(builder.build(secret).unwrap(), |routes| {
                    routes.route("/admin", web::get().to(admin_page));
                })
                .await
            };
            let first = build(secret(1), None).await;
            let browser = Browser::new(&first);
            let log_in = browser.log_in(Admin::new("root"));
            match stale {
                true => log_in.stale().await,
                false => log_in.await,
            }
            browser.set_user_agent("test/2");
            let second = build(secret(2), Some(secret(1))).await;
            let browser = browser.at(&second);
            let answer = browser.get("/admin").await;
            assert_eq!(answer.text(), "admin root");
            assert_sets(&answer, LOGIN, None);
            let third = build(secret(2), None).await;
            assert_eq!(browser.at(&third).get("/admin").await.text(), "admin root");
        }
    }
}

#[actix_web::test]
async fn purging_the_session_ends_the_login() {
    for with_records in WITH_RECORDS {
        for (page, told) in [
            ("/purge", "logged_out"),
            ("/account/purge", "logged_out ada"),
        ] {
            for with_session in [false, true] {
                let users = Users::new();
                let (builder, events) = Events::of(builder(&users, with_records).0);
                let manager = builder.user_loader(load_admin).build(key());
                let manager = manager.unwrap();
                let logins = manager.logins();
                let app = app(manager, |routes| more_pages(routes, users.clone())).await;
                let browser = Browser::new(&app);
                browser.post("/login/1").await;
                if with_session {
                    browser.post("/cart/tea").await;
                }
                let copy = browser.copy();
                events.take();
                let answer = browser.post(page).await;
                assert_eq!(answer.status(), 200);
                assert_clears(&answer, LOGIN);
                assert_eq!(events.take_but_accessed(), [told], "{page}");
                assert_eq!(browser.cookie_names(), [""; 0]);
                assert_eq!(account_status(&browser).await, 303);
                assert_eq!(cart_of(&browser).await, None);
                if let Some(logins) = logins {
                    assert_eq!(logins.of::<User>(&1).await.unwrap(), []);
                    assert_eq!(account_status(&copy).await, 303);
                }
                // Nobody is logged in, and nothing happens.
                events.take();
                assert_no_cookies(&browser.post("/purge").await);
                assert_eq!(events.take(), [""; 0]);
            }
        }
    }
}

#[actix_web::test]
async fn purging_the_session_ends_the_logins_of_all_user_types() {
    for with_records in WITH_RECORDS {
        for page in ["/purge", "/out-and-purge"] {
            let users = Users::new();
            let (builder, _) = builder(&users, with_records);
            let app = more(builder.user_loader(load_admin), &users).await;
            let browser = Browser::new(&app);
            browser.post("/login/1").await;
            browser.post("/admin/login/root").await;
            browser.post("/cart/tea").await;
            let copy = browser.copy();
            assert_eq!(browser.post(page).await.status(), 200);
            assert_eq!(account_status(&browser).await, 303, "{page}");
            assert_eq!(browser.get("/admin/page").await.status(), 303, "{page}");
            assert_eq!(browser.cookie_names(), [""; 0], "{page}");
            if with_records {
                assert_eq!(copy.get("/admin/page").await.status(), 303, "{page}");
            }
        }
    }
}

#[actix_web::test]
async fn purging_the_session_ends_a_login_that_was_just_made() {
    for with_records in WITH_RECORDS {
        for before in [None, Some("/login/2")] {
            let users = Users::new();
            let (builder, _) = builder(&users, with_records);
            let app = more(builder.user_loader(load_admin), &users).await;
            let browser = Browser::new(&app);
            if let Some(before) = before {
                browser.post(before).await;
            }
            assert_eq!(browser.post("/in-and-purge").await.text(), "purged");
            assert_eq!(who(&browser).await, Who::default(), "{before:?}");
            assert_eq!(browser.cookie_names(), [""; 0], "{before:?}");
        }
    }
}

#[actix_web::test]
async fn clearing_the_session_does_not_end_the_login() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = more(builder.user_loader(load_admin), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        browser.post("/cart/tea").await;
        let answer = browser.post("/clear").await;
        assert_leaves(&answer, LOGIN);
        assert_eq!(cart_of(&browser).await, None);
        assert_eq!(account_status(&browser).await, 200);
        // Nor does the loss of the session.
        browser.drop_cookie(SESSION);
        assert_eq!(account_status(&browser).await, 200);
    }
}

#[actix_web::test]
async fn a_log_out_clears_it_and_ends_the_session() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, events) = Events::of(builder(&users, with_records).0);
        let app = site(builder.build(key()).unwrap(), &users).await;
        // Nobody is logged in, and nothing is cleared.
        let browser = Browser::new(&app);
        assert_no_cookies(&browser.post("/logout").await);
        for with_session in [false, true] {
            browser.post("/login/1").await;
            if with_session {
                browser.post("/cart/tea").await;
            }
            let copy = browser.copy();
            events.take();
            let answer = browser.post("/logout").await;
            assert_clears(&answer, LOGIN);
            if with_session {
                assert_clears(&answer, SESSION);
            }
            assert_eq!(answer.set_cookies().len(), 1 + usize::from(with_session));
            assert_eq!(events.take_but_accessed(), ["logged_out ada"]);
            assert_eq!(browser.cookie_names(), [""; 0]);
            assert_eq!(account_status(&browser).await, 303);
            assert_eq!(cart_of(&browser).await, None);
            // Without records nothing on the server says so, as the documentation has it.
            let after = if with_records { 303 } else { 200 };
            assert_eq!(account_status(&copy).await, after);
            // Twice is fine.
            assert_no_cookies(&browser.post("/logout").await);
        }
    }
}

#[actix_web::test]
async fn what_happened_last_in_a_request_counts() {
    for with_records in WITH_RECORDS {
        for before in [None, Some("/login/1"), Some("/login/2")] {
            let users = Users::new();
            let (builder, _) = builder(&users, with_records);
            let app = more(builder.user_loader(load_admin), &users).await;
            let browser = Browser::new(&app);
            if let Some(before) = before {
                browser.post(before).await;
            }
            let (one, other) = (browser.copy(), browser);
            let answer = one.post("/in-and-out").await;
            assert_eq!(answer.text(), "out");
            match before {
                None => assert_no_cookies(&answer),
                Some(_) => assert_clears(&answer, LOGIN),
            }
            assert_eq!(who(&one).await, Who::default(), "{before:?}");
            let answer = other.post("/out-and-in").await;
            assert_eq!(answer.text(), "in");
            assert_sets(&answer, LOGIN, None);
            assert_eq!(who(&other).await.id, Some(1), "{before:?}");
        }
    }
}

#[actix_web::test]
async fn an_id_that_fits_into_no_cookie_is_an_error_and_nothing_is_written() {
    async fn enter(auth: Auth<Guest>, id: web::Bytes) -> Result<impl Responder, LoginError> {
        let guest = Guest::new(std::str::from_utf8(&id).unwrap());
        let done = auth
            .log_in(Verified::trust(guest, "test"))
            .await
            .map(|_| ());
        let now = auth.current_user().await?;
        let now = now.map_or_else(|| "nobody".to_owned(), |guest| guest.id.clone());
        done.map(|()| now)
    }
    async fn maybe(guest: MaybeUser<Guest>) -> Json<Option<String>> {
        Json(guest.user().map(|guest| guest.id.clone()))
    }
    async fn fill(session: Session, item: Path<String>) -> impl Responder {
        session.insert("cart", item.into_inner()).unwrap();
        "filled"
    }
    async fn cart(session: Session) -> Json<Option<String>> {
        Json(session.get("cart").unwrap())
    }
    let builder = LoginManager::builder(load_guest)
        .session_only()
        .login_cookie(CookieSettings::new());
    let (builder, events) = Events::of(builder);
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes
            .route("/enter", web::post().to(enter))
            .route("/who", web::get().to(maybe))
            .route("/cart", web::get().to(cart))
            .route("/cart/{item}", web::post().to(fill));
    })
    .await;
    let browser = Browser::new(&app);
    let long = "x".repeat(5000);
    let answer = browser.post("/enter").body(long.clone()).await;
    assert_eq!(answer.status(), 500, "{}", answer.text());
    assert_no_cookies(&answer);
    assert_eq!(events.take_but_accessed(), [""; 0]);
    // Whoever was logged in before still is, with what is in the session.
    browser.post("/enter").body("ann").await.assert_page_shown();
    browser.post("/cart/tea").await.assert_page_shown();
    let answer = browser.post("/enter").body(long).await;
    assert_eq!(answer.status(), 500, "{}", answer.text());
    assert_no_cookies(&answer);
    let who: Option<Option<String>> = browser.get("/who").await.json();
    assert_eq!(who, Some(Some("ann".to_owned())));
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
}

#[actix_web::test]
async fn pages_of_every_method_leave_it_alone() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        let anonymous = Browser::new(&app);
        browser.post("/login/1").await;
        for method in [Method::HEAD, Method::OPTIONS, Method::PUT] {
            let refused = anonymous.ask(method.clone(), "/account").await;
            assert_ne!(refused.status(), 200, "{method}");
            let answer = browser.ask(method.clone(), "/account").await;
            assert_eq!(answer.status(), 200, "{method}");
            assert_no_cookies(&answer);
        }
        assert_eq!(account_status(&browser).await, 200);
    }
}

#[actix_web::test]
async fn a_handler_that_asks_twice_is_told_the_same() {
    async fn twice(
        one: Auth<User>,
        other: Auth<User>,
        users: Data<Users>,
    ) -> Result<Json<[Option<i64>; 4]>, LoginError> {
        let id = async |auth: &Auth<User>| -> Result<Option<i64>, LoginError> {
            Ok(auth.current_user().await?.user().map(|user| user.id))
        };
        let before = [id(&one).await?, id(&other).await?];
        one.log_in(Verified::trust(users.get(2).unwrap(), "test"))
            .await?;
        let between = id(&other).await?;
        other.log_out().await?;
        Ok(Json([before[0], before[1], between, id(&one).await?]))
    }
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = app(builder.build(key()).unwrap(), |routes| {
            pages(routes, users.clone());
            routes.route("/twice", web::post().to(twice));
        })
        .await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        let answer = browser.post("/twice").await;
        assert_eq!(answer.json(), Some([Some(1), Some(1), Some(2), None]));
        assert_clears(&answer, LOGIN);
        assert_eq!(who(&browser).await, Who::default());
    }
}

/// What tests of applications do.
#[actix_web::test]
async fn a_test_login_is_a_complete_login() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, clock) = builder(&users, with_records);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        assert_eq!(browser.get("/settings").await.status(), 303);
        browser.log_in(User::new(1, "ada")).await;
        assert_eq!(browser.cookie_names(), [LOGIN]);
        assert_eq!(browser.get("/settings").await.text(), "settings of ada");

        let stale = Browser::new(&app);
        stale.log_in(User::new(1, "ada")).stale().await;
        assert_eq!(stale.get("/settings").await.status(), 401);
        assert_eq!(stale.get("/account").await.status(), 200);

        let remembered = Browser::new(&app);
        remembered.log_in(User::new(2, "ben")).remember().await;
        clock.advance(crate::world::MINUTE);
        remembered.restart();
        let who = who(&remembered).await;
        assert_eq!((who.id, who.fresh), (Some(2), false));
        // Another user in the same browser.
        remembered.log_in(User::new(1, "ada")).await;
        assert_eq!(remembered.cookie_names(), [LOGIN]);
        assert_eq!(remembered.get("/settings").await.text(), "settings of ada");
    }
}
