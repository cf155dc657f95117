//! A contender or Flask-Login as a server in another process.

use std::{
    io,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use login_benches::{
    contenders::Contender,
    counts::{package_directory, target_directory},
    scenario::{Answer, Ask, Headers, Scenario},
};

/// How long a server may take to start.
pub(crate) const START_TIME: Duration = Duration::from_secs(30);

/// A server that is stopped when this value is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a contender.
    pub(crate) fn of(
        contender: Contender,
        workers: usize,
        store: Option<&str>,
    ) -> io::Result<Self> {
        let mut child = Command::new(target_directory().join("release/serve"))
            .arg(contender.name())
            .arg(workers.to_string())
            .args(store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let port = line.trim().parse().map_err(io::Error::other)?;
        Self { child, port }.ready()
    }

    /// Starts Flask-Login with this number of workers.
    pub(crate) fn flask(workers: usize) -> io::Result<Self> {
        let port = free_port()?;
        let child = Command::new(target_directory().join("tools/flask/bin/gunicorn"))
            .current_dir(package_directory().join("flask"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["--workers", &workers.to_string(), "--log-level", "warning"])
            .args(["--bind", &format!("127.0.0.1:{port}"), "pages:app"])
            .spawn()?;
        Self { child, port }.ready()
    }

    fn ready(self) -> io::Result<Self> {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if started.elapsed() > START_TIME {
                return Err(io::Error::other("the server does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }

    /// Sends one request and reads the response.
    pub(crate) fn ask(&self, ask: &Ask) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START_TIME))?;
        let method = if ask.post { "POST" } else { "GET" };
        write!(
            stream,
            "{method} {} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n",
            ask.path
        )?;
        let mut headers = ask.headers.list(ask.post);
        headers.try_for_each(|(name, value)| match name {
            "connection" | "content-length" => Ok(()),
            _ => write!(stream, "{name}: {value}\r\n"),
        })?;
        if let Some(cookie) = &ask.cookie {
            write!(stream, "cookie: {cookie}\r\n")?;
        }
        write!(stream, "\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let headers = |name: &str| {
            let named = head.lines().filter_map(|line| line.split_once(": "));
            let named = named.filter(|(given, _)| given.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        Ok(Answer {
            status: head
                .get(9..12)
                .and_then(|status| status.parse().ok())
                .unwrap_or(0),
            location: headers("location").pop(),
            cookies: headers("set-cookie"),
            body: body.to_owned(),
        })
    }

    /// The request of a scenario, after the server has answered it correctly once.
    pub(crate) fn prepare(&self, scenario: Scenario) -> io::Result<Ask> {
        let logged_in = match scenario.log_in(Headers::Browser) {
            Some(log_in) => Some(self.ask(&log_in)?),
            None => None,
        };
        let ask = scenario.ask(Headers::Browser, logged_in.as_ref());
        scenario.check(&self.ask(&ask)?).map_err(io::Error::other)?;
        Ok(ask)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// A port that no program listens on.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
