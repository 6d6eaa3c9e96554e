//! `tidegate config`: faults of a configuration before a node meets them, its schema, and where each value comes from.

use super::{heard, print_json};
use crate::cli::Config;
use crate::config::{self, Environment, Origin};
use crate::failure::Failure;
use serde_json::json;
use std::io::Write;

pub fn run(command: &Config, environment: &Environment) -> Result<(), Failure> {
    match command {
        Config::Check { file, json } => {
            let checked = config::read_with(file, environment).map_err(Failure::Input)?;
            let agents: usize = checked.tenants.iter().map(|t| t.agents.len()).sum();
            if *json {
                return print_json(&json!({
                    "file": file, "good": true, "tenants": checked.tenants.len(), "agents": agents,
                    "inboxes": checked.inboxes.len(), "tokens": checked.tokens.len(),
                }));
            }
            heard(writeln!(std::io::stdout(), "{}: good; {} tenant(s), {agents} agent(s)", file.display(), checked.tenants.len()))
        }
        Config::Explain { file, json } => {
            let settings = config::explain(file, environment).map_err(Failure::Input)?;
            if *json {
                return print_json(&json!({ "file": file, "settings": settings }));
            }
            let mut out = std::io::stdout().lock();
            for setting in settings {
                let origin = match setting.origin {
                    Origin::File { line } => format!("{}:{line}", file.display()),
                    Origin::Environment { variable } => variable,
                    Origin::Default => "default".to_owned(),
                };
                heard(writeln!(out, "{} = {}    # {origin}", setting.path, setting.value))?;
            }
            Ok(())
        }
        Config::Schema { scenario: true } => print_json(&tidegate_sim::scenario::schema()),
        Config::Schema { scenario: false } => print_json(&config::schema()),
        Config::Example { policy } => {
            heard(write!(std::io::stdout(), "{}", if *policy { config::EXAMPLE_POLICY } else { config::EXAMPLE }))
        }
    }
}
