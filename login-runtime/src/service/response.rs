//! TODO service/response.rs

use std::{cell::OnceCell, time::Duration};

use actix_web::{Error, HttpRequest, dev::ServiceResponse, http::header::SET_COOKIE};

use crate::{
    core::{Token, TokenFamily},
    error::{LoginError, StoreError},
    events::{EventUser, LoginEvent},
    http::{
        SetCookie, cookies,
        set_cookie::{self},
    },
    keys::{self, Match},
    manager::Manager,
    refusal,
    request::{
        LoginState, OpenedLoginCookie,
        credential::{self},
        remember_cookie,
    },
    session::{self, EntryAndId, fate},
    store::{LoginRef, Records},
    users::UserType,
};

/// Whether a response says anything that depends on what became of the login meanwhile whose cookie the
/// request carries, and is not what the request itself has made of it; or the session was purged, and
/// logins end with it.
pub(crate) fn is_to_be_reconsidered(
    request: &HttpRequest,
    state: Option<&LoginState>,
    carries: bool,
) -> bool {
    match state {
        Some(state) if state.has_acted() => session::is_purged(&session::of(request)),
        _ if !carries => false,
        Some(state) if state.has_findings() => true,
        _ => session::is_written(&session::of(request)),
    }
}

/// Ends the logins of a request whose session the application has purged, for whoever does that means to
/// end them too.
///
/// # Errors
///
/// What the store says if a record did not end: nobody is logged out then.
async fn end_purged(
    request: &HttpRequest,
    manager: &Manager,
    state: Option<&LoginState>,
    cookies: &mut Vec<SetCookie>,
    arrived: i64,
) -> Result<(), LoginError> {
    let mut is_late = false;
    for (index, kind) in manager.users.iter().enumerate() {
        let Some(cookie) = &kind.login_cookie else {
            continue;
        };
        let opened = state.and_then(|state| state.opened(index));
        let is_gone = opened.is_some_and(OpenedLoginCookie::is_none);
        if is_gone && state.is_some_and(LoginState::has_acted) {
            // Logged out by the request itself.
            continue;
        }
        let carries = cookies::carries(request, &cookie.name);
        let is_set = |cookies: &[SetCookie]| cookies.iter().any(|set| set.name() == cookie.name);
        if !carries && !is_set(cookies) {
            continue;
        }
        if let Some(records) = &manager.records {
            let came = came_with(request, manager, kind);
            // If the request has logged somebody in, too.
            let made = state
                .and_then(|state| state.carried(request, index, |carried| carried.login()))
                .filter(|made| Some(*made) != came);
            for login in [came, made].into_iter().flatten() {
                records.end(login).await?;
            }
            if let Some(login) = came {
                // A purge can be late, as a log out can.
                is_late |= match opened.and_then(OpenedLoginCookie::had_given_up) {
                    Some(given_up) => given_up,
                    None => records
                        .any_was_given_up(&[login.key], arrived)
                        .await
                        .unwrap_or_default(),
                };
                records.revoke(login.key, manager.now()).await;
            }
        }
        cookies.retain(|other| other.name() != cookie.name);
        if carries {
            cookies.push(cookie.clear());
            fate::held_elsewhere();
        }
        let tell = |user: Option<EventUser<'_>>| {
            manager
                .events
                .emit(&LoginEvent::LoggedOut { user }, request);
        };
        match state {
            _ if is_gone => {}
            Some(state) => state.event_user(index, tell),
            None => tell(None),
        }
    }
    if is_late {
        cookies.clear();
    }
    Ok(())
}

/// The login whose cookie a request carries, as it came, whatever was decided since.
fn came_with(request: &HttpRequest, manager: &Manager, kind: &UserType) -> Option<LoginRef> {
    let session = OnceCell::new();
    credential::carried(request, manager, kind, None, &session)?.login()
}

/// What became, while the request was under way, of the logins whose cookies it carries.
///
/// The session knows when it ends, and keeps a late request from writing into it. A login cookie does
/// not know, so the login store is asked, where there is one.
async fn reconsider(
    request: &HttpRequest,
    manager: &Manager,
    state: Option<&LoginState>,
    cookies: &mut Vec<SetCookie>,
    arrived: i64,
) {
    let Some(records) = &manager.records else {
        return;
    };
    let (mut carried, mut replaced) = (Vec::new(), Vec::new());
    for (index, kind) in manager.users.iter().enumerate() {
        let Some((cookie, login)) = kind
            .login_cookie
            .as_ref()
            .zip(came_with(request, manager, kind))
        else {
            continue;
        };
        carried.push(login.key);
        let now = state.and_then(|state| state.carried(request, index, |carried| carried.login()));
        if cookies.iter().any(|set| set.name() == cookie.name)
            && now.is_none_or(|now| now.key != login.key)
        {
            replaced.push(login.key);
        }
    }
    if !cookies.is_empty() {
        // A browser that has another login by now, or none, keeps what it was given for that. If nobody
        // knows, too: what this response would set, another one will.
        let given_up = records.any_was_given_up(&carried, arrived).await;
        if given_up.unwrap_or(true) {
            cookies.clear();
        } else {
            // This is the answer with which the browser gives them up. Whoever comes later is late.
            for login in &replaced {
                records.revoke(*login, manager.now()).await;
            }
            carried.retain(|login| !replaced.contains(login));
        }
    }
    fate::carries_logins(carried, arrived);
}

pub(crate) fn count_cookies<B>(response: &ServiceResponse<B>, ours: usize) {
    fate::count_cookies(ours, || response.headers().get_all(SET_COOKIE).count());
}

/// Writes into a response that depends on the login: the cookies, and that it is private.
pub(crate) fn write<B>(response: &mut ServiceResponse<B>, cookies: Vec<SetCookie>) {
    for cookie in cookies {
        set_cookie::append(response.headers_mut(), cookie);
    }
    refusal::keep_private(response.headers_mut());
}

/// Adds to a response what logins have to say, and prolongs remember cookies if that is wanted.
pub(crate) async fn finish<B>(
    mut response: ServiceResponse<B>,
    manager: &Manager,
    arrived: Option<i64>,
) -> Result<ServiceResponse<B>, Error> {
    let state = LoginState::existing(response.request());
    // By the application: a session in which nothing is left is ended further down.
    let is_purged =
        manager.has_login_cookies() && session::is_purged(&session::of(response.request()));
    let mut cookies = state
        .as_ref()
        .map(|state| state.finish(response.request()))
        .unwrap_or_default();
    let request = response.request();
    if manager.remember.refresh_each_request {
        prolong(request, manager, state.as_deref(), &mut cookies).await;
    }
    if is_purged {
        let arrived = arrived.unwrap_or_else(|| manager.now());
        end_purged(request, manager, state.as_deref(), &mut cookies, arrived).await?;
    } else if let Some(arrived) = arrived
        && !state.as_deref().is_some_and(LoginState::has_acted)
    {
        reconsider(request, manager, state.as_deref(), &mut cookies, arrived).await;
    }
    let ours = cookies.len();
    if state.is_some() || ours > 0 {
        write(&mut response, cookies);
    }
    count_cookies(&response, ours);
    Ok(response)
}

/// Prolongs the remember cookies of clients whose session has a login, and whose token is good and
/// for the same user.
async fn prolong(
    request: &HttpRequest,
    manager: &Manager,
    state: Option<&LoginState>,
    cookies: &mut Vec<SetCookie>,
) {
    for (index, kind) in manager.users.iter().enumerate() {
        if state.is_some_and(|state| !state.remember_counts(index)) {
            continue;
        }
        let (opened, session) = (state.and_then(|state| state.opened(index)), OnceCell::new());
        let carried = || credential::carried(request, manager, kind, opened, &session);
        match &manager.records {
            None => {
                let asked = state.is_some_and(|state| state.has_found(index));
                let prolonged = carried()
                    .and_then(|carried| prolonged(request, manager, kind, carried.entry()?, asked));
                cookies.extend(prolonged);
            }
            // What the response says has happened; a store that is down now does not undo it.
            Some(records) => match prolonged_family(
                request,
                manager,
                kind,
                records,
                carried().and_then(|carried| carried.login()),
            )
            .await
            {
                Ok(cookie) => cookies.extend(cookie),
                Err(error) => {
                    tracing::warn!(target: "login", event = "prolong_failed", reason = ?error);
                }
            },
        }
    }
}

async fn prolonged_family(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
    records: &Records,
    login: Option<LoginRef>,
) -> Result<Option<SetCookie>, StoreError> {
    let Some(token) = remember_cookie::carried_family(request, manager, kind) else {
        return Ok(None);
    };
    // Only the browser of the login that the family belongs to prolongs it.
    let now = manager.now();
    let record = match login {
        Some(login) => records.find(login.key, now).await?,
        None => None,
    };
    if record.is_none_or(|record| record.family != Some(token.family)) {
        return Ok(None);
    }
    let proves = |family: &TokenFamily| {
        manager
            .keys
            .proves(&kind.name, &token, &family.seed)
            .is_some()
    };
    let family = records
        .prolong(token.family, token.generation, now, proves)
        .await?;
    Ok(family.and_then(|family| {
        let TokenFamily {
            seed,
            generation,
            lifetime,
            ..
        } = &family;
        let value = manager
            .keys
            .family_token(&kind.name, token.family, seed, *generation)?;
        let age = Duration::from_secs(lifetime.max(&0).unsigned_abs());
        kind.remember.set(&value, age)
    }))
}

/// `asked` says whether the request asked for the user.
fn prolonged(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
    (entry, id): EntryAndId<'_>,
    asked: bool,
) -> Option<SetCookie> {
    let now = manager.now();
    let nonce = keys::nonce().ok()?;
    remember_cookie::read_token(request, manager, kind, |token, found| {
        let hash = match found {
            Match::Current => token.hash,
            // The token's fingerprint is under an older key too. Asking for the user has made a new
            // one; a request that did not ask leaves the token to one that will.
            Match::Older if asked => entry.hash,
            Match::Older => return None,
        };
        // A token that was issued for a time of its own keeps that time.
        let age = token.expires_at.saturating_sub(token.issued_at);
        let token = Token {
            expires_at: now.saturating_add(age),
            issued_at: now,
            nonce: &nonce,
            hash,
            ..*token
        };
        let value = manager
            .keys
            .sign(&kind.name, &token)
            .filter(|_| token.id == id)?;
        kind.remember
            .set(&value, Duration::from_secs(age.unsigned_abs()))
    })?
}
