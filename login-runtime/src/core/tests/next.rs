//! What is accepted as `next`, compared with what browsers make of it.

use proptest::{collection::vec, prelude::*, sample::select};
use url::{Position, Url};

use super::config;
use crate::core::next::{NEXT_LEN, NextError, check_path, check_text};

fn check(next: &str) -> Result<(), NextError> {
    check_text(next, NEXT_LEN)?;
    check_path(next)
}

/// Texts of pieces that mean something in an address, and of characters that browsers remove or replace.
fn any_text() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "/",
        "/",
        "//",
        "\\",
        ".",
        "..",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "?",
        "#",
        "@",
        ":",
        ";",
        "&",
        "=",
        "%",
        "[",
        "]",
        "http:",
        "https://",
        "javascript:",
        "evil.test",
        "app.test",
        "a",
        "é",
        " ",
        "\t",
        "\n",
        "\r",
        "\0",
        "\u{7f}",
        "\u{85}",
        "\u{200b}",
        "\u{2028}",
        "\u{3002}",
        "\u{ff0f}",
        "\u{feff}",
    ];
    // Where paths leave their host.
    const STEPS: &[&str] = &["/", "//", ".", "..", "%2e", "a"];
    let piece = prop_oneof![
        30 => select(STEPS).prop_map(str::to_owned),
        20 => select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    (any::<bool>(), vec(piece, 0..10)).prop_map(|(is_path, pieces)| {
        let start = if is_path { "/" } else { "" };
        format!("{start}{}", pieces.concat())
    })
}

/// Paths whose segments are not empty, with or without a query and a fragment.
fn plain_path() -> impl Strategy<Value = String> {
    let segment = "[-a-zA-Z0-9._~%!$&'()*+,;=:@äß]{1,6}";
    let path = vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")));
    let rest = "(\\?[-a-zA-Z0-9./?:@%&=ü]{0,12})?(#[-a-zA-Z0-9./?:@#]{0,8})?";
    (path, rest).prop_map(|(path, rest)| path + &rest)
}

/// Asserts that a browser which is on a page, and follows the address, stays on the origin of the page.
#[track_caller]
fn stays(next: &str) {
    for page in [
        "https://app.test/",
        "https://app.test/a/b/?next=x#y",
        "http://[2001:db8::1]:8080/a//b",
    ] {
        let page = Url::parse(page).unwrap();
        let is_here = |url: &Url| {
            let is_bare = url.username().is_empty() && url.password().is_none();
            url.origin() == page.origin() && is_bare
        };
        let followed = page.join(next).unwrap();
        assert!(is_here(&followed), "{next:?} on {page} leads to {followed}");
        // A program may resolve the address, and give the path to a browser.
        let again = page.join(&followed[Position::BeforePath..]).unwrap();
        assert!(
            is_here(&again),
            "{next:?} on {page} leads to {again} at last"
        );
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_browser_that_follows_an_accepted_address_stays_on_the_page_s_origin(next in any_text()) {
        if check(&next).is_ok() {
            stays(&next);
        }
    }

    #[test]
    fn paths_without_empty_segments_are_accepted(next in plain_path()) {
        assert_eq!(check(&next), Ok(()));
        stays(&next);
    }

    #[test]
    fn a_character_that_an_address_never_has_is_found_wherever_it_is(
        before in plain_path(),
        bad in select(&[' ', '\\', '\t', '\n', '\r', '\0', '\u{7f}', '\u{9f}', '\u{200b}', '\u{2028}', '\u{202e}', '\u{feff}'][..]),
        after in plain_path(),
    ) {
        let next = format!("{before}{bad}{after}");
        assert_eq!(check(&next), Err(NextError::Character(bad)));
    }

    #[test]
    fn an_address_is_too_long_from_the_first_byte_after_the_limit(next in plain_path(), max in 0_usize..40) {
        let len = next.len();
        let expected = if len > max { Err(NextError::TooLong { len, max }) } else { Ok(()) };
        assert_eq!(check_text(&next, max), expected);
    }
}
