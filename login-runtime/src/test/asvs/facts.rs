//! What the suite has to know about an application.

use std::{future::Future, pin::Pin, time::Duration};

use derive_more::Debug;

use crate::{policy::document::Policy, test::TestClock};

/// Something that only the application can do.
pub(super) type Hook = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>;

/// The name and the password of a user.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) name: String,
    #[debug(skip)]
    pub(super) password: String,
}

/// Facts about an application: where it logs in, who its users are, and what it offers besides.
///
/// A check that needs a fact which is missing is not applicable.
#[derive(Debug)]
#[must_use = "give it to `check`"]
pub struct Facts {
    pub(super) log_in: String,
    pub(super) protected: String,
    pub(super) log_out: String,
    pub(super) name_field: String,
    pub(super) password_field: String,
    pub(super) remember: Option<(String, String)>,
    pub(super) user: Option<Credentials>,
    pub(super) other: Option<Credentials>,
    pub(super) inactive: Option<Credentials>,
    pub(super) forbidden: Option<String>,
    pub(super) fresh: Option<String>,
    pub(super) confirm: Option<String>,
    pub(super) change_password: Option<(String, String)>,
    pub(super) logins: Option<String>,
    pub(super) end_others: Option<String>,
    pub(super) clock: Option<TestClock>,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) policy: Option<Policy>,
    #[debug(skip)]
    pub(super) deactivate: Option<Hook>,
    #[debug(skip)]
    pub(super) end_all: Option<Hook>,
    #[debug(skip)]
    pub(super) break_store: Option<Hook>,
}

impl Facts {
    /// The path of the login form, which is posted to, and of a page that needs a login and nothing else.
    ///
    /// The fields of the form are `name` and `password`, and log out is a POST to `/logout`, unless said
    /// otherwise.
    pub fn new(log_in: &str, protected: &str) -> Self {
        Self {
            log_in: log_in.to_owned(),
            protected: protected.to_owned(),
            log_out: "/logout".to_owned(),
            name_field: "name".to_owned(),
            password_field: "password".to_owned(),
            remember: None,
            user: None,
            other: None,
            inactive: None,
            forbidden: None,
            fresh: None,
            confirm: None,
            change_password: None,
            logins: None,
            end_others: None,
            clock: None,
            idle: Duration::from_secs(30 * 60),
            absolute: Duration::from_secs(12 * 60 * 60),
            policy: None,
            deactivate: None,
            end_all: None,
            break_store: None,
        }
    }

    /// The path that is posted to for a log out.
    pub fn log_out(mut self, path: &str) -> Self {
        self.log_out = path.to_owned();
        self
    }

    /// The fields of the login form for the name and the password.
    pub fn fields(mut self, name: &str, password: &str) -> Self {
        self.name_field = name.to_owned();
        self.password_field = password.to_owned();
        self
    }

    /// The field of the login form that asks for a remember cookie, with its value.
    pub fn remember(mut self, field: &str, value: &str) -> Self {
        self.remember = Some((field.to_owned(), value.to_owned()));
        self
    }

    /// A user. Every check needs one.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.user = credentials(name, password);
        self
    }

    /// Another user, whose password the suite may change, and whom [`deactivate`](Self::deactivate) puts
    /// out.
    pub fn other_user(mut self, name: &str, password: &str) -> Self {
        self.other = credentials(name, password);
        self
    }

    /// A user who has a password and may not log in.
    pub fn inactive_user(mut self, name: &str, password: &str) -> Self {
        self.inactive = credentials(name, password);
        self
    }

    /// A page that is forbidden to the [other user](Self::other_user).
    pub fn forbidden(mut self, path: &str) -> Self {
        self.forbidden = Some(path.to_owned());
        self
    }

    /// A page that needs a fresh login.
    pub fn fresh(mut self, path: &str) -> Self {
        self.fresh = Some(path.to_owned());
        self
    }

    /// The path to which the password is posted to confirm a login.
    pub fn confirm(mut self, path: &str) -> Self {
        self.confirm = Some(path.to_owned());
        self
    }

    /// The path to which a new password is posted, and the field for it.
    pub fn change_password(mut self, path: &str, field: &str) -> Self {
        self.change_password = Some((path.to_owned(), field.to_owned()));
        self
    }

    /// The page that lists the logins of the user.
    pub fn logins(mut self, path: &str) -> Self {
        self.logins = Some(path.to_owned());
        self
    }

    /// The path that is posted to in order to end the other logins of the user.
    pub fn end_others(mut self, path: &str) -> Self {
        self.end_others = Some(path.to_owned());
        self
    }

    /// The clock of the login manager, for checks in which time passes.
    pub fn clock(mut self, clock: TestClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The limits of a login: the longest time without use, and the longest time at all. By default 30
    /// minutes and 12 hours.
    pub fn limits(mut self, idle: Duration, absolute: Duration) -> Self {
        self.idle = idle;
        self.absolute = absolute;
        self
    }

    /// The policy of the login manager, as
    /// [`LoginManager::policy`](crate::LoginManager::policy) returns it.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Deactivates the [other user](Self::other_user). It is called once.
    pub fn deactivate<F>(mut self, hook: impl Fn() -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        self.deactivate = Some(Box::new(move || Box::pin(hook())));
        self
    }

    /// Ends all logins of all users, as an administrator does.
    pub fn end_all<F>(mut self, hook: impl Fn() -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        self.end_all = Some(Box::new(move || Box::pin(hook())));
        self
    }

    /// Takes the login store down for good. It is called after all other checks.
    pub fn break_store<F>(mut self, hook: impl Fn() -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        self.break_store = Some(Box::new(move || Box::pin(hook())));
        self
    }
}

fn credentials(name: &str, password: &str) -> Option<Credentials> {
    Some(Credentials {
        name: name.to_owned(),
        password: password.to_owned(),
    })
}
