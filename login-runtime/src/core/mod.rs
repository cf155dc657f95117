//! Decisions and data, without actix, tokio, a clock or randomness.
//!
//! Time arrives as an argument. Each security decision is a function, which a table tests.

pub(crate) mod caching;
#[cfg(feature = "password")]
pub(crate) mod costs;
pub(crate) mod cross_site;
pub(crate) mod forwarded;
pub(crate) mod freshness;
pub(crate) mod limits;
pub(crate) mod login;
pub(crate) mod next;
pub(crate) mod protection;
pub(crate) mod remember;
pub(crate) mod resolve;
pub(crate) mod seen_client;
pub(crate) mod throttle;
pub(crate) mod user;
pub(crate) mod weak_secret;

pub(crate) use self::{
    caching::{CacheControl, PageCaching, ResourcePolicy},
    cross_site::{CrossSiteReason, CrossSiteRules, PageOrigin, Sent, TrustedOrigin},
    freshness::{Freshness, GuardDefaults, RefusalReason, Requirement},
    limits::{CLOCK_SKEW, Limits, Span},
    login::{
        EndReason, FamilyKey, Inserted, LoginFacts, LoginKey, LoginOwner, LoginRecord,
        LoginSelector, LoginSource, MaxLogins, SessionCheck, TokenFamily,
    },
    next::{NEXT_LEN, NextError},
    protection::{AddressPart, CLIENT, ClientCheck, ClientIdentity, SessionProtection, Verdict},
    remember::{FIRST_GENERATION, MAX_COOKIE_AGE, MAX_LEN, Presented, Remembering, Token},
    resolve::{EntryVerdict, RecordCheck, RecordVerdict},
    user::AuthUser,
};

#[cfg(test)]
mod tests;
