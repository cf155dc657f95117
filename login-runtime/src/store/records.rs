//! The login records of a manager: stored at log in, looked up by each request, ended at log out.
//!
//! 1. A login is valid as long as its record exists and has not expired. Without a record, a session
//!    identifies no user.
//! 2. A login that replaces another is stored first; the old one ends last. If the store fails in
//!    between, the user keeps the old login.
//! 3. A login that gets a new id fails if its old record has ended in the meantime, so a log out that
//!    ran at the same time stays final.
//! 4. A login that is unused for too long does not count towards the limit of logins, nor does an
//!    older login of the browser that a remember token restores.
//! 5. A user's remembered browsers, and the notes about the user's ended sessions, are limited too.
//! 6. When the limit ends a login, its family of remember tokens ends too; otherwise a token would
//!    restore that login, and end another in turn.
//! 7. A log out ends the login and its family, even if the client disconnects.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::{
    core::{
        CLOCK_SKEW, FIRST_GENERATION, FamilyKey, Inserted, Limits, LoginKey, LoginOwner,
        LoginRecord, LoginSelector, MaxLogins, Presented, Remembering, TokenFamily, remember,
    },
    error::{LoginError, StoreError},
    keys::{self, LoginToken},
    measure::Operation,
    store::{
        deadline::{self, TimedStore},
        login_store::LoginStore,
    },
};

/// The maximum length of a stored user agent, in bytes.
///
/// Raising it makes records longer; lowering it may cut off what tells browsers apart, which is near
/// the start.
const MAX_AGENT: usize = 256;

/// How many times a token is redeemed until no other request changes its family meanwhile.
///
/// Two are enough for a browser, because each failure means that another request succeeded. Raising
/// it makes an error less likely under many parallel requests; lowering it fails them sooner.
const CLAIMS: usize = 8;

/// Where records are kept, and for how long.
pub(crate) struct Records {
    pub(crate) store: TimedStore,
    pub(crate) limits: Limits,
    pub(crate) max: Option<MaxLogins>,
    /// How old a login that was found for authentication may be, if the store has a cache.
    pub(crate) cached_for: Option<Duration>,
    /// When unused logins were last purged to make room in a full store.
    pub(crate) relieved_at: AtomicI64,
}

/// Identifies the record of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginRef {
    pub(crate) key: LoginKey,
    pub(crate) family: Option<FamilyKey>,
}

impl LoginRef {
    /// The family of the browser's remember tokens.
    pub(crate) fn tokens(&self) -> Option<FamilyKey> {
        self.family.filter(FamilyKey::has_tokens)
    }

    /// A key that stays the same when the login continues under a new id: that of its remember tokens, or
    /// the one that it shares with its successors.
    pub(crate) fn lasting(&self) -> FamilyKey {
        self.family.unwrap_or_else(|| self.goes_on())
    }

    /// The key that a login without remember tokens shares with its successors.
    pub(crate) fn goes_on(&self) -> FamilyKey {
        let family = self.family.filter(|family| !family.has_tokens());
        family.unwrap_or_else(|| FamilyKey::of_login(self.key))
    }

    /// The login as it continues without remember tokens.
    pub(crate) fn without_tokens(self) -> Self {
        let family = Some(self.goes_on());
        Self { family, ..self }
    }
}

/// A login of a browser that has these remember tokens, for an event that knows only them.
pub(crate) fn of_family(family: FamilyKey) -> LoginRef {
    LoginRef {
        key: LoginKey::from_bytes([0; 32]),
        family: Some(family),
    }
}

/// What ends because a new login replaces it.
pub(crate) struct Replaced {
    pub(crate) login: Option<LoginKey>,
    pub(crate) is_same_user: bool,
    pub(crate) families: Vec<FamilyKey>,
    /// Whether the new login continues the old one, and so fails if that has ended meanwhile.
    pub(crate) goes_on: bool,
}

/// The client of a login, as its record describes it.
pub(crate) struct Client<'a> {
    pub(crate) identity: u64,
    pub(crate) user_agent: &'a str,
    pub(crate) address: String,
}

/// The part of a new record that does not follow from the request and the limits.
pub(crate) struct NewLogin<'a> {
    pub(crate) user_type: &'a str,
    pub(crate) user_id: String,
    pub(crate) authenticated_at: i64,
    pub(crate) fresh: bool,
    pub(crate) allow_inactive: bool,
    pub(crate) method: &'a str,
    pub(crate) hash: Option<String>,
    pub(crate) family: Option<FamilyKey>,
    /// The generation of the remember token that the response sends together with the login, if no
    /// request has shown yet that a browser has it.
    pub(crate) unseen_token: Option<i64>,
    /// When the login expires, if that is before the absolute limit.
    pub(crate) not_after: Option<i64>,
    /// Whether a remember token restored the login.
    pub(crate) is_restored: bool,
}

impl Records {
    /// Stores the record of a new login.
    pub(crate) async fn insert(
        &self,
        id: &LoginToken,
        login: NewLogin<'_>,
        max: Option<MaxLogins>,
        client: Client<'_>,
        now: i64,
    ) -> Result<(LoginRef, Inserted), StoreError> {
        let expires_at = self.limits.expires_at(now);
        let is_restored = login.is_restored;
        let record = LoginRecord {
            user_type: login.user_type.to_owned(),
            user_id: login.user_id,
            created_at: now,
            authenticated_at: login.authenticated_at,
            last_seen: now,
            expires_at: login.not_after.map_or(expires_at, |at| at.min(expires_at)),
            fresh: login.fresh,
            allow_inactive: login.allow_inactive,
            method: login.method.to_owned(),
            client: client.identity,
            user_agent: cut(client.user_agent, MAX_AGENT).to_owned(),
            address: client.address,
            hash: login.hash,
            family: login.family,
            unseen_token: login.unseen_token,
        };
        let key = id.key();
        if is_restored {
            self.make_room(key, &record, remember::GRACE, now).await?;
        }
        // Most users are below the limit, so that nothing has to be listed.
        let if_below = max.map(|max| MaxLogins::Refuse(max.limit()));
        let mut before = Vec::new();
        let mut inserted = self.insert_once(key, &record, if_below, now).await?;
        if inserted == Inserted::Refused {
            let age = remember::GRACE - CLOCK_SKEW;
            before = self.make_room(key, &record, age, now).await?;
            inserted = self.insert_once(key, &record, max, now).await?;
        }
        if matches!(inserted, Inserted::Done { ended } if ended > 0) {
            self.end_families_of_ended(before, &record, now).await?;
        }
        let family = record.family;
        Ok((LoginRef { key, family }, inserted))
    }

    /// Stores a record. If the store is full, deletes unused logins first.
    async fn insert_once(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        match self.store.insert(key, record, max, now).await {
            Err(error) if error.is_full() && self.purge_unused(now).await? => {
                self.store.insert(key, record, max, now).await
            }
            answer => answer,
        }
    }

    /// Deletes up to about `batch` rows that have been over for [`KEPT_FOR`]. Returns how many.
    pub(crate) async fn purge(&self, now: i64, batch: u32) -> Result<u64, StoreError> {
        let then = now.saturating_sub(KEPT_FOR);
        let idle_since = self.limits.idle_since(then);
        static PURGE: Operation = Operation::new("purge");
        self.store
            .call_long(&PURGE, |store| store.purge(then, idle_since, batch))
            .await
    }

    /// Deletes the logins in a full store that were unused for too long. Returns whether there were
    /// any.
    async fn purge_unused(&self, now: i64) -> Result<bool, StoreError> {
        // Once a second is enough: no other login exceeds the idle limit before the clock moves.
        if self.relieved_at.swap(now, Ordering::Relaxed) == now {
            return Ok(false);
        }
        let idle_since = self.limits.idle_since(now);
        Ok(self.store.purge(now, idle_since, u32::MAX).await? > 0)
    }

    /// Ends the logins that must not count against a new one: those that were unused for too long,
    /// and those of the browser whose login it restores, if they are older than `age`. Returns the
    /// others.
    async fn make_room(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        age: i64,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        let logins = self.store.list(record.owner(), now).await?;
        let mut others = Vec::with_capacity(logins.len());
        for (other, login) in logins {
            // A login that was made just now stays: another request of the browser may have confirmed
            // it.
            let same_browser = login.family.is_some()
                && login.family == record.family
                && other != key
                && login.created_at < now.saturating_sub(age);
            if same_browser || self.limits.is_idle(login.last_seen, now) {
                self.store.end(other).await?;
            } else {
                others.push((other, login));
            }
        }
        Ok(others)
    }

    /// Ends the families of the logins that ended to make room. Their tokens would restore these
    /// logins, and end others in turn.
    async fn end_families_of_ended(
        &self,
        before: Vec<(LoginKey, LoginRecord)>,
        record: &LoginRecord,
        now: i64,
    ) -> Result<(), StoreError> {
        let after = self.store.list(record.owner(), now).await?;
        for (key, login) in before {
            let has_ended = after.iter().all(|(other, _)| *other != key);
            if let Some(family) = login.family
                && has_ended
                && record.family != Some(family)
            {
                self.end_family(family).await?;
            }
        }
        Ok(())
    }

    /// Ends a family and its logins. Returns how many logins ended.
    pub(crate) async fn end_family(&self, key: FamilyKey) -> Result<u64, StoreError> {
        self.store.end_many(LoginSelector::Family(key)).await
    }

    /// Stores the record of a login that replaces others.
    ///
    /// The others end last, so that the user keeps them if the store fails in between. Also returns how many
    /// logins ended because the user has too many.
    pub(crate) async fn replace(
        &self,
        replaces: Replaced,
        id: &LoginToken,
        login: NewLogin<'_>,
        client: Client<'_>,
        now: i64,
    ) -> Result<(LoginRef, u64), LoginError> {
        // The old login still counts, and must not make a third login end.
        let more = u32::from(replaces.login.is_some() && replaces.is_same_user);
        let max = self.max.map(|max| match max {
            MaxLogins::EndOldest(limit) => MaxLogins::EndOldest(limit.saturating_add(more)),
            MaxLogins::Refuse(limit) => MaxLogins::Refuse(limit.saturating_add(more)),
        });
        let (user_type, user_id) = (login.user_type, login.user_id.clone());
        let (login, inserted) = self.insert(id, login, max, client, now).await?;
        let mut ended = match inserted {
            Inserted::Done { ended } => ended,
            Inserted::Refused => return Err(LoginError::TooManyLogins),
        };
        for family in replaces.families {
            self.end_family(family).await?;
        }
        if let Some(old) = replaces.login
            && !self.store.end(old).await?
        {
            if replaces.goes_on {
                // Another request ended the login; it must not continue under a new id.
                self.store.end(login.key).await?;
                return Err(LoginError::NotLoggedIn);
            }
            if more > 0 {
                // Another request replaced the same login, so there may be one login too many.
                let owner = LoginOwner {
                    user_type,
                    user_id: &user_id,
                };
                ended += self.enforce(login, owner, now).await?;
            }
        }
        Ok((login, ended))
    }

    /// Ends the logins that exceed the limit: the oldest, or else the new one, which is then refused. Returns
    /// how many others ended.
    async fn enforce(
        &self,
        login: LoginRef,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<u64, LoginError> {
        let Some(max) = self.max else {
            return Ok(0);
        };
        let (limit, ends_oldest) = (max.limit(), matches!(max, MaxLogins::EndOldest(_)));
        let logins = self.store.list(owner, now).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if logins.len() > limit && !ends_oldest {
            self.store.end(login.key).await?;
            return Err(LoginError::TooManyLogins);
        }
        // The list has the newest first.
        let mut ended = 0;
        for (key, _) in logins.into_iter().skip(limit) {
            ended += u64::from(self.store.end(key).await?);
        }
        Ok(ended)
    }

    /// Records that the remember token which was sent together with this login has arrived: using the
    /// token before it is theft from now on.
    ///
    /// A failure is only logged: the next request of the login tries again.
    pub(crate) async fn note_arrival(&self, key: LoginKey, now: i64) {
        let _ = self.store.token_arrived(key, now).await;
    }

    /// Records that a login was used.
    ///
    /// A failure is only logged, because the store has just confirmed the login of the request.
    pub(crate) async fn touch(&self, key: LoginKey, now: i64) {
        let _ = self.store.touch(key, now).await;
    }

    /// Ends the logins of a user who may not be logged in any more, and the user's families, so that
    /// none of them comes back if the user is allowed again later (ASVS 7.4.2).
    ///
    /// Logins that the application allowed although the user was inactive stay.
    pub(crate) async fn end_inactive(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<(), StoreError> {
        let logins = self.store.list(owner, now).await?;
        let (allowed, ended): (Vec<_>, Vec<_>) = logins
            .into_iter()
            .partition(|(_, login)| login.allow_inactive);
        let (but, but_family) = match &*allowed {
            [] => (None, None),
            [(key, login)] => (Some(*key), login.family),
            _ => {
                for (key, login) in ended {
                    let family = login.family;
                    self.end(LoginRef { key, family }).await?;
                }
                return Ok(());
            }
        };
        let which = LoginSelector::Of {
            owner,
            but,
            but_family,
        };
        self.store.end_many(which).await?;
        Ok(())
    }

    /// Ends a login and its family.
    ///
    /// Completes even if the client disconnects, because half a log out would leave the user logged
    /// in.
    pub(crate) async fn end(&self, login: LoginRef) -> Result<(), StoreError> {
        let store = self.store.clone();
        let ending = async move {
            // The family ends its logins too. It may have ended before this login did.
            let ended = match login.family {
                Some(family) => store.end_many(LoginSelector::Family(family)).await?,
                None => 0,
            };
            if ended == 0 && !store.end(login.key).await? {
                // The login may continue under a new id.
                let successors = FamilyKey::of_login(login.key);
                store.end_many(LoginSelector::Family(successors)).await?;
            }
            Ok(())
        };
        deadline::spawn(ending).await.map_err(StoreError::new)?
    }

    /// Records that a browser has given up the login cookie of this login, so that a late response
    /// does not remove the cookie of its next login.
    ///
    /// A failure is only logged: a late response may then remove that cookie.
    pub(crate) async fn revoke(&self, login: LoginKey, owner: LoginOwner<'_>, now: i64) {
        let until = now.saturating_add(REVOKED_FOR);
        let _ = self.revoke_session(login, owner, until).await;
    }

    /// Records that a session of this user has ended. The id of an unknown user is empty.
    pub(crate) async fn revoke_session(
        &self,
        session: LoginKey,
        owner: LoginOwner<'_>,
        until: i64,
    ) -> Result<(), StoreError> {
        let max = if owner.user_id.is_empty() {
            MAX_REVOKED_OF_UNKNOWN
        } else {
            MAX_REVOKED
        };
        self.store.revoke_session(session, owner, until, max).await
    }

    /// Ends the user's families beyond the limit of logins: those that were not used for the longest
    /// time.
    ///
    /// A failure is only logged, because the user has just logged in; the next log in tries again.
    pub(crate) async fn limit_families(&self, owner: LoginOwner<'_>) {
        let Some(max) = self.max else {
            return;
        };
        let keep = max.limit().max(1);
        let _ = self.store.end_oldest_families(owner, keep).await;
    }

    /// Whether a browser gave up one of these logins after a request with its cookie arrived, or so
    /// shortly before that the request was already on its way.
    pub(crate) async fn any_was_given_up(
        &self,
        logins: &[LoginKey],
        arrived: i64,
    ) -> Result<bool, StoreError> {
        let then = arrived.saturating_add(REVOKED_FOR - LATE_FOR);
        for &login in logins {
            if self.store.is_session_revoked(login, then).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores a new family, for a browser that will be remembered.
    pub(crate) async fn insert_family(
        &self,
        user_type: &str,
        user_id: &str,
        authenticated_at: i64,
        now: i64,
        age: Duration,
        hash: Option<String>,
    ) -> Result<(FamilyKey, TokenFamily), StoreError> {
        let key = FamilyKey::with_tokens(keys::random_16().map_err(StoreError::new)?);
        let family = TokenFamily {
            user_type: user_type.to_owned(),
            user_id: user_id.to_owned(),
            seed: keys::random_16().map_err(StoreError::new)?,
            version: 1,
            generation: FIRST_GENERATION,
            rotated_at: now,
            seen_at: None,
            restored_at: None,
            authenticated_at,
            expires_at: now.saturating_add_unsigned(age.as_secs()),
            lifetime: i64::try_from(age.as_secs()).unwrap_or(i64::MAX),
            hash,
        };
        self.store.insert_family(key, &family).await?;
        Ok((key, family))
    }

    /// Finds a family whose current token has this generation, and for which `proves` returns `true`.
    async fn find_current(
        &self,
        key: FamilyKey,
        generation: i64,
        now: i64,
        proves: impl Fn(&TokenFamily) -> bool,
    ) -> Result<Option<TokenFamily>, StoreError> {
        let family = self.store.find_family(key, now).await?;
        Ok(family.filter(|family| family.generation == generation && proves(family)))
    }

    /// Stores a changed family, unless another request has changed it since it was found. That
    /// request has then made the same change, or the next one makes it.
    async fn update_family(
        &self,
        key: FamilyKey,
        found: &TokenFamily,
        change: impl FnOnce(&mut TokenFamily),
    ) -> Result<(), StoreError> {
        let mut next = found.clone();
        next.version += 1;
        change(&mut next);
        self.store
            .update_family_if(key, found.version, &next)
            .await?;
        Ok(())
    }

    /// Extends a family to its whole lifetime from now on, if its current token was presented, but not
    /// beyond the end of remembering. Returns the family, and when it ends.
    ///
    /// Writes the row at most once a minute.
    pub(crate) async fn prolong(
        &self,
        key: FamilyKey,
        generation: i64,
        now: i64,
        remembering: &Remembering,
        proves: impl Fn(&TokenFamily) -> bool,
    ) -> Result<Option<(TokenFamily, i64)>, StoreError> {
        let family = self.find_current(key, generation, now, proves).await?;
        let family = family.map(|family| {
            let end = remembering.prolonged(now, family.authenticated_at, family.lifetime);
            (family, end)
        });
        if let Some((family, expires_at)) = &family {
            let expires_at = *expires_at;
            if expires_at.saturating_sub(family.expires_at) >= 60 {
                self.update_family(key, family, |next| next.expires_at = expires_at)
                    .await?;
            }
        }
        Ok(family)
    }

    /// Redeems a token of a family: reads the family, decides, and stores the decision, and starts
    /// over if another request has changed the family meanwhile.
    ///
    /// `proves` checks, with the seed of the family, that the token is the one of its generation.
    pub(crate) async fn redeem(
        &self,
        key: FamilyKey,
        generation: i64,
        now: i64,
        proves: impl Fn(&TokenFamily) -> bool,
    ) -> Result<Redeemed, StoreError> {
        for _ in 0..CLAIMS {
            // Only a genuine token can have been stolen, so this comes before the check for theft.
            let Some(family) = self.store.find_family(key, now).await?.filter(&proves) else {
                return Ok(Redeemed::Worthless);
            };
            let (family, at, send) = match remember::present(&family, generation, now) {
                Presented::Unknown => return Ok(Redeemed::Worthless),
                Presented::Theft => {
                    self.end_family(key).await?;
                    return Ok(Redeemed::Theft(family));
                }
                Presented::Share { at, send } => (family, at, send),
                Presented::Restore { next, send } => {
                    let update = self.store.update_family_if(key, family.version, &next);
                    if !update.await? {
                        continue;
                    }
                    (next, now, send)
                }
            };
            return Ok(Redeemed::Good { family, at, send });
        }
        Err(StoreError::new(
            "other requests kept redeeming the same remember token",
        ))
    }
}

/// The outcome of redeeming a token.
pub(crate) enum Redeemed {
    /// The token is valid: `family` is the current row, and its login was restored at `at`.
    Good {
        family: TokenFamily,
        at: i64,
        send: bool,
    },
    /// There is no such family, or the token does not belong to it.
    Worthless,
    /// The token had been replaced before, so a copy of it was used. The family has ended.
    Theft(TokenFamily),
}

/// The start of a text, at most `max` bytes long.
fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// How many seconds a store remembers that a session was revoked: as long as a late request can
/// reasonably take.
///
/// Raising it stores more revocations; lowering it lets requests that take longer restore revoked
/// sessions. Seven days also outlast most copies of a cookie.
pub(crate) const REVOKED_FOR: i64 = 7 * 24 * 60 * 60;

/// How many seconds a purge keeps rows that are over.
///
/// The clock of the node that purges may be ahead of the clocks of others, for which the rows are still
/// valid. Raising it tolerates worse clocks; lowering it frees space sooner.
const KEPT_FOR: i64 = 60 * 60;

/// How many ended sessions of a user a store remembers at most. If there are more, a copy of an older
/// session's cookie has its data again, but no login.
///
/// Raising it keeps the data of more sessions away from copies; lowering it limits how much of the store
/// a user can fill by logging in and out.
const MAX_REVOKED: u32 = 100;

/// The same for all sessions whose user is not known when they end.
const MAX_REVOKED_OF_UNKNOWN: u32 = 10_000;

/// How many seconds after the end of a session a request with its cookie still counts as late.
///
/// Raising it covers slower networks. But for that long, a browser that never received the response
/// which ended its session cannot write to a new one.
///
/// It is a minute, and as much as the clocks of two nodes may differ.
pub(crate) const LATE_FOR: i64 = 60 + CLOCK_SKEW;
