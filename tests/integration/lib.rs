//! A server on the loopback interface, and two clients that are not ours: curl and Chromium.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support"
)]

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use actix_web::{App, HttpServer, dev::ServerHandle, rt::System, web::ServiceConfig};
use login_runtime::LoginManager;

pub mod chromium;
pub mod curl;

/// An application that answers on a free port of the loopback interface until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves these routes behind `manager`.
    pub fn start(
        manager: LoginManager,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        Self::start_on(0, manager, routes)
    }

    /// The same on this port, for a proxy that was told the port before.
    pub fn start_on(
        port: u16,
        manager: LoginManager,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let (started, address) = mpsc::channel();
        let thread = thread::spawn(move || {
            let app = move || App::new().wrap(manager.clone()).configure(routes.clone());
            System::new().block_on(async move {
                let server = HttpServer::new(app).workers(1).disable_signals();
                let server = server.bind(("127.0.0.1", port)).unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                started.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle) = address.recv().unwrap();
        Self {
            address,
            handle,
            thread: Some(thread),
        }
    }

    /// The port that it answers on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The origin of this server under another name, for a browser that resolves it.
    pub fn at(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port())
    }

    /// The URL of a path. Clients take `localhost` for secure, so they send it `Secure` cookies.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
