//! An address that `check_next` accepts stays on the origin of the application.

use login_runtime::LoginManager;
use url::{Position, Url};

use crate::site::{key, manager};

/// Pages of one application, from which a browser may follow an address.
pub const PAGES: [&str; 5] = [
    "https://app.test/",
    "https://app.test/login?next=x#y",
    "https://app.test/a/b/c/",
    "http://app.test:8080/a//b",
    "http://[2001:db8::1]/login",
];

/// An origin that is listed besides the application's own.
const LISTED: &str = "https://listed.test";

thread_local! {
    static PLAIN: LoginManager = manager().session_only().build(key()).expect("valid settings");
    static LISTING: LoginManager = manager()
        .session_only()
        .next_origins([LISTED])
        .build(key())
        .expect("valid settings");
}

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let accepted = PLAIN.with(|manager| manager.check_next(&text));
    let listing = LISTING.with(|manager| manager.check_next(&text));
    if let Ok(next) = &accepted {
        assert_eq!(*next, text, "a path is followed as it is");
        assert!(next.starts_with('/'), "{next:?}");
        assert_eq!(
            accepted, listing,
            "a list of origins changes nothing for paths"
        );
        PAGES.iter().for_each(|page| stays(page, next));
    } else if let Ok(next) = &listing {
        let url = Url::parse(next).expect("a whole address");
        assert_eq!(url.origin().ascii_serialization(), LISTED, "{text:?}");
        assert_eq!(url.as_str(), next, "written as the standard says");
        // Whatever the program that reads it thinks of user names.
        assert!(next.starts_with("https://listed.test/"), "{next:?}");
        let again = LISTING.with(|manager| manager.check_next(next));
        assert_eq!(again.as_ref(), Ok(next), "accepted again");
        stays(LISTED, &url[Position::BeforePath..]);
        // Browsers read the original text the same way.
        assert_eq!(Url::parse(&text).as_ref(), Ok(&url));
    }
}

/// Checks that a browser which is on `page`, and follows `next`, stays on the origin of the page; also if a
/// program has resolved the address, or put the origin before it.
pub fn stays(page: &str, next: &str) {
    let page = Url::parse(page).expect("an address");
    let is_here = |url: &Url| {
        let is_bare = url.username().is_empty() && url.password().is_none();
        url.origin() == page.origin() && is_bare
    };
    let followed = page.join(next).expect("an address that a browser follows");
    assert!(is_here(&followed), "{next:?} leads to {followed}");
    let resolved = &followed[Position::BeforePath..];
    let again = page
        .join(resolved)
        .expect("an address that a browser follows");
    assert!(
        is_here(&again),
        "{next:?} is {resolved}, which leads to {again}"
    );
    let joined = format!("{}{next}", page.origin().ascii_serialization());
    let joined = Url::parse(&joined).expect("an address");
    assert!(is_here(&joined), "{next:?} behind the origin is {joined}");
}
