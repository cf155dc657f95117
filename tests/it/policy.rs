//! The policy in words, and the check before a deployment.

use std::{collections::BTreeSet, fs, time::Duration};

use actix_session::{SessionMiddleware, config::PersistentSession, storage::CookieSessionStore};
use actix_web::{App, HttpRequest, HttpResponse, cookie::SameSite, test::init_service, web};
use login_runtime::{
    AuthUser, CookieSettings, Limits, LoginManager, MemoryLoginStore, Policy, RememberCookie,
    audit_trail::{AuditTrail, EventRecord, EventSink},
    config::{
        AddressPart, ClientIdentity, LoginManagerBuilder, PageCaching, ResourcePolicy,
        SessionProtection,
    },
    proxies::{ForwardedHeaders, TrustedProxies},
    store::{CachedLoginStore, MaxLogins, StoreError},
    throttle::{Throttle, TryLimit},
};
use login_tests::{
    User, Users, key, key_of, load_admin, manager, manager_base, sessions::MemorySessions,
};

type Builder = LoginManagerBuilder;

fn base() -> Builder {
    manager_base(&Users::new())
        .0
        .login_store(MemoryLoginStore::new())
}

fn policy(builder: Builder) -> Policy {
    builder.build(key()).unwrap().policy()
}

/// An audit trail that stores nothing.
struct NoSink;

impl EventSink for NoSink {
    async fn store_events(&self, _: &[EventRecord]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a setter of the builder does to the settings, or why it cannot be in the policy.
enum Setter {
    /// Another value.
    Set(fn(Builder) -> String),
    /// It is part of every row.
    Build,
}

fn text(builder: Builder) -> String {
    policy(builder).to_string()
}

/// Every public method of the builder, with another value than the default.
const SETTERS: &[(&str, Setter)] = &[
    (
        "user_loader",
        Setter::Set(|builder| text(builder.user_loader(load_admin))),
    ),
    ("realm", Setter::Set(|builder| text(builder.realm("shop")))),
    (
        "request_loader",
        Setter::Set(|builder| {
            text(
                builder
                    .request_loader(|_: &HttpRequest| async { Ok::<Option<User>, String>(None) }),
            )
        }),
    ),
    (
        "login_view",
        Setter::Set(|builder| text(builder.login_view("/enter"))),
    ),
    (
        "refresh_view",
        Setter::Set(|builder| text(builder.refresh_view("/again"))),
    ),
    (
        "next_field",
        Setter::Set(|builder| text(builder.next_field("to"))),
    ),
    (
        "use_session_for_next",
        Setter::Set(|builder| text(builder.use_session_for_next())),
    ),
    (
        "next_max_len",
        Setter::Set(|builder| text(builder.next_max_len(99))),
    ),
    (
        "next_for_all_methods",
        Setter::Set(|builder| text(builder.next_for_all_methods())),
    ),
    (
        "force_host_for_redirects",
        Setter::Set(|builder| text(builder.force_host_for_redirects("a.test"))),
    ),
    (
        "own_origin",
        Setter::Set(|builder| text(builder.own_origin("https://a.test"))),
    ),
    (
        "origins",
        Setter::Set(|builder| text(builder.origins(["https://b.test"]))),
    ),
    (
        "next_origins",
        Setter::Set(|builder| text(builder.next_origins(["https://c.test"]))),
    ),
    (
        "trusted_origins",
        Setter::Set(|builder| text(builder.trusted_origins(["https://d.test"]))),
    ),
    (
        "allow_same_site",
        Setter::Set(|builder| text(builder.allow_same_site())),
    ),
    (
        "credential_headers",
        Setter::Set(|builder| {
            let load = |_: &HttpRequest| async { Ok::<Option<User>, String>(None) };
            let said = text(builder.request_loader(load).credential_headers(["X-Token"]));
            assert!(said.contains("`x-token`"), "{said}");
            said
        }),
    ),
    (
        "danger_no_cross_site_check",
        Setter::Set(|builder| text(builder.danger_no_cross_site_check())),
    ),
    (
        "danger_any_host",
        Setter::Set(|builder| text(builder.danger_any_host())),
    ),
    (
        "login_message",
        Setter::Set(|builder| text(builder.login_message(Some("Who are you?")))),
    ),
    (
        "login_message_category",
        Setter::Set(|builder| text(builder.login_message_category("info"))),
    ),
    (
        "needs_refresh_message",
        Setter::Set(|builder| text(builder.needs_refresh_message(None))),
    ),
    (
        "needs_refresh_message_category",
        Setter::Set(|builder| text(builder.needs_refresh_message_category("warning"))),
    ),
    (
        "localize",
        Setter::Set(|builder| text(builder.localize(|_, text| text.to_owned()))),
    ),
    (
        "flash",
        Setter::Set(|builder| text(builder.flash(|_, _| ()))),
    ),
    (
        "flash_messages",
        Setter::Set(|builder| text(builder.flash_messages())),
    ),
    (
        "unauthorized_handler",
        Setter::Set(|builder| text(builder.unauthorized_handler(|_| async { "no" }))),
    ),
    (
        "needs_refresh_handler",
        Setter::Set(|builder| text(builder.needs_refresh_handler(|_| async { "no" }))),
    ),
    (
        "forbidden_handler",
        Setter::Set(|builder| text(builder.forbidden_handler(|_| async { "no" }))),
    ),
    (
        "load_error_handler",
        Setter::Set(|builder| {
            text(builder.load_error_handler(|_, _| HttpResponse::BadGateway().finish()))
        }),
    ),
    (
        "page_caching",
        Setter::Set(|builder| text(builder.page_caching(PageCaching::Private))),
    ),
    (
        "resource_policy",
        Setter::Set(|builder| text(builder.resource_policy(ResourcePolicy::SameSite))),
    ),
    (
        "clear_storage_at_log_out",
        Setter::Set(|builder| text(builder.clear_storage_at_log_out())),
    ),
    (
        "exempt_options",
        Setter::Set(|builder| text(builder.exempt_options())),
    ),
    (
        "deny_by_default",
        Setter::Set(|builder| text(builder.deny_by_default())),
    ),
    (
        "session_protection",
        Setter::Set(|builder| text(builder.session_protection(SessionProtection::Strong))),
    ),
    (
        "client_identity",
        Setter::Set(|builder| {
            text(builder.client_identity(ClientIdentity::new().user_agent(false)))
        }),
    ),
    (
        "fresh_for",
        Setter::Set(|builder| text(builder.fresh_for(Duration::from_secs(77)))),
    ),
    (
        "fresh_for_the_session",
        Setter::Set(|builder| text(builder.fresh_for_the_session())),
    ),
    (
        "remember_cookie",
        Setter::Set(|builder| {
            text(builder.remember_cookie(RememberCookie::new().refresh_each_request()))
        }),
    ),
    (
        "fallback_keys",
        Setter::Set(|builder| text(builder.fallback_keys([key_of(8)]))),
    ),
    (
        "danger_insecure_cookies",
        Setter::Set(|builder| text(builder.danger_insecure_cookies())),
    ),
    (
        "audit_trail",
        Setter::Set(|builder| text(builder.audit_trail(AuditTrail::new(NoSink)))),
    ),
    (
        "danger_allow_get_log_out",
        Setter::Set(|builder| text(builder.danger_allow_get_log_out())),
    ),
    (
        "on_event",
        Setter::Set(|builder| text(builder.on_event(|_, _| ()))),
    ),
    (
        "on_maintenance",
        Setter::Set(|builder| text(builder.on_maintenance(|_| ()))),
    ),
    (
        "login_store",
        Setter::Set(|builder| {
            text(builder.login_store(std::sync::Arc::new(MemoryLoginStore::new())))
        }),
    ),
    (
        "session_only",
        Setter::Set(|_| text(manager(&Users::new()).0)),
    ),
    (
        "store_deadline",
        Setter::Set(|builder| text(builder.store_deadline(Duration::from_secs(5)))),
    ),
    (
        "limits",
        Setter::Set(|builder| text(builder.limits(Limits::aal3()))),
    ),
    (
        "max_logins",
        Setter::Set(|builder| text(builder.max_logins(MaxLogins::Refuse(3)))),
    ),
    (
        "danger_any_number_of_logins",
        Setter::Set(|builder| text(builder.danger_any_number_of_logins())),
    ),
    (
        "trusted_proxies",
        Setter::Set(|builder| {
            let proxies = TrustedProxies::hops(1, ForwardedHeaders::x_forwarded());
            text(builder.trusted_proxies(proxies))
        }),
    ),
    (
        "client_address",
        Setter::Set(|builder| text(builder.client_address(|_| None))),
    ),
    (
        "own_prefix",
        Setter::Set(|builder| text(builder.own_prefix("/app"))),
    ),
    (
        "throttle",
        Setter::Set(|builder| text(builder.throttle(Throttle::new().per_client(TryLimit::new(7))))),
    ),
    // The builder of these tests has a clock of its own.
    (
        "clock",
        Setter::Set(|_| {
            let load = |id| async move { Ok::<_, String>(Some(User::new(id, "ada"))) };
            let builder = LoginManager::builder(load).login_view("/login");
            text(builder.login_store(MemoryLoginStore::new()))
        }),
    ),
    (
        "session_store",
        Setter::Set(|builder| {
            let manager = builder.session_store(MemorySessions::new()).build(key());
            manager.unwrap().policy().to_string()
        }),
    ),
    (
        "session_cookie",
        Setter::Set(|builder| {
            text(builder.session_cookie(CookieSettings::new().same_site(SameSite::Strict)))
        }),
    ),
    (
        "login_cookie",
        Setter::Set(|builder| text(builder.login_cookie(CookieSettings::new()))),
    ),
    (
        "session_lifecycle",
        Setter::Set(|builder| text(builder.session_lifecycle(PersistentSession::default()))),
    ),
    (
        "session_middleware",
        Setter::Set(|builder| {
            let own = || SessionMiddleware::new(CookieSessionStore::default(), key());
            let manager = builder.session_middleware(own).build(key());
            manager.unwrap().policy().to_string()
        }),
    ),
    ("build", Setter::Build),
];

/// The public methods of the builder, read from its source.
fn setters() -> BTreeSet<String> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../login-runtime/src/setup/builder.rs"
    );
    let source = fs::read_to_string(file).unwrap();
    let (_, source) = source
        .split_once("impl<S: SessionStore + 'static> LoginManagerBuilder<S>")
        .unwrap();
    let names = source
        .lines()
        .filter_map(|line| line.strip_prefix("    pub fn "));
    let name = |line: &str| line.split(['(', '<']).next().unwrap().to_owned();
    names.map(name).collect()
}

#[test]
fn every_setter_of_the_builder_shows_in_the_policy() {
    let known: BTreeSet<_> = SETTERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(setters(), known, "add a row for each setter");
    let default = text(base());
    for (name, setter) in SETTERS {
        if let Setter::Set(set) = setter {
            assert_ne!(set(base()), default, "`{name}` does not show");
        }
    }
}

#[test]
fn equal_settings_give_an_equal_text_whatever_the_key() {
    let with = |number| {
        base()
            .fallback_keys([key_of(number + 1)])
            .build(key_of(number))
            .unwrap()
            .policy()
    };
    let alone = |number| base().build(key_of(number)).unwrap().policy();
    assert_eq!(alone(1), alone(9));
    let (one, other) = (with(1), with(9));
    assert_eq!(one.to_string(), other.to_string());
    let json = |policy: &Policy| serde_json::to_string_pretty(policy).unwrap();
    assert_eq!(json(&one), json(&other));
    let read: serde_json::Value = serde_json::from_str(&json(&one)).unwrap();
    assert_eq!(read["sections"][0]["title"], "Users");
    // Each sentence of the text is in the JSON, with a value.
    for section in &one.sections {
        assert!(!section.statements.is_empty(), "{}", section.title);
        for statement in &section.statements {
            assert!(one.to_string().contains(&format!("- {}\n", statement.text)));
            assert!(statement.text.ends_with('.'), "{}", statement.text);
        }
    }
}

#[test]
fn the_policy_names_the_nist_level_that_the_limits_meet_and_what_they_miss() {
    let levels = |builder: Builder| {
        let policy = policy(builder);
        let said = policy
            .sections
            .iter()
            .flat_map(|section| &section.statements);
        let said = said.filter(|said| said.code == "limits.nist");
        said.map(|said| said.value["met"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        levels(base()),
        [true, false, false],
        "remembered for 30 days"
    );
    for (limits, met) in [
        (Limits::aal1(), [true, false, false]),
        (Limits::aal2(), [true, true, false]),
        (Limits::aal3(), [true, true, true]),
        (
            Limits::aal3().absolute(Duration::from_secs(43_201)),
            [true, true, false],
        ),
        (
            Limits::aal3().idle(Duration::from_secs(901)),
            [true, true, false],
        ),
        (
            Limits::aal2().idle(Duration::from_secs(3_601)),
            [true, false, false],
        ),
        (
            Limits::aal2().absolute(Duration::from_secs(86_401)),
            [true, false, false],
        ),
        (
            Limits::aal2().remember_at_most(Duration::from_secs(86_401)),
            [true, false, false],
        ),
        (
            Limits::aal1().absolute(Duration::from_secs(2_592_001)),
            [false; 3],
        ),
    ] {
        assert_eq!(levels(base().limits(limits)), met, "{limits}");
    }
    let text = text(base());
    assert!(
        text.contains(
            "The limits do not meet level AAL2 of NIST SP 800-63B-4: it is remembered longer than 24 h. Without \
             remember cookies they meet it."
        ),
        "{text}"
    );
}

/// The codes of a manager, without those of [`base`].
fn codes(builder: Builder) -> Vec<&'static str> {
    let check = builder.build(key()).unwrap().check_deploy();
    let check = check
        .allow("memory-login-store")
        .allow("no-deny-by-default");
    check.findings().map(|finding| finding.code).collect()
}

#[test]
fn each_setting_that_should_not_go_live_is_a_finding() {
    let weak = CookieSettings::new;
    let rows: Vec<(Builder, &[&str])> = vec![
        (base(), &[]),
        (base().danger_insecure_cookies(), &["insecure-cookies"]),
        (
            base().session_cookie(weak().danger_insecure()),
            &["insecure-cookies"],
        ),
        (
            base().session_cookie(weak().danger_script_readable()),
            &["cookie-script-readable"],
        ),
        (
            base().remember_cookie(RememberCookie::new().cookie(weak().same_site(SameSite::None))),
            &["cookie-same-site-none"],
        ),
        (
            base().session_cookie(weak().same_site(None)),
            &["cookie-same-site-missing"],
        ),
        (
            base().session_cookie(weak().domain("a.test")),
            &["cookie-domain"],
        ),
        (base().session_cookie(weak().path("/app")), &["cookie-path"]),
        (base().session_cookie(weak().name("sid")), &["cookie-name"]),
        (base().throttle(Throttle::danger_off()), &["no-throttle"]),
        (base().danger_any_host(), &["any-host"]),
        (base().danger_allow_get_log_out(), &["get-log-out"]),
        (
            base().resource_policy(ResourcePolicy::Unset),
            &["no-resource-policy"],
        ),
        (
            base().login_store(
                CachedLoginStore::new(MemoryLoginStore::new()).max_age(Duration::from_secs(6)),
            ),
            &["long-cached-logins"],
        ),
        (
            base().danger_any_number_of_logins(),
            &["any-number-of-logins"],
        ),
        (
            base().limits(Limits::new().danger_no_idle_limit()),
            &["no-idle-limit"],
        ),
        (
            base().limits(Limits::new().absolute(Duration::from_secs(31 * 86_400))),
            &["limits-beyond-aal1"],
        ),
        (
            base()
                .remember_cookie(RememberCookie::new().duration(Duration::from_secs(31 * 86_400))),
            &["limits-beyond-aal1"],
        ),
        (base().own_origin("http://a.test"), &["http-origin"]),
        (
            base().origins(["https://a.test", "http://b.test"]),
            &["http-origin"],
        ),
        (
            base().danger_no_cross_site_check(),
            &["no-cross-site-check"],
        ),
        (base().allow_same_site(), &["same-site-allowed"]),
        (
            base().trusted_origins(["https://a.test", "http://b.test"]),
            &["http-trusted-origin"],
        ),
        (base().exempt_options(), &["exempt-options"]),
        (base().fresh_for_the_session(), &["fresh-for-the-session"]),
        (
            base().session_protection(SessionProtection::None),
            &["session-protection"],
        ),
        (
            base().client_identity(
                ClientIdentity::new()
                    .user_agent(false)
                    .address(AddressPart::Omit),
            ),
            &["client-identity"],
        ),
        (base().user_loader(load_admin), &["no-session-hash"]),
        (
            manager(&Users::new()).0,
            &["session-only", "memory-throttle"],
        ),
    ];
    let is_known = |code: &str| {
        let check = base().build(key()).unwrap().check_deploy().allow(code);
        !check.to_string().contains("unknown-code")
    };
    for (builder, expected) in rows {
        assert_eq!(codes(builder), expected);
        assert!(expected.iter().all(|code| is_known(code)), "{expected:?}");
    }
    let own = || SessionMiddleware::new(CookieSessionStore::default(), key());
    let with_older_key = base().fallback_keys([key_of(8)]).session_middleware(own);
    let check = with_older_key.build(key()).unwrap().check_deploy();
    assert!(
        check
            .findings()
            .any(|finding| finding.code == "session-middleware-key")
    );
    assert!(is_known("session-middleware-key"));
    assert!(
        check
            .not_checked()
            .any(|line| line.contains("session cookie"))
    );
    let check = base().build(key()).unwrap().check_deploy();
    let codes: Vec<_> = check.findings().map(|finding| finding.code).collect();
    assert_eq!(codes, ["memory-login-store", "no-deny-by-default"]);
    let shared = base()
        .login_store(std::sync::Arc::new(MemoryLoginStore::new()))
        .deny_by_default();
    let check = shared.build(key()).unwrap().check_deploy();
    assert!(
        check
            .to_string()
            .starts_with("memory-login-store (error): "),
        "{check}"
    );
}

#[test]
fn every_danger_setting_is_a_finding() {
    let names = setters()
        .into_iter()
        .filter(|name| name.starts_with("danger_"));
    let found = |name: &str| match name {
        "danger_allow_get_log_out" => codes(base().danger_allow_get_log_out()).len(),
        "danger_any_host" => codes(base().danger_any_host()).len(),
        "danger_any_number_of_logins" => codes(base().danger_any_number_of_logins()).len(),
        "danger_no_cross_site_check" => codes(base().danger_no_cross_site_check()).len(),
        "danger_insecure_cookies" => codes(base().danger_insecure_cookies()).len(),
        other => panic!("`{other}` needs a row here and a finding"),
    };
    for name in names {
        assert_eq!(found(&name), 1, "{name}");
    }
}

#[test]
fn a_key_that_is_another_one_after_a_restart_is_found() {
    let build = |number| base().build(key_of(number)).unwrap();
    let found = |check: login_runtime::DeployCheck| {
        check
            .findings()
            .any(|finding| finding.code == "key-made-at-start")
    };
    let check = || build(1).check_deploy();
    assert!(!found(check()));
    assert!(
        check()
            .not_checked()
            .any(|line| line.contains("after_restart"))
    );
    assert!(!found(check().after_restart(&build(1))));
    assert!(
        !check()
            .after_restart(&build(1))
            .not_checked()
            .any(|line| line.contains("after_restart"))
    );
    assert!(found(check().after_restart(&build(2))));
}

#[actix_web::test]
async fn an_audit_adds_views_that_lead_nowhere_and_undeclared_routes() {
    let manager = base().login_view("/enter").build(key()).unwrap();
    let app = App::new()
        .wrap(manager.clone())
        .route("/open", web::get().to(|| async { "open" }));
    let audit = login_runtime::audit::audit(&init_service(app).await)
        .await
        .unwrap();
    let check = manager
        .check_deploy()
        .allow("memory-login-store")
        .allow("no-deny-by-default");
    assert!(check.not_checked().any(|line| line.contains("audit")));
    let check = check.routes(&audit);
    let codes: Vec<_> = check.findings().map(|finding| finding.code).collect();
    assert_eq!(codes, ["view-leads-nowhere", "undeclared-route"]);
    assert!(
        check
            .to_string()
            .contains("the login view `/enter` leads to no route"),
        "{check}"
    );
}

#[test]
fn an_allowed_finding_is_gone_and_a_misspelled_code_is_a_finding() {
    let check = base()
        .build(key())
        .unwrap()
        .check_deploy()
        .allow("memory-login-store");
    assert!(!check.to_string().contains("memory-login-store"), "{check}");
    assert!(check.to_string().contains("no-deny-by-default"), "{check}");
    let check = check
        .allow("no-deny-by-defualt")
        .allow("no-deny-by-default");
    assert!(
        check.to_string().starts_with("unknown-code (error): "),
        "{check}"
    );
    // No finding of one kind hides another.
    assert_eq!(check.findings().count(), 1);
}

#[test]
fn a_user_type_written_by_hand_is_not_checked_for_a_session_hash() {
    struct Own;
    impl AuthUser for Own {
        const NAME: &'static str = "own";
        type Id = i64;
        fn get_id(&self) -> i64 {
            1
        }
    }
    let load = |_: i64| async { Ok::<_, String>(Some(Own)) };
    let builder = LoginManager::builder(load).login_store(MemoryLoginStore::new());
    let manager = builder.build(key()).unwrap();
    let check = manager.check_deploy();
    assert!(
        check
            .not_checked()
            .any(|line| line.contains("session hashes"))
    );
    assert!(!check.to_string().contains("no-session-hash"), "{check}");
    assert_eq!(User::HAS_SESSION_HASH, Some(true));
    assert_eq!(login_tests::Admin::HAS_SESSION_HASH, Some(false));
}
