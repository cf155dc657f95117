//! The helpers for tests of applications, tested themselves.

use login_runtime::test::strict::{Rule, tolerate};
use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::{Duration, UNIX_EPOCH},
};

use actix_web::{App, Responder, test::init_service, web};
use login_runtime::{
    CurrentUser, MaybeUser, MemoryLoginStore,
    config::SessionProtection,
    login_required,
    test::{Browser, current_user, guarded, maybe_user, stale_user},
};
use login_tests::{Admin, START, User, Users, key, manager, manager_base};

use crate::world::{HOUR, REMEMBER, SESSION, Who, site, who};

fn ada() -> User {
    User::new(1, "ada")
}

#[actix_web::test]
async fn a_test_login_is_a_complete_login() {
    let users = Users::new();
    for mode in [SessionProtection::Basic, SessionProtection::Strong] {
        let (builder, _) = manager(&users);
        let builder = builder.session_protection(mode);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        assert_eq!(browser.get("/settings").await.status(), 303);
        browser.log_in(ada()).await;
        assert_eq!(browser.cookie_names(), [SESSION]);
        let complete = Who {
            id: Some(1),
            authenticated: true,
            fresh: true,
            source: Some("Session".to_owned()),
            at: Some(START),
            remembered: false,
        };
        assert_eq!(who(&browser).await, complete);
        assert_eq!(browser.get("/settings").await.text(), "settings of ada");
    }
}

#[actix_web::test]
async fn a_test_login_can_be_stale() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).stale().await;
    assert_eq!(browser.get("/settings").await.status(), 401);
    browser.get("/account").await.assert_page_shown();
}

#[actix_web::test]
async fn a_test_login_can_be_remembered() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    assert_eq!(browser.cookie(REMEMBER), None);
    browser.log_in(ada()).remember().await;
    assert!(who(&browser).await.remembered);
    browser.restart();
    let who = who(&browser).await;
    assert_eq!((who.id, who.fresh), (Some(1), false));
}

#[actix_web::test]
async fn a_test_login_can_be_remembered_for_a_time_of_its_own() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    for (after, id) in [(59, Some(1)), (60, None)] {
        clock.set(START);
        let browser = Browser::new(&app);
        let minute = Duration::from_secs(60);
        browser.log_in(ada()).remember_for(minute).await;
        browser.restart();
        clock.advance(Duration::from_secs(after));
        assert_eq!(who(&browser).await.id, id, "{after}");
    }
}

#[actix_web::test]
async fn a_test_login_can_be_as_old_as_the_test_wants() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.fresh_for(HOUR).build(key()).unwrap(), &users).await;
    let start = UNIX_EPOCH + Duration::from_secs(START.unsigned_abs());
    for (age, status) in [(3599, 200), (3600, 200), (3601, 401)] {
        let browser = Browser::new(&app);
        let at = start - Duration::from_secs(age);
        browser.log_in(ada()).remember().at(at).await;
        assert_eq!(browser.get("/settings").await.status(), status, "{age}");
        let at = Some(START - i64::try_from(age).unwrap());
        assert_eq!(who(&browser).await.at, at);
        browser.restart();
        assert_eq!(who(&browser).await.at, at);
    }
}

#[actix_web::test]
#[should_panic(expected = "the test user could not be logged in")]
async fn a_test_login_of_an_inactive_user_fails_the_test() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    Browser::new(&app).log_in(users.get(3).unwrap()).await;
}

#[actix_web::test]
#[should_panic(expected = "the test user could not be logged in")]
async fn a_test_login_of_a_type_without_a_loader_fails_the_test() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    Browser::new(&app).log_in(Admin::new("root")).await;
}

#[actix_web::test]
#[should_panic(expected = "no login manager around this application")]
async fn a_test_login_without_a_manager_fails_the_test() {
    let app = init_service(App::new()).await;
    Browser::new(&app).log_in(ada()).await;
}

#[actix_web::test]
async fn an_assertion_that_a_page_was_shown_fails_for_every_refusal() {
    let _known = tolerate(
        &[Rule::Challenge, Rule::RetryAfter],
        "",
        "there is no manager around this application",
    );
    async fn answer(status: web::Path<u16>) -> impl Responder {
        let status = actix_web::http::StatusCode::from_u16(*status).unwrap();
        actix_web::HttpResponse::build(status)
            .insert_header(("location", "/login?next=/x"))
            .body("body")
    }
    let app = init_service(App::new().route("/{status}", web::get().to(answer))).await;
    let browser = Browser::new(&app);
    for (status, passes) in [
        (200, true),
        (204, true),
        (404, true),
        (422, true),
        (302, false),
        (303, false),
        (401, false),
        (403, false),
        (500, false),
        (503, false),
    ] {
        let answer = browser.get(&format!("/{status}")).await;
        let asserted = catch_unwind(AssertUnwindSafe(|| {
            answer.assert_page_shown();
        }));
        assert_eq!(asserted.is_ok(), passes, "{status}");
    }
}

#[actix_web::test]
async fn an_assertion_about_the_login_view_fails_for_another_one() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    let refused = browser.get("/account?a=b").await;
    let public = browser.get("/").await;
    let passes = |check: &dyn Fn()| catch_unwind(AssertUnwindSafe(check)).is_ok();
    let redirects = |view: &str, next: &str| {
        passes(&|| {
            refused.assert_redirects_to_login(view, next);
        })
    };
    assert!(redirects("/login", "/account?a=b"));
    assert!(!redirects("/other", "/account?a=b"));
    assert!(!redirects("/login", "/account"));
    assert!(!passes(&|| {
        public.assert_redirects_to_login("/login", "/");
    }));
}

#[actix_web::test]
async fn a_browser_keeps_its_cookies_and_a_copy_keeps_its_own() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).remember().await;
    let copy = browser.copy();
    browser.post("/logout").await;
    assert_eq!(browser.cookie_names(), [""; 0]);
    let mut names = copy.cookie_names();
    names.sort();
    assert_eq!(names, [REMEMBER, SESSION]);
    copy.restart();
    assert_eq!(copy.cookie_names(), [REMEMBER]);
    // What it prints has no cookies in it.
    let token = copy.cookie(REMEMBER).unwrap();
    assert!(!format!("{copy:?}").contains(&token));
}

#[actix_web::test]
async fn an_assertion_that_a_user_is_logged_in_asks_who_it_is_and_not_a_page() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.get("/").await.assert_page_shown();
    browser.assert_logged_out::<User>().await;
    // The answer to this form is a redirect.
    assert_eq!(browser.post("/login/1").await.status(), 303);
    let user = browser.assert_logged_in::<User>().await;
    assert_eq!(user.name, "ada");
    assert!(CurrentUser::is_fresh(&user));
    browser.post("/logout").await;
    browser.assert_logged_out::<User>().await;
}

/// What an assertion says when it fails.
async fn said(assertion: impl Future<Output = ()>) -> String {
    let mut assertion = pin!(assertion);
    let failed = poll_fn(|cx| {
        let poll = catch_unwind(AssertUnwindSafe(|| assertion.as_mut().poll(cx)));
        match poll {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    *failed
        .await
        .expect_err("passed")
        .downcast::<String>()
        .unwrap()
}

#[actix_web::test]
async fn an_assertion_about_who_is_logged_in_says_where_and_why_it_failed() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    let is_in = async || {
        browser.assert_logged_in::<User>().await;
    };
    let nobody = said(is_in()).await;
    assert!(nobody.contains("helpers.rs"), "{nobody}");
    assert!(nobody.ends_with("nobody is logged in"), "{nobody}");
    browser.log_in(ada()).await;
    let somebody = said(browser.assert_logged_out::<User>()).await;
    assert!(somebody.ends_with("a user is logged in"), "{somebody}");
    users.change(1, |ada| ada.is_active = false);
    let inactive = said(is_in()).await;
    assert!(inactive.ends_with("not active"), "{inactive}");
    users.set_down(true);
    let outage = said(browser.assert_logged_out::<User>()).await;
    assert!(outage.contains("could not be loaded"), "{outage}");
    let other = said(browser.assert_logged_out::<Admin>()).await;
    assert!(other.contains("does not load"), "{other}");
    let bare = init_service(App::new()).await;
    let none = said(Browser::new(&bare).assert_logged_out::<User>()).await;
    assert!(none.contains("no login manager"), "{none}");
}

#[actix_web::test]
async fn to_ask_who_is_logged_in_is_no_use_of_the_login() {
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let builder = builder.login_store(MemoryLoginStore::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    // The login ends after half an hour without use.
    for _ in 0..3 {
        clock.advance(Duration::from_secs(9 * 60));
        browser.assert_logged_in::<User>().await;
    }
    clock.advance(Duration::from_secs(9 * 60));
    browser.assert_logged_out::<User>().await;
}

#[actix_web::test]
async fn an_assertion_about_the_refresh_view_fails_for_another_answer() {
    let users = Users::new();
    let builder = manager(&users).0.refresh_view("/confirm");
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    let passes = |check: &dyn Fn()| catch_unwind(AssertUnwindSafe(check)).is_ok();
    let anonymous = browser.get("/settings?a=b").await;
    browser.log_in(ada()).stale().await;
    let stale = browser.get("/settings?a=b").await;
    stale.assert_redirects_to_refresh("/confirm", "/settings?a=b");
    for (answer, view, next) in [
        (&stale, "/login", "/settings?a=b"),
        (&stale, "/confirm", "/settings"),
        (&anonymous, "/confirm", "/settings?a=b"),
    ] {
        assert!(!passes(&|| {
            answer.assert_redirects_to_refresh(view, next);
        }));
    }
}

#[actix_web::test]
async fn a_handler_that_takes_the_user_can_be_called_directly() {
    async fn greet(user: CurrentUser<User>, page: web::Path<u8>) -> String {
        format!("{} {} {}", user.name, page, CurrentUser::is_fresh(&user))
    }
    async fn maybe(user: MaybeUser<User>) -> String {
        let name = |user: Option<&CurrentUser<User>>| user.map(|user| user.name.clone());
        format!("{:?} {:?}", name(user.user()), name(user.inactive()))
    }
    #[login_required(fresh)]
    async fn account(user: CurrentUser<User>, page: web::Path<u8>) -> String {
        format!("{} {page}", user.name)
    }
    let page = || web::Path::from(7);
    assert_eq!(greet(current_user(ada()), page()).await, "ada 7 true");
    assert_eq!(greet(stale_user(ada()), page()).await, "ada 7 false");
    assert_eq!(maybe(maybe_user(ada())).await, r#"Some("ada") None"#);
    assert_eq!(maybe(maybe_user(None)).await, "None None");
    let cy = Users::new().get(3).unwrap();
    assert_eq!(maybe(maybe_user(cy)).await, r#"None Some("cy")"#);
    let arguments = (current_user(ada()), page());
    assert_eq!(account(guarded(arguments)).await, "ada 7");
}
