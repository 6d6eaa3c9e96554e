//! One module a command.

mod api;
mod audit;
mod calibrate;
mod config;
mod demo;
pub mod erlang;
mod journal;
mod merge;
mod replay;
mod serve;
mod simulate;

use crate::cli::{Cli, Command};
use crate::config::file::LogFormat;
use crate::config::{ENVIRONMENT, Environment};
use crate::failure::Failure;
use crate::logs::Logs;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

/// Runs the command. `variables` are the process's own; those that are no text, or no settings, are left alone.
pub fn run(cli: Cli, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let lang = cli.lang;
    let variables = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment: Environment = variables.filter(|(name, _)| name.starts_with(ENVIRONMENT)).collect();
    if let Command::Serve(args) = cli.command {
        // What it writes, and how, is configured.
        return serve::run(&args, environment, lang);
    }
    Logs::start("", LogFormat::Text);
    match cli.command {
        Command::Demo(args) => demo::run(&args, lang),
        Command::Serve(_) => Ok(()),
        Command::Simulate(args) => simulate::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Journal(command) => journal::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Config(command) => config::run(&command, &environment),
        Command::Api(command) => api::run(&command),
        Command::Erlang(args) => erlang::run(&args, lang),
    }
}

/// A runtime for commands that need one.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime did not start")
}

/// Prints a value as one JSON document on stdout.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    heard(writeln!(out, "{value:#}"))
}

/// A reader who closes the pipe early has read enough: that ends the program quietly, and well.
fn heard(written: std::io::Result<()>) -> Result<(), Failure> {
    use anyhow::Context;
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written.context("standard output cannot be written")?),
    }
}

/// The directory of a stopped node's log, which must hold one already: nothing is made by looking at it.
fn log_directory(path: &Path) -> Result<&Path, Failure> {
    let shown = path.display();
    let bad = |what: &str| Failure::Input(anyhow::anyhow!("{shown} {what}; name the directory of a stopped node's log"));
    let is_segment = |name: &str| name.starts_with("wal-") && name.ends_with(".seg");
    let mut names = match std::fs::read_dir(path) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()),
        Err(error) => return Err(bad(&format!("cannot be read ({error})"))),
    };
    if names.any(|name| is_segment(&name)) { Ok(path) } else { Err(bad("holds no log (no wal-*.seg)")) }
}
