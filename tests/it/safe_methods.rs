//! GET, HEAD, OPTIONS and TRACE change no login, unless the application has declared that it may be so.

use std::{fmt::Debug, sync::Arc};

use actix_web::{
    Error, FromRequest as _, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorNotFound,
    guard::{Any, Get, Head},
    http::Method,
    middleware::{Compat, Next, from_fn},
    rt,
    test::init_service,
    web::{self, Data, Path},
};
use login_runtime::{
    Auth, CookieSettings, LoginError, LoginManager, MaybeUser, MemoryLoginStore, Verified,
    config::{LoginManagerBuilder, SessionProtection},
    guards::RefusedRequest,
    logins::{Keep, LoginInfo, Logins},
    password::PasswordVerifier,
    test::{Answer, Browser, TestClock},
};
use login_tests::{START, User, Users, key, manager, manager_base};

use crate::{
    events::Log,
    world::{App, DAY, Events, HOUR, REMEMBER, name_of, pages},
};

const SAFE: [Method; 4] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];

const CHANGING: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The calls that log a user in, or make a login fresh.
const BEGIN: [&str; 4] = ["log_in", "log_in_as_oneself", "remember", "confirm"];

/// The calls that only end logins. Those after the first need a login store.
const END: [&str; 6] = [
    "log_out",
    "end_login",
    "end_others",
    "end",
    "end_all_of",
    "end_all",
];

/// The calls after a change of credentials, which need a login store.
const CREDENTIALS: [&str; 2] = ["change", "change_and_leave"];

/// Where logins are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Session,
    LoginCookie,
    Store,
    StoreAndLoginCookie,
}

const EVERYWHERE: [Kept; 4] = [
    Kept::Session,
    Kept::LoginCookie,
    Kept::Store,
    Kept::StoreAndLoginCookie,
];

impl Kept {
    fn has_store(self) -> bool {
        matches!(self, Self::Store | Self::StoreAndLoginCookie)
    }

    fn builder(self, users: &Users) -> (LoginManagerBuilder, TestClock) {
        let (builder, clock) = match self.has_store() {
            true => {
                let (builder, clock) = manager_base(users);
                (builder.login_store(MemoryLoginStore::new()), clock)
            }
            false => manager(users),
        };
        let builder = match self {
            Self::Session | Self::Store => builder,
            Self::LoginCookie | Self::StoreAndLoginCookie => {
                builder.login_cookie(CookieSettings::new())
            }
        };
        (builder, clock)
    }

    /// The calls among these that work here.
    fn possible(self, calls: &[&'static str]) -> Vec<&'static str> {
        let needs_store = |call: &str| END[1..].contains(&call) || CREDENTIALS.contains(&call);
        let calls = calls.iter().copied();
        calls
            .filter(|call| self.has_store() || !needs_store(call))
            .collect()
    }
}

/// All calls.
fn all() -> Vec<&'static str> {
    [&BEGIN[..], &END, &CREDENTIALS].concat()
}

/// Makes the call that the path names, for a request of any method. Requests to `/checked/..` say that their
/// state was checked.
async fn make(
    auth: Auth<User>,
    path: Path<(String, String)>,
    users: Data<Users>,
    logins: Data<Option<Logins>>,
) -> Result<String, Error> {
    let (how, call) = path.into_inner();
    let verified = |id| {
        let user = Verified::trust(users.get(id).unwrap(), "test");
        match how.as_str() {
            "checked" => user.state_checked(),
            _ => user,
        }
    };
    let logins = || logins.as_ref().as_ref().unwrap();
    let own = async || {
        let logins = auth.logins().await.unwrap();
        logins.iter().find(|login| login.is_current).unwrap().key
    };
    match call.as_str() {
        "log_in" => drop(auth.log_in(verified(2)).await?),
        "log_in_as_oneself" => drop(auth.log_in(verified(1)).await?),
        "remember" => drop(auth.log_in(verified(1)).remember(true).await?),
        "confirm" => drop(auth.confirm_login(verified(1)).await?),
        "log_out" => auth.log_out().await?,
        "end_login" => {
            let proof = auth.require_fresh_login().await?;
            assert!(auth.end_login(&proof, own().await).await?);
        }
        "end_others" => {
            let proof = auth.require_fresh_login().await?;
            auth.end_other_logins(&proof).await?;
        }
        "change" => {
            let proof = auth.require_fresh_login().await?;
            let user = users.get(1).unwrap();
            auth.credentials_changed(&proof, user, Keep::Current)
                .await?;
        }
        "change_and_leave" => {
            let proof = auth.require_fresh_login().await?;
            let user = users.get(1).unwrap();
            auth.credentials_changed(&proof, user, Keep::None).await?;
        }
        "end" => assert!(logins().end(own().await).await?),
        "end_all_of" => drop(logins().end_all_of::<User>(&1).await?),
        "end_all" => drop(logins().end_all().await?),
        "end_all_later" => {
            let logins = logins().clone();
            rt::spawn(async move { logins.end_all().await.unwrap() })
                .await
                .unwrap();
        }
        _ => return Err(ErrorNotFound("no such call")),
    }
    Ok("done".to_owned())
}

async fn log_out(auth: Auth<User>) -> Result<HttpResponse, LoginError> {
    auth.log_out().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The handshake of a socket.
async fn socket(auth: Auth<User>) -> Result<HttpResponse, LoginError> {
    auth.log_out().await?;
    Ok(HttpResponse::SwitchingProtocols()
        .upgrade("websocket")
        .finish())
}

/// Takes the method of a request from a header, as some middlewares do.
async fn take_method(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let asked = request.headers().get("x-replaced-by");
    let asked = asked.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    if let Some(method) = asked {
        request.head_mut().method = method;
    }
    next.call(request).await
}

/// Logs out before the route is found.
async fn leave_early(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.headers().contains_key("x-leave-early") {
        let auth = request.extract::<Auth<User>>().await?;
        auth.log_out().await?;
    }
    next.call(request).await
}

async fn site(manager: LoginManager, users: &Users) -> impl App + use<> {
    let logins = manager.logins();
    let users = users.clone();
    let or_head = web::route().guard(Any(Get()).or(Head())).to(log_out);
    let app = actix_web::App::new()
        .wrap(from_fn(leave_early))
        .wrap(from_fn(take_method))
        .wrap(Compat::new(manager))
        .app_data(Data::new(logins))
        .route("/calls/{how}/{call}", web::to(make))
        .service(web::resource("/leave").route(or_head))
        .route("/socket", web::get().to(socket))
        .configure(|routes| pages(routes, users));
    init_service(app).await
}

/// What there is to change: the cookies of a browser, the logins of Ada and Ben, and the cart.
#[derive(Debug, PartialEq)]
struct Found {
    user: String,
    cookies: Vec<(String, Option<String>)>,
    logins: Vec<LoginInfo>,
    cart: Option<String>,
}

async fn found<S: App>(browser: &Browser<'_, S>, logins: Option<&Logins>) -> Found {
    let mut all = Vec::new();
    if let Some(logins) = logins {
        for id in [1, 2] {
            all.extend(logins.of::<User>(&id).await.unwrap());
        }
    }
    let user = name_of(browser).await;
    let cart = browser.get("/cart").await.json().unwrap();
    let names = browser.cookie_names().into_iter();
    Found {
        user,
        cookies: names
            .map(|name| (name.clone(), browser.cookie(&name)))
            .collect(),
        logins: all,
        cart,
    }
}

/// A browser in which Ada is logged in and remembered, and has something in the cart.
async fn ada<S: App>(app: &S) -> Browser<'_, S> {
    let browser = Browser::new(app);
    browser.post("/login/1?remember=true").await;
    browser.post("/cart/milk").await;
    assert!(browser.cookie(REMEMBER).is_some());
    browser
}

#[track_caller]
fn assert_refused(answer: &Answer, call: &dyn Debug) {
    assert_eq!(answer.status(), 500, "{call:?}: {}", answer.text());
    assert!(answer.set_cookies().is_empty(), "{call:?}");
    let text = answer.text();
    assert!(
        text.contains("answer POST here"),
        "{call:?} says nothing useful: {text}"
    );
}

#[actix_web::test]
async fn a_request_that_only_reads_changes_no_login_and_says_why() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let (builder, _) = kept.builder(&users);
        let (builder, events) = Events::of(builder);
        let manager = builder.build(key()).unwrap();
        let logins = manager.logins();
        let app = site(manager, &users).await;
        let browser = ada(&app).await;
        let before = found(&browser, logins.as_ref()).await;
        assert_eq!(before.user, "ada");
        assert_eq!(before.cart.as_deref(), Some("milk"));
        for method in SAFE {
            for call in kept.possible(&all()) {
                events.take();
                let path = format!("/calls/plainly/{call}");
                let answer = browser.ask(method.clone(), &path).await;
                assert_refused(&answer, &(kept, &method, call));
                assert!(answer.text().contains(method.as_str()), "{}", answer.text());
                let said = events.take_but_accessed();
                assert!(said.is_empty(), "{kept:?} {method} {call}: {said:?}");
                assert_eq!(
                    found(&browser, logins.as_ref()).await,
                    before,
                    "{kept:?} {method} {call}"
                );
            }
            // There is nothing to end, but the route is wrong all the same.
            let visitor = Browser::new(&app);
            for call in ["log_in", "remember", "confirm", "log_out"] {
                let path = format!("/calls/plainly/{call}");
                let answer = visitor.ask(method.clone(), &path).await;
                assert_refused(&answer, &(kept, &method, call));
                assert!(visitor.cookie_names().is_empty());
            }
        }
    }
}

#[actix_web::test]
async fn a_request_that_may_change_something_changes_a_login() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let app = site(kept.builder(&users).0.build(key()).unwrap(), &users).await;
        for method in CHANGING {
            for call in kept.possible(&all()) {
                let browser = ada(&app).await;
                let path = format!("/calls/plainly/{call}");
                let answer = browser.ask(method.clone(), &path).await;
                assert_eq!(answer.status(), 200, "{kept:?} {method} {call}");
                let after = match call {
                    "log_in" => "ben",
                    "log_in_as_oneself" | "remember" | "confirm" | "end_others" | "change" => "ada",
                    _ => "nobody",
                };
                assert_eq!(name_of(&browser).await, after, "{kept:?} {method} {call}");
            }
        }
    }
}

#[actix_web::test]
async fn a_callback_whose_state_was_checked_logs_in_and_confirms_by_get_and_by_no_other_such_method()
 {
    let users = Users::new();
    for kept in EVERYWHERE {
        let (builder, clock) = kept.builder(&users);
        let manager = builder.build(key()).unwrap();
        let logins = manager.logins();
        let app = site(manager, &users).await;
        for (call, after) in [
            ("log_in", "ben"),
            ("log_in_as_oneself", "ada"),
            ("remember", "ada"),
            ("confirm", "ada"),
        ] {
            let path = format!("/calls/checked/{call}");
            for method in [Method::HEAD, Method::OPTIONS, Method::TRACE] {
                let browser = ada(&app).await;
                let before = found(&browser, logins.as_ref()).await;
                let answer = browser.ask(method.clone(), &path).await;
                assert_refused(&answer, &(kept, &method, call));
                assert_eq!(found(&browser, logins.as_ref()).await, before);
            }
            for method in [Method::GET, Method::POST] {
                let browser = ada(&app).await;
                clock.advance(HOUR / 4);
                let answer = browser.ask(method.clone(), &path).await;
                assert_eq!(answer.status(), 200, "{kept:?} {method} {call}");
                assert!(!answer.set_cookies().is_empty());
                assert_eq!(name_of(&browser).await, after, "{kept:?} {method} {call}");
                clock.set(START);
            }
        }
        // It is not for what ends logins.
        for call in kept.possible(&[&END[..], &CREDENTIALS].concat()) {
            let browser = ada(&app).await;
            let answer = browser.get(&format!("/calls/checked/{call}")).await;
            assert_refused(&answer, &(kept, call));
            assert_eq!(name_of(&browser).await, "ada");
        }
    }
}

#[actix_web::test]
async fn a_manager_that_allows_it_ends_logins_by_get_and_begins_none() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let builder = kept.builder(&users).0.danger_allow_get_log_out();
        let manager = builder.build(key()).unwrap();
        let logins = manager.logins();
        let app = site(manager, &users).await;
        for call in kept.possible(&END) {
            let path = format!("/calls/plainly/{call}");
            for method in [Method::HEAD, Method::OPTIONS, Method::TRACE] {
                let browser = ada(&app).await;
                let answer = browser.ask(method.clone(), &path).await;
                assert_refused(&answer, &(kept, &method, call));
                assert_eq!(name_of(&browser).await, "ada");
            }
            let browser = ada(&app).await;
            assert_eq!(browser.get(&path).await.status(), 200, "{kept:?} {call}");
            let after = match call {
                "end_others" => "ada",
                _ => "nobody",
            };
            assert_eq!(name_of(&browser).await, after, "{kept:?} {call}");
        }
        for call in kept.possible(&[&BEGIN[..], &CREDENTIALS].concat()) {
            let browser = ada(&app).await;
            let before = found(&browser, logins.as_ref()).await;
            let answer = browser.get(&format!("/calls/plainly/{call}")).await;
            assert_refused(&answer, &(kept, call));
            assert_eq!(found(&browser, logins.as_ref()).await, before);
        }
        let browser = ada(&app).await;
        assert_eq!(browser.get("/leave").await.status(), 204);
        assert_eq!(name_of(&browser).await, "nobody");
    }
}

#[actix_web::test]
async fn a_head_request_to_a_page_that_answers_get_logs_nobody_out() {
    let users = Users::new();
    let app = site(Kept::Store.builder(&users).0.build(key()).unwrap(), &users).await;
    let browser = ada(&app).await;
    for method in [Method::GET, Method::HEAD] {
        let answer = browser.ask(method.clone(), "/leave").await;
        assert_refused(&answer, &method);
        assert_eq!(name_of(&browser).await, "ada");
    }
}

#[actix_web::test]
async fn headers_that_name_another_method_have_no_effect() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let app = site(kept.builder(&users).0.build(key()).unwrap(), &users).await;
        for header in [
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            // The application itself replaces the method.
            "x-replaced-by",
        ] {
            for call in kept.possible(&all()) {
                let browser = ada(&app).await;
                let path = format!("/calls/plainly/{call}?_method=POST");
                let answer = browser.get(&path).header(header, "POST").await;
                assert_refused(&answer, &(kept, header, call));
                assert_eq!(name_of(&browser).await, "ada", "{kept:?} {header} {call}");
            }
        }
        let browser = ada(&app).await;
        let early = browser.get("/").header("x-replaced-by", "POST");
        let answer = early.header("x-leave-early", "1").await;
        assert_refused(&answer, &kept);
        // What the handler takes for a GET request is one.
        let post = browser.post("/calls/plainly/log_out");
        let answer = post.header("x-replaced-by", "GET").await;
        assert_refused(&answer, &kept);
        assert_eq!(name_of(&browser).await, "ada");
    }
}

#[actix_web::test]
async fn a_middleware_that_logs_out_at_every_request_does_so_for_post_only() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let app = site(kept.builder(&users).0.build(key()).unwrap(), &users).await;
        let browser = ada(&app).await;
        let answer = browser.get("/").header("x-leave-early", "1").await;
        assert_refused(&answer, &kept);
        assert_eq!(name_of(&browser).await, "ada");
        browser.post("/cart/tea").header("x-leave-early", "1").await;
        assert_eq!(name_of(&browser).await, "nobody");
    }
}

#[actix_web::test]
async fn the_handshake_of_a_socket_logs_nobody_out() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let app = site(kept.builder(&users).0.build(key()).unwrap(), &users).await;
        let browser = ada(&app).await;
        let handshake = browser.get("/socket").header("upgrade", "websocket");
        let answer = handshake.header("connection", "upgrade").await;
        assert_refused(&answer, &kept);
        assert_eq!(name_of(&browser).await, "ada");
    }
}

#[actix_web::test]
async fn a_handler_for_refused_clients_logs_nobody_out_by_get() {
    let users = Users::new();
    let leave = async |refused: RefusedRequest| {
        let auth = Auth::<User>::extract(&refused).await?;
        auth.log_out().await?;
        Ok::<_, Error>(HttpResponse::Unauthorized().finish())
    };
    for kept in EVERYWHERE {
        // The handler gets a request that stands in for the client's.
        let builder = kept.builder(&users).0.deny_by_default();
        let builder = builder.unauthorized_handler(leave);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let visitor = Browser::new(&app);
        assert_refused(&visitor.get("/").await, &kept);
        let replaced = visitor.get("/").header("x-replaced-by", "POST");
        assert_refused(&replaced.await, &kept);
        assert_eq!(visitor.post("/").await.status(), 401);
        let (builder, _) = kept.builder(&users);
        let builder = builder.needs_refresh_handler(leave);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = ada(&app).await;
        browser.post("/login/1?stale=true").await;
        assert_refused(&browser.get("/settings").await, &kept);
        assert_eq!(name_of(&browser).await, "ada");
        browser.post("/settings").await;
        assert_eq!(name_of(&browser).await, "nobody");
    }
}

#[actix_web::test]
async fn what_the_manager_does_by_itself_goes_on_for_get() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let (builder, clock) = kept.builder(&users);
        let (builder, events) = Events::of(builder);
        let builder = builder.session_protection(SessionProtection::Strong);
        let manager = builder.build(key()).unwrap();
        let logins = manager.logins();
        let app = site(manager, &users).await;
        // A remember cookie restores a login.
        let browser = ada(&app).await;
        browser.restart();
        assert_eq!(name_of(&browser).await, "ada");
        assert_eq!(events.count("loaded_from_cookie ada"), 1, "{kept:?}");
        // A test log in is a GET.
        let browser = Browser::new(&app);
        browser.log_in(User::new(2, "ben")).await;
        assert_eq!(name_of(&browser).await, "ben");
        // Protection ends a login that another client uses.
        let thief = browser.copy();
        thief.set_user_agent("thief/1");
        assert_eq!(name_of(&thief).await, "nobody");
        if let Some(logins) = &logins {
            assert!(logins.of::<User>(&2).await.unwrap().is_empty());
        }
        // A login ends with its limit.
        browser.log_in(User::new(2, "ben")).await;
        clock.advance(2 * DAY);
        assert_eq!(name_of(&browser).await, "nobody");
        clock.set(START);
    }
}

#[actix_web::test]
async fn logins_end_for_get_only_outside_of_the_handler() {
    let users = Users::new();
    for kept in [Kept::Store, Kept::StoreAndLoginCookie] {
        let manager = kept.builder(&users).0.build(key()).unwrap();
        let logins = manager.logins().unwrap();
        let app = site(manager, &users).await;
        let browser = ada(&app).await;
        // In a task of its own.
        let answer = browser.get("/calls/plainly/end_all_later").await;
        assert_eq!(answer.status(), 200);
        browser.drop_cookie(REMEMBER);
        assert_eq!(name_of(&browser).await, "nobody");
        // On a schedule.
        let browser = ada(&app).await;
        assert_eq!(logins.end_all_of::<User>(&1).await.unwrap(), 1);
        assert_eq!(name_of(&browser).await, "nobody");
    }
}

/// Checks a password that is in the address, and says that a state was checked.
async fn by_link(
    auth: Auth<Member>,
    password: Path<String>,
    passwords: Data<PasswordVerifier>,
    member: Data<Arc<Member>>,
) -> Result<String, Error> {
    let member = Member::clone(&member);
    let verified = passwords
        .verify(&auth, "ada", Some(member), &password)
        .await?;
    auth.log_in(verified.unwrap().state_checked()).await?;
    Ok("in".to_owned())
}

#[derive(Clone, login_runtime::AuthUser)]
struct Member {
    id: i64,
    #[auth(password_hash)]
    hash: String,
}

#[actix_web::test]
async fn a_password_logs_nobody_in_by_get_whatever_the_application_says() {
    let passwords = PasswordVerifier::new().costs(8, 1, 1).unwrap();
    let hash = passwords.hash("difference engine").await.unwrap();
    let member = Arc::new(Member { id: 1, hash });
    let found = Arc::clone(&member);
    let manager = LoginManager::builder(move |_: i64| {
        let member = Member::clone(&found);
        async move { Ok::<_, String>(Some(member)) }
    });
    let manager = manager.login_store(MemoryLoginStore::new()).build(key());
    let app = login_tests::app(manager.unwrap(), |routes| {
        routes
            .app_data(Data::new(passwords))
            .app_data(Data::new(member))
            .route("/in/{password}", web::to(by_link))
            .route(
                "/who",
                web::get().to(async |user: MaybeUser<Member>| {
                    user.user().map_or(0, |user| user.id).to_string()
                }),
            );
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/in/difference%20engine").await;
    assert_refused(&answer, &"password");
    assert_eq!(browser.get("/who").await.text(), "0");
    let answer = browser.post("/in/difference%20engine").await;
    assert_eq!(answer.text(), "in");
    assert_eq!(browser.get("/who").await.text(), "1");
}

#[actix_web::test]
async fn the_log_says_once_which_route_to_change_and_what_else_would_do() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let app = site(Kept::Store.builder(&users).0.build(key()).unwrap(), &users).await;
    let browser = ada(&app).await;
    for (call, permit) in [
        ("log_in", ".state_checked()"),
        ("confirm", ".state_checked()"),
        ("log_out", ".danger_allow_get_log_out()"),
        ("end", ".danger_allow_get_log_out()"),
        ("change", "send a form to it"),
    ] {
        log.take_ours();
        browser.get(&format!("/calls/plainly/{call}")).await;
        let lines = log.take_ours();
        let of_call = |line: &&String| line.contains("event=safe_method");
        let [line] = lines.iter().filter(of_call).collect::<Vec<_>>()[..] else {
            panic!("{call}: {lines:#?}");
        };
        assert!(line.contains("GET request"), "{line}");
        assert!(line.contains(permit), "{line}");
        if call != "end" {
            assert!(line.contains("pattern=/calls/{how}/{call}"), "{line}");
        }
    }
}

#[actix_web::test]
async fn the_policy_and_the_check_before_a_deployment_name_the_permit() {
    let users = Users::new();
    for kept in EVERYWHERE {
        let plain = kept.builder(&users).0.build(key()).unwrap();
        let allowed = kept.builder(&users).0.danger_allow_get_log_out();
        let allowed = allowed.build(key()).unwrap();
        let says = |manager: &LoginManager| {
            let findings = manager.check_deploy();
            let is_found = findings.findings().any(|it| it.code == "get-log-out");
            let policy = manager.policy().to_string();
            (is_found, policy.contains("GET requests may end logins"))
        };
        assert_eq!(says(&plain), (false, false));
        assert_eq!(says(&allowed), (true, true));
        let check = allowed.check_deploy().allow("get-log-out");
        assert!(!check.to_string().contains("get-log-out"));
    }
}
