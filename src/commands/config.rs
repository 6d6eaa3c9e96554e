//! `tidegate config`: faults of a configuration before a node meets them.

use crate::cli::Config;
use crate::config;
use crate::failure::Failure;

pub fn run(command: &Config) -> Result<(), Failure> {
    match command {
        Config::Check { file } => {
            let checked = config::read(file).map_err(Failure::Input)?;
            let agents: usize = checked.tenants.iter().map(|t| t.agents.len()).sum();
            println!("{}: good; {} tenant(s), {agents} agent(s)", file.display(), checked.tenants.len());
        }
        Config::Example => print!("{}", config::EXAMPLE),
    }
    Ok(())
}
