//! Instructions and allocations per request, read from the profiles that callgrind wrote.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

/// The number of requests in one profile.
pub const REQUESTS: u64 = 100;

/// The cost of one request.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Count {
    pub instructions: u64,
    /// Not a whole number: tables grow now and then, and some work is done once for all requests.
    pub allocations: f64,
}

/// Counts by contender and scenario.
pub type Counts = BTreeMap<String, BTreeMap<String, Count>>;

/// The directory of this package.
pub fn package_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The target directory of cargo.
pub fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| package_directory().join("target"), PathBuf::from)
}

/// The profiles, in one directory for each group of the harness.
fn profiles() -> PathBuf {
    target_directory().join("gungraun/login-benches/instructions")
}

/// Runs the benchmark `instructions` with these arguments for cargo, and reads its profiles. Counts only
/// what a part of its name, `contender::scenario`, matches the filter.
pub fn count(arguments: &[&str], filter: Option<&str>) -> io::Result<Counts> {
    // Profiles of an earlier run may be of scenarios that no longer exist.
    let _ = fs::remove_dir_all(profiles());
    let counted = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(package_directory())
        .args(["bench", "--locked", "--bench", "instructions"])
        .args(arguments)
        .args(
            filter
                .into_iter()
                .flat_map(|filter| ["--".to_owned(), pattern(filter)]),
        )
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

/// The filter of the harness for names such as `instructions::counts::readme::public`.
fn pattern(filter: &str) -> String {
    format!("*::{}*", filter.trim_start_matches("::"))
}

fn file_name(contender: &str, scenario: &str) -> String {
    format!("callgrind.{contender}.{scenario}.out")
}

/// The text of the profile of a scenario.
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

/// The functions of the C library with which Rust allocates. Growing a block counts as an allocation.
const ALLOCATE: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];

fn read(profile: &Path) -> io::Result<Count> {
    let wrong = |what| io::Error::other(format!("{} has no {what}", profile.display()));
    let text = fs::read_to_string(profile)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: Option<u64> = totals.and_then(|totals| totals.split(' ').next()?.parse().ok());

    // The first instruction of a function runs once for each call.
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
        // Every request allocates, so the functions have other names on this system.
        return Err(wrong("allocations"));
    }
    Ok(Count {
        instructions: total.ok_or_else(|| wrong("total"))? / REQUESTS,
        allocations: calls as f64 / REQUESTS as f64,
    })
}

/// The costs of functions without the functions that they call: name, address, instructions.
pub fn own_costs(profile: &str) -> impl Iterator<Item = (&str, u64, u64)> {
    let (mut function, mut is_call) = ("", false);
    profile.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name;
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if let Some(costs) = line.strip_prefix("0x") {
            // The line after a call has the cost of the called function.
            if !std::mem::take(&mut is_call) {
                let mut numbers = costs.split(' ');
                let address = u64::from_str_radix(numbers.next()?, 16).ok()?;
                return Some((function, address, numbers.nth(1)?.parse().ok()?));
            }
        }
        None
    })
}

/// The version of the compiler, on which counts depend.
pub fn rustc() -> String {
    version("rustc")
}

/// The first line that a program prints for `--version`.
pub fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text
        .ok()
        .and_then(|text| text.lines().next().map(str::to_owned));
    line.unwrap_or_else(|| format!("no {program}"))
}
