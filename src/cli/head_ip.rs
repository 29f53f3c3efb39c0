//! `cloudtik head-ip`.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, Which, output},
};
use crate::exit::Exit;
use clap::Args;

#[derive(Args)]
pub struct HeadIp {
    #[command(flatten)]
    which: Which,
}

impl HeadIp {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let head = Recorded::load(context, &self.which)?.head()?;
        if context.out.is_json() {
            return context.event("head-ip", serde_json::json!({ "ip": output(&head, "ip") }));
        }
        context.print(&output(&head, "ip"))
    }
}
