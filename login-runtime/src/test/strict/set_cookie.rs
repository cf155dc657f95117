//! Reading `Set-Cookie` by the grammar for servers of RFC 6265bis §4.1, and judging its attributes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;

use super::{challenge::is_token_char, rule::Rule};
use crate::core::{MAX_COOKIE_AGE, MAX_LEN};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A cookie that a response sets, as it stands in the header.
#[derive(Debug, Default)]
pub(super) struct Read<'a> {
    pub(super) name: &'a str,
    value: &'a str,
    secure: bool,
    http_only: bool,
    same_site: Option<&'a str>,
    path: Option<&'a str>,
    domain: Option<&'a str>,
    max_age: Option<&'a str>,
    expires: Option<&'a str>,
}

/// The rules that this `Set-Cookie` breaks, each with what is wrong.
pub(super) fn faults(header: &str) -> (&str, Vec<(Rule, String)>) {
    let (read, mut faults) = read(header);
    let mut fault = |rule, why: &str| faults.push((rule, why.to_owned()));
    let name = read.name.to_ascii_lowercase();
    if !read.secure {
        fault(Rule::Secure, "it is not Secure");
    }
    if !read.http_only {
        fault(Rule::HttpOnly, "it is not HttpOnly");
    }
    match read.same_site {
        None => fault(Rule::SameSite, "it has no SameSite attribute"),
        Some("Lax" | "Strict") => {}
        Some(_) => fault(Rule::SameSite, "its SameSite is neither Lax nor Strict"),
    }
    let is_for_whole_host = read.path == Some("/") && read.domain.is_none();
    if name.starts_with("__host-") {
        if !(read.secure && is_for_whole_host) {
            fault(
                Rule::Prefix,
                "its name starts with __Host-, so it needs Secure, Path=/ and no Domain",
            );
        }
    } else if name.starts_with("__secure-") {
        if is_for_whole_host {
            fault(
                Rule::Prefix,
                "its name starts with __Secure-, although it could start with __Host-",
            );
        }
    } else {
        fault(
            Rule::Prefix,
            "its name starts neither with __Host- nor with __Secure-",
        );
    }
    if read.path != Some("/") {
        fault(Rule::Path, "its Path is not /");
    }
    if read.domain.is_some() {
        fault(Rule::Domain, "it has a Domain");
    }
    if header.len() > MAX_LEN {
        fault(Rule::Size, "it is longer than browsers keep");
    }
    let longest = MAX_COOKIE_AGE.as_secs();
    let age = read.max_age.and_then(|age| age.parse::<u64>().ok());
    if age.is_some_and(|age| age > longest) {
        fault(Rule::Lifetime, "it lives for more than 400 days");
    }
    match (age, read.expires) {
        // Not every client knows Max-Age, and not every server means the same time by both.
        (Some(0), None) => fault(
            Rule::Lifetime,
            "it is deleted by Max-Age, but not by Expires",
        ),
        (None, Some(_)) => fault(Rule::Lifetime, "it has Expires without Max-Age"),
        _ => {}
    }
    if age == Some(0) && !read.value.is_empty() {
        fault(Rule::Lifetime, "it is deleted, but has a value");
    }
    if is_clear_text(read.value) {
        fault(Rule::ClearText, "its value can be read");
    }
    (read.name, faults)
}

fn read(header: &str) -> (Read<'_>, Vec<(Rule, String)>) {
    let mut faults = Vec::new();
    let mut fault = |why: &str| faults.push((Rule::Grammar, why.to_owned()));
    let mut parts = header.split(';');
    let pair = parts.next().unwrap_or_default();
    let (name, value) = pair.split_once('=').unwrap_or_else(|| {
        fault("it has no `=` after its name");
        (pair, "")
    });
    let mut read = Read {
        name,
        value,
        ..Read::default()
    };
    if name.is_empty() || !name.chars().all(is_token_char) {
        fault("its name is not a token");
    }
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    if !quoted.unwrap_or(value).bytes().all(is_cookie_octet) {
        fault("its value contains a character that a cookie cannot contain");
    }
    for part in parts {
        let Some(attribute) = part.strip_prefix(' ') else {
            fault("there is no space after a semicolon");
            continue;
        };
        let (attribute, value) = match attribute.split_once('=') {
            Some((attribute, value)) => (attribute, Some(value)),
            None => (attribute, None),
        };
        if value.is_some_and(|value| value.trim() != value || value.contains(char::is_control)) {
            fault("an attribute's value contains a space at an end, or a control character");
        }
        let known = attribute.to_ascii_lowercase();
        let twice = match (known.as_str(), value) {
            ("secure", None) => std::mem::replace(&mut read.secure, true),
            ("httponly", None) => std::mem::replace(&mut read.http_only, true),
            ("partitioned", None) => false,
            ("samesite", Some(value @ ("Lax" | "Strict" | "None"))) => {
                read.same_site.replace(value).is_some()
            }
            ("path", Some(value)) if value.starts_with('/') => read.path.replace(value).is_some(),
            ("domain", Some(value)) if !value.is_empty() => read.domain.replace(value).is_some(),
            // The grammar has no `Max-Age=0`, which every browser takes as "delete it".
            ("max-age", Some(value)) if value == "0" || is_number(value) => {
                read.max_age.replace(value).is_some()
            }
            ("expires", Some(value)) if is_date(value) => read.expires.replace(value).is_some(),
            _ => {
                fault(&format!(
                    "its attribute `{attribute}` is unknown, or has no such value"
                ));
                false
            }
        };
        if twice {
            fault(&format!("its attribute `{attribute}` is there twice"));
        }
    }
    (read, faults)
}

fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// A number that does not start with 0.
fn is_number(text: &str) -> bool {
    !text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A date as servers have to write it (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn is_date(text: &str) -> bool {
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<_> = text.split(' ').collect();
    let [weekday, day, month, year, time, "GMT"] = parts[..] else {
        return false;
    };
    let weekday = weekday.strip_suffix(',').unwrap_or_default();
    let time: Vec<_> = time.split(':').collect();
    DAYS.contains(&weekday)
        && digits(day, 2)
        && MONTHS.contains(&month)
        && digits(year, 4)
        && time.len() == 3
        && time.iter().all(|part| digits(part, 2))
}

/// Whether a person reads JSON in the value, or in a part of it: as it stands, or percent-encoded or in
/// Base64.
fn is_clear_text(value: &str) -> bool {
    let is_json = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        text.contains("\":") || text.starts_with("[\"")
    };
    let plain: Vec<u8> = percent_decode_str(value).collect();
    let text = String::from_utf8_lossy(&plain).into_owned();
    let mut parts = text.split(['.', '|', ':', '=']);
    is_json(&plain)
        || parts.any(|part| {
            let part = part.replace('+', "-").replace('/', "_");
            // The first bytes of a longer text are enough; so an odd end does not hide them.
            (0..4).any(|cut| {
                let end = part.len().saturating_sub(cut);
                let decoded = URL_SAFE_NO_PAD.decode(part.get(..end).unwrap_or_default());
                decoded.is_ok_and(|bytes| is_json(&bytes))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "__Host-a=b; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60";

    #[track_caller]
    fn check(header: &str, expected: &[Rule]) {
        let mut found: Vec<_> = faults(header).1.into_iter().map(|(rule, _)| rule).collect();
        found.dedup();
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn strict_cookies_have_no_fault() {
        check(GOOD, &[]);
        check("__Host-a=; Path=/; Secure; HttpOnly; SameSite=Strict", &[]);
        check(
            "__Host-a=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 \
             00:00:00 GMT",
            &[],
        );
    }

    #[test]
    fn each_attribute_is_missed() {
        let without = |part: &str| GOOD.replace(part, "");
        check(&without("; HttpOnly"), &[Rule::HttpOnly]);
        check(&without("; SameSite=Lax"), &[Rule::SameSite]);
        check(&without("; Secure"), &[Rule::Secure, Rule::Prefix]);
        check(&without("; Path=/"), &[Rule::Prefix, Rule::Path]);
        check(&without("__Host-"), &[Rule::Prefix]);
        check(&GOOD.replace("Lax", "None"), &[Rule::SameSite]);
        check(&GOOD.replace("Host", "Secure"), &[Rule::Prefix]);
        check(
            &format!("{GOOD}; Domain=a.test"),
            &[Rule::Prefix, Rule::Domain],
        );
        let day = 24 * 60 * 60;
        check(&GOOD.replace("60", &(400 * day).to_string()), &[]);
        check(
            &GOOD.replace("60", &(400 * day + 1).to_string()),
            &[Rule::Lifetime],
        );
        check(&GOOD.replace("=60", "=0"), &[Rule::Lifetime]);
        check(
            &GOOD.replace("=b", &format!("={}", "b".repeat(4096))),
            &[Rule::Size],
        );
    }

    #[test]
    fn what_servers_may_not_write_breaks_the_grammar() {
        for (from, to) in [
            ("a=b", "a"),
            ("a=b", "a b=c"),
            ("a=b", "a=\"b"),
            ("a=b", "a=b,c"),
            ("a=b", "a=b\\c"),
            ("a=b", "a=b c"),
            ("a=b", "a=\u{e9}"),
            ("; HttpOnly", "; HttpOnly; HttpOnly"),
            ("; HttpOnly", "; HttpOnly;"),
            ("; HttpOnly", ";HttpOnly; HttpOnly"),
            ("; HttpOnly", "; HttpOnly; Own=1"),
            ("; HttpOnly", "; HttpOnly; Secure=yes"),
            ("=60", "=060"),
            ("=60", "=-1; Max-Age=60"),
            ("=60", "=60; Expires=0"),
            ("=60", "=60; Expires=Thu, 1 Jan 1970 00:00:00 GMT"),
            ("=60", "=60; Expires=Thursday, 01-Jan-70 00:00:00 GMT"),
        ] {
            let header = GOOD.replace(from, to);
            let faults: Vec<_> = faults(&header)
                .1
                .into_iter()
                .map(|(rule, _)| rule)
                .collect();
            assert!(faults.contains(&Rule::Grammar), "{to}: {faults:?}");
        }
    }

    #[test]
    fn a_value_that_can_be_read_is_found_in_each_encoding() {
        let json = r#"{"user_id":"1"}"#;
        let base64 = base64::engine::general_purpose::STANDARD.encode(json);
        let percent = "%7B%22user_id%22%3A%221%22%7D";
        for value in [
            base64.as_str(),
            percent,
            &format!("MAC.{}", base64.trim_end_matches('=')),
        ] {
            check(
                &GOOD.replace("=b", &format!("={value}")),
                &[Rule::ClearText],
            );
        }
    }
}
