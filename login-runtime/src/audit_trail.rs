//! An audit trail: the events about users and their logins, stored in a database or elsewhere.
//!
//! [`AuditTrail`] says how it works. The page of the guide about [events](crate::guide::events) says what an
//! application does with it.

pub(crate) mod stored;
pub(crate) mod trail;

pub use self::trail::AuditTrail;
pub use crate::store::event_sink::{EventRecord, EventSink};
