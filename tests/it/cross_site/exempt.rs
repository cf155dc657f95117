//! Which requests of other sites are taken: at routes that are declared so, and with a credential in a header.

use actix_web::{HttpRequest, Responder, post, web};
use login_runtime::{
    Auth, LoginError, MaybeUser, Verified, audit::audit, login_required, public, test::Browser,
};
use login_tests::{User, Users, app, key};

use super::{
    Changes, FOREIGN, OLD_BROWSER, OWN, SIBLING, assert_refused, base, changing, post,
    with_api_keys,
};
use crate::world::{Events, SESSION, name_of};

async fn name(user: MaybeUser<User>) -> String {
    user.user()
        .map_or_else(|| "nobody".to_owned(), |user| user.name.clone())
}

async fn callback(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    auth.log_in(Verified::trust(User::new(2, "ben"), "single sign-on"))
        .await?;
    Ok("logged in")
}

#[public(cross_site)]
#[post("/attribute")]
async fn by_attribute(user: MaybeUser<User>) -> String {
    name(user).await
}

#[login_required]
async fn guarded() -> impl Responder {
    "guarded"
}

fn routes(routes: &mut web::ServiceConfig) {
    let exempt = || public().cross_site();
    routes
        .route("/me", web::get().to(name))
        .route("/hook", web::post().to(name).wrap(exempt()))
        .route("/callback", web::post().to(callback).wrap(exempt()))
        .route(
            "/both",
            web::post().to(name).wrap(exempt()).wrap(login_required()),
        )
        .service(
            web::scope("/scope")
                .wrap(exempt())
                .route("/open", web::post().to(name))
                // No declaration shows this guard.
                .route("/guarded", web::post().to(guarded))
                .route("/wrapped", web::post().to(name).wrap(login_required())),
        );
}

#[actix_web::test]
async fn a_declared_route_takes_requests_of_other_sites_without_their_login() {
    for denies in [false, true] {
        let mut builder = base(&Users::new());
        if denies {
            builder = builder.deny_by_default();
        }
        let app = app(builder.build(key()).unwrap(), routes).await;
        let ada = Browser::new(&app);
        ada.log_in(User::new(1, "ada")).remember().await;
        for path in ["/hook", "/scope/open"] {
            for headers in [FOREIGN, SIBLING, OLD_BROWSER] {
                assert_eq!(post(&ada, path, headers).await.text(), "nobody", "{path}");
            }
            assert_eq!(post(&ada, path, OWN).await.text(), "ada", "{path}");
        }
        // A guard inside the scope finds no login.
        assert_eq!(post(&ada, "/scope/guarded", FOREIGN).await.status(), 303);
        assert_eq!(post(&ada, "/scope/guarded", OWN).await.text(), "guarded");
        for path in ["/scope/wrapped", "/both"] {
            assert_refused(&post(&ada, path, FOREIGN).await);
            assert_eq!(post(&ada, path, OWN).await.text(), "ada", "{path}");
        }
        assert_eq!(name_of(&ada).await, "ada", "the login is still there");
    }
}

#[actix_web::test]
async fn a_callback_of_a_single_sign_on_can_log_a_user_in() {
    for denies in [false, true] {
        let mut builder = base(&Users::new());
        if denies {
            builder = builder.deny_by_default();
        }
        let app = app(builder.build(key()).unwrap(), routes).await;
        for before in [None, Some(User::new(1, "ada"))] {
            let browser = Browser::new(&app);
            if let Some(user) = before {
                browser.log_in(user).await;
            }
            let answer = post(&browser, "/callback", FOREIGN).await;
            assert_eq!(answer.text(), "logged in");
            assert!(answer.set_cookie(SESSION).is_some());
            let me = browser.get("/me").await.text();
            assert!(me == "ben" || denies && me.is_empty(), "{me}");
        }
    }
}

#[actix_web::test]
async fn a_header_that_the_request_loader_knows_excuses_a_request_of_another_site() {
    let users = Users::new();
    let (asked, changes) = (Changes::default(), Changes::default());
    let builder = with_api_keys(base(&users), &users, &asked);
    let (builder, events) = Events::of(builder);
    let app = app(builder.build(key()).unwrap(), changing(&changes)).await;
    let browser = Browser::new(&app);
    // The query, or headers, and whether the request is taken and the loader asked.
    type Row = (
        &'static str,
        &'static [(&'static str, &'static str)],
        bool,
        bool,
    );
    let rows: &[Row] = &[
        ("/change", &[("authorization", "Bearer 1")], true, true),
        ("/change", &[("x-api-key", "1")], true, true),
        // Nobody has this key, and Cy is not active.
        ("/change", &[("authorization", "Bearer 9")], false, true),
        ("/change", &[("authorization", "Bearer 3")], false, true),
        // Browsers send these by themselves.
        ("/change", &[("authorization", "Basic 1")], false, false),
        ("/change", &[("authorization", "negotiate 1")], false, false),
        ("/change", &[("authorization", "NTLM 1")], false, false),
        ("/change", &[("authorization", "Digest 1")], false, false),
        (
            "/change",
            &[("authorization", "Basic 1"), ("x-api-key", "1")],
            false,
            false,
        ),
        // A form can have a query, and send the cookies of the application.
        ("/change?key=1", &[], false, false),
        ("/change", &[("cookie", "key=1")], false, false),
        // No default name.
        ("/change", &[("x-token", "1")], false, false),
        // With a cookie of ours, the login might be the browser's.
        (
            "/change",
            &[
                ("authorization", "Bearer 1"),
                ("cookie", "__Host-session=x"),
            ],
            false,
            false,
        ),
        (
            "/change",
            &[
                ("authorization", "Bearer 1"),
                ("cookie", "a=b; __Host-remember=x"),
            ],
            false,
            false,
        ),
        // Another cookie proves nothing, and the key is still in the header.
        (
            "/change",
            &[("authorization", "Bearer 1"), ("cookie", "theme=dark")],
            true,
            true,
        ),
    ];
    for (path, headers, taken, is_asked) in rows {
        let all: Vec<_> = FOREIGN.iter().chain(*headers).copied().collect();
        let answer = post(&browser, path, &all).await;
        let found = (answer.status(), changes.take(), asked.take());
        let expected = match taken {
            true => (200, 1, usize::from(*is_asked)),
            false => (403, 0, usize::from(*is_asked)),
        };
        assert_eq!(found, expected, "{path} {headers:?}");
        let refused = events.count("cross_site_refused CrossSite");
        assert_eq!(refused, usize::from(!taken), "{path} {headers:?}");
    }
}

#[actix_web::test]
async fn the_loader_is_asked_once_and_only_if_the_request_would_be_refused() {
    let users = Users::new();
    let asked = Changes::default();
    let builder = with_api_keys(base(&users), &users, &asked);
    let app = app(builder.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    let key = ("authorization", "Bearer 1");
    let with_key = |headers: &[(&'static str, &'static str)]| {
        headers.iter().copied().chain([key]).collect::<Vec<_>>()
    };
    // The route asks for the user, and gets the one that the check has found.
    for headers in [FOREIGN, OWN] {
        let answer = post(&browser, "/both", &with_key(headers)).await;
        assert_eq!((&*answer.text(), asked.take()), ("ada", 1));
    }
    // A declared route takes the request anyway, without a login.
    let answer = post(&browser, "/hook", &with_key(FOREIGN)).await;
    assert_eq!((&*answer.text(), asked.take()), ("nobody", 0));
}

#[actix_web::test]
async fn a_loader_that_fails_excuses_nobody() {
    let (users, changes) = (Users::new(), Changes::default());
    let failing = |_: &HttpRequest| async { Err::<Option<User>, _>("the database is down") };
    let builder = base(&users).request_loader(failing);
    let app = app(builder.build(key()).unwrap(), changing(&changes)).await;
    let browser = Browser::new(&app);
    let headers = [("sec-fetch-site", "cross-site"), ("x-api-key", "1")];
    let answer = post(&browser, "/change", &headers).await;
    assert_eq!((answer.status(), changes.take()), (503, 0));
}

#[actix_web::test]
async fn an_application_names_the_headers_of_its_credentials() {
    let (users, asked, changes) = (Users::new(), Changes::default(), Changes::default());
    for (names, header, status) in [
        (&["X-Token"][..], ("x-token", "1"), 200),
        (&["X-Token"], ("authorization", "Bearer 1"), 403),
        (&[], ("x-api-key", "1"), 403),
    ] {
        let builder = with_api_keys(base(&users), &users, &asked).credential_headers(names);
        let app = app(builder.build(key()).unwrap(), changing(&changes)).await;
        let browser = Browser::new(&app);
        let headers: Vec<_> = FOREIGN.iter().copied().chain([header]).collect();
        let answer = post(&browser, "/change", &headers).await;
        assert_eq!(answer.status(), status, "{names:?} {header:?}");
    }
}

#[actix_web::test]
async fn the_audit_lists_the_routes_that_take_requests_of_other_sites() {
    let app = app(base(&Users::new()).build(key()).unwrap(), |config| {
        routes(config);
        config.service(by_attribute);
    })
    .await;
    let audit = audit(&app).await.unwrap();
    let listed: Vec<_> = audit.cross_site().map(|route| &*route.pattern).collect();
    let expected = [
        "/attribute",
        "/callback",
        "/hook",
        "/scope/guarded",
        "/scope/open",
        // The default service of the application, below the scope.
        "/scope/{default}",
    ];
    assert_eq!(listed, expected);
    let table = audit.to_string();
    let line = table.lines().find(|line| line.contains("/hook")).unwrap();
    assert!(
        line.contains("public(cross_site) (unsafe method)"),
        "{line}"
    );
    // A guard closes the route, whatever is around it.
    let both = audit.routes().iter().find(|route| route.pattern == "/both");
    assert_eq!(both.unwrap().decision.to_string(), "login");
    assert!(audit.to_json().contains("\"public(cross_site)\""));
    // Anonymous clients can change something there.
    assert_eq!(audit.public_and_unsafe().count(), 6);
}

#[actix_web::test]
async fn an_attribute_declares_it_too() {
    for denies in [false, true] {
        let mut builder = base(&Users::new());
        if denies {
            builder = builder.deny_by_default();
        }
        let app = app(builder.build(key()).unwrap(), |routes| {
            routes.service(by_attribute);
        })
        .await;
        let browser = Browser::new(&app);
        browser.log_in(User::new(1, "ada")).await;
        assert_eq!(post(&browser, "/attribute", FOREIGN).await.text(), "nobody");
        assert_eq!(post(&browser, "/attribute", OWN).await.text(), "ada");
    }
}
