//! The suite for OWASP ASVS: what it says about an application that does all of it, and about applications
//! with one defect each.

use std::{fs, path::Path};

use actix_http::Request;
use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::{CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE, VARY},
    middleware::{Next, from_fn},
    test::init_service,
    web,
};
use login_runtime::{
    Auth, CurrentUser, Limits, LoginError, MaybeUser, MemoryLoginStore, Verified, login_required,
    test::{
        asvs::{Facts, Outcome, Report, check, table},
        strict::{Rule, Tolerated, tolerate},
    },
};
use login_tests::{User, Users, key, manager_base, record_logins};
use serde::Deserialize;

/// What an application does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    NotSecure,
    NoSameSite,
    ReadableByScripts,
    ShowsItsCookies,
    FollowsAnyNext,
    TrimsPasswords,
    TellsWhoHasAnAccount,
    KeepsTheLoginOfAnotherTime,
    HasNoIdleLimit,
    LogsOutByGet,
    HasNoStore,
    LogsInByGet,
    ShowsThePageToAnybody,
    IsInCaches,
}

/// The defect that a handler has to know.
struct Wrong(Defect);

#[derive(Deserialize)]
struct Form {
    name: String,
    password: String,
}

async fn log_in(
    auth: Auth<User>,
    user: MaybeUser<User>,
    form: web::Either<web::Form<Form>, web::Query<Form>>,
    request: actix_web::HttpRequest,
    users: web::Data<Users>,
    wrong: web::Data<Wrong>,
) -> Result<HttpResponse, LoginError> {
    let form = match form {
        web::Either::Left(form) => form.into_inner(),
        web::Either::Right(form) => form.into_inner(),
    };
    let defect = wrong.0;
    let found = (1..4)
        .filter_map(|id| users.get(id))
        .find(|user| user.name == form.name);
    let typed = match defect {
        Defect::TrimsPasswords => form.password.trim(),
        _ => &form.password,
    };
    let Some(found) = found.clone().filter(|it| it.is_active && it.hash == typed) else {
        let problem = match (defect, found.is_some()) {
            (Defect::TellsWhoHasAnAccount, false) => "There is no such user.",
            _ => "Wrong name or password.",
        };
        return Ok(HttpResponse::Unauthorized().body(problem));
    };
    if defect == Defect::KeepsTheLoginOfAnotherTime && user.user().is_some() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let mut found = Verified::trust(found, "test");
    if defect == Defect::LogsInByGet {
        found = found.state_checked();
    }
    auth.log_in(found).await?;
    let mut answer = auth.redirect_to_next_or("/account");
    let query = url::form_urlencoded::parse(request.query_string().as_bytes());
    let next = query.into_iter().find(|(name, _)| name == "next");
    if defect == Defect::FollowsAnyNext
        && let Some((_, next)) = next
        && let Ok(next) = HeaderValue::from_str(&next)
    {
        answer.headers_mut().insert(LOCATION, next);
    }
    Ok(answer)
}

async fn log_out(auth: Auth<User>) -> Result<HttpResponse, LoginError> {
    auth.log_out().await?;
    Ok(HttpResponse::NoContent().finish())
}

const PAGE: &str = r#"<form method="post" action="/logout"><button>Log out</button></form>"#;

#[login_required]
async fn account(_user: CurrentUser<User>) -> &'static str {
    PAGE
}

/// Breaks a response as the defect says.
async fn spoil(
    defect: Defect,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let cookies: Vec<_> = request
        .cookies()
        .unwrap()
        .iter()
        .map(|it| it.value().to_owned())
        .collect();
    let mut response = next.call(request).await?.map_into_boxed_body();
    let without = match defect {
        Defect::NotSecure => "; Secure",
        Defect::NoSameSite => "; SameSite=Lax",
        Defect::ReadableByScripts => "; HttpOnly",
        Defect::IsInCaches => {
            let public = HeaderValue::from_static("public, max-age=60");
            response.headers_mut().insert(CACHE_CONTROL, public);
            response.headers_mut().remove(VARY);
            ""
        }
        Defect::ShowsItsCookies => return Ok(response.map_body(|_, _| cookies.join(" ").boxed())),
        _ => "",
    };
    let headers = response.headers_mut();
    for cookie in headers.remove(SET_COOKIE).collect::<Vec<_>>() {
        let cookie = cookie.to_str().unwrap().replacen(without, "", 1);
        headers.append(SET_COOKIE, HeaderValue::from_str(&cookie).unwrap());
    }
    Ok(response)
}

async fn app(
    defect: Defect,
) -> (
    impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = Error>,
    Facts,
) {
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let store = (defect != Defect::HasNoStore).then(MemoryLoginStore::new);
    let mut builder = record_logins(builder, store);
    if defect == Defect::LogsOutByGet {
        builder = builder.danger_allow_get_log_out();
    }
    if defect == Defect::HasNoIdleLimit {
        builder = builder.limits(Limits::new().danger_no_idle_limit());
    }
    let manager = builder.build(key()).unwrap();
    let data = users.clone();
    let routes = move |routes: &mut web::ServiceConfig| {
        let mut form = web::resource("/login").route(web::post().to(log_in));
        if defect == Defect::LogsInByGet {
            form = form.route(web::get().to(log_in));
        }
        let mut leave = web::resource("/logout").route(web::post().to(log_out));
        if defect == Defect::LogsOutByGet {
            leave = leave.route(web::get().to(log_out));
        }
        let page = match defect {
            Defect::ShowsThePageToAnybody => web::get().to(async || PAGE),
            _ => web::get().to(account),
        };
        routes
            .app_data(web::Data::new(data.clone()))
            .app_data(web::Data::new(Wrong(defect)))
            .service(form)
            .service(leave)
            .route("/account", page);
    };
    let app = App::new()
        .wrap(manager)
        .wrap(from_fn(move |request, next| spoil(defect, request, next)))
        .configure(routes);
    let facts = Facts::new("/login", "/account")
        .user("ada", "hash of ada")
        .other_user("ben", "hash of ben")
        .inactive_user("cy", "hash of cy")
        .clock(clock)
        .deactivate(move || {
            users.change(2, |user| user.is_active = false);
            async {}
        });
    (init_service(app).await, facts)
}

async fn report(defect: Defect) -> Report {
    let (app, facts) = app(defect).await;
    check(&app, facts).await
}

fn on_purpose() -> Tolerated {
    let rules = [
        Rule::Secure,
        Rule::Prefix,
        Rule::SameSite,
        Rule::HttpOnly,
        Rule::OwnOrigin,
        Rule::Private,
    ];
    tolerate(&rules, "", "the defects break these rules")
}

#[actix_web::test]
async fn an_application_without_a_defect_passes_and_missing_facts_are_named() {
    let report = report(Defect::None).await;
    report.assert_passed();
    let passed = report.ids(Outcome::Pass);
    assert!(passed.len() >= 20, "{} pass:\n{report}", passed.len());
    let confirm = report.row("7.5.1").unwrap();
    assert_eq!(confirm.outcome, Outcome::NotApplicable);
    assert_eq!(confirm.why, "the fact `fresh` is missing");
}

#[actix_web::test]
async fn each_defect_fails_at_its_id() {
    let _known = on_purpose();
    for (defect, id) in [
        (Defect::NotSecure, "3.3.1"),
        (Defect::NoSameSite, "3.3.2"),
        (Defect::ReadableByScripts, "3.3.4"),
        (Defect::ShowsItsCookies, "3.3.4"),
        (Defect::FollowsAnyNext, "3.7.2"),
        (Defect::TrimsPasswords, "6.2.8"),
        (Defect::TellsWhoHasAnAccount, "6.3.8"),
        (Defect::KeepsTheLoginOfAnotherTime, "7.2.4"),
        (Defect::HasNoIdleLimit, "7.3.1"),
        (Defect::LogsOutByGet, "7.4.1"),
        (Defect::HasNoStore, "7.4.1"),
        (Defect::LogsInByGet, "7.6.2"),
        (Defect::ShowsThePageToAnybody, "8.2.1"),
        (Defect::IsInCaches, "14.3.2"),
    ] {
        let report = report(defect).await;
        let failed = report.ids(Outcome::Fail);
        assert!(
            failed.contains(&id),
            "{defect:?} does not fail {id}:\n{report}"
        );
        println!("{defect:?} fails {}", failed.join(", "));
    }
}

#[test]
fn the_guide_has_the_table_of_the_suite() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../login-runtime/src/guide/asvs.md");
    let text = fs::read_to_string(&page).unwrap();
    let start = text.find("| id |").unwrap_or(text.len());
    if std::env::var_os("ASVS_WRITE").is_some() {
        fs::write(&page, format!("{}{}", &text[..start], table())).unwrap();
        return;
    }
    assert_eq!(
        &text[start..],
        table(),
        "run this test with ASVS_WRITE=1 to write the page"
    );
}
