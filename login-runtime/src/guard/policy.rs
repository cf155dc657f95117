//! What `#[login_required]` expands to; also usable by hand and for scopes.
//!
//! A guard decides before anything else of the handler happens. actix-web polls all extractors of a
//! handler together, so a guard among them that waits for the database would lose the race to a
//! `Json` that reads the body, or answers 400. [`Guarded`] therefore takes the place of all the
//! handler's arguments: first the policy decides, then they are extracted.

use std::{any::TypeId, marker::PhantomData, time::Duration};

use derive_more::Debug;

use crate::{
    conditions::{Condition, Described, Description},
    core::{AuthUser, Freshness, Requirement},
    error::SetupError,
    guard::terms::{ConditionType, Term},
    manager::Manager,
    users::Permissions,
};

/// What a guard asks for, as a type.
pub trait Policy: Described {
    /// The user type that is asked for.
    #[doc(hidden)]
    type User: GuardUser;
    /// What is asked of the user besides a login.
    #[doc(hidden)]
    const CONDITION: &'static Condition = &Condition::ALWAYS;
    /// How old a login is at most that gets through, in seconds; without end if the manager says.
    #[doc(hidden)]
    const FRESH: Option<u64> = None;
    /// Whether whoever gets through has met the policy. OPTIONS requests may not have.
    #[doc(hidden)]
    const PROVES: bool = true;
    #[doc(hidden)]
    fn requirement() -> GuardRequirement;
    #[doc(hidden)]
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError>;
}

/// Keeps crate-private types out of the public trait.
#[doc(hidden)]
#[derive(Debug)]
pub struct GuardRequirement(pub(crate) Requirement);

/// Keeps crate-private types out of the public trait.
#[derive(Debug)]
#[debug("GuardManager")]
#[doc(hidden)]
pub struct GuardManager<'a>(pub(crate) &'a Manager);

/// A user type that a guard can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be logged in",
    label = "not a user",
    note = "add `#[derive(AuthUser)]` to `{Self}`, or implement the trait by hand"
)]
pub trait GuardUser: 'static {
    #[doc(hidden)]
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError>;
}

/// The user type of the manager's first loader.
#[derive(Debug)]
pub struct DefaultUser;

impl GuardUser for DefaultUser {
    fn find(_: &GuardManager<'_>) -> Result<usize, SetupError> {
        Ok(0)
    }
}

impl<U: AuthUser> GuardUser for U {
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        manager
            .0
            .index(std::any::TypeId::of::<U>(), std::any::type_name::<U>)
    }
}

/// A login, of the user type `U`.
#[derive(Debug)]
pub struct LoginRequired<U = DefaultUser>(PhantomData<fn() -> U>);

/// What `P` asks for, and a login that is at most so many seconds old; without a number as old as
/// the manager's `fresh_for` allows.
#[derive(Debug)]
pub struct Fresh<P, const SECONDS: u64 = { u64::MAX }>(PhantomData<fn() -> P>);

/// What `P` asks for, but for OPTIONS requests.
#[derive(Debug)]
pub struct ExemptOptions<P>(PhantomData<fn() -> P>);

/// What `P` asks for, and a request that counts as no use of the login.
#[derive(Debug)]
pub struct Passive<P>(PhantomData<fn() -> P>);

impl<U: GuardUser> Policy for LoginRequired<U> {
    type User = U;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement::LOGIN)
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        U::find(manager)
    }
}

impl<P: Policy, const SECONDS: u64> Policy for Fresh<P, SECONDS> {
    type User = P::User;
    const CONDITION: &'static Condition = P::CONDITION;
    const FRESH: Option<u64> = Some(SECONDS);
    const PROVES: bool = P::PROVES;

    fn requirement() -> GuardRequirement {
        let freshness = match SECONDS {
            u64::MAX => Freshness::Default,
            seconds => Freshness::Within(Duration::from_secs(seconds)),
        };
        GuardRequirement(Requirement {
            freshness,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }
}

impl<P: Policy> Policy for ExemptOptions<P> {
    type User = P::User;
    const CONDITION: &'static Condition = P::CONDITION;
    const FRESH: Option<u64> = P::FRESH;
    const PROVES: bool = false;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement {
            exempt_options: true,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }
}

impl<P: Policy> Policy for Passive<P> {
    type User = P::User;
    const CONDITION: &'static Condition = P::CONDITION;
    const FRESH: Option<u64> = P::FRESH;
    const PROVES: bool = P::PROVES;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement {
            passive: true,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }
}

/// What `P` asks for, and a user who meets the condition `C`.
#[derive(Debug)]
pub struct Requires<P, C>(PhantomData<fn() -> (P, C)>);

impl<P: Policy, C: Term<P::User>> Policy for Requires<P, C> {
    type User = P::User;
    const CONDITION: &'static Condition = &C::CONDITION;
    const FRESH: Option<u64> = P::FRESH;
    const PROVES: bool = P::PROVES;

    fn requirement() -> GuardRequirement {
        P::requirement()
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }
}

/// A login, of the user type that the permissions are about.
#[derive(Debug)]
pub struct LoginOf<P>(PhantomData<fn() -> P>);

impl<P: Permissions> Policy for LoginOf<P> {
    type User = P::User;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement::LOGIN)
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::User::find(manager)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::terms::{And, Checked, Checking, Negated, Permitted, Role};

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
