//! The environment of everything that runs on a node: complete, so that nothing leaks in from the caller's.

use crate::{
    launcher::MARK,
    provider::Local,
    world::{NodeRecord, Place, World},
};
use std::collections::BTreeMap;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn of(local: &Local, place: &Place, world: &World, node: &NodeRecord) -> BTreeMap<String, String> {
    let isolated = world.model.isolated();
    let host = if isolated { node.host.clone() } else { node.ip.to_string() };
    let head = world.head_of(&node.cluster).map(|head| head.ip.to_string());
    let user = &local.config.user;
    let mut env: BTreeMap<String, String> = [
        ("PATH", PATH),
        ("HOME", &place.home(&node.key()).to_string_lossy()),
        ("USER", user),
        ("LOGNAME", user),
        ("LANG", "C.UTF-8"),
        ("HOSTNAME", &node.host),
        ("CLOUDTIK_NODE_IP", &node.ip.to_string()),
        ("CLOUDTIK_NODE_HOST", &host),
        ("CLOUDTIK_WORKSPACE", &world.workspace),
        ("CLOUDTIK_CLUSTER", &node.cluster),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .collect();
    env.extend(head.map(|ip| ("CLOUDTIK_HEAD_IP".to_owned(), ip)));
    if let Some(nat) = world.nat.as_ref().filter(|nat| isolated && nat.process.is_some()) {
        let proxy = format!("http://{}:{}", nat.address, nat.port);
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            env.insert(name.into(), proxy.clone());
        }
        for name in ["no_proxy", "NO_PROXY"] {
            env.insert(name.into(), no_proxy(world));
        }
    }
    if !isolated {
        // Finds what the node started even after its first process is gone.
        env.insert(MARK.into(), place.node(&node.key()).to_string_lossy().into_owned());
    }
    env
}

/// Everything inside the workspace, spelled out: not every program understands a network here.
fn no_proxy(world: &World) -> String {
    let nodes = world.nodes.values().flat_map(|n| [n.ip.to_string(), n.host.clone()]);
    let fixed = ["localhost".to_owned(), "127.0.0.1".into(), ".local".into(), world.cidr.to_string()];
    fixed.into_iter().chain(nodes).collect::<Vec<_>>().join(",")
}
