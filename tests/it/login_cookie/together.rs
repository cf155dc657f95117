//! Login cookies together with other features: several user types, closed routes, remember cookies,
//! middleware of the application.

use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorImATeapot,
    middleware::{Compat, Next, from_fn},
};
use login_runtime::{RememberCookie, guards::routes_behind, public};

use super::*;
use crate::world::{DAY, HOUR, MINUTE};

#[actix_web::test]
async fn what_a_gate_finds_out_reaches_the_browser() {
    async fn wait(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        tokio::task::yield_now().await;
        next.call(request).await
    }
    // It asks for nobody: only the gate does.
    let page = || web::get().to(async || "page");
    let users = Users::new();
    let before = builder(&users, false).0.build(secret(9)).unwrap();
    let before = app(before, |_| {}).await;
    let before = Browser::new(&before);
    before.log_in(User::new(1, "ada")).await;
    let after = builder(&users, false).0.fallback_keys([secret(9)]);
    let after = app(after.deny_by_default().build(key()).unwrap(), |routes| {
        let gated = web::scope("/slow").wrap(routes_behind(from_fn(wait)));
        routes.service(gated.route("/forgotten", page()));
    })
    .await;
    let browser = Browser::new(&after);
    assert_eq!(browser.get("/slow/forgotten").await.status(), 303);
    browser.set_cookie(LOGIN, &before.cookie(LOGIN).unwrap());
    let answer = browser.get("/slow/forgotten").await;
    assert_eq!(answer.text(), "page");
    assert_sets(&answer, LOGIN, None);
    assert_no_cookies(&browser.get("/slow/forgotten").await);
}

#[actix_web::test]
async fn each_user_type_has_its_own() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = more(builder.user_loader(load_admin), &users).await;
        let both = Browser::new(&app);
        let pages = async |browser: &Browser<'_, _>| {
            let (user, admin) = (
                account_status(browser).await,
                browser.get("/admin/page").await,
            );
            (user, admin.status())
        };
        let log_in = async || {
            assert_sets(&both.post("/login/1").await, LOGIN, None);
            let answer = both.post("/admin/login/root").await;
            assert_sets(&answer, LOGIN_ADMIN, None);
            assert_leaves(&answer, LOGIN);
            both.post("/cart/tea").await;
        };
        // The login of one satisfies no guard of the other.
        let admin = Browser::new(&app);
        admin.post("/admin/login/root").await;
        assert_eq!(pages(&admin).await, (303, 200));
        assert_eq!(who(&admin).await, Who::default());
        let user = Browser::new(&app);
        user.post("/login/1").await;
        assert_eq!(pages(&user).await, (200, 303));

        // Logging one out keeps the other, and nothing of the session.
        log_in().await;
        assert_eq!(pages(&both).await, (200, 200));
        let answer = both.post("/logout").await;
        assert_clears(&answer, LOGIN);
        assert_leaves(&answer, LOGIN_ADMIN);
        assert_eq!(pages(&both).await, (303, 200));
        assert_eq!(cart_of(&both).await, None);
        log_in().await;
        let answer = both.post("/admin/logout").await;
        assert_clears(&answer, LOGIN_ADMIN);
        assert_leaves(&answer, LOGIN);
        assert_eq!(pages(&both).await, (200, 303));
        assert_eq!(cart_of(&both).await, None);
        // As does the log in of another user.
        log_in().await;
        assert_leaves(&both.post("/login/2").await, LOGIN_ADMIN);
        assert_eq!(pages(&both).await, (200, 200));
        assert_eq!(who(&both).await.id, Some(2));
        assert_eq!(cart_of(&both).await, None);
        both.post("/both-out").await;
        assert_eq!(both.cookie_names(), [""; 0]);
    }
}

#[actix_web::test]
async fn routes_that_declare_nothing_are_open_to_who_is_logged_in() {
    async fn page() -> impl Responder {
        "page"
    }
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, clock) = builder(&users, with_records);
        let builder = builder
            .user_loader(load_admin)
            .fallback_keys([secret(9)])
            .deny_by_default();
        let purge = async |session: Session| {
            session.purge();
            "purged"
        };
        let app = app(builder.build(key()).unwrap(), |routes| {
            routes
                .route("/forgotten", web::get().to(page))
                .route("/purge", web::post().to(purge))
                .service(web::resource("/public").wrap(public()).get(page));
        })
        .await;
        let browser = Browser::new(&app);
        assert_eq!(browser.get("/forgotten").await.status(), 303);
        browser.set_cookie(LOGIN, "worthless");
        assert_eq!(browser.get("/forgotten").await.status(), 303);
        browser.log_in(User::new(1, "ada")).await;
        users.loads();
        let answer = browser.get("/forgotten").await;
        assert_eq!((answer.text(), users.loads()), ("page".to_owned(), 1));
        assert_no_cookies(&answer);
        assert_eq!(browser.get("/public").await.text(), "page");
        assert_eq!(users.loads(), 0);
        let admin = Browser::new(&app);
        admin.log_in(Admin::new("root")).await;
        assert_eq!(admin.get("/forgotten").await.text(), "page");

        // What the decision finds out reaches the browser.
        if with_records {
            let idle = browser.copy();
            clock.advance(HOUR);
            let answer = idle.get("/forgotten").await;
            assert_eq!(answer.status(), 303);
            assert_clears(&answer, LOGIN);
            assert_no_cookies(&idle.get("/forgotten").await);
            browser.log_in(User::new(1, "ada")).await;
        }
        // A purge at a route that declares nothing ends the login too.
        let copy = browser.copy();
        assert_eq!(browser.post("/purge").await.text(), "purged");
        assert_eq!(browser.cookie_names(), [""; 0]);
        assert_eq!(browser.get("/forgotten").await.status(), 303);
        if with_records {
            assert_eq!(copy.get("/forgotten").await.status(), 303);
        }
        users.set_down(true);
        let down = Browser::new(&app);
        down.log_in(User::new(1, "ada")).await;
        let answer = down.get("/forgotten").await;
        assert_eq!(answer.status(), 503);
        assert_no_cookies(&answer);
    }
}

#[actix_web::test]
async fn a_remember_cookie_restores_into_it() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, events) = Events::of(builder(&users, with_records).0);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        let fresh = browser.cookie(LOGIN).unwrap();
        browser.restart();
        assert_eq!(browser.cookie_names(), [REMEMBER]);
        events.take();
        let answer = browser.get("/account").await;
        assert_eq!(answer.text(), "account of ada");
        assert_ne!(assert_sets(&answer, LOGIN, None), fresh);
        assert_leaves(&answer, SESSION);
        assert_eq!(events.take_but_accessed(), ["loaded_from_cookie ada"]);
        // It is stale, and restored once.
        let answer = browser.get("/settings").await;
        assert_eq!(answer.status(), 401);
        assert_no_cookies(&answer);
        assert_eq!(events.take_but_accessed(), ["needs_refresh Stale"]);

        // Credentials make it fresh, under another value.
        let stale = browser.copy();
        stale.drop_cookie(REMEMBER);
        assert_eq!(account_status(&stale).await, 200);
        let answer = browser.post("/confirm/1").await;
        assert_eq!(answer.text(), "ada");
        assert_sets(&answer, LOGIN, None);
        assert_eq!(browser.get("/settings").await.status(), 200);
        assert_eq!(
            stale.get("/settings").await.status(),
            if with_records { 303 } else { 401 }
        );
        let after = if with_records { 303 } else { 200 };
        assert_eq!(account_status(&stale).await, after);

        // A log out is the end of both.
        let answer = browser.post("/logout").await;
        assert_clears(&answer, LOGIN);
        assert_clears(&answer, REMEMBER);
        assert_eq!(account_status(&browser).await, 303);
    }
}

#[actix_web::test]
async fn use_prolongs_the_remember_cookie_beside_it() {
    let month = Some(30 * DAY);
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, clock) = builder(&users, with_records);
        let remember = RememberCookie::new().refresh_each_request();
        let app = site(
            builder.remember_cookie(remember).build(key()).unwrap(),
            &users,
        )
        .await;
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        let thief = Browser::new(&app);
        thief.post("/login/2").await;
        thief.set_cookie(REMEMBER, &browser.cookie(REMEMBER).unwrap());
        clock.advance(10 * MINUTE);
        // Whether the page asks for the user or not.
        for page in ["/", "/account"] {
            let answer = browser.get(page).await;
            assert_sets(&answer, REMEMBER, month);
            assert_leaves(&answer, LOGIN);
            assert_leaves(&thief.get(page).await, REMEMBER);
        }
        browser.drop_cookie(LOGIN);
        assert_leaves(&browser.get("/").await, REMEMBER);
        let answer = browser.get("/account").await;
        assert_eq!(answer.status(), 200);
        assert_sets(&answer, LOGIN, None);
    }
}

#[actix_web::test]
async fn a_session_planted_before_a_restore_is_nobodys_after_it() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let victim = Browser::new(&app);
        victim.post("/login/1?remember=true").await;
        victim.restart();
        let thief = Browser::new(&app);
        thief.post("/cart/bait").await;
        victim.set_cookie(SESSION, &thief.cookie(SESSION).unwrap());
        let answer = victim.get("/who").await;
        assert_sets(&answer, SESSION, None);
        assert_sets(&answer, LOGIN, None);
        assert_eq!(who(&victim).await.id, Some(1));
        assert_eq!(who(&thief).await, Who::default());
    }
}

#[actix_web::test]
async fn an_empty_session_planted_before_a_restore_is_not_shared_after_it() {
    use login_tests::sessions::MemorySessions;
    let sessions = MemorySessions::new();
    let users = Users::new();
    let (builder, _) = builder(&users, true);
    let builder = builder.session_store(sessions.clone());
    let app = app(builder.build(key()).unwrap(), |routes| {
        more_pages(routes, users.clone());
    });
    let app = app.await;
    let victim = Browser::new(&app);
    victim.post("/login/1?remember=true").await;
    victim.restart();
    let thief = Browser::new(&app);
    thief.post("/cart/bait").await;
    thief.post("/clear").await;
    victim.set_cookie(SESSION, &thief.cookie(SESSION).unwrap());
    assert_eq!(who(&victim).await.id, Some(1));
    victim.post("/cart/secret").await;
    assert_eq!(cart_of(&victim).await.as_deref(), Some("secret"));
    assert_eq!(cart_of(&thief).await, None);
}

/// A middleware of the application that answers with an error whatever was done.
async fn fail(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    next.call(request).await?;
    Err(ErrorImATeapot("failed"))
}

#[actix_web::test]
async fn an_error_of_a_middleware_loses_what_was_set_but_ends_records() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let manager = builder.user_loader(load_admin).build(key());
        let app = app(manager.unwrap(), |routes| {
            more_pages(routes, users.clone());
            let failing = web::scope("/failing").wrap(from_fn(fail));
            routes.service(failing.configure(|routes| more_pages(routes, users.clone())));
        })
        .await;
        let browser = Browser::new(&app);
        let answer = browser.post("/failing/login/1").await;
        assert_eq!(answer.status(), 418);
        assert_no_cookies(&answer);
        assert_eq!(account_status(&browser).await, 303);
        browser.post("/login/1").await;
        let answer = browser.post("/failing/logout").await;
        assert_eq!(answer.status(), 418);
        assert_no_cookies(&answer);
        // As documented: without records a log out is what the answer says.
        assert_eq!(
            account_status(&browser).await,
            if with_records { 303 } else { 200 }
        );
    }
}

#[actix_web::test]
async fn a_manager_within_another_one_logs_out_its_own_users() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let named = |name: &str| CookieSettings::new().name(format!("__Host-inner-{name}"));
        let inner = LoginManager::builder(load_admin)
            .session_cookie(named("session"))
            .remember_cookie(RememberCookie::new().cookie(named("remember")))
            .login_cookie(named("login"));
        let inner = record_logins(inner, with_records.then(MemoryLoginStore::new));
        let inner = inner.build(secret(2)).unwrap();
        let outer = builder(&users, with_records).0.build(key()).unwrap();
        let app = app(outer, |routes| {
            more_pages(routes, users.clone());
            routes.service(
                web::scope("/inner")
                    .wrap(Compat::new(inner))
                    .service(admin_pages()),
            );
        })
        .await;
        let browser = Browser::new(&app);
        let pages = async || {
            let inner = browser.get("/inner/admin/page").await.status();
            (account_status(&browser).await, inner)
        };
        assert_eq!(pages().await, (303, 401));
        browser.post("/login/1").await;
        browser.post("/inner/admin/login/root").await;
        assert_eq!(pages().await, (200, 200));
        browser.post("/inner/admin/logout").await;
        assert_eq!(pages().await, (200, 401));
        browser.post("/inner/admin/login/root").await;
        browser.post("/logout").await;
        assert_eq!(pages().await, (303, 200));
    }
}
