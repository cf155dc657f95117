//! TODO users/user_type.rs

use crate::{http::CheckedCookie, users::loader::Loader};

/// One of the application's user types.
pub(crate) struct UserType {
    pub(crate) loader: Box<dyn Loader>,
    /// Empty for the first.
    pub(crate) name: String,
    pub(crate) session_key: String,
    /// Where the login is kept, if that is not the session.
    pub(crate) login_cookie: Option<CheckedCookie>,
    pub(crate) remember: CheckedCookie,
}
