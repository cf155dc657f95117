//! The goals, and whether the measurements meet them.

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

    fn more_allocations(&self, contender: &str, scenario: &str) -> Option<f64> {
        let of = |contender| self.counts[contender][scenario]["allocations"].as_f64();
        Some(of(contender)? - of("floor")?)
    }

    fn throughput(&self, pair: &str, scenario: &str) -> Option<f64> {
        let mut pairs = self.load.as_array()?.iter();
        let pair = pairs.find(|found| found["pair"] == pair && found["scenario"] == scenario)?;
        pair["ratio"]["median"].as_f64()
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
    let mut goals = Vec::new();
    let mut at_most = |what: &str, unit: &str, limit: f64, value: Option<f64>| {
        goals.push(json!({
            "goal": what,
            "limit": format!("<= {limit}{unit}"),
            "measured": value.map(|value| format!("{value:.2}{unit}")),
            "met": value.map(|value| value <= limit),
        }));
    };
    let m = &measured;
    for (place, ours, with_records) in [
        ("", "ours", "ours_memory"),
        (", login cookie", "ours_cookie", "ours_cookie_memory"),
    ] {
        let mut at_most = |what: &str, unit: &str, limit: f64, value: Option<f64>| {
            at_most(&format!("{what}{place}"), unit, limit, value);
        };
        let more = |scenario| Some(m.count(ours, scenario)? - m.count("floor", scenario)?);
        at_most(
            "public, no cookie: more instructions",
            "",
            400.0,
            more("public"),
        );
        at_most(
            "public, no cookie: more allocations",
            "",
            0.0,
            m.more_allocations(ours, "public"),
        );
        for (title, contender, scenario, limit) in [
            ("public, logged-in cookie", ours, "public_known", 1.03),
            (
                "protected, anonymous, redirect with `next`",
                ours,
                "refused",
                1.10,
            ),
            ("protected, logged in, no records", ours, "protected", 1.07),
            (
                "protected, logged in, records in memory",
                with_records,
                "protected",
                1.15,
            ),
            ("log in", ours, "log_in", 1.10),
            ("log out", ours, "log_out", 1.10),
        ] {
            at_most(title, " x", limit, m.ratio(contender, "floor", scenario));
        }
        at_most(
            "protected, logged in, no records: more allocations",
            "",
            4.0,
            m.more_allocations(ours, "protected"),
        );
        for scenario in login_benches::scenario::COMMON {
            let title = format!("against actix-identity: {}", scenario.title());
            at_most(
                &title,
                " x",
                1.0,
                m.ratio(ours, "identity", scenario.name()),
            );
        }
        for scenario in login_benches::scenario::COMMON {
            let title = format!("against axum-login: {}", scenario.title());
            at_most(&title, " x", 0.65, m.ratio(ours, "axum", scenario.name()));
        }
    }
    let trips = |contender: &str| m.redis[contender]["protected"]["round_trips"].as_f64();
    for (title, contender) in [
        ("records in Redis: round trips", "ours_redis"),
        (
            "records and sessions in Redis: round trips",
            "ours_all_redis",
        ),
        (
            "records in Redis: round trips, login cookie",
            "ours_cookie_redis",
        ),
    ] {
        at_most(title, "", 2.0, trips(contender));
    }
    let build = |what: &str| m.build[what].as_f64();
    at_most(
        "memory store, bytes per login at 10^6",
        "",
        700.0,
        m.growth["bytes_per_login"].as_f64(),
    );
    at_most(
        "memory store, purge of 10^6: longest wait",
        " ms",
        50.0,
        m.growth["purge_wait_ms"].as_f64(),
    );
    at_most(
        "200 guarded handlers: more of `cargo check`",
        " s",
        0.6,
        build("guards_seconds"),
    );
    at_most(
        "clean debug build against the floor",
        " x",
        1.15,
        build("debug_build_ratio"),
    );
    let flask = ["protected", "public_known"];
    let slowest = flask
        .iter()
        .filter_map(|scenario| m.throughput("ours / flask-login", scenario));
    let slowest = slowest.reduce(f64::min);
    goals.push(json!({
        "goal": "requests per second against Flask-Login",
        "limit": ">= 18 x",
        "measured": slowest.map(|slowest| format!("{slowest:.1} x")),
        "met": slowest.map(|slowest| slowest >= 18.0),
    }));
    goals
}
