//! `network`: the router's namespaces, the record of everything in them, and the folders that nodes share.

use super::{Worlds, attrs, inputs, instance::LOOPBACK_SSH, present, typed};
use crate::{
    error::Error,
    helper::protocol::{Launch, RouterSpec},
    keys,
    launcher::MARK,
    process::{self, Process},
    provider::{At, Kind, Local},
    world::{FORMAT, Made, NodeModel, Place, World},
};
use cloudtik_core::cidr::Cidr;
use cloudtik_core::{
    provider::{Outcome, Presence, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

/// How long the kernel may take to end everything in a workspace.
pub const END: Duration = Duration::from_secs(20);

pub struct Network;

#[derive(Deserialize)]
struct Inputs {
    node_model: NodeModel,
    cidr: Option<Cidr>,
}

impl Kind for Network {
    fn schema(&self) -> KindSchema {
        KindSchema::new("network").replace_on(&["node_model", "cidr"]).volatile(&["router_pid"]).takes(Durations {
            create: 30,
            ready: 0,
            update: 30,
            delete: 60,
        })
    }

    fn create(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        let inputs: Inputs = typed(attributes)?;
        at.place.check_name()?;
        end_everything(&at.place)?;
        let cidr = match (inputs.node_model, inputs.cidr) {
            (NodeModel::Loopback, _) => free_loopback(&at.local, &at.place)?,
            (_, Some(cidr)) => cidr,
            (_, None) => return Err(Error::Invalid("`cidr` is needed".into())),
        };
        let world = World {
            format: FORMAT,
            workspace: at.place.workspace.clone(),
            model: inputs.node_model,
            cidr,
            network: Some(Made { operation: operation.into(), complete: false }),
            router: None,
            subnets: BTreeMap::new(),
            nat: None,
            firewall: None,
            nodes: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            serial: 0,
        };
        at.place.change(|now| {
            *now = Some(world);
            Ok(())
        })?;
        start(at, inputs.node_model)
    }

    /// Starts a router that is gone; its subnets and nodes went with it and are mended by their own updates. One that was
    /// half removed is made anew.
    fn update(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        let Some(world) = at.place.load()? else { return self.create(at, attributes, operation) };
        let complete = world.network.as_ref().is_some_and(|made| made.complete);
        if complete && (world.router.is_some_and(Process::alive) || !world.model.isolated()) {
            folders(&at.place)?;
            return Ok(outcome(&at.place, &world));
        }
        if let Some(unfinished) = world.router {
            unfinished.end(END)?;
        }
        start(at, world.model)
    }

    fn delete(&self, at: &At) -> Result<(), Error> {
        if at.place.folder().exists() {
            end_everything(&at.place)?;
        }
        Ok(at.place.remove()?)
    }

    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error> {
        let Some(world) = at.place.load()? else { return Ok(None) };
        let made = world.network.clone().filter(|_| problem(&at.place, &world).is_none());
        Ok(made.map(|made| (outcome(&at.place, &world), made.operation)))
    }

    /// A folder without a record is a create that had only just begun.
    fn unfinished(&self, at: &At, operation: &str) -> Result<bool, Error> {
        Ok(match at.place.load()? {
            Some(world) => world.network.is_some_and(|made| made.operation == operation),
            None => at.place.folder().exists(),
        })
    }

    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error> {
        let worlds = Worlds::read(local, subjects)?;
        let seen = subjects.iter().map(|subject| match worlds.of(subject) {
            Some((place, world)) => {
                let Outcome { id, outputs } = outcome(place, world);
                let mut attributes = inputs(subject);
                attributes.insert("node_model".into(), world.model.as_str().into());
                if world.model.isolated() {
                    attributes.insert("cidr".into(), world.cidr.to_string().into());
                }
                present(id, attributes, outputs, problem(place, world))
            }
            // A removal that was cut off: what is left of the folder is removed by the next one.
            None => match &subject.record {
                Some(record) if local.place(&subject.address).folder().exists() => {
                    let why = Some("its removal was interrupted".into());
                    present(record.id.clone(), inputs(subject), record.outputs.clone(), why)
                }
                _ => Presence::Absent,
            },
        });
        Ok(seen.collect())
    }
}

/// What keeps a recorded network from working.
fn problem(place: &Place, world: &World) -> Option<String> {
    match world.router {
        _ if world.network.as_ref().is_none_or(|made| !made.complete) => Some("it was never finished".into()),
        Some(router) if !router.alive() => Some("the router process is gone".into()),
        None if world.model.isolated() => Some("the router was never started".into()),
        _ if !place.shared().is_dir() => Some("the shared folder is gone".into()),
        _ if !place.ssh_key().is_file() => Some("the SSH key is gone".into()),
        _ => None,
    }
}

fn outcome(place: &Place, world: &World) -> Outcome {
    let outputs = attrs([
        ("id", Value::text(&world.workspace)),
        ("node_model", world.model.as_str().into()),
        ("network_cidr", world.cidr.to_string().into()),
        ("shared", place.shared().to_string_lossy().as_ref().into()),
        ("router_pid", world.router.map(|r| r.pid).into()),
    ]);
    Outcome { id: world.workspace.clone(), outputs: cloudtik_core::value::pruned(&outputs) }
}

fn folders(place: &Place) -> Result<(), Error> {
    fs::create_dir_all(place.shared())?;
    // Keys and other users' data: nobody else's business.
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o700))?;
    Ok(keys::make(&place.ssh_key())?)
}

fn start(at: &At, model: NodeModel) -> Result<Outcome, Error> {
    folders(&at.place)?;
    if model.isolated() {
        let rootless = model == NodeModel::Namespaces;
        let spec = RouterSpec { rootless, host: format!("{}-router", at.place.workspace) };
        let mark = at.place.folder().to_string_lossy().into_owned();
        at.local.config.helper().launch(&Launch::Router(spec), &mark, |router, _| {
            at.place.update(|world| {
                world.router = Some(router);
                // Until it is released, it ends with us.
                if let Some(made) = &mut world.network {
                    made.complete = false;
                }
                Ok(())
            })
        })?;
    }
    let world = at.place.update(|world| {
        if let Some(made) = &mut world.network {
            made.complete = true;
        }
        Ok(world.clone())
    })?;
    Ok(outcome(&at.place, &world))
}

/// Ends every process of the workspace, recorded or not.
fn end_everything(place: &Place) -> Result<(), Error> {
    let mark = place.folder().to_string_lossy().into_owned();
    if let Some(router) = place.load()?.and_then(|w| w.router) {
        router.end(END)?;
    }
    Ok(process::end_all(|| process::marked(MARK, &mark, true), END)?)
}

/// A part of 127.0.0.0/8 that no other workspace of this user has.
fn free_loopback(local: &Local, place: &Place) -> Result<Cidr, Error> {
    let mut used = Vec::new();
    for entry in fs::read_dir(&local.config.root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != place.workspace
            && let Ok(Some(world)) = Place::new(&local.config.root, &name).load()
        {
            used.push(world.cidr);
        }
    }
    // Different places start at different numbers, and a part where somebody listens already is passed over: other users
    // of the machine, whose records cannot be read, are seldom met.
    let folder = place.folder();
    let start = folder.as_os_str().as_encoded_bytes().iter().fold(7u16, |sum, b| sum.wrapping_mul(31) ^ u16::from(*b));
    let candidates = (0..190u16).map(|i| Cidr::new([127, 64 + ((start % 190 + i) % 190) as u8, 0, 0].into(), 16));
    let quiet = |cidr: &Cidr| cidr.nodes().take(1).all(unused);
    let mut free = candidates.filter(|c| !used.contains(c)).filter(quiet);
    free.next().ok_or_else(|| Error::Invalid("190 loopback workspaces exist already".into()))
}

/// Whether nobody serves SSH at the address, as a node would.
fn unused(address: Ipv4Addr) -> bool {
    TcpListener::bind((address, LOOPBACK_SSH)).is_ok()
}
