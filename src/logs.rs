//! What the node writes to standard error, in which form, and how the level changes while it runs.
//!
//! The variable TIDEGATE_LOG wins over the configuration, so that an operator can ask for more without editing a file. It
//! refuses to know what is logged.

use crate::config::file::LogFormat;
use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// The variable that wins over the configuration.
const VARIABLE: &str = "TIDEGATE_LOG";

/// The level of a process's log.
#[derive(Clone, Debug)]
pub struct Logs {
    level: reload::Handle<EnvFilter, Registry>,
}

impl Logs {
    /// Starts writing. `level` is a level or directives; empty for `warn`.
    pub fn start(level: &str, format: LogFormat) -> Self {
        let (filter, handle) = reload::Layer::new(filter(level));
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Self { level: handle }
    }

    /// Another level from now on.
    pub fn set(&self, level: &str) -> anyhow::Result<()> {
        self.level.reload(filter(level)).context("the log's level cannot be changed")
    }
}

fn filter(level: &str) -> EnvFilter {
    let asked = EnvFilter::try_from_env(VARIABLE).ok();
    let configured = || EnvFilter::try_new(level).ok().filter(|_| !level.trim().is_empty());
    asked.or_else(configured).unwrap_or_else(|| EnvFilter::new("warn"))
}
