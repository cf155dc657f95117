//! A remember token logs its user in if, and only if, this application has signed exactly this token, its time
//! is not over, and its user has the same credentials.

use actix_web::{http::header::COOKIE, test::TestRequest};

use crate::{
    input::{Input, header},
    seal::{fingerprint, read_remember_token, remember_token},
    site::{ADA, BEN, NOW, Site, hash_of, key, manager, shown},
};

const NAME: &str = "__Host-remember";

thread_local! {
    static SITE: Site = {
        let manager = manager().session_only().build(key()).expect("valid settings");
        Site::new(manager, |_| {})
    };
}

/// A token of ada as the application makes them.
fn genuine() -> String {
    let hash = fingerprint(hash_of(ADA).expect("ada"));
    let (at, end) = (NOW - 100, NOW + 100);
    remember_token(format!("1,{at},{at},{end},{hash},AAAAAAAAAAAAAAAAAAAAAA,{ADA}").as_bytes())
}

/// Whom the value of a cookie logs in, and when that user gave credentials.
fn model(value: &[u8]) -> Option<(i64, i64)> {
    let text = read_remember_token(value.trim_ascii())?;
    let parts: Vec<&str> = text.splitn(7, ',').collect();
    let [version, at, issued, end, hash, _nonce, id] = parts[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<i64>().ok();
    let (at, _issued, end) = (number(at)?, number(issued)?, number(end)?);
    let id: i64 = serde_json::from_str(id).ok()?;
    let is_same = hash == fingerprint(hash_of(id)?);
    (version == "1" && NOW < end && is_same).then_some((id, at))
}

pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let value = match kind % 4 {
        // Whatever a client sends.
        0 => input.rest().to_vec(),
        // A token that was changed.
        1 => input.mutate(genuine().as_bytes()),
        // Any text, with a valid signature.
        2 => remember_token(input.rest()).into_bytes(),
        // Any facts, with a valid signature.
        _ => {
            let hash = match input.byte() % 4 {
                0 => fingerprint(hash_of(ADA).expect("ada")),
                1 => fingerprint(hash_of(BEN).expect("ben")),
                2 => String::new(),
                _ => String::from_utf8_lossy(input.bytes(22)).into_owned(),
            };
            let (at, issued, end) = (input.time(NOW), input.time(NOW), input.time(NOW));
            let id = String::from_utf8_lossy(input.rest());
            remember_token(format!("1,{at},{issued},{end},{hash},n,{id}").as_bytes()).into_bytes()
        }
    };
    if value.contains(&b';') {
        // Two cookies; `cookie_header` has those.
        return;
    }
    let Some(cookie) = header([NAME.as_bytes(), b"=", &value].concat()) else {
        return;
    };
    let is_carried = str::from_utf8(&value).is_ok();
    let expected = model(&value);
    let request = TestRequest::get()
        .uri("/me")
        .insert_header((COOKIE, cookie));
    let answer = SITE.with(|site| site.ask(request.to_request()));
    let found = expected.map_or("-".to_owned(), |(id, at)| shown(id, false, at));
    assert_eq!(answer.body, found);
    match expected {
        // A good token stays as it is, and the session has the login from now on.
        Some(_) => {
            assert_eq!(answer.cookie(NAME), None);
            assert!(answer.cookie("__Host-session").is_some());
        }
        None if is_carried => {
            assert_eq!(answer.cookie(NAME), Some(""), "a bad token is cleared");
            assert_eq!(answer.cookie("__Host-session"), None);
        }
        None => assert_eq!(answer.cookie("__Host-session"), None),
    }
}
