//! The middleware that runs once for each request.

pub(crate) mod cross_site;
pub(crate) mod late;
pub(crate) mod login;
pub(crate) mod reopen;
pub(crate) mod response;
