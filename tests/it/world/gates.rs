//! Places where a request waits until a test lets it go on.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
};

use futures_util::future::{Either, select};
use tokio::sync::Notify;

/// A place to wait at; once.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    reached: Notify,
    open: Notify,
}

impl Gate {
    /// What a request does here.
    pub(crate) async fn pass(&self) {
        self.reached.notify_one();
        self.open.notified().await;
    }

    /// Lets the one who waits go on.
    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

/// The gates of an application; those that nobody closed are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates(Arc<Mutex<HashMap<String, Arc<Gate>>>>);

impl Gates {
    /// The next request that passes here waits.
    pub(crate) fn close(&self, name: &str) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        let mut gates = self.0.lock().unwrap();
        gates.insert(name.to_owned(), Arc::clone(&gate));
        gate
    }

    /// What a request does here.
    pub(crate) async fn pass(&self, name: &str) {
        let gate = self.0.lock().unwrap().remove(name);
        if let Some(gate) = gate {
            gate.pass().await;
        }
    }
}

/// Does something while a request waits at a gate, and then lets the request come to its end.
pub(crate) async fn while_waiting<A, B>(
    gate: &Gate,
    request: impl Future<Output = A>,
    meanwhile: impl Future<Output = B>,
) -> (A, B) {
    let mut request = pin!(request);
    match select(request.as_mut(), pin!(gate.reached.notified())).await {
        Either::Left(_) => panic!("the request came to its end without passing the gate"),
        Either::Right(_) => {}
    }
    // What else waits for the one at the gate, such as a database connection, has to go on.
    let done = match select(request.as_mut(), pin!(meanwhile)).await {
        Either::Left(_) => panic!("the request passed a gate that is closed"),
        Either::Right((done, _)) => done,
    };
    gate.open();
    (request.await, done)
}
