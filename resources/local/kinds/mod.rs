//! The kinds of resources, one file each.

mod bucket;
mod endpoint;
mod firewall;
pub(crate) mod instance;
mod nat;
mod network;
mod subnet;

pub(crate) use subnet::default_part;

use crate::{
    error::Error,
    provider::{At, Kind, Local},
    world::{Place, World},
};
use cloudtik_core::{
    provider::{Health, Presence, Subject},
    value::{Attrs, Value},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, io};

pub(crate) static ALL: [&dyn Kind; 7] = [
    &network::Network,
    &subnet::Subnet,
    &nat::Nat,
    &firewall::Firewall,
    &bucket::Bucket,
    &instance::Instance,
    &endpoint::Endpoint,
];

pub(crate) fn find(kind: &str) -> Option<&'static dyn Kind> {
    ALL.into_iter().find(|k| k.schema().kind == kind)
}

/// Attributes as a typed value; what is unset or of no interest is left out.
fn typed<T: DeserializeOwned>(attributes: &Attrs) -> Result<T, Error> {
    let known = cloudtik_core::value::pruned(attributes);
    let json = serde_json::to_value(&known).map_err(io::Error::from)?;
    serde_json::from_value(json).map_err(|e| Error::Invalid(format!("attributes: {e}")))
}

fn attrs<const N: usize>(entries: [(&str, Value); N]) -> Attrs {
    entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// The records of every workspace that subjects belong to, each read once.
struct Worlds<'a> {
    local: &'a Local,
    read: BTreeMap<String, (Place, Option<World>)>,
}

impl<'a> Worlds<'a> {
    fn read(local: &'a Local, subjects: &[Subject]) -> Result<Self, Error> {
        let mut read = BTreeMap::new();
        for subject in subjects {
            let place = local.place(&subject.address);
            if !read.contains_key(&place.workspace) {
                let world = place.load()?;
                read.insert(place.workspace.clone(), (place, world));
            }
        }
        Ok(Worlds { local, read })
    }

    fn of(&self, subject: &Subject) -> Option<(&Place, &World)> {
        let (place, world) = self.read.get(subject.address.scope().workspace_name())?;
        Some((place, world.as_ref()?))
    }

    fn all(&self) -> impl Iterator<Item = (&Place, &World)> {
        self.read.values().filter_map(|(place, world)| Some((place, world.as_ref()?)))
    }
}

/// The inputs that state recorded or the document declares: what is observed of an object that cannot differ from them.
fn inputs(subject: &Subject) -> Attrs {
    subject.record.as_ref().map_or_else(|| subject.declared.clone(), |r| r.attributes.clone())
}

fn health(problem: Option<String>) -> Health {
    problem.map_or(Health::Ok, Health::Broken)
}

fn present(id: String, attributes: Attrs, outputs: Attrs, problem: Option<String>) -> Presence {
    Presence::Present { id, attributes, outputs, healthy: health(problem), owned: true }
}

/// The record of the workspace that a call is about; most kinds cannot be made without one.
fn world(at: &At) -> Result<World, Error> {
    at.place.load()?.ok_or_else(|| Error::Invalid(format!("workspace {} has no network here", at.place.workspace)))
}
