//! Scenarios: what comes, who answers, by which policy, for how long. One TOML file, the same for people and for `calibrate`.
//!
//! - [`file`](Scenario): the tables of the file as types, each field with its unit and its default;
//! - [`parse`]: reading, with file, line, field and remedy for every fault, and every cross-reference checked;
//! - [`Scenario::to_toml`]: writing, so that what was fitted can be read again without loss;
//! - [`schema`]: the JSON Schema of a file.
//!
//! The policy is a file of its own and the very one that a live router loads. Nothing here draws a number or knows an event:
//! `workload` turns a checked scenario into streams of contacts, `floor` drives the deciding core with them.

mod check;
mod file;
mod groups;
mod place;
mod quantity;
mod spread;

pub use check::{ROWS_MAX, ScenarioError, ScenarioErrors, TEXT_BYTES_MAX, parse};
pub use file::{Arrivals, AtEnd, Busyness, Callback, Channel, Demand, Phase, Profile, Repeat, Scenario, Transfer};
pub use groups::{AiPool, Group, Learning, Outage, Pause, Shift, Shrinkage, ShrinkageCode, Staffing};
pub use quantity::{ClockTime, QuantityError, Rate, SPAN_MAX_S, Span};
pub use spread::{Part, Spread};

/// The JSON Schema of a scenario file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Scenario).to_value()
}

impl Scenario {
    /// The file's text. Reading it gives this scenario again.
    ///
    /// # Errors
    /// What the writer says; a scenario that [`parse`] gave can always be written.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
