//! One module a command.

mod config;
mod demo;
mod journal;
mod replay;
mod serve;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

/// Runs the command.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let lang = cli.lang;
    match cli.command {
        Command::Demo(args) => demo::run(&args, lang),
        Command::Serve(args) => serve::run(&args, lang),
        Command::Replay(args) => replay::run(&args),
        Command::Journal(command) => journal::run(&command),
        Command::Config(command) => config::run(&command),
    }
}

/// A runtime for commands that need one.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime did not start")
}

/// Prints a value as one JSON document on stdout.
fn print_json(value: &serde_json::Value) {
    println!("{value:#}");
}
