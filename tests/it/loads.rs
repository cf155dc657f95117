//! How often a user is loaded, and what happens when that fails.

use std::{
    future::{Future, IntoFuture as _, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::Poll,
};

use actix_web::{
    HttpResponse, Responder, get,
    web::{self, ServiceConfig},
};
use futures_util::future::join;
use login_runtime::{
    Auth, CurrentUser, LoadError, MaybeUser, events::LoginEvent, guards::FreshUser, login_required,
    test::Browser,
};
use login_tests::{Admin, User, Users, app, key, manager};

#[get("/public")]
async fn public() -> impl Responder {
    "public"
}

/// Holds `Auth` and asks it nothing.
#[get("/unasked")]
async fn unasked(_: Auth<User>) -> impl Responder {
    "unasked"
}

#[login_required]
#[get("/guarded")]
async fn guarded() -> impl Responder {
    "guarded"
}

#[login_required]
#[login_required(user = User, fresh)]
#[get("/everything")]
async fn everything(
    user: CurrentUser<User>,
    maybe: MaybeUser<User>,
    auth: Auth<User>,
) -> actix_web::Result<impl Responder> {
    let current = auth.current_user().await?;
    let required = auth.require_login().await?;
    let fresh = auth.require_fresh_login().await?;
    let shared = [
        maybe.into_user().unwrap(),
        current.into_user().unwrap(),
        required,
        FreshUser::into_current(fresh),
    ]
    .into_iter()
    .all(|other| {
        Rc::ptr_eq(
            &CurrentUser::into_inner(other),
            &CurrentUser::into_inner(user.clone()),
        )
    });
    Ok(format!("{} {shared}", user.name))
}

/// Without a guard, so that all of these wait at the same time.
#[get("/together")]
async fn together(
    a: MaybeUser<User>,
    b: CurrentUser<User>,
    c: CurrentUser<User>,
    d: MaybeUser<User>,
) -> impl Responder {
    let [a, d] = [a, d].map(|user| user.into_user().unwrap());
    let [a, b, c, d] = [a, b, c, d].map(CurrentUser::into_inner);
    format!(
        "{} {}",
        b.name,
        Rc::ptr_eq(&a, &b) && Rc::ptr_eq(&b, &c) && Rc::ptr_eq(&c, &d)
    )
}

#[get("/maybe")]
async fn by_maybe(user: MaybeUser<User>, auth: Auth<User>) -> actix_web::Result<impl Responder> {
    let again = auth.current_user().await?;
    assert_eq!(user.is_authenticated(), again.is_authenticated());
    Ok(user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone()))
}

#[get("/current")]
async fn by_current(user: CurrentUser<User>) -> impl Responder {
    user.name.clone()
}

#[get("/asked")]
async fn by_asked(auth: Auth<User>) -> Result<impl Responder, LoadError> {
    let user = auth.current_user().await?;
    Ok(user.map_or_else(|| "nobody".to_owned(), |user| user.name.clone()))
}

#[get("/required")]
async fn by_required(auth: Auth<User>) -> actix_web::Result<impl Responder> {
    Ok(auth.require_login().await?.name.clone())
}

fn routes(routes: &mut ServiceConfig) {
    routes.service(public).service(unasked).service(guarded);
    routes
        .service(together)
        .service(by_maybe)
        .service(by_current);
    routes.service(by_asked).service(by_required);
    routes.service(
        web::scope("/scope")
            .wrap(login_required())
            .service(everything)
            .service(web::scope("/inner").wrap(login_required()).service(guarded)),
    );
}

/// Ada, as the database knows her.
fn ada() -> User {
    User::new(1, "ada")
}

#[actix_web::test]
async fn a_page_that_does_not_ask_loads_nobody() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for path in ["/public", "/unasked", "/no/such/page"] {
        browser.get(path).await;
        assert_eq!(users.loads(), 0, "{path}");
    }
    // What makes a difference is the asking.
    browser.get("/asked").await;
    assert_eq!(users.loads(), 1);
}

#[actix_web::test]
async fn a_client_without_a_login_loads_nobody() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    for path in [
        "/guarded",
        "/scope/everything",
        "/maybe",
        "/current",
        "/asked",
        "/required",
    ] {
        browser.get(path).await;
        assert_eq!(users.loads(), 0, "{path}");
    }
}

#[actix_web::test]
async fn all_who_ask_in_a_request_share_one_load() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    browser
        .get("/scope/everything")
        .await
        .assert_redirects_to_login("/login", "/scope/everything");
    browser.log_in(ada()).await;
    assert_eq!(users.loads(), 0, "whoever logs in is at hand");
    for (path, answer) in [
        ("/guarded", "guarded"),
        ("/scope/inner/guarded", "guarded"),
        ("/scope/everything", "ada true"),
        ("/together", "ada true"),
        ("/maybe", "ada"),
        ("/current", "ada"),
        ("/required", "ada"),
    ] {
        assert_eq!(browser.get(path).await.text(), answer, "{path}");
        assert_eq!(users.loads(), 1, "{path}");
    }
}

#[actix_web::test]
async fn each_user_type_has_a_load_of_its_own() {
    #[get("/both")]
    async fn both(
        user: MaybeUser<User>,
        admin: MaybeUser<Admin>,
        again: MaybeUser<Admin>,
    ) -> impl Responder {
        format!(
            "{} {} {}",
            user.is_anonymous(),
            admin.is_anonymous(),
            again.is_anonymous()
        )
    }

    let users = Users::new();
    let admins = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&admins);
    let builder = manager(&users).0.user_loader(move |login: String| {
        *counter.lock().unwrap() += 1;
        async move { Ok::<_, String>(Some(Admin::new(&login))) }
    });
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(both);
    })
    .await;
    let browser = Browser::new(&app);
    for (answer, expected) in [("true true true", (0, 0)), ("false true true", (1, 0))] {
        assert_eq!(browser.get("/both").await.text(), answer);
        assert_eq!(
            (users.loads(), std::mem::take(&mut *admins.lock().unwrap())),
            expected
        );
        browser.log_in(ada()).await;
    }
    browser.log_in(Admin::new("root")).await;
    assert_eq!(browser.get("/both").await.text(), "false false false");
    assert_eq!((users.loads(), *admins.lock().unwrap()), (1, 1));
}

#[actix_web::test]
async fn a_deleted_user_is_looked_for_once() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    for (path, status) in [
        ("/scope/everything", 303),
        ("/together", 303),
        ("/maybe", 200),
        ("/required", 303),
    ] {
        users.put(ada());
        let browser = Browser::new(&app);
        browser.log_in(ada()).await;
        users.delete(1);
        assert_eq!(browser.get(path).await.status(), status, "{path}");
        assert_eq!(users.loads(), 1, "{path}");
        // The session has been told, so nobody looks again.
        assert_eq!(browser.get("/maybe").await.text(), "nobody", "{path}");
        assert_eq!(users.loads(), 0, "{path}");
    }
}

#[actix_web::test]
async fn an_inactive_user_is_loaded_once_per_request() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    users.change(1, |user| user.is_active = false);
    for (path, status) in [
        ("/scope/everything", 303),
        ("/together", 303),
        ("/maybe", 200),
        ("/required", 303),
    ] {
        assert_eq!(browser.get(path).await.status(), status, "{path}");
        assert_eq!(users.loads(), 1, "{path}");
    }
    // It may be for the moment only.
    users.change(1, |user| user.is_active = true);
    assert_eq!(browser.get("/current").await.text(), "ada");
}

/// The pages that ask who the user is, each in its own way.
const ASKING: [&str; 8] = [
    "/guarded",
    "/scope/inner/guarded",
    "/scope/everything",
    "/together",
    "/maybe",
    "/current",
    "/asked",
    "/required",
];

#[actix_web::test]
async fn a_failing_loader_is_an_outage_and_no_log_out() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    users.set_down(true);
    for path in ASKING {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert!(
            !answer.text().contains("database"),
            "{path}: {}",
            answer.text()
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.set_cookies(), [], "{path}");
    }
    // Whoever does not ask, or has no login, does not notice.
    assert_eq!(browser.get("/public").await.text(), "public");
    assert_eq!(Browser::new(&app).get("/maybe").await.text(), "nobody");
    users.set_down(false);
    for path in ASKING {
        assert_eq!(browser.get(path).await.status(), 200, "{path}");
    }
}

#[actix_web::test]
async fn the_application_answers_for_its_failing_loader() {
    let users = Users::new();
    let builder = manager(&users).0.load_error_handler(|request, error| {
        let source = std::error::Error::source(error).map(ToString::to_string);
        HttpResponse::BadGateway().body(format!("{} {error}: {source:?}", request.path()))
    });
    let app = app(builder.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    users.set_down(true);
    for path in ASKING {
        let answer = browser.get(path).await;
        // What `current_user` gives a handler is an error that the handler answers for.
        if path == "/asked" {
            assert_eq!(
                (answer.status(), &*answer.text()),
                (503, "the user could not be loaded")
            );
            continue;
        }
        let text = format!("{path} the user could not be loaded: Some(\"the database is down\")");
        assert_eq!((answer.status(), answer.text()), (502, text));
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[actix_web::test]
async fn a_failing_loader_reaches_the_application_as_an_event() {
    let users = Users::new();
    let failures = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&failures);
    let builder = manager(&users).0.on_event(move |event, request| {
        if let LoginEvent::LoadFailed { error } = event {
            let source = std::error::Error::source(error).unwrap().to_string();
            heard
                .lock()
                .unwrap()
                .push(format!("{} {source}", request.path()));
        }
    });
    let app = app(builder.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for path in ASKING {
        users.set_down(true);
        browser.get(path).await;
        let heard = std::mem::take(&mut *failures.lock().unwrap());
        assert!(!heard.is_empty(), "{path}");
        for failure in heard {
            assert_eq!(failure, format!("{path} the database is down"));
        }
        users.set_down(false);
        browser.get(path).await;
        assert_eq!(*failures.lock().unwrap(), [""; 0], "{path}");
    }
}

#[actix_web::test]
async fn the_next_to_ask_tries_again_after_a_failure() {
    #[get("/again")]
    async fn again(auth: Auth<User>, users: web::Data<Users>) -> Result<impl Responder, LoadError> {
        users.set_down(true);
        let (first, second) = join(auth.current_user(), async {
            let second = auth.current_user().await;
            users.set_down(false);
            second
        })
        .await;
        assert!(first.is_err());
        assert!(second.is_err());
        let third = auth.current_user().await?;
        let fourth = auth.current_user().await?;
        Ok(format!(
            "{} {}",
            third.is_authenticated(),
            fourth.is_authenticated()
        ))
    }

    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), |routes| {
        routes.app_data(web::Data::new(users.clone()));
        routes.service(again);
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    assert_eq!(browser.get("/again").await.text(), "true true");
    assert_eq!(users.loads(), 3, "two that failed, and one that is kept");
}

/// Polls a future once, which is not enough for it.
async fn begin(future: &mut (impl Future + Unpin)) {
    poll_fn(|context| {
        assert!(Pin::new(&mut *future).poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[actix_web::test]
async fn whoever_waits_for_a_load_gets_by_without_the_one_who_began_it() {
    #[get("/cancelled")]
    async fn cancelled(auth: Auth<User>) -> Result<impl Responder, LoadError> {
        let mut first = Box::pin(auth.current_user());
        let mut second = Box::pin(auth.current_user());
        begin(&mut first).await;
        begin(&mut second).await;
        drop(first);
        let second = second.await?;
        let third = auth.current_user().await?;
        Ok(format!(
            "{} {}",
            second.is_authenticated(),
            third.is_authenticated()
        ))
    }

    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), |routes| {
        routes.service(cancelled);
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    assert_eq!(browser.get("/cancelled").await.text(), "true true");
    assert_eq!(
        users.loads(),
        2,
        "one that was cut short, and one that is kept"
    );
}

#[actix_web::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for path in ASKING {
        let mut request = browser.get(path).into_future();
        begin(&mut request).await;
        drop(request);
        users.loads();
        assert_eq!(browser.get(path).await.status(), 200, "{path}");
        assert_eq!(users.loads(), 1, "{path}");
    }
}
