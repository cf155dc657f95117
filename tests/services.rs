//! A real Redis and a real PostgreSQL for the tests that need them.
//!
//! Each is started from what is installed, on a free port of this machine only, with a password and
//! its data in a new temporary directory, and is ended by its process id. A shell stands between: it
//! waits on a pipe that this process holds, so the service ends with the test binary, however that
//! ends.
//!
//! On Debian, and what descends from it, root installs what is missing, unless `LOGIN_TESTS_INSTALL` is
//! `0`. Otherwise a test that needs a service that is not installed says so and passes. Where `CI` or
//! `LOGIN_TESTS_REQUIRE_SERVICES` is set, it fails instead.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a service may take to start.
const START_TIME: Duration = Duration::from_secs(60);

/// What Debian calls what is needed. Among the programs of `procps` are those that tell and signal the
/// children of a process, of which PostgreSQL has one for each connection.
const REDIS_PACKAGES: &str = "redis-server";
const POSTGRES_PACKAGES: &str = "postgresql procps";

/// How often a service is started on another port if somebody took the one that was free.
const ATTEMPTS: usize = 5;

/// The Redis that all tests of this binary share, if there is one. Its keys need a prefix of their
/// own: see [`unique`].
pub fn redis() -> Option<&'static Redis> {
    static REDIS: OnceLock<Option<Redis>> = OnceLock::new();
    let redis = REDIS.get_or_init(Redis::start_if_installed).as_ref();
    if redis.is_none() {
        skip("redis-server", REDIS_PACKAGES);
    }
    redis
}

/// The PostgreSQL that all tests of this binary share, if there is one. Each takes a
/// [`database`](Postgres::database) of its own.
pub fn postgres() -> Option<&'static Postgres> {
    static POSTGRES: OnceLock<Option<Postgres>> = OnceLock::new();
    let postgres = POSTGRES.get_or_init(Postgres::start_if_installed).as_ref();
    if postgres.is_none() {
        skip("PostgreSQL", POSTGRES_PACKAGES);
    }
    postgres
}

/// A name that nothing else in this test run has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "{name}_{}_{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Whether the environment says yes or no to something, if it says anything.
fn says(name: &str) -> Option<bool> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(!matches!(&*value, "0" | "false"))
}

/// Says something even where the test harness keeps what a test prints to itself, in one piece, since
/// other tests write too.
fn announce(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Where a service is, once it has been installed if need be and if we may.
fn installed(packages: &str, find: fn() -> Option<PathBuf>) -> Option<PathBuf> {
    static TRIED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    if let Some(found) = find() {
        return Some(found);
    }
    // The others wait, and then find it. A second attempt would only take as long again.
    let mut tried = TRIED.lock().expect("nothing panics here");
    if !tried.iter().any(|other| other == packages) {
        tried.push(packages.to_owned());
        install(packages);
    }
    find()
}

fn install(packages: &str) {
    let may = says("LOGIN_TESTS_INSTALL") != Some(false) && is_root();
    let Some(apt) = find_program("apt-get").filter(|_| may) else {
        return;
    };
    announce(&format!(
        "INSTALLING {packages} for the tests (LOGIN_TESTS_INSTALL=0 skips them instead)"
    ));
    let run = |args: &[&str]| {
        let mut command = Command::new(&apt);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.args(["-qq", "--yes", "--option=DPkg::Lock::Timeout=300"]);
        command
            .args(["--option=Acquire::http::Timeout=30"])
            .args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    // What is known of packages may be old, or nothing.
    let _ = run(&["update"]);
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(packages.split(' '));
    if !run(&install) {
        announce(&format!("{packages} could not be installed"));
    }
}

/// Says that the test of this thread does not run, or fails it.
fn skip(service: &str, packages: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        says("CI") != Some(true) && says("LOGIN_TESTS_REQUIRE_SERVICES") != Some(true),
        "{test} needs {service}: apt-get install {packages}",
    );
    announce(&format!(
        "SKIPPED {test}: {service} is not installed (apt-get install {packages})"
    ));
}

/// A Redis of one's own or shared; ended when it is dropped.
#[derive(Debug)]
pub struct Redis {
    // Ended before its directory goes.
    service: Service,
    dir: TempDir,
    server: PathBuf,
    port: u16,
    password: String,
}

impl Redis {
    /// Starts one for this test alone, to pause and kill. `None` if it is not installed; that has
    /// been reported then.
    pub fn start() -> Option<Self> {
        let redis = Self::start_if_installed();
        if redis.is_none() {
            skip("redis-server", REDIS_PACKAGES);
        }
        redis
    }

    fn start_if_installed() -> Option<Self> {
        let server = installed(REDIS_PACKAGES, || find_program("redis-server"))?;
        let dir = TempDir::new("redis");
        let password = password();
        let (service, port) = on_a_free_port(|port| Self::run(&server, &dir, port, &password));
        Some(Self {
            server,
            dir,
            port,
            password,
            service,
        })
    }

    fn run(server: &Path, dir: &TempDir, port: u16, password: &str) -> Option<Service> {
        // In a file, since everybody can see the arguments of a process.
        let config = dir.path().join("redis.conf");
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {}\nsave \"\"\nappendonly no\n",
            dir.path().display(),
        );
        fs::write(&config, settings).expect("the directory is ours");
        let mut command = Command::new(server);
        command.arg(config);
        Service::start(command, dir, "KILL", port)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/", self.password, self.port)
    }

    /// Stops it from answering, without closing a connection.
    pub fn pause(&self) {
        signal("STOP", &[self.service.pid]);
    }

    /// Lets it answer again.
    pub fn resume(&self) {
        signal("CONT", &[self.service.pid]);
    }

    /// Kills it. What was in it is gone.
    pub fn kill(&mut self) {
        self.service.end();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port.
    ///
    /// # Panics
    ///
    /// If that does not work.
    pub fn restart(&mut self) {
        self.service.end();
        self.service = Self::run(&self.server, &self.dir, self.port, &self.password)
            .expect("the port is still free");
    }
}

/// A PostgreSQL of one's own or shared; ended when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    // Ended before its directory goes.
    service: Service,
    dir: TempDir,
    programs: PathBuf,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts one for this test alone, to pause and kill. `None` if it is not installed; that has
    /// been reported then.
    pub fn start() -> Option<Self> {
        let postgres = Self::start_if_installed();
        if postgres.is_none() {
            skip("PostgreSQL", POSTGRES_PACKAGES);
        }
        postgres
    }

    fn start_if_installed() -> Option<Self> {
        let programs = installed(POSTGRES_PACKAGES, find_postgres)?;
        let dir = TempDir::new("postgres");
        let password = password();
        let password_file = dir.path().join("password");
        fs::write(&password_file, &password).expect("the directory is ours");
        dir.give_away();
        let mut command = as_user(&programs.join("initdb"));
        command
            .args([
                "--username=postgres",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--no-instructions"])
            .arg(format!("--pwfile={}", password_file.display()))
            .arg(dir.path().join("data"))
            .current_dir(dir.path());
        let made = command.output().expect("initdb can be run");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let (service, port) = on_a_free_port(|port| Self::run(&programs, &dir, port));
        Some(Self {
            programs,
            dir,
            port,
            password,
            service,
        })
    }

    fn run(programs: &Path, dir: &TempDir, port: u16) -> Option<Service> {
        let mut command = as_user(&programs.join("postgres"));
        command
            .arg("-D")
            .arg(dir.path().join("data"))
            .current_dir(dir.path());
        let port_setting = format!("port={port}");
        for setting in [
            port_setting.as_str(),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            // What is committed survives a crash of the server, and need not survive the machine's.
            "fsync=off",
            "full_page_writes=off",
        ] {
            command.args(["-c", setting]);
        }
        Service::start(command, dir, "QUIT", port)
    }

    /// Makes a new database, and says its address.
    ///
    /// # Panics
    ///
    /// If that does not work.
    pub fn database(&self) -> String {
        let name = unique("login_tests");
        let made = Command::new(self.programs.join("createdb"))
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-T",
                "template0",
                &name,
            ])
            .arg("-p")
            .arg(self.port.to_string())
            .env("PGPASSWORD", &self.password)
            .output()
            .expect("createdb can be run");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/{name}",
            self.password, self.port
        )
    }

    /// Stops it from answering, without closing a connection.
    pub fn pause(&self) {
        signal("STOP", &self.processes());
    }

    /// Lets it answer again.
    pub fn resume(&self) {
        signal("CONT", &self.processes());
    }

    /// Ends it at once, as a crash would. What was committed is there after a restart.
    pub fn kill(&mut self) {
        self.service.end();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port.
    ///
    /// # Panics
    ///
    /// If that does not work.
    pub fn restart(&mut self) {
        self.service.end();
        self.service =
            Self::run(&self.programs, &self.dir, self.port).expect("the port is still free");
    }

    /// The server and its children, one of which answers each connection.
    fn processes(&self) -> Vec<u32> {
        let server = self.service.pid;
        let children = Command::new("pgrep")
            .args(["-P", &server.to_string()])
            .output()
            .expect("pgrep can be run");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        [server]
            .into_iter()
            .chain(children.lines().filter_map(|line| line.parse().ok()))
            .collect()
    }
}

/// A process, and the shell that ends it.
#[derive(Debug)]
struct Service {
    shell: Child,
    pid: u32,
}

/// `$1` is the signal that ends the service, `$2` its directory, the rest its command. The service is
/// the shell's child, so its id is not given to another process while the shell is there. Nobody is
/// left to remove the directory if there was no word before the pipe's end.
const SHELL: &str = r#"
trap '' INT HUP
signal=$1
dir=$2
shift 2
"$@" </dev/null >&2 &
pid=$!
echo "$pid"
exec >&2
read -r word
kill -s CONT "$pid"
pkill -CONT -P "$pid"
kill -s "$signal" "$pid"
wait "$pid"
test "$word" = keep || rm -rf "$dir"
"#;

impl Service {
    /// Starts a service and waits until it answers. `None` if somebody else has the port.
    fn start(command: Command, dir: &TempDir, end_signal: &str, port: u16) -> Option<Self> {
        let log_file = dir.path().join("log");
        let log = fs::File::create(&log_file).expect("the directory is ours");
        let mut shell = Command::new("sh");
        shell.args(["-c", SHELL, "sh", end_signal]).arg(dir.path());
        shell.arg(command.get_program()).args(command.get_args());
        shell.current_dir(dir.path());
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("there is a shell");
        let mut pid = String::new();
        let stdout = shell.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut pid)
            .expect("the shell says the id");
        let pid = pid.trim().parse().expect("the shell says the id");
        let mut service = Self { shell, pid };

        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let started = Instant::now();
        while started.elapsed() < START_TIME {
            let log = fs::read_to_string(&log_file).unwrap_or_default();
            if log.contains("ddress already in use") {
                service.end();
                return None;
            }
            // The log, since on the port may be anybody.
            let ready = log.contains("Ready to accept connections")
                || log.contains("database system is ready to accept connections");
            if ready && TcpStream::connect(address).is_ok() {
                return Some(service);
            }
            thread::sleep(Duration::from_millis(20));
        }
        service.end();
        panic!(
            "a service did not start: {}",
            fs::read_to_string(&log_file).unwrap_or_default()
        );
    }

    fn end(&mut self) {
        if let Some(mut stdin) = self.shell.stdin.take() {
            let _ = stdin.write_all(b"keep\n");
        }
        let _ = self.shell.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

/// A directory that nobody else may look into, gone when it is dropped.
#[derive(Debug)]
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let dir = env::temp_dir().join(format!(
            "{}_{}",
            unique(&format!("login_tests_{name}")),
            &password()[..8]
        ));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&dir)
            .expect("there is a place for temporary files");
        Self(dir)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it to the user who runs PostgreSQL, if that is another.
    fn give_away(&self) {
        if let Some(user) = other_user() {
            let given = Command::new("chown")
                .args(["-R", user])
                .arg(&self.0)
                .status();
            assert!(
                given.is_ok_and(|status| status.success()),
                "root may give files away"
            );
        }
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts something on a port that was free a moment ago.
fn on_a_free_port<T>(start: impl Fn(u16) -> Option<T>) -> (T, u16) {
    for _ in 0..ATTEMPTS {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("there are free ports")
            .port();
        if let Some(started) = start(port) {
            return (started, port);
        }
    }
    panic!("somebody took every port that was free");
}

/// Letters and digits that nobody can guess in the life of a test.
fn password() -> String {
    format!(
        "{:016x}{:016x}",
        RandomState::new().hash_one(0),
        RandomState::new().hash_one(1)
    )
}

fn signal(name: &str, pids: &[u32]) {
    let sent = Command::new("kill")
        .args(["-s", name])
        .args(pids.iter().map(u32::to_string))
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "the service is running"
    );
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

/// Where PostgreSQL's programs are, if all that is needed is there. Debian keeps them out of `PATH`.
fn find_postgres() -> Option<PathBuf> {
    let has_all = |dir: &PathBuf| {
        ["initdb", "postgres", "createdb"]
            .iter()
            .all(|program| dir.join(program).is_file())
    };
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    let found = env::split_paths(&path)
        .chain(versions.into_iter().rev())
        .find(has_all);
    found.filter(|_| find_program("pgrep").is_some())
}

/// A program, as a user whom PostgreSQL serves: root is not one.
fn as_user(program: &Path) -> Command {
    match other_user() {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={user}"))
                .args(["--regid", &group_of(user), "--clear-groups", "--"])
                .arg(program);
            command
        }
    }
}

/// Who runs PostgreSQL when this process is root.
fn other_user() -> Option<&'static str> {
    let has_postgres = || id(&["-u", "postgres"]).is_some();
    is_root().then(|| if has_postgres() { "postgres" } else { "nobody" })
}

fn is_root() -> bool {
    id(&["-u"]).is_some_and(|id| id == "0")
}

/// What the program `id` says, if there is somebody to say it of.
fn id(args: &[&str]) -> Option<String> {
    let output = Command::new("id").args(args).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn group_of(user: &str) -> String {
    id(&["-g", user]).expect("there is such a user")
}
