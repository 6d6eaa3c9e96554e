//! `tidegate demo`: see [`crate::demo`].

use super::runtime;
use crate::cli::Demo;
use crate::demo;
use crate::failure::Failure;
use crate::say::Lang;

pub fn run(args: &Demo, lang: Lang) -> Result<(), Failure> {
    let plan = demo::Plan::read(args).map_err(Failure::Input)?;
    let runtime = runtime()?;
    runtime.block_on(demo::run(args, plan, lang))
}
