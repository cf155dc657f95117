//! Looks up the user of most requests without a future.
//!
//! A boxed look-up costs a guarded page up to six percent. Most look-ups of logged-in users only wait
//! for the login's record and for its user, so a guard polls these two itself. The rules are those of
//! [`Lookup`]. A fast look-up writes nothing and ends nothing: where that is necessary, it leaves what it
//! has found in the request, and [`LoginState::user`] continues.

use std::{
    future::pending,
    mem,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{HttpRequest, http::header::COOKIE};

use crate::{
    core::{LoginKey, LoginRecord, RecordVerdict},
    error::LoadError,
    manager::Manager,
    measure::{Outcome, StoreCall},
    request::{
        credential::{self, LoginCredential},
        lookup::{self, EntryLoad, Lookup, has_other_source, request_loader},
        state::{FoundRecord, LoginState, RequestUser},
    },
    store::{
        LoginRef,
        ahead::{self, Found},
        deadline::{self, FIND_FOR_AUTH, StoreFuture},
    },
    users::{AnyUser, Loading},
};

/// What is known of a user without waiting.
pub(crate) enum Look {
    Known(Option<RequestUser>),
    /// The request has nothing to look up, and nothing has asked before.
    Nobody,
    /// The record or the user is being loaded.
    Fast(FastLookup),
    /// [`LoginState::user`] has to be awaited.
    Slow,
}

/// A look-up that began with the credential of a request.
pub(crate) struct FastLookup {
    turn: Turn,
    step: Step,
}

/// What a fast look-up waits for.
enum Step {
    /// Nothing: the record was found together with the session.
    Found { found: Found, now: i64 },
    Record {
        finding: StoreFuture<'static, Option<LoginRecord>>,
        /// Whether the wait is limited.
        is_timed: bool,
        measured: StoreCall,
        key: LoginKey,
        now: i64,
    },
    /// The user of a login that describes itself.
    EntryUser(EntryLoad),
    /// The user of a record, which is in the slot.
    RecordUser(Loading),
}

/// The right to look up a user. Others wait until it is dropped.
struct Turn {
    state: Rc<LoginState>,
    index: usize,
}

impl Turn {
    fn take(state: Rc<LoginState>, index: usize) -> Option<Self> {
        if !state.slot(index)?.lookup.try_lock() {
            return None;
        }
        // Not created before the lock is taken: its drop unlocks.
        Some(Self { state, index })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(slot) = self.state.slot(self.index) {
            slot.lookup.unlock();
        }
    }
}

impl LoginState {
    /// The user, if that is known without waiting, or the start of a fast look-up. Allocates nothing for
    /// a request that has nothing to look up.
    pub(crate) fn look(request: &HttpRequest, manager: &Arc<Manager>, index: usize) -> Look {
        let existing = Self::of_manager(request, manager);
        if let Some(user) = existing.as_ref().and_then(|state| state.found(index)) {
            return Look::Known(user);
        }
        let Some(user_type) = manager.users.get(index) else {
            return Look::Slow;
        };
        // Most anonymous clients have no cookie.
        if existing.is_none()
            && user_type.login_cookie.is_some()
            && !request.headers().contains_key(COOKIE)
            && request_loader(manager, index).is_none()
        {
            return Look::Nobody;
        }
        let opened = existing.as_ref().and_then(|state| state.opened(index));
        let started = credential::read(request, manager, user_type, opened, |credential| {
            let state = existing.clone();
            Some(FastLookup::start(
                state,
                request,
                manager,
                index,
                &credential,
            ))
        });
        match started {
            Some(Some(lookup)) => {
                // Not before the session is released: a subscriber may write into it.
                lookup.turn.state.accessed(request);
                Look::Fast(lookup)
            }
            Some(None) => Look::Slow,
            None if has_other_source(request, manager, user_type, index) => Look::Slow,
            None if existing.is_none() => Look::Nobody,
            None => Look::Known(None),
        }
    }
}

impl FastLookup {
    fn start(
        state: Option<Rc<LoginState>>,
        request: &HttpRequest,
        manager: &Arc<Manager>,
        index: usize,
        credential: &LoginCredential<'_>,
    ) -> Option<Self> {
        if credential.is_old() {
            return None;
        }
        let state = state.unwrap_or_else(|| LoginState::create(request, manager));
        let turn = Turn::take(state, index)?;
        let step = match &manager.records {
            Some(records) => {
                let (key, now) = (credential.login()?.key, manager.now());
                match ahead::take(key) {
                    Some(found) => Step::Found { found, now },
                    None => Step::Record {
                        measured: StoreCall::start(&FIND_FOR_AUTH),
                        finding: records.store.find_for_auth_owned(key, now),
                        is_timed: false,
                        key,
                        now,
                    },
                }
            }
            None => {
                let lookup = turn.state.lookup(request, index)?;
                Step::EntryUser(lookup.judge_entry(credential).ok()?)
            }
        };
        Some(Self { turn, step })
    }

    pub(crate) fn manager(&self) -> &Arc<Manager> {
        &self.turn.state.manager
    }

    pub(crate) fn index(&self) -> usize {
        self.turn.index
    }

    /// Waits for the record and the user. `None` if [`LoginState::user`] has to continue.
    pub(crate) fn poll(
        &mut self,
        request: &HttpRequest,
        cx: &mut Context<'_>,
    ) -> Poll<Option<lookup::Found>> {
        let Turn { state, index } = &self.turn;
        let Some(lookup) = state.lookup(request, *index) else {
            return Poll::Ready(None);
        };
        loop {
            let next = match &mut self.step {
                Step::Found { found, now } => {
                    lookup.load_user_of(found.record.take(), found.key, *now)
                }
                Step::Record {
                    finding,
                    is_timed,
                    measured,
                    key,
                    now,
                } => match measured.within(|| finding.as_mut().poll(cx)) {
                    Poll::Ready(Ok(found)) => {
                        measured.end(|| Outcome::Answered);
                        lookup.load_user_of(found, *key, *now)
                    }
                    Poll::Ready(Err(error)) => {
                        measured.end(|| deadline::failure(&error));
                        let error = deadline::report(error, FIND_FOR_AUTH.name);
                        return Poll::Ready(Some(lookup.settle(Err(error.into()))));
                    }
                    Poll::Pending if *is_timed => return Poll::Pending,
                    // A store that answers at once, such as the one in memory, needs no timer.
                    Poll::Pending => {
                        let Some(records) = &state.manager.records else {
                            return Poll::Ready(None);
                        };
                        let untimed = mem::replace(finding, Box::pin(pending()));
                        *finding = records.store.in_time(untimed);
                        *is_timed = true;
                        continue;
                    }
                },
                Step::EntryUser(load) => {
                    let user = ready!(lookup.slot.poll_loader(&mut load.loading, cx));
                    return Poll::Ready(
                        lookup.unless_found(user, |user| lookup.by_entry(user, load)),
                    );
                }
                Step::RecordUser(loading) => {
                    let user = ready!(lookup.slot.poll_loader(loading, cx));
                    let of_record = |user| lookup.by_quiet_record(user);
                    return Poll::Ready(lookup.unless_found(user, of_record));
                }
            };
            match next {
                Some(step) => self.step = step,
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Lookup<'_> {
    /// Loads the user of a record, if that is all there is to do. The record stays in the slot, where
    /// [`LoginState::user`] finds it.
    fn load_user_of(&self, found: Option<LoginRecord>, key: LoginKey, now: i64) -> Option<Step> {
        let records = self.manager().records.as_ref()?;
        let quiet = RecordVerdict::Load {
            stale: false,
            touch: false,
            token_arrived: false,
        };
        let is_quiet = self.judge_record(found.as_ref(), records, now) == quiet;
        let record = found.as_ref().filter(|_| is_quiet);
        let loading = record.and_then(|record| self.user_type.loader.load(&record.user_id));
        self.slot.found_record.replace(Some(FoundRecord {
            key,
            record: found,
            user: None,
        }));
        loading.map(Step::RecordUser)
    }

    /// The user of the record in the slot, if there is nothing to end.
    fn by_quiet_record(&self, user: Option<AnyUser>) -> Option<RequestUser> {
        let mut slot = self.slot.found_record.borrow_mut();
        let found = slot.as_mut()?;
        let record = found.record.as_ref()?;
        match user {
            Some(user) if self.same_hash(&user, record.hash.as_deref()).is_some() => {
                let (key, family) = (found.key, record.family);
                let login = LoginRef { key, family };
                let known = self.by_record_facts(user, record, record.fresh, login);
                if known.authenticated {
                    return Some(known);
                }
                // The logins of a user who is inactive end.
                found.user = Some(Some(known.user));
                None
            }
            user => {
                found.user = Some(user);
                None
            }
        }
    }

    /// The user that was loaded, unless a log in or log out that happened meanwhile takes precedence.
    fn unless_found(
        &self,
        loaded: Result<Option<AnyUser>, LoadError>,
        user: impl FnOnce(Option<AnyUser>) -> Option<RequestUser>,
    ) -> Option<lookup::Found> {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return Some(self.settle(Err(error))),
        };
        match self.slot.found() {
            Some(found) => Some(Ok(found)),
            None => user(loaded).map(|user| self.settle(Ok(Some(user)))),
        }
    }
}
