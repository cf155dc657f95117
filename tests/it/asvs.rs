//! The suite for OWASP ASVS: what it says about an application that does all of it, and about applications
//! with one defect each.

use std::{fs, path::Path, time::Duration};

use actix_http::Request;
use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HeaderValue,
        LOCATION, ORIGIN, SET_COOKIE, VARY,
    },
    middleware::{Next, from_fn},
    test::init_service,
    web,
};
use login_runtime::{
    Auth, CurrentUser, Limits, LoginError, MaybeUser, MemoryLoginStore, Verified, login_required,
    proxies::{ForwardedHeaders, TrustedProxies},
    store::MaxLogins,
    test::{
        asvs::{Facts, Outcome, Report, check, table},
        strict::{Rule, Tolerated, tolerate},
    },
    throttle::{Throttle, ThrottleError, TryLimit, attempt},
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
    HasNoCrossSiteCheck,
    SharesItsAnswers,
    MayBeEmbedded,
    TakesClientsForProxies,
    HasNoThrottle,
    LetsGuessesLockTheOwnerOut,
    ChecksPasswordsByHand,
    RefusesByHand,
    LogsPasswords,
    WritesDownOtherLimits,
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
) -> actix_web::Result<HttpResponse> {
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
    if defect == Defect::LogsPasswords {
        tracing::debug!(form.password, "a log in");
    }
    let check = async || {
        let right = found.clone().filter(|it| it.is_active && it.hash == typed);
        Ok::<_, ThrottleError>(right)
    };
    let checked = match defect {
        Defect::ChecksPasswordsByHand => check().await?,
        _ => attempt(&auth, "password", &form.name, check).await?,
    };
    let Some(found) = checked else {
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

/// Refuses without telling the login manager.
async fn account_by_hand(user: MaybeUser<User>) -> HttpResponse {
    match user.user() {
        Some(_) => HttpResponse::Ok().body(PAGE),
        None => HttpResponse::Unauthorized().finish(),
    }
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
    let origin = request.headers().get(ORIGIN).cloned();
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
        Defect::MayBeEmbedded => {
            let policy = "cross-origin-resource-policy";
            response.headers_mut().remove(policy);
            ""
        }
        Defect::SharesItsAnswers => {
            if let Some(origin) = origin {
                let headers = response.headers_mut();
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                let yes = HeaderValue::from_static("true");
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            }
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
    builder = match defect {
        Defect::HasNoCrossSiteCheck => builder.danger_no_cross_site_check(),
        Defect::HasNoThrottle => builder.throttle(Throttle::danger_off()),
        Defect::LetsGuessesLockTheOwnerOut => {
            builder.throttle(Throttle::new().per_account(TryLimit::new(3)))
        }
        Defect::TakesClientsForProxies => {
            let headers = ForwardedHeaders::x_forwarded().with_host().with_prefix();
            builder.trusted_proxies(TrustedProxies::networks(["198.18.0.0/15"], headers))
        }
        _ => builder,
    };
    let manager = builder.build(key()).unwrap();
    let policy = match defect {
        Defect::WritesDownOtherLimits => {
            let other = manager_base(&users).0.login_store(MemoryLoginStore::new());
            let limits = Limits::new().absolute(Duration::from_secs(60 * 60));
            let other = other.limits(limits).max_logins(MaxLogins::EndOldest(2));
            other.build(key()).unwrap().policy()
        }
        _ => manager.policy(),
    };
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
            Defect::RefusesByHand => web::get().to(account_by_hand),
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
        .policy(policy)
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
    assert!(passed.len() >= 33, "{} pass:\n{report}", passed.len());
    let confirm = report.row("7.5.1").unwrap();
    assert_eq!(confirm.outcome, Outcome::NotApplicable);
    assert_eq!(confirm.why, "the fact `fresh` is missing");
}

/// The ids at which each defect fails, and whether it fails at others too: where nobody is kept out, or the
/// owner gets no further, most checks see it.
const FAILS: &[(Defect, &[&str], bool)] = &[
    (Defect::NotSecure, &["3.3.1", "3.3.3"], false),
    (Defect::NoSameSite, &["3.3.2"], false),
    (Defect::ReadableByScripts, &["3.3.4"], false),
    (Defect::ShowsItsCookies, &["3.3.4", "7.4.4"], false),
    (
        Defect::HasNoCrossSiteCheck,
        &["3.5.1", "3.5.2", "16.3.3"],
        false,
    ),
    (Defect::SharesItsAnswers, &["3.5.2"], false),
    (Defect::LogsOutByGet, &["3.5.3", "7.4.1"], false),
    (Defect::MayBeEmbedded, &["3.5.8"], false),
    (Defect::FollowsAnyNext, &["3.7.2"], false),
    (Defect::TakesClientsForProxies, &["4.1.3"], false),
    (Defect::LetsGuessesLockTheOwnerOut, &["6.1.1"], true),
    (Defect::TrimsPasswords, &["6.2.8"], false),
    (Defect::HasNoThrottle, &["6.1.1", "6.3.1", "16.3.3"], false),
    (Defect::TellsWhoHasAnAccount, &["6.3.8"], false),
    (Defect::WritesDownOtherLimits, &["7.1.1", "7.1.2"], false),
    (Defect::KeepsTheLoginOfAnotherTime, &["7.2.4"], false),
    (Defect::HasNoIdleLimit, &["7.3.1"], false),
    (
        Defect::HasNoStore,
        &["7.2.4", "7.3.1", "7.4.1", "16.3.3"],
        false,
    ),
    (Defect::LogsInByGet, &["7.6.2"], false),
    (Defect::ShowsThePageToAnybody, &["8.2.1"], true),
    (Defect::IsInCaches, &["14.3.1", "14.3.2"], false),
    (Defect::LogsPasswords, &["16.2.5"], false),
    (
        Defect::ChecksPasswordsByHand,
        &["6.1.1", "6.3.1", "16.3.1", "16.3.3"],
        false,
    ),
    (Defect::RefusesByHand, &["3.5.8", "16.3.2", "16.3.3"], false),
];

#[actix_web::test]
async fn each_defect_fails_at_its_id() {
    let _known = on_purpose();
    for (defect, ids, and_others) in FAILS {
        let report = report(*defect).await;
        let failed = report.ids(Outcome::Fail);
        let missed: Vec<_> = ids.iter().filter(|id| !failed.contains(id)).collect();
        assert!(missed.is_empty(), "{defect:?} passes {missed:?}:\n{report}");
        let others = failed.len() - ids.len();
        assert!(
            *and_others || others == 0,
            "{defect:?} fails {failed:?}:\n{report}"
        );
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
