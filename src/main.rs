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
mod reload;
mod say;
mod supervise;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli, std::env::vars_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
