//! Completes the response to a request: sets the cookies of the login, or withholds them.
//!
//! 1. If the application purged the session, the logins of the request end with it.
//! 2. If a login whose cookie the request carries ended while the request was in progress, the response
//!    sets no cookies: the browser has newer ones. Cookies of a log in or log out by the request itself
//!    are always sent.
//! 3. If the manager says so, the response prolongs the remember cookie.
//! 4. A response that depends on the login is kept from others; see [`caching`](crate::http::caching). So is an
//!    error that a middleware of the application returns.
//! 5. A 401 without a challenge gets one.

use std::sync::Arc;

use actix_web::{
    Error, HttpRequest,
    dev::ServiceResponse,
    http::{
        Method, StatusCode,
        header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE},
    },
};

use crate::{
    core::LoginOwner,
    error::{CHALLENGE, LoginError, StoreError},
    events::{EventUser, LoginEvent},
    http::{Overruled, Seen, SetCookie, caching, cookies, set_cookie},
    manager::Manager,
    request::{
        LoginState, OpenedLoginCookie,
        credential::{self, LoginCredential},
        remember_cookie,
    },
    session::{self, fate},
    store::{LoginStore as _, Records},
    users::UserType,
};

/// Whether the response needs [`finish`], because a login whose cookie the request carries may have
/// ended meanwhile, or because the application purged the session.
pub(crate) fn needs_review(
    request: &HttpRequest,
    state: Option<&LoginState>,
    carries: bool,
) -> bool {
    match state {
        Some(state) if state.acted.get() => session::is_purged(&session::of(request)),
        _ if !carries => false,
        Some(state) if !state.cookies.borrow().is_empty() => true,
        _ => session::is_written(&session::of(request)),
    }
}

/// Completes a response.
///
/// # Errors
///
/// The store's error, if the application purged the session and a record did not end: the user is still
/// logged in then.
pub(crate) async fn finish<B>(
    mut response: ServiceResponse<B>,
    manager: &Manager,
    arrived: Option<i64>,
) -> Result<ServiceResponse<B>, Error> {
    let request = response.request();
    let state = LoginState::existing(request);
    let state = state.as_deref();
    // By the application: `LoginState::finish` may end an empty session.
    let is_purged = manager.has_login_cookies() && session::is_purged(&session::of(request));
    let cookies = state.map(|state| state.finish(request)).unwrap_or_default();
    let mut review = Review {
        request,
        manager,
        state,
        cookies,
    };
    if manager.remember.refresh_each_request {
        review.prolong().await;
    }
    if is_purged {
        let arrived = arrived.unwrap_or_else(|| manager.now());
        review.end_purged(arrived).await?;
    } else if let Some(arrived) = arrived
        && !state.is_some_and(|state| state.acted.get())
    {
        review.withhold_late_cookies(arrived).await;
    }
    let cookies = review.cookies;
    let depends_on_login = state.is_some() || !cookies.is_empty();
    write(
        &mut response,
        manager,
        depends_on_login.then_some(cookies),
        Seen::now(),
    );
    Ok(response)
}

/// Adds cookies to a response that depends on the login, and keeps it from others. `None` if no cookie and no
/// [`LoginState`] makes it depend on the login.
pub(crate) fn write<B>(
    response: &mut ServiceResponse<B>,
    manager: &Manager,
    cookies: Option<Vec<SetCookie>>,
    seen: Seen,
) {
    let ours = cookies.as_ref().map_or(0, Vec::len);
    if cookies.is_some() || seen.looked() {
        if let Some(cookies) = cookies {
            for cookie in cookies {
                set_cookie::append(response.headers_mut(), cookie);
            }
        }
        keep_private(response, manager, seen);
    }
    fate::count_cookies(ours, response.headers());
    if response.status() == StatusCode::UNAUTHORIZED {
        challenge(response.headers_mut());
        caching::keep_private(response.headers_mut());
    }
}

/// Keeps a response from others.
pub(crate) fn keep_private<B>(response: &mut ServiceResponse<B>, manager: &Manager, seen: Seen) {
    let now = || manager.now();
    if let Some(overruled) = manager.caching.mark(response.headers_mut(), seen, now) {
        report_overruled(response.request(), manager, &overruled);
    }
}

/// Says once for each route that its response depends on the user, and would have been shown to others.
#[cold]
fn report_overruled(request: &HttpRequest, manager: &Manager, overruled: &Overruled) {
    let pattern = request.match_pattern();
    let route = pattern.as_deref().unwrap_or(NO_ROUTE);
    if manager.routes.overruled.is_first(request.method(), route) {
        log_overruled(Some(request.method().as_str()), route, overruled);
    }
}

fn log_overruled(method: Option<&str>, route: &str, Overruled { header, instead }: &Overruled) {
    tracing::warn!(
        target: "login",
        event = "cache_overruled",
        method,
        route,
        "the response says `{header}`, and it depends on the user or sets the session cookie, so a shared cache \
         would give it to other users; it is sent with `Cache-Control: {instead}`; say `private` there, or do not \
         ask for the user",
    );
}

/// Stands for the route of a response that no route has made.
const NO_ROUTE: &str = "(none)";

/// Adds the challenge that a 401 must carry (RFC 9110 §15.5.2), if the application has set none: a login form
/// that answers 401 to a wrong password seldom does.
#[cold]
fn challenge(headers: &mut HeaderMap) {
    if !headers.contains_key(WWW_AUTHENTICATE) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
}

/// Completes the response to an error that a middleware of the application returns. The response is made later,
/// without the request.
#[cold]
pub(crate) fn complete_error(mut error: Error, manager: &Arc<Manager>, seen: Seen) -> Error {
    let is_unauthorized = error.as_response_error().status_code() == StatusCode::UNAUTHORIZED;
    if is_unauthorized || seen.looked() {
        let manager = Arc::clone(manager);
        error.add_response_mapper(move |mut response| {
            let headers = response.headers_mut();
            if seen.looked() {
                let overruled = manager.caching.mark(headers, seen, || manager.now());
                let first = || manager.routes.overruled.is_first(&Method::GET, NO_ROUTE);
                if let Some(overruled) = overruled.filter(|_| first()) {
                    log_overruled(None, NO_ROUTE, &overruled);
                }
            }
            if is_unauthorized {
                challenge(headers);
                caching::keep_private(headers);
            }
            response
        });
    }
    error
}

/// A response that is being completed.
struct Review<'a> {
    request: &'a HttpRequest,
    manager: &'a Manager,
    state: Option<&'a LoginState>,
    /// The cookies of this crate.
    cookies: Vec<SetCookie>,
}

impl<'a> Review<'a> {
    fn opened(&self, index: usize) -> Option<&'a OpenedLoginCookie> {
        self.state?.opened(index)
    }

    /// Whether the response sets or clears a cookie of this name.
    fn sets(&self, name: &str) -> bool {
        self.cookies.iter().any(|cookie| cookie.name() == name)
    }

    /// The name of the user type, and the id as JSON, of the user of this request; the id is empty if the
    /// user is unknown.
    fn owner(&self, index: usize) -> (String, String) {
        let found = self.state.and_then(|state| state.found(index)).flatten();
        let user_type = self.manager.users.get(index);
        let known = found.zip(user_type).and_then(|(found, user_type)| {
            let id = user_type.loader.id(&*found.user)?;
            Some((user_type.name.clone(), id))
        });
        known.unwrap_or_else(fate::owner)
    }

    /// Ends the logins of a request whose session the application has purged. Logins that the session
    /// itself holds have ended with it.
    async fn end_purged(&mut self, arrived: i64) -> Result<(), LoginError> {
        let (request, manager, state) = (self.request, self.manager, self.state);
        let mut is_late = false;
        for (index, user_type) in manager.users.iter().enumerate() {
            let Some(cookie) = &user_type.login_cookie else {
                continue;
            };
            let opened = self.opened(index);
            let is_gone = opened.is_some_and(OpenedLoginCookie::is_none);
            let carries = cookies::carries(request, &cookie.name);
            if is_gone && state.is_some_and(|state| state.acted.get())
                || !carries && !self.sets(&cookie.name)
            {
                // The request itself logged the user out, or there is no login.
                continue;
            }
            let found = state.and_then(|state| state.found(index)).flatten();
            let found = found.as_ref();
            let mut user_id = None;
            if found.is_none() && !is_gone {
                user_id = self.carried_id(index, user_type).await;
            }
            if let Some(records) = &manager.records {
                let sent = credential::sent_login(request, manager, user_type);
                // The request may have logged a user in, too.
                let made = state
                    .and_then(|state| state.login(request, index))
                    .filter(|made| Some(*made) != sent);
                // The session ends later, when the record that says whose it was is gone.
                let mut owner = self.owner(index);
                if let Some(sent) = sent.filter(|_| owner.1.is_empty()) {
                    let record = records.store.find(sent.key, manager.now()).await?;
                    if let Some(record) = record {
                        owner = (record.user_type, record.user_id);
                    }
                }
                fate::belongs_to(&owner.0, &owner.1);
                for login in [sent, made].into_iter().flatten() {
                    records.end(login).await?;
                }
                if let Some(login) = sent {
                    // A purge can be late, as a log out can.
                    is_late |= match opened.and_then(OpenedLoginCookie::had_given_up) {
                        Some(given_up) => given_up,
                        None => records
                            .any_was_given_up(&[login.key], arrived)
                            .await
                            .unwrap_or_default(),
                    };
                    let (user_type, user_id) = (&*owner.0, &*owner.1);
                    let owner = LoginOwner { user_type, user_id };
                    records.revoke(login.key, owner, manager.now()).await;
                }
            }
            self.cookies.retain(|other| other.name() != cookie.name);
            if carries {
                self.cookies.push(cookie.clear());
                if credential::read(request, manager, user_type, None, |_| Some(())).is_some() {
                    fate::held_elsewhere();
                }
            }
            if !is_gone {
                Seen::note_log_out();
                let event = LoginEvent::LoggedOut {
                    user: found.map(|found| EventUser::new(user_type, &*found.user)),
                    user_type: &user_type.name,
                    user_id: user_id.as_deref(),
                    login: manager.event_login(
                        user_type,
                        credential::sent_login(request, manager, user_type),
                    ),
                };
                manager.events.emit(&event, request);
            }
        }
        if is_late {
            self.cookies.clear();
        }
        Ok(())
    }

    /// The id, as JSON, of the user whose login the request carries, for the log.
    async fn carried_id(&self, index: usize, user_type: &UserType) -> Option<String> {
        let (request, manager) = (self.request, self.manager);
        let opened = self.opened(index);
        let read = |credential: LoginCredential<'_>| {
            let id = credential.entry().map(|entry| entry.id.to_owned());
            Some((id, credential.login()))
        };
        let (id, login) = credential::read(request, manager, user_type, opened, read)?;
        let Some((records, login)) = manager.records.as_ref().zip(login) else {
            return id;
        };
        let record = records.store.find(login.key, manager.now()).await;
        record.ok().flatten().map(|record| record.user_id)
    }

    /// Withholds the cookies if a login whose cookie the request carries has ended meanwhile.
    ///
    /// The session knows when it ends, and refuses writes by late requests. A login cookie does not, so
    /// the login store is asked, if there is one.
    async fn withhold_late_cookies(&mut self, arrived: i64) {
        let (request, manager) = (self.request, self.manager);
        let Some(records) = &manager.records else {
            return;
        };
        let (mut carried, mut replaced) = (Vec::new(), Vec::new());
        for (index, user_type) in manager.users.iter().enumerate() {
            let sent = credential::sent_login(request, manager, user_type);
            let Some((cookie, sent)) = user_type.login_cookie.as_ref().zip(sent) else {
                continue;
            };
            carried.push(sent.key);
            let now = self.state.and_then(|state| state.login(request, index));
            if self.sets(&cookie.name) && now.is_none_or(|now| now.key != sent.key) {
                replaced.push((index, sent.key));
            }
        }
        if !self.cookies.is_empty() {
            // If the browser has replaced or dropped a login, it keeps its newer cookies. The same
            // holds if the store fails: another response will set what this one would.
            let given_up = records.any_was_given_up(&carried, arrived).await;
            if given_up.unwrap_or(true) {
                self.cookies.clear();
            } else {
                // With this response the browser replaces them, so requests that arrive later are late.
                for (index, login) in &replaced {
                    let (user_type, user_id) = self.owner(*index);
                    let (user_type, user_id) = (&*user_type, &*user_id);
                    let owner = LoginOwner { user_type, user_id };
                    records.revoke(*login, owner, manager.now()).await;
                }
                carried.retain(|login| replaced.iter().all(|(_, other)| other != login));
            }
        }
        fate::carries_logins(carried, arrived);
    }

    /// Prolongs each remember cookie that is valid and belongs to the user whose login the request
    /// carries.
    async fn prolong(&mut self) {
        for (index, user_type) in self.manager.users.iter().enumerate() {
            let state = self.state;
            if state.is_some_and(|state| !state.remember_counts(index)) {
                continue;
            }
            let prolonged = match &self.manager.records {
                None => self.prolong_token(index, user_type),
                // The request has succeeded; a store that fails now does not undo that. The failure is in
                // the log.
                Some(records) => self
                    .prolong_family(records, index, user_type)
                    .await
                    .unwrap_or_default(),
            };
            self.cookies.extend(prolonged);
        }
    }

    fn prolong_token(&self, index: usize, user_type: &UserType) -> Option<SetCookie> {
        let (request, manager) = (self.request, self.manager);
        let found = self.state.and_then(|state| state.found(index));
        let has_asked = matches!(found, Some(Some(_)));
        let opened = self.opened(index);
        credential::read(request, manager, user_type, opened, |credential| {
            let entry = credential.entry()?;
            remember_cookie::prolonged_token(request, manager, user_type, &entry, has_asked)
        })
    }

    async fn prolong_family(
        &self,
        records: &Records,
        index: usize,
        user_type: &UserType,
    ) -> Result<Option<SetCookie>, StoreError> {
        let (request, manager) = (self.request, self.manager);
        let opened = self.opened(index);
        let login = |credential: LoginCredential<'_>| credential.login();
        let Some(login) = credential::read(request, manager, user_type, opened, login) else {
            return Ok(None);
        };
        remember_cookie::prolonged_family(request, manager, user_type, records, login).await
    }
}
