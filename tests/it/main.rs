//! Tests through the front door: HTTP in, status, headers and cookies out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod asvs;
mod audit_trail;
mod audited;
mod cached_store;
mod caches;
mod caching;
mod clocks;
#[cfg(feature = "redis")]
mod counts;
mod cross_site;
mod crowd;
#[cfg(feature = "postgres")]
mod database;
mod declared;
mod deny;
mod destinations;
mod devices;
mod end_others;
mod ends;
mod event_lines;
mod event_logins;
mod events;
mod failures;
mod filling;
mod first;
mod fresh;
mod generated_next;
mod golden_events;
mod guards;
mod guessing;
mod guessing_stores;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod half_done;
mod helpers;
mod hidden;
mod hooks;
mod hygiene;
mod kept_next;
mod key_change;
mod keys;
mod ledger;
mod limits;
mod loader_asks;
mod loads;
mod login;
mod login_cookie;
mod messages;
mod metrics;
mod new_clients;
mod new_passwords;
mod next;
mod nodes;
mod outage;
mod outgrown;
mod own_types;
mod passwords;
mod planted;
mod policy;
mod proofs;
mod protection;
mod proxies;
mod races;
mod records;
#[cfg(feature = "redis")]
mod redis_connections;
#[cfg(feature = "redis")]
mod redis_rows;
mod refusal_table;
mod refuse;
mod remember;
mod rotation;
mod safe_methods;
mod schedule;
mod secrets;
mod seen_routes;
mod session_logins;
mod setup;
mod sources;
mod spans;
#[cfg(all(feature = "sqlite", target_os = "linux"))]
mod sqlite_readers;
mod stolen;
mod stores;
mod strangers;
mod strict_answers;
mod throttle_stores;
mod tidy;
mod time;
mod types;
mod user_structs;
mod user_types;
mod views;
mod weak_settings;
mod without_cookies;
mod world;
mod zoo;
