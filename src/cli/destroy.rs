//! `cloudtik destroy`.

use super::{
    context::Context,
    error::Error,
    flow::{self, Request},
    load::{Overrides, documented_state, documents},
    plan::Selection,
    secrets,
};
use crate::exit::Exit;
use clap::Args;
use cloudtik_config::Purpose;
use cloudtik_core::{Scope, document::Document, plan::Mode};
use std::{collections::BTreeSet, path::PathBuf};

#[derive(Args)]
pub struct Destroy {
    /// Documents, or folders of documents
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    selection: Selection,
}

impl Destroy {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        remove(context, &self.documents, Vec::new(), &self.selection, "destroy", self.yes).await
    }
}

/// Removes what documents own. A document that is wrong in parts that do not matter here can still be taken down.
pub async fn remove(
    context: &Context,
    paths: &[PathBuf],
    overrides: Overrides,
    selection: &Selection,
    command: &str,
    yes: bool,
) -> Result<Exit, Error> {
    let loaded = documents(context, paths, overrides, Purpose::Use)?;
    let world = context.world(documented_state(&loaded.documents)?)?;
    loaded.documents.iter().for_each(|document| world.meet(document));
    secrets::take_out(&world.secrets, &context.out, &loaded.documents, &loaded.sources, &mut [])
        .map_err(Error::io("read the key of fingerprints in the state folder"))?;
    let scopes: BTreeSet<Scope> = loaded.documents.iter().map(Document::scope).collect();
    let request = Request {
        mode: Mode::Destroy,
        declarations: &[],
        scopes: &scopes,
        options: selection.options(),
        refresh: selection.policy(),
        back_to: None,
        notes: &[],
        sources: &loaded.sources,
        command,
        yes,
    };
    flow::change(context, &world, &request).await
}
