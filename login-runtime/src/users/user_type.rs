//! One user type of the application: its loader, its name, and where its logins are kept.

use crate::{http::CheckedCookie, users::loader::Loader};

/// One user type of the application.
pub(crate) struct UserType {
    pub(crate) loader: Box<dyn Loader>,
    /// The name of the user type: part of every key, record and session. It starts with the realm and a
    /// slash, if the manager has a realm.
    pub(crate) name: String,
    /// The key of the login in the session.
    pub(crate) session_key: String,
    /// The cookie that contains the login; `None` if the session does.
    pub(crate) login_cookie: Option<CheckedCookie>,
    pub(crate) remember: CheckedCookie,
}
