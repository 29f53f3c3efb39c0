//! `artifact`: what a runtime needs on the machine, fetched into the cache. Deleting it forgets it; the cache stays.

use super::decode;
use crate::{
    artifact::{Held, Store},
    manifest::Artifact,
};
use cloudtik_core::{
    Attrs, Failure, Value, digest,
    provider::{Call, Health, Observed, Outcome, Presence, Refresh, Settled, Subject},
    schema::{Durations, KindSchema},
};
use std::path::Path;

pub fn schema() -> KindSchema {
    KindSchema::new("artifact").volatile(&["path", "libraries", "from"]).takes(Durations {
        create: 20_000,
        ready: 0,
        update: 20_000,
        delete: 1,
    })
}

pub fn refresh(refresh: &Refresh) -> Vec<Observed> {
    let look = |subject: &Subject| Observed { address: subject.address.clone(), presence: presence(subject) };
    refresh.subjects.iter().map(look).collect()
}

fn presence(subject: &Subject) -> Presence {
    let Some(record) = &subject.record else { return Presence::Absent };
    let path = record.outputs.get("path").and_then(Value::as_text).unwrap_or_default();
    if !Path::new(path).is_dir() {
        return Presence::Absent;
    }
    Presence::Present {
        id: record.id.clone(),
        attributes: Attrs::new(),
        outputs: record.outputs.clone(),
        healthy: Health::Ok,
        owned: true,
    }
}

fn outcome(artifact: &Artifact, held: &Held) -> Outcome {
    let outputs = [
        ("path", held.home.display().to_string()),
        ("libraries", held.libraries.clone()),
        ("from", held.from.to_owned()),
    ];
    Outcome {
        id: format!("{}-{}-{}", artifact.name, artifact.version, digest::of(artifact).short()),
        outputs: outputs.into_iter().map(|(k, v)| (k.to_owned(), Value::text(v))).collect(),
    }
}

pub async fn fetch(store: &Store, call: &Call) -> Result<Outcome, Failure> {
    let artifact: Artifact = decode("an artifact", &call.attributes)?;
    let held = store.get(&artifact, &*call.progress).await?;
    Ok(outcome(&artifact, &held))
}

pub async fn settle(store: &Store, call: &Call) -> Result<Settled, Failure> {
    let artifact: Artifact = decode("an artifact", &call.attributes)?;
    let found = store.find(&artifact).await?;
    Ok(found.map_or(Settled::Absent, |held| Settled::Found(outcome(&artifact, &held))))
}
