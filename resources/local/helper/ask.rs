//! Short work in the router's network and in nodes' networks.

use super::{
    protocol::{Answer, Question, Router},
    space,
};
use crate::{
    firewall,
    netlink::Net,
    process::Process,
    wire::{Fault, Step},
};
use rustix::thread::LinkNameSpaceType;
use std::{collections::BTreeMap, fs::File, net::Ipv4Addr};

pub fn answer(question: &Question) -> Answer {
    let answered = match question {
        Question::AddBridge { router, name, address, prefix, cables } => {
            add_bridge(router, name, (*address, *prefix), cables)
        }
        Question::RemoveLink { router, name } => {
            in_router(router, |net| net.remove(name).step("remove the link")).map(|()| Answer::Done)
        }
        Question::Links { router } => in_router(router, |net| net.links().step("list the links"))
            .map(|links| Answer::Links(links.into_iter().map(|(name, _)| name).collect())),
        Question::SetRules { router, nodes, rules } => each(router, nodes, |_, door| {
            enter(door).and_then(|()| firewall::apply(rules).step("set the firewall rules"))
        })
        .and_then(|done| done.into_values().collect::<Result<(), Fault>>())
        .map(|()| Answer::Done),
        Question::CheckRules { router, nodes, rules } => each(router, nodes, |_, door| {
            let found = enter(door).and_then(|()| firewall::deviation(rules).step("read the firewall rules"));
            found.unwrap_or_else(|fault| Some(fault.to_string()))
        })
        .map(|all| Answer::Deviations(all.into_iter().filter_map(|(key, d)| Some((key, d?))).collect())),
    };
    answered.unwrap_or_else(Answer::Failed)
}

fn in_router<T>(router: &Router, work: impl FnOnce(&mut Net) -> Result<T, Fault>) -> Result<T, Fault> {
    space::join_router_net(router)?;
    work(&mut Net::here().step("open netlink")?)
}

fn add_bridge(router: &Router, name: &str, at: (Ipv4Addr, u8), cables: &[String]) -> Result<Answer, Fault> {
    in_router(router, |net| {
        // A bridge that an interrupted run left may lack its address.
        net.remove(name).step("remove an unfinished bridge")?;
        net.add_bridge(name).step("add the bridge")?;
        net.add_address(name, at.0, at.1).step("set the bridge's address")?;
        let there = net.links().step("list the links")?;
        let cables = there.into_iter().filter(|(link, _)| cables.contains(link));
        cables.into_iter().try_for_each(|(cable, _)| net.attach(&cable, name).step("put a node's cable on the bridge"))
    })?;
    Ok(Answer::Done)
}

type Doors = Result<File, Fault>;

/// Does the work in the network of each node, one after the other; doors are opened before any user namespace is entered.
fn each<T>(
    router: &Router,
    nodes: &BTreeMap<String, Process>,
    work: impl Fn(&str, Doors) -> T,
) -> Result<BTreeMap<String, T>, Fault> {
    let doors: Vec<_> = nodes.iter().map(|(key, init)| (key, space::open(*init, "net"))).collect();
    space::join_users(router)?;
    Ok(doors.into_iter().map(|(key, door)| (key.clone(), work(key, door))).collect())
}

fn enter(door: Doors) -> Result<(), Fault> {
    space::join(door?, LinkNameSpaceType::Network).step("enter the node's network")
}
