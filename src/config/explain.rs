//! Where every setting of a node comes from: the file's line, a variable, or a default.
//!
//! For the operator who asks "why does it listen there". Secrets are never in a configuration (tokens are files), so
//! everything can be shown.

use super::file::File;
use super::layers::{Environment, Path as Field, Place, layers};
use anyhow::{Context, anyhow};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Its path, such as `tenant[0].inbox[1].weight`.
    pub path: String,
    /// Its value.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The file.
    File {
        /// Line, from 1.
        line: usize,
    },
    /// The environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// Nobody wrote it.
    Default,
}

/// All settings in the order of the file's type.
///
/// # Errors
/// As `config check`, but only for the form: values are not looked at.
pub fn explain(path: &Path, environment: &Environment) -> anyhow::Result<Vec<Setting>> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot be read; name an existing file"))?;
    let layers = layers(&shown, &text, environment).map_err(|fault| anyhow!(fault))?;
    let mut settings = Vec::new();
    walk(&Field::default(), &value(&layers.file)?, &mut |field, value| {
        let origin = match layers.places.find(field) {
            Place::Line { line, .. } => Origin::File { line },
            Place::Variable(variable) => Origin::Environment { variable },
            Place::Default => Origin::Default,
        };
        settings.push(Setting { path: field.to_string(), value: value.clone(), origin });
    });
    Ok(settings)
}

/// A configuration as one value.
pub fn value(file: &File) -> anyhow::Result<Value> {
    serde_json::to_value(file).context("the configuration cannot be shown")
}

fn walk(at: &Field, value: &Value, leaf: &mut impl FnMut(&Field, &Value)) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                walk(&at.then(key), value, leaf);
            }
        }
        Value::Array(rows) if rows.iter().any(Value::is_object) => {
            for (index, value) in rows.iter().enumerate() {
                walk(&at.at(index), value, leaf);
            }
        }
        Value::Null => {}
        other => leaf(at, other),
    }
}
