//! `cloudtik database`: a database beside the workspace's own, by its document.

use super::{
    belonging::{DATABASE, Named},
    context::Context,
    error::Error,
};
use crate::exit::Exit;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Database {
    /// Create a database in a workspace
    Create(Change),
    /// Remove a database with everything in it
    Delete(Change),
    /// Tell where a database is
    Info(Which),
}

/// The database that a verb is about.
#[derive(Args)]
pub struct Which {
    /// The database's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Use this name instead of the document's
    #[arg(short = 'n', long, value_name = "NAME")]
    database_name: Option<String>,
}

#[derive(Args)]
pub struct Change {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Database {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        match self {
            Database::Create(change) => named(change.which, change.yes).create(context, &DATABASE).await,
            Database::Delete(change) => named(change.which, change.yes).delete(context, &DATABASE).await,
            Database::Info(which) => named(which, false).info(context, &DATABASE),
        }
    }
}

fn named(which: Which, yes: bool) -> Named {
    let overrides = which.database_name.map(|name| ("database_name".to_owned(), name.into()));
    Named { document: which.document, overrides: overrides.into_iter().collect(), yes }
}
