//! The user of a request: looked up once, and shared by all who ask.

pub(crate) mod client;
pub(crate) mod credential;
#[cfg(feature = "flash-messages")]
pub(crate) mod due_message;
pub(crate) mod fast_lookup;
pub(crate) mod local_mutex;
pub(crate) mod lookup;
pub(crate) mod remember_cookie;
pub(crate) mod restore;
#[cfg(feature = "tracing-actix-web")]
pub(crate) mod root_span;
pub(crate) mod stand_in;
pub(crate) mod state;
pub(crate) mod trace;

pub(crate) use self::{
    credential::{LoginCookieContent, OpenedLoginCookie},
    stand_in::{StandIn, drop_copy},
    state::{LoginState, RequestUser},
    trace::{CrossSiteRequest, Declaration, Opens, RouteTrace},
};

#[cfg(feature = "audit")]
pub(crate) use self::trace::Listener;
