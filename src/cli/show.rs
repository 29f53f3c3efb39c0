//! `cloudtik show`: a saved plan, or recorded state.

use super::{apply::saved, context::Context, error::Error};
use crate::{exit::Exit, view};
use clap::Args;
use cloudtik_core::{Diagnostic, Sources};
use std::path::PathBuf;

#[derive(Args)]
pub struct Show {
    /// A saved plan; without it, everything that is recorded
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,
}

impl Show {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let out = &context.out;
        let text = match &self.plan {
            Some(path) => {
                let plan = saved(path)?.ok_or_else(|| not_saved(path))?;
                if out.is_json() {
                    view::plan::json(&plan)
                } else {
                    let next = vec![(format!("cloudtik apply {}", path.display()), "to make it so".to_string())];
                    let options = view::plan::Options { verbose: context.global.verbose, full: true, next };
                    view::plan::human(&plan, &Sources::default(), &out.look(), &options)
                }
            }
            None => return super::state::list_all(context),
        };
        out.result(&text).map_err(Error::io("write to standard output"))?;
        Ok(Exit::Ok)
    }
}

fn not_saved(path: &std::path::Path) -> Error {
    Error::request(
        Diagnostic::error("not-a-plan", "the file is not a saved plan")
            .detail(format!("`{}`", path.display()))
            .hint("save one with `cloudtik plan -o FILE`, or look at documents with `cloudtik plan`"),
    )
}
