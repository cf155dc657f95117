//! A network that takes a while: forwards connections to a port of this machine, and delays each direction.

use std::{
    io,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How long data is on its way in one direction: half a millisecond, so that a round trip takes one.
pub(crate) const ONE_WAY: Duration = Duration::from_micros(500);

/// Listens on another port and forwards its connections to this one, until the process ends. Returns the
/// other port.
pub(crate) fn delayed(port: u16) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let own = listener.local_addr()?.port();
    thread::spawn(move || {
        for there in listener.incoming().flatten() {
            // A connection that cannot be forwarded is closed, and its client fails.
            if let Ok(here) = TcpStream::connect(("127.0.0.1", port)) {
                let _ = forward(&there, &here);
            }
        }
    });
    Ok(own)
}

fn forward(there: &TcpStream, here: &TcpStream) -> io::Result<()> {
    for (from, to) in [(there, here), (here, there)] {
        to.set_nodelay(true)?;
        one_way(from.try_clone()?, to.try_clone()?);
    }
    Ok(())
}

/// Reads in one thread and writes in another, so that data which is on its way delays none that follows.
fn one_way(mut from: TcpStream, mut to: TcpStream) {
    let (arrived, departs) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let at = Instant::now() + ONE_WAY;
            if arrived.send((at, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (at, data) in departs {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&data).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
