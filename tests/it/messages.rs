//! Messages for refused clients, through `actix-web-flash-messages`, which may be inside or around the
//! login manager.

use actix_session::SessionExt;
use actix_web::{
    App as ActixApp, Error, HttpRequest, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    http::Method,
    middleware::{Compat, Next, from_fn},
    test::init_service,
    web::{self, ServiceConfig},
};
use actix_web_flash_messages::{
    FlashMessagesFramework, IncomingFlashMessages, Level, storage::CookieMessageStore,
};
use login_runtime::{
    Auth,
    config::LoginManagerBuilder,
    fresh_login_required,
    guards::{Condition, routes_behind},
    login_required, public,
    test::{Browser, TestClock},
};
use login_tests::{User, Users, key, manager};

use crate::world::{App, BoxedApp, SESSION, flash_cookies};

const KEPT: &str = "__Host-login-message";

const LOGIN: &str = "info: Please log in to access this page.";

const REFRESH: &str = "info: Please reauthenticate to access this page.";

fn list(messages: &IncomingFlashMessages) -> String {
    let texts: Vec<_> = messages
        .iter()
        .map(|message| format!("{}: {}", message.level(), message.content()))
        .collect();
    texts.join("; ")
}

#[public]
#[get("/login")]
async fn login_page(messages: IncomingFlashMessages) -> String {
    list(&messages)
}

#[login_required]
#[get("/confirm")]
async fn confirm_page(messages: IncomingFlashMessages) -> String {
    list(&messages)
}

#[public]
#[get("/silent")]
async fn silent_page() -> impl Responder {
    "no messages here"
}

#[login_required]
#[get("/account")]
async fn account() -> impl Responder {
    "account"
}

#[fresh_login_required]
#[get("/password")]
async fn password() -> impl Responder {
    "password"
}

#[public]
#[get("/by-hand")]
async fn by_hand(auth: Auth<User>) -> Result<impl Responder, Error> {
    auth.require_login().await?;
    Ok("by hand")
}

#[public]
#[get("/fresh-by-hand")]
async fn fresh_by_hand(auth: Auth<User>) -> Result<impl Responder, Error> {
    auth.require_fresh_login().await?;
    Ok("by hand")
}

#[login_required]
#[get("/staff")]
async fn staff(auth: Auth<User>) -> Result<impl Responder, Error> {
    auth.require(Condition::role("staff")).await?;
    Ok("staff")
}

async fn page() -> impl Responder {
    "page"
}

async fn wait(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    tokio::task::yield_now().await;
    next.call(request).await
}

fn routes(routes: &mut ServiceConfig) {
    routes.service((login_page, confirm_page, silent_page, account, password));
    routes.service((by_hand, fresh_by_hand, staff));
    let closed = web::scope("/closed").wrap(login_required());
    routes.service(closed.route("/page", web::get().to(page)));
    let fresh = web::scope("/fresh").wrap(fresh_login_required());
    routes.service(fresh.route("/page", web::get().to(page)));
    routes.route("/undeclared", web::get().to(page));
    let slow = web::scope("/slow").wrap(routes_behind(from_fn(wait)));
    routes.service(slow.route("/page", web::get().to(page)));
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Inside,
    Outside,
    Nowhere,
}

const ORDERS: [Order; 2] = [Order::Inside, Order::Outside];

fn messages(users: &Users) -> (LoginManagerBuilder, TestClock) {
    let (builder, clock) = manager(users);
    (builder.flash_messages().refresh_view("/confirm"), clock)
}

async fn site(builder: LoginManagerBuilder, order: Order) -> BoxedApp {
    let manager = builder.build(key()).unwrap();
    let framework = FlashMessagesFramework::builder(CookieMessageStore::builder(key()).build())
        .minimum_level(Level::Debug)
        .build();
    match order {
        Order::Inside => {
            let app = ActixApp::new().wrap(framework).wrap(Compat::new(manager));
            actix_service::boxed::service(init_service(app.configure(routes)).await)
        }
        Order::Outside => {
            let app = ActixApp::new().wrap(Compat::new(manager)).wrap(framework);
            actix_service::boxed::service(init_service(app.configure(routes)).await)
        }
        Order::Nowhere => {
            let app = ActixApp::new().wrap(Compat::new(manager));
            actix_service::boxed::service(init_service(app.configure(routes)).await)
        }
    }
}

/// Asserts that a browser that was just redirected to the view sees the message there, once.
async fn shows<S: App>(browser: &Browser<'_, S>, view: &str, message: &str, what: &str) {
    assert_eq!(browser.get(view).await.text(), message, "{what}");
    assert_eq!(browser.get(view).await.text(), "", "{what}, again");
    assert_eq!(browser.cookie(KEPT), None, "{what}");
}

/// Requests that are refused as anonymous.
const ANONYMOUS: [(Method, &str); 4] = [
    (Method::GET, "/account"),
    (Method::GET, "/closed/page"),
    (Method::GET, "/by-hand"),
    (Method::GET, "/password"),
];

/// Those that are only refused by default.
const UNDECLARED: [(Method, &str); 3] = [
    (Method::GET, "/undeclared"),
    (Method::POST, "/account"),
    (Method::GET, "/slow/page"),
];

#[actix_web::test]
async fn a_client_without_a_login_sees_the_message_once_at_the_login_view() {
    let _known = flash_cookies();
    for order in ORDERS {
        for deny in [false, true] {
            let (mut builder, _) = messages(&Users::new());
            if deny {
                builder = builder.deny_by_default();
            }
            let app = site(builder, order).await;
            let undeclared = UNDECLARED.iter().filter(|_| deny);
            for (method, path) in ANONYMOUS.iter().chain(undeclared) {
                let what = format!("{order:?} {deny} {method} {path}");
                let browser = Browser::new(&app);
                let answer = browser.ask(method.clone(), path).await;
                assert_eq!(answer.status(), 303, "{what}");
                shows(&browser, "/login", LOGIN, &what).await;
            }
        }
    }
}

#[actix_web::test]
async fn a_client_with_a_stale_login_sees_the_message_once_at_the_refresh_view() {
    let _known = flash_cookies();
    for order in ORDERS {
        for deny in [false, true] {
            let (mut builder, _) = messages(&Users::new());
            if deny {
                builder = builder.deny_by_default();
            }
            let app = site(builder, order).await;
            for path in ["/password", "/fresh/page", "/fresh-by-hand"] {
                let what = format!("{order:?} {deny} {path}");
                let browser = Browser::new(&app);
                browser.log_in(User::new(1, "ada")).stale().await;
                let answer = browser.get(path).await;
                assert_eq!(answer.status(), 303, "{what}");
                shows(&browser, "/confirm", REFRESH, &what).await;
            }
        }
    }
}

#[actix_web::test]
async fn who_is_forbidden_or_not_shown_a_page_gets_no_message() {
    let _known = flash_cookies();
    for order in ORDERS {
        let (builder, _) = messages(&Users::new());
        let app = site(builder.deny_by_default(), order).await;
        let browser = Browser::new(&app);
        for path in ["/account", "/undeclared"] {
            let ask = browser.get(path).header("accept", "application/json");
            assert_eq!(ask.await.status(), 401);
        }
        browser.log_in(User::new(1, "ada")).await;
        assert_eq!(browser.get("/staff").await.status(), 403);
        assert_eq!(browser.get("/login").await.text(), "");
    }
}

#[actix_web::test]
async fn a_message_waits_for_a_page_that_shows_messages() {
    let _known = flash_cookies();
    for order in ORDERS {
        let (builder, _) = messages(&Users::new());
        let app = site(builder.deny_by_default(), order).await;
        let browser = Browser::new(&app);
        assert_eq!(browser.get("/undeclared").await.status(), 303);
        let kept = browser.cookie(KEPT);
        assert_eq!(kept.as_deref(), (order == Order::Inside).then_some("login"));
        if order == Order::Inside {
            // The framework itself drops a message that the next page does not show.
            browser.get("/silent").await;
            assert_eq!(browser.cookie(KEPT), kept);
        }
        shows(&browser, "/login", LOGIN, "afterwards").await;
    }
}

#[actix_web::test]
async fn a_message_is_translated_and_has_its_level_wherever_it_is_shown() {
    let _known = flash_cookies();
    for order in ORDERS {
        let (builder, _) = messages(&Users::new());
        let builder = builder
            .deny_by_default()
            .login_message_category("warning")
            .localize(|request, text| {
                let german = request.headers().get("accept-language");
                german.map_or_else(|| text.to_owned(), |_| "Bitte anmelden".to_owned())
            });
        let app = site(builder, order).await;
        for path in ["/account", "/undeclared"] {
            let browser = Browser::new(&app);
            browser.get(path).header("accept-language", "de").await;
            let shown = browser.get("/login").header("accept-language", "de").await;
            assert_eq!(shown.text(), "warning: Bitte anmelden", "{order:?} {path}");
        }
    }
}

#[actix_web::test]
async fn a_forged_cookie_shows_nothing_that_is_not_the_applications() {
    let _known = flash_cookies();
    let (builder, _) = messages(&Users::new());
    let app = site(builder.deny_by_default(), Order::Inside).await;
    for forged in ["<script>", "", "loginx", "refresh; login"] {
        let browser = Browser::new(&app);
        browser.set_cookie(KEPT, forged);
        let shown = browser.get("/login").await;
        assert_eq!(shown.status(), 200);
        assert!(["", REFRESH].contains(&&*shown.text()), "{}", shown.text());
    }
}

#[actix_web::test]
async fn without_the_framework_clients_are_refused_all_the_same() {
    for deny in [false, true] {
        let (mut builder, _) = messages(&Users::new());
        if deny {
            builder = builder.deny_by_default();
        }
        let app = site(builder, Order::Nowhere).await;
        let undeclared = UNDECLARED.iter().filter(|_| deny);
        for (method, path) in ANONYMOUS.iter().chain(undeclared) {
            let answer = Browser::new(&app).ask(method.clone(), path).await;
            assert_eq!(answer.status(), 303, "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn a_refusal_in_a_task_that_a_handler_started_does_not_panic() {
    let _known = flash_cookies();
    #[public]
    #[get("/task")]
    async fn task(request: HttpRequest) -> String {
        let refused = actix_web::rt::spawn(async move {
            let auth = Auth::<User>::extract(&request).await.unwrap();
            auth.unauthorized().await.into_response().status().as_u16()
        });
        refused.await.unwrap().to_string()
    }
    use actix_web::FromRequest as _;
    let manager = messages(&Users::new()).0.build(key()).unwrap();
    let framework = FlashMessagesFramework::builder(CookieMessageStore::builder(key()).build());
    let app = ActixApp::new().wrap(framework.build()).wrap(manager);
    let app = init_service(app.service(task)).await;
    assert_eq!(Browser::new(&app).get("/task").await.text(), "303");
}

#[actix_web::test]
async fn a_message_in_the_session_is_kept_at_undeclared_routes_too() {
    #[public]
    #[get("/shown")]
    async fn shown(request: HttpRequest) -> String {
        let session = request.get_session();
        let text = session.get::<String>("message").unwrap();
        let cart = session.get::<String>("cart").unwrap();
        format!("{text:?} {cart:?}")
    }
    #[public]
    #[get("/fill")]
    async fn fill(request: HttpRequest) -> impl Responder {
        request.get_session().insert("cart", "tea").unwrap();
        "filled"
    }
    let users = Users::new();
    let builder = manager(&users).0.deny_by_default().flash(|request, flash| {
        let session = request.get_session();
        session.insert("message", flash.text).unwrap();
    });
    let app = login_tests::app(builder.build(key()).unwrap(), |routes| {
        routes.service((shown, fill));
        routes.route("/undeclared", web::get().to(page));
    })
    .await;
    for filled in [false, true] {
        let browser = Browser::new(&app);
        if filled {
            browser.get("/fill").await;
        }
        assert_eq!(browser.get("/undeclared").await.status(), 303);
        let cart = if filled { r#"Some("tea")"# } else { "None" };
        let expected = format!(r#"Some("Please log in to access this page.") {cart}"#);
        assert_eq!(browser.get("/shown").await.text(), expected);
    }
}

#[actix_web::test]
async fn a_session_that_no_hook_changes_is_not_saved_at_undeclared_routes() {
    #[public]
    #[get("/fill")]
    async fn fill(request: HttpRequest) -> impl Responder {
        request.get_session().insert("cart", "tea").unwrap();
        "filled"
    }
    let builder = manager(&Users::new()).0.deny_by_default().flash(|_, _| {});
    let app = login_tests::app(builder.build(key()).unwrap(), |routes| {
        routes.service(fill);
        routes.route("/undeclared", web::get().to(page));
    })
    .await;
    let browser = Browser::new(&app);
    browser.get("/fill").await;
    let before = browser.cookie(SESSION);
    assert!(before.is_some());
    let answer = browser.get("/undeclared").await;
    assert_eq!(answer.set_cookies(), []);
    assert_eq!(browser.cookie(SESSION), before);
}
