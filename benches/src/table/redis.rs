//! A Redis server in another process.

use std::{
    fs, io,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::server::{START_TIME, free_port};

/// A Redis that is stopped when this value is dropped.
pub(crate) struct Redis {
    child: Child,
    directory: PathBuf,
    pub(crate) port: u16,
    pub(crate) url: String,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Redis {
    pub(crate) fn start() -> io::Result<Self> {
        let port = free_port()?;
        let directory = std::env::temp_dir().join(format!("login_benches_redis_{port}"));
        fs::create_dir(&directory)?;
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--dir",
            ])
            .arg(&directory)
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self {
            child,
            directory,
            port,
            url: format!("redis://127.0.0.1:{port}"),
        };
        let started = Instant::now();
        while redis.say("PING").is_err() {
            if started.elapsed() > START_TIME {
                return Err(io::Error::other("Redis does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command and reads the reply.
    pub(crate) fn say(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START_TIME))?;
        write!(stream, "{command}\r\nQUIT\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Opens a stream in which Redis reports each command from now on.
    pub(crate) fn monitor(&self) -> io::Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START_TIME))?;
        write!(stream, "MONITOR\r\n")?;
        let mut reports = BufReader::new(stream);
        let mut ok = String::new();
        reports.read_line(&mut ok)?;
        Ok(reports)
    }
}
