//! Gates, at which a request waits until the test opens them.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
};

use futures_util::future::{Either, select};
use tokio::sync::Notify;

/// A gate for one request.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    reached: Notify,
    open: Notify,
}

impl Gate {
    /// Waits until the gate is opened. Called by the request.
    pub(crate) async fn pass(&self) {
        self.reached.notify_one();
        self.open.notified().await;
    }

    /// Lets the waiting request continue.
    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

/// The gates of an application, by name. They are open until a test closes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates(Arc<Mutex<HashMap<String, Arc<Gate>>>>);

impl Gates {
    /// Closes a gate for the next request that passes it.
    pub(crate) fn close(&self, name: &str) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        let mut gates = self.0.lock().unwrap();
        gates.insert(name.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Waits at the gate if it is closed. Called by the request.
    pub(crate) async fn pass(&self, name: &str) {
        let gate = self.0.lock().unwrap().remove(name);
        if let Some(gate) = gate {
            gate.pass().await;
        }
    }
}

/// Runs `meanwhile` while a request waits at a gate, then opens the gate and finishes the request.
pub(crate) async fn while_waiting<A, B>(
    gate: &Gate,
    request: impl Future<Output = A>,
    meanwhile: impl Future<Output = B>,
) -> (A, B) {
    let mut request = pin!(request);
    match select(request.as_mut(), pin!(gate.reached.notified())).await {
        Either::Left(_) => panic!("the request ended without passing the gate"),
        Either::Right(_) => {}
    }
    // Both are polled: what the request holds, such as a database connection, may need to progress.
    let done = match select(request.as_mut(), pin!(meanwhile)).await {
        Either::Left(_) => panic!("the request passed a gate that is closed"),
        Either::Right((done, _)) => done,
    };
    gate.open();
    (request.await, done)
}
