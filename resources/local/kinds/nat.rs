//! `nat`: the way out. Nodes reach the machine's network by an HTTP proxy on the router, which also serves CONNECT.
//!
//! Nothing else leaves: the router has no other route. In the loopback model nodes use the machine's network as it is.

use super::{Worlds, attrs, inputs, network::END, present, typed};
use crate::{
    error::Error,
    helper::protocol::{EgressSpec, Launch},
    launcher::MARK,
    process::{self, Process},
    provider::{At, Kind, Local},
    world::{Made, Nat as Record, World},
};
use cloudtik_core::{
    provider::{Outcome, Presence, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where HTTP proxies usually listen.
const PORT: u16 = 3128;

pub struct Nat;

#[derive(Deserialize)]
struct Inputs {
    subnet: String,
}

impl Kind for Nat {
    fn schema(&self) -> KindSchema {
        KindSchema::new("nat").replace_on(&["network", "subnet", "mode"]).volatile(&["pid"]).takes(Durations {
            create: 15,
            ready: 0,
            update: 15,
            delete: 5,
        })
    }

    fn create(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        let inputs: Inputs = typed(attributes)?;
        at.place.update(|world| {
            let address = world.subnet(&inputs.subnet)?.cidr.gateway();
            let made = Made { operation: operation.into(), complete: false };
            world.nat = Some(Record { made, process: None, address, port: PORT });
            Ok(())
        })?;
        start(at)
    }

    fn update(&self, at: &At, _: &Attrs, _: &str) -> Result<Outcome, Error> {
        start(at)
    }

    fn delete(&self, at: &At) -> Result<(), Error> {
        if at.place.load()?.is_none_or(|w| w.nat.is_none()) {
            return Ok(());
        }
        stop(at)?;
        Ok(at.place.update(|world| {
            world.nat = None;
            Ok(())
        })?)
    }

    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error> {
        let Some(world) = at.place.load()? else { return Ok(None) };
        let nat = world.nat.as_ref().filter(|nat| problem(&world, nat).is_none());
        Ok(nat.map(|nat| (outcome(&world, nat), nat.made.operation.clone())))
    }

    fn unfinished(&self, at: &At, operation: &str) -> Result<bool, Error> {
        Ok(at.place.load()?.and_then(|w| w.nat).is_some_and(|nat| nat.made.operation == operation))
    }

    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error> {
        let worlds = Worlds::read(local, subjects)?;
        let seen =
            subjects.iter().map(|subject| match worlds.of(subject).and_then(|(_, w)| Some((w, w.nat.as_ref()?))) {
                Some((world, nat)) => {
                    let Outcome { id, outputs } = outcome(world, nat);
                    present(id, inputs(subject), outputs, problem(world, nat))
                }
                None => Presence::Absent,
            });
        Ok(seen.collect())
    }
}

fn problem(world: &World, nat: &Record) -> Option<String> {
    let runs = !world.model.isolated() || nat.process.is_some_and(Process::alive);
    (!runs || !nat.made.complete).then(|| "the proxy process is gone".into())
}

fn mark(at: &At) -> String {
    at.place.folder().join("daemons/nat").to_string_lossy().into_owned()
}

fn stop(at: &At) -> Result<(), Error> {
    let mark = mark(at);
    Ok(process::end_all(|| process::marked(MARK, &mark, false), END)?)
}

fn start(at: &At) -> Result<Outcome, Error> {
    stop(at)?;
    if let Some(router) = super::world(at)?.door() {
        let spec = EgressSpec { router, port: PORT, proxies: proxies() };
        at.local.config.helper().launch(&Launch::Egress(spec), &mark(at), |process, _| {
            at.place.update(|world| {
                if let Some(nat) = &mut world.nat {
                    // Until it is released, it ends with us.
                    (nat.process, nat.made.complete) = (Some(process), false);
                }
                Ok(())
            })
        })?;
    }
    let made = at.place.update(|world| {
        if let Some(nat) = &mut world.nat {
            nat.made.complete = true;
        }
        Ok(world.nat.as_ref().map(|nat| outcome(world, nat)))
    })?;
    made.ok_or_else(|| Error::Invalid("the NAT was deleted meanwhile".into()))
}

/// How this machine itself gets out.
fn proxies() -> BTreeMap<String, String> {
    let names = ["http_proxy", "https_proxy", "no_proxy"].into_iter();
    let names = names.flat_map(|name| [name.to_owned(), name.to_uppercase()]);
    names.filter_map(|name| Some((name.clone(), std::env::var(&name).ok()?))).collect()
}

fn outcome(world: &World, nat: &Record) -> Outcome {
    let proxy = world.model.isolated().then(|| format!("http://{}:{}", nat.address, nat.port));
    let outputs =
        attrs([("proxy", proxy.into()), ("pid", nat.process.map(|p| p.pid).into()), ("id", Value::text("main"))]);
    Outcome { id: "main".into(), outputs: cloudtik_core::value::pruned(&outputs) }
}
