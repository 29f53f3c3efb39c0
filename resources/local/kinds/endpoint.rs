//! `endpoint`: a port on 127.0.0.1 of the machine that leads to a port of a node.

use super::{Worlds, attrs, inputs, network::END, present, typed};
use crate::{
    error::Error,
    helper::protocol::{Inside, Launch, PublishSpec},
    launcher::MARK,
    process::{self, Process},
    provider::{At, Kind, Local},
    world::{EndpointRecord, Made, World},
};
use cloudtik_core::{
    address::Address,
    provider::{Outcome, Presence, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use serde::Deserialize;
use std::net::SocketAddr;

pub struct Endpoint;

#[derive(Deserialize)]
struct Inputs {
    /// The node's name in the workspace's record.
    node: String,
    port: u16,
    protocol: String,
}

fn key(address: &Address) -> String {
    format!("{}/{}", address.scope().cluster_name().unwrap_or("cluster"), address.name())
}

impl Kind for Endpoint {
    fn schema(&self) -> KindSchema {
        KindSchema::new("endpoint").volatile(&["pid", "host_port", "url"]).takes(Durations {
            create: 10,
            ready: 0,
            update: 10,
            delete: 5,
        })
    }

    fn create(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        let inputs: Inputs = typed(attributes)?;
        stop(at)?;
        let key = key(&at.address);
        let wanted = at.place.update(|world| {
            let made = Made { operation: operation.into(), complete: false };
            // A published port is kept: users have it in their bookmarks.
            let before = world.endpoints.get(&key).filter(|e| e.port == inputs.port).map(|e| e.host_port);
            let host_port = before.unwrap_or(inputs.port);
            let record = EndpointRecord {
                made,
                node: inputs.node.clone(),
                port: inputs.port,
                protocol: inputs.protocol.clone(),
                host_port,
                through: None,
                process: None,
            };
            world.endpoints.insert(key.clone(), record);
            Ok(host_port)
        })?;
        start(at, &key, &inputs, wanted)
    }

    fn update(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        self.create(at, attributes, operation)
    }

    fn delete(&self, at: &At) -> Result<(), Error> {
        let key = key(&at.address);
        if at.place.load()?.is_none_or(|w| !w.endpoints.contains_key(&key)) {
            return Ok(());
        }
        stop(at)?;
        Ok(at.place.update(|world| {
            world.endpoints.remove(&key);
            Ok(())
        })?)
    }

    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error> {
        let Some(world) = at.place.load()? else { return Ok(None) };
        let record = world.endpoints.get(&key(&at.address)).filter(|e| problem(&world, e).is_none());
        Ok(record.map(|e| (outcome(&at.address, e), e.made.operation.clone())))
    }

    fn unfinished(&self, at: &At, operation: &str) -> Result<bool, Error> {
        Ok(at.place.load()?.and_then(|w| Some(w.endpoints.get(&key(&at.address))?.made.operation == operation))
            == Some(true))
    }

    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error> {
        let worlds = Worlds::read(local, subjects)?;
        let seen = subjects.iter().map(|subject| {
            let found = worlds.of(subject).and_then(|(_, w)| Some((w, w.endpoints.get(&key(&subject.address))?)));
            let Some((world, record)) = found else { return Presence::Absent };
            let Outcome { id, outputs } = outcome(&subject.address, record);
            let mut attributes = inputs(subject);
            attributes.insert("port".into(), record.port.into());
            present(id, attributes, outputs, problem(world, record))
        });
        Ok(seen.collect())
    }
}

/// What keeps a recorded endpoint from leading into its node.
fn problem(world: &World, record: &EndpointRecord) -> Option<String> {
    if !record.made.complete || !record.process.is_some_and(Process::alive) {
        return Some("its publisher process is gone".into());
    }
    let init = world.nodes.get(&record.node).filter(|n| n.alive()).and_then(|n| n.init);
    (init.is_none() || init != record.through).then(|| format!("node {} is not the one it leads to", record.node))
}

fn mark(at: &At) -> String {
    at.place.folder().join("daemons").join(key(&at.address)).to_string_lossy().into_owned()
}

fn stop(at: &At) -> Result<(), Error> {
    let mark = mark(at);
    Ok(process::end_all(|| process::marked(MARK, &mark, false), END)?)
}

fn start(at: &At, key: &str, inputs: &Inputs, wanted: u16) -> Result<Outcome, Error> {
    let world = super::world(at)?;
    let node = world.nodes.get(&inputs.node);
    let gone = || Error::Invalid(format!("node {} is not there", inputs.node));
    let (node, init) = node.and_then(|n| Some((n, n.init?))).ok_or_else(gone)?;
    let target = SocketAddr::new(node.ip.into(), inputs.port);
    let from = world.door().map(|router| Inside { router, init });
    let spec = PublishSpec { port: wanted, target, from };
    at.local.config.helper().launch(&Launch::Publish(spec), &mark(at), |process, port| {
        at.place.update(|world| {
            if let Some(record) = world.endpoints.get_mut(key) {
                record.process = Some(process);
                record.through = Some(init);
                record.host_port = port.unwrap_or(wanted);
            }
            Ok(())
        })
    })?;
    // Until it was released, it would have ended with us.
    let world = at.place.update(|world| {
        if let Some(record) = world.endpoints.get_mut(key) {
            record.made.complete = true;
        }
        Ok(world.clone())
    })?;
    let record =
        world.endpoints.get(key).ok_or_else(|| Error::Invalid(format!("endpoint {key} was deleted meanwhile")))?;
    Ok(outcome(&at.address, record))
}

fn outcome(address: &Address, record: &EndpointRecord) -> Outcome {
    let at = format!("127.0.0.1:{}", record.host_port);
    let url = match record.protocol.as_str() {
        "tcp" | "" => at,
        protocol => format!("{protocol}://{at}"),
    };
    let outputs = attrs([
        ("url", Value::text(url)),
        ("host_port", record.host_port.into()),
        ("pid", record.process.map(|p| p.pid).into()),
    ]);
    Outcome { id: key(address), outputs: cloudtik_core::value::pruned(&outputs) }
}
