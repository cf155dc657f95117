//! Logins: how they are made, what is known about them, and how they are listed and ended.
//!
//! [`Auth::log_in`](crate::Auth::log_in) takes a [`Verified`](crate::Verified) user and returns [`LogIn`],
//! which is awaited. With a login store, a user sees the logins of all devices with
//! [`Auth::logins`](crate::Auth::logins), and an administrator ends those of anybody with [`Logins`].

pub use crate::{
    auth::{
        log_in::LogIn,
        logins::{Keep, LoginInfo, Logins},
    },
    core::{login::LoginSource, next::NextError},
    users::verified::{AuthMethod, IntoVerified},
};
