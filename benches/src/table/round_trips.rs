//! The commands that one request sends to Redis.

use std::{collections::BTreeMap, io, io::BufRead};

use login_benches::{contenders::Contender, scenario::Scenario};
use serde_json::{Value, json};

use crate::{redis::Redis, server::Server};

const REQUESTS: u64 = 50;
/// The command with which this program marks the end of the requests.
const END: &str = "ECHO enough";

pub(crate) fn measure() -> io::Result<Value> {
    let mut measured = serde_json::Map::new();
    let scenarios = [
        Scenario::Public,
        Scenario::PublicKnown,
        Scenario::Protected,
        Scenario::LogIn,
    ];
    for contender in [
        Contender::FloorRedis,
        Contender::ReadmeRedisCookie,
        Contender::ReadmeRedis,
        Contender::ReadmeAllRedis,
        Contender::ReadmeCachedRedis,
    ] {
        let mut of_contender = serde_json::Map::new();
        for scenario in scenarios {
            let redis = Redis::start()?;
            let server = Server::of(contender, 1, Some(&redis.url))?;
            let ask = server.prepare(scenario)?;
            let reports = redis.monitor()?;
            for _ in 0..REQUESTS {
                scenario
                    .check(&server.ask(&ask)?)
                    .map_err(io::Error::other)?;
            }
            redis.say(END)?;
            let mut calls = BTreeMap::<String, u64>::new();
            for report in reports.lines() {
                let report = report?;
                let command = report.split('"').nth(1).unwrap_or_default().to_uppercase();
                if command == "ECHO" {
                    break;
                }
                // A command that a script calls is no round trip.
                if !report.contains(" lua]") {
                    *calls.entry(command).or_default() += 1;
                }
            }
            let each = |calls: u64| calls as f64 / REQUESTS as f64;
            let trips = each(calls.values().sum());
            let calls: BTreeMap<_, _> = calls
                .into_iter()
                .map(|(command, calls)| (command, each(calls)))
                .collect();
            let name = scenario.name().to_owned();
            of_contender.insert(name, json!({ "round_trips": trips, "commands": calls }));
        }
        measured.insert(contender.name().to_owned(), Value::Object(of_contender));
    }
    Ok(Value::Object(measured))
}
