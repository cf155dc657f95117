//! A request whose session cookie is under an older key goes through the session middleware again.
//!
//! actix-session takes one key. Only after it has loaded the session does the login layer see that there is
//! none although the request has a session cookie. If that cookie opens under an older key, the login layer
//! gives the request back, with the same value under the current key: the same session, and not a copy of
//! it. So a request whose cookie is under the current key costs nothing more.

use std::{cell::RefCell, rc::Rc};

use actix_web::{
    Error, HttpMessage as _, ResponseError,
    dev::{Service, ServiceRequest},
    http::header::COOKIE,
};
use derive_more::{Debug, Display};

use crate::{http::SessionCookie, session};

/// A request that the login layer gives back.
#[derive(Debug, Display)]
#[debug("Again")]
#[display("the session cookie is under an older key")]
struct Again(RefCell<Option<ServiceRequest>>);

impl ResponseError for Again {}

/// Marks a request that goes through the session middleware again.
struct Reopened;

/// Returns the request, unless its session cookie is under an older key: then an error for
/// [`call_again`], which contains it.
pub(crate) fn check(
    cookie: &SessionCookie,
    request: ServiceRequest,
) -> Result<ServiceRequest, Error> {
    let session = session::of(request.request());
    // A manager inside this one has a session cookie of its own.
    if request.extensions_mut().remove::<Reopened>().is_some() {
        session::write_again(&session);
        return Ok(request);
    }
    if session.entries().is_empty()
        && request.headers().contains_key(COOKIE)
        && cookie.reopen(request.request())
    {
        request.extensions_mut().insert(Reopened);
        return Err(Again(RefCell::new(Some(request))).into());
    }
    Ok(request)
}

/// Calls the session middleware a second time, if the login layer has given the request back.
pub(crate) async fn call_again<S, R>(service: Rc<S>, result: Result<R, Error>) -> Result<R, Error>
where
    S: Service<ServiceRequest, Response = R, Error = Error>,
{
    let error = match result {
        Ok(response) => return Ok(response),
        Err(error) => error,
    };
    let request = error.as_error::<Again>().map(|again| again.0.take());
    match request.flatten() {
        Some(request) => service.call(request).await,
        None => Err(error),
    }
}
