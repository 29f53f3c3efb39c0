//! `cloudtik stop-proxy`: ends the proxy that `start-proxy` left in the background.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, Which},
    proxy::Place,
};
use crate::exit::Exit;
use clap::Args;

#[derive(Args)]
pub struct StopProxy {
    #[command(flatten)]
    which: Which,
}

impl StopProxy {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.which)?;
        let place = Place::new(&recorded.world.home, &recorded.scope);
        let proxy = place.running();
        if let Some(proxy) = &proxy {
            proxy.end().await?;
        }
        place.remove();
        if context.out.is_json() {
            let json = serde_json::json!({"address": proxy.as_ref().map(|p| &p.address), "stopped": proxy.is_some()});
            return context.event("proxy-stopped", json);
        }
        context.print(&match proxy {
            Some(proxy) => format!("The proxy on {} is stopped.", proxy.address),
            None => "No proxy of this cluster runs.".into(),
        })
    }
}
