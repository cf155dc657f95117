//! Who the user of a request is: looked up once, and shared by all who ask.

pub(crate) mod client;
pub(crate) mod credential;
pub(crate) mod lookup;
pub(crate) mod remember_cookie;
pub(crate) mod state;
pub(crate) mod trace;

pub(crate) use self::{
    credential::{LoginCookieContent, OpenedLoginCookie},
    remember_cookie::{carried_family, carries_token_of_another, read_token, remember_cookie},
    state::{LoginState, RequestUser},
    trace::{Declaration, Listener, RouteTrace},
};
