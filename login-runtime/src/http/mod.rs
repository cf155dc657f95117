//! HTTP headers: cookies, addresses, caching.

pub(crate) mod caching;
pub(crate) mod cookie_settings;
pub(crate) mod cookies;
pub(crate) mod cross_site;
pub(crate) mod escape;
pub(crate) mod pass_through;
pub(crate) mod proxies;
pub(crate) mod seen;
pub(crate) mod session_cookie;
pub(crate) mod set_cookie;
pub(crate) mod view;

pub(crate) use self::{
    caching::{Caching, Overruled},
    cookie_settings::{CheckedCookie, CookieSettings, RememberCookie},
    cross_site::CrossSiteCheck,
    escape::QUERY_VALUE,
    pass_through::PassThrough,
    proxies::{Proxies, ProxyData},
    seen::Seen,
    session_cookie::{SeenCookies, SessionCookie, too_long_cookie},
    set_cookie::SetCookie,
    view::{IntoView, Origin, PathPattern, ViewAddress},
};
