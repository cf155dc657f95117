//! Types for those settings of a [`LoginManager`](crate::LoginManager) that are not just numbers or
//! texts.
//!
//! [`LoginManagerBuilder`] has one method for each setting, and says what the default is. The settings
//! that most applications change, [`Limits`](crate::Limits), [`CookieSettings`](crate::CookieSettings)
//! and [`RememberCookie`](crate::RememberCookie), are at the crate's root.
//!
//! # Examples
//!
//! ```
//! use actix_web::cookie::Key;
//! use login_runtime::{
//!     AuthUser, LoginManager, MemoryLoginStore,
//!     config::{AddressPart, ClientIdentity, SessionProtection},
//! };
//!
//! #[derive(AuthUser)]
//! struct User { id: i64 }
//!
//! # fn main() -> Result<(), login_runtime::BuildError> {
//! // Behind a proxy that is not named, all clients have the proxy's address.
//! let browser = ClientIdentity::new().address(AddressPart::Omit);
//! let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
//!     .login_store(MemoryLoginStore::new())
//!     .client_identity(browser)
//!     .session_protection(SessionProtection::Strong)
//!     .build(Key::generate())?;
//! # let _ = login_manager;
//! # Ok(())
//! # }
//! ```

pub use crate::{
    clock::{Clock, SystemClock},
    core::caching::{PageCaching, ResourcePolicy},
    core::protection::{AddressPart, ClientIdentity, SessionProtection},
    error::SetupError,
    http::view::{IntoView, View},
    policy::{
        document::{Section, Statement},
        finding::{Finding, Severity},
    },
    refusal::settings::Flash,
    session::store::SharedStore,
    setup::builder::LoginManagerBuilder,
};
