//! Login management for actix-web.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod auth;
mod clock;
mod config;
mod cookies;
mod current;
mod error;
mod events;
mod guard;
mod limits;
mod loader;
mod logins;
mod manager;
mod middleware;
mod next;
#[cfg(feature = "password")]
mod password;
mod policy;
mod protection;
mod records;
mod refuse;
mod remember;
mod scope;
mod session;
mod session_store;
mod state;
mod store;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod test;
mod user;
mod verified;

pub use login_macros::{fresh_login_required, login_required};

#[cfg(feature = "password")]
pub use crate::password::{PasswordError, PasswordVerifier};
pub use crate::{
    auth::{Auth, LogIn},
    clock::{Clock, SystemClock},
    config::{BuildError, CookieSettings, RememberCookie},
    current::{CurrentUser, MaybeUser},
    error::{LoadError, LoginError, Refusal, SetupError},
    events::{EndReason, EventUser, LoginEvent},
    guard::{GuardedHandler, LoginGuard, fresh_login_required, guarded, login_required},
    limits::Limits,
    logins::{Keep, LoginInfo, Logins},
    manager::{LoginManager, LoginManagerBuilder},
    policy::{LoginSource, Reason},
    protection::{AddressPart, ClientIdentity, SessionProtection},
    refuse::Flash,
    scope::LoginScope,
    session_store::SharedStore,
    store::{
        Family, FamilyKey, Inserted, LoginKey, LoginRecord, LoginStore, MaxLogins,
        MemoryLoginStore, Owner, StoreError, Which,
    },
    user::{AuthUser, PasswordUser, UserId},
    verified::{AuthMethod, Proof, Verified},
};
