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

use actix_web::HttpRequest;

use crate::{
    core::{
        EndReason, EntryVerdict, FamilyKey, LoginFacts, LoginSource, RecordCheck, RecordVerdict,
        resolve::{self},
    },
    error::LoadError,
    events::{EventUser, LoginEvent},
    keys::Match,
    manager::Manager,
    request::{
        client,
        credential::{self, LoginCookieContent, LoginCredential},
        remember_cookie::{self, proves},
        state::{LoginState, RequestUser, Slot},
    },
    session::{self, Entry, EntryFacts},
    store::{LoginRef, Records},
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
            || remember_cookie::is_carried(request, user_type)
            || request_loader(manager, index).is_some();
        (!has_source).then_some(None)
    }

    /// The user of the manager's user type at `index`. Those who ask at the same time share one look-up.
    pub(crate) async fn user(&self, request: &HttpRequest, index: usize) -> Found {
        let (Some(slot), Some(user_type)) = (self.slot(index), self.manager.users.get(index))
        else {
            return Ok(None);
        };
        let lookup = Lookup {
            state: self,
            request,
            slot,
            user_type,
            index,
        };
        if let Some(user) = lookup.slot.found() {
            return Ok(user);
        }
        let _guard = match lookup.slot.lookup.try_lock() {
            Ok(guard) => guard,
            // Boxed, because few requests wait here.
            Err(_) => Box::pin(lookup.slot.lookup.lock()).await,
        };
        if let Some(user) = lookup.slot.found() {
            return Ok(user);
        }
        self.accessed(request);
        match lookup.ask_sources().await {
            // A log in or log out that happened meanwhile takes precedence.
            Ok(found) => Ok(lookup.slot.user.borrow_mut().get_or_insert(found).clone()),
            Err(error) => {
                lookup.emit(&LoginEvent::LoadFailed { error: &error });
                Err(error)
            }
        }
    }
}

/// The request loader, if it loads users of this type.
fn request_loader(manager: &Manager, index: usize) -> Option<&RequestLoader> {
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
struct EntryLoad {
    loading: Loading,
    facts: EntryFacts,
    hash: Option<String>,
    stale: bool,
    /// Whether an older key bound the login to its client or sealed its cookie.
    rewrite: bool,
}

/// Why the user of an entry is not loaded.
enum EntryRefused {
    Ended(EndReason),
    /// Protection ends the login.
    OtherClient,
}

impl Lookup<'_> {
    async fn ask_sources(&self) -> Found {
        if let Some(user) = self.by_credential().await? {
            return Ok(Some(user));
        }
        // Boxed, so that the future of other requests needs no space for it.
        if let Some(user) = Box::pin(self.by_remember_cookie()).await? {
            return Ok(Some(user));
        }
        self.by_request_loader().await
    }

    /// Loads the user of the login that the session or the login cookie names.
    async fn by_credential(&self) -> Found {
        if let Some(records) = &self.manager().records {
            // Boxed: together, the two futures are too large for an allocator's cache.
            return Box::pin(self.by_record(records)).await;
        }
        let judged = self
            .state
            .credential(self.request, self.index, |credential| {
                Some(self.judge_entry(&credential))
            });
        let load = match judged {
            None => return Ok(None),
            Some(Ok(load)) => load,
            Some(Err(EntryRefused::Ended(reason))) => {
                return self.end(reason, self.owner().as_deref());
            }
            Some(Err(EntryRefused::OtherClient)) => return self.protect(self.owner().as_deref()),
        };
        let EntryLoad {
            loading,
            mut facts,
            mut hash,
            stale,
            mut rewrite,
        } = load;
        let user = loading.await?;
        let mut hash_key = None;
        let judged = resolve::judge_user(user, |user| {
            hash_key = self.same_hash(user, hash.as_deref());
            hash_key.is_some()
        });
        let user = match judged {
            Ok(user) => user,
            Err(reason) => {
                let owner = self.owner().filter(|_| reason != EndReason::UserGone);
                return self.end(reason, owner.as_deref());
            }
        };
        if hash_key == Some(Match::Older) {
            hash = credential::fingerprint(self.manager(), self.user_type, &*user);
            rewrite = true;
        }
        if stale {
            self.emit_protected();
            rewrite |= facts.fresh;
            facts.fresh = false;
        }
        if rewrite {
            self.write(facts, hash.as_deref(), &*user);
        }
        let found = LoginFacts {
            source: LoginSource::Session,
            authenticated_at: Some(facts.authenticated_at),
            fresh: facts.fresh,
        };
        Ok(Some(self.user(user, found, facts.allow_inactive, None)))
    }

    /// Judges a login that describes itself, and starts to load its user.
    fn judge_entry(&self, credential: &LoginCredential<'_>) -> Result<EntryLoad, EntryRefused> {
        let (manager, now) = (self.manager(), self.manager().now());
        let invalid = EntryRefused::Ended(EndReason::Invalid);
        let Some(Entry {
            mut facts,
            hash,
            id,
        }) = credential.entry()
        else {
            return Err(invalid);
        };
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
            loading: self.user_type.loader.load(id).ok_or(invalid)?,
            facts,
            hash: hash.map(str::to_owned),
            stale,
            rewrite: old_client || credential.is_old(),
        })
    }

    /// Finds the record that the request names, and loads its user.
    async fn by_record(&self, records: &Records) -> Found {
        let manager = self.manager();
        let named = self
            .state
            .credential(self.request, self.index, |credential| {
                Some(credential.login())
            });
        let key = match named {
            None => return Ok(None),
            Some(None) => return self.end(EndReason::Invalid, None),
            Some(Some(login)) => login.key,
        };
        let now = manager.now();
        let found = records
            .store
            .call(|store| store.find_for_auth(key, now))
            .await?;
        let check = RecordCheck {
            user_type: &self.user_type.name,
            limits: &records.limits,
            passive: self.state.passive.get(),
            now,
        };
        let client = |bound| client::judge(self.request, manager, bound).0;
        let verdict = resolve::judge_record(found.as_ref(), check, client);
        let Some(record) = found.filter(|_| verdict != RecordVerdict::Gone) else {
            return self.end(EndReason::Ended, None);
        };
        let login = LoginRef {
            key,
            family: record.family,
        };
        let (stale, touch, note_token) = match verdict {
            RecordVerdict::Load {
                stale,
                touch,
                note_token,
            } => (stale, touch, note_token),
            RecordVerdict::OtherClient => {
                Box::pin(records.end(login)).await?;
                return self.protect(Some(&record.user_id));
            }
            RecordVerdict::Idle | RecordVerdict::Gone => {
                // The family stays: the remember cookie, if there is one, may restore the user.
                let login = LoginRef {
                    family: None,
                    ..login
                };
                Box::pin(records.end(login)).await?;
                return self.end(EndReason::Idle, Some(&record.user_id));
            }
        };
        let user = match self.user_type.loader.load(&record.user_id) {
            Some(loading) => loading.await?,
            None => None,
        };
        let has_same_hash = |user: &AnyUser| self.same_hash(user, record.hash.as_deref()).is_some();
        let user = match resolve::judge_user(user, has_same_hash) {
            Ok(user) => user,
            Err(reason) => {
                Box::pin(records.end(login)).await?;
                let owner = (reason != EndReason::UserGone).then_some(&*record.user_id);
                return self.end(reason, owner);
            }
        };
        if stale {
            self.emit_protected();
            if record.fresh {
                let staling = records.store.call(|store| store.make_stale(key));
                Box::pin(staling).await?;
            }
        }
        if let Some(family) = record.family.filter(|_| note_token) {
            Box::pin(self.note_token(records, family, now)).await;
        }
        if touch {
            Box::pin(records.touch(key, now)).await;
        }
        if let Some(content) = self.slot.opened.old() {
            self.state.set_login_cookie(self.index, content);
        }
        let facts = LoginFacts {
            source: LoginSource::Session,
            authenticated_at: Some(record.authenticated_at),
            fresh: record.fresh && !stale,
        };
        Ok(Some(self.user(
            user,
            facts,
            record.allow_inactive,
            Some(login),
        )))
    }

    async fn by_request_loader(&self) -> Found {
        let Some(load) = request_loader(self.manager(), self.index) else {
            return Ok(None);
        };
        let Some(user) = load(self.request).await? else {
            return Ok(None);
        };
        let event_user = EventUser::new(self.user_type, &*user);
        self.emit(&LoginEvent::LoadedFromRequest { user: event_user });
        let facts = LoginFacts {
            source: LoginSource::Request,
            authenticated_at: None,
            fresh: false,
        };
        Ok(Some(self.user(user, facts, false, None)))
    }

    /// Records that the browser has the current token of its family: the previous token is stolen if it
    /// is used again. A store that fails here does not make the request fail.
    async fn note_token(&self, records: &Records, key: FamilyKey, now: i64) {
        let (manager, user_type) = (self.manager(), self.user_type);
        let token = remember_cookie::read_family_token(self.request, manager, user_type);
        let Some(token) = token.filter(|token| token.family == key) else {
            return;
        };
        let noted = records.note_seen(key, token.generation, now, |family| {
            proves(manager, user_type, &token, family).is_some()
        });
        if let Err(error) = noted.await {
            tracing::warn!(target: "login", event = "note_failed", reason = ?error);
        }
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
            let _ = session::write_entry(&session, &self.user_type.session_key, &entry);
        } else if let Some(text) = entry.text() {
            let content = LoginCookieContent::Entry(text.into());
            self.state.set_login_cookie(self.index, content);
        }
    }

    /// Ends a login that another client uses.
    fn protect(&self, owner: Option<&str>) -> Found {
        self.emit_protected();
        self.forget(owner);
        self.clear_remember_cookie();
        Ok(None)
    }

    fn emit_protected(&self) {
        let mode = self.manager().client.protection;
        self.emit(&LoginEvent::SessionProtected { mode });
    }

    /// Drops only the login from the session. `owner` is the id of its user as JSON, if known.
    fn end(&self, reason: EndReason, owner: Option<&str>) -> Found {
        self.forget(owner);
        self.emit(&LoginEvent::LoginEnded { reason });
        Ok(None)
    }

    fn forget(&self, owner: Option<&str>) {
        let (session, key) = (session::of(self.request), &self.user_type.session_key);
        if self.user_type.login_cookie.is_some() {
            session::leave(&session, key, owner);
            self.state
                .drop_login_cookie(self.request, self.index, false);
        } else {
            session::forget(&session, key, owner);
        }
    }

    /// The id, as JSON, of the user of a login that describes itself.
    fn owner(&self) -> Option<String> {
        self.state
            .credential(self.request, self.index, |credential| {
                credential.entry().map(|entry| entry.id.to_owned())
            })
    }

    pub(crate) fn clear_remember_cookie(&self) {
        if remember_cookie::is_carried(self.request, self.user_type) {
            self.state.clear_remember_cookie(self.index);
        }
    }
}
