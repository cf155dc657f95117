//! The application's user types with their types erased, roles and permissions, and the proof that a
//! user's credentials were checked.

pub(crate) mod fields;
pub(crate) mod loader;
#[cfg(feature = "password")]
pub(crate) mod password;
pub(crate) mod permission;
pub(crate) mod user_type;
pub(crate) mod verified;

pub(crate) use self::{
    loader::{AnyUser, Loader, Loading, RequestLoader},
    permission::Permissions,
    user_type::UserType,
    verified::{AuthMethod, IntoVerified, Verified},
};
