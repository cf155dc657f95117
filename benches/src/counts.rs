//! What a request takes, as the harness left it behind: instructions and allocations, of the same run.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

/// How many requests one count is made of.
pub const REQUESTS: u64 = 100;

/// What one request takes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Count {
    pub instructions: u64,
    /// The hundred requests of a count have a hundredth in common, and tables grow now and then.
    pub allocations: f64,
}

/// By contender and scenario.
pub type Counts = BTreeMap<String, BTreeMap<String, Count>>;

/// Where this package is.
pub fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where everything is built.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| here().join("target"), PathBuf::from)
}

/// In it, a directory for each group of the harness.
fn profiles() -> PathBuf {
    target().join("gungraun/login-benches/instructions")
}

/// Runs the harness with these features, and reads what it counted.
pub fn count(features: &[&str]) -> io::Result<Counts> {
    // Of an earlier run, perhaps of scenarios that there are no more.
    let _ = fs::remove_dir_all(profiles());
    let counted = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(here())
        .args(["bench", "--locked", "--bench", "instructions"])
        .args(features)
        .stdout(io::stderr())
        .status()?;
    if !counted.success() {
        return Err(io::Error::other("the instructions could not be counted"));
    }
    let mut counts = Counts::new();
    for group in fs::read_dir(profiles())? {
        for profile in fs::read_dir(group?.path())? {
            let profile = profile?;
            let name = profile.file_name();
            if let Some((contender, scenario)) = name.to_str().and_then(|name| name.split_once('.'))
            {
                let count = read(&profile.path().join(file_name(contender, scenario)))?;
                let contender = counts.entry(contender.to_owned()).or_default();
                contender.insert(scenario.to_owned(), count);
            }
        }
    }
    Ok(counts)
}

fn file_name(contender: &str, scenario: &str) -> String {
    format!("callgrind.{contender}.{scenario}.out")
}

/// The profile of a scenario.
pub fn profile(contender: &str, scenario: &str) -> io::Result<String> {
    let file = Path::new(&format!("{contender}.{scenario}")).join(file_name(contender, scenario));
    for group in fs::read_dir(profiles())? {
        let path = group?.path().join(&file);
        if path.exists() {
            return fs::read_to_string(path);
        }
    }
    Err(io::Error::other(format!("there is no {}", file.display())))
}

/// The functions of the C library that Rust allocates with. A block that grows is an allocation more.
const ALLOCATE: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];

fn read(profile: &Path) -> io::Result<Count> {
    let wrong = |what| io::Error::other(format!("{} has no {what}", profile.display()));
    let text = fs::read_to_string(profile)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: Option<u64> = totals.and_then(|totals| totals.split(' ').next()?.parse().ok());

    // How often a function's first instruction ran is how often it was called.
    let mut first: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (function, address, instructions) in own_costs(&text) {
        if ALLOCATE.contains(&function) {
            let (lowest, calls) = first.entry(function).or_insert((u64::MAX, 0));
            if address < *lowest {
                (*lowest, *calls) = (address, 0);
            }
            if address == *lowest {
                *calls += instructions;
            }
        }
    }
    let calls: u64 = first.values().map(|(_, calls)| calls).sum();
    if calls == 0 {
        // Every request allocates: the functions have other names here.
        return Err(wrong("allocations"));
    }
    Ok(Count {
        instructions: total.ok_or_else(|| wrong("total"))? / REQUESTS,
        allocations: calls as f64 / REQUESTS as f64,
    })
}

/// What functions cost themselves, without what they call: function, address, instructions.
pub fn own_costs(profile: &str) -> impl Iterator<Item = (&str, u64, u64)> {
    let (mut function, mut is_call) = ("", false);
    profile.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name;
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if let Some(costs) = line.strip_prefix("0x") {
            // The line after a call is what the callee cost.
            if !std::mem::take(&mut is_call) {
                let mut numbers = costs.split(' ');
                let address = u64::from_str_radix(numbers.next()?, 16).ok()?;
                return Some((function, address, numbers.nth(1)?.parse().ok()?));
            }
        }
        None
    })
}

/// The compiler that counts depend on.
pub fn rustc() -> String {
    version("rustc")
}

/// What a program says that it is, in the first line.
pub fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text
        .ok()
        .and_then(|text| text.lines().next().map(str::to_owned));
    line.unwrap_or_else(|| format!("no {program}"))
}
