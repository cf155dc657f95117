//! A login cookie logs a user in if, and only if, this application has sealed it, and its text is a login that
//! is not over.

use actix_web::{http::header::COOKIE, test::TestRequest};
use login_runtime::{CookieSettings, MemoryLoginStore};

use crate::{
    entry,
    input::{Input, header},
    seal::Sealed,
    site::{ADA, Answer, NOW, Site, key, manager, shown},
};

const NAME: &str = "__Host-login";

struct Recorded {
    site: Site,
    /// What the cookie of ada's login names: the key of its record, and its family.
    text: Vec<u8>,
}

thread_local! {
    static DESCRIBED: Site = {
        let manager = manager().session_only().login_cookie(CookieSettings::new());
        Site::new(manager.build(key()).expect("valid settings"), |_| {})
    };
    static RECORDED: Recorded = {
        let manager = manager()
            .login_store(MemoryLoginStore::new())
            .login_cookie(CookieSettings::new())
            .build(key())
            .expect("valid settings");
        let site = Site::new(manager, |_| {});
        let answer = site.ask(TestRequest::post().uri("/login/1").to_request());
        let cookie = answer.cookie(NAME).expect("a login cookie");
        let text = Sealed::Login.open(cookie.as_bytes()).expect("sealed with the key");
        Recorded { site, text }
    };
}

/// What `/me` shows if the login is in the store.
fn recorded(text: &[u8], of_ada: &[u8]) -> Option<String> {
    let [2, rest @ ..] = text else {
        return None;
    };
    let is_ada = rest.get(..32) == of_ada.get(1..33) && matches!(rest.len(), 32 | 48);
    is_ada.then(|| shown(ADA, true, NOW))
}

fn ask(site: &Site, value: &[u8]) -> Option<Answer> {
    let cookie = header([NAME.as_bytes(), b"=", value].concat())?;
    let request = TestRequest::get()
        .uri("/me")
        .insert_header((COOKIE, cookie));
    Some(site.ask(request.to_request()))
}

pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    RECORDED.with(|Recorded { site, text: of_ada }| {
        let value = match kind % 5 {
            0 => input.rest().to_vec(),
            1 => input.mutate(Sealed::Login.seal(of_ada).as_bytes()),
            2 => Sealed::Login.seal(input.rest()).into_bytes(),
            3 => Sealed::Login
                .seal(entry::generate(&mut input).as_bytes())
                .into_bytes(),
            _ => Sealed::Login.seal(&input.mutate(of_ada)).into_bytes(),
        };
        if value.contains(&b';') {
            return;
        }
        let text = Sealed::Login.open(value.trim_ascii());
        let text = text.as_deref();
        if let Some(answer) = ask(site, &value) {
            let expected = text.and_then(|text| recorded(text, of_ada));
            assert_eq!(answer.body, expected.unwrap_or("-".to_owned()), "recorded");
        }
        if let Some(answer) = DESCRIBED.with(|site| ask(site, &value)) {
            let text = text.filter(|text| text.first() != Some(&2));
            let text = text.and_then(|text| str::from_utf8(text).ok());
            let expected = text.and_then(entry::model);
            assert_eq!(answer.body, expected.unwrap_or("-".to_owned()), "described");
        }
    });
}
