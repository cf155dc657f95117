//! The trait for the application's user type.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};

/// Implements [`AuthUser`](trait@AuthUser) for a struct, or for an enum whose variants each wrap a
/// user.
///
/// | `#[auth(..)]` | on | meaning | default |
/// |---|---|---|---|
/// | `id` | field | this field is the user id | the field called `id` |
/// | `active` | `bool` field | whether the user may be logged in | the field called `is_active`, else always |
/// | `inactive` | `bool` field | the opposite, for fields such as `locked` or `disabled` | |
/// | `active = path` | struct, enum | a function for the same: `fn(&Self) -> bool` | |
/// | `session_hash` | fields | every login of the user ends when one of these [parts](crate::SessionHashPart) changes | the `password_hash` |
/// | `password_hash` | field | the PHC string; implements [`PasswordUser`] too | |
/// | `flatten` | field | the user whom this struct adds something to; see below | none |
/// | `id = path -> Type` | struct | a function for the id: `fn(&Self) -> Type` | |
/// | `session_hash = path` | struct | a function for the session hash: `fn(&Self) -> impl SessionHashPart` | |
/// | `password_hash = path` | struct | a function for the hash: `fn(&Self) -> Option<&str>`, or `&str` | |
/// | `set_password_hash = path` | struct | a function that replaces it: `fn(&mut Self, String)` | |
/// | `roles` | field | the user's role or roles: one or several strings, or a [`Roles`](crate::Roles) | none |
/// | `name = ".."` | struct, enum | the [name](AuthUser::NAME) of the user type in cookies and records | the name of the struct |
/// | `crate = path` | struct, enum | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// The id is cloned at log in, and read from the session afterwards. It can be of any type that serde
/// reads and writes. A session hash is anything that implements [`SessionHashPart`](crate::SessionHashPart).
///
/// A struct with a field marked `#[auth(flatten)]` is the user in that field, and more: id, activity, session
/// hash and roles come from there. What the struct marks itself replaces id and roles, and is required in
/// addition for activity and session hash. `#[auth(flatten, password_hash)]` takes the password hash from
/// there, too.
///
/// An enum forwards every method call to the user in its variant. All variants must have the same type
/// of id.
///
/// # Examples
///
/// ```
/// use login_runtime::AuthUser;
///
/// #[derive(AuthUser)]
/// struct User {
///     id: i64,
///     is_active: bool,
///     #[auth(session_hash)]
///     password_hash: String,
/// }
///
/// let user = User { id: 7, is_active: false, password_hash: String::new() };
/// assert_eq!(user.get_id(), 7);
/// assert!(!user.is_authenticated());
/// ```
///
/// A user with roles from another table, and a user whose fields are private to another module:
///
/// ```
/// # mod db {
/// #     #[derive(Default)]
/// #     pub struct Row { pub uid: i64, pub hash: String }
/// # }
/// use login_runtime::AuthUser;
///
/// #[derive(AuthUser)]
/// #[auth(id = Account::uid -> i64)]
/// #[auth(password_hash = Account::hash, set_password_hash = Account::set_hash)]
/// struct Account(db::Row);
///
/// impl Account {
///     fn uid(&self) -> i64 { self.0.uid }
///     fn hash(&self) -> &str { &self.0.hash }
///     fn set_hash(&mut self, hash: String) { self.0.hash = hash; }
/// }
///
/// #[derive(AuthUser)]
/// struct AccountWithRoles {
///     #[auth(flatten, password_hash)]
///     account: Account,
///     #[auth(roles)]
///     roles: Vec<String>,
/// }
///
/// let account = Account(db::Row { uid: 7, hash: "$argon2id$..".to_owned() });
/// let user = AccountWithRoles { account, roles: vec!["editor".to_owned()] };
/// assert_eq!(user.get_id(), 7);
/// assert!(user.session_hash().is_some());
/// assert!(user.has_role("editor") && !user.has_role("admin"));
/// ```
///
/// A struct without an id does not compile, and the message says what to do:
///
/// ```compile_fail
/// #[derive(login_runtime::AuthUser)]
/// struct User { name: String } // no field holds the user id; name a field `id` or mark one
/// ```
///
/// # Security
///
/// The variants of an enum share one set of ids: the loader gets only the id and not the variant. If an
/// admin 7 and a customer 7 can both exist, use two user types and not an enum.
pub use login_macros::AuthUser;

/// A user who can be logged in.
///
/// Derive it: [`#[derive(AuthUser)]`](derive@AuthUser).
/// Implement it yourself only if the derive cannot express what you need.
///
/// # Security
///
/// A guard lets a user through only if *both* [`is_active`](AuthUser::is_active) and
/// [`is_authenticated`](AuthUser::is_authenticated) return `true`, at every request.
/// Overriding one of them cannot let in a user whom the other refuses.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be logged in",
    label = "not a user",
    note = "add `#[derive(AuthUser)]` to `{Self}`, or implement the trait by hand"
)]
pub trait AuthUser: Sized + 'static {
    /// The name of this user type: the name of the struct, if it is derived.
    ///
    /// It is part of every key, cookie, record and session: user 2 of one type is never user 2 of another,
    /// even if two managers share a secret or a login store. Two user types of a manager have different
    /// names. A name has 1 to 32 ASCII letters, digits, `-` and `_`. It must not change once logins exist:
    /// all logins of the type would end. So if the struct gets another name, keep the old one with
    /// `#[auth(name = "..")]`.
    const NAME: &'static str;

    /// Whether [`session_hash`](AuthUser::session_hash) returns something, as far as that is known:
    /// `#[derive(AuthUser)]` says so. A check before a deployment reports user types without one.
    const HAS_SESSION_HASH: Option<bool> = None;

    /// The type of the user's id.
    type Id: UserId;

    /// The id, which the session keeps and the user loader gets.
    fn get_id(&self) -> Self::Id;

    /// Whether this user may be logged in.
    ///
    /// It is called at log in and at each request that asks for the user, so a user who is deactivated
    /// is refused at the next request. With a login store, that request also ends all logins and remember
    /// cookies of the user (ASVS 7.4.2). To end them at once, call
    /// [`Logins::end_all_of`](crate::logins::Logins::end_all_of) when you deactivate the user.
    fn is_active(&self) -> bool {
        true
    }

    /// Whether guards let this user through; the same as [`is_active`](AuthUser::is_active) by default.
    fn is_authenticated(&self) -> bool {
        self.is_active()
    }

    /// Bytes that change when every login of this user has to end, such as the password hash.
    ///
    /// The toolkit keeps a keyed fingerprint of them with each login and each remember token, and
    /// refuses the login or token when the fingerprint differs (ASVS 7.4.3). It does not store the bytes
    /// themselves. The fingerprints that were computed last, about 4,000, are kept in memory under a keyed
    /// hash of the bytes, so other bytes are noticed at the next request.
    fn session_hash(&self) -> Option<Cow<'_, [u8]>> {
        None
    }

    /// Whether this user has a role; `#[login_required(role = "admin")]` calls it.
    ///
    /// The default is `false` for every role. The derive implements it from the field that is marked
    /// `#[auth(roles)]`.
    fn has_role(&self, role: &str) -> bool {
        let _ = role;
        false
    }
}

/// A user's id: any type that serde reads and writes, and that borrows nothing.
///
/// It is implemented for all of these: `i64`, `String`, `Uuid`, a newtype around one of them, a tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a user id",
    label = "not a user id",
    note = "a user id implements `serde::Serialize` and `serde::Deserialize`, and borrows nothing"
)]
pub trait UserId: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> UserId for T {}

/// A user with a password hash, which the password verifier needs.
///
/// `#[derive(AuthUser)]` implements it for a struct with a field marked `#[auth(password_hash)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no password hash to verify",
    label = "no password hash known",
    note = "mark the field of `{Self}` that holds it with `#[auth(password_hash)]`",
    note = "it has to be the user itself: of a reference or a `CurrentUser` called `user`, take `User::clone(&user)`"
)]
pub trait PasswordUser: AuthUser {
    /// The hash in PHC form (`$argon2id$v=19$...`), or `None` for a user without a password.
    fn password_hash(&self) -> Option<&str>;

    /// Replaces the hash.
    fn set_password_hash(&mut self, hash: String);
}

/// Why a password was refused.
///
/// It is for the log and the subscribers to events. An answer that shows it tells who has an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordRefusal {
    /// There is no such user.
    UnknownUser,
    /// The user has no password.
    NoPassword,
    /// The password is wrong.
    Wrong,
    /// The password is right, and the user may not log in.
    Inactive,
    /// The stored hash has no known form.
    MalformedHash,
    /// The stored hash was made with a pepper that the verifier does not have.
    UnknownPepper,
    /// The stored hash takes more work than is done for anybody.
    TooDear,
    /// The check of a foreign hash failed.
    ForeignCheckFailed,
}

impl PasswordRefusal {
    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown user",
            Self::NoPassword => "no password",
            Self::Wrong => "wrong password",
            Self::Inactive => "inactive",
            Self::MalformedHash => "malformed hash",
            Self::UnknownPepper => "unknown pepper",
            Self::TooDear => "too dear",
            Self::ForeignCheckFailed => "foreign check failed",
        }
    }
}

/// The id of a user type whose derive failed, so that one mistake gives one error.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct UnknownId;

#[cfg(test)]
mod tests {
    use super::*;

    /// A user type of which only what has to be is written by hand.
    struct Plain {
        is_active: bool,
    }

    impl AuthUser for Plain {
        const NAME: &'static str = "plain";

        type Id = i64;

        fn get_id(&self) -> i64 {
            7
        }

        fn is_active(&self) -> bool {
            self.is_active
        }
    }

    /// A user type that leaves even that out.
    struct Bare;

    impl AuthUser for Bare {
        const NAME: &'static str = "bare";

        type Id = i64;

        fn get_id(&self) -> i64 {
            7
        }
    }

    #[test]
    fn a_user_written_by_hand_is_active_and_has_no_role() {
        assert!(Bare.is_active() && Bare.is_authenticated());
        assert_eq!(Bare.session_hash(), None);
        assert!(!Bare.has_role("") && !Bare.has_role("admin"));
        // Guards ask both.
        for is_active in [false, true] {
            let user = Plain { is_active };
            assert_eq!(user.is_authenticated(), is_active);
        }
    }
}
