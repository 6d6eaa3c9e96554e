//! What the benches share; the benches themselves live in `benches/`.
//!
//! Each bench prints the peers and the physical limit measured in the same run, CPU and wall, percentiles and the load average,
//! and checks the result before it prints a speed. `docs/TESTING.md` says how to repeat each figure. Nothing here knows what is
//! measured.
#![forbid(unsafe_code)]

use rustix::time::{ClockId, clock_gettime};

/// Processor time of the calling thread, in nanoseconds. Counts the kernel's work for it, and not the turns of others.
pub fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The machine's load averages of 1, 5 and 15 minutes, as text; empty where the system does not tell.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// A whole number from the environment, or `default`.
pub fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Turns transparent huge pages off for this process, as the binary does (decision 0019), unless `TIDEGATE_BENCH_HUGE=1`.
///
/// # Panics
/// When the kernel does not know the request.
pub fn as_the_binary() {
    if variable("TIDEGATE_BENCH_HUGE", 0) == 0 {
        rustix::thread::disable_transparent_huge_pages(true).expect("Linux knows it");
    }
}
