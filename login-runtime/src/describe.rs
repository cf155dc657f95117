//! What a guard asks for, in words: `login`, `fresh(10m, user = Admin)`.

use std::{any::TypeId, fmt, time::Duration};

use crate::{
    condition::ConditionType,
    guard::{DefaultUser, ExemptOptions, Fresh, LoginOf, LoginRequired, Passive, Requires},
};

/// What a guard asks for. Each policy adds its part; see [`Described`].
#[doc(hidden)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    fresh: bool,
    terms: Vec<String>,
}

impl Description {
    pub(crate) fn of<P: Described>() -> Self {
        let mut description = Self::default();
        P::describe(&mut description);
        description
    }

    /// Asks for a fresh login, at most this old if that is said.
    pub(crate) fn fresh(&mut self, within: Option<Duration>) {
        self.fresh = true;
        if let Some(age) = within {
            self.terms.insert(0, short(age));
        }
    }

    /// Asks for this user type, and not for that of the manager's first loader.
    pub(crate) fn user(&mut self, type_name: &str) {
        // Without the path; generic arguments may have paths too, so those stay whole.
        let name = match type_name.contains('<') {
            true => type_name,
            false => type_name.rsplit("::").next().unwrap_or(type_name),
        };
        self.add(format!("user = {name}"));
    }

    /// Adds a condition as it is written in an attribute, such as `passive`.
    pub(crate) fn add(&mut self, term: impl Into<String>) {
        self.terms.push(term.into());
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.fresh { "fresh" } else { "login" })?;
        if self.terms.is_empty() {
            return Ok(());
        }
        write!(f, "({})", self.terms.join(", "))
    }
}

/// What a guard asks for, in words.
///
/// Asks less of the types in it than [`Policy`](crate::guard::Policy) does: what is no user there has
/// been complained about already.
pub trait Described: 'static {
    #[doc(hidden)]
    fn describe(description: &mut Description);
}

impl<U: 'static> Described for LoginRequired<U> {
    fn describe(description: &mut Description) {
        if TypeId::of::<U>() != TypeId::of::<DefaultUser>() {
            description.user(std::any::type_name::<U>());
        }
    }
}

impl<P: 'static> Described for LoginOf<P> {
    // The permission says whose it is.
    fn describe(_: &mut Description) {}
}

impl<P: Described, const SECONDS: u64> Described for Fresh<P, SECONDS> {
    fn describe(description: &mut Description) {
        P::describe(description);
        description.fresh((SECONDS != u64::MAX).then(|| Duration::from_secs(SECONDS)));
    }
}

impl<P: Described> Described for ExemptOptions<P> {
    fn describe(description: &mut Description) {
        P::describe(description);
        description.add("exempt_options");
    }
}

impl<P: Described> Described for Passive<P> {
    fn describe(description: &mut Description) {
        P::describe(description);
        description.add("passive");
    }
}

impl<P: Described, C: ConditionType> Described for Requires<P, C> {
    fn describe(description: &mut Description) {
        P::describe(description);
        C::CONDITION.describe(description);
    }
}

/// A duration as attributes take it: `10m`.
fn short(age: Duration) -> String {
    let seconds = age.as_secs();
    let (number, unit) = match seconds {
        s if s > 0 && s % 86_400 == 0 => (s / 86_400, "d"),
        s if s > 0 && s % 3_600 == 0 => (s / 3_600, "h"),
        s if s > 0 && s % 60 == 0 => (s / 60, "m"),
        s => (s, "s"),
    };
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{And, Checked, Negated, Permitted, Role};

    #[derive(crate::AuthUser)]
    #[auth(crate = crate)]
    struct Admin {
        id: i64,
    }

    #[derive(crate::Permissions)]
    #[permissions(user = Admin, crate = crate)]
    enum Permission {
        EditPost,
        DeletePost,
    }

    impl crate::HasPermission<Permission> for Admin {
        async fn has_permission(
            &self,
            _: Permission,
            _: &actix_web::HttpRequest,
        ) -> Result<bool, crate::BoxError> {
            Ok(false)
        }
    }

    impl crate::condition::Checking for Admin {
        type User = Self;

        fn check(admin: &Self, _: &actix_web::HttpRequest) -> bool {
            admin.id == 7
        }
    }

    #[track_caller]
    fn check<P: Described>(expected: &str) {
        assert_eq!(Description::of::<P>().to_string(), expected);
    }

    #[test]
    fn guards_are_described_as_they_are_written() {
        check::<LoginRequired>("login");
        check::<LoginRequired<Admin>>("login(user = Admin)");
        check::<Fresh<LoginRequired>>("fresh");
        check::<Fresh<LoginRequired, 600>>("fresh(10m)");
        check::<Fresh<LoginRequired, 0>>("fresh(0s)");
        check::<Fresh<LoginRequired, 86_400>>("fresh(1d)");
        check::<Fresh<LoginRequired<Admin>, 7_200>>("fresh(2h, user = Admin)");
        check::<ExemptOptions<Passive<LoginRequired>>>("login(passive, exempt_options)");
        check::<Requires<Fresh<LoginRequired>, Negated<Role<1, { 0x61 << 120 }>>>>(
            r#"fresh(not(role = "a"))"#,
        );
        check::<
            Passive<Requires<LoginOf<Permission>, And<Permitted<Permission, 1>, Checked<Admin>>>>,
        >("login(permission = DeletePost, check, passive)");
        check::<ExemptOptions<Passive<Fresh<LoginRequired<Admin>, 90>>>>(
            "fresh(90s, user = Admin, passive, exempt_options)",
        );
    }
}
