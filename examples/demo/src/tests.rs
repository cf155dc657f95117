//! What browsers and scripts are refused, and what they get.

use actix_web::cookie::Key;
use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    test::init_service,
    web,
};
use login_runtime::{
    audit::audit,
    password::PasswordVerifier,
    strict,
    test::{
        Answer, Browser, TestClock, assert_policy, assert_reviewed,
        asvs::{Facts, Outcome, check},
    },
};

use crate::{builder, db, login_manager, routes};

/// The application as `main` puts it together.
async fn start() -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let passwords = PasswordVerifier::new();
    let pool = db::open(&passwords).await.unwrap();
    App::new()
        .wrap(login_manager(&pool, Key::generate()).unwrap())
        .app_data(web::Data::new(pool))
        .app_data(web::Data::new(passwords))
        .configure(strict(routes))
}

/// What is typed into the login form.
fn typed(name: &str, password: &str) -> [(String, String); 3] {
    [("name", name), ("password", password), ("remember", "true")]
        .map(|(field, text)| (field.to_owned(), text.to_owned()))
}

/// One of the first users, as typed into the login form.
fn first(name: &str) -> [(String, String); 3] {
    let (_, _, password) = db::FIRST_USERS.iter().find(|user| user.0 == name).unwrap();
    typed(name, password)
}

#[track_caller]
fn assert_shows(answer: &Answer, status: u16, text: &str) {
    let page = answer.text();
    assert_eq!(answer.status(), status, "{page}");
    assert!(page.contains(text), "{page}");
}

/// Whom the blog greets.
macro_rules! assert_is {
    ($browser:expr, $who:expr) => {
        assert_shows(&$browser.get("/").await, 200, $who)
    };
}

#[actix_web::test]
async fn every_route_says_who_may_reach_it() {
    let app = init_service(start().await).await;
    assert_reviewed(&audit(&app).await.unwrap(), "routes.txt");
}

#[actix_web::test]
async fn the_login_policy_is_the_reviewed_one() {
    let pool = db::open(&PasswordVerifier::new()).await.unwrap();
    let login_manager = login_manager(&pool, Key::generate()).unwrap();
    assert_policy(&login_manager.policy(), "policy.txt");
}

#[actix_web::test]
async fn only_its_key_stands_against_going_live() {
    let pool = db::open(&PasswordVerifier::new()).await.unwrap();
    let build = || login_manager(&pool, Key::generate()).unwrap();
    let check = build().check_deploy().after_restart(&build());
    let check = check.routes(&audit(&init_service(start().await).await).await.unwrap());
    let codes: Vec<_> = check.findings().map(|finding| finding.code).collect();
    // It keeps its data in memory, and forgets all users at its end.
    assert_eq!(codes, ["key-made-at-start"], "{check}");
    assert_eq!(check.allow("key-made-at-start").to_string(), "");
}

#[actix_web::test]
async fn only_the_author_edits_a_post() {
    let app = init_service(start().await).await;
    let (ben, cleo) = (Browser::new(&app), Browser::new(&app));
    let text = [("text", "<b>new</b>")];

    let answer = ben.post("/posts/2").form(text).await;
    assert_eq!((answer.status(), answer.location()), (303, Some("/login")));
    assert_eq!(cleo.post("/login").form(first("cleo")).await.status(), 303);
    for post in ["/posts/2", "/posts/99", "/posts/mine"] {
        assert_eq!(cleo.post(post).form(text).await.status(), 403, "{post}");
    }
    assert_is!(cleo, "ben was here.");

    assert_eq!(ben.post("/login").form(first("ben")).await.status(), 303);
    assert_eq!(ben.post("/posts/2").form([("", "")]).await.status(), 400);
    assert_eq!(ben.post("/posts/2").form(text).await.location(), Some("/"));
    assert_is!(cleo, "&lt;b&gt;new&lt;/b&gt;");
}

#[actix_web::test]
async fn only_admins_see_the_users() {
    let app = init_service(start().await).await;
    let (ada, ben) = (Browser::new(&app), Browser::new(&app));
    let json = ("accept", "application/json");

    ben.get("/admin")
        .await
        .assert_redirects_to_login("/login", "/admin");
    let answer = ben.get("/api/users").header(json.0, json.1).await;
    assert_shows(&answer, 401, r#""code":"anonymous""#);

    ben.post("/login").form(first("ben")).await;
    assert_shows(&ben.get("/admin").await, 403, "you may not do this");
    let answer = ben.get("/api/users").header(json.0, json.1).await;
    assert_shows(&answer, 403, r#""code":"forbidden""#);

    let answer = ada.post("/login?next=/admin").form(first("ada")).await;
    assert_eq!(answer.location(), Some("/admin"));
    assert_shows(&ada.get("/admin").await, 200, "ada (you)");
    let answer = ada.get("/api/users").header(json.0, json.1).await;
    assert_shows(&answer, 200, r#"{"name":"ben","is_active":true}"#);
}

#[actix_web::test]
async fn who_is_deactivated_is_out_at_the_next_request() {
    let app = init_service(start().await).await;
    let (ada, ben) = (Browser::new(&app), Browser::new(&app));
    ada.post("/login").form(first("ada")).await;
    ben.post("/login").form(first("ben")).await;

    assert_eq!(ben.post("/admin/users/1/deactivate").await.status(), 403);
    assert_eq!(ada.post("/admin/users/1/deactivate").await.status(), 409);
    assert_is!(ada, "Hello, ada.");
    assert_is!(ben, "Hello, ben.");

    assert_eq!(ada.post("/admin/users/2/deactivate").await.status(), 303);
    assert_is!(ben, "Nobody is logged in.");
    ben.get("/logins")
        .await
        .assert_redirects_to_login("/login", "/logins");
    let wrong = ben.post("/login").form(typed("ben", "wrong")).await;
    assert_shows(
        &wrong,
        401,
        "There is no user with this name and this password.",
    );
    let right = ben.post("/login").form(first("ben")).await;
    assert_eq!((right.status(), right.body()), (401, wrong.body()));
    assert_is!(ben, "Nobody is logged in.");
}

#[actix_web::test]
async fn a_new_password_takes_a_fresh_login_and_ends_all_others() {
    let app = init_service(start().await).await;
    let (ben, elsewhere) = (Browser::new(&app), Browser::new(&app));
    ben.post("/login").form(first("ben")).await;
    elsewhere.post("/login").form(first("ben")).await;
    ben.restart();

    // Remembered, and therefore stale.
    assert_is!(ben, "Hello, ben.");
    let new = [("password", "staple battery horse")];
    assert_eq!(
        ben.post("/password").form(new).await.location(),
        Some("/confirm")
    );
    let refused = ben.get("/password").await;
    refused.assert_redirects_to_login("/confirm", "/password");
    let confirm = refused.location().unwrap();
    assert_shows(&ben.get(confirm).await, 200, "Is it still you?");
    let answer = ben
        .post(confirm)
        .form([("password", "difference engine")])
        .await;
    assert_shows(&answer, 401, "That is not your password.");
    assert_eq!(ben.get("/password").await.status(), 303);

    let answer = ben.post(confirm).form(first("ben")).await;
    assert_eq!(answer.location(), Some("/password"));
    let answer = ben.post("/password").form([("password", "short")]).await;
    assert_shows(&answer, 400, "Take twelve characters or more.");
    assert_is!(elsewhere, "Hello, ben.");

    assert_eq!(
        ben.post("/password").form(new).await.location(),
        Some("/logins")
    );
    assert_is!(ben, "Hello, ben.");
    assert_is!(elsewhere, "Nobody is logged in.");
    let old = elsewhere.post("/login").form(first("ben")).await;
    assert_eq!(old.status(), 401);
    let new = typed("ben", "staple battery horse");
    assert_eq!(elsewhere.post("/login").form(new).await.status(), 303);
}

/// The keys of the logins that a page offers to end.
fn keys(page: &str) -> Vec<&str> {
    let keys = page.split(r#"name="key" value=""#).skip(1);
    keys.filter_map(|rest| rest.split('"').next()).collect()
}

#[actix_web::test]
async fn users_see_their_logins_and_end_those_of_other_browsers() {
    let app = init_service(start().await).await;
    let [ben, phone, tablet, cleo] = [(); 4].map(|()| Browser::new(&app));
    phone.set_user_agent("<phone>");
    for browser in [&ben, &phone] {
        browser.post("/login").form(first("ben")).await;
    }
    cleo.post("/login").form(first("cleo")).await;

    let page = ben.get("/logins").await.text();
    assert!(
        page.contains("&lt;phone&gt;") && page.contains("(this browser)"),
        "{page}"
    );
    let [key] = keys(&page)[..] else {
        panic!("{page}")
    };
    tablet.post("/logins/end").form([("key", key)]).await;
    cleo.post("/logins/end").form([("key", key)]).await;
    assert_is!(phone, "Hello, ben.");
    assert_eq!(
        ben.post("/logins/end").form([("key", "x")]).await.status(),
        400
    );

    assert_eq!(
        ben.post("/logins/end").form([("key", key)]).await.status(),
        303
    );
    assert_is!(phone, "Nobody is logged in.");

    for browser in [&phone, &tablet] {
        browser.post("/login").form(first("ben")).await;
    }
    ben.post("/logins/end-others").await;
    assert_is!(phone, "Nobody is logged in.");
    assert_is!(tablet, "Nobody is logged in.");
    assert_is!(ben, "Hello, ben.");
    assert_is!(cleo, "Hello, cleo.");

    assert_eq!(ben.post("/logout").await.location(), Some("/"));
    assert_is!(ben, "Nobody is logged in.");
}

#[actix_web::test]
async fn the_style_sheet_is_for_everybody() {
    let app = init_service(start().await).await;
    let anonymous = Browser::new(&app);
    assert_eq!(anonymous.get("/static/../src/main.rs").await.status(), 404);
    let sheet = anonymous.get("/static/demo.css").await;
    assert_eq!(
        sheet.header("content-type"),
        Some("text/css; charset=utf-8")
    );
}

#[actix_web::test]
async fn the_suite_for_asvs_passes() {
    let clock = TestClock::at(1_700_000_000);
    let passwords = PasswordVerifier::new();
    let pool = db::open(&passwords).await.unwrap();
    let closed = "UPDATE users SET is_active = FALSE WHERE name = 'cleo'";
    sqlx::query(closed).execute(&pool).await.unwrap();
    let manager = builder(&pool).clock(clock.clone());
    let manager = manager.build(Key::generate()).unwrap();
    let policy = manager.policy();
    let everybody = manager.logins().unwrap();
    let app = App::new()
        .wrap(manager)
        .app_data(web::Data::new(pool.clone()))
        .app_data(web::Data::new(passwords))
        .configure(strict(routes));
    let app = init_service(app).await;

    let [ada, ben, cleo] = db::FIRST_USERS.map(|(name, _, password)| (name, password));
    let (users, store) = (pool.clone(), pool);
    let facts = Facts::new("/login", "/confirm")
        .user(ada.0, ada.1)
        .other_user(ben.0, ben.1)
        .inactive_user(cleo.0, cleo.1)
        .remember("remember", "true")
        .forbidden("/admin")
        .fresh("/password")
        .confirm("/confirm")
        .change_password("/password", "password")
        .logins("/logins")
        .end_others("/logins/end-others")
        .clock(clock)
        .policy(policy)
        .deactivate(move || {
            let users = users.clone();
            async move { db::deactivate(&users, 2).await.unwrap() }
        })
        .end_all(move || {
            let everybody = everybody.clone();
            async move {
                everybody.end_all().await.unwrap();
            }
        })
        .break_store(move || {
            let store = store.clone();
            async move { store.close().await }
        });
    let report = check(&app, facts).await;
    println!("{report}");
    report.assert_passed();
    let passed = report.ids(Outcome::Pass);
    assert!(passed.len() >= 42, "{} pass", passed.len());
    // With all the facts every check is applicable.
    assert_eq!(report.ids(Outcome::NotApplicable), [""; 0], "{report}");
}
