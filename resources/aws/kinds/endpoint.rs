//! `endpoint`: where a service of the cluster answers. Nothing is made: addresses are reachable inside the network as they
//! are, and from outside through a proxy.

use super::{
    Kind,
    find::{self, attrs},
};
use crate::{
    api::{Api, ApiError},
    provider::{At, Options},
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::Failure,
    provider::{Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};

pub(crate) struct Endpoint;

#[async_trait]
impl Kind for Endpoint {
    fn schema(&self) -> KindSchema {
        KindSchema::new("endpoint").predicts(outputs).takes(Durations { create: 0, ready: 0, update: 0, delete: 0 })
    }

    async fn observe(&self, _: &Options, _: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        Ok(find::as_recorded(subjects))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        Ok(Outcome { id: at.call.address.name().into(), outputs: outputs(&at.call.attributes) })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        self.create(at).await
    }

    async fn delete(&self, _: &At<'_>) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, _: &At<'_>) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}

/// `http://10.0.0.5:8080`, once the address is known.
fn outputs(attributes: &Attrs) -> Attrs {
    let part = |name: &str| attributes.get(name).and_then(Value::scalar_text);
    let (Some(host), Some(port)) = (part("host"), part("port")) else { return Attrs::new() };
    let at = format!("{host}:{port}");
    let url = match part("protocol").as_deref() {
        None | Some("tcp" | "") => at,
        Some(protocol) => format!("{protocol}://{at}"),
    };
    attrs([("url", url.into())])
}
