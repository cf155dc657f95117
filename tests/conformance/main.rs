//! The toolkit behind the routes of the conformance contract: a program that the conformance kit
//! starts, and compares with Flask-Login behind the same routes.
//!
//! It uses the public interface only. Where the toolkit is stricter than Flask-Login by default, the
//! set-up in `manager.rs` asks for Flask-Login's behaviour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support"
)]

mod carried_next;
mod config;
mod judged;
mod manager;
mod pages;
mod world;

use std::env;

use actix_web::{
    App, HttpServer,
    middleware::{Compat, from_fn},
    web,
};

use crate::{config::Config, world::World};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .expect("PORT is a port number");
    let config = env::var("CONFORMANCE_CONFIG").unwrap_or_else(|_| "{}".to_owned());
    let config: Config = serde_json::from_str(&config).map_err(std::io::Error::other)?;
    let world = World::new();
    let login_manager = manager::build(&config, &world)?;
    HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(world.clone()))
            .app_data(web::Data::new(config.clone()))
            .wrap(Compat::new(login_manager.clone()))
            .wrap(from_fn(carried_next::carry))
            .wrap(from_fn(judged::judge))
            .configure(|routes| pages::configure(routes, &config))
    })
    .workers(2)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
