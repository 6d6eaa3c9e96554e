//! `tidegate api`: the description of what a node serves over HTTP.
//!
//! `openapi` writes the document that `docs/api/openapi.json` holds and a node serves at /v1/openapi.json; `problems` writes a page
//! for each type of problem into a directory. Both are made from the code that serves; tests compare the committed files.

use crate::cli::Api;
use crate::failure::Failure;
use anyhow::Context;
use std::io::Write;
use tidegate_router::http;

pub fn run(command: &Api) -> Result<(), Failure> {
    match command {
        Api::Openapi => {
            let text = http::openapi_text(Some(tidegate_channels::openapi()));
            super::heard(std::io::stdout().lock().write_all(text.as_bytes()))
        }
        Api::Problems { dir } => {
            std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
            for row in tidegate_model::problem::PROBLEMS {
                let path = dir.join(format!("{}.md", row.slug));
                std::fs::write(&path, http::problem_markdown(row))
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
            Ok(())
        }
    }
}
