//! TODO request/find.rs

use std::{any::Any, sync::Arc, time::Duration};

use actix_web::HttpRequest;

use crate::{
    core::{
        EndReason, EntryVerdict, FamilyKey, Inserted, LoginFacts, LoginSelector, LoginSource,
        RecordCheck, RecordVerdict, Token, TokenFamily,
        resolve::{self},
    },
    error::LoadError,
    events::{EventUser, LoginEvent},
    http::cookies,
    keys::Match,
    manager::Manager,
    request::{
        client,
        credential::{self, LoginCookieContent, LoginCredential},
        state::{LoginState, RequestUser, Slot},
    },
    session::{self, Entry, Session},
    store::{LoginRef, NewLogin, Records, Redeemed},
    users::{AnyUser, Loading, UserType},
};

impl LoginState {
    /// What is known without waiting: the answer if it has been found, or that there is nothing to
    /// look for. Allocates nothing.
    pub(crate) fn peek(
        request: &HttpRequest,
        manager: &Arc<Manager>,
        index: usize,
    ) -> Option<Option<RequestUser>> {
        if let Some(who) = Self::found(&Self::of_manager(request, manager), index) {
            return Some(who);
        }
        let kind = manager.users.get(index)?;
        let nothing = !credential::is_carried(request, kind)
            && has_no_other_source(request, manager, kind, index);
        nothing.then_some(None)
    }

    /// Who the user is, of the manager's user type at `index`.
    ///
    /// Those who ask at the same time share one load. A failure is not kept, so the next to ask
    /// tries again; nor is anything lost if the one who asks goes away.
    pub(crate) async fn user(
        &self,
        request: &HttpRequest,
        index: usize,
    ) -> Result<Option<RequestUser>, LoadError> {
        let Some(lookup) = self.lookup(request, index) else {
            return Ok(None);
        };
        if let Some(who) = lookup.slot.who.borrow().clone() {
            return Ok(who);
        }
        let _guard = match lookup.slot.lookup.try_lock() {
            Ok(guard) => guard,
            Err(_) => lookup.slot.lookup.lock().await,
        };
        if let Some(who) = lookup.slot.who.borrow().clone() {
            return Ok(who);
        }
        self.accessed(request);
        match lookup.from_sources().await {
            Ok(found) => Ok(lookup.settle(found)),
            Err(error) => Err(lookup.failed(error)),
        }
    }

    fn lookup<'a>(&'a self, request: &'a HttpRequest, index: usize) -> Option<Lookup<'a>> {
        Some(Lookup {
            state: self,
            request,
            slot: self.slot(index)?,
            kind: self.manager.users.get(index)?,
            index,
        })
    }
}

/// One search for the user of a request.
pub(crate) struct Lookup<'a> {
    pub(crate) state: &'a LoginState,
    pub(crate) request: &'a HttpRequest,
    pub(crate) slot: &'a Slot,
    pub(crate) kind: &'a UserType,
    pub(crate) index: usize,
}

/// What is to be done about a login that describes itself.
enum Judged {
    /// It is over.
    Ended(EndReason),
    /// Protection ends it.
    OtherClient,
    Load(EntryLoad),
}

/// A user who is being loaded, and the login that names the user.
struct EntryLoad {
    loading: Loading,
    login: OwnedEntry,
    stale: bool,
    /// Whether the login was bound to its client, or its cookie sealed, under an older key.
    rewrite: bool,
}

/// An [`Entry`] that outlives the session's borrow.
struct OwnedEntry {
    authenticated_at: i64,
    started_at: i64,
    fresh: bool,
    remembered: bool,
    allow_inactive: bool,
    client: u64,
    hash: Option<String>,
}

impl OwnedEntry {
    fn of(entry: &Entry<'_>) -> Self {
        let &Entry {
            authenticated_at,
            started_at,
            fresh,
            remembered,
            allow_inactive,
            client,
            hash,
        } = entry;
        Self {
            authenticated_at,
            started_at,
            fresh,
            remembered,
            allow_inactive,
            client,
            hash: hash.map(str::to_owned),
        }
    }

    fn as_entry(&self) -> Entry<'_> {
        let &Self {
            authenticated_at,
            started_at,
            fresh,
            remembered,
            allow_inactive,
            client,
            ref hash,
        } = self;
        Entry {
            authenticated_at,
            started_at,
            fresh,
            remembered,
            allow_inactive,
            client,
            hash: hash.as_deref(),
        }
    }
}

impl Lookup<'_> {
    /// Asks the sources in their order; a worthless one never keeps the next from being asked.
    pub(crate) async fn from_sources(&self) -> Result<Option<RequestUser>, LoadError> {
        if let Some(known) = self.by_session().await? {
            return Ok(Some(known));
        }
        // In a box of its own: the future of every request would have room for it.
        if let Some(known) = Box::pin(self.by_cookie()).await? {
            return Ok(Some(known));
        }
        self.by_request().await
    }

    /// Keeps what was found, unless a log in or log out that happened meanwhile knows better.
    pub(crate) fn settle(&self, found: Option<RequestUser>) -> Option<RequestUser> {
        self.slot.who.borrow_mut().get_or_insert(found).clone()
    }

    pub(crate) fn failed(&self, error: LoadError) -> LoadError {
        self.emit(&LoginEvent::LoadFailed { error: &error });
        error
    }

    fn manager(&self) -> &'_ Manager {
        &self.state.manager
    }

    fn emit(&self, event: &LoginEvent<'_>) {
        self.manager().events.emit(event, self.request);
    }

    fn event_user<'a>(&'a self, user: &'a AnyUser) -> EventUser<'a> {
        EventUser::new(self.kind, &**user)
    }

    /// Asks for the login that the session or the login cookie carries.
    async fn by_session(&self) -> Result<Option<RequestUser>, LoadError> {
        if let Some(records) = &self.manager().records {
            // In a box of its own: together, the two futures are too large for an allocator's cache.
            return Box::pin(self.by_record(records)).await;
        }
        match self.carried(|carried| Some(self.judge_entry(&carried))) {
            None => Ok(None),
            Some(Judged::Ended(reason)) => {
                self.end(reason, self.owner().as_deref());
                Ok(None)
            }
            Some(Judged::OtherClient) => {
                self.protect(self.owner().as_deref());
                Ok(None)
            }
            Some(Judged::Load(mut load)) => {
                let user = load.loading.as_mut().await?;
                Ok(self.by_entry(user, &mut load))
            }
        }
    }

    /// Judges a login that describes itself, and starts to load its user.
    fn judge_entry(&self, carried: &LoginCredential<'_>) -> Judged {
        let (manager, now) = (self.manager(), self.manager().now());
        let Some((entry, id)) = carried.entry() else {
            return Judged::Ended(EndReason::Invalid);
        };
        let (client, found) = client::judge(self.request, manager, entry.client);
        let stale = match resolve::judge_entry(entry.started_at, &manager.limits, client, now) {
            EntryVerdict::Expired => return Judged::Ended(EndReason::Expired),
            EntryVerdict::OtherClient => return Judged::OtherClient,
            EntryVerdict::Load { stale } => stale,
        };
        let mut login = OwnedEntry::of(&entry);
        let old_client = found == Some(Match::Older);
        if old_client {
            login.client = client::client(self.request, manager);
        }
        match self.kind.loader.load(id) {
            None => Judged::Ended(EndReason::Invalid),
            Some(loading) => Judged::Load(EntryLoad {
                loading,
                login,
                stale,
                rewrite: old_client || carried.is_old(),
            }),
        }
    }

    /// The user of a login that describes itself, if the loader found one.
    fn by_entry(&self, user: Option<AnyUser>, load: &mut EntryLoad) -> Option<RequestUser> {
        let EntryLoad {
            login,
            stale,
            rewrite,
            ..
        } = load;
        let mut hash_key = None;
        let judged = resolve::judge_user(user, |user| {
            hash_key = self.same_hash(user, login.hash.as_deref());
            hash_key.is_some()
        });
        let user = match judged {
            Ok(user) => user,
            Err(reason) => {
                let owner = self.owner().filter(|_| reason != EndReason::UserGone);
                self.end(reason, owner.as_deref());
                return None;
            }
        };
        if hash_key == Some(Match::Older) {
            login.hash = self.fingerprint(&user);
            *rewrite = true;
        }
        if *stale {
            self.emit_protected();
            *rewrite |= login.fresh;
            login.fresh = false;
        }
        if *rewrite {
            self.write(&login.as_entry(), &*user);
        }
        let facts = LoginFacts {
            source: LoginSource::Session,
            authenticated_at: Some(login.authenticated_at),
            fresh: login.fresh,
        };
        Some(self.known(user, facts, login.allow_inactive, None))
    }

    /// Looks up the record that the request names. Whatever the session says besides, and whatever a
    /// late request brought back into it: without a record the request is anonymous.
    async fn by_record(&self, records: &Records) -> Result<Option<RequestUser>, LoadError> {
        let manager = self.manager();
        let Some(named) = self.carried(|carried| Some(carried.login())) else {
            return Ok(None);
        };
        let Some(LoginRef { key, .. }) = named else {
            self.end(EndReason::Invalid, None);
            return Ok(None);
        };
        let now = manager.now();
        let found = records
            .store
            .call(|store| store.find_for_auth(key, now))
            .await?;
        let check = RecordCheck {
            user_type: &self.kind.name,
            limits: &records.limits,
            passive: self.state.is_passive(),
            now,
        };
        let client = |bound| client::judge(self.request, manager, bound).0;
        let verdict = resolve::judge_record(found.as_ref(), check, client);
        let Some(record) = found.filter(|_| verdict != RecordVerdict::Gone) else {
            self.end(EndReason::Ended, None);
            return Ok(None);
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
                self.protect(Some(&record.user_id));
                return Ok(None);
            }
            RecordVerdict::Idle | RecordVerdict::Gone => {
                // Not the family: the remember cookie, if there is one, may still restore the user.
                let login = LoginRef {
                    family: None,
                    ..login
                };
                Box::pin(records.end(login)).await?;
                self.end(EndReason::Idle, Some(&record.user_id));
                return Ok(None);
            }
        };
        let user = match self.kind.loader.load(&record.user_id) {
            Some(loading) => loading.await?,
            None => None,
        };
        let has_same_hash = |user: &AnyUser| self.same_hash(user, record.hash.as_deref()).is_some();
        let user = match resolve::judge_user(user, has_same_hash) {
            Ok(user) => user,
            Err(reason) => {
                Box::pin(records.end(login)).await?;
                let owner = (reason != EndReason::UserGone).then_some(&*record.user_id);
                self.end(reason, owner);
                return Ok(None);
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
        Ok(Some(self.known(
            user,
            facts,
            record.allow_inactive,
            Some(login),
        )))
    }

    /// Whether the user still has the credentials with which a login was made, and under which key the
    /// fingerprint was made.
    fn same_hash(&self, user: &AnyUser, fingerprint: Option<&str>) -> Option<Match> {
        let hash = self.kind.loader.session_hash(&**user);
        let keys = &self.manager().keys;
        keys.same_hash(&self.kind.name, fingerprint, hash.as_deref())
    }

    /// The fingerprint of the user's session hash under the current key.
    fn fingerprint(&self, user: &AnyUser) -> Option<String> {
        let hash = self.kind.loader.session_hash(&**user)?;
        self.manager().keys.fingerprint(&self.kind.name, &hash)
    }

    /// Ends a login that another client shows.
    fn protect(&self, owner: Option<&str>) {
        self.emit_protected();
        self.forget(owner);
        self.clear_remember_cookie();
    }

    fn emit_protected(&self) {
        let mode = self.manager().client.protection;
        self.emit(&LoginEvent::SessionProtected { mode });
    }

    /// Notes that the browser has the current token of its family, so that whoever presents the one
    /// before is a thief. A store that does not take the note is no reason to refuse the request.
    async fn note_token(&self, records: &Records, key: FamilyKey, now: i64) {
        let (keys, user_type) = (&self.manager().keys, &self.kind.name);
        let token = match cookies::carried(self.request, &self.kind.remember.name) {
            cookies::CookieValue::One(value) => keys.read_family_token(user_type, &value),
            cookies::CookieValue::Missing | cookies::CookieValue::Ambiguous => None,
        };
        let Some(token) = token.filter(|token| token.family == key) else {
            return;
        };
        let proves = |family: &TokenFamily| keys.proves(user_type, &token, &family.seed).is_some();
        if let Err(error) = records.note_seen(key, token.generation, now, proves).await {
            tracing::warn!(target: "login", event = "note_failed", reason = ?error);
        }
    }

    async fn by_cookie(&self) -> Result<Option<RequestUser>, LoadError> {
        if self.slot.remember_settled.get() {
            return Ok(None);
        }
        let value = match cookies::carried(self.request, &self.kind.remember.name) {
            cookies::CookieValue::Missing => return Ok(None),
            cookies::CookieValue::One(value) => Some(value),
            cookies::CookieValue::Ambiguous => None,
        };
        if let Some(records) = &self.manager().records {
            return self.by_family(records, value).await;
        }
        let keys = &self.manager().keys;
        let verified = value.and_then(|value| keys.verify(&self.kind.name, &value));
        let Some((text, key)) = verified else {
            return self.refuse_cookie(EndReason::Invalid);
        };
        let now = self.manager().now();
        let Some(token) = Token::read(&text, now) else {
            return self.refuse_cookie(EndReason::Invalid);
        };
        let Some(loading) = self.kind.loader.load(token.id) else {
            return self.refuse_cookie(EndReason::Invalid);
        };
        let Some(user) = loading.await? else {
            return self.refuse_cookie(EndReason::UserGone);
        };
        if !self.kind.loader.is_authenticated(&*user) {
            return self.refuse_cookie(EndReason::Inactive);
        }
        let hash = self.kind.loader.session_hash(&*user);
        let Some(hash_key) = keys.same_hash(&self.kind.name, token.hash, hash.as_deref()) else {
            return self.refuse_cookie(EndReason::SessionHashChanged);
        };
        let fingerprint = hash
            .as_deref()
            .and_then(|hash| keys.fingerprint(&self.kind.name, hash));
        if key == Match::Older || hash_key == Match::Older {
            let renewed = Token {
                hash: fingerprint.as_deref(),
                ..token
            };
            self.reissue(&renewed, now);
        }
        // The login is bound to its client from the start.
        let entry = Entry {
            authenticated_at: token.authenticated_at,
            started_at: now,
            fresh: false,
            remembered: true,
            allow_inactive: false,
            client: client::client(self.request, self.manager()),
            hash: fingerprint.as_deref(),
        };
        self.take_session(token.id, |_| self.write(&entry, &*user));
        self.emit(&LoginEvent::LoadedFromCookie {
            user: self.event_user(&user),
        });
        let facts = LoginFacts {
            source: LoginSource::RememberCookie,
            authenticated_at: Some(token.authenticated_at),
            fresh: false,
        };
        Ok(Some(self.known(user, facts, false, None)))
    }

    /// Redeems a token of a family, and restores a login or shares the one that was just restored.
    async fn by_family(
        &self,
        records: &Records,
        value: Option<String>,
    ) -> Result<Option<RequestUser>, LoadError> {
        let manager = self.manager();
        let (keys, user_type, now) = (&manager.keys, &self.kind.name, manager.now());
        let Some(token) = value.and_then(|value| keys.read_family_token(user_type, &value)) else {
            return self.refuse_cookie(EndReason::Invalid);
        };
        let key = token.family;
        let redeemed = records
            .redeem(key, token.generation, now, |family| {
                family.user_type == *user_type
                    && keys.proves(user_type, &token, &family.seed).is_some()
            })
            .await?;
        let (family, at, send) = match redeemed {
            Redeemed::Good { family, at, send } => (family, at, send),
            Redeemed::Worthless => return self.refuse_cookie(EndReason::Ended),
            Redeemed::Theft(family) => {
                let event = LoginEvent::RememberTokenReused {
                    user_type,
                    user_id: &family.user_id,
                };
                self.emit(&event);
                self.clear_remember_cookie();
                return Ok(None);
            }
        };
        let user = match self.kind.loader.load(&family.user_id) {
            Some(loading) => loading.await?,
            None => None,
        };
        let over = |reason| async move {
            records
                .store
                .call(|store| store.end_many(LoginSelector::Family(key)))
                .await?;
            self.refuse_cookie(reason)
        };
        let Some(user) = user else {
            return over(EndReason::UserGone).await;
        };
        if !self.kind.loader.is_authenticated(&*user) {
            return over(EndReason::Inactive).await;
        }
        let hash = self.kind.loader.session_hash(&*user);
        let found_hash = keys.same_hash(user_type, family.hash.as_deref(), hash.as_deref());
        if found_hash.is_none() {
            return over(EndReason::SessionHashChanged).await;
        }
        let fingerprint = hash.and_then(|hash| keys.fingerprint(user_type, &hash));
        if found_hash == Some(Match::Older) {
            // Another request that does so too may be first.
            let (version, hash) = (family.version + 1, fingerprint.clone());
            let next = TokenFamily {
                version,
                hash,
                ..family.clone()
            };
            records
                .store
                .call(|store| store.update_family_if(key, family.version, &next))
                .await?;
        }
        // The same id for all who come at this time, so that they make one login among them.
        let Some(id) = keys.restored_login(user_type, key, &family.seed, at) else {
            return self.refuse_cookie(EndReason::Invalid);
        };
        let login = match records.find(id.key(), now).await? {
            Some(_) => LoginRef {
                key: id.key(),
                family: Some(key),
            },
            None => {
                let login = NewLogin {
                    user_type,
                    user_id: family.user_id.clone(),
                    authenticated_at: family.authenticated_at,
                    fresh: false,
                    allow_inactive: false,
                    method: "remember",
                    hash: fingerprint,
                    family: Some(key),
                    not_after: Some(family.expires_at),
                };
                let (login, inserted) = records
                    .insert(
                        &id,
                        login,
                        records.max,
                        client::of_record(self.request, manager),
                        now,
                    )
                    .await?;
                if inserted == Inserted::Refused && records.find(id.key(), now).await?.is_none() {
                    return Ok(None);
                }
                // Only the claim was conditional on the family. Either who ended it since has ended
                // this login too, or the family is gone now.
                if records.find_family(key, now).await?.is_none() {
                    records.store.call(|store| store.end(id.key())).await?;
                    return self.refuse_cookie(EndReason::Ended);
                }
                login
            }
        };
        self.take_session(&family.user_id, |session| {
            if self.kind.login_cookie.is_some() {
                self.state
                    .set_login_cookie(self.index, LoginCookieContent::Record(login));
            } else {
                let _ = session::write_login_id(session, &self.kind.session_key, &id, Some(key));
            }
        });
        // An older key, or a successor that the browser may not have.
        let send = send || keys.proves(user_type, &token, &family.seed) == Some(Match::Older);
        if send {
            let age =
                Duration::from_secs(family.expires_at.saturating_sub(now).max(0).unsigned_abs());
            let value = keys.family_token(user_type, key, &family.seed, family.generation);
            if let Some(cookie) = value.and_then(|value| self.kind.remember.set(&value, age)) {
                self.state.set_remember_cookie(self.index, cookie);
            }
        }
        self.emit(&LoginEvent::LoadedFromCookie {
            user: self.event_user(&user),
        });
        let facts = LoginFacts {
            source: LoginSource::RememberCookie,
            authenticated_at: Some(family.authenticated_at),
            fresh: false,
        };
        Ok(Some(self.known(user, facts, false, Some(login))))
    }

    /// Sends the token again, signed with the key that signs now; its time stays what it was.
    fn reissue(&self, token: &Token<'_>, now: i64) {
        let age = Duration::from_secs(token.expires_at.saturating_sub(now).unsigned_abs());
        let value = self.manager().keys.sign(&self.kind.name, token);
        let cookie = value.and_then(|value| self.kind.remember.set(&value, age));
        if let Some(cookie) = cookie {
            self.state.cookies.borrow_mut().push(cookie);
        }
    }

    async fn by_request(&self) -> Result<Option<RequestUser>, LoadError> {
        let Some((_, load)) = self
            .manager()
            .request_loader
            .as_ref()
            .filter(|(index, _)| *index == self.index)
        else {
            return Ok(None);
        };
        let Some(user) = load(self.request).await? else {
            return Ok(None);
        };
        self.emit(&LoginEvent::LoadedFromRequest {
            user: self.event_user(&user),
        });
        let facts = LoginFacts {
            source: LoginSource::Request,
            authenticated_at: None,
            fresh: false,
        };
        Ok(Some(self.known(user, facts, false, None)))
    }

    fn known(
        &self,
        user: AnyUser,
        facts: LoginFacts,
        allow_inactive: bool,
        login: Option<LoginRef>,
    ) -> RequestUser {
        let authenticated = allow_inactive || self.kind.loader.is_authenticated(&*user);
        RequestUser {
            user,
            facts,
            authenticated,
            allow_inactive,
            login,
        }
    }

    fn carried<T>(&self, read: impl FnOnce(LoginCredential<'_>) -> Option<T>) -> Option<T> {
        self.state.carried(self.request, self.index, read)
    }

    fn write(&self, entry: &Entry<'_>, user: &dyn Any) {
        if self.kind.login_cookie.is_some() {
            let id = self.kind.loader.id(user);
            if let Some(text) = id.and_then(|id| entry.text(&id)) {
                let ticket = LoginCookieContent::Entry(text.into());
                self.state.set_login_cookie(self.index, ticket);
            }
            return;
        }
        // A session that was purged earlier in this request keeps nothing, which was the purpose.
        if let Some(id) = self.kind.loader.id(user) {
            let session = session::of(self.request);
            let _ = session::write_entry(&session, &self.kind.session_key, entry, &id);
        }
    }

    /// Drops the session's login, and nothing else. `whose` says whose it was, as JSON.
    fn end(&self, reason: EndReason, whose: Option<&str>) {
        self.forget(whose);
        self.emit(&LoginEvent::LoginEnded { reason });
    }

    fn forget(&self, whose: Option<&str>) {
        let (session, key) = (session::of(self.request), &self.kind.session_key);
        if self.kind.login_cookie.is_some() {
            session::leave(&session, key, whose);
            self.state
                .drop_login_cookie(self.request, self.index, false);
        } else {
            session::forget(&session, key, whose);
        }
    }

    /// Whose login the request carries, as JSON, if that is all it needs to say.
    fn owner(&self) -> Option<String> {
        self.carried(|carried| carried.entry().map(|(_, id)| id.to_owned()))
    }

    /// Gives the session to a user whom the remember cookie brought back: under a new id, so that one
    /// planted before this request gains nothing, and without what another user left in it.
    fn take_session(&self, id: &str, write: impl FnOnce(&Session)) {
        let key = &self.kind.session_key;
        let others = self.manager().other_keys(self.index);
        session::restore(&session::of(self.request), |session| {
            if session::is_left_by_another(session, key, id, others)
                || self.kind.login_cookie.is_some() && session::keeps_login(session)
            {
                session::clear_but(session, self.manager().kept_keys(self.index));
            }
            session::forget_who_left(session, key);
            write(session);
        });
    }

    fn refuse_cookie(&self, reason: EndReason) -> Result<Option<RequestUser>, LoadError> {
        self.emit(&LoginEvent::RememberCookieRefused { reason });
        self.clear_remember_cookie();
        // Unless a log in under way has given the browser another one.
        session::look_again(&session::of(self.request));
        Ok(None)
    }

    fn clear_remember_cookie(&self) {
        if cookies::carries(self.request, &self.kind.remember.name) {
            self.state
                .set_remember_cookie(self.index, self.kind.remember.clear());
        }
    }
}

/// Whether there is nowhere to look but in the session.
pub(crate) fn has_no_other_source(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
    index: usize,
) -> bool {
    let loader = manager.request_loader.as_ref();
    !cookies::carries(request, &kind.remember.name)
        && loader.is_none_or(|(loads, _)| *loads != index)
}
