//! A moto server of one test.

use super::{Network, REGION, World, process::Server};

/// A fresh AWS, empty but for what AWS itself provides. Ends when dropped.
#[derive(Debug)]
pub struct Moto {
    server: Server,
}

impl Moto {
    pub fn start() -> Self {
        Self::start_in(&Network::Machine)
    }

    pub fn start_in(network: &Network) -> Self {
        Moto { server: Server::start("moto", "moto", network, &[]) }
    }

    /// Of moto itself; tests of what is strict use [`Strict::endpoint`](super::Strict::endpoint).
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    pub fn network(&self) -> &Network {
        &self.server.network
    }

    /// Removes everything.
    pub fn reset(&self) {
        self.server.ask("POST", "/moto-api/reset", None);
    }

    /// What exists, as AWS's own client lists it past the layer.
    pub fn world(&self) -> World {
        self.world_of(REGION)
    }

    pub fn world_of(&self, region: &str) -> World {
        World::from_json(self.server.ask("GET", &format!("/lab/world/{region}"), None))
    }
}
