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
        let Some(path) = &self.plan else { return super::state::list_all(context) };
        let plan = saved(path)?.ok_or_else(|| not_saved(path))?;
        if context.out.is_json() {
            return context.stream(&view::plan::json(&plan));
        }
        let next = vec![(format!("cloudtik apply {}", path.display()), "to make it so".to_string())];
        let options = view::plan::Options { verbose: context.global.verbose, full: true, next };
        context.print(&view::plan::human(&plan, &Sources::default(), &context.out.look(), &options))
    }
}

fn not_saved(path: &std::path::Path) -> Error {
    Error::request(
        Diagnostic::error("not-a-plan", "the file is not a saved plan")
            .detail(format!("`{}`", path.display()))
            .hint("save one with `cloudtik plan -o FILE`, or look at documents with `cloudtik plan`"),
    )
}
