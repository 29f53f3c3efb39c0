//! `subnet`: a bridge on the router, with the router's address in it.

use super::{Worlds, attrs, inputs, present, typed};
use crate::{
    error::Error,
    helper::protocol::{Answer, Question},
    process::Process,
    provider::{At, Kind, Local},
    world::{Made, NodeRecord, Subnet as Record},
};
use cloudtik_core::cidr::Cidr;
use cloudtik_core::{
    provider::{Outcome, Presence, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use serde::Deserialize;
use std::collections::BTreeMap;

pub struct Subnet;

#[derive(Deserialize)]
struct Inputs {
    cidr: Option<Cidr>,
    public: bool,
}

impl Kind for Subnet {
    fn schema(&self) -> KindSchema {
        KindSchema::new("subnet").replace_on(&["network", "cidr", "public"]).takes(Durations {
            create: 10,
            ready: 0,
            update: 10,
            delete: 10,
        })
    }

    fn create(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        let inputs: Inputs = typed(attributes)?;
        let name = at.address.name().to_owned();
        let made = Made { operation: operation.into(), complete: false };
        at.place.update(|world| {
            let cidr = inputs.cidr.or_else(|| default_part(world.cidr, inputs.public)).unwrap_or(world.cidr);
            let bridge = match world.subnets.get(&name) {
                Some(old) => old.bridge.clone(),
                None => format!("br{}", world.next_serial()),
            };
            world.subnets.insert(name, Record { made, cidr, public: inputs.public, bridge });
            Ok(())
        })?;
        lay(at)
    }

    fn update(&self, at: &At, _: &Attrs, _: &str) -> Result<Outcome, Error> {
        lay(at)
    }

    fn delete(&self, at: &At) -> Result<(), Error> {
        let Some(world) = at.place.load()? else { return Ok(()) };
        let Some(record) = world.subnets.get(at.address.name()) else { return Ok(()) };
        if let Some(router) = world.door().filter(|r| r.process.alive()) {
            at.local.config.helper().ask(&Question::RemoveLink { router, name: record.bridge.clone() })?;
        }
        Ok(at.place.update(|world| {
            world.subnets.remove(at.address.name());
            Ok(())
        })?)
    }

    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error> {
        let Some(world) = at.place.load()? else { return Ok(None) };
        let record = world.subnets.get(at.address.name()).filter(|s| s.made.complete);
        let lives = !world.model.isolated() || world.router.is_some_and(Process::alive);
        Ok(record.filter(|_| lives).map(|s| (outcome(at.address.name(), s), s.made.operation.clone())))
    }

    fn unfinished(&self, at: &At, operation: &str) -> Result<bool, Error> {
        Ok(at.place.load()?.and_then(|w| Some(w.subnets.get(at.address.name())?.made.operation == operation))
            == Some(true))
    }

    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error> {
        let worlds = Worlds::read(local, subjects)?;
        let mut links = BTreeMap::<&str, Vec<String>>::new();
        for (_, world) in worlds.all() {
            if let Some(router) = world.door().filter(|r| r.process.alive())
                && let Answer::Links(found) = worlds.local.config.helper().ask(&Question::Links { router })?
            {
                links.insert(&world.workspace, found);
            }
        }
        let seen = subjects.iter().map(|subject| {
            let name = subject.address.name();
            let Some((world, record)) = worlds.of(subject).and_then(|(_, w)| Some((w, w.subnets.get(name)?))) else {
                return Presence::Absent;
            };
            let bridged = links.get(&*world.workspace).is_some_and(|l| l.contains(&record.bridge));
            let problem = (world.model.isolated() && !bridged).then(|| "its bridge is gone".to_owned());
            let problem = problem.or_else(|| (!record.made.complete).then(|| "it was never finished".to_owned()));
            let Outcome { id, outputs } = outcome(name, record);
            let mut attributes = inputs(subject);
            if attributes.contains_key("cidr") {
                attributes.insert("cidr".into(), record.cidr.to_string().into());
            }
            present(id, attributes, outputs, problem)
        });
        Ok(seen.collect())
    }
}

/// The two halves of the default layout: sixteen equal parts, of which the public subnet is the first.
pub fn default_part(network: Cidr, public: bool) -> Option<Cidr> {
    network.part((network.prefix + 4).min(30), if public { 0 } else { 1 })
}

fn lay(at: &At) -> Result<Outcome, Error> {
    let world = super::world(at)?;
    let record = world.subnet(at.address.name())?.clone();
    if let Some(router) = world.door() {
        let nodes = world.nodes.values();
        at.local.config.helper().ask(&Question::AddBridge {
            router,
            name: record.bridge.clone(),
            address: record.cidr.gateway(),
            prefix: record.cidr.prefix,
            cables: nodes.filter(|n| n.subnet == at.address.name()).map(NodeRecord::cable).collect(),
        })?;
    }
    at.place.update(|world| {
        if let Some(subnet) = world.subnets.get_mut(at.address.name()) {
            subnet.made.complete = true;
        }
        Ok(())
    })?;
    Ok(outcome(at.address.name(), &record))
}

fn outcome(name: &str, record: &Record) -> Outcome {
    let outputs = attrs([
        ("id", Value::text(name)),
        ("network_cidr", record.cidr.to_string().into()),
        ("gateway", record.cidr.gateway().to_string().into()),
        ("bridge", Value::text(&record.bridge)),
    ]);
    Outcome { id: name.to_owned(), outputs }
}
