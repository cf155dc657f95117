//! A user who gets another password is out everywhere at the next request, however often the password of
//! before was compared.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use actix_service::boxed::{self, BoxService};
use actix_web::{
    Error,
    body::BoxBody,
    dev::ServiceResponse,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, AuthUser, CookieSettings, LoginError, LoginManager, MaybeUser, MemoryLoginStore,
    Verified,
    config::LoginManagerBuilder,
    store::{LoginOwner, LoginStore},
    test::{Browser, Request},
};
use login_tests::{User, Users, app, key_of, manager_base, record_logins};

use crate::world::{
    BoxedApp, Options, REMEMBER, World, name_of, on_every_session_store, on_every_store, site,
};

/// Asks for a page so often that everything about the login is known.
async fn ask_often(browsers: &[&Browser<'_, BoxedApp>], name: &str) {
    for _ in 0..4 {
        for browser in browsers {
            assert_eq!(name_of(browser).await, name);
            assert_eq!(browser.get("/account").await.status(), 200);
        }
    }
}

fn set_hash(users: &Users, id: i64, hash: &str) {
    users.change(id, |user| hash.clone_into(&mut user.hash));
}

async fn another_password_ends_logins(world: &World) {
    let node = world.parts().node().await;
    let (phone, laptop, ben) = (
        world.logged_in(1).await,
        world.remembered(1).await,
        world.logged_in(2).await,
    );
    ask_often(&[&phone, &laptop], "ada").await;
    ask_often(&[&ben], "ben").await;
    // Another process has asked as often.
    let (elsewhere, copy) = (laptop.copy(), laptop.copy());
    ask_often(&[&elsewhere.at(&node)], "ada").await;

    set_hash(&world.users, 1, "another");
    assert_eq!(phone.get("/account").await.status(), 303, "{world:?}");
    assert_eq!(name_of(&phone).await, "nobody");
    assert_eq!(name_of(&copy.at(&node)).await, "nobody");
    assert_eq!(name_of(&laptop).await, "nobody");
    laptop.restart();
    assert_eq!(name_of(&laptop).await, "nobody", "{REMEMBER}");
    ask_often(&[&ben], "ben").await;

    // A new login is made with the new password, and the old one does not come back with it.
    let new = world.logged_in(1).await;
    ask_often(&[&new], "ada").await;
    assert_eq!(name_of(&phone).await, "nobody");
}

#[actix_web::test]
async fn a_new_password_logs_other_browsers_out_at_their_next_request() {
    on_every_store(Options::default(), another_password_ends_logins).await;
}

#[actix_web::test]
async fn a_new_password_logs_other_browsers_out_without_a_login_store_too() {
    on_every_session_store(Options::default(), another_password_ends_logins).await;
}

/// A thief sets a password, and the user takes it back: the thief's login was made with the thief's.
async fn a_password_that_was_taken_back(world: &World) {
    let hash = world.users.get(1).unwrap().hash;
    let user = world.logged_in(1).await;
    ask_often(&[&user], "ada").await;
    set_hash(&world.users, 1, "of the thief");
    let thief = world.logged_in(1).await;
    ask_often(&[&thief], "ada").await;
    set_hash(&world.users, 1, &hash);
    assert_eq!(thief.get("/account").await.status(), 303, "{world:?}");
    assert_eq!(name_of(&thief).await, "nobody");
    let user = world.logged_in(1).await;
    ask_often(&[&user], "ada").await;
}

#[actix_web::test]
async fn a_password_that_was_taken_back_ends_the_logins_that_were_made_with_it() {
    on_every_store(Options::default(), a_password_that_was_taken_back).await;
    on_every_session_store(Options::default(), a_password_that_was_taken_back).await;
}

#[actix_web::test]
async fn one_user_with_the_password_of_another_is_still_another() {
    on_every_store(Options::default(), async |world| {
        let hash = world.users.get(1).unwrap().hash;
        set_hash(&world.users, 2, &hash);
        let (ada, ben) = (world.logged_in(1).await, world.logged_in(2).await);
        ask_often(&[&ada], "ada").await;
        ask_often(&[&ben], "ben").await;
        set_hash(&world.users, 2, "another");
        assert_eq!(name_of(&ben).await, "nobody");
        ask_often(&[&ada], "ada").await;
    })
    .await;
}

/// Where logins are in the tests with several keys.
#[derive(Clone, Debug)]
struct Kept {
    logins: Option<Arc<MemoryLoginStore>>,
    login_cookie: bool,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cookie = self.login_cookie;
        write!(
            f,
            "records: {}, login cookie: {cookie}",
            self.logins.is_some()
        )
    }
}

impl Kept {
    fn all() -> impl Iterator<Item = Self> {
        [(false, false), (false, true), (true, false), (true, true)]
            .into_iter()
            .map(|(with_store, login_cookie)| Self {
                logins: with_store.then(|| Arc::new(MemoryLoginStore::new())),
                login_cookie,
            })
    }

    /// The application with these keys, the current one first.
    async fn start(&self, users: &Users, keys: &[u8]) -> BoxedApp {
        let (first, older) = keys.split_first().unwrap();
        let mut builder = record_logins(manager_base(users).0, self.logins.clone())
            .fallback_keys(older.iter().map(|key| key_of(*key)));
        if self.login_cookie {
            builder = builder.login_cookie(CookieSettings::new());
        }
        let manager = builder.build(key_of(*first)).unwrap();
        boxed::service(site(manager, users).await)
    }
}

#[actix_web::test]
async fn a_new_password_is_noticed_while_the_key_changes() {
    for kept in Kept::all() {
        let users = Users::new();
        let first = kept.start(&users, &[1]).await;
        let (one, other, ben) = (
            Browser::new(&first),
            Browser::new(&first),
            Browser::new(&first),
        );
        one.post("/login/1").await;
        other.post("/login/1").await;
        ben.post("/login/2").await;
        ask_often(&[&one, &other], "ada").await;

        // Both keys have compared the hash often.
        let second = kept.start(&users, &[2, 1]).await;
        let (one, other, ben) = (one.at(&second), other.at(&second), ben.at(&second));
        let new = Browser::new(&second);
        new.post("/login/1").await;
        ask_often(&[&one, &other, &new], "ada").await;
        ask_often(&[&ben], "ben").await;
        set_hash(&users, 1, "another");
        for browser in [&one, &other, &new] {
            assert_eq!(name_of(browser).await, "nobody", "{kept}");
        }
        ask_often(&[&ben], "ben").await;
    }
}

#[actix_web::test]
async fn a_login_under_a_key_that_was_removed_is_not_good_because_its_user_is_known() {
    for kept in Kept::all() {
        let users = Users::new();
        let (first, second) = (
            kept.start(&users, &[1]).await,
            kept.start(&users, &[2]).await,
        );
        let (old, new) = (Browser::new(&first), Browser::new(&second));
        old.post("/login/1").await;
        new.post("/login/1").await;
        ask_often(&[&old, &new], "ada").await;
        for browser in [old.copy().at(&second), new.copy().at(&first)] {
            assert_eq!(name_of(&browser).await, "nobody", "{kept}");
        }
    }
}

#[actix_web::test]
async fn managers_with_different_keys_keep_different_fingerprints_of_the_same_hash() {
    let (users, store) = (Users::new(), Arc::new(MemoryLoginStore::new()));
    let kept = Kept {
        logins: Some(Arc::clone(&store)),
        login_cookie: false,
    };
    for key in [1, 2, 3, 1] {
        let app = kept.start(&users, &[key]).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        ask_often(&[&browser], "ada").await;
    }
    let owner = LoginOwner {
        user_type: "User",
        user_id: "1",
    };
    let logins = store.list(owner, login_tests::START).await.unwrap();
    let hashes: Vec<_> = logins.into_iter().map(|(_, login)| login.hash).collect();
    assert_eq!((hashes.len(), hashes.contains(&None)), (4, false));
    assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), 3);
}

macro_rules! people {
    ($($name:ident)*) => {$(
        #[derive(AuthUser, Clone)]
        struct $name {
            id: i64,
            #[auth(session_hash)]
            hash: String,
        }

        impl Person for $name {
            fn new(id: i64, hash: String) -> Self {
                Self { id, hash }
            }
        }
    )*};
}

/// A user type of which the hash of each user can be set.
trait Person: AuthUser<Id = i64> {
    fn new(id: i64, hash: String) -> Self;
}

people!(Customer Employee);

type Hash = Arc<Mutex<String>>;

async fn log_in<U: Person>(auth: Auth<U>, hash: web::Data<Hash>) -> Result<String, LoginError> {
    let hash = hash.lock().unwrap().clone();
    auth.log_in(Verified::trust(U::new(1, hash), "test"))
        .await?;
    Ok("in".to_owned())
}

async fn is_known<U: Person>(user: MaybeUser<U>) -> String {
    user.is_authenticated().to_string()
}

fn pages(routes: &mut ServiceConfig, hash: Hash) {
    routes
        .app_data(web::Data::new(hash))
        .route("/customer", web::post().to(log_in::<Customer>))
        .route("/customer", web::get().to(is_known::<Customer>))
        .route("/employee", web::post().to(log_in::<Employee>))
        .route("/employee", web::get().to(is_known::<Employee>));
}

#[actix_web::test]
async fn user_types_keep_different_fingerprints_of_the_same_hash() {
    let (hash, store) = (Hash::default(), Arc::new(MemoryLoginStore::new()));
    let loaded = Arc::clone(&hash);
    let customers = move |id| {
        let hash = loaded.lock().unwrap().clone();
        async move { Ok::<_, String>(Some(Customer::new(id, hash))) }
    };
    let loaded = Arc::clone(&hash);
    let employees = move |id| {
        let hash = loaded.lock().unwrap().clone();
        async move { Ok::<_, String>(Some(Employee::new(id, hash))) }
    };
    let builder: LoginManagerBuilder = LoginManager::builder(customers).user_loader(employees);
    let manager = builder.login_store(Arc::clone(&store)).build(key_of(1));
    let shared = Arc::clone(&hash);
    let app: BoxService<Request, ServiceResponse<BoxBody>, Error> =
        boxed::service(app(manager.unwrap(), |routes| pages(routes, shared)).await);
    let browser = Browser::new(&app);
    let are_known = async || {
        let (one, other) = (
            browser.get("/customer").await,
            browser.get("/employee").await,
        );
        [one.text(), other.text()].map(|known| known == "true")
    };
    for page in ["/customer", "/employee"] {
        assert_eq!(browser.post(page).await.text(), "in");
        are_known().await;
    }
    assert_eq!(are_known().await, [true, true]);
    let mut hashes = HashSet::new();
    for user_type in ["Customer", "Employee"] {
        let owner = LoginOwner {
            user_type,
            user_id: "1",
        };
        let logins = store.list(owner, 0).await.unwrap();
        assert_eq!(logins.len(), 1);
        hashes.extend(logins.into_iter().map(|(_, login)| login.hash.unwrap()));
    }
    assert_eq!(
        hashes.len(),
        2,
        "the user type is a part of the fingerprint"
    );
    "another".clone_into(&mut hash.lock().unwrap());
    assert_eq!(are_known().await, [false, false]);
}

/// More users than a manager keeps fingerprints of log in, one after the other, and ask again.
#[actix_web::test]
async fn users_stay_logged_in_when_there_are_more_than_are_kept() {
    const MANY: i64 = 5_000;
    let users = Users::default();
    (0..MANY).for_each(|id| users.put(User::new(id, &format!("user {id}"))));
    let kept = Kept {
        logins: None,
        login_cookie: true,
    };
    let app = kept.start(&users, &[1]).await;
    let mut browsers = Vec::new();
    for id in 0..MANY {
        let browser = Browser::new(&app);
        browser.post(&format!("/login/{id}")).await;
        browsers.push(browser);
    }
    for (id, browser) in browsers.iter().enumerate() {
        assert_eq!(name_of(browser).await, format!("user {id}"));
    }
    for id in [0, 1, MANY / 2, MANY - 2, MANY - 1] {
        set_hash(&users, id, "another");
        let browser = &browsers[usize::try_from(id).unwrap()];
        assert_eq!(name_of(browser).await, "nobody");
    }
    assert_eq!(name_of(&browsers[7]).await, "user 7");
}
