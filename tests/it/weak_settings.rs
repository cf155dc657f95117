//! Settings that weaken a login: obvious non-keys are refused, and the rest is named in the log.

use actix_session::{SessionMiddleware, storage::CookieSessionStore};
use actix_web::cookie::{Key, SameSite};
use login_runtime::{
    BuildError, CookieSettings, MemoryLoginStore, RememberCookie,
    config::{AddressPart, ClientIdentity, LoginManagerBuilder, SessionProtection},
    test::Browser,
};
use login_tests::{Users, key, key_of, load_admin, manager, manager_base};

use crate::{
    events::Log,
    world::{name_of, site},
};

fn builder() -> LoginManagerBuilder {
    let (builder, _) = manager_base(&Users::new());
    builder.login_store(MemoryLoginStore::new())
}

/// Keys that somebody left in.
fn no_keys() -> Vec<Key> {
    let mut keys: Vec<_> = [0, 1, b'k', b'0', 0xff]
        .map(|byte| Key::from(&[byte; 64]))
        .into();
    for text in [
        "0123456789abcdef".repeat(4),
        "deadbeef".repeat(8),
        "secret".repeat(11),
        "abc".repeat(30),
        format!("my-secret{}", "0".repeat(64)),
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".to_owned(),
        "CHANGE_ME_IN_PRODUCTION_this_is_only_an_example_of_what_a_key_is".to_owned(),
        "this is a very secret key, please replace it before you go online".to_owned(),
    ] {
        keys.push(Key::from(text.as_bytes()));
    }
    keys.push(Key::from(&(0..64).collect::<Vec<u8>>()));
    keys.push(Key::from(&(0..=255).rev().collect::<Vec<u8>>()));
    keys
}

#[test]
fn a_key_that_is_obviously_none_does_not_build() {
    for no_key in no_keys() {
        let error = builder().build(no_key.clone()).unwrap_err();
        assert_eq!(
            error,
            BuildError::WeakKey { setting: "build" },
            "{:?}",
            no_key.master()
        );
        assert!(error.to_string().contains("64 random bytes"), "{error}");
        assert!(!error.to_string().contains("deadbeef"), "{error}");
    }
}

#[test]
fn an_older_key_that_is_obviously_none_does_not_build() {
    let setting = "fallback_keys";
    for no_key in no_keys() {
        let with_old = |keys: &[&Key]| {
            let keys = keys.iter().copied().cloned();
            builder().fallback_keys(keys).build(key()).map(|_| ())
        };
        let good = key_of(8);
        let refused = Err(BuildError::WeakKey { setting });
        assert_eq!(with_old(&[&no_key]), refused);
        assert_eq!(with_old(&[&good, &no_key]), refused);
        assert_eq!(with_old(&[&no_key, &good]), refused);
        assert_eq!(with_old(&[&good]), Ok(()));
    }
}

#[test]
fn no_way_to_build_a_manager_takes_a_key_that_is_obviously_none() {
    let zeros = || Key::from(&[0; 64]);
    let own = || SessionMiddleware::new(CookieSessionStore::default(), key());
    let refused = BuildError::WeakKey { setting: "build" };
    let with_cookie = builder().login_cookie(CookieSettings::new());
    assert_eq!(with_cookie.build(zeros()).unwrap_err(), refused);
    let without_store = manager(&Users::new()).0;
    assert_eq!(without_store.build(zeros()).unwrap_err(), refused);
    let with_own = builder().session_middleware(own);
    assert_eq!(with_own.build(zeros()).unwrap_err(), refused);
}

#[actix_web::test]
async fn random_keys_in_any_form_build_and_log_users_in() {
    for number in 0..=255 {
        assert!(builder().build(key_of(number)).is_ok(), "{number}");
    }
    for _ in 0..100 {
        assert!(builder().build(Key::generate()).is_ok());
    }
    let hex = "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d";
    let base64 = "q7Rk1mZV0bYyB4n2Jt8cXw5uFh3GdLsPzKaEoTiCvNQ6xWgUjMlHSrDfAe9O+IpBqkYt/2Zy";
    let decimal = "3141592653589793238462643383279502884197169399375105820974944592";
    for text in [hex, base64, decimal] {
        let users = Users::new();
        let manager = manager(&users).0.build(Key::from(text.as_bytes())).unwrap();
        let app = site(manager, &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        assert_eq!(name_of(&browser).await, "ada", "{text}");
    }
}

/// The warnings of a manager, without the word that starts each line.
fn warnings<T: actix_session::storage::SessionStore + 'static>(
    builder: LoginManagerBuilder<T>,
) -> Vec<String> {
    let (log, _guard) = Log::start();
    builder.build(key()).unwrap();
    log.take_ours()
}

/// Each of these parts is in one warning, and there are no others.
#[track_caller]
fn assert_warns(warnings: &[String], expected: &[&[&str]]) {
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, parts) in warnings.iter().zip(expected) {
        assert!(warning.starts_with("WARN "), "{warning}");
        for part in *parts {
            assert!(warning.contains(part), "`{part}` is not in {warning}");
        }
    }
}

#[test]
fn the_strict_choice_for_everything_warns_of_nothing() {
    assert_warns(&warnings(builder()), &[]);
    let all = builder()
        .user_loader(load_admin)
        .login_cookie(CookieSettings::new())
        .remember_cookie(RememberCookie::new())
        .session_protection(SessionProtection::Strong)
        .client_identity(ClientIdentity::new().address(AddressPart::Omit));
    assert_warns(&warnings(all), &[]);
    let strict = CookieSettings::new().same_site(SameSite::Strict);
    assert_warns(&warnings(builder().session_cookie(strict)), &[]);
    let named = CookieSettings::new().name("__HOST-sid");
    assert_warns(&warnings(builder().session_cookie(named)), &[]);
}

#[test]
fn each_cookie_attribute_that_weakens_is_named_with_its_cookie() {
    let new = CookieSettings::new;
    let cases: [(CookieSettings, &[&[&str]]); 9] = [
        (
            new().same_site(SameSite::None),
            &[&[
                "event=weak_cookie ",
                "`__Host-session`",
                "has SameSite=None",
            ]],
        ),
        (
            new().same_site(None),
            &[&["`__Host-session`", "has no SameSite"]],
        ),
        (
            new().domain("a.test"),
            &[&["`__Secure-session`", "has a domain"]],
        ),
        (new().path("/app"), &[&["`__Secure-session`", "has a path"]]),
        (new().name("sid"), &[&["`sid`", "`__Host-`"]]),
        // A host prefix is possible here.
        (
            new().name("__Secure-sid"),
            &[&["`__Secure-sid`", "`__Host-`"]],
        ),
        (
            new().name("__Secure-sid").domain("a.test"),
            &[&["`__Secure-sid`", "has a domain"]],
        ),
        (
            new().name("sid").domain("a.test").same_site(SameSite::None),
            &[
                &["`sid`", "has a domain"],
                &["`sid`", "`__Secure-`"],
                &["`sid`", "SameSite=None"],
            ],
        ),
        // Its name says what it weakens.
        (new().danger_insecure(), &[]),
    ];
    for (cookie, expected) in cases {
        assert_warns(&warnings(builder().session_cookie(cookie)), expected);
    }
}

#[test]
fn remember_and_login_cookies_are_looked_at_for_each_user_type() {
    let weak = || CookieSettings::new().name("sid").same_site(SameSite::None);
    let remember = RememberCookie::new().cookie(weak());
    let with_admins = builder().user_loader(load_admin).remember_cookie(remember);
    assert_warns(
        &warnings(with_admins),
        &[
            &["`sid`", "prefix"],
            &["`sid`", "SameSite"],
            &["`sid-admin`", "prefix"],
            &["`sid-admin`", "SameSite"],
        ],
    );
    let with_login_cookie = builder().login_cookie(weak());
    assert_warns(
        &warnings(with_login_cookie),
        &[&["`sid`", "prefix"], &["`sid`", "SameSite"]],
    );
}

#[test]
fn each_setting_that_weakens_is_named_with_what_to_prefer() {
    let anybody = ClientIdentity::new()
        .user_agent(false)
        .address(AddressPart::Omit);
    let off = SessionProtection::None;
    assert_warns(
        &warnings(builder().exempt_options()),
        &[&["event=weak_setting ", "`exempt_options`", "OPTIONS"]],
    );
    assert_warns(
        &warnings(builder().fresh_for_the_session()),
        &[&["`fresh_for_the_session`", "`fresh_for(..)`"]],
    );
    assert_warns(
        &warnings(builder().session_protection(off)),
        &[&["`session_protection`", "`SessionProtection::Basic`"]],
    );
    assert_warns(
        &warnings(builder().client_identity(anybody)),
        &[&["`client_identity`", "never finds another"]],
    );
    // One of the two is enough.
    let both = builder().session_protection(off).client_identity(anybody);
    assert_warns(&warnings(both), &[&["`session_protection`"]]);
    assert_warns(
        &warnings(manager(&Users::new()).0),
        &[&["`session_only`", "`login_store(..)`"]],
    );
}

#[test]
fn a_manager_that_does_not_build_warns_of_nothing() {
    let (log, _guard) = Log::start();
    let weak = builder().exempt_options().build(Key::from(&[0; 64]));
    assert!(weak.is_err());
    assert_eq!(log.take_ours(), [""; 0]);
}

#[test]
fn the_application_s_own_session_cookie_is_not_judged() {
    let own = || {
        SessionMiddleware::builder(CookieSessionStore::default(), key())
            .cookie_name("sid".to_owned())
            .build()
    };
    assert_warns(&warnings(builder().session_middleware(own)), &[]);
}

#[test]
fn insecure_cookies_are_warned_of_once_and_not_for_their_missing_prefix() {
    let insecure = builder().danger_insecure_cookies();
    assert_warns(
        &warnings(insecure),
        &[&["event=weak_setting ", "plain http"]],
    );
}
