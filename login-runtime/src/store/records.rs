//! The login records of a manager: made at log in, looked up at each request, ended at log out.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::{
    core::{
        FamilyKey, Inserted, Limits, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        Presented, TokenFamily,
        remember::{self},
    },
    error::{LoginError, StoreError},
    keys::{self, LoginToken},
    store::deadline::{self, TimedStore},
};

/// How much of a user agent is kept for lists, in bytes. Raising it makes records longer; what tells
/// browsers apart stands at the start.
const MAX_AGENT: usize = 256;

/// How often a lost race for a family is run again. Each run means that another request won, so two
/// are enough for a browser; the rest is for tests that try harder.
const CLAIMS: usize = 8;

/// Where records are kept, and for how long.
pub(crate) struct Records {
    pub(crate) store: TimedStore,
    pub(crate) limits: Limits,
    pub(crate) max: Option<MaxLogins>,
    /// When a full store was last relieved of unused logins.
    pub(crate) relieved_at: AtomicI64,
}

/// The record that a login of this request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginRef {
    pub(crate) key: LoginKey,
    pub(crate) family: Option<FamilyKey>,
}

impl LoginRef {
    /// The family of remember tokens that the login's browser was given.
    pub(crate) fn tokens(&self) -> Option<FamilyKey> {
        self.family.filter(FamilyKey::has_tokens)
    }

    /// What a login shares with those it goes on as, if it has no tokens.
    pub(crate) fn goes_on(&self) -> FamilyKey {
        let family = self.family.filter(|family| !family.has_tokens());
        family.unwrap_or_else(|| FamilyKey::of_login(self.key))
    }
}

/// What ends because another login takes its place.
pub(crate) struct Replaced {
    pub(crate) login: Option<LoginKey>,
    pub(crate) is_same_user: bool,
    pub(crate) families: Vec<FamilyKey>,
    /// Whether the old login goes on as the new one, and not if it has ended meanwhile.
    pub(crate) goes_on: bool,
}

/// What a record says about the client of its login.
pub(crate) struct Client<'a> {
    pub(crate) identity: u64,
    pub(crate) user_agent: &'a str,
    pub(crate) address: String,
}

/// What is new about a login; the rest of its record follows from the request.
pub(crate) struct NewLogin<'a> {
    pub(crate) user_type: &'a str,
    pub(crate) user_id: String,
    pub(crate) authenticated_at: i64,
    pub(crate) fresh: bool,
    pub(crate) allow_inactive: bool,
    pub(crate) method: &'a str,
    pub(crate) hash: Option<String>,
    pub(crate) family: Option<FamilyKey>,
    /// When it is over at the latest, if that is before the absolute limit.
    pub(crate) not_after: Option<i64>,
}

impl Records {
    /// Stores the record of a login.
    pub(crate) async fn insert(
        &self,
        id: &LoginToken,
        login: NewLogin<'_>,
        max: Option<MaxLogins>,
        client: Client<'_>,
        now: i64,
    ) -> Result<(LoginRef, Inserted), StoreError> {
        let expires_at = self.limits.expires_at(now);
        let is_restored = login.not_after.is_some();
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
        };
        let key = id.key();
        let before = if max.is_some() || is_restored {
            self.make_room(key, &record, now).await?
        } else {
            Vec::new()
        };
        let insert = || {
            self.store
                .call(|store| store.insert(key, &record, max, now))
        };
        let inserted = match insert().await {
            Err(error) if error.is_full() && self.relieve(now).await? => insert().await?,
            answer => answer?,
        };
        if matches!(inserted, Inserted::Done { ended } if ended > 0) {
            self.end_families_of_ended(before, &record, now).await?;
        }
        Ok((
            LoginRef {
                key,
                family: record.family,
            },
            inserted,
        ))
    }

    /// Has a full store forget the logins that have gone unused for too long. Whether it did.
    async fn relieve(&self, now: i64) -> Result<bool, StoreError> {
        // Once a second is enough: no more is unused before the clock moves.
        if self.relieved_at.swap(now, Ordering::Relaxed) == now {
            return Ok(false);
        }
        let idle_since = self.limits.idle_since(now);
        Ok(self
            .store
            .call(|store| store.purge(now, idle_since, u32::MAX))
            .await?
            > 0)
    }

    /// Ends logins that must not count against a new one: those that have gone unused for too long,
    /// and those of the very browser that it restores. Returns the rest.
    async fn make_room(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        let logins = self
            .store
            .call(|store| store.list(record.owner(), now))
            .await?;
        let mut left = Vec::with_capacity(logins.len());
        for (other, login) in logins {
            // Not one that was made just now: another request of the browser may have confirmed it.
            let same_browser = login.family.is_some()
                && login.family == record.family
                && other != key
                && login.created_at < now.saturating_sub(remember::GRACE);
            if same_browser || self.limits.is_idle(login.last_seen, now) {
                self.store.call(|store| store.end(other)).await?;
            } else {
                left.push((other, login));
            }
        }
        Ok(left)
    }

    /// Forgets the browsers whose logins ended to make room: their tokens would restore them, and end
    /// others in turn.
    async fn end_families_of_ended(
        &self,
        before: Vec<(LoginKey, LoginRecord)>,
        record: &LoginRecord,
        now: i64,
    ) -> Result<(), StoreError> {
        let after = self
            .store
            .call(|store| store.list(record.owner(), now))
            .await?;
        for (key, login) in before {
            let ended = after.iter().all(|(other, _)| *other != key);
            if let Some(family) = login
                .family
                .filter(|family| ended && record.family != Some(*family))
            {
                self.store
                    .call(|store| store.end_many(LoginSelector::Family(family)))
                    .await?;
            }
        }
        Ok(())
    }

    /// Stores the record of a login that takes the place of others.
    ///
    /// What it replaces ends last, so that a store that fails in between takes nothing away.
    pub(crate) async fn replace(
        &self,
        replaces: Replaced,
        id: &LoginToken,
        login: NewLogin<'_>,
        client: Client<'_>,
        now: i64,
    ) -> Result<LoginRef, LoginError> {
        // The old login is still counted beside the new one, and must not cost another its place.
        let more = u32::from(replaces.login.is_some() && replaces.is_same_user);
        let max = self.max.map(|max| match max {
            MaxLogins::EndOldest(limit) => MaxLogins::EndOldest(limit.saturating_add(more)),
            MaxLogins::Refuse(limit) => MaxLogins::Refuse(limit.saturating_add(more)),
        });
        let (user_type, user_id) = (login.user_type, login.user_id.clone());
        let (login, inserted) = self.insert(id, login, max, client, now).await?;
        if inserted == Inserted::Refused {
            return Err(LoginError::TooManyLogins);
        }
        for family in replaces.families {
            self.store
                .call(|store| store.end_many(LoginSelector::Family(family)))
                .await?;
        }
        if let Some(old) = replaces.login
            && !self.store.call(|store| store.end(old)).await?
        {
            if replaces.goes_on {
                // Somebody was first: what has ended does not come back under another id.
                self.store.call(|store| store.end(login.key)).await?;
                return Err(LoginError::NotLoggedIn);
            }
            if more > 0 {
                // Somebody else has taken the same place.
                let owner = LoginOwner {
                    user_type,
                    user_id: &user_id,
                };
                self.enforce(login, owner, now).await?;
            }
        }
        Ok(login)
    }

    /// Ends what is more than the limit allows.
    async fn enforce(
        &self,
        login: LoginRef,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<(), LoginError> {
        let (limit, ends_oldest) = match self.max {
            None => return Ok(()),
            Some(MaxLogins::EndOldest(limit)) => (limit.max(1), true),
            Some(MaxLogins::Refuse(limit)) => (limit, false),
        };
        let logins = self.store.call(|store| store.list(owner, now)).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if logins.len() > limit && !ends_oldest {
            self.store.call(|store| store.end(login.key)).await?;
            return Err(LoginError::TooManyLogins);
        }
        // They come newest first.
        for (key, _) in logins.into_iter().skip(limit) {
            self.store.call(|store| store.end(key)).await?;
        }
        Ok(())
    }

    /// Finds a login that is not over.
    pub(crate) async fn find(
        &self,
        key: LoginKey,
        now: i64,
    ) -> Result<Option<LoginRecord>, StoreError> {
        self.store.call(|store| store.find(key, now)).await
    }

    /// Notes that the current token of a family has arrived in its browser.
    pub(crate) async fn note_seen(
        &self,
        key: FamilyKey,
        generation: i64,
        now: i64,
        proves: impl Fn(&TokenFamily) -> bool,
    ) -> Result<(), StoreError> {
        let family = self.find_family(key, now).await?;
        let is_news = |family: &TokenFamily| {
            family.generation == generation && family.seen_at.is_none() && proves(family)
        };
        if let Some(family) = family.filter(is_news) {
            let next = TokenFamily {
                version: family.version + 1,
                seen_at: Some(now),
                ..family.clone()
            };
            // A lost race means that another request wrote the row; the next one notes it.
            self.store
                .call(|store| store.update_family_if(key, family.version, &next))
                .await?;
        }
        Ok(())
    }

    /// Notes that a login was used. A store that does not take the note is no reason to refuse the
    /// request, whose login it has just confirmed.
    pub(crate) async fn touch(&self, key: LoginKey, now: i64) {
        if let Err(error) = self.store.call(|store| store.touch(key, now)).await {
            tracing::warn!(target: "login", event = "touch_failed", reason = ?error);
        }
    }

    /// Ends a login, and the family it belongs to.
    ///
    /// Runs to its end even if the client hangs up: half a log out is none.
    pub(crate) async fn end(&self, login: LoginRef) -> Result<(), StoreError> {
        let store = self.store.clone();
        let ending = async move {
            let ended = match login.family {
                // The login was born of it, and ends with it.
                Some(family) => {
                    store
                        .call(|store| store.end_many(LoginSelector::Family(family)))
                        .await?
                }
                None => 0,
            };
            // Unless the family was over before.
            if ended == 0 && !store.call(|store| store.end(login.key)).await? {
                // Nor was the login there: if it goes on under another id, that ends.
                let family = FamilyKey::of_login(login.key);
                store
                    .call(|store| store.end_many(LoginSelector::Family(family)))
                    .await?;
            }
            Ok(())
        };
        match deadline::spawn(ending).await {
            Ok(ended) => ended,
            Err(error) => Err(StoreError::new(error)),
        }
    }

    /// Notes that a browser has given up the login cookie of this login, so that a late response does
    /// not take the next one away. Without the note that may happen; it is no reason to fail.
    pub(crate) async fn revoke(&self, login: LoginKey, now: i64) {
        let until = now.saturating_add(REVOKED_FOR);
        let revoked = self
            .store
            .call(|store| store.revoke_session(login, until))
            .await;
        if let Err(error) = revoked {
            tracing::warn!(target: "login", event = "revocation_failed", reason = ?error);
        }
    }

    /// Whether a browser has given up one of these logins after a request with its cookie arrived, or
    /// so short a time before that it was under way by then.
    pub(crate) async fn any_was_given_up(
        &self,
        logins: &[LoginKey],
        arrived: i64,
    ) -> Result<bool, StoreError> {
        let then = arrived.saturating_add(REVOKED_FOR - LATE_FOR);
        for &login in logins {
            if self
                .store
                .call(|store| store.is_session_revoked(login, then))
                .await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes a family for a browser that is to be remembered.
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
            generation: 1,
            rotated_at: now,
            seen_at: None,
            restored_at: None,
            authenticated_at,
            expires_at: now.saturating_add_unsigned(age.as_secs()),
            lifetime: i64::try_from(age.as_secs()).unwrap_or(i64::MAX),
            hash,
        };
        self.store
            .call(|store| store.insert_family(key, &family))
            .await?;
        Ok((key, family))
    }

    /// Finds a family that is not over.
    pub(crate) async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        self.store.call(|store| store.find_family(key, now)).await
    }

    /// Makes a family last for its whole lifetime from now on, if its current token was presented.
    ///
    /// The row is written at most once a minute; a lost race means that another request did it.
    pub(crate) async fn prolong(
        &self,
        key: FamilyKey,
        generation: i64,
        now: i64,
        proves: impl Fn(&TokenFamily) -> bool,
    ) -> Result<Option<TokenFamily>, StoreError> {
        let family = self.find_family(key, now).await?;
        let is_current = |family: &TokenFamily| family.generation == generation && proves(family);
        let Some(family) = family.filter(is_current) else {
            return Ok(None);
        };
        let expires_at = now.saturating_add(family.lifetime);
        if expires_at.saturating_sub(family.expires_at) >= 60 {
            let next = TokenFamily {
                version: family.version + 1,
                expires_at,
                ..family.clone()
            };
            self.store
                .call(|store| store.update_family_if(key, family.version, &next))
                .await?;
        }
        Ok(Some(family))
    }

    /// Redeems a token of a family: looks, decides, and claims, until no other request interferes.
    ///
    /// `proves` is asked whether the token is the one of its generation, now that the seed is known.
    pub(crate) async fn redeem(
        &self,
        key: FamilyKey,
        generation: i64,
        now: i64,
        proves: impl Fn(&TokenFamily) -> bool,
    ) -> Result<Redeemed, StoreError> {
        for _ in 0..CLAIMS {
            let Some(family) = self.find_family(key, now).await? else {
                return Ok(Redeemed::Worthless);
            };
            // Only a genuine token can be theft.
            if !proves(&family) {
                return Ok(Redeemed::Worthless);
            }
            match remember::present(&family, generation, now) {
                Presented::Unknown => return Ok(Redeemed::Worthless),
                Presented::Theft => {
                    self.store
                        .call(|store| store.end_many(LoginSelector::Family(key)))
                        .await?;
                    return Ok(Redeemed::Theft(family));
                }
                Presented::Share(at) => {
                    return Ok(Redeemed::Good {
                        family,
                        at,
                        send: false,
                    });
                }
                Presented::Restore { next, send } => {
                    let claimed = self
                        .store
                        .call(|store| store.update_family_if(key, family.version, &next))
                        .await?;
                    if claimed {
                        return Ok(Redeemed::Good {
                            family: next,
                            at: now,
                            send,
                        });
                    }
                }
            }
        }
        Err(StoreError::new(
            "other requests with the same remember token kept getting in the way",
        ))
    }
}

/// What redeeming a token came to.
pub(crate) enum Redeemed {
    /// The family is as it says now, and its login was restored at `at`.
    Good {
        family: TokenFamily,
        at: i64,
        send: bool,
    },
    /// There is no such family, or the token is not of it.
    Worthless,
    /// Somebody used a token that the browser had given up; the family has ended.
    Theft(TokenFamily),
}

/// The start of a text, at most so many bytes long.
fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// How long a note that a session ended is kept: as long as a late request can reasonably take.
///
/// Raising it keeps more notes; lowering it lets requests that take longer bring sessions back. Seven
/// days also outlast most copies of a cookie.
pub(crate) const REVOKED_FOR: i64 = 7 * 24 * 60 * 60;

/// For how long after the end of a session a request that comes with its cookie counts as late.
///
/// Raising it covers slower networks; but for as long a browser that never got the answer which ended
/// its session cannot write into a new one.
pub(crate) const LATE_FOR: i64 = 60;
