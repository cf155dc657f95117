//! Many generated addresses, judged by a program that reads addresses as browsers do.

use std::env;

use actix_web::{HttpResponse, web};
use login_runtime::{
    Auth, LoginManager,
    logins::NextError,
    test::{
        Browser,
        strict::{Rule, tolerate},
    },
};
use login_tests::{User, Users, app, key, manager};
use url::{Position, Url};

use crate::world::HOSTILE_NEXT;

/// Sets the number of addresses; `docs/CONTRIBUTING.md` has the command.
const COUNT: &str = "LOGIN_TESTS_NEXT";

/// How many there are otherwise: enough for each kind of mistake, and a second or two.
const USUAL_COUNT: u32 = 20_000;

/// An origin that is listed, and may be followed too.
const LISTED: &str = "https://listed.test";

/// Pages from which a browser may follow an address.
const PAGES: [&str; 3] = [
    "https://app.test/login?next=x",
    "https://app.test/a/b//c/",
    "http://[2001:db8::1]:8080/login",
];

/// What addresses consist of, ordinary at first.
const ORDINARY: &[&str] = &[
    "/",
    "/",
    "/",
    "/",
    "a",
    "b",
    "account",
    "login",
    "?",
    "#",
    "&",
    "=",
    "next=",
    ".",
    "..",
    "%2e",
    "%2E%2e",
    ".%2e",
    "...",
    "%2f",
    "%5c",
    "%00",
    "%09",
    "%zz",
    "%",
    "@",
    ":",
    ":80",
    ";",
    ",",
    "~",
    "*",
    "|",
    "C|",
    "{",
    "\"",
    "<",
    "ß",
    "é",
    "日",
    "／",
    "。",
    "‥",
    "[::1]",
    "xn--",
    "evil.test",
    "http:",
    "javascript:",
    "%E2%80%8B",
    "%0d%0a",
];

const HOSTILE: &[&str] = &[
    "\\",
    "\\\\",
    "//",
    "///",
    "\t",
    "\n",
    "\r",
    "\0",
    " ",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{200b}",
    "\u{2028}",
    "\u{202e}",
    "\u{2060}",
    "\u{3000}",
    "\u{feff}",
    "user@",
    "user:pw@",
    "http://",
    "https://",
    "HTTPS:",
    "https:/",
    "ht\ttp://",
    "data:",
    "//evil.test",
    "@evil.test",
];

const ORIGINS: &[&str] = &[
    "https://listed.test",
    "HTTPS://LISTED.test",
    "https://listed.test:443",
    "https://listed.test.",
    "https://listed.test:80",
    "http://listed.test",
    "https://user@listed.test",
    "https://evil.test",
    "https://listed.test@evil.test",
    "https://listed.test.evil.test",
    "https:listed.test",
    "https:///listed.test",
    "https://ⓛisted.test",
    "https://listed%2etest",
    "https://listed.test\\",
];

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // Xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// The start of an address decides most; what follows is drawn from the ordinary and, in every other
    /// address, from the hostile pieces.
    fn address(&mut self) -> String {
        let mut address = match self.below(8) {
            0 => String::new(),
            1 => self.of(HOSTILE).to_owned(),
            2 | 3 => self.of(ORIGINS).to_owned(),
            4 => {
                let mut known = self.of(HOSTILE_NEXT).to_owned();
                let places: Vec<_> = known.char_indices().map(|(at, _)| at).chain([0]).collect();
                known.insert_str(places[self.below(places.len())], self.of(ORDINARY));
                known
            }
            _ => "/".to_owned(),
        };
        let is_hostile = self.below(2) == 0;
        for _ in 0..self.below(9) {
            let pieces = if is_hostile && self.below(4) == 0 {
                HOSTILE
            } else {
                ORDINARY
            };
            address.push_str(self.of(pieces));
        }
        address
    }
}

/// Whether a browser which is on `page`, and follows `next`, stays on the origin of the page; also if a
/// program has resolved the address before, or put the origin in front of it.
fn stays(page: &Url, next: &str) -> bool {
    let origin = page.origin();
    let is_here = |url: Result<Url, _>| {
        url.is_ok_and(|url: Url| {
            url.origin() == origin && url.username().is_empty() && url.password().is_none()
        })
    };
    let Ok(followed) = page.join(next) else {
        return false;
    };
    let joined = Url::parse(&format!("{}{next}", origin.ascii_serialization()));
    let again = page.join(&followed[Position::BeforePath..]);
    is_here(Ok(followed)) && is_here(joined) && is_here(again)
}

fn listing() -> LoginManager {
    let (builder, _) = manager(&Users::new());
    builder.next_origins([LISTED]).build(key()).unwrap()
}

#[test]
fn of_many_generated_addresses_none_that_is_followed_leads_away() {
    let (builder, _) = manager(&Users::new());
    let (plain, listing) = (builder.build(key()).unwrap(), listing());
    let pages = PAGES.map(|page| Url::parse(page).unwrap());
    let listed = Url::parse(LISTED).unwrap();
    let count = env::var(COUNT).map_or(USUAL_COUNT, |count| count.parse().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut paths, mut whole, mut away, mut escapes) = (0, 0, 0, Vec::new());
    for _ in 0..count {
        let address = random.address();
        let leads_away = pages.iter().any(|page| !stays(page, &address));
        away += u32::from(leads_away);
        match (plain.check_next(&address), listing.check_next(&address)) {
            (Ok(next), also) => {
                paths += 1;
                let is_same = next == address && also.as_ref() == Ok(&next);
                if leads_away || !is_same {
                    escapes.push(address);
                }
            }
            (Err(_), Ok(next)) => {
                whole += 1;
                let is_listed = Url::parse(&next).is_ok_and(|url| {
                    // As a browser reads what was sent, and what is returned.
                    Url::parse(&address).as_ref() == Ok(&url)
                        && url.origin() == listed.origin()
                        && next.starts_with("https://listed.test/")
                        && stays(&listed, &url[Position::BeforePath..])
                });
                if !is_listed || listing.check_next(&next).as_ref() != Ok(&next) {
                    escapes.push(address);
                }
            }
            (Err(_), Err(_)) => {}
        }
    }
    println!(
        "{count} addresses: {away} lead away, {paths} paths and {whole} whole addresses are followed, {} of them lead away",
        escapes.len(),
    );
    assert_eq!(escapes, [""; 0]);
    // A generator of addresses that are all dropped, or all harmless, would show nothing.
    assert!(paths > count / 5 && whole > count / 100 && away > count / 5);
}

#[test]
fn an_address_is_not_followed_that_becomes_too_long_when_it_is_escaped() {
    let manager = listing();
    // Two bytes in the text, and six in the header.
    let short = format!("{LISTED}/{}", "ß".repeat(330));
    let long = format!("{LISTED}/{}", "ß".repeat(400));
    assert!(long.len() < 1_000);
    let max = 2_048;
    let len = LISTED.len() + 1 + 400 * 6;
    assert_eq!(
        manager.check_next(&long),
        Err(NextError::TooLong { len, max })
    );
    let next = manager.check_next(&short).unwrap();
    assert_eq!(manager.check_next(&next).as_ref(), Ok(&next));
}

#[actix_web::test]
async fn a_browser_is_not_sent_to_an_address_that_becomes_too_long_when_it_is_escaped() {
    let _known = tolerate(&[Rule::OwnOrigin], "", "the address is on a listed origin");
    async fn go(auth: Auth<User>) -> HttpResponse {
        auth.redirect_to_next_or("/fallback")
    }
    for (letters, limit, location_len) in [
        (330, 2_048, LISTED.len() + 1 + 330 * 6),
        (400, 2_048, "/fallback".len()),
        (400, 4_096, LISTED.len() + 1 + 400 * 6),
    ] {
        let (builder, _) = manager(&Users::new());
        let builder = builder.next_origins([LISTED]).next_max_len(limit);
        let app = app(builder.build(key()).unwrap(), |routes| {
            routes.route("/go", web::get().to(go));
        });
        let app = app.await;
        let next = format!("{LISTED}/{}", "%C3%9F".repeat(letters));
        let answer = Browser::new(&app).get(&format!("/go?next={next}")).await;
        assert_eq!(answer.status(), 303);
        let found = answer.location().map(str::len);
        assert_eq!(
            found,
            Some(location_len),
            "{letters} letters, {limit} bytes"
        );
    }
}
