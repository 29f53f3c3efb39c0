//! `cloudtik diff`: what two revisions differ in.

use super::{
    context::Context,
    error::Error,
    load::{documented_state, documents},
    undo::{Range, at, only},
};
use crate::{exit::Exit, view};
use clap::Args;
use cloudtik_config::Purpose;
use std::path::PathBuf;

#[derive(Args)]
pub struct Diff {
    /// The document whose revisions to compare
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Two revisions, `r12..r15`, or one, to compare it with what is recorded now
    #[arg(value_name = "REVISIONS")]
    revisions: String,
    /// Exit with 2 when they differ
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Diff {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let loaded = documents(context, std::slice::from_ref(&self.document), Vec::new(), Purpose::Validate)?;
        let world = context.world(documented_state(&loaded.documents)?)?;
        let scope = only(&loaded.documents)?.scope();
        let range = Range::parse(&self.revisions);
        let before = at(&*world.store, &scope, &range.from)?;
        let after = match &range.to {
            Some(to) => at(&*world.store, &scope, to)?,
            None => world.store.read(&scope)?,
        };
        let changes = cloudtik_engine::compare(&before, &after, world.platform.engine.kinds());
        let differs = changes.iter().any(|change| change.action.is_change());
        let between = view::plan::Between {
            scope: &scope,
            from: before.revision,
            to: range.to.is_some().then_some(after.revision),
        };
        if context.out.is_json() {
            context.event("diff", view::plan::difference_json(&between, &changes))?;
        } else {
            let text = view::plan::difference(&between, changes, &context.out.look(), context.global.verbose);
            context.print(&text)?;
        }
        Ok(if differs && self.detailed_exitcode { Exit::Changes } else { Exit::Ok })
    }
}
