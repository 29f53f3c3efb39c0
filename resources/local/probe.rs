//! Which node models this machine allows: makes a whole router and a whole node, and throws both away.
//!
//! Anything less says yes where the last step is refused: user namespaces may be made but not mounted in.

use crate::{
    helper::protocol::{Launch, NodeSpec, Question, Router, RouterSpec},
    launcher::Helper,
    wire::{Fault, Step},
    world::{NodeModel, RuleRecord, remove_tree},
};
use cloudtik_core::cidr::Cidr;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The model that `auto` means here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub model: NodeModel,
    /// The models before it that the machine refused, each with the step.
    pub refused: Vec<(NodeModel, Fault)>,
}

static PROBED: Mutex<BTreeMap<(PathBuf, NodeModel), Result<(), Fault>>> = Mutex::new(BTreeMap::new());

/// The best model of this machine.
pub fn choose(helper: &Helper) -> Choice {
    let root = rustix::process::geteuid().is_root();
    let candidates: &[NodeModel] =
        if root { &[NodeModel::NamespacesRoot, NodeModel::Namespaces] } else { &[NodeModel::Namespaces] };
    let mut refused = Vec::new();
    for model in candidates {
        match check(helper, *model) {
            Ok(()) => return Choice { model: *model, refused },
            Err(fault) => refused.push((*model, fault)),
        }
    }
    Choice { model: NodeModel::Loopback, refused }
}

/// [`probe`], done once per process and helper.
pub fn check(helper: &Helper, model: NodeModel) -> Result<(), Fault> {
    let mut probed = PROBED.lock().unwrap_or_else(PoisonError::into_inner);
    probed.entry((helper.program.clone(), model)).or_insert_with(|| probe(helper, model)).clone()
}

/// Whether a node of this model can be made; an error names the step that was refused.
fn probe(helper: &Helper, model: NodeModel) -> Result<(), Fault> {
    if model == NodeModel::Loopback {
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("cloudtik-probe-{}-{}", std::process::id(), model.as_str()));
    let result = chain(helper, model, &folder);
    // A folder that stays behind is empty and in the way of nobody.
    let _ = remove_tree(&folder);
    result
}

fn chain(helper: &Helper, model: NodeModel, folder: &Path) -> Result<(), Fault> {
    let (tmp, hosts) = (folder.join("tmp"), folder.join("hosts"));
    fs::create_dir_all(&tmp).step("make a folder")?;
    fs::write(&hosts, "127.0.0.1 localhost\n").step("write a file")?;
    let rootless = model == NodeModel::Namespaces;
    let mark = folder.to_string_lossy().into_owned();
    let router = helper.rehearse(&Launch::Router(RouterSpec { rootless, host: "probe".into() }), &mark)?;
    let router_door = Router { process: router.process, rootless };
    let subnet = Cidr::new([10, 77, 0, 0].into(), 24);
    let bridge = "probe".to_owned();
    helper.ask(&Question::AddBridge {
        router: router_door.clone(),
        name: bridge.clone(),
        address: subnet.gateway(),
        prefix: subnet.prefix,
        cables: Vec::new(),
    })?;
    let rules = vec![RuleRecord { protocol: "tcp".into(), ports: vec![(22, 22)], sources: vec![subnet] }];
    let spec = NodeSpec {
        router: router_door,
        host: "probe".into(),
        ip: subnet.nodes().next().expect("a /24 has nodes"),
        subnet,
        bridge,
        cable: "v0".into(),
        rules: Some(rules),
        writable: vec![tmp.clone()],
        visible: Vec::new(),
        hidden: folder.into(),
        hosts,
        tmp,
        ssh: None,
    };
    helper.rehearse(&Launch::Node(Box::new(spec)), &mark).map(drop)
}
