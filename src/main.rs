//! The `tidegate` binary: argv, configuration, wiring. No algorithm lives here.
//!
//! It is the only place that reads arguments, environment and the operating system's entropy, sets the allocator and starts
//! runtimes. Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a check failed, 2 wrong use, 3 bad input.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod config;
mod demo;
mod failure;
mod floor;
mod logs;
mod panics;
mod reload;
mod say;
mod supervise;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    panics::install();
    // A first touch of a huge page makes the kernel compact memory: 5 to 19 ms inside a single decision while a tenant's tables
    // grow (`--bench burst`). Small pages cost a fifth more a decision at a million conversations (`--bench apply`). Where the
    // kernel does not know the setting nothing is lost but that.
    let _large_pages_stay = rustix::thread::disable_transparent_huge_pages(true);
    let cli = cli::Cli::parse();
    match commands::run(cli, std::env::vars_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
