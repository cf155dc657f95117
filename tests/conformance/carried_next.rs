//! The cookie with the address that a client asked for, inside the session cookie.
//!
//! The client of the comparison keeps the two cookies that Flask-Login has. Flask-Login keeps this address
//! in the session, and the toolkit keeps it in a cookie of its own. So this layer appends that cookie to the
//! session cookie, and takes it off again when the client comes back.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{COOKIE, HeaderValue, SET_COOKIE},
    middleware::Next,
    web::Data,
};

use crate::config::Config;

/// The name of the toolkit's cookie, over plain http.
const NEXT: &str = "next";

/// Between the two values; neither contains it.
const SEPARATOR: char = '~';

pub(crate) async fn carry(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let config = request.app_data::<Data<Config>>().cloned();
    let Some(config) = config.filter(|config| config.use_session_for_next) else {
        return next.call(request).await;
    };
    let name = config.session_cookie_name.as_str();
    let (mut session, mut kept) = (String::new(), String::new());
    let cookies = request.headers().get(COOKIE);
    if let Some(cookies) = cookies.and_then(|cookies| cookies.to_str().ok()) {
        let mut others = Vec::new();
        for pair in cookies.split("; ") {
            match pair.split_once('=') {
                Some((found, value)) if found == name => {
                    let (first, second) = value.split_once(SEPARATOR).unwrap_or((value, ""));
                    (session, kept) = (first.to_owned(), second.to_owned());
                }
                _ => others.push(pair.to_owned()),
            }
        }
        for (name, value) in [(name, &session), (NEXT, &kept)] {
            if !value.is_empty() {
                others.push(format!("{name}={value}"));
            }
        }
        let cookies = HeaderValue::from_str(&others.join("; "))?;
        request.headers_mut().insert(COOKIE, cookies);
    }

    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    let mut attributes = "; Path=/; HttpOnly".to_owned();
    let mut is_changed = false;
    for cookie in headers.remove(SET_COOKIE).collect::<Vec<_>>() {
        let text = cookie.to_str().unwrap_or_default();
        let (pair, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        match pair.split_once('=') {
            Some((found, value)) if found == name => {
                (session, attributes, is_changed) = (value.to_owned(), rest.to_owned(), true);
            }
            Some((NEXT, value)) => (kept, is_changed) = (value.to_owned(), true),
            _ => headers.append(SET_COOKIE, cookie),
        }
    }
    if is_changed {
        let value = match kept.is_empty() {
            true => session,
            false => format!("{session}{SEPARATOR}{kept}"),
        };
        if value.contains(SEPARATOR) && attributes.contains("Max-Age=0") {
            attributes = "; Path=/; HttpOnly".to_owned();
        }
        let cookie = HeaderValue::from_str(&format!("{name}={value}{attributes}"))?;
        headers.append(SET_COOKIE, cookie);
    }
    Ok(response)
}
