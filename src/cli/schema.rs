//! `cloudtik schema`: the JSON Schema that documents are checked against.

use super::{context::Context, error::Error};
use crate::exit::Exit;
use clap::{Args, ValueEnum};

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Workspace,
    Cluster,
    Storage,
    Database,
}

#[derive(Args)]
pub struct Schema {
    /// Which document
    #[arg(value_enum)]
    kind: Kind,
}

impl Schema {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let schema = cloudtik_config::schema(match self.kind {
            Kind::Workspace => cloudtik_config::Kind::Workspace,
            Kind::Cluster => cloudtik_config::Kind::Cluster,
            Kind::Storage => cloudtik_config::Kind::Storage,
            Kind::Database => cloudtik_config::Kind::Database,
        });
        let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::other);
        context.print(&text.map_err(Error::io("write the schema"))?)
    }
}
