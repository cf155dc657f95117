//! The login layers that are compared, each with an application that has the same pages.

#[cfg(feature = "peers")]
mod axum;
mod bare;
mod client;
mod contender;
mod floor;
#[cfg(feature = "stores")]
mod floor_postgres;
#[cfg(feature = "peers")]
mod identity;
mod ours;
mod readme;
mod run;
mod sessions;
mod setup;
#[cfg(feature = "stores")]
mod stores;

#[cfg(feature = "peers")]
pub use self::axum::serve as serve_axum;
pub use self::{
    client::{AnyClient, asks},
    contender::{ALL, Contender, Store},
    run::{serve, start},
    setup::Setup,
};
