//! What belongs to one user or user type, and is not given to another.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use actix_session::Session;
use actix_web::{
    Error, HttpResponse, Responder,
    web::{self, Data, Path},
};
use login_runtime::{
    Auth, AuthUser, CookieSettings, LoginManager, MaybeUser, MemoryLoginStore, Verified,
    config::{LoginManagerBuilder, SessionProtection},
    logins::{Keep, Logins},
    store::{LoginKey, LoginSelector, LoginStore as _, TokenFamily},
    test::Browser,
};
use login_tests::{Admin, User, Users, app, key, load_admin, manager, manager_base};

use crate::world::{
    App, Options, REMEMBER, Who, admin_pages, cart_of, name_of, on_every_login_store, pages, site,
    who,
};

/// A guest, whose ids are texts like those of admins.
#[derive(AuthUser)]
struct Guest {
    id: String,
}

async fn load_guest(id: String) -> Result<Option<Guest>, Infallible> {
    Ok(Some(Guest { id }))
}

/// The three ways to keep a login: in the session only, with a record, and in a login cookie.
fn ways(users: &Users) -> [LoginManagerBuilder; 3] {
    let recorded = || manager_base(users).0.login_store(MemoryLoginStore::new());
    [
        manager(users).0,
        recorded(),
        recorded().login_cookie(CookieSettings::new()),
    ]
}

/// A session hash as applications have them: an argon2id hash with its parameters and salt in front.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcyE$\
                    Zm9ydHktdGhyZWUgZGlnaXRzIG9mIGJhc2U2NCBhbGw";

/// Session hashes that differ from [`HASH`] as little as they can.
fn other_hashes() -> Vec<String> {
    let mut hashes = vec![
        String::new(),
        HASH[..1].to_owned(),
        HASH[..HASH.len() - 1].to_owned(),
        HASH[1..].to_owned(),
        format!("{HASH}A"),
        format!("A{HASH}"),
        format!("{HASH}{HASH}"),
        HASH.to_uppercase(),
    ];
    for at in 0..HASH.len() {
        let mut bytes = HASH.as_bytes().to_vec();
        bytes[at] ^= 1;
        hashes.push(String::from_utf8(bytes).unwrap());
    }
    hashes
}

#[actix_web::test]
async fn a_login_that_a_changed_password_ended_stays_ended_when_the_old_password_returns() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        let copy = browser.copy();
        world.users.change(1, |user| user.hash.push('+'));
        assert_eq!(name_of(&browser).await, "nobody");
        world.users.change(1, |user| {
            user.hash.pop();
        });
        for browser in [&browser, &copy] {
            assert_eq!(name_of(browser).await, "nobody");
        }
        assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
    })
    .await;
}

#[actix_web::test]
async fn a_session_hash_that_changed_anywhere_ends_the_login() {
    let users = Users::new();
    for builder in ways(&users) {
        let app = site(builder.build(key()).unwrap(), &users).await;
        let set = |hash: &str| users.change(1, |user| user.hash = hash.to_owned());
        set(HASH);
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        assert_eq!(name_of(&browser).await, "ada");
        for hash in other_hashes() {
            // Without its remember cookie, with both, and with the remember cookie only.
            let [session, both, token] = [(); 3].map(|()| browser.copy());
            session.drop_cookie(REMEMBER);
            token.restart();
            if both.cookie(REMEMBER).is_none() || token.cookie_names().len() != 1 {
                panic!("the browser is not remembered");
            }
            set(&hash);
            for browser in [session, both, token] {
                assert_eq!(name_of(&browser).await, "nobody", "{hash}");
            }
            set(HASH);
            browser.post("/login/1?remember=true").await;
            assert_eq!(name_of(&browser).await, "ada");
        }
    }
}

/// Logs a user in here, another user type out by another client, and looks what is left.
async fn check_left_by_another_type<S: App>(app: &S, log_in: &str, page: &str, next: &str) {
    let browser = Browser::new(app);
    browser.post(log_in).await;
    browser.post("/cart/secret").await;
    browser.set_user_agent("test/2");
    assert_eq!(browser.get(page).await.status(), 303, "{log_in}");
    assert_eq!(cart_of(&browser).await.as_deref(), Some("secret"));
    // A page that looks in between takes nothing out of the session.
    browser.get("/who").await;
    browser.post(next).await;
    assert_eq!(cart_of(&browser).await, None, "{log_in}, then {next}");
}

#[actix_web::test]
async fn what_a_user_of_another_type_left_in_the_session_is_not_for_the_next_user() {
    let users = Users::new();
    for builder in ways(&users) {
        let builder = builder.user_loader(load_admin);
        let builder = builder.session_protection(SessionProtection::Strong);
        let app = app(builder.build(key()).unwrap(), |routes| {
            pages(routes, users.clone());
            routes.service(admin_pages());
        })
        .await;
        let (admin, user) = ("/admin/login/1", "/login/1");
        check_left_by_another_type(&app, admin, "/admin/page", user).await;
        check_left_by_another_type(&app, user, "/account", admin).await;

        // The same if a remember cookie brings the next user.
        let remembered = Browser::new(&app);
        remembered.post("/login/1?remember=true").await;
        let browser = Browser::new(&app);
        browser.post(admin).await;
        browser.post("/cart/secret").await;
        browser.set_user_agent("test/2");
        assert_eq!(browser.get("/admin/page").await.status(), 303);
        browser.set_cookie(REMEMBER, &remembered.cookie(REMEMBER).unwrap());
        assert_eq!(who(&browser).await.id, Some(1));
        assert_eq!(cart_of(&browser).await, None);

        // An admin who is still there keeps what is in the session.
        let browser = Browser::new(&app);
        browser.post(admin).await;
        browser.post("/cart/shared").await;
        browser.post(user).await;
        assert_eq!(cart_of(&browser).await.as_deref(), Some("shared"));
    }
}

#[actix_web::test]
async fn what_a_deleted_user_left_in_the_session_is_not_for_who_gets_the_id_next() {
    let users = Users::new();
    for builder in ways(&users) {
        let app = site(builder.build(key()).unwrap(), &users).await;
        for (is_deleted, finds) in [(true, None), (false, Some("secret"))] {
            let browser = Browser::new(&app);
            browser.post("/login/1").await;
            browser.post("/cart/secret").await;
            if is_deleted {
                users.delete(1);
            } else {
                // The same user, whose login ended because of a new password.
                users.change(1, |user| user.hash.push('!'));
            }
            assert_eq!(name_of(&browser).await, "nobody");
            users.put(User::new(1, "ada"));
            browser.post("/login/1").await;
            assert_eq!(name_of(&browser).await, "ada");
            assert_eq!(cart_of(&browser).await.as_deref(), finds);
        }
    }
}

#[actix_web::test]
async fn a_login_that_another_client_used_is_stale_for_both_from_then_on() {
    let users = Users::new();
    for builder in ways(&users) {
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        assert!(who(&browser).await.fresh);
        browser.set_user_agent("test/2");
        let found = who(&browser).await;
        assert_eq!((found.id, found.fresh), (Some(1), false));
        assert_eq!(browser.get("/settings").await.status(), 401);
        browser.set_user_agent("test/1");
        let found = who(&browser).await;
        assert_eq!((found.id, found.fresh), (Some(1), false));
        assert_eq!(browser.get("/settings").await.status(), 401);
        // Until the user gives the credentials again.
        assert_eq!(browser.post("/confirm/1").await.status(), 200);
        assert!(who(&browser).await.fresh);
    }
}

#[actix_web::test]
async fn no_copy_of_a_remember_token_outlives_a_log_out_or_the_next_users_log_in() {
    let users = Users::new();
    for builder in ways(&users).into_iter().skip(1) {
        let app = site(builder.build(key()).unwrap(), &users).await;
        for end in ["/logout", "/login/2"] {
            for elsewhere in [false, true] {
                let browser = Browser::new(&app);
                browser.post("/login/1?remember=true").await;
                let token = browser.cookie(REMEMBER).unwrap();
                let copy = browser.copy();
                copy.restart();
                if elsewhere {
                    // The login in the session does not belong to the family of the token.
                    browser.restart();
                    browser.drop_cookie(REMEMBER);
                    browser.post("/login/1").await;
                    browser.set_cookie(REMEMBER, &token);
                }
                assert_eq!(browser.post(end).await.status(), 303);
                assert_eq!(browser.cookie(REMEMBER), None, "{end}");
                assert_eq!(name_of(&copy).await, "nobody", "{end}");
            }
        }
    }
}

/// Swaps the logins of two user types in a session.
async fn swap(session: Session) -> Result<&'static str, actix_web::Error> {
    let logins: Vec<_> = session
        .entries()
        .iter()
        .filter(|(key, _)| key.starts_with("_login"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let [(one, first), (other, second)] = &logins[..] else {
        panic!("{logins:?}");
    };
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    session.insert(one, value(second))?;
    session.insert(other, value(first))?;
    Ok("swapped")
}

async fn guest(guest: MaybeUser<Guest>) -> String {
    guest
        .user()
        .map_or("nobody".to_owned(), |guest| guest.id.clone())
}

async fn admin(admin: MaybeUser<Admin>) -> String {
    admin
        .user()
        .map_or("nobody".to_owned(), |admin| admin.login.clone())
}

/// Ends a login by its key, as a guest.
async fn end(auth: Auth<Guest>, key: Path<LoginKey>) -> Result<String, Error> {
    let proof = auth.require_fresh_login().await?;
    Ok(auth.end_login(&proof, *key).await?.to_string())
}

async fn end_others(auth: Auth<Guest>) -> Result<String, Error> {
    let proof = auth.require_fresh_login().await?;
    Ok(auth.end_other_logins(&proof).await?.to_string())
}

/// Guests and admins with records, and access to the logins of all.
async fn guests_and_admins() -> (impl App, Logins) {
    let builder = LoginManager::builder(load_guest).user_loader(load_admin);
    let builder = builder.login_store(MemoryLoginStore::new());
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = app(manager, |routes| {
        routes
            .route("/swap", web::post().to(swap))
            .route("/guest", web::get().to(guest))
            .route("/admin", web::get().to(admin))
            .route("/end/{key}", web::post().to(end))
            .route("/end-others", web::post().to(end_others));
    });
    (app.await, logins)
}

#[actix_web::test]
async fn the_record_of_one_user_type_is_no_login_of_another_with_the_same_ids() {
    let (app, logins) = guests_and_admins().await;
    let both = async || {
        let browser = Browser::new(&app);
        let id = "root".to_owned();
        browser.log_in(Guest { id }).await;
        browser.log_in(Admin::new("root")).await;
        assert_eq!(browser.get("/guest").await.text(), "root");
        assert_eq!(browser.get("/admin").await.text(), "root");
        browser
    };
    for page in ["/guest", "/admin"] {
        let browser = both().await;
        assert_eq!(browser.post("/swap").await.text(), "swapped");
        assert_eq!(browser.get(page).await.text(), "nobody", "{page}");
    }
    // Nor can it be ended as such.
    let browser = both().await;
    let id = "root".to_owned();
    let admins = logins.of::<Admin>(&id).await.unwrap();
    for login in &admins {
        let answer = browser.post(&format!("/end/{}", login.key)).await;
        assert_eq!(answer.text(), "false");
    }
    browser.post("/end-others").await;
    assert_eq!(logins.of::<Admin>(&id).await.unwrap().len(), admins.len());
    logins.end_all_of::<Guest>(&id).await.unwrap();
    assert_eq!(browser.get("/guest").await.text(), "nobody");
    assert_eq!(browser.get("/admin").await.text(), "root");
}

#[actix_web::test]
async fn a_family_that_the_store_has_for_another_user_type_restores_nobody() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.remembered(1).await;
        let token = browser.cookie(REMEMBER).unwrap();
        let (store, now) = (&world.logins, login_tests::START);
        let key = store.inserted().1.family.unwrap();
        let row = store.find_family(key, now).await.unwrap().unwrap();
        let other = TokenFamily {
            user_type: "another".to_owned(),
            ..row.clone()
        };
        for (row, found) in [(other, "nobody"), (row, "ada")] {
            store.end_many(LoginSelector::Family(key)).await.unwrap();
            store.insert_family(key, &row).await.unwrap();
            browser.restart();
            browser.set_cookie(REMEMBER, &token);
            assert_eq!(name_of(&browser).await, found);
        }
    })
    .await;
}

/// Polls a future once, which is not enough for it.
async fn begin(future: &mut (impl Future + Unpin)) {
    poll_fn(|context| {
        assert!(Pin::new(&mut *future).poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Logs Ben in while the user of the request is being looked up, and says who is found then.
async fn overtaken(auth: Auth<User>, way: Path<String>, users: Data<Users>) -> impl Responder {
    let required = async { auth.require_login().await.map(|user| user.name.clone()) };
    let asked = async {
        let user = auth.current_user().await;
        user.map(|user| {
            user.user()
                .map_or("nobody".to_owned(), |user| user.name.clone())
        })
    };
    let mut looking: Pin<Box<dyn Future<Output = String>>> = match way.as_str() {
        "required" => Box::pin(async { required.await.unwrap_or_else(|error| error.to_string()) }),
        _ => Box::pin(async { asked.await.unwrap_or_else(|error| error.to_string()) }),
    };
    begin(&mut looking).await;
    let ben = Verified::trust(users.get(2).unwrap(), "test");
    auth.log_in(ben).await.unwrap();
    let found = looking.await;
    let then = auth.current_user().await.unwrap();
    let then = then.user().map_or("nobody", |user| &user.name).to_owned();
    format!("{found}, {then}")
}

/// Logs the user out while the user of the request is being looked up.
async fn logged_out_meanwhile(auth: Auth<User>) -> impl Responder {
    let mut looking = Box::pin(auth.current_user());
    begin(&mut looking).await;
    auth.log_out().await.unwrap();
    let found = looking.await.unwrap();
    let then = auth.current_user().await.unwrap();
    format!("{} {}", found.is_anonymous(), then.is_anonymous())
}

#[actix_web::test]
async fn a_user_who_is_found_late_stays_logged_out() {
    let users = Users::new();
    // With a record, a log out waits for the look-up.
    let app = app(manager(&users).0.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/meanwhile", web::post().to(logged_out_meanwhile));
    })
    .await;
    for restored in [false, true] {
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        if restored {
            browser.restart();
        }
        let answer = browser.post("/meanwhile").await;
        assert_eq!(answer.text(), "true true", "restored: {restored}");
        assert_eq!(browser.cookie_names(), [""; 0], "restored: {restored}");
    }
}

#[actix_web::test]
async fn a_user_who_is_found_late_does_not_replace_the_one_who_logged_in_meanwhile() {
    let users = Users::new();
    for builder in ways(&users) {
        let app = app(builder.build(key()).unwrap(), |routes| {
            pages(routes, users.clone());
            routes.route("/overtaken/{way}", web::post().to(overtaken));
        })
        .await;
        for way in ["required", "asked"] {
            for (remember, restored) in [(false, false), (true, false), (true, true)] {
                let browser = Browser::new(&app);
                browser.post(&format!("/login/1?remember={remember}")).await;
                if restored {
                    browser.restart();
                }
                let answer = browser.post(&format!("/overtaken/{way}")).await;
                let case = format!("{way}, remember: {remember}, restored: {restored}");
                assert_eq!(answer.text(), "ben, ben", "{case}");
                assert_eq!(name_of(&browser).await, "ben", "{case}");
                // Nor does a remember cookie of the other user come with the answer.
                browser.restart();
                assert_eq!(name_of(&browser).await, "nobody", "{case}");
            }
        }
    }
}

/// Says that the credentials of another user than the current one have changed.
async fn change_another(
    auth: Auth<User>,
    way: Path<(i64, String)>,
    users: Data<Users>,
) -> Result<HttpResponse, Error> {
    let proof = auth.require_fresh_login().await?;
    let (id, keep) = way.into_inner();
    let user = users.get(id).unwrap();
    let keep = match keep.as_str() {
        "current" => Keep::Current,
        _ => Keep::None,
    };
    let ended = auth.credentials_changed(&proof, user, keep).await?;
    Ok(HttpResponse::Ok().body(ended.to_string()))
}

#[actix_web::test]
async fn new_credentials_of_another_user_end_no_login_and_change_nobody() {
    let users = Users::new();
    for builder in ways(&users).into_iter().skip(1) {
        let app = app(builder.build(key()).unwrap(), |routes| {
            pages(routes, users.clone());
            routes.route("/change/{id}/{keep}", web::post().to(change_another));
        })
        .await;
        let others = [1, 2].map(|id| (id, Browser::new(&app)));
        for (id, browser) in &others {
            browser.post(&format!("/login/{id}?remember=true")).await;
        }
        let ada = Browser::new(&app);
        ada.post("/login/1?remember=true").await;
        for keep in ["current", "none"] {
            let answer = ada.post(&format!("/change/2/{keep}")).await;
            assert_eq!(answer.status(), 403, "{keep}");
            assert_eq!(answer.text(), "another user is logged in");
            assert!(answer.set_cookies().is_empty(), "{:?}", answer.headers());
            assert_eq!(name_of(&ada).await, "ada", "{keep}");
            for (id, browser) in &others {
                let known = Some(*id);
                assert_eq!(who(browser).await.id, known, "{keep}");
                // Nor did a remember token end.
                let restarted = browser.copy();
                restarted.restart();
                assert_eq!(who(&restarted).await.id, known, "{keep}");
            }
        }
        // Of the user itself they do.
        assert_eq!(ada.post("/change/1/current").await.status(), 200);
        assert_eq!(name_of(&ada).await, "ada");
        assert_eq!(who(&others[0].1).await, Who::default());
        assert_eq!(who(&others[1].1).await.id, Some(2));
    }
}
