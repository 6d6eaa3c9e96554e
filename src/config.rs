//! The configuration of `serve`: defaults, then one TOML file, then the environment, then flags.
//!
//! It names tenants with their policy files, accounts and agents, administration tokens (as files, never inline), the
//! listener and the data directory. [`mod@file`] says what may be written and is the source of the published schema; `layers`
//! reads the file strictly and lays the environment over it; `check` looks at every value and every file that is named,
//! and reports all faults at once, each with file, line, column, field and remedy; `explain` tells where each value comes
//! from; `change` says what a reload would do. What is in the log wins over what is configured: a restart never undoes
//! what an operator activated. Relative paths are relative to the file.

mod change;
mod check;
mod explain;
pub mod file;
mod layers;
mod people;
mod traces;

pub use change::{Change, change};
pub use check::{Checked, address, read, read_with};
pub use explain::{Origin, explain};
pub use layers::{ENVIRONMENT, Environment};

/// A commented example, which `config check` accepts beside its policy.
pub const EXAMPLE: &str = include_str!("../examples/serve/tidegate.toml");

/// The policy that [`EXAMPLE`] names.
pub const EXAMPLE_POLICY: &str = include_str!("../examples/serve/policy.toml");

/// The JSON Schema of a configuration file, for editors and for reviews. The committed copy is `docs/config.schema.json`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(file::File).to_value()
}
