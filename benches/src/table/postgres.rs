//! A PostgreSQL server in another process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::server::{START_TIME, free_port};

/// The database that `initdb` makes, and its owner.
const NAME: &str = "postgres";

/// A PostgreSQL that is stopped when this value is dropped.
pub(crate) struct Postgres {
    child: Child,
    directory: PathBuf,
    pub(crate) url: String,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its processes share memory, which it frees itself if it is asked to end.
        let asked = Command::new("kill")
            .args(["-s", "QUIT", &self.pid().to_string()])
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Postgres {
    pub(crate) fn start() -> io::Result<Self> {
        let programs = programs()?;
        let port = free_port()?;
        let directory = std::env::temp_dir().join(format!("login_benches_postgres_{port}"));
        fs::create_dir(&directory)?;
        let password = format!("{:016x}", random());
        let password_file = directory.join("password");
        fs::write(&password_file, &password)?;
        if is_root() {
            let owner = format!("{NAME}:{NAME}");
            let mut give = Command::new("chown");
            succeeded("chown", give.args(["-R", &owner]).arg(&directory))?;
        }
        let mut initdb = as_user(&programs.join("initdb"));
        initdb
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--no-instructions"])
            .arg(format!("--username={NAME}"))
            .arg(format!("--pwfile={}", password_file.display()))
            .arg(directory.join("data"))
            .current_dir(&directory);
        succeeded("initdb", &mut initdb)?;
        let log = fs::File::create(directory.join("log"))?;
        let mut server = as_user(&programs.join("postgres"));
        server.arg("-D").arg(directory.join("data"));
        for setting in [
            &*format!("port={port}"),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            // Only reads are compared, and the processor's time of writes, not that of the disk.
            "fsync=off",
            "full_page_writes=off",
        ] {
            server.args(["-c", setting]);
        }
        let child = server
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let postgres = Self {
            child,
            directory,
            url: format!("postgres://{NAME}:{password}@127.0.0.1:{port}/{NAME}"),
        };
        let started = Instant::now();
        let log = postgres.directory.join("log");
        while !fs::read_to_string(&log)?.contains("ready to accept connections") {
            if started.elapsed() > START_TIME {
                return Err(io::Error::other("PostgreSQL does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(postgres)
    }

    /// The process whose children answer the connections.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn succeeded(name: &str, command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{name} says: {text}")))
}

/// The directory of the newest version. Debian does not put it into the `PATH`.
fn programs() -> io::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")?.flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    versions
        .pop()
        .ok_or_else(|| io::Error::other("PostgreSQL is not installed"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// A program that runs as another user if this process is root, since PostgreSQL refuses to run as root.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={NAME}"))
        .arg(format!("--regid={NAME}"))
        .args(["--clear-groups", "--"])
        .arg(program);
    command
}

fn random() -> u64 {
    use std::hash::BuildHasher;
    std::collections::hash_map::RandomState::new().hash_one(0)
}
