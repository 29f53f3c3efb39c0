//! `cloudtik head-ip`.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, output},
};
use crate::exit::Exit;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct HeadIp {
    /// The cluster's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
}

impl HeadIp {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let head = Recorded::load(context, &self.document)?.head()?;
        if context.out.is_json() {
            return context.event("head-ip", serde_json::json!({ "ip": output(&head, "ip") }));
        }
        context.print(&output(&head, "ip"))
    }
}
