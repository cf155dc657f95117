//! What is measured from outside, over HTTP: requests per second, latency, memory, and what Redis is
//! asked.

use std::{
    collections::BTreeMap,
    fs, io,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use login_benches::{
    contenders::Contender,
    counts::target,
    scenario::{Answer, Ask, HEADERS, Scenario},
};
use serde_json::{Value, json};

/// How long a server may take to start.
const START_TIME: Duration = Duration::from_secs(30);
/// How often each pair takes turns.
const ROUNDS: usize = 5;
/// How long one turn takes.
const SECONDS: u32 = 1;
const CONNECTIONS: &str = "64";
/// One less than there are processors, for wrk needs one too; at least one.
const WORKERS: usize = 1;
/// What Flask is served with, as its manual recommends for two processors or so.
const FLASK_WORKERS: usize = 2;

/// A server that ends with this value.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn of(contender: Contender, workers: usize, redis: Option<&str>) -> io::Result<Self> {
        let mut child = Command::new(target().join("release/serve"))
            .arg(contender.name())
            .arg(workers.to_string())
            .args(redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let port = line.trim().parse().map_err(io::Error::other)?;
        Self { child, port }.ready()
    }

    fn flask() -> io::Result<Self> {
        let port = free_port()?;
        let child = Command::new(target().join("tools/flask/bin/gunicorn"))
            .current_dir(login_benches::counts::here().join("flask"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args([
                "--workers",
                &FLASK_WORKERS.to_string(),
                "--log-level",
                "warning",
            ])
            .args(["--bind", &format!("127.0.0.1:{port}"), "pages:app"])
            .spawn()?;
        Self { child, port }.ready()
    }

    fn ready(self) -> io::Result<Self> {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if started.elapsed() > START_TIME {
                return Err(io::Error::other("the server does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }

    /// Asks it once.
    fn ask(&self, ask: &Ask) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START_TIME))?;
        let method = if ask.post { "POST" } else { "GET" };
        write!(
            stream,
            "{method} {} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n",
            ask.path
        )?;
        for (name, value) in HEADERS {
            write!(stream, "{name}: {value}\r\n")?;
        }
        if let Some(cookie) = &ask.cookie {
            write!(stream, "cookie: {cookie}\r\n")?;
        }
        write!(stream, "\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let headers = |name: &str| {
            let named = head.lines().filter_map(|line| line.split_once(": "));
            let named = named.filter(|(given, _)| given.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        Ok(Answer {
            status: head
                .get(9..12)
                .and_then(|status| status.parse().ok())
                .unwrap_or(0),
            location: headers("location").pop(),
            cookies: headers("set-cookie"),
            body: body.to_owned(),
        })
    }

    /// What a scenario asks, after it was asked once and answered right.
    fn prepare(&self, scenario: Scenario) -> io::Result<Ask> {
        let logged_in = match scenario.log_in() {
            Some(log_in) => Some(self.ask(&log_in)?),
            None => None,
        };
        let ask = scenario.ask(logged_in.as_ref());
        scenario.check(&self.ask(&ask)?).map_err(io::Error::other)?;
        Ok(ask)
    }

    /// The memory that it and its children have, in KiB.
    fn memory(&self) -> u64 {
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
                .unwrap_or(0)
        };
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        of(pid)
            + children
                .split(' ')
                .filter_map(|pid| pid.parse().ok())
                .map(of)
                .sum::<u64>()
    }
}

/// One turn of wrk.
struct Turn {
    per_second: f64,
    /// The latency that half of the requests have at most, in milliseconds.
    median: f64,
    /// And 99 of a hundred.
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
    for (name, value) in &HEADERS[1..] {
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
    // Redirects count as such, but not as failures.
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

/// Has two servers take turns with a scenario, and compares each turn with the other's next to it:
/// whatever else this machine does meets both.
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

/// Requests per second of pairs.
pub(crate) fn load() -> io::Result<Value> {
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
        Server::flask()?,
    );
    for scenario in known {
        pairs.push(pair("ours / flask-login", &ours, &flask, scenario)?);
    }
    Ok(pairs.into())
}

/// A Redis that ends with this value.
pub(crate) struct Redis {
    child: Child,
    directory: PathBuf,
    port: u16,
    pub(crate) url: String,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Redis {
    pub(crate) fn start() -> io::Result<Self> {
        let port = free_port()?;
        let directory = std::env::temp_dir().join(format!("login_benches_redis_{port}"));
        fs::create_dir(&directory)?;
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--dir",
            ])
            .arg(&directory)
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self {
            child,
            directory,
            port,
            url: format!("redis://127.0.0.1:{port}"),
        };
        let started = Instant::now();
        while redis.say("PING").is_err() {
            if started.elapsed() > START_TIME {
                return Err(io::Error::other("Redis does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    fn say(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START_TIME))?;
        write!(stream, "{command}\r\nQUIT\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Has Redis report what clients send it from now on; what scripts call is no round trip.
    fn monitor(&self) -> io::Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START_TIME))?;
        write!(stream, "MONITOR\r\n")?;
        let mut reports = BufReader::new(stream);
        let mut ok = String::new();
        reports.read_line(&mut ok)?;
        Ok(reports)
    }
}

fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

/// How many requests are made to see what Redis is asked.
const REDIS_REQUESTS: u64 = 50;
/// What this program says to Redis when it has seen enough.
const ENOUGH: &str = "ECHO enough";

/// The round trips of one request, by command.
pub(crate) fn redis_commands() -> io::Result<Value> {
    let mut measured = serde_json::Map::new();
    let scenarios = [
        Scenario::Public,
        Scenario::PublicKnown,
        Scenario::Protected,
        Scenario::LogIn,
    ];
    for contender in [
        Contender::FloorRedis,
        Contender::OursCookieRedis,
        Contender::OursRedis,
        Contender::OursAllRedis,
    ] {
        let mut of_contender = serde_json::Map::new();
        for scenario in scenarios {
            let redis = Redis::start()?;
            let server = Server::of(contender, 1, Some(&redis.url))?;
            let ask = server.prepare(scenario)?;
            let reports = redis.monitor()?;
            for _ in 0..REDIS_REQUESTS {
                scenario
                    .check(&server.ask(&ask)?)
                    .map_err(io::Error::other)?;
            }
            redis.say(ENOUGH)?;
            let mut calls = BTreeMap::<String, u64>::new();
            for report in reports.lines() {
                let report = report?;
                let command = report.split('"').nth(1).unwrap_or_default().to_uppercase();
                if command == "ECHO" {
                    break;
                }
                if !report.contains(" lua]") {
                    *calls.entry(command).or_default() += 1;
                }
            }
            let each = |calls: u64| calls as f64 / REDIS_REQUESTS as f64;
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
