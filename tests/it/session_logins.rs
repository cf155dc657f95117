//! What a session says about its login: in its cookie and on a server, now and as the version before wrote it,
//! whole, in part, and in the wrong place.

use std::{collections::HashMap, sync::Arc};

use actix_service::boxed::service;
use actix_session::{Session, storage::SessionStore};
use actix_web::{
    Error, Responder,
    web::{self, Data, Json},
};
use login_runtime::{
    Auth, LoginError, LoginManager, MemoryLoginStore,
    config::LoginManagerBuilder,
    logins::Logins,
    store::{LoginKey, LoginRecord, LoginStore},
    test::Browser,
};
use login_tests::{
    START, User, Users, app, key, key_of, load_admin, manager_base, sessions::MemorySessions,
};
use serde_json::Value;

use crate::world::{
    BoxedApp, Gates, LoginsThere, Options, Place, Probe, SESSION, World, account_status,
    admin_pages, cart_of, gated_pages, name_of, while_waiting,
};

const USER: &str = "_login:User";
const ADMIN: &str = "_login:admin";
const ID: &str = "_session_id";

/// What the version before wrote for the login whose id is 32 bytes of value 7.
const OLD: &str = r#"[2,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"]"#;
/// The key of its record, which is the hash of the id.
const OLD_KEY: &str = "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0";
/// What the version before wrote for the id of the session.
const OLD_ID: &str = r#""AAECAwQFBgcICQoLDA0ODw""#;

/// What this version writes into a cookie for the record whose key is 16 bytes of value 7.
const SEALED: &str = r#""3BwcHBwcHBwcHBwcHBwcHBw""#;
const SEALED_KEY: &str = "0707070707070707070707070707070700000000000000000000000000000000";

/// An application whose sessions can be seen and changed.
struct Site {
    app: BoxedApp,
    store: Arc<MemoryLoginStore>,
    sessions: Option<MemorySessions>,
    everybody: Logins,
}

impl Site {
    /// Both kinds: sessions in cookies, and sessions on the server.
    async fn both() -> [Self; 2] {
        [Self::open(false).await, Self::open(true).await]
    }

    async fn open(on_server: bool) -> Self {
        let users = Users::new();
        let store = Arc::new(MemoryLoginStore::new());
        let builder = manager_base(&users).0.user_loader(load_admin);
        let builder = builder.login_store(Arc::clone(&store));
        let sessions = on_server.then(MemorySessions::new);
        let (app, everybody) = match sessions.clone() {
            None => serve(builder, users).await,
            Some(sessions) => serve(builder.session_store(sessions), users).await,
        };
        Self {
            app,
            store,
            sessions,
            everybody,
        }
    }

    fn browser(&self) -> Browser<'_, BoxedApp> {
        Browser::new(&self.app)
    }

    fn kind(&self) -> &'static str {
        match self.sessions {
            None => "in cookies",
            Some(_) => "on the server",
        }
    }

    /// A browser whose session has these contents.
    async fn with(&self, contents: &[(&str, &str)]) -> Browser<'_, BoxedApp> {
        let browser = self.browser();
        plant(&browser, contents).await;
        browser
    }

    /// Stores a record of Ada's under this key.
    async fn record(&self, key: &str) {
        let record = LoginRecord {
            user_type: "User".to_owned(),
            user_id: "1".to_owned(),
            created_at: START,
            authenticated_at: START,
            last_seen: START,
            expires_at: START + 3_600,
            fresh: true,
            allow_inactive: false,
            method: "form".to_owned(),
            client: 1,
            user_agent: String::new(),
            address: String::new(),
            hash: self.hash_of_ada().await,
            family: None,
            unseen_token: None,
        };
        let key = LoginKey::parse(key).unwrap();
        let stored = self.store.insert(key, &record, None, START).await;
        stored.unwrap();
    }

    /// The fingerprint that a login of Ada's has, taken from one.
    async fn hash_of_ada(&self) -> Option<String> {
        let browser = self.browser();
        assert_eq!(browser.post("/login/1").await.status(), 303);
        let login = self.everybody.of::<User>(&1).await.unwrap().remove(0);
        let record = self.store.find(login.key, START).await.unwrap().unwrap();
        browser.post("/logout").await;
        record.hash
    }
}

async fn serve<T: SessionStore + 'static>(
    builder: LoginManagerBuilder<T>,
    users: Users,
) -> (BoxedApp, Logins) {
    let manager: LoginManager<T> = builder.build(key()).unwrap();
    let everybody = manager.logins().unwrap();
    let app = app(manager, |routes| {
        gated_pages(routes, users, Gates::default());
        routes
            .service(admin_pages())
            .route("/contents", web::get().to(contents))
            .route("/contents", web::post().to(set_contents));
    });
    (service(app.await), everybody)
}

async fn contents(session: Session) -> impl Responder {
    Json(session.entries().clone())
}

async fn set_contents(
    session: Session,
    contents: Json<HashMap<String, Value>>,
) -> Result<&'static str, Error> {
    session.clear();
    for (name, value) in contents.into_inner() {
        session.insert(name, value)?;
    }
    Ok("set")
}

async fn plant(browser: &Browser<'_, BoxedApp>, contents: &[(&str, &str)]) {
    let parse = |(name, text): &(&str, &str)| {
        let value: Value = serde_json::from_str(text).unwrap();
        ((*name).to_owned(), value)
    };
    let contents: HashMap<_, _> = contents.iter().map(parse).collect();
    let answer = browser.post("/contents").json(&contents).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

async fn contents_of(browser: &Browser<'_, BoxedApp>) -> HashMap<String, String> {
    browser.get("/contents").await.json().unwrap()
}

#[actix_web::test]
async fn a_login_made_before_the_update_works_after_it_and_can_be_ended() {
    for site in Site::both().await {
        site.record(OLD_KEY).await;
        let before = [(USER, OLD), (ID, OLD_ID), ("cart", "\"pear\"")];
        let browser = site.with(&before).await;
        assert_eq!(name_of(&browser).await, "ada", "{}", site.kind());
        assert_eq!(account_status(&browser).await, 200);
        // The application writes into the session, which stays the same one.
        let copy = browser.copy();
        assert_eq!(browser.post("/cart/plum").await.status(), 200);
        assert_eq!(name_of(&browser).await, "ada");
        assert_eq!(browser.post("/logout").await.status(), 303);
        for browser in [&browser, &copy] {
            assert_eq!(name_of(browser).await, "nobody", "{}", site.kind());
            assert_eq!(cart_of(browser).await, None, "{}", site.kind());
        }
    }
}

#[actix_web::test]
async fn the_family_in_a_session_of_the_version_before_ends_with_a_log_out() {
    let family =
        r#"[2,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","08080808080808080808080808080808"]"#;
    for site in Site::both().await {
        site.record(OLD_KEY).await;
        let browser = site.with(&[(USER, family), (ID, OLD_ID)]).await;
        assert_eq!(name_of(&browser).await, "ada");
        browser.post("/logout").await;
        assert_eq!(site.everybody.of::<User>(&1).await.unwrap(), []);
    }
}

#[actix_web::test]
async fn a_session_in_its_cookie_has_the_key_of_the_record_and_one_on_the_server_has_not() {
    for site in Site::both().await {
        let browser = site.browser();
        browser.post("/login/1").await;
        let key = site.everybody.of::<User>(&1).await.unwrap()[0].key;
        let contents = contents_of(&browser).await;
        let names: Vec<_> = contents.keys().collect();
        let text = &contents[USER];
        if site.sessions.is_none() {
            assert_eq!(names, [USER], "a login is the id of its session");
            assert!(text.starts_with("\"3") && text.len() == 25, "{text}");
            assert_eq!(key.as_bytes()[16..], [0; 16]);
        } else {
            // Neither the key nor a part of it.
            let bytes = serde_json::from_str::<(u8, String)>(text).unwrap().1;
            assert_eq!(bytes.len(), 43);
            assert_ne!(key.as_bytes()[16..], [0; 16]);
            for part in key.as_bytes().chunks(8) {
                let id = decoded(&bytes);
                assert!(!id.windows(8).any(|window| window == part));
            }
        }
    }
}

fn decoded(text: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[actix_web::test]
async fn a_copy_of_the_session_store_logs_nobody_in() {
    use actix_web::cookie::{Cookie, CookieJar};
    let site = Site::open(true).await;
    for user in [1, 2] {
        let browser = site.browser();
        browser.post(&format!("/login/{user}?remember=true")).await;
        assert_ne!(name_of(&browser).await, "nobody");
    }
    let copied = site.sessions.as_ref().unwrap().contents();
    assert_eq!(copied.len(), 2);
    let mut values = Vec::new();
    for (id, state) in &copied {
        values.push(id.clone());
        values.push(serde_json::to_string(state).unwrap());
        for text in state.values() {
            values.push(text.clone());
            values.extend(text.split(['"', ',', '[', ']']).map(str::to_owned));
        }
    }
    // Without the secret of the application, whatever key they are under.
    let names = [SESSION, "__Host-login", "__Host-remember"];
    for value in values.iter().filter(|value| value.len() > 1) {
        let mut jar = CookieJar::new();
        let (other, name) = (key_of(99), "x");
        jar.private_mut(&other)
            .add(Cookie::new(name, value.clone()));
        let sealed = jar.get(name).unwrap().value().to_owned();
        jar.signed_mut(&other).add(Cookie::new(name, value.clone()));
        let signed = jar.get(name).unwrap().value().to_owned();
        for value in [value, &sealed, &signed] {
            for cookie in names {
                let thief = site.browser();
                let encoded = percent_encoding::utf8_percent_encode(
                    value,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                thief.set_cookie(cookie, &encoded.to_string());
                assert_eq!(account_status(&thief).await, 303, "{cookie}={value}");
            }
        }
    }
}

#[actix_web::test]
async fn half_a_login_or_one_of_another_version_is_no_login_and_is_dropped() {
    let texts = [
        // Half of it, and with another letter.
        r#""3BwcHBwcHBwcHBwcHBwc""#,
        r#""3BwcHBwcHBwcHBwcHBwcHBg""#,
        r#""3BwcHBwcHBwcHBwcHBwcHBwgICAgICAgICAgI""#,
        r#""BwcHBwcHBwcHBwcHBwcHBw""#,
        r#""3""#,
        r#"[2,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"]"#,
        r#"[2,"BwcHBwcHBwcHBwcHBwcHBw"]"#,
        r#"[2]"#,
        // Of a version to come.
        r#""4BwcHBwcHBwcHBwcHBwcHBw""#,
        r#"[3,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"]"#,
        r#"[4,"BwcHBwcHBwcHBwcHBwcHBw"]"#,
        // Without a record.
        r#"[54400000001,1,1]"#,
        r#"{"key":"BwcHBwcHBwcHBwcHBwcHBw"}"#,
        "7",
        "null",
    ];
    for site in Site::both().await {
        site.record(OLD_KEY).await;
        site.record(SEALED_KEY).await;
        for text in texts {
            let browser = site.with(&[(USER, text), ("cart", "\"pear\"")]).await;
            assert_eq!(
                account_status(&browser).await,
                303,
                "{} {text}",
                site.kind()
            );
            let contents = contents_of(&browser).await;
            assert!(!contents.contains_key(USER), "{} {text}", site.kind());
        }
        // The records were there all the time.
        assert_eq!(site.everybody.of::<User>(&1).await.unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn the_key_of_a_record_is_a_login_only_in_a_cookie_that_is_encrypted() {
    let [in_cookie, on_server] = Site::both().await;
    for site in [&in_cookie, &on_server] {
        site.record(SEALED_KEY).await;
    }
    let browser = in_cookie.with(&[(USER, SEALED)]).await;
    assert_eq!(name_of(&browser).await, "ada");
    // Whoever can write into the store of the sessions needs more than a copy of the login store.
    let browser = on_server.with(&[(USER, SEALED)]).await;
    assert_eq!(name_of(&browser).await, "nobody");
    assert_eq!(account_status(&browser).await, 303);
}

#[actix_web::test]
async fn the_login_of_a_user_is_none_of_an_admin_and_the_other_way_round() {
    for site in Site::both().await {
        let [user, admin] = [site.browser(), site.browser()];
        user.post("/login/1").await;
        admin.post("/admin/login/root").await;
        assert_eq!(admin.get("/admin/page").await.status(), 200);
        let users = contents_of(&user).await[USER].clone();
        let admins = contents_of(&admin).await[ADMIN].clone();

        let thief = site.with(&[(ADMIN, &users)]).await;
        assert_ne!(
            thief.get("/admin/page").await.status(),
            200,
            "{}",
            site.kind()
        );
        let thief = site.with(&[(USER, &admins)]).await;
        assert_eq!(account_status(&thief).await, 303, "{}", site.kind());
        // Nothing happened to the logins themselves.
        assert_eq!(account_status(&user).await, 200);
        assert_eq!(admin.get("/admin/page").await.status(), 200);
    }
}

#[actix_web::test]
async fn no_cookie_from_before_a_change_of_the_session_is_worth_anything_after_it() {
    for site in Site::both().await {
        let changes = [
            "/logout",
            "/renew",
            "/purge",
            "/admin/login/root",
            "/login/1",
            "/login/2",
            "/confirm/1",
        ];
        // The session as the log in made it, and as a later page wrote it again.
        let orders = [["/cart/pear", "/login/1"], ["/login/1", "/cart/pear"]];
        for (change, order) in changes
            .into_iter()
            .flat_map(|it| orders.map(|order| (it, order)))
        {
            let browser = site.browser();
            for page in order {
                browser.post(page).await;
            }
            let before = browser.copy();
            let answer = browser.post(change).await;
            assert!(answer.status() < 400, "{change}");
            let what = format!("{change}, {}", site.kind());
            assert_eq!(name_of(&before).await, "nobody", "{what}");
            assert_eq!(cart_of(&before).await, None, "{what}");
            // It cannot write either, nor take the cookie of the browser away.
            let late = before.post("/cart/plum").await;
            assert_eq!(late.status(), 409, "{what}");
            assert!(late.set_cookies().is_empty(), "{what}");
            let expected = match change {
                "/logout" | "/purge" => "nobody",
                "/login/2" => "ben",
                _ => "ada",
            };
            assert_eq!(name_of(&browser).await, expected, "{what}");
        }
    }
}

#[actix_web::test]
async fn each_of_two_logins_in_a_session_ends_the_session_that_both_were_in() {
    for site in Site::both().await {
        for (first, second) in [
            ("/login/1", "/admin/login/root"),
            ("/admin/login/root", "/login/1"),
        ] {
            let browser = site.browser();
            browser.post(first).await;
            browser.post(second).await;
            let both = browser.copy();
            for page in ["/account", "/admin/page"] {
                assert_eq!(both.get(page).await.status(), 200);
            }
            browser.post("/logout").await;
            assert_eq!(browser.get("/admin/page").await.status(), 200);
            let one = browser.copy();
            for page in ["/account", "/admin/page"] {
                assert_ne!(both.get(page).await.status(), 200, "{first} {page}");
            }
            browser.post("/admin/logout").await;
            assert_ne!(one.get("/admin/page").await.status(), 200, "{first}");
        }
    }
}

#[actix_web::test]
async fn a_session_whose_login_ended_by_itself_stays_the_same_session() {
    for site in Site::both().await {
        let browser = site.browser();
        browser.post("/login/1").await;
        browser.post("/cart/pear").await;
        site.everybody.end_all_of::<User>(&1).await.unwrap();
        let before = browser.copy();
        assert_eq!(name_of(&browser).await, "nobody");
        assert_eq!(cart_of(&browser).await.as_deref(), Some("pear"));
        // Another log in makes a new session, and the old one is over.
        browser.post("/login/1").await;
        assert_eq!(cart_of(&before).await, None, "{}", site.kind());
        assert_eq!(before.post("/cart/plum").await.status(), 409);
    }
}

/// A world whose login store tells about a session and its login at once.
async fn together() -> World {
    let world = World::open(Place::COOKIE, Options::default()).await;
    world.logins.check_together();
    world
}

#[actix_web::test]
async fn a_record_that_was_found_with_its_session_is_not_looked_for_again() {
    use crate::world::Call;
    let world = together().await;
    let browser = world.logged_in(1).await;
    world.logins.calls();
    for page in ["/account", "/me", "/who"] {
        assert_eq!(browser.get(page).await.status(), 200);
        assert_eq!(world.logins.calls(), [Call::Find], "{page}");
    }
}

#[actix_web::test]
async fn a_record_that_was_found_before_a_request_waited_is_looked_for_again() {
    let world = together().await;
    let browser = world.logged_in(1).await;
    let key = world.everybody().of::<User>(&1).await.unwrap()[0].key;
    let gate = world.gates.close("read");
    let (answer, ended) = while_waiting(&gate, browser.get("/late-me").into_future(), async {
        // As another process does.
        world.logins.end(key).await.unwrap()
    })
    .await;
    assert!(ended);
    assert_eq!(answer.text(), "nobody");
}

#[actix_web::test]
async fn a_request_that_ends_its_own_login_has_none_at_once() {
    async fn end_and_ask(auth: Auth<User>, everybody: Data<Logins>) -> Result<String, LoginError> {
        everybody.end_all_of::<User>(&1).await?;
        let user = auth.current_user().await?;
        Ok(user.user().map_or("nobody", |user| &user.name).to_owned())
    }
    let users = Users::new();
    let probe = Probe::new(LoginsThere::Memory(Box::default()));
    probe.check_together();
    let builder = manager_base(&users).0.login_store(probe);
    let manager = builder.build(key()).unwrap();
    let everybody = Data::new(manager.logins().unwrap());
    let app = app(manager, |routes| {
        routes.app_data(everybody);
        gated_pages(routes, users, Gates::default());
        routes.route("/end-and-ask", web::post().to(end_and_ask));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    assert_eq!(name_of(&browser).await, "ada");
    assert_eq!(browser.post("/end-and-ask").await.text(), "nobody");
}
