//! How long applications take to compile: with the floor, ours and actix-identity, and with guards.
//!
//! All times are processor time, which depends little on other work of the machine. Incremental
//! compilation is off: cargo compiles crates from a registry without it, but ours is a path dependency.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use login_benches::counts::package_directory;
use serde_json::{Value, json};

const HANDLERS: usize = 200;
/// How many turns the guarded and the plain handlers have.
const ROUNDS: usize = 5;
/// How many debug builds are made from scratch; an odd number, for the median.
const CLEAN_BUILDS: usize = 3;

const ACTIX: &str = "actix-web = { version = \"4.18\", default-features = false, features = [\"cookies\", \"macros\"] }\n";
const SESSION: &str = "actix-session = { version = \"0.11\", features = [\"cookie-session\"] }\n";

/// A directory that is removed when this value is dropped.
struct Packages(PathBuf);

impl Drop for Packages {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn measure() -> io::Result<Value> {
    let packages =
        Packages(std::env::temp_dir().join(format!("login_benches_build_{}", std::process::id())));
    let ours = format!(
        "{SESSION}login-runtime = {{ path = \"{}\" }}\n",
        package_directory().join("../login-runtime").display()
    );
    let applications = [
        ("floor", SESSION.to_owned()),
        ("ours", ours.clone()),
        ("identity", format!("{SESSION}actix-identity = \"0.9\"\n")),
    ];
    let mut measured = serde_json::Map::new();
    for (what, arguments, rounds) in [
        ("check", &["check"][..], 1),
        ("debug", &["build"], CLEAN_BUILDS),
        ("release", &["build", "--release"], 1),
    ] {
        let mut seconds = applications.each_ref().map(|_| Vec::new());
        for _ in 0..rounds {
            for ((name, dependencies), seconds) in applications.iter().zip(&mut seconds) {
                let package = make(&packages.0.join(name), dependencies, "fn main() {}\n")?;
                let _ = fs::remove_dir_all(package.join("target"));
                seconds.push(cargo(&package, arguments)?);
                eprintln!("{name}, {what}: {:.1} s", seconds[seconds.len() - 1]);
            }
        }
        for ((name, _), seconds) in applications.iter().zip(seconds) {
            let of_application = measured.entry(*name).or_insert_with(|| json!({}));
            of_application[what] = json!(median(seconds));
        }
    }
    let ratio =
        |what: &str| Some(measured["ours"][what].as_f64()? / measured["floor"][what].as_f64()?);
    let (debug, (guards, ratios)) = (ratio("debug"), handlers(&packages.0, &ours)?);
    measured.insert("debug_build_ratio".to_owned(), json!(debug));
    measured.insert("guards_seconds".to_owned(), json!(guards));
    measured.insert("guards_ratios".to_owned(), json!(ratios));
    Ok(Value::Object(measured))
}

/// How much longer `cargo check` takes if [`HANDLERS`] handlers are guarded: the median of the
/// differences, and the ratios.
fn handlers(directory: &Path, dependencies: &str) -> io::Result<(f64, Vec<f64>)> {
    let program = |guard: &str| {
        let mut text = String::from("#![allow(dead_code)]\nuse actix_web::{get, web};\n");
        for number in 0..HANDLERS {
            let _ = write!(
                text,
                "{guard}\n#[get(\"/page/{number}\")]\nasync fn page_{number}(id: web::Query<Vec<(u32, u32)>>) -> String {{ format!(\"{{}}\", id.len()) }}\n",
            );
        }
        text.push_str("fn main() { let _ = actix_web::App::new()");
        for number in 0..HANDLERS {
            let _ = write!(text, ".service(page_{number})");
        }
        text + "; }\n"
    };
    let plain = make(&directory.join("plain"), dependencies, &program(""))?;
    let guarded = make(
        &directory.join("guarded"),
        dependencies,
        &program("#[login_runtime::login_required]"),
    )?;
    let (mut more, mut ratios) = (Vec::new(), Vec::new());
    for package in [&plain, &guarded] {
        cargo(package, &["check"])?;
    }
    for _ in 0..ROUNDS {
        let mut seconds = [0.0; 2];
        for (seconds, package) in seconds.iter_mut().zip([&plain, &guarded]) {
            // Changes the file, so that cargo checks it again.
            let main = package.join("src/main.rs");
            fs::write(&main, fs::read_to_string(&main)? + "\n")?;
            *seconds = cargo(package, &["check"])?;
        }
        more.push(seconds[1] - seconds[0]);
        ratios.push(seconds[1] / seconds[0]);
    }
    ratios.sort_by(f64::total_cmp);
    Ok((median(more), ratios))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn make(package: &Path, dependencies: &str, main: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("src/main.rs"), main)?;
    // The versions of dependencies as in this package.
    fs::copy(
        package_directory().join("Cargo.lock"),
        package.join("Cargo.lock"),
    )?;
    let manifest = format!(
        "[package]\nname = \"application\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{ACTIX}{dependencies}"
    );
    fs::write(package.join("Cargo.toml"), manifest)?;
    Ok(package.to_owned())
}

/// The processor time of cargo and its child processes, in seconds.
fn cargo(package: &Path, arguments: &[&str]) -> io::Result<f64> {
    let output = Command::new("bash")
        .current_dir(package)
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_INCREMENTAL", "0")
        .args([
            "-c",
            "TIMEFORMAT='%U %S'; time cargo --quiet \"$@\"",
            "cargo",
        ])
        .args(arguments)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(io::Error::other(text.into_owned()));
    }
    let times = text.lines().last().unwrap_or_default().split(' ');
    Ok(times
        .filter_map(|seconds| seconds.parse::<f64>().ok())
        .sum())
}
