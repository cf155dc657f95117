//! Looks up the user of a request.
//!
//! These sources are asked in turn, until one of them has a user:
//!
//! 1. The login that the session or the login cookie names. With a login store, only the login's record
//!    counts, whatever a late request wrote into the session: without a record the request is anonymous.
//! 2. The remember cookie; see [`restore`](super::restore).
//! 3. The application's request loader.
//!
//! A login ends if its time or its record is over, if its user is gone or has a new session hash, or if
//! protection ends it because another client uses it. A failure is not kept, so the next to ask tries
//! again. It makes no difference if the one who asks stops waiting.

use std::{any::Any, sync::Arc};

use actix_web::{HttpRequest, http::header::COOKIE};

#[cfg(feature = "tracing-actix-web")]
use crate::request::root_span;
use crate::{
    core::{
        EndReason, EntryVerdict, LoginFacts, LoginOwner, LoginRecord, LoginSource, RecordCheck,
        RecordVerdict, resolve,
    },
    error::{LoadError, SetupError},
    events::{EventUser, LoginEvent},
    hooks::Hook,
    keys::Match,
    manager::Manager,
    request::{
        client,
        credential::{self, LoginCookieContent, LoginCredential},
        remember_cookie,
        state::{LoginState, RequestUser, Slot},
    },
    session::{self, Entry, EntryFacts, fate},
    store::{LoginRef, LoginStore as _, Records, ahead},
    users::{AnyUser, Loading, RequestLoader, UserType},
};

/// The result of a look-up; `None` if the client is anonymous.
pub(crate) type Found = Result<Option<RequestUser>, LoadError>;

impl LoginState {
    /// The user, if that is known without waiting: the result of an earlier look-up, or `None` if the
    /// request has nothing to look up. Allocates nothing.
    pub(crate) fn peek(
        request: &HttpRequest,
        manager: &Arc<Manager>,
        index: usize,
    ) -> Option<Option<RequestUser>> {
        let state = Self::of_manager(request, manager);
        if let Some(user) = state.and_then(|state| state.found(index)) {
            return Some(user);
        }
        let user_type = manager.users.get(index)?;
        let has_source = credential::is_carried(request, user_type)
            || has_other_source(request, manager, user_type, index);
        (!has_source).then_some(None)
    }

    /// The user of the manager's user type at `index`. Those who ask at the same time share one look-up.
    pub(crate) async fn user(&self, request: &HttpRequest, index: usize) -> Found {
        let Some(lookup) = self.lookup(request, index) else {
            return Ok(None);
        };
        if let Some(user) = lookup.slot.found() {
            return Ok(user);
        }
        if lookup.slot.is_in_loader() {
            return Err(lookup.asks_itself());
        }
        if Hook::is_blocking() && lookup.slot.lookup.is_locked() {
            return Err(LoadError::asked_within());
        }
        let _guard = lookup.slot.lookup.lock().await;
        if let Some(user) = lookup.slot.found() {
            return Ok(user);
        }
        self.accessed(request);
        lookup.settle(lookup.ask_sources().await)
    }

    pub(crate) fn lookup<'a>(
        &'a self,
        request: &'a HttpRequest,
        index: usize,
    ) -> Option<Lookup<'a>> {
        Some(Lookup {
            state: self,
            request,
            slot: self.slot(index)?,
            user_type: self.manager.users.get(index)?,
            index,
        })
    }
}

/// Whether a request has a source of a user besides its credential.
pub(crate) fn has_other_source(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    index: usize,
) -> bool {
    // Most anonymous clients have no cookie, and it takes longer to look through none.
    let has_cookies = request.headers().contains_key(COOKIE);
    has_cookies && remember_cookie::is_carried(request, user_type)
        || request_loader(manager, index).is_some()
}

/// The request loader, if it loads users of this type.
pub(crate) fn request_loader(manager: &Manager, index: usize) -> Option<&RequestLoader> {
    let (loads, loader) = manager.request_loader.as_ref()?;
    (*loads == index).then_some(loader)
}

/// One look-up of the user of a request.
pub(crate) struct Lookup<'a> {
    pub(crate) state: &'a LoginState,
    pub(crate) request: &'a HttpRequest,
    pub(crate) slot: &'a Slot,
    pub(crate) user_type: &'a UserType,
    pub(crate) index: usize,
}

/// A user who is being loaded, and the login that names the user.
pub(crate) struct EntryLoad {
    pub(crate) loading: Loading,
    facts: EntryFacts,
    hash: Option<String>,
    stale: bool,
    /// Whether an older key bound the login to its client or sealed its cookie.
    rewrite: bool,
}

/// Why the user of an entry is not loaded.
pub(crate) enum EntryRefused {
    Ended(EndReason),
    /// Protection ends the login.
    OtherClient,
}

impl Lookup<'_> {
    /// The error for a loader that waits for its own result.
    fn asks_itself(&self) -> LoadError {
        let user_type = self.user_type.loader.type_name();
        LoadError::new(SetupError::LoaderAsksItself { user_type }.logged())
    }

    async fn ask_sources(&self) -> Found {
        if let Some(user) = self.by_credential().await? {
            return Ok(Some(user));
        }
        if self.is_overtaken() {
            return Ok(None);
        }
        // Boxed, so that the future of other requests needs no space for it.
        if let Some(user) = Box::pin(self.by_remember_cookie()).await? {
            return Ok(Some(user));
        }
        self.by_request_loader().await
    }

    /// Loads the user of the login that the session or the first good login cookie names.
    async fn by_credential(&self) -> Found {
        loop {
            let found = self.by_one_credential().await?;
            let (state, opened) = (self.state, &self.slot.opened);
            if found.is_some() || !opened.open_next(self.request, self.manager(), self.user_type) {
                return Ok(found);
            }
            // The response would clear the cookie that is opened now, too.
            state.keep_login_cookie(self.index);
        }
    }

    async fn by_one_credential(&self) -> Found {
        if let Some(records) = &self.manager().records {
            // Boxed: together, the two futures are too large for an allocator's cache.
            return Box::pin(self.by_record(records)).await;
        }
        let judged = self.credential(|credential| Some(self.judge_entry(&credential)));
        match judged {
            None => Ok(None),
            Some(Ok(mut load)) => {
                let user = self.slot.load(&mut load.loading).await?;
                Ok(self.by_entry(user, &mut load))
            }
            Some(Err(EntryRefused::Ended(reason))) => {
                self.end(reason, self.owner().as_deref(), None)
            }
            Some(Err(EntryRefused::OtherClient)) => self.protect(self.owner().as_deref(), None),
        }
    }

    /// The user of a login that describes itself, if the loader found one with the same credentials.
    pub(crate) fn by_entry(
        &self,
        user: Option<AnyUser>,
        load: &mut EntryLoad,
    ) -> Option<RequestUser> {
        if self.is_overtaken() {
            return None;
        }
        let mut hash_key = None;
        let judged = resolve::judge_user(user, |user| {
            hash_key = self.same_hash(user, load.hash.as_deref());
            hash_key.is_some()
        });
        let user = match judged {
            Ok(user) => user,
            Err(reason) => {
                let _ = self.end(reason, self.owner().as_deref(), None);
                return None;
            }
        };
        if hash_key == Some(Match::Older) {
            load.hash = credential::fingerprint(self.manager(), self.user_type, &*user);
            load.rewrite = true;
        }
        if load.stale {
            self.emit_protected(self.owner().as_deref(), None);
            load.rewrite |= load.facts.fresh;
            load.facts.fresh = false;
        }
        if load.rewrite {
            self.write(load.facts, load.hash.as_deref(), &*user);
        }
        let at = Some(load.facts.authenticated_at);
        let facts = LoginFacts::new(LoginSource::Session, at, load.facts.fresh);
        Some(self.user(user, facts, load.facts.allow_inactive, None))
    }

    /// Judges a login that describes itself, and starts to load its user.
    pub(crate) fn judge_entry(
        &self,
        credential: &LoginCredential<'_>,
    ) -> Result<EntryLoad, EntryRefused> {
        let (manager, now) = (self.manager(), self.manager().now());
        let invalid = EntryRefused::Ended(EndReason::Invalid);
        let Some(entry) = credential.entry() else {
            return Err(invalid);
        };
        let mut facts = entry.facts;
        let (client, found) = client::judge(self.request, manager, facts.client);
        let stale = match resolve::judge_entry(facts.started_at, &manager.limits, client, now) {
            EntryVerdict::Expired => return Err(EntryRefused::Ended(EndReason::Expired)),
            EntryVerdict::OtherClient => return Err(EntryRefused::OtherClient),
            EntryVerdict::Load { stale } => stale,
        };
        let old_client = found == Some(Match::Older);
        if old_client {
            facts.client = client::client(self.request, manager);
        }
        Ok(EntryLoad {
            loading: self.user_type.loader.load(entry.id).ok_or(invalid)?,
            facts,
            hash: entry.hash.map(str::to_owned),
            stale,
            rewrite: old_client || credential.is_old(),
        })
    }

    /// Finds the record that the request names, and loads its user.
    async fn by_record(&self, records: &Records) -> Found {
        let manager = self.manager();
        let named = self.credential(|credential| Some(credential.login()));
        let named = match named {
            None => return Ok(None),
            Some(None) => return self.end(EndReason::Invalid, None, None),
            Some(Some(login)) => login,
        };
        let key = named.key;
        let now = manager.now();
        let left = self.slot.found_record.take();
        let (mut found, loaded) = match left.filter(|left| left.key == key) {
            Some(left) => (left.record, left.user),
            None => match ahead::take(key) {
                Some(found) => (found.record, None),
                None => (records.store.find_for_auth(key, now).await?, None),
            },
        };
        if self.is_overtaken() {
            return Ok(None);
        }
        let mut verdict = self.judge_record(found.as_ref(), records, now);
        if records.cached_for.is_some()
            && matches!(verdict, RecordVerdict::Idle | RecordVerdict::OtherClient)
        {
            // Another process may have recorded a use of the login since it was read.
            found = records.store.find(key, now).await?;
            if self.is_overtaken() {
                return Ok(None);
            }
            verdict = self.judge_record(found.as_ref(), records, now);
        }
        let Some(record) = found.filter(|_| verdict != RecordVerdict::Gone) else {
            return self.end(EndReason::Ended, None, Some(named));
        };
        let login = LoginRef {
            key,
            family: record.family,
        };
        let RecordVerdict::Load {
            stale,
            touch,
            token_arrived,
        } = verdict
        else {
            if verdict == RecordVerdict::OtherClient {
                Box::pin(records.end(login)).await?;
                return self.protect(Some(&record.user_id), Some(login));
            }
            // The family stays: the remember cookie, if there is one, may restore the user.
            let family = None;
            Box::pin(records.end(LoginRef { key, family })).await?;
            return self.end(EndReason::Idle, Some(&record.user_id), Some(login));
        };
        let user = match (loaded, self.user_type.loader.load(&record.user_id)) {
            (Some(user), _) => user,
            (None, Some(mut loading)) => self.slot.load(&mut loading).await?,
            (None, None) => None,
        };
        if self.is_overtaken() {
            return Ok(None);
        }
        let has_same_hash = |user: &AnyUser| self.same_hash(user, record.hash.as_deref()).is_some();
        let judged = resolve::judge_user(user, has_same_hash);
        let may_stay = judged.as_ref().is_ok_and(|user| {
            record.allow_inactive || self.user_type.loader.is_authenticated(&**user)
        });
        if !may_stay && records.cached_for.is_some() {
            // The login may have continued under a new id since it was read, as it does when the user
            // changes the password. To end it would end the new one.
            let is_there = records.store.find(key, now).await?.is_some();
            if self.is_overtaken() {
                return Ok(None);
            }
            if !is_there {
                return self.end(EndReason::Ended, None, Some(named));
            }
        }
        let user = match judged {
            Ok(user) => user,
            Err(reason) => {
                Box::pin(records.end(login)).await?;
                self.slot.ended_user.replace(Some(record.user_id.clone()));
                return self.end(reason, Some(&record.user_id), Some(login));
            }
        };
        if !may_stay {
            // This request is refused because of the user, and the next ones have no login.
            let owner = self.owner_of(&record.user_id);
            Box::pin(records.end_inactive(owner, now)).await?;
            self.clear_remember_cookie();
            let _ = self.end(EndReason::Inactive, Some(&record.user_id), Some(login));
            return Ok(Some(self.by_record_facts(user, &record, false, login)));
        }
        if stale {
            self.emit_protected(Some(&record.user_id), Some(login));
            if record.fresh {
                let staling = records.store.make_stale(key);
                Box::pin(staling).await?;
            }
        }
        if token_arrived {
            Box::pin(records.note_arrival(key, now)).await;
        }
        if touch {
            Box::pin(records.touch(key, now)).await;
        }
        if let Some(content) = self.slot.opened.old() {
            self.state.set_login_cookie(self.index, content);
        }
        let fresh = record.fresh && !stale;
        Ok(Some(self.by_record_facts(user, &record, fresh, login)))
    }

    pub(crate) fn by_record_facts(
        &self,
        user: AnyUser,
        record: &LoginRecord,
        fresh: bool,
        login: LoginRef,
    ) -> RequestUser {
        let at = Some(record.authenticated_at);
        let facts = LoginFacts::new(LoginSource::Session, at, fresh);
        self.user(user, facts, record.allow_inactive, Some(login))
    }

    /// Judges the record that the login store found.
    pub(crate) fn judge_record(
        &self,
        found: Option<&LoginRecord>,
        records: &Records,
        now: i64,
    ) -> RecordVerdict {
        let check = RecordCheck {
            user_type: &self.user_type.name,
            limits: &records.limits,
            passive: self.state.passive.get(),
            now,
        };
        let client = |bound| client::judge(self.request, self.manager(), bound).0;
        resolve::judge_record(found, check, client)
    }

    /// Whether the request has logged somebody in or out since this look-up began. Then session and
    /// cookies belong to that decision, and the look-up must not change them.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.slot.user.borrow().is_some()
    }

    /// Keeps the result for all who ask in this request. A log in or log out that happened meanwhile
    /// takes precedence, and a failure is not kept.
    pub(crate) fn settle(&self, found: Found) -> Found {
        match found {
            Ok(found) => {
                let found = self.slot.user.borrow_mut().get_or_insert(found).clone();
                #[cfg(feature = "tracing-actix-web")]
                if let Some(user) = &found {
                    root_span::record(self.request, self.manager(), self.user_type, user);
                }
                Ok(found)
            }
            Err(error) => {
                self.emit(&LoginEvent::LoadFailed { error: &error });
                Err(error)
            }
        }
    }

    async fn by_request_loader(&self) -> Found {
        let Some(load) = request_loader(self.manager(), self.index) else {
            return Ok(None);
        };
        let mut loading = self.slot.in_loader(|| load(self.request));
        let Some(user) = self.slot.load(&mut loading).await? else {
            return Ok(None);
        };
        let event_user = EventUser::new(self.user_type, &*user);
        self.emit(&LoginEvent::LoadedFromRequest { user: event_user });
        let facts = LoginFacts::new(LoginSource::Request, None, false);
        Ok(Some(self.user(user, facts, false, None)))
    }

    pub(crate) fn manager(&self) -> &'_ Manager {
        &self.state.manager
    }

    pub(crate) fn emit(&self, event: &LoginEvent<'_>) {
        self.manager().events.emit(event, self.request);
    }

    /// Whether the user still has the credentials with which a login was made, and the key that made
    /// the fingerprint.
    pub(crate) fn same_hash(&self, user: &AnyUser, fingerprint: Option<&str>) -> Option<Match> {
        let hash = self.user_type.loader.session_hash(&**user);
        let keys = &self.manager().keys;
        keys.same_hash(&self.user_type.name, fingerprint, hash.as_deref())
    }

    pub(crate) fn user(
        &self,
        user: AnyUser,
        facts: LoginFacts,
        allow_inactive: bool,
        login: Option<LoginRef>,
    ) -> RequestUser {
        RequestUser::new(self.user_type, user, facts, allow_inactive, login)
    }

    /// Writes a login that describes itself, into the session or the login cookie.
    pub(crate) fn write(&self, facts: EntryFacts, hash: Option<&str>, user: &dyn Any) {
        let Some(id) = self.user_type.loader.id(user) else {
            return;
        };
        let id = &*id;
        let entry = Entry { facts, hash, id };
        if self.user_type.login_cookie.is_none() {
            // A session that was purged earlier in this request has to stay empty.
            let session = session::of(self.request);
            session::update_entry(&session, &self.user_type.session_key, entry);
        } else if let Some(text) = entry.text() {
            let content = LoginCookieContent::Entry(text.into());
            self.state.set_login_cookie(self.index, content);
        }
    }

    /// Ends a login that another client uses.
    fn protect(&self, owner: Option<&str>, login: Option<LoginRef>) -> Found {
        self.emit_protected(owner, login);
        self.slot.ended.set(Some(EndReason::Ended));
        self.forget(owner);
        self.clear_remember_cookie();
        Ok(None)
    }

    fn emit_protected(&self, user_id: Option<&str>, login: Option<LoginRef>) {
        self.emit(&LoginEvent::SessionProtected {
            mode: self.manager().client.protection,
            user_type: &self.user_type.name,
            user_id,
            login: self.manager().event_login(self.user_type, login),
        });
    }

    /// Drops only the login from the session. `user_id` is the id of its user as JSON, if known.
    fn end(&self, reason: EndReason, user_id: Option<&str>, login: Option<LoginRef>) -> Found {
        self.forget(user_id.filter(|_| reason != EndReason::UserGone));
        self.slot.ended.set(Some(reason));
        self.emit(&LoginEvent::LoginEnded {
            reason,
            user_type: &self.user_type.name,
            user_id,
            login: self.manager().event_login(self.user_type, login),
        });
        Ok(None)
    }

    fn forget(&self, owner: Option<&str>) {
        if self.is_overtaken() {
            return;
        }
        if let Some(owner) = owner.filter(|_| self.manager().records.is_some()) {
            fate::belongs_to(&self.user_type.name, owner);
        }
        let (session, key) = (session::of(self.request), &self.user_type.session_key);
        if self.user_type.login_cookie.is_some() {
            session::leave(&session, key, owner);
            self.state
                .drop_login_cookie(self.request, self.index, false);
        } else {
            session::forget(&session, key, owner);
        }
    }

    pub(crate) fn owner_of<'b>(&'b self, user_id: &'b str) -> LoginOwner<'b> {
        LoginOwner {
            user_type: &self.user_type.name,
            user_id,
        }
    }

    /// The id, as JSON, of the user of a login that describes itself.
    fn owner(&self) -> Option<String> {
        self.credential(|credential| credential.entry().map(|entry| entry.id.to_owned()))
    }

    fn credential<T>(&self, read: impl FnOnce(LoginCredential<'_>) -> Option<T>) -> Option<T> {
        self.state.credential(self.request, self.index, read)
    }

    pub(crate) fn clear_remember_cookie(&self) {
        if !self.is_overtaken() && remember_cookie::is_carried(self.request, self.user_type) {
            self.state.clear_remember_cookie(self.index);
        }
    }
}
