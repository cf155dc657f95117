//! Checking passwords, with the feature `password`.
//!
//! `PasswordVerifier` hashes with argon2id, works off the async workers, and gives everybody who is refused
//! the same answer after the same work: unknown users, wrong passwords, inactive users, and users whose
//! stored hash is old, foreign or malformed. It reads the hash from the user through [`PasswordUser`], which
//! `#[auth(password_hash)]` implements.

pub use crate::core::user::PasswordUser;
#[cfg(feature = "password")]
#[cfg_attr(docsrs, doc(cfg(feature = "password")))]
pub use crate::users::password::{PasswordError, PasswordVerifier};
