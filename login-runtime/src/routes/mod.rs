//! How a route declares which clients may reach it, and what happens to routes without a declaration.

#[cfg(feature = "audit")]
pub mod audit;
#[cfg(feature = "audit")]
pub(crate) mod audited_views;
pub(crate) mod behind;
pub(crate) mod cross_site;
pub(crate) mod declare;
pub(crate) mod gate;
pub(crate) mod login_scope;
#[cfg(feature = "audit")]
pub(crate) mod probe;
#[cfg(feature = "audit")]
pub(crate) mod report;
#[cfg(feature = "audit")]
pub(crate) mod samples;
pub(crate) mod scope_guard;
pub(crate) mod seen_declared;
pub(crate) mod strict;

pub(crate) use self::{declare::declare_gate, gate::Gate, seen_declared::SeenDeclared};
