//! A provider that does nothing, at once: what remains is the engine's own cost.

use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, ProviderName, Value,
    provider::{Call, Observed, Outcome, Presence, Provider, Refresh, Settled},
    schema::KindSchema,
};

pub struct Noop;

#[async_trait]
impl Provider for Noop {
    fn name(&self) -> ProviderName {
        "noop".into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        vec![KindSchema::new("thing").replace_on(&["image"])]
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let absent =
            |s: &cloudtik_core::provider::Subject| Observed { address: s.address.clone(), presence: Presence::Absent };
        Ok(refresh.subjects.iter().map(absent).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        let id = call.address.name().to_string();
        Ok(Outcome { outputs: Attrs::from([("id".into(), Value::text(&id))]), id })
    }

    async fn ready(&self, _: &Call) -> Result<Attrs, Failure> {
        Ok(Attrs::new())
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.create(call).await
    }

    async fn delete(&self, _: &Call) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, _: &Call) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}
