//! `firewall`: one set of rules, kept by every node in its own network namespace.

use super::{Worlds, attrs, inputs, present, typed};
use crate::{
    error::Error,
    helper::protocol::{Answer, Question},
    process::Process,
    provider::{At, Kind, Local},
    world::{Firewall as Record, Made, RuleRecord, World},
};
use cloudtik_core::cidr::Cidr;
use cloudtik_core::{
    provider::{Outcome, Presence, Subject},
    schema::{Canonical, Durations, KindSchema},
    value::{Attrs, Value},
};
use serde::Deserialize;
use std::collections::BTreeMap;

pub struct Firewall;

#[derive(Deserialize)]
struct Inputs {
    #[serde(default)]
    rules: Vec<Rule>,
    allow_internal: bool,
    #[serde(default)]
    ssh_sources: Vec<Cidr>,
}

/// As declared: ports are written `8080` or `8000-8010`.
#[derive(Deserialize)]
struct Rule {
    protocol: String,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    sources: Vec<Cidr>,
}

impl Rule {
    fn record(&self) -> Result<RuleRecord, Error> {
        let range = |text: &String| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            first.parse().ok().zip(last.parse().ok()).ok_or_else(|| Error::Invalid(format!("`{text}` is no port")))
        };
        let ports = self.ports.iter().map(range).collect::<Result<_, _>>()?;
        Ok(RuleRecord { protocol: self.protocol.clone(), ports, sources: self.sources.clone() })
    }
}

impl Kind for Firewall {
    fn schema(&self) -> KindSchema {
        KindSchema::new("firewall")
            .replace_on(&["network"])
            .canonical(Canonical::Set, &["rules", "ssh_sources"])
            .takes(Durations { create: 5, ready: 0, update: 30, delete: 5 })
    }

    fn create(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        let inputs: Inputs = typed(attributes)?;
        let rules = inputs.rules.iter().map(Rule::record).collect::<Result<_, _>>()?;
        let made = Made { operation: operation.into(), complete: false };
        let record = Record { made, rules, allow_internal: inputs.allow_internal, ssh_sources: inputs.ssh_sources };
        let world = at.place.update(|world| {
            world.firewall = Some(record);
            Ok(world.clone())
        })?;
        set(at, &world)?;
        at.place.update(|world| {
            if let Some(firewall) = &mut world.firewall {
                firewall.made.complete = true;
            }
            Ok(())
        })?;
        Ok(outcome())
    }

    fn update(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        self.create(at, attributes, operation)
    }

    /// Nodes that outlive their firewall are left closed.
    fn delete(&self, at: &At) -> Result<(), Error> {
        if at.place.load()?.is_none_or(|w| w.firewall.is_none()) {
            return Ok(());
        }
        let world = at.place.update(|world| {
            let nothing = world.firewall.as_ref().map(|f| Record {
                rules: Vec::new(),
                allow_internal: false,
                ssh_sources: Vec::new(),
                made: f.made.clone(),
            });
            let closed = World { firewall: nothing, ..world.clone() };
            world.firewall = None;
            Ok(closed)
        })?;
        set(at, &world)
    }

    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error> {
        let Some(world) = at.place.load()? else { return Ok(None) };
        let firewall = world.firewall.filter(|f| f.made.complete);
        Ok(firewall.map(|f| (outcome(), f.made.operation)))
    }

    fn unfinished(&self, at: &At, operation: &str) -> Result<bool, Error> {
        Ok(at.place.load()?.and_then(|w| w.firewall).is_some_and(|f| f.made.operation == operation))
    }

    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error> {
        let worlds = Worlds::read(local, subjects)?;
        subjects
            .iter()
            .map(|subject| {
                let Some((_, world)) = worlds.of(subject) else { return Ok(Presence::Absent) };
                let Some(firewall) = &world.firewall else { return Ok(Presence::Absent) };
                let problem = if firewall.made.complete { deviation(local, world)? } else { Some("unfinished".into()) };
                let Outcome { id, outputs } = outcome();
                Ok(present(id, inputs(subject), outputs, problem))
            })
            .collect()
    }
}

fn outcome() -> Outcome {
    Outcome { id: "main".into(), outputs: attrs([("id", Value::text("main"))]) }
}

/// The nodes that have a network of their own now.
fn nodes(world: &World) -> BTreeMap<String, Process> {
    let alive = world.nodes.iter().filter(|(_, node)| node.alive());
    alive.filter_map(|(key, node)| Some((key.clone(), node.init?))).collect()
}

fn set(at: &At, world: &World) -> Result<(), Error> {
    let (nodes, rules) = (nodes(world), world.rules());
    if let (Some(router), Some(rules), false) = (world.door(), rules, nodes.is_empty()) {
        at.local.config.helper().ask(&Question::SetRules { router, nodes, rules })?;
    }
    Ok(())
}

/// Reads every node's rules back; says of the first that differs how it does.
fn deviation(local: &Local, world: &World) -> Result<Option<String>, Error> {
    let (nodes, rules) = (nodes(world), world.rules());
    let (Some(router), Some(rules), false) = (world.door(), rules, nodes.is_empty()) else { return Ok(None) };
    let Answer::Deviations(found) = local.config.helper().ask(&Question::CheckRules { router, nodes, rules })? else {
        return Err(Error::Invalid("the node helper answered another question".into()));
    };
    let count = found.len();
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    Ok(found.into_iter().next().map(|(node, how)| format!("rules on {node} were changed: {how}{more}")))
}
