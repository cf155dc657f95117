//! A real Redis, a real PostgreSQL and a real nginx for the tests that need them.
//!
//! Each server is started from the programs that are installed, on a free port of the loopback
//! interface, with a password, and with its data in a new temporary directory. It is ended by its
//! process id. A shell runs between the test program and the server: the shell waits on a pipe that the
//! test program holds, so the server ends with the test program, even if that crashes.
//!
//! Nothing is installed here. If the programs are not found, the test is skipped: see
//! [`skips`](crate::skips).

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::skips::{Extent, skip};

/// How long a server may take to start.
const START_TIME: Duration = Duration::from_secs(60);

/// Why a test is skipped.
const NO_REDIS: &str = "Redis was not found (Debian package: redis-server)";
/// With `procps` come the programs that list and signal the children of a process; PostgreSQL has a
/// child for each connection.
const NO_POSTGRES: &str = "PostgreSQL was not found (Debian packages: postgresql, procps)";

/// OpenSSL makes the certificate.
const NO_NGINX: &str = "nginx was not found (Debian packages: nginx-light, openssl)";

/// How often a server is started on another port if its port was taken in the meantime.
const ATTEMPTS: usize = 5;

/// The Redis that all tests of this program share. `None` if it is not installed: the test is skipped
/// then. Each test needs a prefix of its own for its keys: see [`unique`].
pub fn redis() -> Option<&'static Redis> {
    or_skip(shared_redis(), Extent::All, NO_REDIS)
}

/// Whether there is the Redis that all tests of this program share, for a test that runs on several
/// stores. If not, the test is noted as skipped in part.
pub fn has_redis() -> bool {
    or_skip(shared_redis(), Extent::Part, NO_REDIS).is_some()
}

fn shared_redis() -> Option<&'static Redis> {
    static REDIS: OnceLock<Option<Redis>> = OnceLock::new();
    REDIS.get_or_init(Redis::start_if_installed).as_ref()
}

/// The PostgreSQL that all tests of this program share. `None` if it is not installed: the test is
/// skipped then. Each test takes a [`database`](Postgres::database) of its own.
pub fn postgres() -> Option<&'static Postgres> {
    or_skip(shared_postgres(), Extent::All, NO_POSTGRES)
}

/// Whether there is the PostgreSQL that all tests of this program share, for a test that runs on
/// several stores. If not, the test is noted as skipped in part.
pub fn has_postgres() -> bool {
    or_skip(shared_postgres(), Extent::Part, NO_POSTGRES).is_some()
}

fn shared_postgres() -> Option<&'static Postgres> {
    static POSTGRES: OnceLock<Option<Postgres>> = OnceLock::new();
    POSTGRES.get_or_init(Postgres::start_if_installed).as_ref()
}

fn or_skip<T>(server: Option<T>, extent: Extent, why: &str) -> Option<T> {
    if server.is_none() {
        skip(extent, why);
    }
    server
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

/// A Redis server, which is ended when this is dropped.
#[derive(Debug)]
pub struct Redis {
    // Declared first, so that the server ends before its directory is removed.
    service: Service,
    dir: TempDir,
    server: PathBuf,
    port: u16,
    password: String,
}

impl Redis {
    /// Starts a server for one test, which may pause and kill it. `None` if it is not installed: the
    /// test is skipped then.
    pub fn start() -> Option<Self> {
        or_skip(Self::start_if_installed(), Extent::All, NO_REDIS)
    }

    fn start_if_installed() -> Option<Self> {
        let server = find_program("redis-server")?;
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
        // In a file, because every user of the machine can read the arguments of a process.
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

    /// Kills it. Its data is lost.
    pub fn kill(&mut self) {
        self.service.end();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn restart(&mut self) {
        self.service.end();
        self.service = Self::run(&self.server, &self.dir, self.port, &self.password)
            .expect("the port is still free");
    }
}

/// A PostgreSQL server, which is ended when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    // Declared first, so that the server ends before its directory is removed.
    service: Service,
    dir: TempDir,
    programs: PathBuf,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts a server for one test, which may pause and kill it. `None` if it is not installed: the
    /// test is skipped then.
    pub fn start() -> Option<Self> {
        or_skip(Self::start_if_installed(), Extent::All, NO_POSTGRES)
    }

    fn start_if_installed() -> Option<Self> {
        let programs = find_postgres()?;
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
            // Committed data survives a crash of the server, and need not survive a crash of the machine.
            "fsync=off",
            "full_page_writes=off",
        ] {
            command.args(["-c", setting]);
        }
        Service::start(command, dir, "QUIT", port)
    }

    /// Creates a database and returns its address.
    ///
    /// # Panics
    ///
    /// If that fails.
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

    /// Ends it at once, as a crash would. Committed data is there after a restart.
    pub fn kill(&mut self) {
        self.service.end();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port.
    ///
    /// # Panics
    ///
    /// If that fails.
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

/// An nginx that ends TLS with a certificate of its own, which is ended when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    // Declared first, so that the server ends before its directory is removed.
    _service: Service,
    _dir: TempDir,
    port: u16,
}

impl Nginx {
    /// Starts a server for `localhost` with these locations. `None` if it is not installed: the test is
    /// skipped then.
    pub fn start(locations: &str) -> Option<Self> {
        or_skip(Self::start_if_installed(locations), Extent::All, NO_NGINX)
    }

    fn start_if_installed(locations: &str) -> Option<Self> {
        // Debian does not put it into the `PATH` of users.
        let debian = || Some(PathBuf::from("/usr/sbin/nginx")).filter(|it| it.is_file());
        let server = find_program("nginx").or_else(debian)?;
        let openssl = find_program("openssl")?;
        let dir = TempDir::new("nginx");
        let made = Command::new(openssl)
            .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split(' '))
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "openssl makes it"
        );
        let run = |port| Self::run(&server, &dir, port, locations);
        let (service, port) = on_a_free_port(run);
        Some(Self {
            _service: service,
            _dir: dir,
            port,
        })
    }

    fn run(server: &Path, dir: &TempDir, port: u16, locations: &str) -> Option<Service> {
        let path = dir.path().display();
        // Without a user of its own, so that it reads and writes only in the directory.
        let user = if is_root() { "user root;" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {path}/{name};\n"));
        let config = format!(
            "{user}\ndaemon off;\nworker_processes 1;\npid {path}/pid;\nerror_log stderr notice;\n\
             events {{}}\n\
             http {{\naccess_log off;\n{}\
             server {{\nlisten 127.0.0.1:{port} ssl;\nserver_name localhost;\n\
             ssl_certificate {path}/cert.pem;\nssl_certificate_key {path}/key.pem;\n\
             {locations}\n}}\n}}\n",
            temporary.concat(),
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).expect("the directory is ours");
        let mut command = Command::new(server);
        command.args(["-e", "stderr", "-p"]).arg(dir.path());
        command.arg("-c").arg(file);
        Service::start(command, dir, "TERM", port)
    }

    /// The port that it answers on, with TLS.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A server's process, and the shell that ends it.
#[derive(Debug)]
struct Service {
    shell: Child,
    pid: u32,
}

/// `$1` is the signal that ends the server, `$2` its directory, the rest its command. The server is a
/// child of the shell, so its process id is not reused while the shell runs. If the pipe ends without
/// a line, the test program has ended, and the shell removes the directory.
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
    /// Starts a server and waits until it answers. `None` if the port is in use.
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
            // From the log: another process may answer on the port.
            let ready = log.contains("Ready to accept connections")
                || log.contains("database system is ready to accept connections")
                || log.contains("start worker processes");
            if ready && TcpStream::connect(address).is_ok() {
                return Some(service);
            }
            thread::sleep(Duration::from_millis(20));
        }
        service.end();
        panic!(
            "a server did not start: {}",
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

/// A directory that other users cannot read, removed when this is dropped.
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

    /// Makes the user that runs PostgreSQL its owner, if that is another user.
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
    panic!("every port that was free was taken in the meantime");
}

/// Letters and digits that cannot be guessed while a test runs.
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
        "the server is running"
    );
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

/// The directory of PostgreSQL's programs, if everything needed is installed. Debian does not put it
/// in `PATH`.
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

/// A program that is run as another user if this process is root, because PostgreSQL refuses to run as
/// root.
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

/// The user that runs PostgreSQL when this process is root.
fn other_user() -> Option<&'static str> {
    let has_postgres = || id(&["-u", "postgres"]).is_some();
    is_root().then(|| if has_postgres() { "postgres" } else { "nobody" })
}

fn is_root() -> bool {
    id(&["-u"]).is_some_and(|id| id == "0")
}

/// The output of the program `id`, if it succeeds.
fn id(args: &[&str]) -> Option<String> {
    let output = Command::new("id").args(args).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn group_of(user: &str) -> String {
    id(&["-g", user]).expect("the user exists")
}
