//! The provider `runtime`: sends each call to its kind.

use crate::{
    artifact::Store,
    hosts::Hosts,
    kinds::{artifact, command, disks, file, installation, mount, service},
};
use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, FailureKind, ProviderName,
    host::Connector,
    provider::{Call, Observed, Outcome, Provider, Refresh, Settled},
    schema::KindSchema,
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// The name under which declarations of this crate are recorded.
pub fn name() -> ProviderName {
    "runtime".into()
}

/// What runs on nodes, whatever provider made them.
pub struct Runtime {
    hosts: Hosts,
    store: Store,
}

impl Runtime {
    /// `connectors` by what connections call them in `via`. `cache` holds fetched artifacts. `mirror`, a folder or URL, is
    /// tried first for them (`CLOUDTIK_ARTIFACT_MIRROR`).
    pub fn new(connectors: BTreeMap<String, Arc<dyn Connector>>, cache: PathBuf, mirror: Option<String>) -> Self {
        Runtime { hosts: Hosts::new(connectors), store: Store::new(&cache, mirror) }
    }

    /// With another index of Python packages for nodes that fetch by themselves (`PIP_INDEX_URL`).
    pub fn index(self, index: String) -> Self {
        Runtime { store: self.store.index(index), ..self }
    }
}

fn unknown(kind: &str) -> Failure {
    Failure::new(FailureKind::Bug, format!("handle a {kind}"), "the runtime provider has no such kind")
}

#[async_trait]
impl Provider for Runtime {
    fn name(&self) -> ProviderName {
        name()
    }

    /// Every call works on its node and waits here; two hundred nodes can be worked on together.
    fn concurrency(&self) -> usize {
        256
    }

    fn kinds(&self) -> Vec<KindSchema> {
        vec![
            artifact::schema(),
            command::schema(),
            disks::schema(),
            file::schema(),
            installation::schema(),
            mount::schema(),
            service::schema(),
        ]
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        match refresh.kind.as_str() {
            "artifact" => Ok(artifact::refresh(refresh)),
            "command" => command::refresh(&self.hosts, refresh).await,
            "disks" => disks::refresh(&self.hosts, refresh).await,
            "file" => file::refresh(&self.hosts, refresh).await,
            "installation" => installation::refresh(&self.hosts, refresh).await,
            "mount" => mount::refresh(&self.hosts, refresh).await,
            "service" => service::refresh(&self.hosts, refresh).await,
            other => Err(unknown(other)),
        }
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        match call.kind() {
            "artifact" => artifact::fetch(&self.store, call).await,
            "command" => command::create(&self.hosts, call).await,
            "disks" => disks::create(&self.hosts, call).await,
            "file" => file::write(&self.hosts, call).await,
            "installation" => installation::create(&self.hosts, &self.store, call).await,
            "mount" => mount::write(&self.hosts, call).await,
            "service" => service::create(&self.hosts, call).await,
            other => Err(unknown(other)),
        }
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        match call.kind() {
            "service" => service::ready(&self.hosts, call).await,
            _ => Ok(Attrs::new()),
        }
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        match call.kind() {
            "command" => command::update(&self.hosts, call).await,
            "installation" => installation::update(&self.hosts, &self.store, call).await,
            "service" => service::update(&self.hosts, call).await,
            _ => self.create(call).await,
        }
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        match call.kind() {
            "artifact" | "disks" => Ok(()),
            "command" => command::delete(&self.hosts, call).await,
            "file" => file::delete(&self.hosts, call).await,
            "installation" => installation::delete(&self.hosts, call).await,
            "mount" => mount::delete(&self.hosts, call).await,
            "service" => service::delete(&self.hosts, call).await,
            other => Err(unknown(other)),
        }
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        match call.kind() {
            "artifact" => artifact::settle(&self.store, call).await,
            "command" => command::settle(&self.hosts, call).await,
            "disks" => Ok(Settled::Absent),
            "file" => file::settle(&self.hosts, call).await,
            "installation" => installation::settle(&self.hosts, &self.store, call).await,
            "mount" => mount::settle(&self.hosts, call).await,
            "service" => service::settle(&self.hosts, call).await,
            other => Err(unknown(other)),
        }
    }
}
