//! What the processes of servers used: time of processors, and memory.

use std::{fs, time::Duration};

/// The unit of the times in `/proc`, on all processors that these benchmarks are run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process and its children. PostgreSQL has one for each connection, gunicorn one for each worker.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace();
    [pid]
        .into_iter()
        .chain(children.filter_map(|pid| pid.parse().ok()))
        .collect()
}

/// The time that these processes and their children have used so far, in user mode and in the kernel, with
/// all threads.
pub(crate) fn time_used(pids: &[u32]) -> Duration {
    let of = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name of the program, in brackets, may contain spaces.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let mut fields = fields.split(' ').skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        ticks()
            .zip(ticks())
            .map_or(0.0, |(user, kernel)| user + kernel)
    };
    let ticks: f64 = pids.iter().flat_map(|&pid| family(pid)).map(of).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}

/// The memory of a process and its children, in KiB.
pub(crate) fn memory(pid: u32) -> u64 {
    let of = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .unwrap_or(0)
    };
    family(pid).into_iter().map(of).sum()
}

/// The memory of this process, in bytes.
pub(crate) fn resident() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}
