//! What the applications of all contenders share: the users, the key and the simplest pages.

use actix_web::{cookie::Key, web};

use crate::{scenario::WELCOME, users::Users};

/// The values from which an application is built.
#[derive(Clone)]
pub struct Setup {
    pub users: Users,
    pub key: Key,
    /// The address of Redis or PostgreSQL, for the contenders that need it.
    pub store: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            users: Users::default(),
            // Fixed, so that two runs execute the same instructions.
            key: Key::derive_from(&[7; 64]),
            store: None,
        }
    }
}

impl Setup {
    #[cfg(feature = "stores")]
    pub(super) fn store(&self) -> &str {
        self.store.as_deref().expect("there is a store")
    }
}

/// The public page.
pub(super) async fn welcome() -> &'static str {
    WELCOME
}

/// The response to a log in and to a log out.
pub(super) fn home() -> web::Redirect {
    web::Redirect::to("/").see_other()
}
