//! A login store whose calls a test can count, hold up, and let fail.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use login_runtime::{
    store::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore,
        MaxLogins, SessionCheck, StoreError, TokenFamily,
    },
    throttle::AnyThrottleStore,
};

use tokio::sync::Barrier;

use super::{Gate, places::LoginsThere};

/// A call of a login store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Insert,
    Find,
    Touch,
    MakeStale,
    End,
    EndMany,
    List,
    InsertFamily,
    EndOldestFamilies,
    FindFamily,
    ClaimFamily,
    TokenArrived,
    Purge,
    BurySession,
    IsBuried,
}

/// Before a call reaches the store, or after it, before the caller gets the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// The start or the end of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) call: Call,
    pub(crate) when: When,
    /// The number of the call since the hook was set; the first is 1.
    pub(crate) nth: usize,
}

type Held = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;
type Hook = Arc<dyn Fn(Moment) -> Held + Send + Sync>;

/// A login store with hooks; clones share the store.
#[derive(Clone)]
pub(crate) struct Probe(Arc<Inner>);

struct Inner {
    store: LoginsThere,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    nth: usize,
    hook: Option<Hook>,
    /// The families as they were when they were claimed.
    claimed: Vec<TokenFamily>,
    /// Every login that was inserted, if logins that have ended are found too.
    ended: Option<HashMap<LoginKey, LoginRecord>>,
    /// Whether a session is checked together with its login.
    together: bool,
    /// The login that was inserted last.
    inserted: Option<(LoginKey, LoginRecord)>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("store", &self.0.store)
            .finish_non_exhaustive()
    }
}

impl Probe {
    pub(crate) fn new(store: LoginsThere) -> Self {
        Self(Arc::new(Inner {
            store,
            state: Mutex::default(),
        }))
    }

    /// The store behind.
    pub(crate) fn store(&self) -> &LoginsThere {
        &self.0.store
    }

    /// Calls `hook` before and after each call from now on. The caller gets an error of the hook as if
    /// it were the store's.
    pub(crate) fn on<F>(&self, hook: impl Fn(Moment) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let mut state = self.0.state.lock().unwrap();
        state.nth = 0;
        state.hook = Some(Arc::new(move |moment| Box::pin(hook(moment))));
    }

    /// The next `many` calls of this kind wait for each other.
    pub(crate) fn meet(&self, many: usize, when: When, call: Call) {
        let barrier = Arc::new(Barrier::new(many));
        let left = AtomicUsize::new(many);
        self.on(move |moment| {
            let is_one = (moment.when, moment.call) == (when, call)
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok();
            let barrier = is_one.then(|| Arc::clone(&barrier));
            async move {
                if let Some(barrier) = barrier {
                    barrier.wait().await;
                }
                Ok(())
            }
        });
    }

    /// Does something before each call from now on.
    pub(crate) fn before_each<F>(&self, hook: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.on(move |moment| {
            let work = (moment.when == When::Before).then(&hook);
            async move {
                if let Some(work) = work {
                    work.await;
                }
                Ok(())
            }
        });
    }

    /// Finds logins that have ended, too, like a store that does not check it.
    pub(crate) fn find_ended(&self) {
        self.0.state.lock().unwrap().ended = Some(HashMap::new());
    }

    /// Tells about a session and its login at once, like a store in another process.
    pub(crate) fn check_together(&self) {
        self.0.state.lock().unwrap().together = true;
    }

    /// Removes the hook.
    pub(crate) fn off(&self) {
        self.0.state.lock().unwrap().hook = None;
    }

    /// The next call of this kind waits at the gate that is returned.
    pub(crate) fn hold(&self, when: When, call: Call) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        let once = Mutex::new(Some(Arc::clone(&gate)));
        self.on(move |moment| {
            let mut once = once.lock().unwrap();
            let held = once.take_if(|_| (moment.when, moment.call) == (when, call));
            async move {
                if let Some(gate) = held {
                    gate.pass().await;
                }
                Ok(())
            }
        });
        gate
    }

    /// Takes the calls since the last time, without `IsBuried`, which every request with a session in a
    /// cookie makes.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = std::mem::take(&mut self.0.state.lock().unwrap().calls);
        calls.retain(|call| *call != Call::IsBuried);
        calls
    }

    /// Takes the families that were claimed since the last time, as they were then.
    pub(crate) fn claimed(&self) -> Vec<TokenFamily> {
        std::mem::take(&mut self.0.state.lock().unwrap().claimed)
    }

    /// The login that was inserted last, as it was then.
    pub(crate) fn inserted(&self) -> (LoginKey, LoginRecord) {
        let state = self.0.state.lock().unwrap();
        state.inserted.clone().expect("a login was inserted")
    }

    async fn at(&self, moment: Moment) -> Result<(), StoreError> {
        let hook = self.0.state.lock().unwrap().hook.clone();
        match hook {
            Some(hook) => hook(moment).await,
            None => Ok(()),
        }
    }

    async fn watch<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let nth = {
            let mut state = self.0.state.lock().unwrap();
            state.calls.push(call);
            state.nth += 1;
            state.nth
        };
        let moment = |when| Moment { call, when, nth };
        self.at(moment(When::Before)).await?;
        let answer = work.await?;
        self.at(moment(When::After)).await?;
        Ok(answer)
    }
}

/// Calls a method of the store behind, of whatever type, between the hooks.
macro_rules! watched {
    ($self:ident, $call:ident: $method:ident($($arg:expr),*)) => {
        match &$self.0.store {
            LoginsThere::Memory(store) => $self.watch(Call::$call, store.$method($($arg),*)).await,
            #[cfg(feature = "sqlite")]
            LoginsThere::Sqlite(store, _) => {
                $self.watch(Call::$call, store.$method($($arg),*)).await
            }
            #[cfg(feature = "postgres")]
            LoginsThere::Postgres(store, _) => {
                $self.watch(Call::$call, store.$method($($arg),*)).await
            }
            #[cfg(feature = "redis")]
            LoginsThere::Redis(store, _) => {
                $self.watch(Call::$call, store.$method($($arg),*)).await
            }
        }
    };
}

impl LoginStore for Probe {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        {
            let mut state = self.0.state.lock().unwrap();
            state.inserted = Some((key, record.clone()));
            if let Some(ended) = &mut state.ended {
                ended.insert(key, record.clone());
            }
        }
        watched!(self, Insert: insert(key, record, max, now))
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let found = watched!(self, Find: find(key, now))?;
        let state = self.0.state.lock().unwrap();
        Ok(found.or_else(|| state.ended.as_ref()?.get(&key).cloned()))
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        watched!(self, Touch: touch(key, last_seen))
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        watched!(self, MakeStale: make_stale(key))
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        watched!(self, End: end(key))
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        watched!(self, EndMany: end_many(which))
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        watched!(self, List: list(owner, now))
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        watched!(self, InsertFamily: insert_family(key, family))
    }

    async fn end_oldest_families(
        &self,
        owner: LoginOwner<'_>,
        keep: u32,
    ) -> Result<u64, StoreError> {
        watched!(self, EndOldestFamilies: end_oldest_families(owner, keep))
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        watched!(self, FindFamily: find_family(key, now))
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        let claimed = watched!(self, ClaimFamily: update_family_if(key, expected, family))?;
        if claimed {
            let mut state = self.0.state.lock().unwrap();
            state.claimed.push(family.clone());
        }
        Ok(claimed)
    }

    async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
        watched!(self, TokenArrived: token_arrived(login, now))
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        watched!(self, Purge: purge(now, idle_since, limit))
    }

    async fn revoke_session(
        &self,
        session: LoginKey,
        owner: LoginOwner<'_>,
        until: i64,
        max: u32,
    ) -> Result<(), StoreError> {
        watched!(self, BurySession: revoke_session(session, owner, until, max))
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        watched!(self, IsBuried: is_session_revoked(session, now))
    }

    async fn check_session(
        &self,
        session: LoginKey,
        login: LoginKey,
        now: i64,
    ) -> Result<SessionCheck, StoreError> {
        if self.is_session_revoked(session, now).await? {
            return Ok(SessionCheck::Revoked);
        }
        if !self.0.state.lock().unwrap().together {
            return Ok(SessionCheck::Valid);
        }
        let found = self.find_for_auth(login, now).await?;
        Ok(SessionCheck::ValidWithLogin(found))
    }

    fn throttle_store(&self) -> Option<AnyThrottleStore> {
        self.store().throttle_store()
    }
}
