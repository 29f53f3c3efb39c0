//! `cloudtik storage`: a bucket beside the workspace's own, by its document.

use super::{
    belonging::{Named, STORAGE},
    context::Context,
    error::Error,
};
use crate::exit::Exit;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Storage {
    /// Create a bucket in a workspace
    Create(Change),
    /// Remove a bucket with everything in it
    Delete(Change),
    /// Tell where a bucket is
    Info(Which),
}

/// The storage that a verb is about.
#[derive(Args)]
pub struct Which {
    /// The storage's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Use this name instead of the document's
    #[arg(short = 'n', long, value_name = "NAME")]
    storage_name: Option<String>,
}

#[derive(Args)]
pub struct Change {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Storage {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        match self {
            Storage::Create(change) => named(change.which, change.yes).create(context, &STORAGE).await,
            Storage::Delete(change) => named(change.which, change.yes).delete(context, &STORAGE).await,
            Storage::Info(which) => named(which, false).info(context, &STORAGE),
        }
    }
}

fn named(which: Which, yes: bool) -> Named {
    let overrides = which.storage_name.map(|name| ("storage_name".to_owned(), name.into()));
    Named { document: which.document, overrides: overrides.into_iter().collect(), yes }
}
