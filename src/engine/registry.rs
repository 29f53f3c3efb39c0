//! The providers a run works with, by name, the kinds they manage, and the clock that all of them go by.

use cloudtik_core::{ProviderName, provider::Provider, schema::Kinds};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What time it is, for what a run writes down and for the age of what it reads.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

#[derive(Clone)]
pub struct Registry {
    providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
    kinds: Kinds,
    clock: Clock,
}

impl Registry {
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        let providers: BTreeMap<_, _> = providers.into_iter().map(|p| (p.name(), p)).collect();
        let kinds = Kinds::new(providers.iter().map(|(name, p)| (name.clone(), p.kinds())));
        Registry { providers, kinds, clock: Arc::new(Timestamp::now) }
    }

    /// Providers of a world with a time of its own. It must pass as tokio's clock does, by which the engine waits.
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Registry { clock: Arc::new(clock), ..self }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// How long after a create the kind's service may still answer "absent".
    pub(crate) fn window(&self, provider: &ProviderName, kind: &str) -> Duration {
        self.kinds.get(provider, kind).map(|kind| kind.consistency_window).unwrap_or_default()
    }

    /// By name.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.values()
    }

    pub fn get(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        self.providers.get(name)
    }
}
