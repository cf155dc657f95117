//! Who may check a password next: each client in turn, so that one with many requests delays another one by
//! one check and not by all of its own.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::core::throttle::ClientNetwork;

/// Whose check it is; `None` is the application itself, which makes a hash.
pub(super) type Client = Option<ClientNetwork>;

/// A queue for a number of checks at a time.
pub(super) struct Queue(Mutex<State>);

struct State {
    /// How many more checks may run. If it is not zero, no client waits.
    free: usize,
    /// The clients that wait, in the order of their turns.
    turns: VecDeque<Client>,
    /// The checks of each of them, in the order in which they came.
    waiting: HashMap<Client, VecDeque<oneshot::Sender<Permit>>>,
}

/// The permission to run one check, until it is dropped.
pub(super) struct Permit(Option<Arc<Queue>>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.pass_on();
        }
    }
}

impl Queue {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self(Mutex::new(State {
            free: at_a_time,
            turns: VecDeque::new(),
            waiting: HashMap::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a check of this client may run. A call that is cancelled loses its place.
    pub(super) async fn wait(self: &Arc<Self>, client: Client) -> Option<Permit> {
        let turn = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Some(Permit(Some(Arc::clone(self))));
            }
            let (sender, turn) = oneshot::channel();
            let queue = state.waiting.entry(client).or_default();
            let is_new = queue.is_empty();
            // Those who have waited too long are gone; they came first.
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
            queue.push_back(sender);
            if is_new {
                state.turns.push_back(client);
            }
            turn
        };
        turn.await.ok()
    }

    /// Gives the permission of a check that is done to the next client.
    fn pass_on(self: Arc<Self>) {
        let mut state = self.state();
        while let Some(client) = state.turns.pop_front() {
            let Some(mut queue) = state.waiting.remove(&client) else {
                continue;
            };
            let mut is_taken = false;
            while !is_taken && let Some(sender) = queue.pop_front() {
                match sender.send(Permit(Some(Arc::clone(&self)))) {
                    Ok(()) => is_taken = true,
                    // It has not been given, so there is nothing to pass on.
                    Err(mut permit) => permit.0 = None,
                }
            }
            if !queue.is_empty() {
                state.waiting.insert(client, queue);
                state.turns.push_back(client);
            }
            if is_taken {
                return;
            }
        }
        state.free += 1;
    }
}
