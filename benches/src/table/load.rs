//! Requests per second, processor time per request, latency and memory of servers, compared in pairs.

use std::{fs, io, path::PathBuf, process::Command};

use login_benches::{
    contenders::{Contender, Store},
    scenario::{Ask, Scenario},
};
use serde_json::{Value, json};

use crate::{
    delay, postgres::Postgres, processes, processes::time_used, quick::is_quick, redis::Redis,
    server::Server,
};

/// How many turns each server of a pair has.
const ROUNDS: usize = 5;
/// How many seconds one turn takes.
const SECONDS: u32 = 1;
const CONNECTIONS: usize = 64;
/// So few that the requests wait for the network and not for the processor.
const CONNECTIONS_WITH_DELAY: usize = 8;
/// One less than there are processors, since wrk needs one.
const WORKERS: usize = 1;
/// The workers in the comparisons that say so, and those of Flask-Login, as the manual of gunicorn
/// recommends for two processors or so.
const MORE_WORKERS: usize = 2;

/// What the connections of a server send.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// The same request again and again.
    Ask(Scenario),
    /// Log ins, and for each of them the log out.
    LogInAndOut,
}

impl Load {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ask(scenario) => scenario.name(),
            Self::LogInAndOut => "log_in_and_out",
        }
    }

    pub(crate) fn title(name: &str) -> &str {
        match Scenario::of(name) {
            Some(scenario) => scenario.title(),
            None => "log in and log out in turn",
        }
    }

    /// The program for wrk, if it shall do more than send the request of its arguments.
    fn script(self) -> Option<&'static str> {
        match self {
            Self::Ask(Scenario::LogIn) => Some("wrk.method = 'POST'"),
            Self::Ask(_) => None,
            Self::LogInAndOut => Some(LOG_IN_AND_OUT),
        }
    }
}

/// Logs out with a cookie that a log in has set, or logs in if there is none.
const LOG_IN_AND_OUT: &str = r#"
local cookies, log_in = {}, nil
function init()
    log_in = wrk.format("POST", "/login")
end
function request()
    local cookie = table.remove(cookies)
    if not cookie then
        return log_in
    end
    local headers = { cookie = cookie }
    for name, value in pairs(wrk.headers) do
        headers[name] = value
    end
    return wrk.format("POST", "/logout", headers)
end
function response(_, headers)
    local cookie = headers["set-cookie"]:match("^[^;]*")
    if not cookie:match("=$") then
        table.insert(cookies, cookie)
    end
end
"#;

/// One turn of wrk.
struct Turn {
    per_second: f64,
    /// The processor's time of the server and its store for one request, in microseconds.
    cpu: f64,
    /// The latency that half of the requests do not exceed, in milliseconds.
    median: f64,
    /// The latency that 99 of 100 requests do not exceed.
    slow: f64,
}

/// A server, its load, and the processes that work on it.
struct Side<'a> {
    server: &'a Server,
    ask: Ask,
    pids: Vec<u32>,
}

impl Side<'_> {
    fn turn(&self, load: Load, connections: usize) -> io::Result<Turn> {
        let mut wrk = Command::new("wrk");
        let (connections, seconds) = (connections.to_string(), format!("{SECONDS}s"));
        wrk.args(["-t1", "-c", &connections, "-d", &seconds, "--latency"]);
        for (name, value) in self.ask.headers.list(self.ask.post) {
            // Under another name, wrk would add a second one.
            let name = if name == "host" { "Host" } else { name };
            wrk.args(["-H", &format!("{name}: {value}")]);
        }
        if let Some(cookie) = &self.ask.cookie {
            wrk.args(["-H", &format!("cookie: {cookie}")]);
        }
        if let Some(script) = load.script() {
            let file = script_file();
            fs::write(&file, script)?;
            wrk.arg("-s").arg(file);
        }
        let before = time_used(&self.pids);
        let output = wrk
            .arg(format!(
                "http://127.0.0.1:{}{}",
                self.server.port, self.ask.path
            ))
            .output()?;
        let used = time_used(&self.pids) - before;
        let text = String::from_utf8_lossy(&output.stdout);
        read(&text, used.as_secs_f64() * 1e6)
            .ok_or_else(|| io::Error::other(format!("wrk says: {text}")))
    }

    fn memory(&self) -> u64 {
        processes::memory(self.server.pid())
    }
}

fn script_file() -> PathBuf {
    std::env::temp_dir().join(format!("login_benches_{}.lua", std::process::id()))
}

/// Reads what wrk printed. `None` if a request failed.
fn read(text: &str, used: f64) -> Option<Turn> {
    // Redirects are no failures: wrk means statuses from 400 on.
    if text.contains("Socket errors") || text.contains("Non-2xx or 3xx responses") {
        return None;
    }
    let lines = || text.lines().map(str::trim);
    let after = |label: &str| {
        // At the beginning of a line, since other lines contain percentages, too.
        let line = lines().find_map(|line| line.strip_prefix(label))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    let millis = |text: String| {
        let number = text.trim_end_matches(|c: char| c.is_alphabetic());
        let unit = match &text[number.len()..] {
            "us" => 0.001,
            "ms" => 1.0,
            _ => 1000.0,
        };
        number.parse::<f64>().ok().map(|number| number * unit)
    };
    let requests = lines().find_map(|line| line.split_once(" requests in "))?.0;
    Some(Turn {
        per_second: after("Requests/sec:")?.parse().ok()?,
        cpu: used
            / requests
                .parse::<f64>()
                .ok()
                .filter(|&requests| requests > 0.0)?,
        median: after("50%").and_then(millis)?,
        slow: after("99%").and_then(millis)?,
    })
}

/// Lets two servers take turns with a load and compares each turn with the one next to it, so that other
/// work of the machine affects both alike.
fn pair(name: &str, one: &Side<'_>, other: &Side<'_>, how: &How, load: Load) -> io::Result<Value> {
    let rounds = if is_quick() { 1 } else { ROUNDS };
    let (mut turns, mut other_turns) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        turns.push(one.turn(load, how.connections)?);
        other_turns.push(other.turn(load, how.connections)?);
    }
    let of = |turns: &[Turn], what: fn(&Turn) -> f64| {
        sorted(turns.iter().map(what).collect())[rounds / 2]
    };
    let ratio = |what: fn(&Turn) -> f64| {
        let ratios = turns.iter().zip(&other_turns);
        let ratios = sorted(ratios.map(|(one, other)| what(one) / what(other)).collect());
        json!({ "min": ratios[0], "median": ratios[rounds / 2], "max": ratios[rounds - 1] })
    };
    let side = |turns: &[Turn], side: &Side<'_>| {
        json!({
            "per_second": of(turns, |turn| turn.per_second).round(),
            "cpu_us": of(turns, |turn| turn.cpu),
            "median_ms": of(turns, |turn| turn.median),
            "p99_ms": of(turns, |turn| turn.slow),
            "memory_kib": side.memory(),
        })
    };
    let (rate, cpu) = (ratio(|turn| turn.per_second), ratio(|turn| turn.cpu));
    eprintln!(
        "{name}, {}: {:.3} x requests per second, {:.3} x processor time",
        load.name(),
        rate["median"].as_f64().unwrap_or_default(),
        cpu["median"].as_f64().unwrap_or_default(),
    );
    Ok(json!({
        "pair": name,
        "scenario": load.name(),
        "ratio": rate,
        "cpu": cpu,
        "one": side(&turns, one),
        "other": side(&other_turns, other),
    }))
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Under which conditions servers are compared.
struct How {
    workers: usize,
    connections: usize,
    /// Whether a round trip to Redis takes a millisecond.
    has_delay: bool,
}

impl How {
    const USUAL: Self = Self {
        workers: WORKERS,
        connections: CONNECTIONS,
        has_delay: false,
    };
    const WITH_WORKERS: Self = Self {
        workers: MORE_WORKERS,
        ..Self::USUAL
    };
    const WITH_DELAY: Self = Self {
        connections: CONNECTIONS_WITH_DELAY,
        has_delay: true,
        ..Self::USUAL
    };

    /// The name of a pair in `results.json`.
    fn name(&self, one: &str, other: &str) -> String {
        let more = match self {
            Self {
                has_delay: true, ..
            } => ", Redis 1 ms away",
            Self {
                workers: MORE_WORKERS,
                ..
            } => ", 2 workers",
            _ => "",
        };
        format!("{one} / {other}{more}")
    }
}

/// The stores of all servers.
struct Stores {
    redis: Redis,
    delayed_redis: String,
    postgres: Postgres,
}

impl Stores {
    fn start() -> io::Result<Self> {
        let redis = Redis::start()?;
        Ok(Self {
            delayed_redis: format!("redis://127.0.0.1:{}", delay::delayed(redis.port)?),
            redis,
            postgres: Postgres::start()?,
        })
    }

    fn address(&self, contender: Contender, how: &How) -> Option<&str> {
        match contender.store()? {
            Store::Sqlite => None,
            Store::Postgres => Some(&self.postgres.url),
            Store::Redis if how.has_delay => Some(&self.delayed_redis),
            Store::Redis => Some(&self.redis.url),
        }
    }

    fn side<'a>(
        &self,
        contender: Contender,
        server: &'a Server,
        load: Load,
    ) -> io::Result<Side<'a>> {
        let store = contender.store().and_then(|store| match store {
            Store::Sqlite => None,
            Store::Postgres => Some(self.postgres.pid()),
            Store::Redis => Some(self.redis.pid()),
        });
        side(server, load, store)
    }
}

fn side(server: &Server, load: Load, store: Option<u32>) -> io::Result<Side<'_>> {
    let ask = match load {
        Load::Ask(scenario) => server.prepare(scenario)?,
        Load::LogInAndOut => {
            let log_in = server.prepare(Scenario::LogIn)?;
            let cookies = server.ask(&log_in)?.cookies.len();
            if cookies != 1 {
                let wrong = format!("wrk keeps one cookie, and a log in sets {cookies}");
                return Err(io::Error::other(wrong));
            }
            log_in
        }
    };
    let pids = [server.pid()].into_iter().chain(store).collect();
    Ok(Side { server, ask, pids })
}

const PUBLIC: Load = Load::Ask(Scenario::Public);
const PUBLIC_KNOWN: Load = Load::Ask(Scenario::PublicKnown);
const REFUSED: Load = Load::Ask(Scenario::Refused);
const PROTECTED: Load = Load::Ask(Scenario::Protected);
const LOG_IN: Load = Load::Ask(Scenario::LogIn);
const ALL_LOADS: &[Load] = &[
    PUBLIC,
    PUBLIC_KNOWN,
    REFUSED,
    PROTECTED,
    LOG_IN,
    Load::LogInAndOut,
];

/// The pairs: a contender, the one that it is compared with, the conditions and the loads.
const PAIRS: &[(Contender, Contender, How, &[Load])] = {
    use Contender as C;
    const USUAL: How = How::USUAL;
    const WORKERS: How = How::WITH_WORKERS;
    const DELAY: How = How::WITH_DELAY;
    &[
        (C::Readme, C::Floor, USUAL, ALL_LOADS),
        (C::ReadmeCookie, C::Floor, USUAL, ALL_LOADS),
        (C::ReadmeRedisCookie, C::FloorRedis, USUAL, &[PROTECTED]),
        (C::ReadmeRedis, C::FloorRedis, USUAL, &[PROTECTED]),
        (C::ReadmeAllRedis, C::FloorRedis, USUAL, &[PROTECTED]),
        (C::ReadmeSqlite, C::Floor, USUAL, &[PROTECTED]),
        (C::ReadmeSqliteCookie, C::Floor, USUAL, &[PROTECTED]),
        (C::ReadmePostgres, C::FloorPostgres, USUAL, &[PROTECTED]),
        (
            C::ReadmePostgresCookie,
            C::FloorPostgres,
            USUAL,
            &[PROTECTED],
        ),
        (C::ReadmeCachedRedis, C::Floor, USUAL, &[PROTECTED]),
        (C::ReadmeCachedSqlite, C::Floor, USUAL, &[PROTECTED]),
        (C::ReadmeCachedPostgres, C::Floor, USUAL, &[PROTECTED]),
        (C::Readme, C::Floor, WORKERS, &[PROTECTED]),
        (C::ReadmeCookie, C::Floor, WORKERS, &[PROTECTED]),
        (C::ReadmeRedisCookie, C::FloorRedis, WORKERS, &[PROTECTED]),
        (C::ReadmeSqliteCookie, C::Floor, WORKERS, &[PROTECTED]),
        (
            C::ReadmeRedisCookie,
            C::FloorRedis,
            DELAY,
            &[PROTECTED, LOG_IN],
        ),
        (C::ReadmeRedis, C::FloorRedis, DELAY, &[PROTECTED, LOG_IN]),
        (
            C::ReadmeAllRedis,
            C::FloorRedis,
            DELAY,
            &[PROTECTED, LOG_IN],
        ),
        (C::Ours, C::Floor, USUAL, &[PUBLIC, PROTECTED]),
        (C::Identity, C::Floor, USUAL, &[PROTECTED]),
        (C::Axum, C::Floor, USUAL, &[PROTECTED]),
    ]
};

pub(crate) fn measure() -> io::Result<Value> {
    let stores = Stores::start()?;
    let mut pairs = Vec::new();
    for (one, other, how, loads) in PAIRS {
        let start = |&contender| Server::of(contender, how.workers, stores.address(contender, how));
        let servers = (start(one)?, start(other)?);
        for &load in *loads {
            let name = how.name(one.name(), other.name());
            let one = stores.side(*one, &servers.0, load)?;
            let other = stores.side(*other, &servers.1, load)?;
            pairs.push(pair(&name, &one, &other, how, load)?);
        }
    }
    let (readme, flask) = (
        Server::of(Contender::Readme, MORE_WORKERS, None)?,
        Server::flask(MORE_WORKERS)?,
    );
    for load in [PUBLIC_KNOWN, PROTECTED] {
        let (readme, flask) = (side(&readme, load, None)?, side(&flask, load, None)?);
        let name = "readme / flask-login";
        pairs.push(pair(name, &readme, &flask, &How::WITH_WORKERS, load)?);
    }
    let _ = fs::remove_file(script_file());
    Ok(pairs.into())
}
