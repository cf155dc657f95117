//! What the fields and functions of a user type can hold: session hashes and password hashes.

use std::{
    borrow::Cow,
    rc::Rc,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// What a field marked `#[auth(session_hash)]`, or the function in `session_hash = path`, can be.
///
/// It is implemented for texts, bytes, integers, `SystemTime`, tuples, references and `Option`s of these; with the
/// features of the same names for the types of `uuid`, `chrono`, `time` and `secrecy`. Implement it for a
/// type of your own.
///
/// # Examples
///
/// ```
/// use std::borrow::Cow;
/// use login_runtime::{AuthUser, SessionHashPart};
///
/// struct Version { major: u32, minor: u32 }
///
/// impl SessionHashPart for Version {
///     fn part(&self) -> Option<Cow<'_, [u8]>> {
///         // A tuple keeps its members apart: 1 and 23 is not 12 and 3.
///         Some(Cow::Owned((self.major, self.minor).part()?.into_owned()))
///     }
/// }
///
/// #[derive(AuthUser)]
/// struct User { id: i64, #[auth(session_hash)] version: Version }
///
/// let hash = |minor| {
///     let user = User { id: 7, version: Version { major: 1, minor } };
///     user.session_hash().map(|hash| hash.into_owned())
/// };
/// assert_ne!(hash(2), hash(3));
/// ```
///
/// A floating-point number is none: it may read differently from how it was written.
///
/// ```compile_fail
/// #[derive(login_runtime::AuthUser)]
/// struct User { id: i64, #[auth(session_hash)] score: f64 } // cannot be a session hash
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a session hash",
    label = "not a session hash",
    note = "mark a text, some bytes, an integer, a time, an id, or an `Option` of one of these; or write `#[auth(session_hash = path)]` on the struct, or implement `SessionHashPart` for `{Self}`",
    note = "the types of `uuid`, `chrono`, `time` and `secrecy` need the feature of `login-runtime` with the same name"
)]
pub trait SessionHashPart {
    /// The bytes whose change ends every login. They are the same at each load of the user.
    fn part(&self) -> Option<Cow<'_, [u8]>>;
}

/// What a field marked `#[auth(password_hash)]` can be.
///
/// It is implemented for `String`, and for the `SecretString` of `secrecy` with the feature of that name, and
/// for `Option`s of these. Implement it for a type of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold a password hash",
    label = "not a password hash",
    note = "mark a `String` or an `Option<String>`, or implement `PasswordField` for `{Self}`",
    note = "`SecretString` needs the feature `secrecy` of `login-runtime`"
)]
pub trait PasswordField {
    /// The hash, if there is one.
    fn get(&self) -> Option<&str>;
    /// Replaces the hash.
    fn set(&mut self, hash: String);
}

/// What the function in `#[auth(password_hash = path)]` can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a password hash",
    label = "not a password hash",
    note = "return a `&str` or an `Option<&str>`"
)]
pub trait PasswordHashRef<'a> {
    /// The hash, if there is one.
    fn get(self) -> Option<&'a str>;
}

impl<'a> PasswordHashRef<'a> for &'a str {
    fn get(self) -> Option<&'a str> {
        Some(self)
    }
}

impl<'a> PasswordHashRef<'a> for Option<&'a str> {
    fn get(self) -> Option<&'a str> {
        self
    }
}

impl<'a, T: PasswordField> PasswordHashRef<'a> for &'a T {
    fn get(self) -> Option<&'a str> {
        self.get()
    }
}

/// The part that a function returned.
pub fn owned_part(hash: &impl SessionHashPart) -> Option<Cow<'static, [u8]>> {
    hash.part().map(|part| Cow::Owned(part.into_owned()))
}

/// Several parts as one.
///
/// Each part has its length in front, so that the end of one cannot pass as the start of the next, and a part
/// that is not there differs from an empty one.
pub fn join_parts(parts: &[Option<Cow<'_, [u8]>>]) -> Option<Cow<'static, [u8]>> {
    let mut joined = Vec::new();
    for part in parts {
        match part {
            None => joined.push(0),
            Some(part) => {
                joined.push(1);
                joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
                joined.extend_from_slice(part);
            }
        }
    }
    Some(Cow::Owned(joined))
}

macro_rules! bytes_are_session_hashes {
    ($([$($generics:tt)*] $type:ty: $as_bytes:expr),* $(,)?) => {$(
        impl<$($generics)*> SessionHashPart for $type {
            fn part(&self) -> Option<Cow<'_, [u8]>> {
                let as_bytes: fn(&Self) -> &[u8] = $as_bytes;
                Some(Cow::Borrowed(as_bytes(self)))
            }
        }
    )*};
}

bytes_are_session_hashes!(
    [] str: |text| text.as_bytes(),
    [] String: |text| text.as_bytes(),
    [] [u8]: |bytes| bytes,
    [] Vec<u8>: |bytes| bytes,
    [const N: usize] [u8; N]: |bytes| bytes,
);

macro_rules! owned_session_hashes {
    ($($type:ty: $to_bytes:expr),* $(,)?) => {$(
        impl SessionHashPart for $type {
            fn part(&self) -> Option<Cow<'_, [u8]>> {
                let to_bytes = $to_bytes;
                Some(Cow::Owned(to_bytes(*self).to_vec()))
            }
        }
    )*};
}

owned_session_hashes!(
    i8: i8::to_be_bytes,
    i16: i16::to_be_bytes,
    i32: i32::to_be_bytes,
    i64: i64::to_be_bytes,
    i128: i128::to_be_bytes,
    u8: u8::to_be_bytes,
    u16: u16::to_be_bytes,
    u32: u32::to_be_bytes,
    u64: u64::to_be_bytes,
    u128: u128::to_be_bytes,
);

impl SessionHashPart for SystemTime {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        let (sign, distance) = match self.duration_since(UNIX_EPOCH) {
            Ok(after) => (1, after),
            Err(before) => (0, before.duration()),
        };
        let mut bytes = vec![sign];
        bytes.extend_from_slice(&distance.as_nanos().to_be_bytes());
        Some(Cow::Owned(bytes))
    }
}

#[cfg(feature = "uuid")]
bytes_are_session_hashes!([] uuid::Uuid: |id| id.as_bytes());

// The instant, and not how it is written: a database may answer in another zone.
#[cfg(feature = "chrono")]
impl<Tz: chrono::TimeZone> SessionHashPart for chrono::DateTime<Tz> {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        self.naive_utc()
            .part()
            .map(|part| Cow::Owned(part.into_owned()))
    }
}

#[cfg(feature = "chrono")]
impl SessionHashPart for chrono::NaiveDateTime {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        let time = self.and_utc();
        owned_part(&(time.timestamp(), time.timestamp_subsec_nanos()))
    }
}

#[cfg(feature = "time")]
impl SessionHashPart for time::OffsetDateTime {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        owned_part(&self.unix_timestamp_nanos())
    }
}

#[cfg(feature = "time")]
impl SessionHashPart for time::PrimitiveDateTime {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        owned_part(&self.assume_utc())
    }
}

#[cfg(feature = "secrecy")]
impl<T> SessionHashPart for secrecy::SecretBox<T>
where
    T: SessionHashPart + secrecy::zeroize::Zeroize + ?Sized,
{
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        secrecy::ExposeSecret::expose_secret(self).part()
    }
}

macro_rules! pointers_to_session_hashes {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => {$(
        impl<$($generics)*> SessionHashPart for $type {
            fn part(&self) -> Option<Cow<'_, [u8]>> {
                (**self).part()
            }
        }
    )*};
}

pointers_to_session_hashes!(
    [T: SessionHashPart + ?Sized] &T,
    [T: SessionHashPart + ?Sized] Box<T>,
    [T: SessionHashPart + ?Sized] Rc<T>,
    [T: SessionHashPart + ?Sized] Arc<T>,
    [T: SessionHashPart + ToOwned + ?Sized] Cow<'_, T>,
);

impl<T: SessionHashPart> SessionHashPart for Option<T> {
    fn part(&self) -> Option<Cow<'_, [u8]>> {
        self.as_ref().and_then(SessionHashPart::part)
    }
}

macro_rules! tuples_are_session_hashes {
    ($([$($name:ident)*])*) => {$(
        impl<$($name: SessionHashPart),*> SessionHashPart for ($($name,)*) {
            #[allow(non_snake_case, reason = "a type and its value have the same name")]
            fn part(&self) -> Option<Cow<'_, [u8]>> {
                let ($($name,)*) = self;
                join_parts(&[$($name.part()),*])
            }
        }
    )*};
}

tuples_are_session_hashes!([A B] [A B C] [A B C D]);

impl PasswordField for String {
    fn get(&self) -> Option<&str> {
        Some(self)
    }

    fn set(&mut self, hash: String) {
        *self = hash;
    }
}

#[cfg(feature = "secrecy")]
impl PasswordField for secrecy::SecretString {
    fn get(&self) -> Option<&str> {
        Some(secrecy::ExposeSecret::expose_secret(self))
    }

    fn set(&mut self, hash: String) {
        *self = hash.into();
    }
}

impl<T: PasswordField + From<String>> PasswordField for Option<T> {
    fn get(&self) -> Option<&str> {
        self.as_ref().and_then(PasswordField::get)
    }

    fn set(&mut self, hash: String) {
        *self = Some(hash.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(part: &(impl SessionHashPart + ?Sized), expected: Option<&[u8]>) {
        assert_eq!(part.part().as_deref(), expected);
    }

    #[test]
    fn a_session_hash_is_all_the_bytes_of_its_field() {
        check("hash", Some(b"hash"));
        check(&"hash".to_owned(), Some(b"hash"));
        check(&Box::<str>::from("hash"), Some(b"hash"));
        check(&b"hash"[..], Some(b"hash"));
        check(b"hash", Some(b"hash"));
        check(&b"hash".to_vec(), Some(b"hash"));
        check(&Box::<[u8]>::from(&b"hash"[..]), Some(b"hash"));
        check("", Some(b""));
        check(&0x0102_i16, Some(&[1, 2]));
        check(&-2_i32, Some(&[0xff, 0xff, 0xff, 0xfe]));
        check(&0x0102_0304_0506_0708_i64, Some(&[1, 2, 3, 4, 5, 6, 7, 8]));
        check(&0x0102_u16, Some(&[1, 2]));
        check(&0x0102_0304_u32, Some(&[1, 2, 3, 4]));
        check(&7_u64, Some(&[0, 0, 0, 0, 0, 0, 0, 7]));
        check(
            &1_i128,
            Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        );
        check(
            &1_u128,
            Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        );
        check(&Some("hash".to_owned()), Some(b"hash"));
        check(&None::<String>, None);
        check(&Some(None::<u32>), None);
    }

    #[test]
    fn a_new_password_hash_replaces_the_old_one() {
        fn check(mut field: impl PasswordField, before: Option<&str>) {
            assert_eq!(field.get(), before);
            field.set("new".to_owned());
            assert_eq!(field.get(), Some("new"));
        }
        check("old".to_owned(), Some("old"));
        check(Some("old".to_owned()), Some("old"));
        check(None::<String>, None);
    }
}
