//! The guide: a page for each task.
//!
//! The [first page of the crate](crate) has a whole program and the terms.
//!
//! | page | answers |
//! |---|---|
//! | [`keys`] | How is the key made, kept, loaded and replaced? |
//! | [`stores`] | What changes with a login store? When must a handler report a new password? |
//! | [`middlewares`] | In which order are other middlewares wrapped? |
//! | [`cross_site`] | Which requests of other sites are refused? How do CORS, pages of other origins and cookies work together? |
//! | [`guessing`] | How are guesses of passwords and codes limited, and what is to be set? |
//! | [`refusals`] | What does a refused client get? |
//! | [`caching`] | What keeps a page of one user from others, and from the browser's disk? |
//! | [`proxies`] | Which address and which origin count behind a proxy? |
//! | [`sockets`] | How is a WebSocket guarded, and what ends it? |
//! | [`events`] | What happens to logins, who is told, and how is it kept? How is a user told about a new client? |
//! | [`deploying`] | What should not go live? What does a security reviewer get to read? |
//! | [`asvs`] | Which items of OWASP ASVS does a test of the application show? |
//! | `metrics` (feature `metrics`) | Which counters and times can a metrics server collect? |
//! | [`testing`] | How do a test browser and the audit get the application that `main` starts? |

/// The key: making, keeping, loading and replacing it.
#[doc = include_str!("guide/keys.md")]
pub mod keys {}

/// Login stores: what changes with one, and what handlers must report.
#[doc = include_str!("guide/stores.md")]
pub mod stores {}

/// The order of middlewares.
#[doc = include_str!("guide/middlewares.md")]
pub mod middlewares {}

/// Requests of other sites, pages of other origins, cookies and CORS.
#[doc = include_str!("guide/cross_site.md")]
pub mod cross_site {}

/// Guessing: limits for failed tries.
#[doc = include_str!("guide/guessing.md")]
pub mod guessing {}

/// Refusals: what each kind of client gets.
#[doc = include_str!("guide/refusals.md")]
pub mod refusals {}

/// Caches, pages of other origins, and what stays in the browser.
#[doc = include_str!("guide/caching.md")]
pub mod caching {}

/// Proxies in front of the application.
#[doc = include_str!("guide/proxies.md")]
pub mod proxies {}

/// WebSockets and event streams.
#[doc = include_str!("guide/sockets.md")]
pub mod sockets {}

/// Events: what happens to logins, subscribers, and the audit trail.
#[doc = include_str!("guide/events.md")]
pub mod events {}

/// Before an application goes live: the policy in words, and the check.
#[doc = include_str!("guide/deploying.md")]
pub mod deploying {}

/// Metrics: the counters, gauges and histograms, and their labels.
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
#[doc = include_str!("guide/metrics.md")]
pub mod metrics {}

/// Tests of the application that `main` starts.
#[doc = include_str!("guide/testing.md")]
pub mod testing {}

/// The suite for OWASP ASVS 5.0, and the table of its ids.
#[cfg(feature = "test-util")]
#[doc = include_str!("guide/asvs.md")]
pub mod asvs {}
