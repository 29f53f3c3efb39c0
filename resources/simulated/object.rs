//! One thing that exists in a simulated world.

use cloudtik_core::{Address, Attrs, ProviderName, plan::OperationId, provider::Call, state::Record};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Object {
    /// What its provider calls it; alone it need not be unique.
    pub id: String,
    pub provider: ProviderName,
    /// Whose it is, or will be once it carries its mark.
    pub address: Address,
    pub attributes: Attrs,
    pub outputs: Attrs,
    /// Outputs that no other object has the same.
    pub(crate) own: Vec<String>,
    /// Attributes that only a new object could have otherwise: what they name cannot go before it.
    pub(crate) fixed: Vec<&'static str>,
    /// The operation that made it.
    pub token: OperationId,
    /// The request of several that made it, and its place there.
    pub launch: Option<(String, u32)>,
    /// Whether it carries our mark; one of a request of several gets it after the others are there.
    pub marked: bool,
    /// The object that it lives in and goes with.
    pub home: Option<String>,
    /// From when on lists and lookups show it.
    pub visible: Duration,
    pub ready: Duration,
}

impl Object {
    pub fn made_by(&self, call: &Call) -> bool {
        let place = call.batch.as_ref().map(|batch| (batch.id.clone(), batch.index));
        self.token == call.operation || (place.is_some() && self.launch == place)
    }

    /// One that was there before this world began.
    pub(crate) fn recorded(record: &Record) -> Self {
        Object {
            id: record.id.clone(),
            provider: record.provider.clone(),
            address: record.address.clone(),
            attributes: record.attributes.clone(),
            outputs: record.outputs.clone(),
            own: record.outputs.keys().cloned().collect(),
            fixed: Vec::new(),
            token: record.operation.clone(),
            launch: None,
            marked: true,
            home: None,
            visible: Duration::ZERO,
            ready: Duration::ZERO,
        }
    }
}
