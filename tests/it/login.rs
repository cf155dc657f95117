//! Logging in and out.

use actix_session::{Session, storage::SessionStore};
use actix_web::{
    Responder, get, post,
    web::{self, Data, Json, Path, Query},
};
use futures_util::future::join;
use login_runtime::{
    Auth, CurrentUser, Limits, LoginError, MaybeUser, MemoryLoginStore, Verified,
    config::{LoginManagerBuilder, SessionProtection},
    login_required,
    test::Browser,
};
use login_tests::{User, Users, app, key, manager, manager_base, sessions::MemorySessions};
use tokio::sync::Notify;

use crate::world::{
    App, DAY, Events, HOUR, How, REMEMBER, SESSION, Who, assert_clears, assert_leaves,
    assert_no_cookies, assert_sets, cart_of, do_log_in, pages, site, the_cookie, who,
};

#[get("/")]
async fn home(user: MaybeUser<User>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> String {
    format!("account of {}", user.name)
}

#[post("/login/{id}")]
async fn log_in(
    auth: Auth<User>,
    id: Path<i64>,
    users: Data<Users>,
) -> Result<impl Responder, LoginError> {
    let user = users.get(*id).unwrap();
    let user = auth.log_in(Verified::trust(user, "test")).await?;
    assert_eq!(user.id, *id);
    Ok(auth.redirect_to_next_or("/"))
}

#[post("/logout")]
async fn log_out(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    auth.log_out().await?;
    Ok(web::Redirect::to("/").see_other())
}

#[actix_web::test]
async fn a_whole_round() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.app_data(Data::new(users.clone()));
        routes
            .service(home)
            .service(account)
            .service(log_in)
            .service(log_out);
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/").await.text(), "nobody");
    browser
        .get("/account?a=b")
        .await
        .assert_redirects_to_login("/login", "/account?a=b");
    let answer = browser.post("/login/1?next=%2Faccount%3Fa=b").await;
    assert_eq!(
        (answer.status(), answer.location()),
        (303, Some("/account?a=b"))
    );
    assert_eq!(browser.get("/account").await.text(), "account of ada");
    assert_eq!(browser.get("/").await.text(), "ada");
    browser.post("/logout").await;
    assert_eq!(browser.get("/").await.text(), "nobody");
    assert_eq!(browser.get("/account").await.status(), 303);
    assert_eq!(browser.cookie_names(), [""; 0]);
}

#[actix_web::test]
async fn without_credentials_the_client_is_anonymous() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_no_cookies(&answer);
    assert_eq!((sessions.writes(), users.loads()), (0, 0));
}

#[actix_web::test]
async fn an_application_can_have_anonymous_users_of_its_own() {
    #[derive(Clone)]
    struct Visitor {
        name: String,
        language: &'static str,
    }
    async fn greeting(user: MaybeUser<User>) -> String {
        let guest = || Visitor {
            name: "guest".to_owned(),
            language: "en",
        };
        let visitor = user.map_or_else(guest, |user| Visitor {
            name: user.name.clone(),
            language: "fr",
        });
        format!("{} {}", visitor.language, visitor.name)
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/greeting", web::get().to(greeting));
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/greeting").await.text(), "en guest");
    // A guest is nobody to a guard.
    assert_eq!(browser.get("/account").await.status(), 303);
    browser.post("/login/1").await;
    assert_eq!(browser.get("/greeting").await.text(), "fr ada");
}

#[actix_web::test]
async fn logging_in_lasts_for_the_session() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let builder = builder.fresh_for_the_session().limits(Limits::aal1());
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/account").await.status(), 303);
    let answer = browser.post("/login/1").await;
    assert_eq!(answer.status(), 303);
    assert_sets(&answer, SESSION, None);
    assert_leaves(&answer, REMEMBER);
    clock.advance(DAY);
    let ada = Who {
        id: Some(1),
        authenticated: true,
        fresh: true,
        source: Some("Session".to_owned()),
        at: Some(login_tests::START),
        remembered: false,
    };
    assert_eq!(who(&browser).await, ada);
    assert_eq!(browser.get("/account").await.text(), "account of ada");
    assert_eq!(browser.get("/settings").await.text(), "settings of ada");
    // It ends with the browser.
    browser.restart();
    assert_eq!(who(&browser).await, Who::default());
}

#[actix_web::test]
async fn an_answer_with_nothing_to_say_sets_no_cookie() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    sessions.writes();
    for page in ["/", "/who", "/account", "/settings"] {
        let answer = browser.get(page).await;
        answer.assert_page_shown();
        assert_no_cookies(&answer);
    }
    assert_eq!(sessions.writes(), 0);
}

#[actix_web::test]
async fn login_renews_the_session_id() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let id = || {
        let contents = sessions.contents();
        assert_eq!(contents.len(), 1, "{contents:?}");
        contents.into_keys().next().unwrap()
    };
    browser.post("/cart/tea").await;
    let anonymous = id();
    assert_sets(&browser.post("/login/1").await, SESSION, None);
    let first = id();
    assert_ne!(anonymous, first);
    // Also when the same user logs in again, and when the login is confirmed.
    assert_sets(&browser.post("/login/1").await, SESSION, None);
    let second = id();
    assert_ne!(first, second);
    assert_sets(&browser.post("/confirm/1").await, SESSION, None);
    let third = id();
    assert_ne!(second, third);
    assert_clears(&browser.post("/logout").await, SESSION);
    assert!(sessions.is_empty());
}

#[actix_web::test]
async fn a_session_planted_before_login_is_not_logged_in_after_it() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let thief = Browser::new(&app);
    thief.post("/cart/bait").await;
    let planted = sessions.contents().into_keys().next().unwrap();
    let victim = thief.copy();
    victim.post("/login/1?remember=true").await;
    assert_eq!(who(&victim).await.id, Some(1));

    assert_eq!(who(&thief).await, Who::default());
    assert_eq!(thief.get("/account").await.status(), 303);
    assert!(!sessions.contents().contains_key(&planted));
    // A thief who goes on with the planted id finds none of the victim's things, and gets another.
    thief.post("/cart/again").await;
    for (id, state) in sessions.contents() {
        assert_ne!(id, planted);
        assert_eq!(
            state.contains_key("_login:User"),
            state["cart"] == "\"bait\"",
            "{state:?}"
        );
    }
}

#[actix_web::test]
async fn a_session_planted_before_a_restore_is_not_logged_in_after_it() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let victim = Browser::new(&app);
    victim.post("/login/1?remember=true").await;
    victim.restart();
    let thief = Browser::new(&app);
    thief.post("/cart/bait").await;
    victim.set_cookie(SESSION, &thief.cookie(SESSION).unwrap());
    assert_sets(&victim.get("/who").await, SESSION, None);
    assert_eq!(who(&victim).await.id, Some(1));
    assert_eq!(who(&thief).await, Who::default());
}

#[actix_web::test]
async fn an_inactive_user_is_refused_and_nothing_is_written() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let answer = browser.post("/login/3?remember=true").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.text(), "this user may not log in");
    assert_no_cookies(&answer);
    assert_eq!(sessions.writes(), 0);
    assert_eq!(events.take(), ["log_in_refused cy"]);
    assert_eq!(who(&browser).await, Who::default());

    // An earlier login stays as it was.
    browser.post("/login/1").await;
    browser.post("/cart/tea").await;
    sessions.writes();
    let answer = browser.post("/login/3?remember=true").await;
    assert_eq!(answer.status(), 403);
    assert_no_cookies(&answer);
    assert_eq!(sessions.writes(), 0);
    assert_eq!(who(&browser).await.id, Some(1));
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
}

#[actix_web::test]
async fn a_login_allowed_for_an_inactive_user_passes_guards() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login/3").await.status(), 403);
    let answer = browser.post("/login/3?allow_inactive=true").await;
    assert_eq!(answer.status(), 303);
    assert_sets(&answer, SESSION, None);
    assert_eq!(browser.get("/account").await.text(), "account of cy");
    assert_eq!(browser.get("/settings").await.text(), "settings of cy");
    browser.post("/confirm/3").await.assert_page_shown();
    assert_eq!(browser.get("/account").await.text(), "account of cy");
}

#[actix_web::test]
async fn an_exception_for_inactive_users_does_not_keep_a_deactivated_user_logged_in() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?allow_inactive=true").await;
    users.change(1, |user| user.is_active = false);
    assert_eq!(browser.get("/account").await.status(), 303);
}

#[actix_web::test]
async fn a_user_deactivated_in_mid_session_is_refused_at_once() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.get("/account").await.assert_page_shown();
    users.change(1, |user| user.is_active = false);
    assert_eq!(browser.get("/account").await.status(), 303);
    assert_eq!(browser.get("/settings").await.status(), 303);
    let who = who(&browser).await;
    // The application can say whom it refuses.
    assert_eq!((who.id, who.authenticated), (Some(1), false));
    users.change(1, |user| user.is_active = true);
    browser.get("/account").await.assert_page_shown();
}

#[actix_web::test]
async fn the_user_is_current_for_the_rest_of_the_request() {
    async fn log_in(
        auth: Auth<User>,
        id: Path<i64>,
        how: Query<How>,
        users: Data<Users>,
    ) -> Result<Json<[Who; 3]>, actix_web::Error> {
        let before = Who::of(&auth.current_user().await?, &auth);
        do_log_in(&auth, users.get(*id).unwrap(), &how).await?;
        let during = Who::of(&auth.current_user().await?, &auth);
        auth.require_fresh_login().await?;
        auth.log_out().await?;
        let after = Who::of(&auth.current_user().await?, &auth);
        Ok(Json([before, during, after]))
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/round/{id}", web::post().to(log_in));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let answer = browser.post("/round/2?remember=true").await;
    let [before, during, after]: [Who; 3] = answer.json().expect("three users");
    assert_eq!((before.id, before.remembered), (Some(1), true));
    assert_eq!((during.id, during.fresh), (Some(2), true));
    // The token is there from the next request on.
    assert!(!during.remembered);
    assert_eq!(after, Who::default());
    assert_clears(&answer, REMEMBER);
    assert_clears(&answer, SESSION);
}

#[actix_web::test]
async fn another_user_finds_nothing_of_the_first() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.post("/cart/secret").await;
    let answer = browser.post("/login/2").await;
    assert_clears(&answer, REMEMBER);
    assert_sets(&answer, SESSION, None);
    assert_eq!(cart_of(&browser).await, None);
    for state in sessions.contents().into_values() {
        assert!(!state.contains_key("cart"), "{state:?}");
    }
    assert_eq!(who(&browser).await.id, Some(2));
    // Nor does the first come back when the session ends.
    browser.restart();
    assert_eq!(who(&browser).await, Who::default());
}

#[actix_web::test]
async fn a_token_of_another_user_does_not_survive_a_login_without_one() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    // The session has gone, so only the token tells of the first user.
    browser.restart();
    assert_clears(&browser.post("/login/2").await, REMEMBER);
    browser.restart();
    assert_eq!(who(&browser).await, Who::default());
}

/// Ends a login without a log out, and looks what is left for whoever logs in next.
async fn check_left_behind<S: App>(
    app: &S,
    users: &Users,
    what: &str,
    end: impl Fn(&Browser<'_, S>),
) {
    for (next, finds) in [(1, Some("secret")), (2, None)] {
        users.put(User::new(1, "ada"));
        let browser = Browser::new(app);
        browser.post("/login/1").await;
        browser.post("/cart/secret").await;
        end(&browser);
        assert_eq!(who(&browser).await, Who::default(), "{what}");
        users.put(User::new(1, "ada"));
        browser.post(&format!("/login/{next}")).await;
        assert_eq!(cart_of(&browser).await.as_deref(), finds, "{what}");
    }
    // The same when a remember cookie brings the other user.
    let browser = Browser::new(app);
    browser.post("/login/2?remember=true").await;
    let token = browser.cookie(REMEMBER).unwrap();
    let browser = Browser::new(app);
    browser.post("/login/1").await;
    browser.post("/cart/secret").await;
    end(&browser);
    browser.get("/who").await;
    browser.set_cookie(REMEMBER, &token);
    assert_eq!(who(&browser).await.id, Some(2), "{what}");
    assert_eq!(cart_of(&browser).await, None, "{what}");
}

#[actix_web::test]
async fn a_user_whose_login_ended_leaves_nothing_to_the_next() {
    let users = Users::new();
    let strong = SessionProtection::Strong;
    let builder = || manager(&users).0.session_protection(strong);
    let app = site(builder().build(key()).unwrap(), &users).await;
    let new_password = |_: &Browser<'_, _>| users.change(1, |user| user.hash.push('!'));
    check_left_behind(&app, &users, "new password", new_password).await;
    check_left_behind(&app, &users, "other client", |browser| {
        browser.set_user_agent("test/2");
    })
    .await;

    let (builder, clock) = manager_base(&users);
    let builder = builder.login_store(MemoryLoginStore::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    check_left_behind(&app, &users, "idle", |_| clock.advance(HOUR)).await;
}

#[actix_web::test]
async fn the_same_user_again_renews_the_login_and_keeps_the_rest() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true&stale=true").await;
    browser.post("/cart/tea").await;
    clock.advance(HOUR);
    let answer = browser.post("/login/1").await;
    assert_sets(&answer, SESSION, None);
    assert_leaves(&answer, REMEMBER);
    let who = who(&browser).await;
    assert!(who.fresh && who.remembered, "{who:?}");
    assert_eq!(who.at, Some(login_tests::START + 60 * 60));
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
}

#[actix_web::test]
async fn what_an_anonymous_visitor_put_into_the_session_stays() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/cart/tea").await;
    browser.post("/login/1").await;
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
}

#[actix_web::test]
async fn a_login_into_a_purged_session_is_an_error() {
    async fn purge_and_log_in(
        auth: Auth<User>,
        session: Session,
        users: Data<Users>,
    ) -> Result<impl Responder, LoginError> {
        session.purge();
        let user = Verified::trust(users.get(1).unwrap(), "test");
        let error = auth.log_in(user).remember(true).await.unwrap_err();
        assert!(matches!(error, LoginError::SessionPurged), "{error:?}");
        assert!(auth.current_user().await?.is_anonymous());
        Err::<String, _>(error)
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/purge-and-log-in", web::post().to(purge_and_log_in));
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser.post("/purge-and-log-in").await;
    assert_eq!(answer.status(), 500);
    assert_eq!(
        answer.text(),
        "the session was purged earlier in this request; call `log_out`, or clear and renew it"
    );
    assert_no_cookies(&answer);
    assert_eq!(who(&browser).await, Who::default());
}

#[actix_web::test]
async fn logging_out_ends_the_login_and_the_session_with_it() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .use_session_for_next()
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.post("/cart/secret").await;
    let stranger = Browser::new(&app);
    let answer = browser.post("/logout").await;
    assert_clears(&answer, SESSION);
    assert_leaves(&answer, REMEMBER);
    assert!(sessions.is_empty());
    assert_eq!(browser.cookie_names(), stranger.cookie_names());
    assert_eq!(who(&browser).await, Who::default());
    assert_eq!(cart_of(&browser).await, None);
}

#[actix_web::test]
async fn where_a_client_wanted_to_go_is_forgotten_at_log_out() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.use_session_for_next().build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    let kept = async || {
        let next: Option<String> = browser.get("/next").await.json().expect("next");
        next
    };
    browser.get("/account").await;
    assert_eq!(kept().await.as_deref(), Some("/account"));
    browser.get("/account").await;
    browser.post("/logout").await;
    assert_eq!(kept().await, None);
}

#[actix_web::test]
async fn logging_nobody_out_is_no_error_and_sets_no_cookie() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let answer = browser.post("/logout").await;
    assert_eq!(answer.status(), 303);
    assert_no_cookies(&answer);
    assert_eq!(sessions.writes(), 0);
    assert_eq!(events.take_but_accessed(), ["logged_out"]);
}

#[actix_web::test]
async fn what_is_put_into_the_session_after_log_out_stays() {
    async fn log_out_with_a_message(
        auth: Auth<User>,
        session: Session,
    ) -> Result<impl Responder, LoginError> {
        auth.log_out().await?;
        session.insert("cart", "see you").unwrap();
        Ok("bye")
    }
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = app(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        |routes| {
            pages(routes, users.clone());
            routes.route("/bye", web::post().to(log_out_with_a_message));
        },
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    let before = sessions.contents().into_keys().next().unwrap();
    assert_sets(&browser.post("/bye").await, SESSION, None);
    assert_eq!(cart_of(&browser).await.as_deref(), Some("see you"));
    assert_eq!(who(&browser).await, Who::default());
    // Under another id: the one that was logged in is dead.
    assert!(!sessions.contents().contains_key(&before));
    assert_eq!(sessions.len(), 1);
}

#[actix_web::test]
async fn a_copy_of_the_session_cookie_is_dead_after_log_out() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder.session_store(MemorySessions::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    let copy = browser.copy();
    assert_eq!(copy.get("/account").await.text(), "account of ada");
    browser.post("/logout").await;
    assert_eq!(copy.get("/account").await.status(), 303);
    assert_eq!(who(&copy).await, Who::default());
}

/// A page that reads the session, waits, and writes to it.
async fn slow(auth: Auth<User>, session: Session, gates: Data<Gates>) -> impl Responder {
    auth.current_user().await.unwrap();
    gates.entered.notify_one();
    gates.go_on.notified().await;
    session.insert("cart", "slow").unwrap();
    "slow"
}

#[derive(Default)]
struct Gates {
    entered: Notify,
    go_on: Notify,
}

/// Ends a login while another request of the same browser is under way.
async fn check_slow_write<T>(builder: LoginManagerBuilder<T>, users: &Users)
where
    T: SessionStore + 'static,
{
    let gates = Data::new(Gates::default());
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes
            .app_data(Data::clone(&gates))
            .route("/slow", web::post().to(slow));
    })
    .await;
    for (end, stays) in [("/logout", None), ("/login/2", Some(2))] {
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        let other_tab = browser.copy();
        let ending = async {
            gates.entered.notified().await;
            browser.post(end).await;
            gates.go_on.notify_one();
        };
        let (answer, ()) = join(async { other_tab.post("/slow").await }, ending).await;
        // What it wrote is lost, and says so; nor does it touch the cookie of whoever came after.
        assert_eq!(answer.status(), 409, "{end}");
        assert_leaves(&answer, SESSION);
        assert_eq!(who(&other_tab).await, Who::default(), "{end}");
        assert_eq!(other_tab.get("/account").await.status(), 303, "{end}");
        assert_eq!(who(&browser).await.id, stays, "{end}");
        assert_eq!(cart_of(&browser).await, None);
    }
}

#[actix_web::test]
async fn a_slow_write_does_not_bring_back_a_login_that_was_ended() {
    let users = Users::new();
    let builder = || manager_base(&users).0;
    // This session store brings sessions back that somebody still writes to.
    let session_only = builder().session_only();
    check_slow_write(session_only.session_store(MemorySessions::new()), &users).await;
    let store = MemoryLoginStore::new;
    let both = builder().login_store(store());
    check_slow_write(both.session_store(MemorySessions::new()), &users).await;
    // Sessions in their cookies cannot end, but for the login store.
    check_slow_write(builder().login_store(store()), &users).await;
}

#[actix_web::test]
async fn with_a_login_store_log_out_ends_every_copy_of_both_cookies() {
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    // Sessions in cookies: nothing but the login store knows that the login is over.
    let builder = builder.login_store(MemoryLoginStore::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let (session, token) = (browser.copy(), browser.copy());
    session.drop_cookie(REMEMBER);
    token.drop_cookie(SESSION);
    assert_eq!(who(&session).await.id, Some(1));
    let answer = browser.post("/logout").await;
    assert_clears(&answer, SESSION);
    assert_clears(&answer, REMEMBER);
    // However often it is used: there is no such session, and no error either.
    for _ in 0..2 {
        assert_eq!(who(&session).await, Who::default());
        assert_eq!(session.get("/account").await.status(), 303);
    }
    // What it writes was perhaps meant for the session that ended just now, and later for a new one.
    assert_eq!(session.post("/cart/tea").await.status(), 409);
    clock.advance(std::time::Duration::from_secs(180));
    assert_eq!(session.post("/cart/tea").await.status(), 200);
    assert_eq!(cart_of(&session).await.as_deref(), Some("tea"));
    let answer = token.get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_clears(&answer, REMEMBER);
}

#[actix_web::test]
async fn other_data_in_a_session_cookie_end_nothing() {
    // A cookie under the session's name that is none of ours.
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    for worthless in ["", "x", "%00", "a=b", &"x".repeat(5000)] {
        browser.set_cookie(SESSION, worthless);
        assert_eq!(who(&browser).await, Who::default());
        assert_eq!(browser.get("/account").await.status(), 303);
        browser.post("/login/1").await;
        assert_eq!(who(&browser).await.id, Some(1));
        assert_eq!(
            the_cookie(&browser.post("/logout").await, SESSION).value(),
            ""
        );
    }
}
