//! A store of any type, and a deadline for each call.

use std::{
    cell::Cell,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    task::JoinError,
    time::{Instant, timeout},
};

use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        TokenFamily,
    },
    error::StoreError,
    store::login_store::LoginStore,
};

pub(crate) type StoreFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`LoginStore`] with its futures boxed, so that a manager need not be generic over it.
pub(crate) trait DynLoginStore: Send + Sync {
    fn insert<'a>(
        &'a self,
        key: LoginKey,
        record: &'a LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> StoreFuture<'a, Inserted>;
    fn find(&self, key: LoginKey, now: i64) -> StoreFuture<'_, Option<LoginRecord>>;
    fn find_for_auth(&self, key: LoginKey, now: i64) -> StoreFuture<'_, Option<LoginRecord>>;
    fn touch(&self, key: LoginKey, last_seen: i64) -> StoreFuture<'_, ()>;
    fn make_stale(&self, key: LoginKey) -> StoreFuture<'_, ()>;
    fn end(&self, key: LoginKey) -> StoreFuture<'_, bool>;
    fn end_many<'a>(&'a self, which: LoginSelector<'a>) -> StoreFuture<'a, u64>;
    fn list<'a>(
        &'a self,
        owner: LoginOwner<'a>,
        now: i64,
    ) -> StoreFuture<'a, Vec<(LoginKey, LoginRecord)>>;
    fn insert_family<'a>(&'a self, key: FamilyKey, family: &'a TokenFamily) -> StoreFuture<'a, ()>;
    fn find_family(&self, key: FamilyKey, now: i64) -> StoreFuture<'_, Option<TokenFamily>>;
    fn update_family_if<'a>(
        &'a self,
        key: FamilyKey,
        expected: i64,
        family: &'a TokenFamily,
    ) -> StoreFuture<'a, bool>;
    fn purge(&self, now: i64, idle_since: Option<i64>, limit: u32) -> StoreFuture<'_, u64>;
    fn revoke_session(&self, session: LoginKey, until: i64) -> StoreFuture<'_, ()>;
    fn is_session_revoked(&self, session: LoginKey, now: i64) -> StoreFuture<'_, bool>;
}

impl<S: LoginStore> DynLoginStore for S {
    fn insert<'a>(
        &'a self,
        key: LoginKey,
        record: &'a LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> StoreFuture<'a, Inserted> {
        Box::pin(LoginStore::insert(self, key, record, max, now))
    }

    fn find(&self, key: LoginKey, now: i64) -> StoreFuture<'_, Option<LoginRecord>> {
        Box::pin(LoginStore::find(self, key, now))
    }

    fn find_for_auth(&self, key: LoginKey, now: i64) -> StoreFuture<'_, Option<LoginRecord>> {
        Box::pin(LoginStore::find_for_auth(self, key, now))
    }

    fn touch(&self, key: LoginKey, last_seen: i64) -> StoreFuture<'_, ()> {
        Box::pin(LoginStore::touch(self, key, last_seen))
    }

    fn make_stale(&self, key: LoginKey) -> StoreFuture<'_, ()> {
        Box::pin(LoginStore::make_stale(self, key))
    }

    fn end(&self, key: LoginKey) -> StoreFuture<'_, bool> {
        Box::pin(LoginStore::end(self, key))
    }

    fn end_many<'a>(&'a self, which: LoginSelector<'a>) -> StoreFuture<'a, u64> {
        Box::pin(LoginStore::end_many(self, which))
    }

    fn list<'a>(
        &'a self,
        owner: LoginOwner<'a>,
        now: i64,
    ) -> StoreFuture<'a, Vec<(LoginKey, LoginRecord)>> {
        Box::pin(LoginStore::list(self, owner, now))
    }

    fn insert_family<'a>(&'a self, key: FamilyKey, family: &'a TokenFamily) -> StoreFuture<'a, ()> {
        Box::pin(LoginStore::insert_family(self, key, family))
    }

    fn find_family(&self, key: FamilyKey, now: i64) -> StoreFuture<'_, Option<TokenFamily>> {
        Box::pin(LoginStore::find_family(self, key, now))
    }

    fn update_family_if<'a>(
        &'a self,
        key: FamilyKey,
        expected: i64,
        family: &'a TokenFamily,
    ) -> StoreFuture<'a, bool> {
        Box::pin(LoginStore::update_family_if(self, key, expected, family))
    }

    fn purge(&self, now: i64, idle_since: Option<i64>, limit: u32) -> StoreFuture<'_, u64> {
        Box::pin(LoginStore::purge(self, now, idle_since, limit))
    }

    fn revoke_session(&self, session: LoginKey, until: i64) -> StoreFuture<'_, ()> {
        Box::pin(LoginStore::revoke_session(self, session, until))
    }

    fn is_session_revoked(&self, session: LoginKey, now: i64) -> StoreFuture<'_, bool> {
        Box::pin(LoginStore::is_session_revoked(self, session, now))
    }
}

/// How long a login store may take for an answer unless told otherwise.
pub(crate) const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// How many times the limit of a call there is for one that goes through everything in the store.
///
/// Raising it lets larger stores be purged in one go; whoever asks for that waits for as long when the
/// store is down.
const PATIENCE: u32 = 30;

tokio::task_local! {
    /// How long this request has waited for answers that did not come.
    static WAITED_IN_VAIN: Cell<Duration>;
}

/// Runs one request, whose waiting for a store that is down is bounded as a whole.
pub(crate) async fn bounded<F: Future>(request: F) -> F::Output {
    WAITED_IN_VAIN.scope(Cell::default(), request).await
}

/// Runs a part of a request in a task of its own, which goes on even if the client hangs up.
pub(crate) async fn spawn<T: 'static>(
    part: impl Future<Output = T> + 'static,
) -> Result<T, JoinError> {
    let waited = Cell::new(waited_in_vain());
    let task = WAITED_IN_VAIN.scope(waited, async { (part.await, waited_in_vain()) });
    let (done, waited) = actix_web::rt::spawn(task).await?;
    let _ = WAITED_IN_VAIN.try_with(|before| before.set(waited));
    Ok(done)
}

/// Zero outside a request, as where an administrator ends logins.
fn waited_in_vain() -> Duration {
    WAITED_IN_VAIN.try_with(Cell::get).unwrap_or_default()
}

/// A store that answers in time or not at all.
#[derive(Clone)]
pub(crate) struct TimedStore {
    store: Arc<dyn DynLoginStore>,
    limit: Duration,
}

/// What a store says that took too long.
#[derive(Debug)]
pub(crate) struct TooSlow(Duration);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer within {:?}", self.0)
    }
}

impl std::error::Error for TooSlow {}

impl From<TooSlow> for StoreError {
    fn from(error: TooSlow) -> Self {
        Self::new(error)
    }
}

impl TimedStore {
    pub(crate) fn new(store: Arc<dyn DynLoginStore>, limit: Duration) -> Self {
        Self { store, limit }
    }

    /// Calls the store, and waits for the answer no longer than the limit.
    pub(crate) async fn call<'a, T>(
        &'a self,
        call: impl FnOnce(&'a dyn DynLoginStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        in_time(self.limit, call(&*self.store)).await?
    }

    /// Calls the store for something that may take longer, and that no browser waits for.
    pub(crate) async fn call_long<'a, T>(
        &'a self,
        call: impl FnOnce(&'a dyn DynLoginStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let limit = self.limit.saturating_mul(PATIENCE);
        let answer = timeout(limit, call(&*self.store)).await;
        answer.map_err(|_| TooSlow(limit))?
    }
}

/// Waits for work no longer than the limit, less what the request has waited in vain before.
pub(crate) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, TooSlow> {
    let left = limit.saturating_sub(waited_in_vain());
    if left.is_zero() {
        return Err(TooSlow(limit));
    }
    let mut work = pin!(work);
    // A store that answers at once, as one in memory does, needs no timer.
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        return Ok(done);
    }
    let started = Instant::now();
    timeout(left, work).await.map_err(|_| {
        let _ = WAITED_IN_VAIN.try_with(|waited| waited.set(waited.get() + started.elapsed()));
        TooSlow(limit)
    })
}

/// Several managers, and whoever looks after the logins, share one store.
impl<S: LoginStore> LoginStore for Arc<S> {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        LoginStore::insert(&**self, key, record, max, now).await
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        LoginStore::find(&**self, key, now).await
    }

    async fn find_for_auth(
        &self,
        key: LoginKey,
        now: i64,
    ) -> Result<Option<LoginRecord>, StoreError> {
        LoginStore::find_for_auth(&**self, key, now).await
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        LoginStore::touch(&**self, key, last_seen).await
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        LoginStore::make_stale(&**self, key).await
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        LoginStore::end(&**self, key).await
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        LoginStore::end_many(&**self, which).await
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        LoginStore::list(&**self, owner, now).await
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        LoginStore::insert_family(&**self, key, family).await
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        LoginStore::find_family(&**self, key, now).await
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        LoginStore::update_family_if(&**self, key, expected, family).await
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        LoginStore::purge(&**self, now, idle_since, limit).await
    }

    async fn revoke_session(&self, session: LoginKey, until: i64) -> Result<(), StoreError> {
        LoginStore::revoke_session(&**self, session, until).await
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        LoginStore::is_session_revoked(&**self, session, now).await
    }
}
