//! The round that a browser makes, each on a database file of its own.

use std::{env, fs, path::PathBuf, process};

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
    test::{
        Browser, assert_policy, assert_reviewed,
        asvs::{Facts, Outcome, check},
    },
};

use crate::{db, login_manager, routes};

/// A database file that is gone when the test is over.
struct File(PathBuf);

impl File {
    fn new(test: &str) -> Self {
        let name = format!("quickstart-{test}-{}.db", process::id());
        Self(env::temp_dir().join(name))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The application as `main` puts it together.
async fn start(
    file: PathBuf,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let pool = db::open(file).await.unwrap();
    let passwords = PasswordVerifier::new();
    db::add_first_users(&pool, &passwords).await.unwrap();
    let key = db::key(&pool).await.unwrap();
    App::new()
        .wrap(login_manager(pool.clone(), key).unwrap())
        .app_data(web::Data::new(pool))
        .app_data(web::Data::new(passwords))
        .configure(routes)
}

const ADA: [(&str, &str); 2] = [("name", "ada"), ("password", "difference engine")];

#[actix_web::test]
async fn only_the_right_password_leads_to_the_account() {
    let file = File::new("round");
    let app = init_service(start(file.0.clone()).await).await;
    let browser = Browser::new(&app);

    let answer = browser.get("/account").await;
    answer.assert_redirects_to_login("/login", "/account");
    let login = answer.location().unwrap();
    assert!(
        browser
            .get(login)
            .await
            .text()
            .contains(r#"<form method="post">"#)
    );

    for (name, password) in [("ada", "wrong"), ("nobody", "difference engine"), ("", "")] {
        let form = [("name", name), ("password", password)];
        let answer = browser.post(login).form(form).await;
        assert_eq!(answer.status(), 401);
        assert!(
            answer
                .text()
                .contains("There is no user with this name and this password.")
        );
        assert_eq!(browser.get("/account").await.status(), 303);
    }

    let answer = browser.post(login).form(ADA).await;
    assert_eq!(
        (answer.status(), answer.location()),
        (303, Some("/account"))
    );
    let page = browser.get("/account").await.text();
    assert!(
        page.contains("<strong>ada</strong>. The login is fresh"),
        "{page}"
    );
    assert!(browser.get("/").await.text().contains("Hello, ada."));

    assert_eq!(browser.post("/logout").await.location(), Some("/"));
    assert!(
        browser
            .get("/")
            .await
            .text()
            .contains("Nobody is logged in.")
    );
    browser
        .get("/account")
        .await
        .assert_redirects_to_login("/login", "/account");
}

#[actix_web::test]
async fn every_route_says_who_may_reach_it() {
    let file = File::new("audit");
    let app = init_service(start(file.0.clone()).await).await;
    assert_reviewed(&audit(&app).await.unwrap(), "routes.txt");
}

#[actix_web::test]
async fn the_login_policy_is_the_reviewed_one() {
    let file = File::new("policy");
    let pool = db::open(file.0.clone()).await.unwrap();
    let key = db::key(&pool).await.unwrap();
    let login_manager = login_manager(pool, key).unwrap();
    assert_policy(&login_manager.policy(), "policy.txt");
}

#[actix_web::test]
async fn nothing_stands_against_going_live() {
    let file = File::new("deploy");
    let app = init_service(start(file.0.clone()).await).await;
    // As after a restart: the file has the key.
    let build = async || {
        let pool = db::open(file.0.clone()).await.unwrap();
        let key = db::key(&pool).await.unwrap();
        login_manager(pool, key).unwrap()
    };
    let check = build().await.check_deploy();
    let check = check.after_restart(&build().await);
    let check = check.routes(&audit(&app).await.unwrap());
    assert_eq!(check.to_string(), "");
    assert_eq!(check.not_checked().count(), 0);
}

#[actix_web::test]
async fn a_form_that_cannot_be_read_shows_the_login_page_again() {
    let file = File::new("forms");
    let app = init_service(start(file.0.clone()).await).await;
    let browser = Browser::new(&app);

    let answer = browser.post("/login").form([("name", "ada")]).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("Please fill in name and password."));
    assert_eq!(browser.post("/login").json("ada").await.status(), 415);
}

#[actix_web::test]
async fn what_was_typed_is_escaped() {
    let file = File::new("escape");
    let app = init_service(start(file.0.clone()).await).await;

    let form = [
        ("name", r#""><script>alert('x')</script>"#),
        ("password", "x"),
    ];
    let page = Browser::new(&app).post("/login").form(form).await.text();
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\""));
}

#[actix_web::test]
async fn a_remembered_login_survives_the_browser_and_the_server() {
    let file = File::new("remember");
    let app = init_service(start(file.0.clone()).await).await;
    let browser = Browser::new(&app);

    let form = [&ADA[..], &[("remember", "true")]].concat();
    browser.post("/login").form(form).await;
    browser.restart();

    let app = init_service(start(file.0.clone()).await).await;
    let later = Browser::new(&app);
    for name in browser.cookie_names() {
        later.set_cookie(&name, &browser.cookie(&name).unwrap());
    }
    let page = later.get("/account").await.text();
    assert!(
        page.contains("<strong>ada</strong>. The login is stale"),
        "{page}"
    );
}

#[actix_web::test]
async fn a_log_out_ends_every_copy_of_the_session_cookie() {
    let file = File::new("copies");
    let app = init_service(start(file.0.clone()).await).await;
    let browser = Browser::new(&app);

    browser.post("/login").form(ADA).await;
    let copy = browser.copy();
    assert_eq!(copy.get("/account").await.status(), 200);
    browser.post("/logout").await;
    assert_eq!(copy.get("/account").await.status(), 303);
}

#[actix_web::test]
async fn the_suite_for_asvs_passes() {
    let file = File::new("asvs");
    let pool = db::open(file.0.clone()).await.unwrap();
    let passwords = PasswordVerifier::new();
    db::add_first_users(&pool, &passwords).await.unwrap();
    let key = db::key(&pool).await.unwrap();
    let login_manager = login_manager(pool.clone(), key).unwrap();
    let (policy, everybody) = (login_manager.policy(), login_manager.logins().unwrap());
    let app = App::new()
        .wrap(login_manager)
        .app_data(web::Data::new(pool.clone()))
        .app_data(web::Data::new(passwords))
        .configure(routes);
    let app = init_service(app).await;

    let [ada, ben] = db::FIRST_USERS;
    let users = pool.clone();
    let facts = Facts::new("/login", "/account")
        .user(ada.0, ada.1)
        .other_user(ben.0, ben.1)
        .remember("remember", "true")
        .policy(policy)
        .deactivate(move || {
            let users = users.clone();
            async move {
                let closed = "UPDATE users SET is_active = FALSE WHERE name = 'ben'";
                sqlx::query(closed).execute(&users).await.unwrap();
            }
        })
        .end_all(move || {
            let everybody = everybody.clone();
            async move {
                everybody.end_all().await.unwrap();
            }
        })
        .break_store(move || {
            let pool = pool.clone();
            async move { pool.close().await }
        });
    let report = check(&app, facts).await;
    println!("{report}");
    report.assert_passed();
    // It has no page that needs a fresh login, no list of logins, and no clock to set.
    let missing = report.ids(Outcome::NotApplicable);
    let expected = [
        "6.3.4", "7.3.1", "7.3.2", "7.4.3", "7.5.1", "7.5.2", "8.3.2",
    ];
    assert_eq!(missing, expected, "{report}");
}
