//! Requests per second, latency and memory of servers, compared in pairs.

use std::{io, process::Command};

use login_benches::{
    contenders::Contender,
    scenario::{Ask, Scenario},
};
use serde_json::{Value, json};

use crate::{redis::Redis, server::Server};

/// How many turns each server of a pair has.
const ROUNDS: usize = 5;
/// How many seconds one turn takes.
const SECONDS: u32 = 1;
const CONNECTIONS: &str = "64";
/// One less than there are processors, since wrk needs one.
const WORKERS: usize = 1;
/// The workers of Flask-Login, as the manual of gunicorn recommends for two processors or so, and the
/// threads of ours in the comparison with it.
const FLASK_WORKERS: usize = 2;

/// One turn of wrk.
struct Turn {
    per_second: f64,
    /// The latency that half of the requests do not exceed, in milliseconds.
    median: f64,
    /// The latency that 99 of 100 requests do not exceed.
    slow: f64,
}

fn wrk(server: &Server, ask: &Ask) -> io::Result<Turn> {
    let mut wrk = Command::new("wrk");
    wrk.args([
        "-t1",
        "-c",
        CONNECTIONS,
        "-d",
        &format!("{SECONDS}s"),
        "--latency",
    ]);
    for (name, value) in ask.headers.list(ask.post) {
        wrk.args(["-H", &format!("{name}: {value}")]);
    }
    if let Some(cookie) = &ask.cookie {
        wrk.args(["-H", &format!("cookie: {cookie}")]);
    }
    let output = wrk
        .arg(format!("http://127.0.0.1:{}{}", server.port, ask.path))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let after = |label: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(label))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    // wrk reports redirects, too, but they are no failures.
    let failed = text.contains("Socket errors");
    let millis = |text: String| {
        let number = text.trim_end_matches(|c: char| c.is_alphabetic());
        let unit = match &text[number.len()..] {
            "us" => 0.001,
            "ms" => 1.0,
            _ => 1000.0,
        };
        number.parse::<f64>().ok().map(|number| number * unit)
    };
    let turn = after("Requests/sec:")
        .and_then(|rate| rate.parse().ok())
        .and_then(|per_second| {
            Some(Turn {
                per_second,
                median: after("50%").and_then(millis)?,
                slow: after("99%").and_then(millis)?,
            })
        });
    turn.filter(|_| !failed)
        .ok_or_else(|| io::Error::other(format!("wrk says: {text}")))
}

/// Lets two servers take turns with a scenario and compares each turn with the one next to it, so that
/// other work of the machine affects both alike.
fn pair(name: &str, one: &Server, other: &Server, scenario: Scenario) -> io::Result<Value> {
    let (ask, other_ask) = (one.prepare(scenario)?, other.prepare(scenario)?);
    let (mut ratios, mut turns, mut other_turns) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (turn, other_turn) = (wrk(one, &ask)?, wrk(other, &other_ask)?);
        ratios.push(turn.per_second / other_turn.per_second);
        turns.push(turn);
        other_turns.push(other_turn);
    }
    let median = |values: Vec<f64>| sorted(values)[ROUNDS / 2];
    let of = |turns: &[Turn], what: fn(&Turn) -> f64| median(turns.iter().map(what).collect());
    let side = |turns: &[Turn], server: &Server| {
        json!({
            "per_second": of(turns, |turn| turn.per_second).round(),
            "median_ms": of(turns, |turn| turn.median),
            "p99_ms": of(turns, |turn| turn.slow),
            "memory_kib": server.memory(),
        })
    };
    let (ours, theirs) = (side(&turns, one), side(&other_turns, other));
    let ratios = sorted(ratios);
    eprintln!(
        "{name}, {}: {:.3} ({:.3} to {:.3})",
        scenario.name(),
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    Ok(json!({
        "pair": name,
        "scenario": scenario.name(),
        "ratio": { "min": ratios[0], "median": ratios[ROUNDS / 2], "max": ratios[ROUNDS - 1] },
        "one": ours,
        "other": theirs,
    }))
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

pub(crate) fn measure() -> io::Result<Value> {
    let redis = Redis::start()?;
    let mut pairs = Vec::new();
    let known = [Scenario::PublicKnown, Scenario::Protected];
    for (one, other, scenarios) in [
        (
            Contender::Ours,
            Contender::Floor,
            &[
                Scenario::Public,
                Scenario::PublicKnown,
                Scenario::Refused,
                Scenario::Protected,
            ][..],
        ),
        (Contender::OursCookie, Contender::Floor, &known),
        (Contender::OursCookieMemory, Contender::Floor, &known[1..]),
        (Contender::OursMemory, Contender::Floor, &known[1..]),
        (Contender::OursSqlite, Contender::Floor, &known[1..]),
        (Contender::OursRedis, Contender::FloorRedis, &known[1..]),
        (Contender::OursAllRedis, Contender::FloorRedis, &known[1..]),
        (Contender::Identity, Contender::Floor, &known[1..]),
        (Contender::Axum, Contender::Floor, &known[1..]),
    ] {
        let start = |contender| Server::of(contender, WORKERS, Some(&redis.url));
        let servers = (start(one)?, start(other)?);
        for &scenario in scenarios {
            let name = format!("{} / {}", one.name(), other.name());
            pairs.push(pair(&name, &servers.0, &servers.1, scenario)?);
        }
    }
    let (ours, flask) = (
        Server::of(Contender::Ours, FLASK_WORKERS, None)?,
        Server::flask(FLASK_WORKERS)?,
    );
    for scenario in known {
        pairs.push(pair("ours / flask-login", &ours, &flask, scenario)?);
    }
    Ok(pairs.into())
}
