//! Instructions per request, as the harness left them behind.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// How many requests one count is made of.
pub const REQUESTS: u64 = 100;

/// By contender and scenario.
pub type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Where this package is.
pub fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where everything is built.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| here().join("target"), PathBuf::from)
}

fn profiles() -> PathBuf {
    target().join("gungraun/login-benches/instructions/counts")
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
    for profile in fs::read_dir(profiles())? {
        let path = profile?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some((contender, scenario)) = name.split_once('.') {
            let total = total(&path.join(format!("callgrind.{name}.out")))?;
            let contender = counts.entry(contender.to_owned()).or_default();
            contender.insert(scenario.to_owned(), total / REQUESTS);
        }
    }
    Ok(counts)
}

/// The profile of a scenario.
pub fn profile(contender: &str, scenario: &str) -> PathBuf {
    let name = format!("{contender}.{scenario}");
    profiles().join(&name).join(format!("callgrind.{name}.out"))
}

fn total(profile: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(profile)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = totals.and_then(|totals| totals.split(' ').next()?.parse().ok());
    total.ok_or_else(|| io::Error::other(format!("{} has no total", profile.display())))
}

/// The compiler that counts depend on.
pub fn rustc() -> String {
    version("rustc")
}

/// What a program says that it is.
pub fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| format!("no {program}"))
}
