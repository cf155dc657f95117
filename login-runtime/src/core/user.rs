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
/// | `session_hash` | field | every login of the user ends when this changes | the `password_hash` |
/// | `password_hash` | field | the PHC string; implements [`PasswordUser`] too | |
/// | `roles` | field | the user's role or roles: one or several strings, or a [`Roles`](crate::Roles) | none |
/// | `name = ".."` | struct, enum | the [name](AuthUser::NAME) of the user type in cookies and records | the name of the struct |
/// | `crate = path` | struct, enum | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// The id is cloned at log in, and read from the session afterwards. It can be of any type that serde
/// reads and writes. A session hash is a string, bytes, an integer or an `Option` of one of these.
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

    /// The type of the user's id.
    type Id: UserId;

    /// The id, which the session keeps and the user loader gets.
    fn get_id(&self) -> Self::Id;

    /// Whether this user may be logged in.
    ///
    /// It is called at log in and at each request that asks for the user, so a user who is deactivated
    /// is refused at the next request (ASVS 7.4.2).
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
    /// themselves.
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

/// What a field marked `#[auth(session_hash)]` can be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a session hash",
    label = "not a session hash",
    note = "mark a text, some bytes, an integer that counts up, or an `Option` of one of these"
)]
pub trait SessionHashPart {
    /// The bytes whose change ends every login.
    fn part(&self) -> Option<Cow<'_, [u8]>>;
}

/// What a field marked `#[auth(password_hash)]` can be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold a password hash",
    label = "not a password hash",
    note = "mark a `String` or an `Option<String>`"
)]
pub trait PasswordField {
    /// The hash, if there is one.
    fn get(&self) -> Option<&str>;
    /// Replaces the hash.
    fn set(&mut self, hash: String);
}

macro_rules! bytes_are_session_hashes {
    ($($type:ty: $as_bytes:expr),* $(,)?) => {$(
        impl SessionHashPart for $type {
            fn part(&self) -> Option<Cow<'_, [u8]>> {
                let as_bytes: fn(&Self) -> &[u8] = $as_bytes;
                Some(Cow::Borrowed(as_bytes(self)))
            }
        }
    )*};
}

bytes_are_session_hashes!(
    str: |text| text.as_bytes(),
    String: |text| text.as_bytes(),
    Box<str>: |text| text.as_bytes(),
    [u8]: |bytes| bytes,
    Vec<u8>: |bytes| bytes,
    Box<[u8]>: |bytes| bytes,
);

impl<const N: usize> SessionHashPart for [u8; N] {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self))
    }
}

macro_rules! integers_are_session_hashes {
    ($($type:ty),*) => {$(
        impl SessionHashPart for $type {
            fn part(&self) -> Option<Cow<'_, [u8]>> {
                Some(Cow::Owned(self.to_be_bytes().to_vec()))
            }
        }
    )*};
}

integers_are_session_hashes!(i16, i32, i64, i128, u16, u32, u64, u128);

impl<T: SessionHashPart> SessionHashPart for Option<T> {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        self.as_ref().and_then(SessionHashPart::part)
    }
}

impl PasswordField for String {
    fn get(&self) -> Option<&str> {
        Some(self)
    }

    fn set(&mut self, hash: String) {
        *self = hash;
    }
}

impl PasswordField for Option<String> {
    fn get(&self) -> Option<&str> {
        self.as_deref()
    }

    fn set(&mut self, hash: String) {
        *self = Some(hash);
    }
}

/// The id of a user type whose derive failed, so that one mistake gives one error.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct UnknownId;
