//! `cloudtik history`: what was applied, when and by whom.

use super::{
    context::Context,
    error::Error,
    load::{documented_state, documents},
    undo,
};
use crate::{exit::Exit, view};
use clap::Args;
use cloudtik_config::Purpose;
use cloudtik_core::{document::Document, state::Store};
use std::path::PathBuf;

#[derive(Args)]
pub struct History {
    /// The document whose history to show
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// List the resources as they were after this revision (`12` or `r12`)
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
}

impl History {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let loaded = documents(context, std::slice::from_ref(&self.document), Vec::new(), Purpose::Validate)?;
        let home = context.home(documented_state(&loaded.documents)?)?;
        let store = crate::registry::store(&home)?;
        for document in &loaded.documents {
            let scope = document.scope();
            match &self.at {
                Some(at) => at_revision(context, &*store, document, at)?,
                None if context.out.is_json() => {
                    let history = store.history(&scope)?;
                    context.event("history", serde_json::json!({"scope": scope, "revisions": history}))?
                }
                None => context.print(&view::state::history(&store.history(&scope)?, &context.out.look()))?,
            };
        }
        Ok(Exit::Ok)
    }
}

fn at_revision(context: &Context, store: &dyn Store, document: &Document, at: &str) -> Result<Exit, Error> {
    let snapshot = undo::at(store, &document.scope(), at)?;
    if context.out.is_json() {
        return context.event("state", cloudtik_core::export::export(&snapshot));
    }
    context.print(&view::state::list(&snapshot, &context.out.look()))
}
