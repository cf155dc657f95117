//! What is counted in this process: allocations, calls of the loader, bytes of `Set-Cookie`.

use std::io;

use actix_web::rt::System;
use login_benches::{
    contenders::{self, ALL, Contender, Set},
    scenario::Scenario,
};
use serde_json::{Value, json};

const REQUESTS: usize = 100;

pub(crate) fn measure() -> io::Result<Value> {
    let mut measured = serde_json::Map::new();
    for contender in ALL.into_iter().filter(|contender| contender.is_counted()) {
        let scenarios = contender
            .scenarios()
            .into_iter()
            .map(|scenario| (scenario.name().to_owned(), scenario_of(contender, scenario)));
        measured.insert(
            contender.name().to_owned(),
            Value::Object(scenarios.collect()),
        );
    }
    Ok(Value::Object(measured))
}

fn scenario_of(contender: Contender, scenario: Scenario) -> Value {
    let set = Set::default();
    let system = System::new();
    let client = system.block_on(contenders::start(contender, &set));
    let asks = system.block_on(contenders::asks(&*client, scenario, 4 * REQUESTS));
    let (warm_up, asks) = asks.split_at(REQUESTS);
    let (one, two) = asks.split_at(REQUESTS);
    system.block_on(client.answer(client.requests(warm_up)));
    let loads = set.users.loads();
    // The difference, so that what does not grow with the requests does not count.
    let allocations = [one, two].map(|asks| {
        let requests = client.requests(asks);
        let answered = || system.block_on(client.answer(requests));
        allocation_counter::measure(answered).count_total
    });
    let loads = set.users.loads() - loads;
    let again = system.block_on(contenders::asks(&*client, scenario, 1));
    let answer = system.block_on(client.ask(&again[0]));
    let set_cookie: usize = answer.cookies.iter().map(String::len).sum();
    let carried = again[0].cookie.as_deref().unwrap_or_default().len();
    json!({
        "allocations": allocations[1].saturating_sub(allocations[0]) as f64 / REQUESTS as f64,
        "loads": loads as f64 / (3 * REQUESTS) as f64,
        "set_cookie": set_cookie,
        "cookie": carried,
    })
}
