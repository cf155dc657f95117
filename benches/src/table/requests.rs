//! How often a request loads the user, and how many bytes its cookies have.

use std::io;

use actix_web::rt::System;
use login_benches::{
    contenders::{self, ALL, Contender, Setup},
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
    let setup = Setup::default();
    let system = System::new();
    let client = system.block_on(contenders::start(contender, &setup));
    let asks = system.block_on(contenders::asks(
        &*client,
        scenario,
        contender.headers(),
        REQUESTS,
    ));
    let loads = setup.users.loads();
    system.block_on(client.answer(client.requests(&asks)));
    let loads = setup.users.loads() - loads;
    let again = system.block_on(contenders::asks(&*client, scenario, contender.headers(), 1));
    let answer = system.block_on(client.ask(&again[0]));
    let set_cookie: usize = answer.cookies.iter().map(String::len).sum();
    let carried = again[0].cookie.as_deref().unwrap_or_default().len();
    json!({
        "loads": loads as f64 / REQUESTS as f64,
        "set_cookie": set_cookie,
        "cookie": carried,
    })
}
