//! The provider: every kind's calls, done on threads that may block.

use crate::{
    config::LocalConfig,
    error::Error,
    kinds,
    world::{NodeModel, Place},
};
use async_trait::async_trait;
use cloudtik_core::{
    address::{Address, ProviderName},
    failure::{Failure, FailureKind},
    provider::{Call, Observed, Outcome, Presence, Provider, Refresh, Settled, Subject},
    schema::KindSchema,
    value::Attrs,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Provider `local`: nodes, networks and buckets on this machine.
#[derive(Clone)]
pub struct Local {
    pub(crate) config: Arc<LocalConfig>,
    /// The node models of the workspaces that were compiled in this run.
    models: Arc<Mutex<BTreeMap<String, NodeModel>>>,
}

/// One kind's part of the provider. Everything blocks; everything may be repeated.
pub(crate) trait Kind: Send + Sync {
    fn schema(&self) -> KindSchema;

    /// Makes the object; leftovers of an interrupted create are replaced.
    fn create(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error>;

    fn update(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error>;

    fn delete(&self, at: &At) -> Result<(), Error>;

    /// The object as it is, with the operation that made it; `None` when there is no complete one.
    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error>;

    /// Whether something of an object is there that `operation` began and did not finish.
    fn unfinished(&self, at: &At, operation: &str) -> Result<bool, Error>;

    /// Observes all subjects together.
    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error>;
}

/// What a call is about, and where that lies on this machine.
pub(crate) struct At {
    pub local: Local,
    pub address: Address,
    pub place: Place,
    /// The identity that state recorded.
    pub id: Option<String>,
}

impl Local {
    pub fn new(config: LocalConfig) -> Self {
        Local { config: Arc::new(config), models: Arc::default() }
    }

    pub(crate) fn remember(&self, workspace: &str, model: NodeModel) {
        self.models.lock().unwrap_or_else(PoisonError::into_inner).insert(workspace.into(), model);
    }

    pub(crate) fn remembered(&self, workspace: &str) -> Option<NodeModel> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner).get(workspace).copied()
    }

    pub(crate) fn place(&self, address: &Address) -> Place {
        Place::new(&self.config.root, address.scope().workspace_name())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        verb: &str,
        call: &Call,
        work: impl FnOnce(&dyn Kind, &At) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let operation = format!("{verb} {}", call.address.short());
        let kind = kinds::find(call.kind()).ok_or_else(|| unknown(&operation, call.kind()))?;
        let at = At {
            local: self.clone(),
            address: call.address.clone(),
            place: self.place(&call.address),
            id: call.record.as_ref().map(|r| r.id.clone()),
        };
        let done = tokio::task::spawn_blocking(move || work(kind, &at)).await;
        done.map_err(|e| Failure::new(FailureKind::Bug, &operation, e.to_string()))?.map_err(|e| e.failure(operation))
    }
}

fn unknown(operation: &str, kind: &str) -> Failure {
    Failure::new(FailureKind::Bug, operation, format!("provider local has no kind `{kind}`"))
}

#[async_trait]
impl Provider for Local {
    fn name(&self) -> ProviderName {
        "local".into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        kinds::ALL.iter().map(|kind| kind.schema()).collect()
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let operation = format!("look at every {}", refresh.kind);
        let kind = kinds::find(&refresh.kind).ok_or_else(|| unknown(&operation, &refresh.kind))?;
        let (local, subjects) = (self.clone(), refresh.subjects.clone());
        let done = tokio::task::spawn_blocking(move || {
            let seen = kind.observe(&local, &subjects)?;
            let observed = subjects.into_iter().zip(seen);
            Ok::<_, Error>(observed.map(|(s, presence)| Observed { address: s.address, presence }).collect())
        });
        let done = done.await.map_err(|e| Failure::new(FailureKind::Bug, &operation, e.to_string()))?;
        done.map_err(|e| e.failure(operation))
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        let (attributes, operation) = (call.attributes.clone(), call.operation.to_string());
        self.blocking("create", call, move |kind, at| {
            match kind.find(at)? {
                Some((outcome, by)) if by == operation => return Ok(outcome),
                _ => {}
            }
            kind.create(at, &attributes, &operation)
        })
        .await
    }

    /// Everything here works as soon as it is made.
    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        let found = self.blocking("await", call, |kind, at| kind.find(at)).await?;
        let operation = format!("await {}", call.address.short());
        found.map(|(outcome, _)| outcome.outputs).ok_or_else(|| {
            Failure::new(FailureKind::NotFound, operation, "it is gone already").hint("run `cloudtik apply` again")
        })
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        let (attributes, operation) = (call.attributes.clone(), call.operation.to_string());
        self.blocking("update", call, move |kind, at| kind.update(at, &attributes, &operation)).await
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        self.blocking("delete", call, |kind, at| kind.delete(at)).await
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        let operation = call.operation.to_string();
        self.blocking("settle", call, move |kind, at| {
            match kind.find(at)? {
                Some((outcome, by)) if by == operation => return Ok(Settled::Found(outcome)),
                _ => {}
            }
            // There may be no next create: what the interrupted one left is in nobody's record.
            if kind.unfinished(at, &operation)? {
                kind.delete(&At {
                    local: at.local.clone(),
                    address: at.address.clone(),
                    place: at.place.clone(),
                    id: None,
                })?;
            }
            Ok(Settled::Absent)
        })
        .await
    }
}
