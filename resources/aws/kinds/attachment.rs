//! `attachment`: a volume at a machine. It goes with the machine; the volume stays.

use super::{
    Kind,
    find::{self, attrs},
    volume,
};
use crate::{
    api::{Api, ApiError, Filter, Listing, Request},
    error,
    provider::{At, Options},
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::Failure,
    provider::{Health, Observed, Outcome, Presence, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use std::collections::BTreeMap;

pub(crate) struct Attachment;

fn text<'a>(attributes: &'a Attrs, name: &str) -> &'a str {
    attributes.get(name).and_then(Value::as_text).unwrap_or_default()
}

#[async_trait]
impl Kind for Attachment {
    fn schema(&self) -> KindSchema {
        KindSchema::new("attachment").replace_on(&["region", "volume", "instance", "device"]).takes(Durations {
            create: 300,
            ready: 8000,
            update: 300,
            delete: 5000,
        })
    }

    /// Asks the volumes: each is at one machine at most.
    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let known = |subject: &Subject| match &subject.record {
            Some(record) => record.attributes.clone(),
            None => subject.declared.clone(),
        };
        let ids: Vec<String> = subjects.iter().map(|s| text(&known(s), "volume").to_owned()).collect();
        let mut machines = BTreeMap::new();
        let asked: Vec<&String> = ids.iter().filter(|id| !id.is_empty()).collect();
        for ids in asked.chunks(find::VALUES) {
            let filter = Filter::new("volume-id", ids.iter().map(|id| id.as_str()));
            let volumes = api.list(&Listing::Volumes, &[filter]).await?;
            machines.extend(volumes.into_iter().map(|item| (item.id.clone(), item.text("instance").to_owned())));
        }
        let see = |(subject, id): (&Subject, &String)| {
            let wanted = known(subject);
            let there =
                machines.get(id).filter(|machine| !machine.is_empty() && **machine == text(&wanted, "instance"));
            let presence = match there {
                Some(_) => find::present(id.clone(), Attrs::new(), Attrs::new(), Health::Ok),
                None => Presence::Absent,
            };
            Observed { address: subject.address.clone(), presence }
        };
        Ok(subjects.iter().zip(&ids).map(see).collect())
    }

    /// Nothing yet: the machine may still be starting, which is waited for once this is recorded.
    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let id = at.text("volume")?;
        Ok(Outcome { id: id.into(), outputs: attrs([("id", id.into())]) })
    }

    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let (volume, instance) = (at.text("volume")?, at.text("instance")?);
        let item = volume::made(at, volume).await?;
        if item.text("instance") == instance {
            return Ok(Attrs::new());
        }
        if item.text("state") == "in-use" {
            volume::detach(at, volume).await?;
        }
        let device = at.text("device")?.into();
        let request = Request::AttachVolume { volume: volume.into(), instance: instance.into(), device };
        let passing = |error: &ApiError| error.code().starts_with("Incorrect") || error::is_absent(error);
        at.patiently(request, "the machine to run", passing).await?;
        volume::attached(at, volume).await?;
        Ok(Attrs::new())
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        self.create(at).await
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let there = at.one(Listing::Volumes, &[Filter::is("volume-id", at.id())]).await?;
        match there.filter(|item| item.text("instance") == at.recorded("instance").as_text().unwrap_or_default()) {
            Some(item) if item.text("state") == "in-use" => volume::detach(at, &item.id).await,
            _ => Ok(()),
        }
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        Ok(Settled::Found(self.create(at).await?))
    }
}
