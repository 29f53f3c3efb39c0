//! `cloudtik validate`: documents checked, nothing touched and nothing asked of any provider.

use super::{context::Context, error::Error, load::documents};
use crate::{exit::Exit, view};
use clap::Args;
use cloudtik_config::Purpose;
use std::path::PathBuf;

#[derive(Args)]
pub struct Validate {
    /// Documents, or folders of documents
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
}

impl Validate {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let loaded = documents(context, &self.documents, Vec::new(), Purpose::Validate)?;
        view::diagnostics::show(&context.out, &loaded.warnings, &loaded.sources);
        let names: Vec<String> = loaded.documents.iter().map(|d| d.scope().to_string()).collect();
        if context.out.is_json() {
            return context.event("valid", serde_json::json!({ "documents": names }));
        }
        let text = match names.as_slice() {
            [] => "Nothing wrong is found, as far as this build can check.".into(),
            names => format!("Valid: {}", names.join(", ")),
        };
        context.print(&text)
    }
}
