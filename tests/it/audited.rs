//! What the audit shows of checks, and what it runs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{
    HttpRequest, Responder, get, guard,
    web::{self, ServiceConfig},
};
use login_runtime::{
    audit::{audit, is_audit},
    guards::Condition,
    login_required, public,
    test::Browser,
};
use login_tests::{User, Users, app, key, manager};

use crate::world::Events;

#[login_required(check = |user: &User| user.name == "ada")]
#[get("/closure")]
async fn closure() -> impl Responder {
    "closure"
}

#[login_required(not(check = |user: &User| user.name == "ben" || user.id > 7))]
#[get("/combined")]
async fn combined() -> impl Responder {
    "combined"
}

#[login_required(check = |user: &User, request: &HttpRequest| {
    let name = request.query_string();
    user.name == name
})]
#[get("/request")]
async fn with_request() -> impl Responder {
    "request"
}

#[login_required(user = User, check = is_ada)]
#[get("/function")]
async fn function() -> impl Responder {
    "function"
}

#[login_required(user = User, check = rules::is_ben)]
#[get("/path")]
async fn path() -> impl Responder {
    "path"
}

fn is_ada(user: &User) -> bool {
    user.name == "ada"
}

mod rules {
    use super::User;

    pub(super) fn is_ben(user: &User) -> bool {
        user.name == "ben"
    }
}

async fn page() -> impl Responder {
    "page"
}

/// What the audit says about who may reach each route.
async fn who(routes: impl FnOnce(&mut ServiceConfig)) -> Vec<String> {
    let app = app(manager(&Users::new()).0.build(key()).unwrap(), routes).await;
    let audit = audit(&app).await.unwrap();
    let routes = audit.routes().iter();
    routes
        .map(|route| format!("{} {}", route.pattern, route.decision))
        .collect()
}

#[actix_web::test]
async fn a_check_is_listed_as_it_is_written() {
    let listed = who(|routes| {
        routes.service((closure, combined, with_request, function, path));
    })
    .await;
    assert_eq!(
        listed,
        [
            r#"/closure login(user = User, check = |user: &User| user.name == "ada")"#,
            r#"/combined login(user = User, not(check = |user: &User| user.name == "ben" || user.id > 7))"#,
            "/function login(user = User, check = is_ada)",
            "/path login(user = User, check = rules::is_ben)",
            "/request login(user = User, check = |user: &User, request: &HttpRequest| { let name = \
             request.query_string(); user.name == name })",
        ]
    );
}

#[actix_web::test]
async fn a_function_that_guards_a_scope_is_listed_with_its_path() {
    let listed = who(|routes| {
        for (prefix, condition) in [
            ("/a", Condition::check(is_ada)),
            ("/b", !Condition::check(rules::is_ben)),
        ] {
            let guard = login_required().condition(condition);
            let scope = web::scope(prefix).wrap(guard);
            routes.service(scope.route("", web::get().to(page)));
        }
    })
    .await;
    assert_eq!(
        listed,
        [
            "/a login(check = it::audited::is_ada)",
            "/a/{default} login(check = it::audited::is_ada)",
            "/b login(not(check = it::audited::rules::is_ben))",
            "/b/{default} login(not(check = it::audited::rules::is_ben))",
        ]
    );
}

#[actix_web::test]
async fn the_event_of_a_forbidden_user_names_the_check() {
    let (builder, events) = Events::of(manager(&Users::new()).0);
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(function);
    })
    .await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(2, "ben")).await;
    events.take();
    assert_eq!(browser.get("/function").await.status(), 403);
    assert_eq!(events.take_but_accessed(), ["forbidden ben check = is_ada"]);
}

/// Counts the runs of handlers, and how many of them know that they are part of an audit.
#[derive(Clone, Default)]
struct Runs(Arc<[AtomicUsize; 2]>);

impl Runs {
    fn take(&self) -> (usize, usize) {
        let [all, audited] = &*self.0;
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(all), take(audited))
    }
}

async fn counted(runs: web::Data<Runs>, request: HttpRequest) -> impl Responder {
    let [all, audited] = &*runs.0;
    all.fetch_add(1, Ordering::SeqCst);
    audited.fetch_add(usize::from(is_audit(&request)), Ordering::SeqCst);
    "ran"
}

#[actix_web::test]
async fn an_audit_runs_the_handlers_that_its_page_lists_and_no_others() {
    let runs = Runs::default();
    let run = async |routes: &dyn Fn(&mut ServiceConfig)| {
        let runs = runs.clone();
        let app = app(
            manager(&Users::new()).0.build(key()).unwrap(),
            move |config| {
                config.app_data(web::Data::new(runs));
                routes(config);
            },
        )
        .await;
        audit(&app).await.unwrap();
    };
    let header = || guard::Header("x-version", "1");
    for (what, expected, routes) in [
        (
            "guarded",
            0,
            &(|routes: &mut ServiceConfig| {
                routes.route("/a", web::to(counted).wrap(login_required()));
                routes.route("/b", web::get().to(counted).wrap(login_required()));
            }) as &dyn Fn(&mut ServiceConfig),
        ),
        ("public, for a method", 0, &|routes| {
            routes.route("/a", web::get().to(counted).wrap(public()));
            routes.route("/b", web::post().to(counted).wrap(public()));
        }),
        ("undeclared, for a method", 0, &|routes| {
            routes.route("/a", web::get().to(counted));
            routes.route("/b", web::delete().to(counted));
        }),
        ("undeclared, with a header", 1, &|routes| {
            routes.service(
                web::resource("/a")
                    .route(web::get().guard(header()).to(page).wrap(public()))
                    .route(web::get().to(counted))
                    .route(web::post().to(counted)),
            );
        }),
        ("every method, public", 1, &|routes| {
            let both = [web::get().to(counted), web::to(counted)];
            let resource = web::resource("/a").wrap(public());
            let [get, any] = both;
            routes.service(resource.route(get).route(any));
        }),
        ("every method, undeclared", 1, &|routes| {
            let get = web::get().to(counted);
            routes.service(web::resource("/a").route(get).route(web::to(counted)));
        }),
        ("default service, undeclared", 1, &|routes| {
            routes.default_service(web::to(counted));
        }),
        ("default service, public", 0, &|routes| {
            routes.default_service(web::to(counted).wrap(public()));
        }),
    ] {
        run(routes).await;
        let (all, audited) = runs.take();
        assert_eq!(all, audited, "{what}");
        assert_eq!(all, expected, "{what}");
    }
}

#[actix_web::test]
async fn a_request_of_a_client_is_none_of_an_audit() {
    let runs = Runs::default();
    let data = runs.clone();
    let app = app(manager(&Users::new()).0.build(key()).unwrap(), |routes| {
        routes.app_data(web::Data::new(data));
        routes.route("/", web::get().to(counted));
    })
    .await;
    assert_eq!(Browser::new(&app).get("/").await.text(), "ran");
    assert_eq!(runs.take(), (1, 0));
}
