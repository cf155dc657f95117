//! User 2 of one type is never user 2 of another: two managers with one secret, and one store.
//!
//! Customers and employees have the same ids. Each has an application with its own manager.

use login_runtime::test::strict::{Rule, tolerate};
use std::sync::Arc;

use actix_session::{SessionMiddleware, storage::CookieSessionStore};
use actix_web::{
    Error,
    middleware::Compat,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, AuthUser, BuildError, CookieSettings, LoginError, LoginManager, MaybeUser,
    MemoryLoginStore, RememberCookie, Verified,
    config::LoginManagerBuilder,
    logins::Logins,
    store::{LoginKey, LoginStore},
    test::{Browser, TestClock},
};
use login_tests::{START, app, key, record_logins};

use crate::world::{App, BoxedApp, Place, Probe, ServerSessions};

/// A user type of these tests.
trait Person: AuthUser<Id = i64> {
    fn new(id: i64) -> Self;
}

macro_rules! people {
    ($($(#[$attribute:meta])? $name:ident)*) => {$(
        #[derive(AuthUser, Clone)]
        $(#[$attribute])?
        struct $name {
            id: i64,
        }

        impl Person for $name {
            fn new(id: i64) -> Self {
                Self { id }
            }
        }
    )*};
}

people! {
    Customer
    Employee
    #[auth(name = "Customer")] Namesake
}

async fn log_in<U: Person>(auth: Auth<U>, id: web::Path<i64>) -> Result<String, LoginError> {
    let user = Verified::trust(U::new(*id), "test");
    auth.log_in(user).remember(true).await?;
    Ok("in".to_owned())
}

async fn log_out<U: Person>(auth: Auth<U>) -> Result<String, LoginError> {
    auth.log_out().await?;
    Ok("out".to_owned())
}

async fn me<U: Person>(user: MaybeUser<U>) -> String {
    user.user()
        .map_or_else(|| "nobody".to_owned(), |user| user.get_id().to_string())
}

async fn devices<U: Person>(auth: Auth<U>) -> Result<String, LoginError> {
    Ok(auth.logins().await?.len().to_string())
}

async fn end<U: Person>(auth: Auth<U>, key: web::Path<LoginKey>) -> Result<String, Error> {
    let proof = auth.require_fresh_login().await?;
    Ok(auth.end_login(&proof, *key).await?.to_string())
}

fn pages<U: Person>(routes: &mut ServiceConfig) {
    routes
        .route("/login/{id}", web::post().to(log_in::<U>))
        .route("/logout", web::post().to(log_out::<U>))
        .route("/me", web::get().to(me::<U>))
        .route("/devices", web::get().to(devices::<U>))
        .route("/end/{key}", web::post().to(end::<U>));
}

fn builder<U: Person>() -> LoginManagerBuilder {
    let builder = LoginManager::builder(async |id| Ok::<_, String>(Some(U::new(id))));
    builder.clock(TestClock::at(START))
}

/// The stores that two applications share.
#[derive(Clone)]
struct Shared {
    place: Place,
    logins: Option<Probe>,
    sessions: Option<ServerSessions>,
}

/// Every combination of stores, with and without login records.
async fn everywhere() -> Vec<Shared> {
    let mut all = Vec::new();
    for place in Place::all() {
        let (logins, sessions) = place.open().await;
        let with_records = Shared {
            place,
            logins: Some(Probe::new(logins)),
            sessions,
        };
        // A login cookie without records is only possible with sessions in cookies.
        if !place.login_cookie || place.has_cookie_sessions() {
            all.push(Shared {
                logins: None,
                ..with_records.clone()
            });
        }
        all.push(with_records);
    }
    all
}

impl Shared {
    /// An application for users of one type, and the logins of its manager.
    async fn app<U: Person>(&self, realm: Option<&str>) -> (BoxedApp, Option<Logins>) {
        let mut builder = record_logins(builder::<U>(), self.logins.clone());
        if self.place.login_cookie {
            builder = builder.login_cookie(CookieSettings::new());
        }
        if let Some(realm) = realm {
            builder = builder.realm(realm);
        }
        match &self.sessions {
            None => serve::<U, _>(builder).await,
            Some(sessions) => serve::<U, _>(builder.session_store(sessions.clone())).await,
        }
    }
}

async fn serve<U, T>(builder: LoginManagerBuilder<T>) -> (BoxedApp, Option<Logins>)
where
    U: Person,
    T: actix_session::storage::SessionStore + 'static,
{
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins();
    let app = actix_service::boxed::service(app(manager, pages::<U>).await);
    (app, logins)
}

async fn name_at(browser: &Browser<'_, impl App>) -> String {
    browser.get("/me").await.text()
}

/// Logs user 2 in at one application, and shows each of the cookies to the other one, alone and together,
/// under their own names and under those that the other application uses.
async fn strangers(here: &BoxedApp, there: &BoxedApp) -> bool {
    let (owner, other) = (Browser::new(here), Browser::new(there));
    for browser in [&owner, &other] {
        assert_eq!(browser.post("/login/2").await.text(), "in");
    }
    let kind = |name: &str| {
        let kinds = ["session", "remember", "login"];
        *kinds.iter().find(|kind| name.contains(**kind)).unwrap()
    };
    let values: Vec<_> = owner.cookie_names();
    let mut are_strangers = true;
    // Each bit says whether the thief has one of the cookies.
    for chosen in 1..1 << values.len() {
        for renamed in [false, true] {
            let thief = Browser::new(there);
            for (position, name) in values.iter().enumerate() {
                if chosen >> position & 1 == 0 {
                    continue;
                }
                let value = owner.cookie(name).unwrap();
                let theirs = other.cookie_names();
                match theirs.iter().find(|theirs| kind(theirs) == kind(name)) {
                    Some(theirs) if renamed => thief.set_cookie(theirs, &value),
                    _ => thief.set_cookie(name, &value),
                }
            }
            are_strangers &= name_at(&thief).await == "nobody";
        }
    }
    // What was shown to the other application has ended nothing here.
    if are_strangers {
        for browser in [&owner, &other] {
            assert_eq!(name_at(browser).await, "2");
        }
    }
    are_strangers
}

#[actix_web::test]
async fn no_cookie_of_customer_2_makes_a_client_employee_2() {
    for shared in everywhere().await {
        let (customers, _) = shared.app::<Customer>(None).await;
        let (employees, _) = shared.app::<Employee>(None).await;
        let place = shared.place;
        assert!(strangers(&customers, &employees).await, "{place:?}");
        assert!(strangers(&employees, &customers).await, "{place:?}");
    }
}

#[actix_web::test]
async fn a_realm_separates_applications_that_call_their_users_the_same() {
    for shared in everywhere().await {
        let (shop, _) = shared.app::<Customer>(Some("shop")).await;
        let (office, _) = shared.app::<Namesake>(Some("office")).await;
        let (no_realm, _) = shared.app::<Namesake>(None).await;
        let place = shared.place;
        for (here, there) in [(&shop, &office), (&office, &shop), (&shop, &no_realm)] {
            assert!(strangers(here, there).await, "{place:?}");
        }
        assert!(strangers(&no_realm, &shop).await, "{place:?}");
        // As documented: without realms, the name of the type is all there is.
        let (same, _) = shared.app::<Customer>(None).await;
        assert!(!strangers(&same, &no_realm).await, "{place:?}");
    }
}

#[actix_web::test]
async fn lists_show_and_end_only_the_logins_of_their_own_user_type_and_realm() {
    for shared in everywhere().await {
        let (customers, Some(of_customers)) = shared.app::<Customer>(None).await else {
            continue;
        };
        let (employees, of_employees) = shared.app::<Employee>(None).await;
        let (in_realm, of_realm) = shared.app::<Namesake>(Some("office")).await;
        let (of_employees, of_realm) = (of_employees.unwrap(), of_realm.unwrap());
        let browsers = [&customers, &employees, &in_realm].map(Browser::new);
        for browser in &browsers {
            assert_eq!(browser.post("/login/2").await.text(), "in");
            assert_eq!(browser.get("/devices").await.text(), "1");
        }
        let [customer, employee, namesake] = &browsers;
        let listed = of_employees.of::<Employee>(&2).await.unwrap();
        let [login] = &listed[..] else {
            panic!("{listed:?}");
        };
        // The key of an employee's login, used by customers and in another realm.
        let ended = customer.post(&format!("/end/{}", login.key)).await;
        assert_eq!(ended.text(), "false");
        for others in [&of_customers, &of_realm] {
            assert!(!others.end(login.key).await.unwrap());
        }
        assert_eq!(of_customers.end_all_of::<Customer>(&2).await.unwrap(), 1);
        assert_eq!(name_at(customer).await, "nobody");
        assert_eq!(name_at(employee).await, "2");
        assert_eq!(name_at(namesake).await, "2");
        assert_eq!(of_realm.of::<Namesake>(&2).await.unwrap().len(), 1);
        assert_eq!(of_realm.end_all_of::<Namesake>(&2).await.unwrap(), 1);
        assert_eq!(name_at(namesake).await, "nobody");
        assert_eq!(name_at(employee).await, "2");
        assert!(of_employees.end(login.key).await.unwrap());
        assert_eq!(name_at(employee).await, "nobody");
    }
}

#[actix_web::test]
async fn a_session_that_two_managers_share_keeps_both_logins_apart() {
    let _known = tolerate(
        &[Rule::Prefix],
        "",
        "the application chose the cookie's name",
    );
    // The application's own session middleware has one key for both, whatever their realms are.
    let session = || SessionMiddleware::new(CookieSessionStore::default(), key());
    let (customers, employees) = (
        builder::<Customer>()
            .session_only()
            .session_middleware(session),
        builder::<Employee>()
            .session_only()
            .session_middleware(session),
    );
    let customers = app(customers.build(key()).unwrap(), pages::<Customer>).await;
    let employees = app(employees.build(key()).unwrap(), pages::<Employee>).await;
    let browser = Browser::new(&customers);
    browser.post("/login/2").await;
    browser.drop_cookie("__Host-remember");
    let there = browser.at(&employees);
    assert_eq!(name_at(&there).await, "nobody");
    assert_eq!(name_at(&browser).await, "2");
    there.post("/login/3").await;
    assert_eq!(name_at(&there).await, "3");
    let namesakes = builder::<Namesake>()
        .session_only()
        .realm("office")
        .session_middleware(session);
    let namesakes = app(namesakes.build(key()).unwrap(), pages::<Namesake>).await;
    assert_eq!(name_at(&browser.at(&namesakes)).await, "nobody");
}

/// Two managers around a scope, one inside the other.
async fn nested<U: Person, V: Person>(
    outer: LoginManagerBuilder,
    inner: LoginManagerBuilder,
) -> BoxedApp {
    let (outer, inner) = (outer.build(key()).unwrap(), inner.build(key()).unwrap());
    let inside = |routes: &mut ServiceConfig| {
        let scope = web::scope("/inner").wrap(Compat::new(inner));
        routes.configure(pages::<U>);
        routes.service(scope.configure(pages::<V>));
    };
    actix_service::boxed::service(app(outer, inside).await)
}

#[actix_web::test]
async fn two_managers_with_the_same_cookie_inside_each_other_are_an_error_that_says_so() {
    let named = |builder: LoginManagerBuilder, name: &str| {
        let settings = |kind: &str| CookieSettings::new().name(format!("{name}-{kind}"));
        builder
            .session_only()
            .session_cookie(settings("session"))
            .remember_cookie(RememberCookie::new().cookie(settings("remember")))
    };
    let same = "both have the cookie `__Host-remember`";
    for (outer, inner, why) in [
        (
            builder::<Customer>().session_only(),
            builder::<Employee>().session_only(),
            same,
        ),
        (
            builder::<Customer>().login_store(MemoryLoginStore::new()),
            builder::<Employee>().login_store(MemoryLoginStore::new()),
            same,
        ),
        (
            builder::<Customer>().session_only(),
            named(builder::<Employee>(), "inner").remember_cookie(RememberCookie::new()),
            same,
        ),
        (
            builder::<Customer>().session_only(),
            named(builder::<Employee>(), "inner").session_cookie(CookieSettings::new()),
            "both have the cookie `__Host-session`",
        ),
        // actix-session knows one session for each request, whatever their cookies are called.
        (
            builder::<Customer>().session_only(),
            named(builder::<Employee>(), "inner"),
            "a request has only one session, where one of them keeps its logins",
        ),
        (
            builder::<Customer>().session_only().realm("outer"),
            builder::<Employee>().session_only().realm("inner"),
            "a request has only one session, where one of them keeps its logins",
        ),
    ] {
        let app = nested::<Customer, Employee>(outer, inner).await;
        let browser = Browser::new(&app);
        for path in ["/inner/me", "/inner/me", "/inner/nowhere"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status(), 500, "{path}");
            let expected = format!(
                "a login manager for [\"it::user_types::Employee\"] is inside one for \
                 [\"it::user_types::Customer\"], and {why}; wrap the `App` in one manager that loads \
                 both: `.user_loader(..)`"
            );
            assert_eq!(answer.text(), expected);
        }
        assert_eq!(browser.post("/inner/login/2").await.status(), 500);
        // Outside of the inner one, all is well.
        assert_eq!(browser.post("/login/2").await.text(), "in");
        assert_eq!(name_at(&browser).await, "2");
    }
}

#[actix_web::test]
async fn a_manager_that_is_wrapped_twice_says_so() {
    let manager = builder::<Customer>().session_only().build(key()).unwrap();
    let again = manager.clone();
    let app = app(manager, |routes| {
        let scope = web::scope("/again").wrap(Compat::new(again));
        routes.service(scope.configure(pages::<Customer>));
        routes.configure(pages::<Customer>);
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/again/me").await;
    assert_eq!(answer.status(), 500);
    assert!(
        answer
            .text()
            .contains("and it is the same one, wrapped twice;"),
        "{}",
        answer.text()
    );
    assert_eq!(name_at(&browser).await, "nobody");
}

#[actix_web::test]
async fn managers_inside_each_other_whose_logins_have_their_own_cookies_get_along() {
    let own =
        |builder: LoginManagerBuilder| builder.session_only().login_cookie(CookieSettings::new());
    let app = nested::<Customer, Employee>(
        own(builder::<Customer>()),
        own(builder::<Employee>()).realm("office"),
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/2").await;
    browser.post("/inner/login/3").await;
    assert_eq!(name_at(&browser).await, "2");
    assert_eq!(browser.get("/inner/me").await.text(), "3");
    browser.post("/logout").await;
    assert_eq!(name_at(&browser).await, "nobody");
    assert_eq!(browser.get("/inner/me").await.text(), "3");
}

#[track_caller]
fn refused(builder: LoginManagerBuilder, expected: &str) -> BuildError {
    let error = builder.session_only().build(key()).expect_err(expected);
    assert_eq!(error.to_string(), expected);
    error
}

#[test]
fn two_user_types_of_one_manager_with_the_same_name_do_not_build() {
    let error = refused(
        builder::<Customer>().user_loader(async |id| Ok::<_, String>(Some(Namesake { id }))),
        "`it::user_types::Customer` and `it::user_types::Namesake` are both called `Customer`; \
         give one of them another name: `#[auth(name = \"..\")]`",
    );
    assert!(matches!(
        error,
        BuildError::SameName {
            name: "Customer",
            ..
        }
    ));
}

#[test]
fn a_name_by_hand_that_no_cookie_can_contain_does_not_build() {
    struct ByHand<const CASE: usize>;
    const NAMES: [&str; 5] = ["", "a b", "shop/user", "\u{fc}ser", "x;Domain=evil.test"];
    impl<const CASE: usize> AuthUser for ByHand<CASE> {
        const NAME: &'static str = NAMES[CASE];
        type Id = i64;
        fn get_id(&self) -> i64 {
            7
        }
    }
    fn check<const CASE: usize>() {
        let builder = LoginManager::builder(async |_| Ok::<_, String>(Some(ByHand::<CASE>)));
        let error = refused(
            builder,
            &format!(
                "`{}` is called {:?}; a name has 1 to 32 ASCII letters, digits, `-` and `_`",
                std::any::type_name::<ByHand<CASE>>(),
                NAMES[CASE],
            ),
        );
        assert!(matches!(error, BuildError::UserName { .. }));
    }
    check::<0>();
    check::<1>();
    check::<2>();
    check::<3>();
    check::<4>();
}

#[test]
fn a_realm_that_no_cookie_can_contain_does_not_build() {
    let longest = "x".repeat(32);
    for realm in ["", "a b", "a.b", "a/b", "\u{fc}", &format!("{longest}x")] {
        refused(
            builder::<Customer>().realm(realm),
            "`realm` is not a name; use 1 to 32 ASCII letters, digits, `-` and `_`",
        );
    }
    let fits = builder::<Customer>().session_only().realm(longest);
    assert!(fits.build(key()).is_ok());
}

#[actix_web::test]
async fn the_cookies_of_a_realm_have_their_own_names() {
    let _known = tolerate(
        &[Rule::Prefix],
        "",
        "the application chose the cookie's name",
    );
    let builder = builder::<Customer>()
        .session_only()
        .realm("shop")
        .login_cookie(CookieSettings::new())
        .user_loader(async |id| Ok::<_, String>(Some(Employee { id })));
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.configure(pages::<Customer>);
        routes.service(web::scope("/staff").configure(pages::<Employee>));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/2").await;
    browser.post("/staff/login/3").await;
    let mut names = browser.cookie_names();
    names.sort();
    assert_eq!(
        names,
        [
            "__Host-shop.login",
            "__Host-shop.login-Employee",
            "__Host-shop.remember",
            "__Host-shop.remember-Employee",
        ]
    );
    // A name of the application's own stays as it is.
    let own = CookieSettings::new().name("sid");
    let builder = self::builder::<Customer>();
    let manager = builder.session_only().realm("shop").session_cookie(own);
    let app = login_tests::app(manager.build(key()).unwrap(), pages::<Customer>).await;
    let browser = Browser::new(&app);
    browser.post("/login/2").await;
    assert!(browser.cookie("sid").is_some());
}

/// A record that says whose it is, but under a key that another user type's cookie names.
#[actix_web::test]
async fn a_record_of_another_user_type_is_nobodys() {
    let store = Arc::new(MemoryLoginStore::new());
    let customers = builder::<Customer>().login_store(Arc::clone(&store));
    let manager = customers.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = app(manager, pages::<Customer>).await;
    let browser = Browser::new(&app);
    browser.post("/login/2").await;
    browser.drop_cookie("__Host-remember");
    assert_eq!(name_at(&browser).await, "2");
    let login = logins.of::<Customer>(&2).await.unwrap().remove(0);
    let mut record = store.find(login.key, START).await.unwrap().unwrap();
    assert_eq!(record.user_type, "Customer");
    store.end(login.key).await.unwrap();
    for user_type in ["Employee", "shop/Customer", "Customers", "customer", ""] {
        user_type.clone_into(&mut record.user_type);
        store.insert(login.key, &record, None, START).await.unwrap();
        assert_eq!(name_at(&browser.copy()).await, "nobody", "{user_type}");
        store.end(login.key).await.unwrap();
    }
    record.user_type = "Customer".to_owned();
    store.insert(login.key, &record, None, START).await.unwrap();
    assert_eq!(name_at(&browser).await, "2");
}
