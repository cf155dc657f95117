//! User types: more than one of them, ids of every kind, and settings that cannot be said wrong.

use login_runtime::test::strict::{Rule, tolerate};
use std::{convert::Infallible, future::IntoFuture, time::Duration};

use actix_web::{HttpRequest, HttpResponse, Responder, cookie::SameSite, web};
use login_runtime::{
    Auth, AuthUser, BuildError, CookieSettings, CurrentUser, LoginError, LoginManager, LoginScope,
    MaybeUser, MemoryLoginStore, RememberCookie, Verified, config::LoginManagerBuilder,
    login_required, test::Browser,
};
use login_tests::{
    Admin, User, Users, app, key, load_admin, manager, record_logins, sessions::MemorySessions,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::world::{
    App, Gates, REMEMBER, SESSION, Who, admin_page, admin_pages, assert_clears, assert_leaves,
    assert_sets, cart_of, gated_pages, pages, while_waiting, who,
};

/// The admins' remember cookie.
const REMEMBER_ADMIN: &str = "__Host-remember-admin";

#[login_required(user = User)]
#[login_required(user = Admin)]
async fn both(user: CurrentUser<User>, admin: CurrentUser<Admin>) -> String {
    format!("{} and {}", user.name, admin.login)
}

/// An application with users and admins.
async fn two_types(users: &Users) -> impl App + use<> {
    let (builder, _) = manager(users);
    let builder = builder.user_loader(load_admin);
    let users = users.clone();
    let store = builder.session_store(MemorySessions::new());
    app(store.build(key()).unwrap(), |routes| {
        pages(routes, users);
        let scope = LoginScope::new().login_view("/admin/login").unwrap();
        routes
            .route("/both", web::get().to(both))
            .service(admin_pages().wrap(scope));
    })
    .await
}

#[actix_web::test]
async fn users_and_admins_log_in_apart() {
    let users = Users::new();
    let app = two_types(&users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    // A user is nobody at an admin's page, and is sent to the admins' login.
    browser
        .get("/admin/page")
        .await
        .assert_redirects_to_login("/admin/login", "/admin/page");
    assert_eq!(browser.get("/admin/settings").await.status(), 303);
    assert_eq!(browser.get("/both").await.status(), 303);

    browser.post("/admin/login/root").await.assert_page_shown();
    assert_eq!(browser.get("/admin/page").await.text(), "admin root");
    assert_eq!(
        browser.get("/admin/settings").await.text(),
        "settings of admin root"
    );
    assert_eq!(browser.get("/account").await.text(), "account of ada");
    assert_eq!(browser.get("/both").await.text(), "ada and root");

    // Nor is an admin a user.
    let admin = Browser::new(&app);
    admin.post("/admin/login/root").await;
    assert_eq!(admin.get("/account").await.status(), 303);
    assert_eq!(who(&admin).await, Who::default());
}

#[actix_web::test]
async fn logging_one_out_keeps_the_other() {
    let users = Users::new();
    let app = two_types(&users).await;
    let browser = Browser::new(&app);
    let log_both_in = async || {
        browser.post("/login/1?remember=true").await;
        browser.post("/admin/login/root?remember=true").await;
        browser.post("/cart/secret").await;
    };
    log_both_in().await;
    let answer = browser.post("/logout").await;
    assert_clears(&answer, REMEMBER);
    assert_leaves(&answer, REMEMBER_ADMIN);
    assert_sets(&answer, SESSION, None);
    assert_eq!(browser.get("/account").await.status(), 303);
    assert_eq!(browser.get("/admin/page").await.text(), "admin root");
    // What belonged to nobody in particular may have been the user's.
    assert_eq!(cart_of(&browser).await, None);

    log_both_in().await;
    let answer = browser.post("/admin/logout").await;
    assert_clears(&answer, REMEMBER_ADMIN);
    assert_leaves(&answer, REMEMBER);
    assert_eq!(browser.get("/admin/page").await.status(), 303);
    assert_eq!(browser.get("/account").await.text(), "account of ada");

    // Another user's login leaves the admin's alone, too.
    log_both_in().await;
    let answer = browser.post("/login/2").await;
    assert_clears(&answer, REMEMBER);
    assert_leaves(&answer, REMEMBER_ADMIN);
    assert_eq!(browser.get("/both").await.text(), "ben and root");
    // The last one out ends the session.
    browser.post("/logout").await;
    assert_clears(&browser.post("/admin/logout").await, SESSION);
    assert_eq!(browser.cookie_names(), [""; 0]);
}

#[actix_web::test]
async fn each_kind_has_a_remember_cookie_of_its_own() {
    let users = Users::new();
    let app = two_types(&users).await;
    let browser = Browser::new(&app);
    let month = Some(Duration::from_secs(30 * 24 * 60 * 60));
    let answer = browser.post("/login/1?remember=true").await;
    assert_sets(&answer, REMEMBER, month);
    assert_leaves(&answer, REMEMBER_ADMIN);
    let answer = browser.post("/admin/login/root?remember=true").await;
    assert_sets(&answer, REMEMBER_ADMIN, month);
    assert_leaves(&answer, REMEMBER);
    browser.restart();
    assert_eq!(browser.get("/both").await.text(), "ada and root");
    assert_eq!(browser.get("/admin/settings").await.status(), 401);
}

#[actix_web::test]
async fn a_users_token_is_no_admins() {
    let users = Users::new();
    let app = two_types(&users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let token = browser.cookie(REMEMBER).unwrap();
    let thief = Browser::new(&app);
    thief.set_cookie(REMEMBER_ADMIN, &token);
    let answer = thief.get("/admin/page").await;
    assert_eq!(answer.status(), 303);
    assert_clears(&answer, REMEMBER_ADMIN);
    // Nor the other way round, also if both had the same id.
    let browser = Browser::new(&app);
    browser.post("/admin/login/1?remember=true").await;
    let thief = Browser::new(&app);
    thief.set_cookie(REMEMBER, &browser.cookie(REMEMBER_ADMIN).unwrap());
    let answer = thief.get("/account").await;
    assert_eq!(answer.status(), 303);
    assert_clears(&answer, REMEMBER);
}

#[actix_web::test]
async fn a_token_of_one_type_is_no_token_of_another_with_the_same_ids() {
    /// A guest, whose ids are texts like those of admins.
    #[derive(AuthUser)]
    struct Guest {
        id: String,
    }
    #[login_required]
    async fn lobby(guest: CurrentUser<Guest>) -> String {
        format!("guest {}", guest.id)
    }
    async fn load(id: String) -> Result<Option<Guest>, Infallible> {
        Ok(Some(Guest { id }))
    }
    for with_store in [false, true] {
        let builder = LoginManager::builder(load).user_loader(load_admin);
        let builder = record_logins(builder, with_store.then(MemoryLoginStore::new));
        let app = app(builder.build(key()).unwrap(), |routes| {
            routes
                .route("/lobby", web::get().to(lobby))
                .route("/page", web::get().to(admin_page));
        })
        .await;
        let id = "root".to_owned();
        let (guest, admin) = (Browser::new(&app), Browser::new(&app));
        guest.log_in(Guest { id }).remember().await;
        admin.log_in(Admin::new("root")).remember().await;
        let cookies = [(&guest, REMEMBER), (&admin, REMEMBER_ADMIN)];
        for (from, own) in cookies {
            let token = from.cookie(own).unwrap();
            for (_, name) in cookies {
                let browser = Browser::new(&app);
                browser.set_cookie(name, &token);
                let pages = [browser.get("/lobby").await, browser.get("/page").await];
                let texts = pages.map(|page| page.text());
                let expected = match (own == name, name) {
                    (false, _) => ["Unauthorized: log in first."; 2],
                    (true, REMEMBER) => ["guest root", "Unauthorized: log in first."],
                    (true, _) => ["Unauthorized: log in first.", "admin root"],
                };
                assert_eq!(texts, expected, "{own} as {name}");
            }
        }
    }
}

#[actix_web::test]
async fn a_log_in_under_way_brings_no_login_of_another_type_back() {
    let users = Users::new();
    let gates = Gates::default();
    let (builder, _) = manager(&users);
    let builder = builder
        .user_loader(load_admin)
        .session_store(MemorySessions::new());
    let app = app(builder.build(key()).unwrap(), |routes| {
        gated_pages(routes, users.clone(), gates.clone());
        routes.service(admin_pages());
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    let quick = browser.copy();
    let gate = gates.close("write");
    let (late, _) = while_waiting(
        &gate,
        browser.post("/admin/login/root").into_future(),
        quick.post("/logout").into_future(),
    )
    .await;
    assert_eq!(late.status(), 200);
    assert_eq!(browser.get("/admin/page").await.text(), "admin root");
    assert_eq!(browser.get("/account").await.status(), 303);
    // Where nobody has logged out, both stay.
    browser.post("/login/1").await;
    browser.post("/admin/login/root").await;
    assert_eq!(browser.get("/account").await.status(), 200);
}

#[actix_web::test]
async fn a_user_type_without_a_loader_is_an_error_that_says_so() {
    async fn stranger(_: MaybeUser<Admin>) -> impl Responder {
        "never"
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes
            .route("/stranger", web::get().to(stranger))
            .route("/guarded", web::get().to(admin_page));
    })
    .await;
    for page in ["/stranger", "/guarded"] {
        let answer = Browser::new(&app).get(page).await;
        assert_eq!(answer.status(), 500, "{page}");
    }
    // Other pages work.
    let answer = Browser::new(&app).get("/").await;
    assert_eq!(answer.text(), "public");
}

/// An id with all that JSON can say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Id {
    Name(String),
    Pair { realm: Uuid, number: i128 },
    Nobody,
}

#[derive(AuthUser)]
struct Anything {
    #[auth(id)]
    key: Id,
}

#[actix_web::test]
async fn ids_hold_anything_and_come_back_the_same() {
    let _known = tolerate(
        &[Rule::ClearText],
        "",
        "some of these ids are texts that look like JSON",
    );
    async fn load(id: Id) -> Result<Option<Anything>, Infallible> {
        Ok(Some(Anything { key: id }))
    }
    async fn show(user: MaybeUser<Anything>) -> HttpResponse {
        HttpResponse::Ok().json(user.user().map(|user| user.key.clone()))
    }
    let text = |text: &str| Id::Name(text.to_owned());
    let manager = LoginManager::builder(load).session_only();
    let manager = manager.build(key()).unwrap();
    let app = app(manager, |routes| {
        routes.route("/show", web::get().to(show));
    })
    .await;
    for id in [
        text("ada"),
        text(""),
        text("佐藤"),
        text("Müller 🦀 \u{202e}"),
        text("p|q;r, \"s\" \\ ' % & = + #.,"),
        text("a\tb\r\nc\0d\u{7f}"),
        text("[1,2]"),
        text("\",\"x\"]"),
        text("1,2,3,4,5,6,7"),
        text("null"),
        text(&"x".repeat(500)),
        Id::Pair {
            realm: Uuid::from_u128(u128::MAX),
            number: i128::MIN,
        },
        Id::Nobody,
    ] {
        let browser = Browser::new(&app);
        browser
            .log_in(Anything { key: id.clone() })
            .remember()
            .await;
        let shown: Option<Option<Id>> = browser.get("/show").await.json();
        assert_eq!(shown, Some(Some(id.clone())), "from the session");
        browser.restart();
        let shown: Option<Option<Id>> = browser.get("/show").await.json();
        assert_eq!(shown, Some(Some(id.clone())), "from the cookie");
        let shown: Option<Option<Id>> = browser.get("/show").await.json();
        assert_eq!(shown, Some(Some(id)), "restored");
    }
}

#[actix_web::test]
async fn an_id_that_fits_into_no_cookie_cannot_be_remembered() {
    async fn remember(auth: Auth<Admin>) -> Result<impl Responder, LoginError> {
        let admin = Verified::trust(Admin::new(&"x".repeat(4000)), "test");
        let error = auth.log_in(admin).remember(true).await.unwrap_err();
        assert!(matches!(error, LoginError::UnfitId), "{error:?}");
        assert!(auth.current_user().await?.is_anonymous());
        Err::<String, _>(error)
    }
    let sessions = MemorySessions::new();
    let builder = LoginManager::builder(load_admin)
        .session_only()
        .session_store(sessions.clone());
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.route("/remember", web::post().to(remember));
    })
    .await;
    let answer = Browser::new(&app).post("/remember").await;
    assert_eq!(answer.status(), 500);
    assert!(answer.set_cookies().is_empty());
    assert_eq!(sessions.writes(), 0);
}

#[actix_web::test]
async fn what_a_session_keeps_can_be_another_id_than_the_primary_one() {
    /// A user whose logins all end when `session` changes.
    #[derive(AuthUser, Clone)]
    struct Member {
        #[expect(dead_code, reason = "the primary id, which no session knows")]
        id: i64,
        #[auth(id)]
        session: Uuid,
    }
    use std::sync::{Arc, Mutex};
    let member = Arc::new(Mutex::new(Member {
        id: 1,
        session: Uuid::from_u128(1),
    }));
    let load = {
        let member = Arc::clone(&member);
        move |session: Uuid| {
            let member = member.lock().unwrap().clone();
            async move { Ok::<_, Infallible>((member.session == session).then_some(member)) }
        }
    };
    #[login_required]
    async fn page() -> impl Responder {
        "page"
    }
    let app = app(
        LoginManager::builder(load)
            .session_only()
            .build(key())
            .unwrap(),
        |routes| {
            routes.route("/page", web::get().to(page));
        },
    )
    .await;
    let (session, token) = (Browser::new(&app), Browser::new(&app));
    let now = member.lock().unwrap().clone();
    session.log_in(now.clone()).await;
    token.log_in(now).remember().await;
    token.restart();
    let kept = token.copy();
    kept.get("/page").await.assert_page_shown();
    member.lock().unwrap().session = Uuid::from_u128(2);
    for browser in [session, token] {
        assert_eq!(browser.get("/page").await.status(), 401);
    }
}

#[actix_web::test]
async fn a_user_is_inactive_when_a_field_or_a_function_says_so() {
    #[derive(AuthUser)]
    #[auth(active = Self::may_log_in)]
    struct Member {
        id: i64,
        banned: bool,
    }
    impl Member {
        fn may_log_in(&self) -> bool {
            !self.banned
        }
    }
    let member = Member {
        id: 1,
        banned: true,
    };
    assert!(!member.is_active() && !member.is_authenticated());
    assert_eq!(member.get_id(), 1);
    let user = User {
        is_active: false,
        ..User::new(1, "ada")
    };
    assert!(!user.is_active() && !user.is_authenticated());
    // Active and authenticated, unless something says otherwise.
    let admin = Admin::new("root");
    assert!(admin.is_active() && admin.is_authenticated());
}

#[actix_web::test]
async fn guards_ask_both_questions_of_a_user_written_by_hand() {
    /// Says yes to one question and no to the other.
    #[derive(Clone)]
    struct Odd {
        active: bool,
        authenticated: bool,
    }
    impl AuthUser for Odd {
        const NAME: &'static str = "odd";
        type Id = (bool, bool);
        fn get_id(&self) -> (bool, bool) {
            (self.active, self.authenticated)
        }
        fn is_active(&self) -> bool {
            self.active
        }
        fn is_authenticated(&self) -> bool {
            self.authenticated
        }
    }
    async fn load((active, authenticated): (bool, bool)) -> Result<Option<Odd>, Infallible> {
        Ok(Some(Odd {
            active,
            authenticated,
        }))
    }
    async fn log_in_anyway(
        auth: Auth<Odd>,
        odd: web::Json<(bool, bool)>,
    ) -> Result<String, LoginError> {
        let (active, authenticated) = odd.into_inner();
        let odd = Odd {
            active,
            authenticated,
        };
        let done = auth.log_in(Verified::trust(odd, "test")).await;
        Ok(done.is_ok().to_string())
    }
    let app = app(
        LoginManager::builder(load)
            .session_only()
            .build(key())
            .unwrap(),
        |routes| {
            routes.route("/log-in", web::post().to(log_in_anyway));
        },
    )
    .await;
    for (odd, may) in [
        ((false, false), "false"),
        ((false, true), "false"),
        ((true, false), "false"),
        ((true, true), "true"),
    ] {
        let answer = Browser::new(&app).post("/log-in").json(odd).await;
        assert_eq!(answer.text(), may, "{odd:?}");
    }
}

fn builder() -> LoginManagerBuilder {
    LoginManager::builder(|_: i64| async { Ok::<Option<User>, Infallible>(None) }).session_only()
}

#[track_caller]
fn check<S: actix_session::storage::SessionStore + 'static>(
    builder: LoginManagerBuilder<S>,
    expected: Result<(), &str>,
) {
    let built: Result<_, BuildError> = builder.build(key());
    assert_eq!(
        built.map(|_| ()).map_err(|error| error.to_string()),
        expected.map_err(str::to_owned)
    );
}

/// Tries the same settings for both cookies.
#[track_caller]
fn check_cookies(settings: &CookieSettings, expected: Result<(), &str>) {
    let settings = || settings.clone();
    let of = |kind: &str| expected.map_err(|text| text.replace("{}", kind));
    for (kind, builder) in [
        ("session", builder().session_cookie(settings())),
        (
            "remember",
            builder().remember_cookie(RememberCookie::new().cookie(settings())),
        ),
    ] {
        check(
            builder,
            of(kind).as_ref().map(|_| ()).map_err(|text| &**text),
        );
    }
}

#[test]
fn a_cookie_for_every_site_has_to_be_secure() {
    let none = CookieSettings::new().same_site(SameSite::None);
    check_cookies(
        &none.clone().danger_insecure(),
        Err("the cookie `{}` has SameSite=None, so it needs Secure"),
    );
    check_cookies(&none, Ok(()));
    // Also when the manager as a whole is insecure.
    check(
        builder().session_cookie(none).danger_insecure_cookies(),
        Err("the cookie `session` has SameSite=None, so it needs Secure"),
    );
}

#[test]
fn a_host_cookie_has_no_domain_and_no_path() {
    let host = || CookieSettings::new().name("__Host-sid");
    let why = "the cookie `__Host-sid` starts with `__Host-`, so it needs Secure, the path `/` \
               and no domain";
    check_cookies(&host().domain("app.test"), Err(why));
    check_cookies(&host().path("/area"), Err(why));
    check_cookies(&host().danger_insecure(), Err(why));
    check_cookies(&host(), Ok(()));
    let secure = CookieSettings::new().name("__Secure-sid");
    check_cookies(
        &secure.clone().danger_insecure(),
        Err("the cookie `__Secure-sid` starts with `__Secure-`, so it needs Secure"),
    );
    check_cookies(&secure.domain("app.test").path("/area"), Ok(()));
}

#[test]
fn names_paths_and_domains_are_what_browsers_take() {
    let new = CookieSettings::new;
    for (settings, expected) in [
        (
            new().name("a b"),
            "the cookie `a b` is not a cookie name; use ASCII letters, digits, `-` and `_`",
        ),
        (
            new().path("area"),
            "the cookie `__Secure-{}` has an invalid path; a path starts with `/`",
        ),
        (
            new().domain("https://app.test"),
            "the cookie `__Secure-{}` has an invalid domain; write a host name such as \
             `example.com`",
        ),
    ] {
        check_cookies(&settings, Err(expected));
    }
}

#[test]
fn a_login_is_remembered_for_a_second_at_least_and_for_400_days_at_most() {
    let remember = |seconds| {
        let duration = Duration::from_secs(seconds);
        builder().remember_cookie(RememberCookie::new().duration(duration))
    };
    let day = 24 * 60 * 60;
    let why = "`RememberCookie::duration` is not between 1 second and 400 days, the longest that \
               browsers keep a cookie";
    check(remember(0), Err(why));
    check(remember(400 * day + 1), Err(why));
    check(remember(1), Ok(()));
    check(remember(400 * day), Ok(()));
    // Less than a second is nothing to a cookie.
    let short = RememberCookie::new().duration(Duration::from_millis(999));
    check(builder().remember_cookie(short), Err(why));
}

#[test]
fn views_origins_and_hosts_are_checked_when_the_manager_is_built() {
    check(
        builder().login_view("//evil.test/login"),
        Err("the view `//evil.test/login` names another host; write the whole URL"),
    );
    check(
        builder().refresh_view("javascript:alert(1)"),
        Err("the view `javascript:alert(1)` is not an http or https URL"),
    );
    check(
        builder().origins(["app.test"]),
        Err(
            "the view `app.test` is not an origin; write scheme and host, such as \
             `https://app.example.com`",
        ),
    );
    check(
        builder().force_host_for_redirects("app.test/login"),
        Err("`force_host_for_redirects` is not a host; write `example.com` or `example.com:8080`"),
    );
    check(
        builder().next_field(""),
        Err("`next_field` is empty; name a query parameter, such as `next`"),
    );
    check(
        builder()
            .login_view(login_runtime::config::View::route("login_page"))
            .refresh_view("https://auth.test/again")
            .origins(["https://app.test", "http://localhost:8080"])
            .force_host_for_redirects("app.test:8443"),
        Ok(()),
    );
}

#[test]
fn two_loaders_for_one_type_are_one_too_many() {
    let users = |_: i64| async { Ok::<Option<User>, Infallible>(None) };
    check(
        builder().user_loader(users),
        Err("`login_tests::User` has two user loaders; keep one"),
    );
    check(
        builder()
            .user_loader(load_admin)
            .request_loader(|_: &HttpRequest| async { Ok::<Option<Admin>, Infallible>(None) }),
        Ok(()),
    );
    check(
        builder().request_loader(|_: &HttpRequest| async { Ok::<Option<Admin>, Infallible>(None) }),
        Err(
            "the request loader finds `login_tests::Admin`, which no user loader loads; add \
             `.user_loader(..)` for it",
        ),
    );
}
