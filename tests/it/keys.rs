//! Keys: that they can change, and that what one signs for one purpose is good for no other.

use actix_session::SessionMiddleware;
use actix_web::cookie::Key;
use login_runtime::{
    LoginManager, RememberCookie,
    config::{LoginManagerBuilder, SessionProtection},
    test::Browser,
};
use login_tests::{
    Admin, START, User, Users, app, key_of as secret, load_admin, manager, sessions::MemorySessions,
};

use crate::world::{
    DAY, Events, REMEMBER, SESSION, Who, assert_clears, assert_leaves, assert_no_cookies,
    assert_sets, pages, site, who,
};

/// A manager whose session cookies are signed with a key that does not change.
fn on_server(
    builder: LoginManagerBuilder,
    sessions: &MemorySessions,
) -> LoginManagerBuilder<MemorySessions> {
    let sessions = sessions.clone();
    builder.session_middleware(move || {
        SessionMiddleware::builder(sessions.clone(), secret(99))
            .cookie_name(SESSION.to_owned())
            .build()
    })
}

#[actix_web::test]
async fn a_session_survives_a_change_of_keys() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    for mode in [
        SessionProtection::None,
        SessionProtection::Basic,
        SessionProtection::Strong,
    ] {
        let builder = || {
            let (builder, events) = Events::of(manager(&users).0.session_protection(mode));
            (on_server(builder, &sessions), events)
        };
        let first = site(builder().0.build(secret(1)).unwrap(), &users).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;

        // A stranger's key first, to see that keys matter at all.
        let (other, events) = builder();
        let other = site(other.build(secret(2)).unwrap(), &users).await;
        let stranger = browser.at(&other);
        let before = sessions.contents();
        assert_eq!(stranger.get("/settings").await.status(), 303, "{mode:?}");
        assert!(events.take().iter().any(
            |event| event.starts_with("login_ended") || event.starts_with("session_protected")
        ));
        assert_ne!(sessions.contents(), before);

        // The session is written anew under the key that signs now, ..
        browser.post("/login/1").await;
        let (second, events) = builder();
        let second = second.fallback_keys([secret(3), secret(1)]);
        let second = site(second.build(secret(2)).unwrap(), &users).await;
        let browser = browser.at(&second);
        let before = sessions.contents();
        assert_eq!(browser.get("/settings").await.text(), "settings of ada");
        assert_ne!(sessions.contents(), before);
        sessions.writes();
        assert_eq!(browser.get("/settings").await.text(), "settings of ada");
        assert_eq!(sessions.writes(), 0);
        assert_eq!(events.take_but_accessed(), [""; 0]);

        // .. so that the old one can go.
        let (third, events) = builder();
        let third = site(third.build(secret(2)).unwrap(), &users).await;
        let browser = browser.at(&third);
        assert_eq!(
            browser.get("/settings").await.text(),
            "settings of ada",
            "{mode:?}: {:?}",
            events.take()
        );
        assert_eq!(events.take_but_accessed(), [""; 0]);
        browser.post("/logout").await;
    }
}

#[actix_web::test]
async fn the_client_of_a_user_without_a_session_hash_is_known_after_a_change_of_keys() {
    #[login_runtime::fresh_login_required]
    async fn settings(admin: login_runtime::CurrentUser<Admin>) -> String {
        admin.login.clone()
    }
    let sessions = MemorySessions::new();
    let build = async |key: Key, old: Option<Key>| {
        let builder = LoginManager::builder(load_admin)
            .session_only()
            .session_protection(SessionProtection::Strong)
            .fallback_keys(old);
        let manager = on_server(builder, &sessions).build(key).unwrap();
        app(manager, |routes| {
            routes.route("/settings", actix_web::web::get().to(settings));
        })
        .await
    };
    let first = build(secret(1), None).await;
    let browser = Browser::new(&first);
    browser.log_in(Admin::new("root")).await;
    let second = build(secret(2), Some(secret(1))).await;
    let browser = browser.at(&second);
    assert_eq!(browser.get("/settings").await.text(), "root");
    let third = build(secret(2), None).await;
    let browser = browser.at(&third);
    assert_eq!(browser.get("/settings").await.text(), "root");
}

#[actix_web::test]
async fn a_remember_token_under_an_old_key_is_issued_anew() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let first = site(builder.build(secret(1)).unwrap(), &users).await;
    let browser = Browser::new(&first);
    browser.post("/login/1?remember=true").await;
    browser.restart();
    let old = browser.cookie(REMEMBER).unwrap();

    // Without the old key it is worthless.
    let (builder, _) = manager(&users);
    let other = site(builder.build(secret(2)).unwrap(), &users).await;
    let answer = browser.at(&other).get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_clears(&answer, REMEMBER);

    // With it, it is issued anew, and lives no longer for that.
    let (builder, clock) = manager(&users);
    let builder = builder.fallback_keys([secret(1)]);
    let second = site(builder.build(secret(2)).unwrap(), &users).await;
    clock.advance(DAY);
    let browser = browser.at(&second);
    let answer = browser.get("/who").await;
    let who: Who = answer.json().expect("who");
    assert_eq!((who.id, who.at, who.fresh), (Some(1), Some(START), false));
    assert!(who.remembered);
    let new = assert_sets(&answer, REMEMBER, Some(29 * DAY));
    assert_ne!(new, old);
    browser.drop_cookie(SESSION);
    assert_leaves(&browser.get("/who").await, REMEMBER);

    // So that the old key can go.
    let (builder, clock) = manager(&users);
    let third = site(builder.build(secret(2)).unwrap(), &users).await;
    browser.drop_cookie(SESSION);
    let kept = browser.at(&third);
    clock.advance(30 * DAY - crate::world::SECOND);
    let answer = kept.get("/who").await;
    let who: Who = answer.json().expect("who");
    assert_eq!((who.id, who.at), (Some(1), Some(START)));
    assert_leaves(&answer, REMEMBER);
    kept.drop_cookie(SESSION);
    clock.advance(crate::world::SECOND);
    assert_clears(&kept.get("/who").await, REMEMBER);
}

#[actix_web::test]
async fn a_prolonged_token_survives_a_change_of_keys() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let builder = || {
        let remember = RememberCookie::new().refresh_each_request();
        on_server(manager(&users).0.remember_cookie(remember), &sessions)
    };
    let first = site(builder().build(secret(1)).unwrap(), &users).await;
    let browser = Browser::new(&first);
    browser.post("/login/1?remember=true").await;

    let second = builder().fallback_keys([secret(1)]);
    let second = site(second.build(secret(2)).unwrap(), &users).await;
    for pages in [&["/"][..], &["/", "/account"], &["/account", "/"]] {
        let browser = browser.at(&second);
        for page in pages {
            browser.get(page).await.assert_page_shown();
        }
        browser.drop_cookie(SESSION);
        assert_eq!(who(&browser).await.id, Some(1), "{pages:?}");

        let third = site(builder().build(secret(2)).unwrap(), &users).await;
        let browser = browser.at(&third);
        browser.drop_cookie(SESSION);
        assert_eq!(who(&browser).await.id, Some(1), "{pages:?}");
    }
}

#[actix_web::test]
async fn a_session_cookie_is_no_remember_cookie_nor_the_other_way_round() {
    let users = Users::new();
    let app = site(manager(&users).0.build(secret(1)).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let (session, token) = (
        browser.cookie(SESSION).unwrap(),
        browser.cookie(REMEMBER).unwrap(),
    );
    let thief = Browser::new(&app);
    thief.set_cookie(REMEMBER, &session);
    let answer = thief.get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_clears(&answer, REMEMBER);
    let thief = Browser::new(&app);
    thief.set_cookie(SESSION, &token);
    assert_eq!(who(&thief).await, Who::default());
    // Each under its own name is good.
    let honest = Browser::new(&app);
    honest.set_cookie(REMEMBER, &token);
    assert_eq!(who(&honest).await.id, Some(1));
    let honest = Browser::new(&app);
    honest.set_cookie(SESSION, &session);
    assert_eq!(who(&honest).await.id, Some(1));
}

#[actix_web::test]
async fn what_an_application_signs_with_the_secret_is_no_login() {
    use actix_web::cookie::{Cookie, CookieJar};
    let users = Users::new();
    let app = site(manager(&users).0.build(secret(1)).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    for name in [SESSION, REMEMBER] {
        let good = browser.cookie(name).unwrap();
        for value in [r#"{"_login:User":"[1,1700000000,1,0,null,1]"}"#, &good] {
            let mut jar = CookieJar::new();
            jar.signed_mut(&secret(1))
                .add(Cookie::new(name, value.to_owned()));
            jar.private_mut(&secret(1))
                .add(Cookie::new(format!("{name}2"), value.to_owned()));
            for cookie in jar.iter() {
                let thief = Browser::new(&app);
                let encoded = cookie.encoded().to_string();
                let (_, value) = encoded.split_once('=').unwrap();
                thief.set_cookie(name, value);
                assert_eq!(who(&thief).await, Who::default(), "{name}");
            }
        }
    }
}

#[actix_web::test]
async fn a_name_that_only_decodes_to_ours_is_not_ours() {
    // A sibling domain can set a cookie of such a name: browsers see no `__Host-` in it.
    let users = Users::new();
    let app = site(manager(&users).0.build(secret(1)).unwrap(), &users).await;
    let thief = Browser::new(&app);
    thief.post("/login/2?remember=true").await;
    let token = thief.cookie(REMEMBER).unwrap();
    for name in [
        "%5F%5FHost-remember",
        "__Host%2Dremember",
        "__host-remember",
    ] {
        let victim = Browser::new(&app);
        victim.set_cookie(name, &token);
        let answer = victim.get("/who").await;
        assert_eq!(answer.json(), Some(Who::default()), "{name}");
        assert_no_cookies(&answer);
    }
}

#[actix_web::test]
async fn the_users_own_kind_is_part_of_what_a_token_says() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let manager = builder.user_loader(load_admin).build(secret(1));
    let app = app(manager.unwrap(), |routes| pages(routes, users.clone())).await;
    let admin = Browser::new(&app);
    admin.log_in(Admin::new("1")).remember().await;
    let user = Browser::new(&app);
    user.log_in(User::new(1, "ada")).remember().await;
    for (from, name, other) in [
        (&admin, "__Host-remember-admin", REMEMBER),
        (&user, REMEMBER, "__Host-remember-admin"),
    ] {
        let thief = Browser::new(&app);
        thief.set_cookie(other, &from.cookie(name).unwrap());
        assert_eq!(who(&thief).await, Who::default());
    }
}
