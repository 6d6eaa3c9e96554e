//! How a quantity spreads: the distributions that a scenario may name, by mean and coefficient of variation where people think so.
//!
//! A spread is data; [`crate::kernel::sample::Distribution`] draws from it. All spans; the coefficient of variation is the
//! deviation over the mean. `table` is a survival curve as Kaplan and Meier estimate it: past its last moment those who are left
//! never give up, unless `rest` says how long they stay on average.

use super::quantity::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A distribution of a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Spread {
    /// Always the same.
    Constant {
        /// The value.
        value: Span,
    },
    /// Exponential.
    Exponential {
        /// Its mean.
        mean: Span,
    },
    /// Log-normal.
    LogNormal {
        /// Its mean.
        mean: Span,
        /// Deviation over mean, above 0.
        cv: f64,
    },
    /// Gamma.
    Gamma {
        /// Its mean.
        mean: Span,
        /// Deviation over mean, above 0.
        cv: f64,
    },
    /// Weibull: survival exp(-(x / scale)^shape).
    Weibull {
        /// Its scale.
        scale: Span,
        /// Its shape, above 0.
        shape: f64,
    },
    /// One of these, each as likely as another.
    Empirical {
        /// Observations, at least one.
        values: Vec<Span>,
    },
    /// A survival curve with steps, as Kaplan and Meier estimate it.
    Table {
        /// Moments of the steps, rising.
        at: Vec<Span>,
        /// Share that is left after each, falling, from below 1 to at least 0.
        survival: Vec<f64>,
        /// How much longer those stay on average who are left after the last step (exponential); for ever without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rest: Option<Span>,
    },
    /// One of several spreads, by share.
    Mixture {
        /// The parts; their shares sum to 1.
        part: Vec<Part>,
    },
}

/// A part of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// How often it is this one, 0 to 1.
    pub share: f64,
    /// What it is then.
    pub spread: Spread,
}

impl Spread {
    /// Exponential with this mean, in seconds.
    ///
    /// # Panics
    /// If the mean is no span.
    pub fn exponential_seconds(mean: f64) -> Self {
        Self::Exponential { mean: Span::from_seconds(mean).expect("a mean is a span") }
    }
}
