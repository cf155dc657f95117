//! An audit trail: events are stored without making requests wait.
//!
//! 1. A request puts an event into a queue of limited length, and never waits. If the queue is full, the
//!    event is lost, and counted.
//! 2. A thread of its own takes events from the queue and stores them, several at a time. If the sink
//!    fails, it stores the same events again, after growing pauses.
//! 3. The number of lost events is reported: as an event in the log, and as a row in the trail, so that a
//!    reader of the trail sees the gap.
//! 4. Refusals, which a client can cause as often as it wants, use only half of the queue. A flood of them
//!    cannot push log ins out of the trail.

use std::{
    any::TypeId,
    future::{Future as _, poll_fn},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use actix_web::HttpRequest;
use derive_more::Debug;
use tokio::{
    runtime,
    sync::{Notify, mpsc, oneshot},
    time::{sleep, timeout},
};

use crate::{
    audit_trail::stored,
    clock::Clock,
    core::{AuthUser, LoginOwner},
    error::{BuildError, StoreError},
    events::{LoginEvent, StoresEvents},
    keys,
    store::event_sink::{DynEventSink, EventRecord, EventSink},
};

/// How many events are stored at a time. Raising it stores a full queue faster; lowering it makes a database
/// work in shorter transactions.
const BATCH: usize = 100;

/// How many events wait at most, by default. Raising it loses fewer while the sink fails; each needs a few
/// hundred bytes.
const CAPACITY: usize = 10_000;

/// How long the sink may take to store a batch. Raising it tolerates slower sinks; lowering it notices
/// earlier that one hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often the same events are stored until they count as lost: for about eight minutes. One that the sink
/// never takes does not hold up the others for ever.
const MAX_TRIES: u32 = 14;

/// The longest pause before events are stored again, in seconds.
const MAX_PAUSE: u64 = 60;

/// Which events are stored.
type Filter = Arc<dyn Fn(&LoginEvent<'_>) -> bool + Send + Sync>;

/// Stores the events of a login manager: time, event, user, login, address and browser.
///
/// Give a clone to [`LoginManagerBuilder::audit_trail`](crate::config::LoginManagerBuilder::audit_trail), and
/// [`close`](Self::close) it when the server has stopped. The guide has a page about
/// [events](crate::guide::events).
///
/// Requests never wait for it: events go into a queue, from which a thread stores them. If the queue is full,
/// because the sink fails or is too slow, events are lost and [counted](Self::lost); the log still has them.
///
/// By default it stores what happens to users and their logins, refusals of users among them, and refused
/// passwords and codes. It does not store that an anonymous client was refused, that a request asked for its
/// user, or that a loader failed. [`only`](Self::only) selects fewer.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(feature = "sqlite")]
/// # mod example {
/// use actix_web::{App, HttpServer, cookie::Key};
/// use login_runtime::{AuthUser, LoginManager, audit_trail::AuditTrail, store::SqliteLoginStore};
///
/// # #[derive(AuthUser)]
/// # struct User { id: i64 }
/// # async fn find(id: i64) -> Result<Option<User>, std::io::Error> { Ok(Some(User { id })) }
/// # async fn run(pool: sqlx::SqlitePool, secret: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteLoginStore::new(pool);
/// store.migrate().await?;
/// let trail = AuditTrail::new(store.clone());
/// let login_manager = LoginManager::builder(find)
///     .login_store(store)
///     .audit_trail(trail.clone())
///     .build(Key::from(secret))?;
///
/// HttpServer::new(move || App::new().wrap(login_manager.clone()))
///     .bind("127.0.0.1:8080")?
///     .run()
///     .await?;
/// // Stores what is still in the queue.
/// trail.close().await?;
/// # Ok(())
/// # }
/// # }
/// ```
#[derive(Clone, Debug)]
#[debug("AuditTrail")]
#[must_use]
pub struct AuditTrail {
    sink: Arc<dyn DynEventSink>,
    capacity: usize,
    only: Option<Filter>,
    /// Set when a manager is built with this trail.
    running: Arc<OnceLock<Running>>,
}

/// What a trail needs of its manager.
pub(crate) struct TrailHost {
    pub(crate) clock: Arc<dyn Clock>,
    /// The names of the user types.
    pub(crate) user_types: Vec<(TypeId, String)>,
    /// Tells the log and the subscribers how many events were lost.
    pub(crate) report: Box<dyn Fn(u64) + Send>,
}

/// A trail whose thread has started.
struct Running {
    queue: mpsc::Sender<EventRecord>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    user_types: Vec<(TypeId, String)>,
    /// The first half of the ids of this trail's events. The other half is their number.
    origin: u64,
    number: AtomicU64,
}

/// What the thread shares with those who put events into the queue.
#[derive(Default)]
struct Shared {
    lost: AtomicU64,
    /// Those of the lost events that the thread has not reported.
    unreported: AtomicU64,
    is_closed: AtomicBool,
    has_ended: AtomicBool,
    /// Wakes the thread for those who wait.
    asked: Notify,
    /// They get the number of events that are not stored.
    waiting: Mutex<Vec<oneshot::Sender<usize>>>,
}

impl AuditTrail {
    /// A trail that stores events in `sink`, such as an SQL login store.
    ///
    /// It does nothing before a manager is built with it.
    pub fn new(sink: impl EventSink) -> Self {
        Self {
            sink: Arc::new(sink),
            capacity: CAPACITY,
            only: None,
            running: Arc::default(),
        }
    }

    /// How many events may wait to be stored: 10,000 by default, at least 2. Those beyond are lost.
    ///
    /// Set it before a manager is built.
    pub fn capacity(mut self, events: usize) -> Self {
        self.capacity = events.clamp(2, u32::MAX as usize);
        self
    }

    /// Stores only events for which `filter` returns `true`, of those that are stored by default.
    ///
    /// Set it before a manager is built. The filter runs within the request: it must not wait.
    pub fn only(
        mut self,
        filter: impl Fn(&LoginEvent<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.only = Some(Arc::new(filter));
        self
    }

    /// How many events were lost since the process has started, because the queue was full or closed, or
    /// because the sink did not take them.
    pub fn lost(&self) -> u64 {
        let running = self.running.get();
        running.map_or(0, |running| running.shared.lost.load(Ordering::Relaxed))
    }

    /// Waits until the events that have happened before are stored. If the sink has failed, this tries it
    /// again at once.
    ///
    /// # Errors
    ///
    /// If the sink fails. The events stay in the queue, and the cause is in the log.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let Some(running) = self.running.get() else {
            return Ok(());
        };
        let (sender, left) = oneshot::channel();
        let shared = &running.shared;
        shared.waiting().push(sender);
        shared.asked.notify_one();
        if shared.has_ended.load(Ordering::SeqCst) {
            // No answer comes.
            shared.waiting().clear();
        }
        match left.await {
            Ok(0) => Ok(()),
            Ok(left) => {
                Err(StoreError::new(format!("{left} events are not stored yet")).without_log())
            }
            // The thread has ended before.
            Err(_) if self.lost() == 0 => Ok(()),
            Err(_) => Err(StoreError::new("the audit trail is closed").without_log()),
        }
    }

    /// Stores what is in the queue, and ends the trail. Call it when the server has stopped; otherwise the
    /// last events may be missing.
    ///
    /// If the sink hangs, this gives up after a minute. Later events are lost.
    ///
    /// # Errors
    ///
    /// If the sink fails. The events that are not stored are lost.
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Some(running) = self.running.get() {
            running.shared.is_closed.store(true, Ordering::SeqCst);
        }
        self.flush().await
    }

    /// The latest events about a user that are stored, the newest first.
    ///
    /// # Examples
    ///
    /// ```
    /// use login_runtime::{AuthUser, audit_trail::AuditTrail, store::StoreError};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// async fn print(trail: &AuditTrail, user: &User) -> Result<(), StoreError> {
    ///     for event in trail.recent::<User>(&user.id, 50).await? {
    ///         println!("{} {} from {}", event.at, event.event, event.address.unwrap_or_default());
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The sink's error; and if no manager that knows the user type was built with this trail.
    ///
    /// # Security
    ///
    /// This does not check who asks.
    pub async fn recent<U: AuthUser>(
        &self,
        id: &U::Id,
        limit: u32,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let user_types = self.running.get().map(|running| running.user_types.iter());
        let mut user_types = user_types.into_iter().flatten();
        let found = user_types.find(|(user_type, _)| *user_type == TypeId::of::<U>());
        let Some((_, user_type)) = found else {
            let why = "no login manager with this user type was built with the audit trail";
            return Err(StoreError::new(why));
        };
        let user_id = &serde_json::to_string(id).map_err(StoreError::new)?;
        self.sink
            .recent_events(LoginOwner { user_type, user_id }, limit)
            .await
    }

    /// Deletes up to about `batch` events that are older than this. Returns how many; if it is `batch`, call
    /// again.
    ///
    /// Run it regularly, with the time that your policy states: addresses are personal data.
    ///
    /// # Errors
    ///
    /// The sink's error; and if no manager was built with this trail, which has the clock.
    pub async fn purge(&self, older_than: Duration, batch: u32) -> Result<u64, StoreError> {
        let running = self.running.get();
        let running = running.ok_or_else(|| StoreError::new("no login manager has this trail"))?;
        let now = running.clock.now();
        self.sink.purge_events(now, older_than, batch).await
    }

    /// Starts the thread, unless another manager has started it.
    pub(crate) fn start(&self, host: TrailHost) -> Result<(), BuildError> {
        if self.running.get().is_some() {
            return Ok(());
        }
        let refuse = |why| BuildError::Setting {
            name: "audit_trail",
            why,
        };
        let random = keys::random_16();
        let random = random.map_err(|_| refuse("needs random bytes, and the system has none"))?;
        let (origin, _) = random.split_at(8);
        let origin = origin.try_into().map_or(0, u64::from_be_bytes);
        let (queue, events) = mpsc::channel(self.capacity);
        let shared = Arc::new(Shared::default());
        let TrailHost {
            clock,
            user_types,
            report,
        } = host;
        let running = Running {
            queue,
            shared: Arc::clone(&shared),
            clock: Arc::clone(&clock),
            user_types,
            origin,
            number: AtomicU64::new(0),
        };
        if self.running.set(running).is_err() {
            return Ok(());
        }
        let storing = Storing {
            sink: Arc::clone(&self.sink),
            events,
            batch: Arc::default(),
            shared,
            clock,
            report,
            tries: 0,
        };
        let thread = thread::Builder::new().name("login audit trail".to_owned());
        let spawned = thread.spawn(move || storing.run_in_thread());
        spawned.map_err(|_| refuse("needs a thread, and the system does not allow one"))?;
        Ok(())
    }
}

impl StoresEvents for AuditTrail {
    fn push(&self, event: &LoginEvent<'_>, request: Option<&HttpRequest>) {
        let Some(running) = self.running.get() else {
            return;
        };
        let kind = stored::kind(event);
        let Some(can_be_flooded) = kind else {
            return;
        };
        if self.only.as_ref().is_some_and(|only| !only(event)) {
            return;
        }
        running.push(can_be_flooded, || {
            stored::record(event, request, running.clock.now())
        });
    }
}

impl Running {
    fn push(&self, can_be_flooded: bool, record: impl FnOnce() -> EventRecord) {
        let queue = &self.queue;
        let is_half_full = queue.capacity() <= queue.max_capacity() / 2;
        let is_closed = self.shared.is_closed.load(Ordering::SeqCst);
        if is_closed {
            if self.shared.lose(1) == 0 {
                tracing::error!(target: "login", event = "audit_trail_closed", "events are lost: the audit trail is closed");
            }
            return;
        }
        if can_be_flooded && is_half_full {
            self.shared.lose(1);
            return;
        }
        match queue.try_reserve() {
            Ok(place) => place.send(EventRecord {
                id: self.next_id(),
                ..record()
            }),
            Err(_) => {
                self.shared.lose(1);
            }
        }
    }

    fn next_id(&self) -> [u8; 16] {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        (u128::from(self.origin) << 64 | u128::from(number)).to_be_bytes()
    }
}

impl Shared {
    /// Counts lost events. Returns how many were not reported before.
    fn lose(&self, events: usize) -> u64 {
        let events = events as u64;
        self.lost.fetch_add(events, Ordering::Relaxed);
        self.unreported.fetch_add(events, Ordering::Relaxed)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<oneshot::Sender<usize>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that the thread has ended, also if it has panicked.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        self.0.has_ended.store(true, Ordering::SeqCst);
        // Whoever still waits learns that the trail is closed.
        self.0.waiting().clear();
    }
}

/// Why the thread wakes up.
enum Woken {
    /// The batch has a new event.
    Event,
    /// The pause after a failure is over.
    Paused,
    /// Somebody waits for the events to be stored.
    Asked,
    /// The manager and all handles of the trail are gone.
    Alone,
}

/// What the thread of a trail has.
struct Storing {
    sink: Arc<dyn DynEventSink>,
    events: mpsc::Receiver<EventRecord>,
    /// Events that are out of the queue and not stored.
    batch: Arc<Vec<EventRecord>>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    report: Box<dyn Fn(u64) + Send>,
    /// How often the batch could not be stored.
    tries: u32,
}

impl Storing {
    fn run_in_thread(self) {
        let _ended = Ended(Arc::clone(&self.shared));
        match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.run()),
            Err(error) => {
                tracing::error!(target: "login", event = "audit_trail_failed", reason = %error);
            }
        }
    }

    async fn run(mut self) {
        loop {
            let is_ending = match self.wake().await {
                Woken::Event | Woken::Paused => {
                    let _ = self.store_some().await;
                    continue;
                }
                Woken::Asked => self.shared.is_closed.load(Ordering::SeqCst),
                Woken::Alone => true,
            };
            // Those who ask later are answered later.
            let waiting = mem::take(&mut *self.shared.waiting());
            let left = self.store_all().await;
            if is_ending {
                self.events.close();
                let mut left = self.batch.len();
                while self.events.try_recv().is_ok() {
                    left += 1;
                }
                self.shared.lose(left);
                self.report_lost();
            }
            for waiting in waiting {
                let _ = waiting.send(left);
            }
            if is_ending {
                return;
            }
        }
    }

    async fn wake(&mut self) -> Woken {
        let has_failed = !self.batch.is_empty();
        let pause = 1_u64
            .checked_shl(self.tries.saturating_sub(1))
            .unwrap_or(MAX_PAUSE);
        let mut pause = pin!(sleep(Duration::from_secs(pause.min(MAX_PAUSE))));
        let mut asked = pin!(self.shared.asked.notified());
        let (events, batch) = (&mut self.events, &mut self.batch);
        poll_fn(|cx| {
            if asked.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Woken::Asked);
            }
            if has_failed {
                return pause.as_mut().poll(cx).map(|()| Woken::Paused);
            }
            events.poll_recv(cx).map(|event| match event {
                Some(event) => {
                    Arc::make_mut(batch).push(event);
                    Woken::Event
                }
                None => Woken::Alone,
            })
        })
        .await
    }

    /// Stores what is in the queue. Returns how many events are left.
    async fn store_all(&mut self) -> usize {
        // More may come meanwhile. Two batches more than fill the queue are enough for what was there.
        for _ in 0..self.events.max_capacity() / BATCH + 2 {
            if self.store_some().await.is_err() {
                return self.batch.len() + self.events.len();
            }
            if self.events.is_empty() && self.shared.unreported.load(Ordering::Relaxed) == 0 {
                return 0;
            }
        }
        0
    }

    /// Stores a batch of events, and reports how many were lost.
    async fn store_some(&mut self) -> Result<(), ()> {
        let batch = Arc::make_mut(&mut self.batch);
        while batch.len() < BATCH
            && let Ok(event) = self.events.try_recv()
        {
            batch.push(event);
        }
        self.report_lost();
        if self.batch.is_empty() {
            return Ok(());
        }
        let storing = Arc::clone(&self.sink).store_events(Arc::clone(&self.batch));
        // In a task, so that a sink that panics does not end the thread.
        let mut task = tokio::spawn(storing);
        let stored = match timeout(DEADLINE, &mut task).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) => Err(StoreError::new(error)),
            Err(_) => {
                task.abort();
                Err(StoreError::new(format!("no answer within {DEADLINE:?}")))
            }
        };
        if let Err(error) = stored {
            let _ = error.logged(Some("store events"));
            self.tries += 1;
            if self.tries >= MAX_TRIES {
                self.tries = 0;
                self.shared.lose(self.batch.len());
                self.batch = Arc::default();
            }
            return Err(());
        }
        self.tries = 0;
        self.batch = Arc::default();
        Ok(())
    }

    /// Tells the log and the trail how many events were lost since the last time.
    fn report_lost(&mut self) {
        let events = self.shared.unreported.swap(0, Ordering::Relaxed);
        if events == 0 {
            return;
        }
        // A subscriber of the application may panic.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.report)(events)));
        let Ok(id) = keys::random_16() else {
            return;
        };
        let event = LoginEvent::EventsLost { events };
        let record = EventRecord {
            id,
            ..stored::record(&event, None, self.clock.now())
        };
        Arc::make_mut(&mut self.batch).push(record);
    }
}
