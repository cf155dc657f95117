//! Hooks of the application that call this crate, and so might call themselves.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use login_runtime::{
    Auth, BoxError, CurrentUser, HasPermission, LoadError, LoginScope, MaybeUser, Permissions,
    config::LoginManagerBuilder,
    guards::{Condition, FreshUser, Refusal, RefusedRequest, login_url, refresh_url},
    login_required,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager};

use crate::world::{App, Events, pages};

/// Calls every function of the crate that takes a request, and counts the refusals.
async fn call_everything(request: &HttpRequest) -> usize {
    let auth = Auth::<User>::extract(request).await.unwrap();
    let mut refusals = 0;
    for required in [
        auth.require_login().await,
        auth.require_fresh_login()
            .await
            .map(FreshUser::into_current),
        auth.require(Condition::role("nobody")).await,
        auth.require(Condition::check(|user: &User| user.id == 7))
            .await,
        CurrentUser::<User>::extract(request).await,
    ] {
        refusals += usize::from(required.is_err());
    }
    let _ = auth.current_user().await;
    let _ = MaybeUser::<User>::extract(request).await;
    for refusal in [
        auth.unauthorized().await,
        auth.needs_refresh().await,
        auth.forbidden().await,
    ] {
        assert!(refusal.into_response().status().as_u16() > 300);
    }
    let _ = (login_url(request), refresh_url(request));
    let _ = (auth.take_next(), auth.redirect_to_next_or("/"));
    let _ = (auth.is_remembered(), auth.logins().await.is_ok());
    refusals
}

/// Waits for a future in a hook that cannot wait. Fails if it would wait for ever.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("the hook waits for ever");
}

async fn stale_page(auth: Auth<User>) -> Result<&'static str, actix_web::Error> {
    auth.require_fresh_login().await?;
    Ok("fresh")
}

async fn forbidden_page(auth: Auth<User>) -> Result<&'static str, actix_web::Error> {
    auth.require(Condition::role("nobody")).await?;
    Ok("allowed")
}

async fn site(builder: LoginManagerBuilder, users: &Users) -> impl App + use<> {
    let users = users.clone();
    app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users);
        routes.route("/stale", web::get().to(stale_page));
        routes.route("/forbidden", web::get().to(forbidden_page));
    })
    .await
}

/// The three kinds of refusals, as a browser sees them.
async fn refusals<S: App>(app: &S) -> [Answer; 3] {
    let anonymous = Browser::new(app).get("/account?a=b").await;
    let browser = Browser::new(app);
    browser.log_in(User::new(1, "ada")).stale().await;
    let stale = browser.get("/stale").await;
    [anonymous, stale, browser.get("/forbidden").await]
}

fn same(answer: &Answer, expected: &Answer) {
    assert_eq!(answer.status(), expected.status());
    assert_eq!(answer.location(), expected.location());
    assert_eq!(answer.text(), expected.text());
    assert_eq!(
        answer.header("www-authenticate"),
        expected.header("www-authenticate")
    );
}

#[actix_web::test]
async fn a_handler_gets_the_answer_that_it_replaces() {
    let users = Users::new();
    for refresh_view in [false, true] {
        let builder = || match refresh_view {
            true => manager(&users).0.refresh_view("/confirm"),
            false => manager(&users).0,
        };
        let plain = refusals(&site(builder(), &users).await).await;
        assert_eq!(plain[0].location(), Some("/login?next=/account%3Fa%3Db"));
        let handled = builder()
            .unauthorized_handler(async |refused: RefusedRequest| refused.default_response())
            .needs_refresh_handler(async |refused: RefusedRequest| refused.default_response())
            .forbidden_handler(async |refused: RefusedRequest| refused.default_response());
        let handled = refusals(&site(handled, &users).await).await;
        for (handled, plain) in handled.iter().zip(&plain) {
            same(handled, plain);
        }
    }
}

#[actix_web::test]
async fn a_handler_that_refuses_again_gets_the_answer_that_it_replaces() {
    async fn auth(refused: &RefusedRequest) -> Auth<User> {
        Auth::extract(refused.request()).await.unwrap()
    }
    let users = Users::new();
    let plain = refusals(&site(manager(&users).0, &users).await).await;
    let handled = manager(&users)
        .0
        .unauthorized_handler(async |refused: RefusedRequest| {
            auth(&refused).await.unauthorized().await.into_response()
        })
        .needs_refresh_handler(async |refused: RefusedRequest| {
            tokio::task::yield_now().await;
            auth(&refused).await.needs_refresh().await.into_response()
        })
        .forbidden_handler(async |refused: RefusedRequest| {
            auth(&refused).await.forbidden().await.into_response()
        });
    let handled = refusals(&site(handled, &users).await).await;
    for (handled, plain) in handled.iter().zip(&plain) {
        assert_eq!(handled.status(), plain.status());
        assert_eq!(handled.location(), plain.location());
    }
}

#[actix_web::test]
async fn a_handler_at_an_undeclared_route_gets_the_answer_that_it_replaces() {
    let users = Users::new();
    let builder = manager(&users).0.deny_by_default();
    let builder = builder.unauthorized_handler(async |refused: RefusedRequest| {
        let auth = Auth::<User>::extract(refused.request()).await.unwrap();
        let again = auth.unauthorized().await.into_response();
        assert_eq!(again.status(), 303);
        refused.default_response()
    });
    let answer = Browser::new(&site(builder, &users).await)
        .get("/stale?a=b")
        .await;
    answer.assert_redirects_to_login("/login", "/stale?a=b");
}

#[actix_web::test]
async fn handlers_that_pass_refusals_on_to_each_other_come_to_an_end() {
    let users = Users::new();
    let builder = manager(&users)
        .0
        .forbidden_handler(async |refused: RefusedRequest| {
            let auth = Auth::<User>::extract(refused.request()).await.unwrap();
            auth.unauthorized().await.into_response()
        })
        .unauthorized_handler(async |refused: RefusedRequest| {
            let auth = Auth::<User>::extract(refused.request()).await.unwrap();
            let status = auth.forbidden().await.into_response().status();
            HttpResponse::ImATeapot().body(format!("after {status}"))
        });
    let [anonymous, _, forbidden] = refusals(&site(builder, &users).await).await;
    // The answer for anonymous clients asks for the forbidden one, which is passed back, and so on, but
    // no handler runs within itself.
    assert_eq!(anonymous.text(), "after 303 See Other");
    assert_eq!(forbidden.text(), "after 403 Forbidden");
}

#[actix_web::test]
async fn a_handler_that_waits_does_not_answer_for_another_guard() {
    async fn both(auth: Auth<User>, other: Auth<User>) -> String {
        let (one, two) =
            futures_util::future::join(auth.unauthorized(), other.unauthorized()).await;
        let status = |refusal: Refusal| refusal.into_response().status().as_u16();
        format!("{} {}", status(one), status(two))
    }
    let users = Users::new();
    let builder = manager(&users)
        .0
        .unauthorized_handler(async |_: RefusedRequest| {
            tokio::task::yield_now().await;
            HttpResponse::ImATeapot().finish()
        });
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.route("/both", web::get().to(both));
    })
    .await;
    assert_eq!(Browser::new(&app).get("/both").await.text(), "418 418");
}

/// Counts how often hooks ran.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicUsize>);

impl Ran {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

#[actix_web::test]
async fn every_hook_may_call_everything() {
    let users = Users::new();
    let ran = Ran::default();
    let (subscriber, flashed, localized, failed) =
        (ran.clone(), ran.clone(), ran.clone(), ran.clone());
    let builder = manager(&users)
        .0
        .refresh_view("/confirm")
        .on_event(move |_, request| {
            subscriber.count();
            block_on(call_everything(request));
        })
        .flash(move |request, _| {
            flashed.count();
            block_on(call_everything(request));
        })
        .localize(move |request, text| {
            localized.count();
            block_on(call_everything(request));
            text.to_owned()
        })
        .load_error_handler(move |request, _| {
            failed.count();
            block_on(call_everything(request));
            HttpResponse::ServiceUnavailable().body("down")
        })
        .unauthorized_handler(async |refused: RefusedRequest| {
            call_everything(refused.request()).await;
            refused.default_response()
        })
        .needs_refresh_handler(async |refused: RefusedRequest| {
            call_everything(refused.request()).await;
            refused.default_response()
        })
        .forbidden_handler(async |refused: RefusedRequest| {
            call_everything(refused.request()).await;
            refused.default_response()
        });
    let app = site(builder, &users).await;
    let [anonymous, stale, forbidden] = refusals(&app).await;
    assert_eq!(anonymous.location(), Some("/login?next=/account%3Fa%3Db"));
    assert_eq!(stale.location(), Some("/confirm?next=/stale"));
    assert_eq!(forbidden.status(), 403);
    assert!(ran.take() > 10);
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).await;
    users.set_down(true);
    let answer = browser.get("/account").await;
    assert_eq!((answer.status(), &*answer.text()), (503, "down"));
}

#[actix_web::test]
async fn a_subscriber_is_not_told_what_it_causes_itself() {
    let users = Users::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let (builder, _) = manager(&users);
    let builder = builder.on_event(move |event, request| {
        see.lock().unwrap().push(event.name());
        block_on(call_everything(request));
    });
    let app = site(builder, &users).await;
    assert_eq!(Browser::new(&app).get("/account").await.status(), 303);
    assert_eq!(*seen.lock().unwrap(), ["accessed", "unauthorized"]);
}

#[actix_web::test]
async fn a_subscriber_that_waits_for_the_user_who_is_looked_up_gets_an_error_at_once() {
    let users = Users::new();
    let errors = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&errors);
    let (builder, _) = manager(&users);
    let builder = builder.on_event(move |event, request| {
        let auth = block_on(Auth::<User>::extract(request)).unwrap();
        let user = block_on(auth.current_user()).map(|user| user.is_authenticated());
        see.lock().unwrap().push((event.name(), user.is_err()));
    });
    let app = site(builder, &users).await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).await;
    errors.lock().unwrap().clear();
    assert_eq!(browser.get("/account").await.text(), "account of ada");
    assert_eq!(*errors.lock().unwrap(), [("accessed", true)]);
    users.set_down(true);
    errors.lock().unwrap().clear();
    assert_eq!(browser.get("/account").await.status(), 503);
    let errors = errors.lock().unwrap();
    assert!(errors.contains(&("load_failed", true)), "{errors:?}");
}

#[actix_web::test]
async fn a_request_loader_that_asks_who_the_user_is_gets_an_error_at_once() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder.request_loader(|request: &HttpRequest| {
        let request = request.clone();
        async move {
            tokio::task::yield_now().await;
            let user = MaybeUser::<User>::extract(&request).await;
            user.map(|_| None::<User>)
                .map_err(|error| error.to_string())
        }
    });
    let (builder, events) = Events::of(builder);
    let app = site(builder, &users).await;
    let browser = Browser::new(&app);
    for _ in 0..2 {
        let answer = browser.get("/account").await;
        assert_eq!(answer.status(), 503);
        assert_eq!(events.take_but_accessed(), ["load_failed"]);
    }
    // A login in the session comes first.
    browser.log_in(User::new(1, "ada")).await;
    assert_eq!(browser.get("/account").await.text(), "account of ada");
}

#[actix_web::test]
async fn those_who_wait_for_a_request_loader_get_its_user() {
    async fn both(auth: Auth<User>, other: Auth<User>) -> Result<String, LoadError> {
        let (one, two) =
            futures_util::future::join(auth.current_user(), other.current_user()).await;
        let name = |user: &MaybeUser<User>| user.user().unwrap().name.clone();
        Ok(format!("{} {}", name(&one?), name(&two?)))
    }
    let users = Users::new();
    let by_id = users.clone();
    let builder = manager(&users).0.request_loader(move |_: &HttpRequest| {
        let users = by_id.clone();
        async move { users.load(2).await }
    });
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.route("/both", web::get().to(both));
    })
    .await;
    assert_eq!(Browser::new(&app).get("/both").await.text(), "ben ben");
    assert_eq!(users.loads(), 1);
}

#[derive(Clone, Copy, Debug, Permissions)]
#[permissions(user = User)]
enum Permission {
    /// Asks for itself.
    Endless,
    /// Asks for `Last`.
    First,
    Last,
}

impl HasPermission<Permission> for User {
    async fn has_permission(
        &self,
        permission: Permission,
        request: &HttpRequest,
    ) -> Result<bool, BoxError> {
        let asks_for = match permission {
            Permission::Endless => Permission::Endless,
            Permission::First => Permission::Last,
            Permission::Last => return Ok(self.id == 1),
        };
        let auth = Auth::<User>::extract(request).await?;
        let required = auth.require(Condition::permission(asks_for)).await;
        match required {
            Ok(_) => Ok(true),
            Err(error) if error.as_response_error().status_code() == 403 => Ok(false),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

#[login_required(permission = Permission::Endless)]
async fn endless() -> &'static str {
    "endless"
}

#[login_required(permission = Permission::First)]
async fn first() -> &'static str {
    "first"
}

#[actix_web::test]
async fn a_permission_that_asks_for_itself_is_an_outage_and_another_one_is_asked() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), |routes| {
        routes.route("/endless", web::get().to(endless));
        routes.route("/first", web::get().to(first));
    })
    .await;
    for (user, status) in [(User::new(1, "ada"), 200), (User::new(2, "ben"), 403)] {
        let browser = Browser::new(&app);
        browser.log_in(user).await;
        assert_eq!(browser.get("/first").await.status(), status);
        assert_eq!(browser.get("/endless").await.status(), 503);
    }
}

async fn link(request: HttpRequest) -> String {
    format!("{:?} {:?}", login_url(&request), refresh_url(&request))
}

#[actix_web::test]
async fn a_public_page_can_link_to_the_login_view_with_next() {
    let users = Users::new();
    let routes = |routes: &mut web::ServiceConfig| {
        let admin = LoginScope::new().login_view("/admin/login").unwrap();
        let admin = web::scope("/admin").wrap(admin);
        routes.service(admin.route("/page", web::get().to(link)));
        for path in ["/page", "/login"] {
            routes.route(path, web::get().to(link));
        }
        routes.route("/page", web::post().to(link));
    };
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    let none = "None";
    for (path, expected) in [
        ("/page?a=b", r#"Some("/login?next=/page%3Fa%3Db")"#),
        ("/admin/page", r#"Some("/admin/login?next=/admin/page")"#),
        ("/login?next=/x", r#"Some("/login")"#),
    ] {
        assert_eq!(browser.get(path).await.text(), format!("{expected} {none}"));
    }
    let bare = actix_web::App::new().configure(routes);
    let bare = actix_web::test::init_service(bare).await;
    let answer = Browser::new(&bare).get("/page").await;
    assert_eq!(answer.text(), "None None");
}
