//! Serves a contender on a port of this machine: `serve <contender> <workers> [<address of the store>]`.
//!
//! Prints the port as soon as it listens. Ends when its standard input is closed.

use std::{
    env,
    io::{self, Read},
    net::TcpListener,
    thread,
};

use login_benches::contenders::{self, Contender, Setup};

fn main() -> io::Result<()> {
    let usage = || io::Error::other("serve <contender> <workers> [<address of the store>]");
    let mut arguments = env::args().skip(1);
    let contender = arguments
        .next()
        .and_then(|name| Contender::of(&name))
        .ok_or_else(usage)?;
    let workers: usize = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .ok_or_else(usage)?;
    let setup = Setup {
        store: arguments.next(),
        ..Setup::default()
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    if contender == Contender::Axum {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()?;
        return runtime.block_on(contenders::serve_axum(&setup, listener));
    }
    actix_web::rt::System::new().block_on(contenders::serve(contender, &setup, workers, listener))
}
