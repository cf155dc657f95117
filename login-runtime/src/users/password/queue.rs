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

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Option<Permit>>>>;

    fn client(number: u8) -> Client {
        Some(ClientNetwork::of(Some([192, 0, 2, number].into())))
    }

    fn poll(waiting: &mut Waiting) -> Option<Permit> {
        match waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(permit) => permit,
            Poll::Pending => None,
        }
    }

    /// A queue whose only permit is taken, and checks of these clients that wait.
    fn busy(clients: &[u8]) -> (Permit, Vec<(u8, Waiting)>) {
        let queue = Arc::new(Queue::new(1));
        let wait = |number| -> Waiting {
            let queue = Arc::clone(&queue);
            Box::pin(async move { queue.wait(client(number)).await })
        };
        let first = poll(&mut wait(0)).expect("the queue is free");
        let mut waiting: Vec<_> = clients.iter().map(|it| (*it, wait(*it))).collect();
        assert!(waiting.iter_mut().all(|(_, it)| poll(it).is_none()));
        (first, waiting)
    }

    /// The clients in the order in which they get the permit.
    fn order(first: Permit, mut waiting: Vec<(u8, Waiting)>) -> Vec<u8> {
        let mut order = Vec::new();
        let mut permit = Some(first);
        while permit.take().is_some() {
            let mut each = waiting.iter_mut().enumerate();
            let next = each.find_map(|(at, (_, it))| Some((at, poll(it)?)));
            if let Some((at, next)) = next {
                order.push(waiting.remove(at).0);
                permit = Some(next);
            }
        }
        order
    }

    #[test]
    fn a_client_waits_for_one_check_of_each_other_client() {
        let (first, waiting) = busy(&[1, 1, 1, 1, 2, 3, 2]);
        assert_eq!(order(first, waiting), [1, 2, 3, 1, 2, 1, 1]);
    }

    #[test]
    fn checks_whose_clients_are_gone_get_no_turn() {
        let (first, mut waiting) = busy(&[1, 1, 2, 1, 3]);
        // The first check of client 1, and the only one of client 2.
        drop(waiting.remove(2));
        drop(waiting.remove(0));
        assert_eq!(order(first, waiting), [1, 3, 1]);
    }

    #[test]
    fn a_permit_that_nobody_takes_is_free_again() {
        let (first, waiting) = busy(&[1, 2]);
        let queue = first
            .0
            .as_ref()
            .map(Arc::clone)
            .expect("a permit of a queue");
        drop(waiting);
        drop(first);
        assert_eq!(queue.state().free, 1);
        // It was given, and its client is gone before it looked.
        let permit = poll(
            &mut (Box::pin({
                let queue = Arc::clone(&queue);
                async move { queue.wait(client(1)).await }
            }) as Waiting),
        );
        let mut late: Waiting = Box::pin({
            let queue = Arc::clone(&queue);
            async move { queue.wait(client(2)).await }
        });
        assert!(poll(&mut late).is_none());
        drop(permit);
        drop(late);
        assert_eq!(queue.state().free, 1);
    }
}
