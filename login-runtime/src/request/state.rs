//! What one request knows about its users, and the cookies that its response will set.
//!
//! A user is looked up once, when something asks, and all who ask share the result. A log in or log out
//! replaces it for the rest of the request.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{HttpMessage, HttpRequest};

use crate::{
    core::{EndReason, LoginFacts, LoginKey, LoginRecord},
    error::{LoadError, SetupError},
    events::LoginEvent,
    http::{Seen, SetCookie, cookies},
    manager::Manager,
    request::{
        credential::{self, LoginCookieContent, LoginCredential, OpenedLoginCookie},
        local_mutex::LocalMutex,
        trace::RouteTrace,
    },
    session::{self, Session},
    store::LoginRef,
    users::{AnyUser, Loading, UserType},
};

/// The user of a request, and the login of that user.
#[derive(Clone)]
pub(crate) struct RequestUser {
    pub(crate) user: AnyUser,
    pub(crate) facts: LoginFacts,
    /// Whether guards let the user through.
    pub(crate) authenticated: bool,
    /// Whether the application allowed the login although the user is inactive.
    pub(crate) allow_inactive: bool,
    /// The login's record, if the manager keeps records.
    pub(crate) login: Option<LoginRef>,
}

impl RequestUser {
    pub(crate) fn new(
        user_type: &UserType,
        user: AnyUser,
        facts: LoginFacts,
        allow_inactive: bool,
        login: Option<LoginRef>,
    ) -> Self {
        Self {
            authenticated: allow_inactive || user_type.loader.is_authenticated(&*user),
            user,
            facts,
            allow_inactive,
            login,
        }
    }
}

/// What a request has found, and what its response will set.
pub(crate) struct LoginState {
    pub(crate) manager: Arc<Manager>,
    /// Most managers have one user type.
    first: Slot,
    others: Box<[Slot]>,
    /// Cookies for the response.
    pub(crate) cookies: RefCell<Vec<SetCookie>>,
    accessed: Cell<bool>,
    /// Whether this request does not count as use of the login.
    pub(crate) passive: Cell<bool>,
    /// Whether to end the session if it is empty when the response is made.
    pub(crate) end_session_if_empty: Cell<bool>,
    /// Whether the request has taken the address that it was sent with.
    pub(crate) next_taken: Cell<bool>,
    /// Whether the request has logged a user in or out. Its cookies are sent even if it is late.
    pub(crate) acted: Cell<bool>,
}

/// What a request has found about one user type.
#[derive(Default)]
pub(crate) struct Slot {
    /// `Some(None)` if the client is anonymous, `None` if nothing has asked.
    pub(crate) user: RefCell<Option<Option<RequestUser>>>,
    /// Held while the user is looked up, so that others who ask wait and share the result.
    pub(crate) lookup: LocalMutex,
    /// Whether a loader for this user is being polled, so that whatever asks now is the loader itself.
    in_loader: Cell<bool>,
    /// The record that a fast look-up found, for itself and for [`LoginState::user`].
    pub(crate) found_record: RefCell<Option<FoundRecord>>,
    /// Whether the remember cookie of the request is void, or replaced by the response.
    pub(crate) remember_settled: Cell<bool>,
    /// The id, as JSON, of the user whose login the look-up has ended.
    pub(crate) ended_user: RefCell<Option<String>>,
    /// Why the look-up has ended the login of the request.
    pub(crate) ended: Cell<Option<EndReason>>,
    /// The login cookie, if logins have their own cookies.
    pub(crate) opened: OpenedLoginCookie,
}

/// What a fast look-up found.
pub(crate) struct FoundRecord {
    /// The key of the login. The request may have another login by now.
    pub(crate) key: LoginKey,
    pub(crate) record: Option<LoginRecord>,
    /// The result of the loader, if it was asked.
    pub(crate) user: Option<Option<AnyUser>>,
}

impl Slot {
    /// The result of the look-up, if there was one.
    pub(crate) fn found(&self) -> Option<Option<RequestUser>> {
        self.user.borrow().clone()
    }

    /// Whether the code that asks is part of the loader that is being waited for.
    pub(crate) fn is_in_loader(&self) -> bool {
        self.in_loader.get()
    }

    /// Runs code of a loader.
    pub(crate) fn in_loader<T>(&self, run: impl FnOnce() -> T) -> T {
        /// Also resets the mark if the loader panics.
        struct Inside<'a>(&'a Cell<bool>);
        impl Drop for Inside<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        self.in_loader.set(true);
        let _inside = Inside(&self.in_loader);
        run()
    }

    /// Polls a loader.
    pub(crate) fn poll_loader(
        &self,
        loading: &mut Loading,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<AnyUser>, LoadError>> {
        self.in_loader(|| loading.as_mut().poll(cx))
    }

    /// Waits for a loader.
    pub(crate) async fn load(&self, loading: &mut Loading) -> Result<Option<AnyUser>, LoadError> {
        poll_fn(|cx| self.poll_loader(loading, cx)).await
    }
}

impl LoginState {
    /// The state of a request, created if there is none.
    pub(crate) fn of(request: &HttpRequest) -> Result<Rc<Self>, SetupError> {
        Ok(Self::of_or_new(request, Manager::of(request)?))
    }

    /// The same for a caller that has the manager.
    pub(crate) fn of_or_new(request: &HttpRequest, manager: &Arc<Manager>) -> Rc<Self> {
        Self::of_manager(request, manager).unwrap_or_else(|| Self::create(request, manager))
    }

    fn new(manager: &Arc<Manager>) -> Rc<Self> {
        let others = manager.users.iter().skip(1).map(|_| Slot::default());
        Rc::new(Self {
            manager: Arc::clone(manager),
            first: Slot::default(),
            others: others.collect(),
            cookies: RefCell::default(),
            accessed: Cell::default(),
            passive: Cell::default(),
            end_session_if_empty: Cell::default(),
            next_taken: Cell::default(),
            acted: Cell::default(),
        })
    }

    /// Lets all who ask find no user, whatever cookies the request carries.
    pub(crate) fn hide_login(trace: &RouteTrace, manager: &Arc<Manager>) {
        let state = Self::new(manager);
        for index in 0..manager.users.len() {
            state.set_user(index, None);
        }
        trace.keep_state(state as _);
    }

    /// The state of a request that has none of this manager yet.
    pub(crate) fn create(request: &HttpRequest, manager: &Arc<Manager>) -> Rc<Self> {
        Seen::note_look();
        let state = Self::new(manager);
        let mut extensions = request.extensions_mut();
        if let Some(trace) = extensions.get::<Rc<RouteTrace>>() {
            // For the layer that keeps the original request.
            trace.keep_state(Rc::clone(&state) as _);
        }
        extensions.insert(Rc::clone(&state));
        drop(extensions);
        state
    }

    /// The state that is stored in the request itself; see [`hand_on`](Self::hand_on).
    #[inline]
    pub(crate) fn local(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Stores the state that a gate has created, so that the layer around it finds it.
    pub(crate) fn hand_on(trace: &RouteTrace, request: &HttpRequest) {
        if let Some(state) = trace.state::<Self>() {
            request.extensions_mut().insert(state);
        }
    }

    /// The state of a request, if something has asked for a user.
    pub(crate) fn existing(request: &HttpRequest) -> Option<Rc<Self>> {
        let extensions = request.extensions();
        let local = extensions.get::<Rc<Self>>().cloned();
        local.or_else(|| extensions.get::<Rc<RouteTrace>>()?.state())
    }

    /// The state that this manager has created. The state of a manager around it has other users.
    pub(crate) fn of_manager(request: &HttpRequest, manager: &Arc<Manager>) -> Option<Rc<Self>> {
        Self::existing(request).filter(|state| Arc::ptr_eq(&state.manager, manager))
    }

    pub(crate) fn slot(&self, index: usize) -> Option<&Slot> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => self.others.get(index),
        }
    }

    /// The result of the look-up of a user, if there was one.
    pub(crate) fn found(&self, index: usize) -> Option<Option<RequestUser>> {
        self.slot(index)?.found()
    }

    /// Why the look-up of a user has ended the login of a request.
    pub(crate) fn ended(
        request: &HttpRequest,
        manager: &Arc<Manager>,
        index: usize,
    ) -> Option<EndReason> {
        Self::of_manager(request, manager)?.slot(index)?.ended.get()
    }

    /// The login cookie of a user type.
    pub(crate) fn opened(&self, index: usize) -> Option<&OpenedLoginCookie> {
        self.slot(index).map(|slot| &slot.opened)
    }

    /// Reads the credential of the request, or the one that its response will set.
    pub(crate) fn credential<T>(
        &self,
        request: &HttpRequest,
        index: usize,
        read: impl FnOnce(LoginCredential<'_>) -> Option<T>,
    ) -> Option<T> {
        let user_type = self.manager.users.get(index)?;
        credential::read(request, &self.manager, user_type, self.opened(index), read)
    }

    /// The login with a record that the credential names.
    pub(crate) fn login(&self, request: &HttpRequest, index: usize) -> Option<LoginRef> {
        self.credential(request, index, |credential| credential.login())
    }

    /// Makes the response set the login cookie. `false` if the cookie cannot be made.
    pub(crate) fn set_login_cookie(&self, index: usize, content: LoginCookieContent) -> bool {
        let user_type = self.manager.users.get(index);
        let cookie = user_type.and_then(|user_type| content.cookie(&self.manager, user_type));
        let (Some(cookie), Some(opened)) = (cookie, self.opened(index)) else {
            return false;
        };
        self.set_cookie(cookie);
        opened.set(Some(content));
        true
    }

    /// Drops the login cookie for the rest of the request. Makes the response clear it, if the request
    /// has one, unless `keep` says that the browser has got another one meanwhile.
    pub(crate) fn drop_login_cookie(&self, request: &HttpRequest, index: usize, keep: bool) {
        let user_type = self.manager.users.get(index);
        if let Some(cookie) = user_type.and_then(|user_type| user_type.login_cookie.as_ref()) {
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

    /// Makes the response set a cookie, in place of an earlier decision.
    pub(crate) fn set_cookie(&self, cookie: SetCookie) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.retain(|other| other.name() != cookie.name());
        cookies.push(cookie);
    }

    /// Takes the address that the client asked for when it was refused, if a cookie keeps it.
    pub(crate) fn take_kept_next(&self, request: &HttpRequest) -> Option<String> {
        let kept = self.manager.refusal.kept_next.as_ref()?;
        if self.next_taken.replace(true) || !kept.is_carried(request) {
            return None;
        }
        self.set_cookie(kept.clear());
        kept.read(request)
    }

    /// Reports the first access to a user.
    pub(crate) fn accessed(&self, request: &HttpRequest) {
        if !self.accessed.replace(true) {
            self.manager.events.emit(&LoginEvent::Accessed, request);
        }
    }

    /// Replaces the user for the rest of the request.
    pub(crate) fn set_user(&self, index: usize, user: Option<RequestUser>) {
        if let Some(slot) = self.slot(index) {
            *slot.user.borrow_mut() = Some(user);
        }
    }

    /// Makes the response set the remember cookie, in place of an earlier decision.
    pub(crate) fn set_remember_cookie(&self, index: usize, cookie: SetCookie) {
        self.set_cookie(cookie);
        self.settle_remember_cookie(index);
    }

    /// Makes the response clear the remember cookie, in place of an earlier decision.
    pub(crate) fn clear_remember_cookie(&self, index: usize) {
        if let Some(user_type) = self.manager.users.get(index) {
            self.set_remember_cookie(index, user_type.remember.clear());
        }
    }

    /// Takes back that the response clears the remember cookie: the request has another one to try.
    pub(crate) fn keep_remember_cookie(&self, index: usize) {
        if let Some((user_type, slot)) = self.manager.users.get(index).zip(self.slot(index)) {
            self.keep_cookie(&user_type.remember.name);
            slot.remember_settled.set(false);
        }
    }

    /// The same for the login cookie.
    pub(crate) fn keep_login_cookie(&self, index: usize) {
        let user_type = self.manager.users.get(index);
        if let Some(cookie) = user_type.and_then(|user_type| user_type.login_cookie.as_ref()) {
            self.keep_cookie(&cookie.name);
        }
    }

    fn keep_cookie(&self, name: &str) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.retain(|cookie| cookie.name() != name);
    }

    /// Ignores the remember cookie of the request from now on.
    pub(crate) fn settle_remember_cookie(&self, index: usize) {
        if let Some(slot) = self.slot(index) {
            slot.remember_settled.set(true);
        }
    }

    /// Whether the remember cookie of the request still counts.
    pub(crate) fn remember_counts(&self, index: usize) -> bool {
        self.slot(index)
            .is_some_and(|slot| !slot.remember_settled.get())
    }

    /// Whether the session contains data of another user than the one who gets it now.
    pub(crate) fn is_session_of_another(&self, session: &Session, index: usize, id: &str) -> bool {
        self.manager.users.get(index).is_some_and(|user_type| {
            let others = self.manager.other_keys(index);
            session::is_left_by_another(session, &user_type.session_key, id, others)
                || user_type.login_cookie.is_some() && session::keeps_login(session)
        })
    }

    /// Takes the cookies that the response has to set.
    pub(crate) fn finish(&self, request: &HttpRequest) -> Vec<SetCookie> {
        if self.end_session_if_empty.get() {
            session::end_if_empty(&session::of(request));
        }
        self.cookies.take()
    }
}
