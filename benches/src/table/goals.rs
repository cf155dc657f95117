//! The goals, and whether the measurements meet them.

use login_benches::scenario::{COMMON, Scenario};
use serde_json::{Value, json};

use crate::results::kept;

/// The measurements that goals refer to.
struct Measured {
    counts: Value,
    redis: Value,
    load: Value,
    growth: Value,
    build: Value,
}

impl Measured {
    fn count(&self, contender: &str, scenario: &str) -> Option<f64> {
        self.counts[contender][scenario]["instructions"].as_f64()
    }

    fn ratio(&self, one: &str, other: &str, scenario: &str) -> Option<f64> {
        Some(self.count(one, scenario)? / self.count(other, scenario)?)
    }

    fn more(&self, one: &str, other: &str, scenario: &str) -> Option<f64> {
        Some(self.count(one, scenario)? - self.count(other, scenario)?)
    }

    fn more_allocations(&self, contender: &str, scenario: &str) -> Option<f64> {
        let of = |contender| self.counts[contender][scenario]["allocations"].as_f64();
        Some(of(contender)? - of("floor")?)
    }

    fn pair(&self, pair: &str, scenario: &str, what: &str) -> Option<f64> {
        let mut pairs = self.load.as_array()?.iter();
        let pair = pairs.find(|found| found["pair"] == pair && found["scenario"] == scenario)?;
        pair[what]["median"].as_f64()
    }

    /// Requests per second in relation to the other server of the pair.
    fn rate(&self, pair: &str) -> Option<f64> {
        self.pair(pair, "protected", "ratio")
    }

    /// The processor's time of a request, the time of the store included, in relation to the other.
    fn cpu(&self, pair: &str) -> Option<f64> {
        self.pair(pair, "protected", "cpu")
    }
}

/// A list of goals that grows.
#[derive(Default)]
struct Goals(Vec<Value>);

impl Goals {
    fn at_most(&mut self, what: &str, unit: &str, limit: f64, value: Option<f64>) {
        self.add(what, "<=", unit, limit, value, |value| value <= limit);
    }

    fn below(&mut self, what: &str, unit: &str, limit: f64, value: Option<f64>) {
        self.add(what, "<", unit, limit, value, |value| value < limit);
    }

    fn at_least(&mut self, what: &str, unit: &str, limit: f64, value: Option<f64>) {
        self.add(what, ">=", unit, limit, value, |value| value >= limit);
    }

    fn add(
        &mut self,
        what: &str,
        how: &str,
        unit: &str,
        limit: f64,
        value: Option<f64>,
        is_met: impl FnOnce(f64) -> bool,
    ) {
        self.0.push(json!({
            "goal": what,
            "limit": format!("{how} {limit}{unit}"),
            "measured": value.map(|value| format!("{value:.2}{unit}")),
            "met": value.map(is_met),
        }));
    }
}

/// Every goal with its limit, the measurement, and whether the goal is met.
pub(crate) fn all() -> Vec<Value> {
    let measured = Measured {
        counts: kept("counts"),
        redis: kept("redis"),
        load: kept("load"),
        growth: kept("growth"),
        build: kept("build"),
    };
    let mut goals = Goals::default();
    readme(&measured, &mut goals);
    stores(&measured, &mut goals);
    others(&measured, &mut goals);
    growth(&measured, &mut goals);
    goals.0
}

/// The configuration that `README.md` recommends.
fn readme(m: &Measured, goals: &mut Goals) {
    let public = "public, no cookie, more instructions";
    for (what, one, other) in [
        ("README's program, 16 headers", "readme", "floor"),
        ("README's program, 3 headers", "readme_few", "floor_few"),
        ("deny by default alone, 16 headers", "ours_denying", "floor"),
        (
            "deny by default alone, 3 headers",
            "ours_denying_few",
            "floor_few",
        ),
    ] {
        let what = format!("{what}: {public}");
        goals.at_most(&what, "", 400.0, m.more(one, other, "public"));
    }
    for (scenario, limit) in [("protected", 1.75), ("log_in", 2.0), ("log_out", 2.0)] {
        let title = Scenario::of(scenario).map_or("", Scenario::title);
        let what = format!("README's program: {title}, instructions");
        goals.at_most(&what, " x", limit, m.ratio("readme", "floor", scenario));
    }
    goals.at_most(
        "README's program: protected, logged in, processor time over HTTP",
        " x",
        1.3,
        m.cpu("readme / floor"),
    );
    goals.at_most(
        "README's program with a login cookie: protected, logged in, instructions",
        " x",
        1.1,
        m.ratio("readme_cookie", "floor", "protected"),
    );
    for scenario in COMMON {
        let what = format!("login cookie against actix-identity: {}", scenario.title());
        let ratio = m.ratio("ours_cookie", "identity", scenario.name());
        goals.below(&what, " x", 1.0, ratio);
    }
    goals.at_most(
        "no gate, no store: public, no cookie, more instructions",
        "",
        400.0,
        m.more("ours", "floor", "public"),
    );
    goals.at_most(
        "no gate, no store: public, no cookie, more allocations",
        "",
        0.0,
        // Tables grow now and then, in the floor too.
        m.more_allocations("ours", "public").map(f64::round),
    );
}

/// README's program with each of the stores, over HTTP.
fn stores(m: &Measured, goals: &mut Goals) {
    for (what, pair, rate, cpu) in [
        (
            "Redis, login cookie",
            "readme_redis_cookie / floor_redis",
            Some(1.2),
            Some(0.8),
        ),
        (
            "Redis, sessions in cookies",
            "readme_redis / floor_redis",
            Some(1.0),
            Some(1.0),
        ),
        (
            "Redis, sessions there too",
            "readme_all_redis / floor_redis",
            Some(0.8),
            Some(1.3),
        ),
        ("SQLite", "readme_sqlite / floor", Some(0.45), None),
        (
            "SQLite, login cookie",
            "readme_sqlite_cookie / floor",
            Some(0.6),
            None,
        ),
        (
            "PostgreSQL, login cookie, against one prepared `SELECT`",
            "readme_postgres_cookie / floor_postgres",
            None,
            Some(1.15),
        ),
        (
            "Redis, login cookie, cached for 1 s",
            "readme_cached_redis / floor",
            None,
            Some(1.2),
        ),
        (
            "SQLite, login cookie, cached for 1 s",
            "readme_cached_sqlite / floor",
            None,
            Some(1.2),
        ),
        (
            "PostgreSQL, login cookie, cached for 1 s",
            "readme_cached_postgres / floor",
            None,
            Some(1.2),
        ),
    ] {
        if let Some(limit) = rate {
            let what = format!("{what}: requests per second");
            goals.at_least(&what, " x", limit, m.rate(pair));
        }
        if let Some(limit) = cpu {
            let what = format!("{what}: processor time, the store's too");
            goals.at_most(&what, " x", limit, m.cpu(pair));
        }
    }
    for (what, contender, limit) in [
        ("Redis, login cookie", "readme_redis_cookie", 1.0),
        ("Redis, sessions in cookies", "readme_redis", 1.0),
        ("Redis, sessions there too", "readme_all_redis", 2.0),
    ] {
        let trips = m.redis[contender]["protected"]["round_trips"].as_f64();
        goals.at_most(&format!("{what}: round trips"), "", limit, trips);
    }
}

/// Comparisons with other login layers and with the floor that are not about README's program.
fn others(m: &Measured, goals: &mut Goals) {
    for (place, ours) in [("session", "ours"), ("login cookie", "ours_cookie")] {
        for (scenario, limit) in [(Scenario::PublicKnown, 1.03), (Scenario::Refused, 1.1)] {
            let what = format!("no records, {place}: {}", scenario.title());
            let ratio = m.ratio(ours, "floor", scenario.name());
            goals.at_most(&what, " x", limit, ratio);
        }
        for scenario in COMMON {
            let what = format!(
                "no records, {place}, against axum-login: {}",
                scenario.title()
            );
            let ratio = m.ratio(ours, "axum", scenario.name());
            goals.at_most(&what, " x", 0.65, ratio);
        }
    }
    for (scenario, limit) in [
        (Scenario::Protected, 1.07),
        (Scenario::LogIn, 1.1),
        (Scenario::LogOut, 1.1),
    ] {
        let what = format!("no records, login cookie: {}", scenario.title());
        let ratio = m.ratio("ours_cookie", "floor", scenario.name());
        goals.at_most(&what, " x", limit, ratio);
    }
    let flask = ["protected", "public_known"];
    let slowest = flask
        .iter()
        .filter_map(|scenario| m.pair("readme / flask-login", scenario, "ratio"))
        .reduce(f64::min);
    goals.at_least(
        "README's program against Flask-Login: requests per second",
        " x",
        18.0,
        slowest,
    );
}

fn growth(m: &Measured, goals: &mut Goals) {
    let memory = &m.growth["stores"]["memory"];
    goals.at_most(
        "memory store, bytes per login at 10^6",
        "",
        700.0,
        memory["bytes_per_login"].as_f64(),
    );
    goals.at_most(
        "memory store, purge of 10^6: longest wait of a look-up",
        " ms",
        50.0,
        memory["look_up_wait_ms"].as_f64(),
    );
    for (path, title) in [("item", "one route"), ("missing", "no route")] {
        let of = &m.growth["paths"][path];
        let what = format!("10^6 different paths of {title}");
        goals.at_most(
            &format!("{what}: more memory"),
            " MiB",
            16.0,
            of["mib"].as_f64(),
        );
        let slower = of["last_us"].as_f64().zip(of["first_us"].as_f64());
        goals.at_most(
            &format!("{what}: the last requests against the first"),
            " x",
            1.2,
            slower.map(|(last, first)| last / first),
        );
    }
    goals.at_most(
        "200 guarded handlers: more of `cargo check`",
        " s",
        0.6,
        m.build["guards_seconds"].as_f64(),
    );
    goals.at_most(
        "clean debug build against the floor",
        " x",
        1.15,
        m.build["debug_build_ratio"].as_f64(),
    );
}
