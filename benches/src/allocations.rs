//! Allocations, counted in this process.
//!
//! No module of the library: the counting is an allocator of its own, which would be in the programs
//! whose instructions are counted.

use actix_web::rt::SystemRunner;
use login_benches::{contenders::AnyClient, scenario::Ask};

pub(crate) const REQUESTS: usize = 100;

/// The allocations of so many requests, after as many that fill pools. What does not grow with the
/// requests does not count. Needs four times as many.
pub(crate) fn count(system: &SystemRunner, client: &dyn AnyClient, asks: &[Ask]) -> u64 {
    let (warm_up, asks) = asks.split_at(REQUESTS);
    let (one, two) = asks.split_at(REQUESTS);
    system.block_on(client.answer(client.requests(warm_up)));
    let [one, two] = [one, two].map(|asks| {
        let requests = client.requests(asks);
        let answered = || system.block_on(client.answer(requests));
        allocation_counter::measure(answered).count_total
    });
    two.saturating_sub(one)
}
