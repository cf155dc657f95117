//! The application's user, as the toolkit sees it.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};

/// Implements [`AuthUser`](trait@AuthUser) for a struct, or for an enum whose variants each wrap a
/// user.
///
/// | `#[auth(..)]` | on | meaning | default |
/// |---|---|---|---|
/// | `id` | field | this field is the user id | the field called `id` |
/// | `active` | `bool` field | whether the user may be logged in | the field called `is_active`, else always |
/// | `inactive` | `bool` field | the opposite: `locked`, `disabled` | |
/// | `active = path` | struct, enum | a function that says so: `fn(&Self) -> bool` | |
/// | `session_hash` | field | every login ends when this changes | the `password_hash` |
/// | `password_hash` | field | the PHC string; implements [`PasswordUser`] too | |
/// | `roles` | field | the user's role or roles: a text, several, or a [`Roles`](crate::Roles) | none |
/// | `crate = path` | struct, enum | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// The id is cloned at log in, and read from the session afterwards. It can be any type that serde
/// reads and writes. A session hash is a text, bytes, an integer or an `Option` of one of these.
///
/// An enum asks the user that its variant wraps; all of them have the same type of id.
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
/// A struct without an id is refused, with what to do:
///
/// ```compile_fail
/// #[derive(login_runtime::AuthUser)]
/// struct User { name: String } // no field holds the user id; name a field `id` or mark one
/// ```
///
/// # Security
///
/// The ids of an enum's variants share one space: the loader is given an id and nothing else. Where
/// an admin 7 and a customer 7 can both exist, use two user types and not an enum.
pub use login_macros::AuthUser;

/// A user who can be logged in.
///
/// Derive it: [`#[derive(AuthUser)]`](derive@AuthUser).
/// Write it by hand only where the derive cannot say what you mean.
///
/// # Security
///
/// A guard lets a user through only if *both* [`is_active`](AuthUser::is_active) and
/// [`is_authenticated`](AuthUser::is_authenticated) say yes, at every request.
/// Overriding one of them cannot let in a user whom the other refuses.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be logged in",
    label = "not a user",
    note = "add `#[derive(AuthUser)]` to `{Self}`, or implement the trait by hand"
)]
pub trait AuthUser: Sized + 'static {
    /// What a session keeps to find the user again.
    type Id: UserId;

    /// The id that the session keeps and that the user loader is given.
    fn get_id(&self) -> Self::Id;

    /// Whether this user may be logged in at all.
    ///
    /// Asked at log in and at each request that looks at the user, so a user who is deactivated is
    /// out at the next request (ASVS 7.4.2).
    fn is_active(&self) -> bool {
        true
    }

    /// Whether guards let this user through; follows [`is_active`](AuthUser::is_active).
    fn is_authenticated(&self) -> bool {
        self.is_active()
    }

    /// Bytes that change when every login of this user has to end, such as the password hash.
    ///
    /// The toolkit keeps a keyed fingerprint of them with each login and each remember token, and
    /// refuses those whose fingerprint is another (ASVS 7.4.3). The bytes themselves are stored
    /// nowhere.
    fn session_hash(&self) -> Option<Cow<'_, [u8]>> {
        None
    }

    /// Whether this user has a role: `#[login_required(role = "admin")]` asks so.
    ///
    /// No user has any unless a field is marked `#[auth(roles)]`, or this is written by hand.
    fn has_role(&self, role: &str) -> bool {
        let _ = role;
        false
    }
}

/// What can be a user's id: anything that serde writes and reads, and that borrows nothing.
///
/// `i64`, `String`, `Uuid`, a newtype around one of them, a tuple. Implemented for all of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a user id",
    label = "not a user id",
    note = "a user id implements `serde::Serialize` and `serde::Deserialize`, and borrows nothing"
)]
pub trait UserId: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> UserId for T {}

/// A user with a password hash, as the password verifier needs it.
///
/// `#[derive(AuthUser)]` implements it for a struct with a field marked `#[auth(password_hash)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no password hash to verify",
    label = "no password hash known",
    note = "mark the field of `{Self}` that holds it with `#[auth(password_hash)]`",
    note = "it has to be the user itself: of a reference or a `CurrentUser` called `user`, take `User::clone(&user)`"
)]
pub trait PasswordUser: AuthUser {
    /// The hash in PHC form (`$argon2id$v=19$...`), or nothing for a user without a password.
    fn password_hash(&self) -> Option<&str>;

    /// Takes a hash that replaces the stored one.
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

/// Stands for the id of a user type whose derive failed, so that one mistake stays one error.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct UnknownId;
