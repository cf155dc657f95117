//! Cookies and addresses in HTTP headers.

pub(crate) mod cookie_settings;
pub(crate) mod cookies;
pub(crate) mod escape;
pub(crate) mod set_cookie;
pub(crate) mod view;

pub(crate) use self::{
    cookie_settings::{CheckedCookie, CookieSettings, RememberCookie},
    cookies::CookieValue,
    escape::{LOCATION, QUERY_VALUE},
    set_cookie::SetCookie,
    view::{Origin, View},
};
