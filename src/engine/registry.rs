//! The providers a run works with, by name, and the kinds they manage.

use cloudtik_core::{ProviderName, provider::Provider, schema::Kinds};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

#[derive(Clone, Default)]
pub struct Registry {
    providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
    kinds: Kinds,
}

impl Registry {
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        let providers: BTreeMap<_, _> = providers.into_iter().map(|p| (p.name(), p)).collect();
        let kinds = Kinds::new(providers.iter().map(|(name, p)| (name.clone(), p.kinds())));
        Registry { providers, kinds }
    }

    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// How long after a create the kind's service may still answer "absent".
    pub(crate) fn window(&self, provider: &ProviderName, kind: &str) -> Duration {
        self.kinds.get(provider, kind).map(|kind| kind.consistency_window).unwrap_or_default()
    }

    pub fn get(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        self.providers.get(name)
    }
}
