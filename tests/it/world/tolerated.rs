//! Rules about answers that several tests break on purpose, each with its reason.

use login_runtime::test::strict::{Rule, Tolerated, tolerate};

/// The login view, or an address that is allowed as `next`, is on another origin.
pub(crate) fn other_origins() -> Tolerated {
    tolerate(&[Rule::OwnOrigin], "", "the test leads to another origin")
}

/// The application sets its cookies for a whole domain.
pub(crate) fn cookies_of_a_domain() -> Tolerated {
    let rules = [Rule::Domain, Rule::Prefix];
    tolerate(&rules, "", "the cookies are for a whole domain")
}

/// The application chooses attributes for our cookies that are not strict.
pub(crate) fn loose_cookies() -> Tolerated {
    let rules = [
        Rule::Secure,
        Rule::Prefix,
        Rule::SameSite,
        Rule::HttpOnly,
        Rule::Path,
        Rule::Domain,
    ];
    tolerate(&rules, "", "it is about cookies that are not strict")
}

/// `actix-web-flash-messages` sets its cookies by its own rules.
pub(crate) fn flash_cookies() -> Tolerated {
    let rules = [
        Rule::Grammar,
        Rule::Secure,
        Rule::Prefix,
        Rule::SameSite,
        Rule::HttpOnly,
        Rule::Lifetime,
        Rule::ClearText,
    ];
    tolerate(&rules, "", "the cookies of `actix-web-flash-messages`")
}
