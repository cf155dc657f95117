//! The golden list: what happens to a login, and exactly which events tell of it, with all their fields.
//!
//! The list is `golden_events.txt`. If a change of it is intended, run this test with `UPDATE_EVENTS=1` and
//! read the difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    sync::{Arc, Mutex},
};

use actix_session::{Session, storage::SessionStore};
use actix_web::{
    App as ActixApp, Error, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Compat, Next, from_fn},
    test::init_service,
    web::{self, Data, Path as Segment, ServiceConfig},
};
use login_runtime::{
    Auth, AuthUser, CookieSettings, MemoryLoginStore,
    audit_trail::{AuditTrail, EventRecord, EventSink},
    config::{LoginManagerBuilder, SessionProtection},
    events::LoginEvent,
    guards::Condition,
    login_required,
    password::{PasswordError, PasswordVerifier},
    store::{MaxLogins, StoreError},
    test::{Browser, TestClock},
    throttle::{ThrottleError, TryLimit, attempt},
};
use login_tests::{User, Users, app, key, manager, manager_base};
use tokio::sync::Semaphore;
use tracing::subscriber::DefaultGuard;

use crate::{
    events::Log,
    world::{App, DAY, HOUR, MINUTE, REMEMBER, SESSION, pages},
};

/// Every browser of this list.
const ADDRESS: [u8; 4] = [192, 0, 2, 7];
const AGENT: &str = "test/1";

/// What subscribers are told: the name, the user type, the user, and the login.
type Told = (String, Option<String>, Option<String>, Option<String>);

struct Golden {
    log: Log,
    _guard: DefaultGuard,
    told: Arc<Mutex<Vec<Told>>>,
    text: String,
    names: BTreeSet<String>,
    /// The hashes of one site, in the order in which they appear.
    hashes: Vec<String>,
}

impl Golden {
    fn start() -> Self {
        let (log, guard) = Log::start();
        Self {
            log,
            _guard: guard,
            told: Arc::default(),
            text: String::new(),
            names: BTreeSet::new(),
            hashes: Vec::new(),
        }
    }

    /// Has the events of this manager noted.
    fn watch<S: SessionStore + 'static>(
        &mut self,
        builder: LoginManagerBuilder<S>,
    ) -> LoginManagerBuilder<S> {
        fn note(told: &Mutex<Vec<Told>>, event: &LoginEvent<'_>) {
            let login = event.login().map(|hash| hash.to_string());
            told.lock().unwrap().push((
                event.name().to_owned(),
                event.user_type().map(str::to_owned),
                event.user_id().map(|id| id.into_owned()),
                login,
            ));
        }
        self.hashes.clear();
        let (inside, outside) = (Arc::clone(&self.told), Arc::clone(&self.told));
        builder
            .on_event(move |event, _| note(&inside, event))
            .on_maintenance(move |event| note(&outside, event))
    }

    /// Forgets what led up to a scenario.
    fn skip(&mut self) {
        // Its hashes count.
        let _ = self.take();
    }

    /// Adds what has happened since the last call to the list.
    fn add(&mut self, scenario: &str) {
        let lines = self.take();
        self.text += &format!("\n# {scenario}\n{}", lines.concat());
    }

    fn take(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let mut lines = self.log.take_fields();
        // Of the manager, when it is built.
        lines.retain(|(_, fields)| fields["event"] != "weak_setting");
        assert_eq!(lines.len(), told.len(), "{lines:#?}\n{told:#?}");
        let mut texts = Vec::new();
        for ((level, mut fields), (name, user_type, user, login)) in lines.into_iter().zip(told) {
            let mut field = |name: &str| fields.remove(name);
            assert_eq!(field("event"), Some(name.clone()));
            let same = [
                (field("user_type"), user_type, "user_type"),
                (field("user"), user, "user"),
                (field("login"), login, "login"),
            ];
            let client = (field("address"), field("user_agent"));
            field("message");
            if name == "logins_revoked" {
                assert_eq!(client, (None, None));
            } else {
                let expected = (Some("192.0.2.7".to_owned()), Some(AGENT.to_owned()));
                assert_eq!(client, expected, "{name}");
            }
            let mut text = format!("{level} {name}");
            for (logged, told, field) in same {
                assert_eq!(logged, told, "{name} {field}");
                if let Some(value) = logged {
                    text += &format!(" {field}={}", self.label(field, value));
                }
            }
            for (field, value) in fields {
                text += &format!(" {field}={}", self.label(&field, value));
            }
            texts.push(text + "\n");
            self.names.insert(name);
        }
        texts
    }

    /// The name of a hash in the list. Other values stay as they are.
    fn label(&mut self, field: &str, value: String) -> String {
        if !matches!(field, "login" | "ended" | "continues" | "account") {
            return value;
        }
        let known = self.hashes.iter().position(|hash| *hash == value);
        let at = known.unwrap_or_else(|| {
            self.hashes.push(value);
            self.hashes.len() - 1
        });
        format!("#{}", at + 1)
    }
}

fn browser<S: App>(app: &S) -> Browser<'_, S> {
    let browser = Browser::new(app);
    browser.set_address(ADDRESS);
    browser.set_user_agent(AGENT);
    browser
}

fn with_store(users: &Users) -> (LoginManagerBuilder, TestClock) {
    let (builder, clock) = manager_base(users);
    (builder.login_store(MemoryLoginStore::new()), clock)
}

/// The application of most scenarios.
async fn site<S: SessionStore + 'static>(
    golden: &mut Golden,
    builder: LoginManagerBuilder<S>,
    users: &Users,
) -> impl App + use<S> {
    let builder = golden.watch(builder).refresh_view("/refresh");
    let users = users.clone();
    app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users);
        routes.route("/forbidden", web::get().to(forbidden));
        routes.route("/never", web::get().to(never));
    })
    .await
}

async fn forbidden(auth: Auth<User>) -> Result<HttpResponse, Error> {
    auth.require_login().await?;
    Ok(auth.forbidden().await.into_response())
}

async fn never(auth: Auth<User>) -> Result<&'static str, Error> {
    let never = Condition::check(|_: &User| false);
    auth.require(never).await?;
    Ok("never shown")
}

/// Log in, confirm and log out, and what is refused on the way.
async fn from_log_in_to_log_out(golden: &mut Golden) {
    let users = Users::new();
    let builder = with_store(&users).0.max_logins(MaxLogins::Refuse(2));
    let app = site(golden, builder, &users).await;
    let here = browser(&app);

    here.get("/account").await;
    golden.add("an anonymous client asks for a page of users");
    here.post("/login/3").await;
    golden.add("an inactive user logs in");
    here.post("/confirm/1").await;
    golden.add("an anonymous client confirms a login");
    here.post("/login/1?stale=true").await;
    golden.add("a user logs in");
    here.get("/account").await;
    golden.add("a user asks for a page of users");
    here.get("/settings").await;
    golden.add("a user with a stale login asks for a page that needs a fresh one");
    here.post("/confirm/2").await;
    golden.add("a user confirms a login with the credentials of another");
    users.change(1, |user| user.is_active = false);
    here.post("/confirm/1").await;
    golden.add("a user who has become inactive confirms a login");
    users.change(1, |user| user.is_active = true);
    here.post("/login/1?stale=true").await;
    golden.skip();
    here.post("/confirm/1").await;
    golden.add("a user confirms a login");
    let forged = here.post("/logout").header("origin", "https://evil.test");
    forged.header("sec-fetch-site", "cross-site").await;
    golden.add("a page of another site logs a user out");
    here.get("/forbidden").await;
    golden.add("a handler refuses a user");
    here.get("/never").await;
    golden.add("a condition refuses a user");
    here.post("/login/1").await;
    golden.add("a user logs in again in the same browser");
    here.post("/login/2").await;
    golden.add("another user logs in in the same browser");
    here.post("/logout").await;
    golden.add("a user logs out");
    here.post("/logout").await;
    golden.add("an anonymous client logs out");
    for _ in 0..2 {
        browser(&app).post("/login/1").await;
    }
    golden.skip();
    assert_eq!(browser(&app).post("/login/1").await.status(), 403);
    golden.add("a user logs in who has as many logins as are allowed");
}

/// Ends of logins.
async fn ends(golden: &mut Golden) {
    let users = Users::new();
    let (builder, clock) = with_store(&users);
    let builder = builder.max_logins(MaxLogins::EndOldest(3));
    let builder = golden.watch(builder);
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = {
        let users = users.clone();
        app(manager, |routes| pages(routes, users)).await
    };

    let (here, there) = (browser(&app), browser(&app));
    there.post("/login/1").await;
    let chosen = logins.of::<User>(&1).await.unwrap()[0].key;
    here.post("/login/1").await;
    golden.skip();
    here.post(&format!("/end/{chosen}")).await;
    golden.add("a user ends one login in a list of devices");
    here.post(&format!("/end/{chosen}")).await;
    golden.add("a user ends a login that has ended");
    there.get("/me").await;
    golden.add("a browser comes back whose login has ended");
    there.post("/login/1").await;
    golden.skip();
    here.post("/end-others").await;
    golden.add("a user ends all other logins");
    for _ in 0..2 {
        browser(&app).post("/login/1").await;
    }
    golden.skip();
    browser(&app).post("/login/1").await;
    golden.add("a user logs in in one browser more than the limit allows");

    let here = browser(&app);
    here.post("/login/1?remember=true").await;
    golden.skip();
    here.post("/change/current").await;
    golden.add("a remembered user changes the password and stays logged in");
    here.get("/me").await;
    here.post("/logout").await;
    golden.add("that user logs out");
    here.post("/login/1").await;
    golden.skip();
    here.post("/change/none").await;
    golden.add("a user changes the password and is logged out everywhere");
    here.get("/me").await;
    golden.add("that user comes back");

    here.post("/login/1").await;
    golden.skip();
    users.change(1, |user| user.hash.push('!'));
    here.get("/me").await;
    golden.add("a user comes back whose password was changed elsewhere");
    here.post("/login/1").await;
    golden.skip();
    clock.advance(HOUR);
    here.get("/me").await;
    golden.add("a user comes back after the idle limit");
    here.post("/login/2").await;
    golden.skip();
    users.change(2, |user| user.is_active = false);
    here.get("/account").await;
    golden.add("a user comes back who has become inactive");
    users.change(2, |user| user.is_active = true);
    here.post("/login/2").await;
    golden.skip();
    users.delete(2);
    here.get("/me").await;
    golden.add("a user comes back who was deleted");

    here.post("/login/1").await;
    golden.skip();
    let key = logins.of::<User>(&1).await.unwrap()[0].key;
    assert!(logins.end(key).await.unwrap());
    golden.add("the application ends one login");
    assert!(!logins.end(key).await.unwrap());
    golden.add("the application ends a login that has ended");
    here.post("/login/1").await;
    golden.skip();
    logins.end_all_of::<User>(&1).await.unwrap();
    golden.add("the application ends all logins of a user");
    here.post("/login/1").await;
    golden.skip();
    logins.end_all().await.unwrap();
    golden.add("the application ends all logins");
    logins.purge(100).await.unwrap();
    golden.add("the application purges old logins");
    users.set_down(true);
    here.post("/login/1").await;
    golden.skip();
    here.get("/account").await;
    golden.add("the users cannot be loaded");
}

/// Remember cookies.
async fn remembered(golden: &mut Golden) {
    let users = Users::new();
    let (builder, clock) = with_store(&users);
    let app = site(golden, builder.max_logins(MaxLogins::Refuse(2)), &users).await;
    let here = browser(&app);
    here.post("/login/1?remember=true").await;
    golden.add("a user logs in and wants to be remembered");
    here.drop_cookie(SESSION);
    here.get("/me").await;
    golden.add("a browser comes back after its session");
    here.set_cookie(REMEMBER, "forged");
    here.drop_cookie(SESSION);
    here.get("/me").await;
    golden.add("a client has a forged remember cookie");

    let here = browser(&app);
    here.post("/logout").await;
    here.post("/login/2?remember=true").await;
    here.drop_cookie(SESSION);
    let thief = here.copy();
    golden.skip();
    users.change(2, |user| user.is_active = false);
    here.get("/me").await;
    golden.add("a remembered user comes back who has become inactive");
    thief.get("/me").await;
    golden.add("a copy of that cookie is used");
    users.change(2, |user| user.is_active = true);

    here.post("/login/2?remember=true").await;
    here.drop_cookie(SESSION);
    let thief = here.copy();
    for _ in 0..3 {
        clock.advance(DAY);
        here.drop_cookie(SESSION);
        here.get("/me").await;
    }
    clock.advance(HOUR);
    golden.skip();
    thief.get("/me").await;
    golden.add("a remember token is used that its browser has replaced");
    here.get("/me").await;
    golden.add("its owner comes back");

    let here = browser(&app);
    here.post("/login/2?remember=true").await;
    here.restart();
    clock.advance(13 * HOUR);
    for _ in 0..2 {
        browser(&app).post("/login/2").await;
    }
    golden.skip();
    here.get("/me").await;
    golden.add("a remember cookie would restore one login more than is allowed");
}

/// Logins that are kept in the session only.
async fn without_a_store(golden: &mut Golden) {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let loads = users.clone();
    let builder = builder.request_loader(move |request: &HttpRequest| {
        let id = request.headers().get("x-api-key");
        let user = id.and_then(|id| loads.get(id.to_str().ok()?.parse().ok()?));
        async move { Ok::<_, String>(user) }
    });
    let app = site(golden, builder, &users).await;
    let here = browser(&app);
    here.post("/login/1").await;
    golden.add("without a login store: a user logs in");
    here.post("/login/2").await;
    golden.add("without a login store: another user logs in in the same browser");
    users.change(2, |user| user.hash.push('!'));
    here.get("/me").await;
    golden.add("without a login store: a user comes back whose password was changed");
    here.post("/login/1?for=60").await;
    here.drop_cookie(SESSION);
    clock.advance(MINUTE);
    golden.skip();
    here.get("/me").await;
    golden.add("without a login store: a remember cookie comes back that is over");
    here.get("/me").header("x-api-key", "1").await;
    golden.add("a request has an API key");
}

/// Logins that another client uses.
async fn protected(golden: &mut Golden) {
    for (mode, how) in [
        (SessionProtection::Basic, "becomes stale"),
        (SessionProtection::Strong, "ends"),
    ] {
        let users = Users::new();
        let builder = with_store(&users).0.session_protection(mode);
        let app = site(golden, builder, &users).await;
        let owner = Browser::new(&app);
        owner.set_address([198, 51, 100, 1]);
        owner.set_user_agent("owner/1");
        owner.post("/login/1").await;
        // Another client than that of the list.
        golden.told.lock().unwrap().clear();
        golden.log.take_fields();
        let other = owner.copy();
        other.set_address(ADDRESS);
        other.set_user_agent(AGENT);
        other.get("/me").await;
        golden.add(&format!("another client uses a login, which {how}"));
    }
}

/// A user with a password.
#[derive(AuthUser, Clone, Debug)]
struct Person {
    #[auth(id)]
    name: String,
    #[auth(password_hash)]
    hash: Option<String>,
}

async fn verify(
    auth: Auth<Person>,
    name: Segment<String>,
    typed: String,
    passwords: Data<PasswordVerifier>,
) -> Result<HttpResponse, Error> {
    let person = (*name == "ada").then(|| Person {
        name: name.clone(),
        hash: Some("$plain$right".to_owned()),
    });
    Ok(match passwords.verify(&auth, &name, person, &typed).await {
        Ok(Some(user)) => {
            auth.log_in(user).await?;
            HttpResponse::Ok().finish()
        }
        Ok(None) => HttpResponse::BadRequest().finish(),
        Err(PasswordError::Throttled { .. }) => HttpResponse::ImATeapot().finish(),
        Err(error) => return Err(error.into()),
    })
}

async fn code(auth: Auth<Person>, typed: String) -> Result<HttpResponse, Error> {
    let check = async || Ok::<_, ThrottleError>((typed == "123456").then_some(()));
    let right = attempt(&auth, "one-time code", "ada", check).await?;
    Ok(match right {
        Some(()) => HttpResponse::Ok().finish(),
        None => HttpResponse::BadRequest().finish(),
    })
}

/// Passwords and codes.
async fn guesses(golden: &mut Golden) {
    let check = |password: &str, stored: &str| {
        Ok::<_, String>(stored.strip_prefix("$plain$") == Some(password))
    };
    let passwords = PasswordVerifier::new().costs(8, 1, 1).unwrap();
    let passwords = passwords.foreign_hashes(|it| it.starts_with("$plain$"), "$plain$", check);
    let passwords = Data::new(passwords.unwrap());
    let find = async |name: String| Ok::<_, String>(Some(Person { name, hash: None }));
    let one = login_runtime::throttle::Throttle::new().per_account_and_client(TryLimit::new(1));
    let builder = login_runtime::LoginManager::builder(find)
        .login_store(MemoryLoginStore::new())
        .clock(TestClock::at(login_tests::START))
        .throttle(one);
    let manager = golden.watch(builder).build(key()).unwrap();
    let app = app(manager, |routes: &mut ServiceConfig| {
        routes
            .app_data(passwords)
            .route("/verify/{name}", web::post().to(verify))
            .route("/code", web::post().to(code));
    })
    .await;
    let here = browser(&app);
    let say = async |path: &str, typed: &str| here.post(path).body(typed.to_owned()).await.status();
    assert_eq!(say("/verify/ada", "wrong").await, 400);
    golden.add("a password is wrong");
    assert_eq!(say("/verify/ada", "right").await, 418);
    golden.add("there were too many wrong passwords");
    assert_eq!(say("/verify/nobody", "right").await, 400);
    golden.add("there is no such user");
    assert_eq!(say("/code", "654321").await, 400);
    golden.add("a one-time code is wrong");
    assert_eq!(say("/code", "123456").await, 429);
    golden.add("there were too many wrong codes");
}

async fn pass_on(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    tokio::task::yield_now().await;
    next.call(request).await
}

/// Routes that declare nothing, and a session that the application purges.
async fn routes(golden: &mut Golden) {
    async fn page() -> impl Responder {
        "page"
    }
    async fn purge(session: Session) -> impl Responder {
        session.purge();
        "purged"
    }
    let users = Users::new();
    let builder = with_store(&users)
        .0
        .deny_by_default()
        .login_cookie(CookieSettings::new());
    let manager = golden.watch(builder).build(key()).unwrap();
    let declared = web::resource("/mine").wrap(login_required().user::<User>());
    let purging = web::resource("/purge").wrap(login_required().user::<User>());
    let app = init_service(
        ActixApp::new()
            .wrap(Compat::new(manager))
            .service(
                web::scope("/slow")
                    .wrap(from_fn(pass_on))
                    .service(declared.get(page)),
            )
            .service(purging.post(purge))
            .route("/undeclared", web::get().to(page)),
    )
    .await;
    let here = browser(&app);
    here.get("/undeclared").await;
    golden.add("an anonymous client asks for a page that declares nothing");
    here.log_in(User::new(1, "ada")).await;
    golden.skip();
    here.get("/slow/mine").await;
    golden.add("a user asks for a page whose declaration is hidden by middleware");
    let forged = here.post("/purge").header("sec-fetch-site", "cross-site");
    forged.header("origin", "https://evil.test").await;
    golden.add("a page of another site sends a request");
    here.post("/purge").await;
    golden.add("the application purges the session of a user");
}

/// Events that an audit trail could not store. They are logged by the thread of the trail.
async fn losses(golden: &mut Golden) {
    struct Hangs(Semaphore);
    impl EventSink for Hangs {
        async fn store_events(&self, _: &[EventRecord]) -> Result<(), StoreError> {
            self.0.acquire().await.map_err(StoreError::new)?.forget();
            Ok(())
        }
    }
    let sink = Arc::new(Hangs(Semaphore::new(0)));
    let trail = AuditTrail::new(Arc::clone(&sink)).capacity(2);
    let users = Users::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let builder = with_store(&users).0.audit_trail(trail.clone());
    let builder = builder.on_maintenance(move |event| {
        if let LoginEvent::EventsLost { events } = event {
            tell.lock().unwrap().push((event.name(), *events));
        }
    });
    let app = {
        let users = users.clone();
        app(builder.build(key()).unwrap(), |routes| pages(routes, users)).await
    };
    for _ in 0..200 {
        browser(&app).post("/login/1").await;
    }
    golden.log.take_fields();
    sink.0.add_permits(1_000);
    trail.flush().await.unwrap();
    let told = std::mem::take(&mut *told.lock().unwrap());
    let lost: u64 = told.iter().map(|(_, events)| events).sum();
    assert_eq!(lost, trail.lost());
    // How many were in the queue depends on the thread.
    assert!(lost >= 100, "{lost}");
    golden.names.insert(told[0].0.to_owned());
    golden.text += "\n# an audit trail loses events\nERROR events_lost events=..\n";
}

/// The names of all events, as the source has them.
fn all_names() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let source = fs::read_to_string(root.join("login-runtime/src/events.rs")).unwrap();
    let (_, rest) = source.split_once("fn name(&self) -> &'static str").unwrap();
    let names = rest.split_once("/// The user").unwrap().0.lines();
    let names: BTreeSet<_> = names
        .filter_map(|line| line.split_once("=> \"")?.1.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(names.len() > 20, "{names:?}");
    names
}

#[actix_web::test]
async fn everything_that_happens_to_a_login_is_told_as_the_golden_list_says() {
    let mut golden = Golden::start();
    from_log_in_to_log_out(&mut golden).await;
    ends(&mut golden).await;
    remembered(&mut golden).await;
    without_a_store(&mut golden).await;
    protected(&mut golden).await;
    guesses(&mut golden).await;
    routes(&mut golden).await;
    losses(&mut golden).await;

    // An event that no scenario causes has no row in the list.
    let missing: Vec<_> = all_names().difference(&golden.names).cloned().collect();
    assert_eq!(missing, [""; 0]);

    // Nor may the guide forget one.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = fs::read_to_string(root.join("login-runtime/src/guide/events.md")).unwrap();
    for name in &golden.names {
        assert!(guide.contains(&format!("\n| `{name}` | ")), "{name}");
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/golden_events.txt");
    if env::var_os("UPDATE_EVENTS").is_some() {
        fs::write(&path, &golden.text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differing = difference(&expected, &golden.text);
    assert!(differing.is_empty(), "{differing}");
}

/// The scenarios that differ, as expected and as they are.
fn difference(expected: &str, actual: &str) -> String {
    let rows = |text: &str| -> BTreeMap<String, String> {
        let rows = text.split("\n# ").skip(1);
        rows.map(|row| row.split_once('\n').unwrap_or((row, "")))
            .map(|(title, lines)| (title.to_owned(), lines.to_owned()))
            .collect()
    };
    let (expected, actual) = (rows(expected), rows(actual));
    let titles: BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    let differing = titles
        .into_iter()
        .filter(|title| expected.get(*title) != actual.get(*title));
    differing
        .map(|title| {
            let [before, now] = [&expected, &actual].map(|rows| rows.get(title));
            format!("\n# {title}\nexpected: {before:#?}\nactual: {now:#?}\n")
        })
        .collect()
}
