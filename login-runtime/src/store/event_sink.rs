//! The trait that every store for events implements, and what it stores.

use std::{borrow::Cow, future::Future, pin::Pin, sync::Arc, time::Duration};

use derive_more::Debug;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{core::LoginOwner, error::StoreError};

/// An event as an audit trail keeps it.
///
/// It contains no token, cookie, password or error of the application. The name of a login and that of an
/// account are keyed hashes. Every text is one line: what a client has sent is escaped.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// Names the event: 16 bytes that no other event has.
    #[debug(skip)]
    #[serde(skip)]
    pub id: [u8; 16],
    /// When it happened, in seconds since the Unix epoch.
    pub at: i64,
    /// The [name](crate::events::LoginEvent::name) of the event.
    pub event: Cow<'static, str>,
    /// The name of the user type. It starts with the realm and a slash, if the manager has a realm.
    pub user_type: Option<String>,
    /// The user's id as JSON.
    pub user_id: Option<String>,
    /// The name of the login: a [`LoginHash`](crate::events::LoginHash) as text.
    pub login: Option<String>,
    /// A keyed hash of the name of the account, if a password or a code was tried.
    pub account: Option<String>,
    /// The address of the client, if the event belongs to a request.
    pub address: Option<String>,
    /// The start of the client's `User-Agent` header, in printable ASCII. Escape it in a page.
    pub user_agent: Option<String>,
    /// Why it happened, or how.
    pub reason: Option<Cow<'static, str>>,
    /// What else the event tells.
    pub details: Map<String, Value>,
}

/// Stores events, for an [`AuditTrail`](crate::audit_trail::AuditTrail).
///
/// The SQL login stores implement it. Implement it for a queue, a file or a collector of your own.
///
/// # Examples
///
/// ```
/// use std::sync::Mutex;
///
/// use login_runtime::{audit_trail::{EventRecord, EventSink}, store::StoreError};
///
/// #[derive(Default)]
/// struct Lines(Mutex<Vec<String>>);
///
/// impl EventSink for Lines {
///     async fn store_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
///         let mut lines = self.0.lock().map_err(|_| StoreError::new("the lines are gone"))?;
///         for event in events {
///             lines.push(serde_json::to_string(event).map_err(StoreError::new)?);
///         }
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not store events",
    label = "not a store for events",
    note = "take a `SqliteLoginStore` or a `PostgresLoginStore`, or implement `EventSink`"
)]
pub trait EventSink: Send + Sync + 'static {
    /// Stores events, in this order, all of them or none.
    ///
    /// After an error the same events are stored again, maybe with later ones. If the call has stored them
    /// all the same, as a database may when a connection breaks, skip those whose
    /// [`id`](EventRecord::id) is stored.
    fn store_events(
        &self,
        events: &[EventRecord],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The latest events about a user, the newest first. The default is an error: the sink cannot be read.
    fn recent_events(
        &self,
        owner: LoginOwner<'_>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<EventRecord>, StoreError>> + Send {
        let _ = (owner, limit);
        async { Err(StoreError::new("this sink for events cannot be read")) }
    }

    /// Deletes up to about `limit` events that are older than this at `now`, which is in seconds since the
    /// Unix epoch. Returns how many. The default deletes nothing.
    fn purge_events(
        &self,
        now: i64,
        older_than: Duration,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let _ = (now, older_than, limit);
        async { Ok(0) }
    }
}

/// Lets a test keep the sink that it gives to a trail.
impl<S: EventSink> EventSink for Arc<S> {
    async fn store_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
        S::store_events(self, events).await
    }

    async fn recent_events(
        &self,
        owner: LoginOwner<'_>,
        limit: u32,
    ) -> Result<Vec<EventRecord>, StoreError> {
        S::recent_events(self, owner, limit).await
    }

    async fn purge_events(
        &self,
        now: i64,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StoreError> {
        S::purge_events(self, now, older_than, limit).await
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`EventSink`] with boxed futures, so that a trail need not be generic over the sink.
pub(crate) trait DynEventSink: Send + Sync {
    fn store_events(self: Arc<Self>, events: Arc<Vec<EventRecord>>) -> Answer<'static, ()>;

    fn recent_events<'a>(
        &'a self,
        owner: LoginOwner<'a>,
        limit: u32,
    ) -> Answer<'a, Vec<EventRecord>>;

    fn purge_events(&self, now: i64, older_than: Duration, limit: u32) -> Answer<'_, u64>;
}

impl<S: EventSink> DynEventSink for S {
    fn store_events(self: Arc<Self>, events: Arc<Vec<EventRecord>>) -> Answer<'static, ()> {
        Box::pin(async move { EventSink::store_events(&*self, &events).await })
    }

    fn recent_events<'a>(
        &'a self,
        owner: LoginOwner<'a>,
        limit: u32,
    ) -> Answer<'a, Vec<EventRecord>> {
        Box::pin(EventSink::recent_events(self, owner, limit))
    }

    fn purge_events(&self, now: i64, older_than: Duration, limit: u32) -> Answer<'_, u64> {
        Box::pin(EventSink::purge_events(self, now, older_than, limit))
    }
}
