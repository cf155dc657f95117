//! The tables of `BENCHMARKS.md`.

use std::{fmt::Write as _, fs, io};

use login_benches::{
    contenders::{ALL, Contender},
    counts,
    scenario::{COMMON, Scenario},
};
use serde_json::{Value, json};

use crate::{
    goals,
    load::Load,
    results::{keep, kept, output},
};

/// Prints all measurements and writes them to `BENCHMARKS.md`.
pub(crate) fn write() -> io::Result<()> {
    let goals = goals::all();
    keep("goals", &json!(goals))?;
    keep("versions", &versions())?;
    // The main table and the goals come last, so that they are visible at the end.
    let sections = [
        ("versions", versions_list()),
        ("breakdown", breakdown()),
        ("build", build()),
        ("growth", growth()),
        ("load", load()),
        ("redis", redis()),
        ("cookies", cookies()),
        ("modes", modes()),
        ("table", table()),
        ("goals", goals_table(&goals)),
    ];
    for (name, section) in &sections {
        println!("== {name}\n\n{section}");
    }
    fill("BENCHMARKS.md", &sections)?;
    fill("../README.md", &[("cost", cost())])?;
    let met = goals.iter().filter(|goal| goal["met"] == true).count();
    println!("{met} of {} goals are met", goals.len());
    Ok(())
}

/// Replaces sections of a text, which are between two comments with their names.
fn fill(name: &str, sections: &[(&str, String)]) -> io::Result<()> {
    let mut text = fs::read_to_string(counts::package_directory().join(name))?;
    for (section, content) in sections {
        let (start, end) = (
            format!("<!-- {section} -->\n"),
            format!("<!-- end of {section} -->"),
        );
        let from = text.find(&start).map(|at| at + start.len());
        let (from, to) = from
            .zip(text.find(&end))
            .ok_or_else(|| io::Error::other(format!("{name} has no section for {section}")))?;
        text.replace_range(from..to, content);
    }
    fs::write(output(name), text)
}

/// What `README.md` says about the cost of its program, in relation to the floor.
fn cost() -> String {
    let (counts, load) = (kept("counts"), kept("load"));
    let instructions = |contender: &str, scenario: Scenario| {
        let of = |contender: &str| counts[contender][scenario.name()]["instructions"].as_f64();
        of(contender)
            .zip(of("floor"))
            .map(|(ours, floor)| ours / floor)
    };
    let time = |contender: &str, scenario: Scenario| {
        let name = format!("{contender} / floor");
        let mut pairs = load.as_array().into_iter().flatten();
        let pair =
            pairs.find(|pair| pair["pair"] == name && pair["scenario"] == scenario.name())?;
        pair["cpu"]["median"].as_f64()
    };
    let cell = |contender: &str, scenario: Scenario| {
        let number = |value: Option<f64>| value.map(|value| format!("{value:.2} x"));
        let counted = number(instructions(contender, scenario)).unwrap_or_default();
        match number(time(contender, scenario)) {
            Some(time) => format!("{counted} / {time}"),
            None => counted,
        }
    };
    let rows = COMMON.map(|scenario| {
        vec![
            scenario.title().to_owned(),
            cell("readme", scenario),
            cell("readme_cookie", scenario),
        ]
    });
    let head = [
        "instructions / processor time",
        "the program above",
        "with a login cookie",
    ];
    markdown(&head, &rows)
}

/// A table in Markdown.
fn markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<_> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = vec!["---".to_owned(); head.len()];
    let rows = rows.iter().map(|row| line(row));
    [line(&head), line(&rule)].into_iter().chain(rows).collect()
}

/// Instructions in thousands, allocations, and the ratio to the floor.
fn cell(contender: &str, scenario: Scenario) -> String {
    let counts = kept("counts");
    let of = |contender: &str| counts[contender][scenario.name()]["instructions"].as_f64();
    let Some(count) = of(contender) else {
        return String::new();
    };
    let mut cell = format!("{:.1}", count / 1000.0);
    if let Some(allocations) = counts[contender][scenario.name()]["allocations"].as_f64() {
        let _ = write!(cell, " / {allocations:.0}");
    }
    let floor = Contender::of(contender).map(|contender| contender.floor().name());
    if let Some(floor) = floor.filter(|&floor| floor != contender).and_then(of) {
        let _ = write!(cell, " ({:.2} x)", count / floor);
    }
    cell
}

fn table() -> String {
    let head: Vec<_> = [""]
        .into_iter()
        .chain(COMMON.map(Scenario::title))
        .collect();
    let rows: Vec<_> = ALL
        .into_iter()
        .filter(|contender| contender.is_counted())
        .map(|contender| {
            let cells = COMMON.map(|scenario| cell(contender.name(), scenario));
            [contender.title().to_owned()]
                .into_iter()
                .chain(cells)
                .collect()
        })
        .collect();
    markdown(&head, &rows)
}

fn modes() -> String {
    let scenarios = [Scenario::Protected, Scenario::Thrice, Scenario::Restored];
    let head: Vec<_> = [""]
        .into_iter()
        .chain(scenarios.map(Scenario::title))
        .collect();
    let ours = ALL.into_iter().filter(|contender| contender.has_modes());
    let rows: Vec<_> = ours
        .map(|contender| {
            let cells = scenarios.map(|scenario| cell(contender.name(), scenario));
            [contender.title().to_owned()]
                .into_iter()
                .chain(cells)
                .collect()
        })
        .collect();
    markdown(&head, &rows)
}

fn goals_table(goals: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("not measured").to_owned();
    let rows: Vec<_> = goals
        .iter()
        .map(|goal| {
            let met = match goal["met"].as_bool() {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "?",
            };
            vec![
                text(&goal["goal"]),
                text(&goal["limit"]),
                text(&goal["measured"]),
                met.to_owned(),
            ]
        })
        .collect();
    markdown(&["goal", "limit", "measured", ""], &rows)
}

fn cookies() -> String {
    let requests = kept("requests");
    let of = |contender: Contender, scenario: Scenario, what: &str| {
        let value = requests[contender.name()][scenario.name()][what].as_f64();
        value.map_or_else(String::new, |value| {
            format!("{value:.2}").trim_end_matches(".00").to_owned()
        })
    };
    let rows: Vec<_> = ALL
        .into_iter()
        .filter(|contender| contender.is_counted() && *contender != Contender::Bare)
        .map(|contender| {
            vec![
                contender.title().to_owned(),
                of(contender, Scenario::LogIn, "set_cookie"),
                of(contender, Scenario::Protected, "cookie"),
                of(contender, Scenario::Protected, "set_cookie"),
                of(contender, Scenario::PublicKnown, "loads"),
                of(contender, Scenario::Protected, "loads"),
                of(contender, Scenario::Thrice, "loads"),
            ]
        })
        .collect();
    let head = [
        "",
        "`Set-Cookie` at log in, bytes",
        "`Cookie` of each request, bytes",
        "`Set-Cookie` of a protected page",
        "loads for a public page",
        "for a protected page",
        "for three extractors",
    ];
    markdown(&head, &rows)
}

fn redis() -> String {
    let measured = kept("redis");
    let scenarios = [
        Scenario::Public,
        Scenario::PublicKnown,
        Scenario::Protected,
        Scenario::LogIn,
    ];
    let head: Vec<_> = [""]
        .into_iter()
        .chain(scenarios.map(Scenario::title))
        .collect();
    let rows: Vec<_> = [
        Contender::FloorRedis,
        Contender::ReadmeRedisCookie,
        Contender::ReadmeRedis,
        Contender::ReadmeAllRedis,
        Contender::ReadmeCachedRedis,
    ]
    .into_iter()
    .map(|contender| {
        let cells = scenarios.map(|scenario| {
            let of = &measured[contender.name()][scenario.name()];
            let commands = of["commands"].as_object();
            let commands: Vec<_> = commands
                .into_iter()
                .flatten()
                .map(|(name, calls)| match calls.as_f64() {
                    Some(1.0) => name.clone(),
                    calls => format!("{} {name}", calls.unwrap_or(0.0)),
                })
                .collect();
            let trips = of["round_trips"].as_f64();
            trips.map_or_else(String::new, |trips| match &*commands.join(", ") {
                "" => format!("{trips}"),
                commands => format!("{trips} ({commands})"),
            })
        });
        [contender.title().to_owned()]
            .into_iter()
            .chain(cells)
            .collect()
    })
    .collect();
    markdown(&head, &rows)
}

fn load() -> String {
    let pairs = kept("load");
    let rows: Vec<_> = pairs
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| {
            let number = |value: &Value, digits: usize| {
                value
                    .as_f64()
                    .map_or_else(String::new, |value| format!("{value:.digits$}"))
            };
            let (one, other) = (&pair["one"], &pair["other"]);
            let ratio = |what: &str| {
                let of = |which: &str| number(&pair[what][which], 2);
                format!("**{}** ({} to {})", of("median"), of("min"), of("max"))
            };
            let both = |what: &str, digits| {
                format!(
                    "{} / {}",
                    number(&one[what], digits),
                    number(&other[what], digits)
                )
            };
            let memory = |side: &Value| side["memory_kib"].as_f64().unwrap_or(0.0) / 1024.0;
            vec![
                pair["pair"].as_str().unwrap_or_default().to_owned(),
                Load::title(pair["scenario"].as_str().unwrap_or_default()).to_owned(),
                ratio("ratio"),
                ratio("cpu"),
                both("per_second", 0),
                both("cpu_us", 1),
                both("median_ms", 2),
                both("p99_ms", 2),
                format!("{:.1} / {:.1}", memory(one), memory(other)),
            ]
        })
        .collect();
    let head = [
        "pair",
        "",
        "requests per second, ratio",
        "processor time, ratio",
        "requests per second",
        "processor time, us",
        "latency, median, ms",
        "99 %, ms",
        "memory, MiB",
    ];
    markdown(&head, &rows)
}

fn growth() -> String {
    let growth = kept("growth");
    let number = |value: &Value, digits: usize| {
        value
            .as_f64()
            .map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    let stores = growth["stores"].as_object().cloned().unwrap_or_default();
    let stores: Vec<_> = stores
        .iter()
        .map(|(name, of)| {
            let bytes = Some(&of["bytes_per_login"]).filter(|_| name == "memory");
            vec![
                name.clone(),
                bytes.map_or_else(String::new, |bytes| number(bytes, 0)),
                number(&of["purge_ms"], 0),
                number(&of["look_up_wait_ms"], 1),
                number(&of["log_in_wait_ms"], 1),
            ]
        })
        .collect();
    let head = [
        "",
        "bytes per login",
        "purge of all, ms",
        "longest wait of a look-up meanwhile, ms",
        "of a log in, ms",
    ];
    let paths = [
        ("item", "a route with a parameter"),
        ("missing", "no route"),
    ];
    let paths = paths.map(|(name, title)| {
        let of = &growth["paths"][name];
        vec![
            title.to_owned(),
            number(&of["mib"], 1),
            number(&of["first_us"], 2),
            number(&of["last_us"], 2),
        ]
    });
    let paths_head = [
        "a million different paths of",
        "more memory, MiB",
        "first requests, us each",
        "last requests, us each",
    ];
    format!(
        "{}\n{}",
        markdown(&head, &stores),
        markdown(&paths_head, &paths)
    )
}

fn build() -> String {
    let build = kept("build");
    let Some(guards) = build["guards_seconds"].as_f64() else {
        return "Not measured.\n".to_owned();
    };
    let rows = ["floor", "ours", "identity"].map(|name| {
        let seconds = ["check", "debug", "release"].map(|what| {
            build[name][what]
                .as_f64()
                .map_or_else(String::new, |value| format!("{value:.1}"))
        });
        [name.to_owned()].into_iter().chain(seconds).collect()
    });
    let ratios: Vec<_> = build["guards_ratios"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|ratio| Some(format!("{:.2}", ratio.as_f64()?)))
        .collect();
    format!(
        "{}\n200 guarded handlers take {guards:.2} s more of `cargo check`; the ratios are {}.\n",
        markdown(&["", "check", "debug", "release"], &rows),
        ratios.join(", "),
    )
}

fn breakdown() -> String {
    let measured = kept("breakdown");
    let mut text = String::new();
    for (name, functions) in measured.as_object().into_iter().flatten() {
        let rows: Vec<_> = functions
            .as_array()
            .into_iter()
            .flatten()
            .map(|function| {
                let cost = |of: &str| function[of].as_i64().unwrap_or(0);
                vec![
                    format!("`{}`", function["function"].as_str().unwrap_or_default()),
                    cost("ours").to_string(),
                    cost("floor").to_string(),
                    format!("{:+}", cost("ours") - cost("floor")),
                ]
            })
            .collect();
        let head = ["function", "ours", "floor", "more"];
        let _ = writeln!(text, "### {name}\n\n{}", markdown(&head, &rows));
    }
    text
}

/// The crates that affect the measurements most; `Cargo.lock` has the versions of all.
const CRATES: [&str; 12] = [
    "actix-http",
    "actix-identity",
    "actix-session",
    "actix-web",
    "axum",
    "axum-login",
    "cookie",
    "gungraun",
    "redis",
    "serde_json",
    "sqlx",
    "tower-sessions",
];

fn versions() -> Value {
    let lock =
        fs::read_to_string(counts::package_directory().join("Cargo.lock")).unwrap_or_default();
    let version = |name: &str| {
        let package = lock
            .split("[[package]]")
            .find(|package| package.contains(&format!("name = \"{name}\"\n")));
        let line = package.and_then(|package| {
            package
                .lines()
                .find_map(|line| line.strip_prefix("version = "))
        });
        line.unwrap_or("?").trim_matches('"').to_owned()
    };
    let crates: Vec<_> = CRATES
        .iter()
        .map(|name| format!("{name} {}", version(name)))
        .collect();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<_> = cpu
        .lines()
        .filter_map(|line| line.strip_prefix("model name\t: "))
        .collect();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let python = fs::read_to_string(counts::package_directory().join("flask/requirements.txt"))
        .unwrap_or_default();
    let python: Vec<_> = python.lines().map(|line| line.replace("==", " ")).collect();
    json!({
        "compiler": counts::rustc(),
        "C library": counts::version("ldd"),
        "valgrind": counts::version("valgrind"),
        "wrk": counts::version("wrk"),
        "Redis": counts::version("redis-server"),
        "PostgreSQL": counts::version("psql"),
        "crates": crates.join(", "),
        "machine": format!(
            "{} processors, {}, Linux {}",
            models.len(),
            models.first().unwrap_or(&"unknown"),
            kernel.trim(),
        ),
        "Python": python.join(", "),
    })
}

fn versions_list() -> String {
    let versions = versions();
    let versions = versions.as_object().into_iter().flatten();
    let lines = versions
        .map(|(what, version)| format!("- {what}: {}\n", version.as_str().unwrap_or_default()));
    lines.collect()
}
