//! `cloudtik config show`: a document after templates and defaults, with where each value came from.

use super::{context::Context, error::Error, load::documents};
use crate::{exit::Exit, view};
use clap::{Args, Subcommand};
use cloudtik_config::Purpose;
use cloudtik_core::Diagnostic;
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Config {
    /// Print a document as it is after merging
    Show(Show),
}

#[derive(Args)]
pub struct Show {
    /// The document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Say behind each line where its value came from
    #[arg(long)]
    resolved: bool,
}

impl Config {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let Config::Show(show) = self;
        let loaded = documents(context, std::slice::from_ref(&show.document), Vec::new(), Purpose::Validate)?;
        if loaded.documents.is_empty() {
            let mut diagnostics = loaded.warnings;
            diagnostics.push(
                Diagnostic::error("incomplete-document", "the document cannot be shown merged")
                    .detail("what it builds on is not in this build"),
            );
            return Err(Error::Problems { diagnostics, sources: Box::new(loaded.sources) });
        }
        view::diagnostics::show(&context.out, &loaded.warnings, &loaded.sources);
        let text: String = loaded
            .documents
            .iter()
            .map(|document| {
                let lines = cloudtik_config::resolved(document);
                let lines: Vec<(String, Option<String>)> =
                    lines.into_iter().map(|l| (l.text, show.resolved.then(|| l.origin.to_string()))).collect();
                view::annotated(&lines, &context.out.look())
            })
            .collect();
        context.tell("document", &text)
    }
}
