//! The layers of a configuration: the file, read strictly, and the environment laid over it.
//!
//! The file is first read alone, so that a fault in it is told with line and column and nothing is bent to fit (a quoted
//! number is a fault). Then the crate `config` merges the environment, where everything is text: `TIDEGATE__LISTEN`,
//! `TIDEGATE__LOG__LEVEL`. The environment reaches single settings and not the lists of tenants, inboxes and agents: whoever
//! needs those writes a file. [`Places`] finds a setting again: its line, or the variable that gave it.

use super::file::File;
use config::builder::DefaultState;
use config::{ConfigBuilder, ConfigError, FileFormat};
use std::collections::BTreeMap;
use std::fmt;
use toml::de::{DeTable, DeValue};

/// The prefix of variables that are settings; levels are separated by two underscores.
pub const ENVIRONMENT: &str = "TIDEGATE__";

/// Variables of the environment, by name. Passed in: only `main` reads the process's own.
pub type Environment = BTreeMap<String, String>;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file, from 1.
    Line {
        /// Line.
        line: usize,
        /// Column, in characters.
        column: usize,
    },
    /// In the environment.
    Variable(String),
    /// Nowhere: a default.
    Default,
}

/// A part of a path to a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A key of a table.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// A path to a setting, such as `tenant[0].inbox[1].weight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Part>);

/// A file that was read with what lies over it.
pub struct Layers {
    /// The settings.
    pub file: File,
    /// Where they come from.
    pub places: Places,
}

/// Finds settings again.
pub struct Places {
    shown: String,
    text: String,
    variables: BTreeMap<String, String>,
}

impl Path {
    /// The path of a top-level key.
    pub fn key(name: &str) -> Self {
        Self::default().then(name)
    }

    /// A key below this.
    pub fn then(&self, name: &str) -> Self {
        self.part(Part::Key(name.to_owned()))
    }

    /// An element below this.
    pub fn at(&self, index: usize) -> Self {
        self.part(Part::Index(index))
    }

    fn part(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if i == 0 => write!(f, "{key}")?,
                Part::Key(key) => write!(f, ".{key}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Places {
    /// Where a setting stands; for one that stands nowhere, its nearest table in the file.
    pub fn find(&self, path: &Path) -> Place {
        if let Some(variable) = self.variables.get(&path.to_string()) {
            return Place::Variable(variable.clone());
        }
        self.offset(path).map_or(Place::Default, |(offset, whole)| if whole { self.line(offset) } else { Place::Default })
    }

    /// As [`Self::find`], for a message: a default is told at the table that lacks it.
    pub fn place(&self, path: &Path) -> String {
        match self.find(path) {
            Place::Variable(variable) => variable,
            Place::Line { line, column } => format!("{}:{line}:{column}", self.shown),
            Place::Default => match self.offset(path).map(|(offset, _)| self.line(offset)) {
                Some(Place::Line { line, column }) => format!("{}:{line}:{column}", self.shown),
                _ => self.shown.clone(),
            },
        }
    }

    /// A place by offset in bytes.
    pub fn place_at(&self, offset: usize) -> String {
        match self.line(offset) {
            Place::Line { line, column } => format!("{}:{line}:{column}", self.shown),
            _ => self.shown.clone(),
        }
    }

    /// Sorts messages as a reader meets them.
    pub fn order(&self, path: &Path) -> usize {
        self.offset(path).map_or(usize::MAX, |(offset, _)| offset)
    }

    fn line(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Place::Line { line, column }
    }

    /// Offset of the value at the path, or of the deepest table on the way; and whether it is the value itself.
    fn offset(&self, path: &Path) -> Option<(usize, bool)> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut at = None;
        let mut here: Option<&DeValue<'_>> = None;
        for (i, part) in path.0.iter().enumerate() {
            let next = match (part, here) {
                (Part::Key(key), None) if i == 0 => table.get_ref().iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v),
                (Part::Key(key), Some(DeValue::Table(table))) => table.iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v),
                (Part::Index(index), Some(DeValue::Array(array))) => array.get(*index),
                _ => None,
            };
            let Some(next) = next else { return at.map(|at| (at, false)) };
            at = Some(next.span().start);
            here = Some(next.get_ref());
        }
        at.map(|at| (at, true))
    }
}

/// Reads the layers.
///
/// # Errors
/// One message a fault of form: those of the file with line and column, those of the environment with the variable.
pub fn layers(shown: &str, text: &str, environment: &Environment) -> Result<Layers, String> {
    let mut places = Places { shown: shown.to_owned(), text: text.to_owned(), variables: BTreeMap::new() };
    // The environment may give what the file lacks, so a file alone need not be whole: only what stands in it is judged.
    let mut missing = None;
    if let Err(error) = toml::from_str::<File>(text) {
        let at = error.span().map_or(0, |span| span.start);
        let line = text[at.min(text.len())..].lines().next().unwrap_or("").len() + at;
        let line = text.get(..line).and_then(|before| before.lines().last()).unwrap_or("").trim();
        let remedy = remedy(error.message());
        let fault = format!("{}: {} in `{line}`{remedy}", places.place_at(at), error.message());
        if !error.message().starts_with("missing field") {
            return Err(fault);
        }
        missing = Some(fault);
    }
    let settings: config::Map<String, String> = environment
        .iter()
        .filter(|(name, _)| name.starts_with(ENVIRONMENT))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for name in settings.keys() {
        let path = name[ENVIRONMENT.len()..].to_ascii_lowercase().replace("__", ".");
        places.variables.insert(path, name.clone());
    }
    let variables = config::Environment::with_prefix(ENVIRONMENT.trim_end_matches('_'))
        .prefix_separator("__")
        .separator("__")
        .source(Some(settings));
    let builder: ConfigBuilder<DefaultState> =
        config::Config::builder().add_source(config::File::from_str(text, FileFormat::Toml)).add_source(variables);
    let merged = builder.build().and_then(config::Config::try_deserialize::<File>);
    match merged {
        Ok(file) => Ok(Layers { file, places }),
        Err(error) => Err(missing.unwrap_or_else(|| environment_fault(&error, &places))),
    }
}

/// What to do about a fault of form.
fn remedy(message: &str) -> String {
    let near = super::check::did_you_mean(message);
    if !near.is_empty() {
        return near;
    }
    match () {
        () if message.starts_with("missing field") => "; add it (`tidegate config example` shows where)".to_owned(),
        () if message.starts_with("invalid type") || message.starts_with("invalid value") => {
            "; `tidegate config schema` has the types".to_owned()
        }
        () if message.starts_with("unknown") => String::new(),
        () => "; text stands in double quotes, lists in [ ], and `[[tenant]]` begins a tenant".to_owned(),
    }
}

/// The file alone was good, so the fault came with a variable; say which.
fn environment_fault(error: &ConfigError, places: &Places) -> String {
    let (key, what) = match error {
        ConfigError::Type { key: Some(key), unexpected, expected, .. } => {
            (key.clone(), format!("found {unexpected}, expected {expected}"))
        }
        ConfigError::At { key: Some(key), error, .. } => (key.clone(), error.to_string()),
        other => (String::new(), other.to_string()),
    };
    let hint = super::check::did_you_mean(&what);
    let named = places.variables.iter().find(|(path, _)| **path == key || what.contains(&format!("`{path}`")));
    match named {
        Some((path, variable)) => format!("{variable}: {path}: {what}{hint}"),
        None => {
            let all: Vec<&str> = places.variables.values().map(String::as_str).collect();
            format!("environment ({}): {what}{hint}", all.join(", "))
        }
    }
}
