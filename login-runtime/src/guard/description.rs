//! What a guard asks for, in words: `login`, `fresh(10m, user = Admin)`.

use std::time::Duration;

use crate::{
    conditions::Condition,
    core::{Freshness, Requirement},
    guard::policy::GuardOptions,
};

/// Describes a policy as its attribute is written.
pub(crate) fn describe<P: GuardOptions>() -> String {
    describe_options((P::USER_NAME)(), P::REQUIREMENT, P::CONDITION)
}

/// Describes the options of a guard as an attribute takes them. Without a `user`, the guard asks for
/// the user type of the manager's first loader.
pub(crate) fn describe_options(
    user: Option<&str>,
    requirement: Requirement,
    condition: &Condition,
) -> String {
    let mut options = Vec::new();
    let name = match requirement.freshness {
        Freshness::Any => "login",
        Freshness::Default => "fresh",
        Freshness::Within(age) => {
            options.push(short(age));
            "fresh"
        }
    };
    if let Some(user) = user {
        // Without the path. Generic arguments may have paths too, so a generic type is left whole.
        let name = match user.contains('<') {
            true => user,
            false => user.rsplit("::").next().unwrap_or(user),
        };
        options.push(format!("user = {name}"));
    }
    condition.describe(&mut options);
    if requirement.passive {
        options.push("passive".to_owned());
    }
    if requirement.exempt_options {
        options.push("exempt_options".to_owned());
    }
    match options.is_empty() {
        true => name.to_owned(),
        false => format!("{name}({})", options.join(", ")),
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
    use crate::guard::{
        policy::{ExemptOptions, Fresh, LoginOf, LoginRequired, Passive, Requires},
        terms::{And, Checked, Checking, Negated, Permitted, Role},
    };

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

    impl Checking for Admin {
        type User = Self;
        const TEXT: &'static str = "is_seven";

        fn check(admin: &Self, _: &actix_web::HttpRequest) -> bool {
            admin.id == 7
        }
    }

    #[track_caller]
    fn check<P: GuardOptions>(expected: &str) {
        assert_eq!(describe::<P>(), expected);
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
        >("login(permission = DeletePost, check = is_seven, passive)");
        check::<ExemptOptions<Passive<Fresh<LoginRequired<Admin>, 90>>>>(
            "fresh(90s, user = Admin, passive, exempt_options)",
        );
    }
}
