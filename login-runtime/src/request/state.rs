//! Who the user of a request is: found once, when something asks, and shared by all who ask.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
};

use actix_web::{HttpMessage, HttpRequest};
use tokio::sync::Mutex;

use crate::{
    core::LoginFacts,
    error::SetupError,
    events::{EventUser, LoginEvent},
    http::{SetCookie, cookies},
    manager::Manager,
    request::{
        credential::{self, LoginCookieContent, LoginCredential, OpenedLoginCookie},
        trace::RouteTrace,
    },
    session,
    store::LoginRef,
    users::AnyUser,
};

/// The user of a request, and what is known of the login.
#[derive(Clone)]
pub(crate) struct RequestUser {
    pub(crate) user: AnyUser,
    pub(crate) facts: LoginFacts,
    /// Whether guards let the user through.
    pub(crate) authenticated: bool,
    /// Whether the application insisted on the login of an inactive user.
    pub(crate) allow_inactive: bool,
    /// The login's record, if the manager keeps records.
    pub(crate) login: Option<LoginRef>,
}

/// What a request has found out, and what its response has to say about it.
pub(crate) struct LoginState {
    pub(crate) manager: Arc<Manager>,
    /// Most managers have one user type.
    pub(crate) first: Slot,
    pub(crate) others: Box<[Slot]>,
    /// Cookies for the response.
    pub(crate) cookies: RefCell<Vec<SetCookie>>,
    pub(crate) accessed: Cell<bool>,
    /// Whether this request counts as no use of the login.
    pub(crate) passive: Cell<bool>,
    /// Whether to end the session if nothing is in it when the response is made.
    pub(crate) end_session_if_empty: Cell<bool>,
    /// Whether the request has logged somebody in or out, and what its response says of cookies is no
    /// mere finding.
    pub(crate) acted: Cell<bool>,
}

/// What a request has found out about one user type.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) who: RefCell<Option<Option<RequestUser>>>,
    /// Held while the user is looked up, so that those who ask meanwhile wait and share the result.
    pub(crate) lookup: Mutex<()>,
    /// The remember cookie that came with the request is void, or replaced by the response.
    pub(crate) remember_settled: Cell<bool>,
    /// The login cookie, where logins are in cookies of their own.
    pub(crate) opened: OpenedLoginCookie,
}

impl LoginState {
    /// The state of a request; made if this is the first to ask.
    pub(crate) fn of(request: &HttpRequest) -> Result<Rc<Self>, SetupError> {
        Ok(Self::of_or_new(request, Manager::of(request)?))
    }

    /// The same, where the manager is at hand.
    pub(crate) fn of_or_new(request: &HttpRequest, manager: &Arc<Manager>) -> Rc<Self> {
        Self::of_manager(request, manager).unwrap_or_else(|| Self::new(request, manager))
    }

    fn new(request: &HttpRequest, manager: &Arc<Manager>) -> Rc<Self> {
        let others = manager.users.iter().skip(1).map(|_| Slot::default());
        let state = Rc::new(Self {
            manager: Arc::clone(manager),
            first: Slot::default(),
            others: others.collect(),
            cookies: RefCell::default(),
            accessed: Cell::default(),
            passive: Cell::default(),
            end_session_if_empty: Cell::default(),
            acted: Cell::default(),
        });
        let mut extensions = request.extensions_mut();
        if let Some(trace) = extensions.get::<Rc<RouteTrace>>() {
            // The layer that has the real request finds it there.
            trace.keep_state(Rc::clone(&state) as _);
        }
        extensions.insert(Rc::clone(&state));
        drop(extensions);
        state
    }

    /// The state of a request about which its own handler has asked, or a gate before it that has handed
    /// it on; see [`hand_on`](Self::hand_on).
    #[inline]
    pub(crate) fn at(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// What a gate has found out about a request, for the layer around it.
    pub(crate) fn hand_on(trace: &RouteTrace, request: &HttpRequest) {
        if let Some(state) = trace.state::<Self>() {
            request.extensions_mut().insert(state);
        }
    }

    /// The state of a request that something has asked about.
    pub(crate) fn existing(request: &HttpRequest) -> Option<Rc<Self>> {
        let extensions = request.extensions();
        let here = extensions.get::<Rc<Self>>().cloned();
        here.or_else(|| extensions.get::<Rc<RouteTrace>>()?.state())
    }

    pub(crate) fn slot(&self, index: usize) -> Option<&Slot> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => self.others.get(index),
        }
    }

    /// The state that this manager has made. That of another, around it, knows other users.
    pub(crate) fn of_manager(request: &HttpRequest, manager: &Arc<Manager>) -> Option<Rc<Self>> {
        Self::existing(request).filter(|state| Arc::ptr_eq(&state.manager, manager))
    }

    pub(crate) fn found(state: &Option<Rc<Self>>, index: usize) -> Option<Option<RequestUser>> {
        let slot = state.as_ref()?.slot(index)?;
        slot.who.borrow().clone()
    }

    /// The login cookie of a user type.
    pub(crate) fn opened(&self, index: usize) -> Option<&OpenedLoginCookie> {
        self.slot(index).map(|slot| &slot.opened)
    }

    /// Reads what the request carries of a login.
    pub(crate) fn carried<T>(
        &self,
        request: &HttpRequest,
        index: usize,
        read: impl FnOnce(LoginCredential<'_>) -> Option<T>,
    ) -> Option<T> {
        let (kind, session) = (self.manager.users.get(index)?, OnceCell::new());
        let opened = self.opened(index);
        credential::carried(request, &self.manager, kind, opened, &session).and_then(read)
    }

    /// Has the response set the login cookie. `false` if it cannot be made.
    pub(crate) fn set_login_cookie(&self, index: usize, ticket: LoginCookieContent) -> bool {
        let kind = self.manager.users.get(index);
        let settings = kind.and_then(|kind| Some((kind, kind.login_cookie.as_ref()?)));
        let cookie = settings
            .and_then(|(kind, settings)| settings.until_closed(&ticket.seal(&self.manager, kind)?));
        let (Some(cookie), Some(opened)) = (cookie, self.opened(index)) else {
            return false;
        };
        self.set_cookie(cookie);
        opened.set(Some(ticket));
        true
    }

    /// From now on the request has no login cookie. Has the response clear it, if there is one, unless
    /// the browser is to keep what it has got meanwhile.
    pub(crate) fn drop_login_cookie(&self, request: &HttpRequest, index: usize, keep: bool) {
        let kind = self.manager.users.get(index);
        if let Some(cookie) = kind.and_then(|kind| kind.login_cookie.as_ref()) {
            if !keep && cookies::carries(request, &cookie.name) {
                self.set_cookie(cookie.clear());
            } else {
                let mut cookies = self.cookies.borrow_mut();
                cookies.retain(|other| other.name() != cookie.name);
            }
        }
        if let Some(opened) = self.opened(index) {
            opened.set(None);
        }
    }

    /// Has the response set a cookie, in place of what was decided before.
    fn set_cookie(&self, cookie: SetCookie) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.retain(|other| other.name() != cookie.name());
        cookies.push(cookie);
    }

    /// From now on the response says what its request has done, and not only what it has found.
    pub(crate) fn act(&self) {
        self.acted.set(true);
    }

    /// Whether the request has logged somebody in or out.
    pub(crate) fn has_acted(&self) -> bool {
        self.acted.get()
    }

    /// Whether the response is to set cookies because of what was found.
    pub(crate) fn has_findings(&self) -> bool {
        !self.acted.get() && !self.cookies.borrow().is_empty()
    }

    /// The user who was found, for those who are told.
    pub(crate) fn event_user(&self, index: usize, tell: impl FnOnce(Option<EventUser<'_>>)) {
        let who = self.slot(index).and_then(|slot| slot.who.borrow().clone());
        let known = who.flatten();
        let user = known.as_ref().zip(self.manager.users.get(index));
        tell(user.map(|(known, kind)| EventUser::new(kind, &*known.user)));
    }

    /// Reports that a request looked at the user for the first time.
    pub(crate) fn accessed(&self, request: &HttpRequest) {
        if !self.accessed.replace(true) {
            self.manager.events.emit(&LoginEvent::Accessed, request);
        }
    }

    /// Does not count this request as use of the login.
    pub(crate) fn set_passive(&self) {
        self.passive.set(true);
    }

    /// Whether this request does not count as use of the login.
    pub(crate) fn is_passive(&self) -> bool {
        self.passive.get()
    }

    /// Whether a user was asked for, and found.
    pub(crate) fn has_found(&self, index: usize) -> bool {
        self.slot(index)
            .is_some_and(|slot| matches!(&*slot.who.borrow(), Some(Some(_))))
    }

    /// Makes `who` the user for the rest of the request.
    pub(crate) fn set_user(&self, index: usize, who: Option<RequestUser>) {
        if let Some(slot) = self.slot(index) {
            *slot.who.borrow_mut() = Some(who);
        }
    }

    /// Has the response set or clear the remember cookie, in place of what was decided before.
    pub(crate) fn set_remember_cookie(&self, index: usize, cookie: SetCookie) {
        self.set_cookie(cookie);
        self.settle_remember_cookie(index);
    }

    /// From now on the remember cookie that came with the request counts for nothing.
    pub(crate) fn settle_remember_cookie(&self, index: usize) {
        if let Some(slot) = self.slot(index) {
            slot.remember_settled.set(true);
        }
    }

    /// Whether the remember cookie that came with the request still counts.
    pub(crate) fn remember_counts(&self, index: usize) -> bool {
        self.slot(index)
            .is_some_and(|slot| !slot.remember_settled.get())
    }

    /// Ends the session with the response, unless the application puts something into it.
    pub(crate) fn end_session_if_empty(&self) {
        self.end_session_if_empty.set(true);
    }

    /// Takes what the response has to carry.
    pub(crate) fn finish(&self, request: &HttpRequest) -> Vec<SetCookie> {
        if self.end_session_if_empty.get() {
            session::end_if_empty(&session::of(request));
        }
        self.cookies.take()
    }
}
