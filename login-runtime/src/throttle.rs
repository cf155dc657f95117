//! Limits how often a client may try to prove something: a password, a one-time code, an API key.
//!
//! [`PasswordVerifier`](crate::password) counts its tries by itself. For any other check, wrap it in
//! [`attempt`]. The limits are a setting of the manager: [`Throttle`]. The guide says how they work and why:
//! [`guessing`](crate::guide::guessing).

pub use crate::{
    auth::attempt::{AsRequest, ThrottleError, attempt},
    core::throttle::{
        Attempt, Claimed, Counted, Counter, CounterKey, KnownClient, ThrottledBy, TryLimit,
    },
    store::{
        memory::MemoryThrottleStore,
        throttle::Throttle,
        throttle_store::{AnyThrottleStore, ThrottleStore},
    },
};
