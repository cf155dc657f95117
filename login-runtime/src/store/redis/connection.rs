//! Connections to Redis: one for each runtime that asks.
//!
//! 1. The task that drives a connection runs on the runtime that opened it. A worker of actix-web has a
//!    runtime of one thread, so there a command wakes no other thread.
//! 2. A connection is only used on its own runtime: after its runtime has stopped, it never answers.
//! 3. One task watches each connection, instead of a timer for each call. If Redis answers nothing for
//!    [`TIMEOUT`] while calls wait, they all fail, and the connection is given up.
//! 4. A connection that failed, or whose server is a replica now, is replaced by the next call. Calls that arrive while it opens wait for the
//!    same attempt.
//! 5. There is at most one connection for each runtime. It closes when the store is dropped, or when the
//!    runtime stops.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{
        Arc, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, Value,
    aio::{ConnectionManager, MultiplexedConnection},
    io::tcp::TcpSettings,
};
use tokio::{
    runtime::{Handle, Id},
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use crate::error::StoreError;

/// The time limit for connecting, and for each answer.
///
/// Raising it makes requests wait longer if Redis is down; lowering it fails requests if Redis is
/// only slow.
const TIMEOUT: Duration = Duration::from_secs(1);

/// In how many steps the limit passes. A thread that was blocked for long loses one of them, and not its
/// connection.
///
/// Raising it measures the limit more exactly; lowering it wakes a busy process less often.
const STEPS: u32 = 4;

/// How long sent data may remain unacknowledged before a connection is closed.
///
/// Raising it keeps connections through longer network failures; lowering it reconnects sooner after
/// the machine of Redis has disappeared, for instance in a failover.
#[cfg(target_os = "linux")]
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(5);

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// There was no connection. Nothing was sent.
    NotConnected {
        error: Arc<RedisError>,
        /// Whether this call began the attempt to connect. If not, the attempt may be older than the call.
        by_this_call: bool,
    },
    /// Redis may have received the call.
    Sent(RedisError),
    /// The caller does not run on a Tokio runtime.
    NoRuntime,
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        Self::Sent(error)
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotConnected { error, .. } => Self::new(error),
            Failed::Sent(error) => Self::new(error),
            Failed::NoRuntime => Self::new("Redis can only be asked on a Tokio runtime"),
        }
    }
}

impl Failed {
    /// Whether it is certain that Redis did not receive the call, and a connection may be there by now.
    pub(super) fn was_never_sent(&self) -> bool {
        match self {
            Self::NotConnected { by_this_call, .. } => !by_this_call,
            // The connection manager returns this error if it had no connection. The first call after an
            // outage fails like this, even if Redis has been back for long.
            Self::Sent(error) => error.to_string().starts_with("Reconnecting failed"),
            Self::NoRuntime => false,
        }
    }

    /// Whether the connection closed while the call waited.
    pub(super) fn was_dropped(&self) -> bool {
        matches!(self, Self::Sent(error) if error.is_connection_dropped())
    }
}

/// How a store reaches Redis.
#[derive(Clone)]
pub(super) enum Connections {
    /// By a connection that the application made.
    Given(ConnectionManager),
    OfRuntimes(Arc<OfRuntimes>),
}

impl Connections {
    pub(super) fn to(client: Client) -> Self {
        // Small requests that are sent at the same time should not be delayed.
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(ACKNOWLEDGE_WITHIN);
        Self::OfRuntimes(Arc::new(OfRuntimes {
            client,
            config: AsyncConnectionConfig::new().set_tcp_settings(tcp),
            lines: RwLock::default(),
        }))
    }

    /// Opens the connection of this runtime, so that a wrong address or password is known before the first
    /// call.
    pub(super) async fn open(&self) -> Result<(), Failed> {
        if let Self::OfRuntimes(lines) = self {
            lines.open().await?;
        }
        Ok(())
    }

    /// Sends a command and waits for the answer.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Failed> {
        match self {
            Self::Given(connection) => {
                let answer = connection.clone().send_packed_command(command).await?;
                Ok(answer.extract_error()?)
            }
            Self::OfRuntimes(lines) => lines.ask(command).await,
        }
    }
}

/// A connection for each runtime.
pub(super) struct OfRuntimes {
    client: Client,
    config: AsyncConnectionConfig,
    lines: RwLock<Vec<Arc<Line>>>,
}

/// A connection of one runtime.
struct Line {
    runtime: Id,
    /// The connection, or why it could not be opened. Empty while it opens.
    opened: OnceLock<Result<MultiplexedConnection, Arc<RedisError>>>,
    on_opened: Notify,
    /// Whether it must not be used any more.
    is_over: AtomicBool,
    on_over: Notify,
    /// How many calls wait for an answer.
    waiting: AtomicUsize,
    /// How many answers have arrived.
    answers: AtomicU64,
    /// Whether the task that watches it is awake.
    is_watched: AtomicBool,
    /// Wakes that task. The task ends when this is dropped.
    wake: mpsc::Sender<()>,
}

/// A call that waits for its answer.
struct Waiting<'a>(&'a Line);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

impl Line {
    fn end(&self) {
        self.is_over.store(true, SeqCst);
        self.on_opened.notify_waiters();
        self.on_over.notify_waiters();
    }

    /// Waits until it is open.
    async fn connection(&self) -> Result<MultiplexedConnection, Arc<RedisError>> {
        loop {
            let opened = self.on_opened.notified();
            if let Some(connection) = self.opened.get() {
                return connection.clone();
            }
            if self.is_over.load(SeqCst) {
                return Err(Arc::new(
                    io::Error::from(io::ErrorKind::NotConnected).into(),
                ));
            }
            opened.await;
        }
    }

    fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, SeqCst);
        if !self.is_watched.load(SeqCst) && !self.is_watched.swap(true, SeqCst) {
            // If it is full, the task wakes anyway.
            let _ = self.wake.try_send(());
        }
        Waiting(self)
    }

    /// Sends a command and waits until its answer arrives, or the connection is given up.
    async fn ask(
        &self,
        mut connection: MultiplexedConnection,
        command: &Cmd,
    ) -> Result<Value, RedisError> {
        let mut over = pin!(self.on_over.notified());
        let _waiting = self.wait();
        let mut answer = pin!(connection.send_packed_command(command));
        let answer = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending if self.is_over.load(SeqCst) => Poll::Ready(Err(too_slow())),
            Poll::Pending => over.as_mut().poll(cx).map(|()| Err(too_slow())),
        });
        let answer = answer.await;
        self.answers.fetch_add(1, SeqCst);
        answer
    }
}

/// Whether the next call needs another connection after this error. After a failover, the old server may go
/// on as a replica, while its address leads to the new one.
fn ends_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || matches!(error.kind(), ErrorKind::ReadOnly | ErrorKind::MasterDown)
}

fn too_slow() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

impl OfRuntimes {
    async fn open(self: &Arc<Self>) -> Result<(Arc<Line>, MultiplexedConnection), Failed> {
        let (line, by_this_call) = self.line()?;
        match line.connection().await {
            Ok(connection) => Ok((line, connection)),
            Err(error) => Err(Failed::NotConnected {
                error,
                by_this_call,
            }),
        }
    }

    async fn ask(self: &Arc<Self>, command: &Cmd) -> Result<Value, Failed> {
        let (line, connection) = self.open().await?;
        let answer = line.ask(connection, command).await;
        let answer = answer.and_then(Value::extract_error);
        if answer.as_ref().is_err_and(ends_connection) {
            self.forget(&line);
        }
        Ok(answer?)
    }

    /// The connection of this runtime, and whether this call opens it.
    fn line(self: &Arc<Self>) -> Result<(Arc<Line>, bool), Failed> {
        let here = Handle::try_current().map_err(|_| Failed::NoRuntime)?;
        let runtime = here.id();
        let of_here = |lines: &[Arc<Line>]| {
            let fits = |line: &&Arc<Line>| line.runtime == runtime && !line.is_over.load(SeqCst);
            lines.iter().find(fits).cloned()
        };
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let found = of_here(&lines);
        drop(lines);
        if let Some(line) = found {
            return Ok((line, false));
        }
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = of_here(&lines) {
            return Ok((line, false));
        }
        let (wake, woken) = mpsc::channel(1);
        let line = Arc::new(Line {
            runtime,
            opened: OnceLock::new(),
            on_opened: Notify::new(),
            is_over: AtomicBool::new(false),
            on_over: Notify::new(),
            waiting: AtomicUsize::new(0),
            answers: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
            wake,
        });
        lines.push(Arc::clone(&line));
        drop(lines);
        let guard = EndsWithItsTask {
            line: Arc::downgrade(&line),
            lines: Arc::downgrade(self),
        };
        let opening = open(self.client.clone(), self.config.clone(), Arc::clone(&line));
        // A task of its own, so that a caller who gives up does not make the others begin anew.
        here.spawn(async move {
            let guard = guard;
            if opening.await {
                watch(&guard.line, woken).await;
            }
        });
        Ok((line, true))
    }

    fn forget(&self, line: &Arc<Line>) {
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|other| !Arc::ptr_eq(other, line));
        drop(lines);
        line.end();
    }
}

/// Ends a connection together with the task that opened it and watches it. A runtime that stops drops its
/// tasks.
struct EndsWithItsTask {
    line: Weak<Line>,
    lines: Weak<OfRuntimes>,
}

impl Drop for EndsWithItsTask {
    fn drop(&mut self) {
        let Some(line) = self.line.upgrade() else {
            return;
        };
        match self.lines.upgrade() {
            Some(lines) => lines.forget(&line),
            None => line.end(),
        }
    }
}

/// Opens a connection. Returns whether that succeeded.
async fn open(client: Client, config: AsyncConnectionConfig, line: Arc<Line>) -> bool {
    let opened = client.get_multiplexed_async_connection_with_config(&config);
    let opened = timeout(TIMEOUT, opened).await;
    let opened = opened.unwrap_or_else(|_| Err(too_slow()));
    let is_open = opened.is_ok();
    // Nothing else sets it.
    let _ = line.opened.set(opened.map_err(Arc::new));
    line.on_opened.notify_waiters();
    is_open
}

/// Waits until no answer has arrived for the time limit while calls waited, or the connection is dropped.
async fn watch(line: &Weak<Line>, mut woken: mpsc::Receiver<()>) {
    while woken.recv().await.is_some() {
        let Some(mut before) = line.upgrade().map(|line| line.answers.load(SeqCst)) else {
            return;
        };
        let mut silent = 0;
        while silent < STEPS {
            sleep(TIMEOUT / STEPS).await;
            let Some(line) = line.upgrade() else { return };
            if line.waiting.load(SeqCst) == 0 {
                line.is_watched.store(false, SeqCst);
                // A call that began just now may have seen the task awake.
                if line.waiting.load(SeqCst) == 0 {
                    break;
                }
                line.is_watched.store(true, SeqCst);
            }
            let answers = line.answers.load(SeqCst);
            silent = if answers == before { silent + 1 } else { 0 };
            before = answers;
        }
        if silent == STEPS {
            return;
        }
    }
}
