//! GET and the other methods that only read must not change who is logged in.
//!
//! Browsers send `SameSite=Lax` cookies with a GET request to which a page of another site leads them. So if a
//! GET request could change the login, every page could log its visitors out, or log them in as somebody
//! else (ASVS 3.5.3, RFC 9110 §9.2.1).

use actix_web::http::Method;

use crate::{
    auth::auth::Auth,
    error::LoginError,
    manager::{Manager, ManagerData},
    session::fate,
};

/// A function of the application's handlers that changes a login.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// The function's name.
    call: &'static str,
    permit: Permit,
}

/// What allows a change for a GET request.
#[derive(Clone, Copy)]
enum Permit {
    /// The state of the callback was checked.
    State,
    /// The manager's setting.
    Setting,
    None,
}

impl Change {
    pub(crate) const LOG_IN: Self = Self::new("Auth::log_in", Permit::State);
    pub(crate) const CONFIRM: Self = Self::new("Auth::confirm_login", Permit::State);
    pub(crate) const CREDENTIALS: Self = Self::new("Auth::credentials_changed", Permit::None);
    pub(crate) const LOG_OUT: Self = Self::new("Auth::log_out", Permit::Setting);
    pub(crate) const END_LOGIN: Self = Self::new("Auth::end_login", Permit::Setting);
    pub(crate) const END_OTHERS: Self = Self::new("Auth::end_other_logins", Permit::Setting);
    pub(crate) const END: Self = Self::new("Logins::end", Permit::Setting);
    pub(crate) const END_ALL_OF: Self = Self::new("Logins::end_all_of", Permit::Setting);
    pub(crate) const END_ALL: Self = Self::new("Logins::end_all", Permit::Setting);

    const fn new(call: &'static str, permit: Permit) -> Self {
        Self { call, permit }
    }

    /// Refuses the change for a request with this method. `is_permitted` says whether there is what allows it
    /// for GET.
    fn check(self, method: &Method, is_permitted: bool) -> Result<(), LoginError> {
        if !method.is_safe() {
            return Ok(());
        }
        let is_get = *method == Method::GET;
        if is_get && is_permitted {
            return Ok(());
        }
        let unless = match self.permit {
            Permit::State if is_get => {
                "; if an identity provider or a one-time link leads here, check its state, and call \
                 `.state_checked()` on the `Verified`"
            }
            Permit::Setting if is_get => {
                "; if GET has to end logins here, call `.danger_allow_get_log_out()` on the builder of the \
                 manager"
            }
            Permit::State | Permit::Setting | Permit::None => "",
        };
        Err(LoginError::SafeMethod {
            call: self.call,
            method: method.clone(),
            unless,
        })
    }
}

impl<U> Auth<U> {
    /// Refuses a change for a request that must not change who is logged in.
    ///
    /// `is_state_checked` says whether the application has found that the request belongs to what the same
    /// browser has begun.
    pub(crate) fn check_method(
        &self,
        change: Change,
        is_state_checked: bool,
    ) -> Result<(), LoginError> {
        let mut method = self.request.method();
        let data = self.request.app_data::<ManagerData>();
        // Middleware of the application may have replaced the method since the request arrived.
        if !method.is_safe() && data.is_none_or(|data| data.by_safe_method) {
            method = &Method::GET;
        }
        let is_permitted = is_permitted(change, &self.state.manager, is_state_checked);
        change.check(method, is_permitted).inspect_err(|error| {
            let pattern = self.request.match_pattern();
            tracing::error!(target: "login", event = "safe_method", pattern, "{error}");
        })
    }
}

/// The same for a change that names no request, if it is made by the handler of one.
pub(crate) fn check_method_of_task(change: Change, manager: &Manager) -> Result<(), LoginError> {
    let Some(method) = fate::safe_method() else {
        return Ok(());
    };
    let checked = change.check(&method, is_permitted(change, manager, false));
    checked.inspect_err(|error| {
        tracing::error!(target: "login", event = "safe_method", "{error}");
    })
}

fn is_permitted(change: Change, manager: &Manager, is_state_checked: bool) -> bool {
    match change.permit {
        Permit::State => is_state_checked,
        Permit::Setting => manager.get_log_out,
        Permit::None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: Change, method: Method, is_permitted: bool, expected: Option<&str>) {
        let checked = change.check(&method, is_permitted);
        let text = checked.err().map(|error| error.to_string());
        assert_eq!(text.as_deref(), expected, "{} {method}", change.call);
    }

    #[test]
    fn only_methods_that_may_change_something_change_a_login() {
        let changes = [
            Change::LOG_IN,
            Change::CONFIRM,
            Change::CREDENTIALS,
            Change::LOG_OUT,
            Change::END_LOGIN,
            Change::END_OTHERS,
            Change::END,
            Change::END_ALL_OF,
            Change::END_ALL,
        ];
        for change in changes {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                check(change, method, false, None);
            }
            check(change, Method::GET, true, None);
            // A permit is for GET only.
            for method in [Method::HEAD, Method::OPTIONS, Method::TRACE] {
                assert!(change.check(&method, true).is_err(), "{method}");
            }
        }
    }

    #[test]
    fn the_message_says_what_to_do() {
        check(
            Change::LOG_IN,
            Method::GET,
            false,
            Some(
                "`Auth::log_in` was called for a GET request, which any page of another site can make a browser \
                 send with its cookies; answer POST here, and send a form to it; if an identity provider or a \
                 one-time link leads here, check its state, and call `.state_checked()` on the `Verified`",
            ),
        );
        check(
            Change::LOG_OUT,
            Method::GET,
            false,
            Some(
                "`Auth::log_out` was called for a GET request, which any page of another site can make a browser \
                 send with its cookies; answer POST here, and send a form to it; if GET has to end logins here, \
                 call `.danger_allow_get_log_out()` on the builder of the manager",
            ),
        );
        check(
            Change::END_ALL,
            Method::HEAD,
            true,
            Some(
                "`Logins::end_all` was called for a HEAD request, which any page of another site can make a \
                 browser send with its cookies; answer POST here, and send a form to it",
            ),
        );
    }
}
