//! Documents to declarations: what a workspace and a cluster are on this machine.

use crate::{
    config::{self, WorkspaceConfig},
    kinds::instance,
    probe::{self, Choice},
    provider::Local,
    world::{NodeModel, Place, RuleRecord},
};
use cloudtik_core::cidr::Cidr;
use cloudtik_core::{
    address::{Address, Scope},
    declaration::{Declaration, Lifecycle, Rolling},
    diagnostic::{Diagnostic, Severity},
    document::{Cluster, Document, NodeType, Workspace},
    node::{Compile, Endpoint, Files, Node, Role},
    provider::Provider,
    value::{Attrs, Needs, Value},
};

fn attrs<const N: usize>(entries: [(&str, Value); N]) -> Attrs {
    entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// The addresses of a workspace's resources.
struct Names {
    network: Address,
    public: Address,
    private: Address,
    nat: Address,
    firewall: Address,
    bucket: Address,
}

impl Names {
    fn of(workspace: &str) -> Self {
        let scope = Scope::workspace(workspace);
        let address = |kind: &str, name: &str| Address::new(scope.clone(), kind, name);
        Names {
            network: address("network", "main"),
            public: address("subnet", "public"),
            private: address("subnet", "private"),
            nat: address("nat", "main"),
            firewall: address("firewall", "main"),
            bucket: address("bucket", "default"),
        }
    }
}

impl Local {
    fn choice(&self) -> Choice {
        probe::choose(&self.config.helper())
    }

    /// The model of a cluster's workspace: as compiled in this run, as recorded, or as it would be made.
    fn model_of(&self, cluster: &Cluster) -> NodeModel {
        let recorded = || Place::new(&self.config.root, &cluster.workspace).load().ok().flatten().map(|w| w.model);
        let written = || cluster.provider.get("node_model").and_then(|t| t.as_text()?.parse().ok());
        self.remembered(&cluster.workspace).or_else(recorded).or_else(written).unwrap_or_else(|| self.choice().model)
    }

    fn instance(&self, cluster: &Cluster, kind: &NodeType, spot: Spot) -> Result<(Declaration, Node), Box<Diagnostic>> {
        let (cpus, memory_mib) = config::size(kind, cluster)?;
        let Spot { address, role, index } = spot;
        let model = self.model_of(cluster);
        let names = Names::of(&cluster.workspace);
        let host = instance::host_name(&address);
        let subnet = if role == Role::Head { &names.public } else { &names.private };
        let attributes = attrs([
            ("network", Value::reference(&names.network, "id")),
            ("subnet", Value::reference(subnet, "id")),
            ("host", Value::text(&host)),
            ("role", role.as_str().into()),
            ("cpus", cpus.into()),
            ("memory_mib", i64::try_from(memory_mib).unwrap_or(i64::MAX).into()),
            ("node_model", model.as_str().into()),
        ]);
        let place = Place::new(&self.config.root, &cluster.workspace);
        let text = |path: std::path::PathBuf| Value::text(path.to_string_lossy());
        let ip = Value::reference(&address, "ip");
        let node = Node {
            instance: address.clone(),
            role,
            node_type: kind.name.clone(),
            index,
            host: if model.isolated() { Value::text(&host) } else { ip.clone() },
            ip,
            connection: Value::reference(&address, "connection"),
            cpus,
            memory_mib,
            home: text(place.home(&instance::key(&address))),
            shared: Some(text(place.shared())),
            files: Files::Shared,
            env: Attrs::new(),
            data_disks: 0,
        };
        let rolling = (role == Role::Worker)
            .then(|| Rolling { group: kind.name.clone(), batch: (kind.count as usize / 4).max(1) });
        let declaration = Declaration::new(address, &self.name(), attributes)
            .after(&names.firewall, Needs::Ready)
            .lifecycle(Lifecycle { rolling, prevent_destroy: role == Role::Head, ..Lifecycle::default() })
            .written_at(Some(&kind.origin));
        Ok((declaration, node))
    }
}

/// Where a node stands in its cluster.
struct Spot {
    address: Address,
    role: Role,
    index: usize,
}

impl Compile for Local {
    fn workspace(&self, workspace: &Workspace) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        let config = WorkspaceConfig::read(&workspace.provider)?;
        if let Err(error) = Place::new(&self.config.root, &workspace.name).check_name() {
            let problem = Diagnostic::error("workspace-name", "name of a workspace that cannot be made here");
            return Err(vec![problem.at(&workspace.origin).detail(error.to_string()).hint("choose another name")]);
        }
        let model = config.model.unwrap_or_else(|| self.choice().model);
        if config.model.is_some()
            && let Err(fault) = probe::check(&self.config.helper(), model)
        {
            let problem = Diagnostic::error("node-model-refused", "this machine does not allow the node model");
            let detail = format!("`{}`: {fault}", model.as_str());
            return Err(vec![problem.at(&workspace.origin).detail(detail).hint("set `node_model: auto`")]);
        }
        self.remember(&workspace.name, model);
        let names = Names::of(&workspace.name);
        let declare = |address: &Address, attributes| {
            Declaration::new(address.clone(), &self.name(), attributes).written_at(Some(&workspace.origin))
        };
        let mut all = vec![declare(&names.network, network(&config, model))];
        for (address, public) in [(&names.public, true), (&names.private, false)] {
            all.push(declare(address, subnet(&config, model, &names, public)));
        }
        all.push(declare(&names.firewall, firewall(&config, &names)));
        let mode = if model.isolated() { "proxy" } else { "host" };
        let subnet = Value::reference(&names.public, "id");
        let network = Value::reference(&names.network, "id");
        all.push(declare(&names.nat, attrs([("network", network), ("subnet", subnet), ("mode", mode.into())])));
        if config.bucket {
            all.push(declare(&names.bucket, Attrs::new()));
        }
        Ok(all)
    }

    fn cluster(&self, cluster: &Cluster) -> Result<(Vec<Declaration>, Vec<Node>), Vec<Diagnostic>> {
        let scope = Scope::cluster(&cluster.workspace, &cluster.name);
        let head = Spot { address: Address::new(scope.clone(), "instance", "head"), role: Role::Head, index: 0 };
        let mut spots = vec![(&cluster.head, head)];
        for kind in &cluster.workers {
            for index in 0..kind.count as usize {
                let address = Address::new(scope.clone(), "instance", &format!("{}[{index}]", kind.name));
                spots.push((kind, Spot { address, role: Role::Worker, index }));
            }
        }
        let (mut declarations, mut nodes, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, spot) in spots {
            match self.instance(cluster, kind, spot) {
                Ok((declaration, node)) => {
                    declarations.push(declaration);
                    nodes.push(node);
                }
                Err(problem) => problems.push(*problem),
            }
        }
        problems.dedup();
        if problems.is_empty() { Ok((declarations, nodes)) } else { Err(problems) }
    }

    fn publish(&self, cluster: &Cluster, endpoint: &Endpoint) -> Vec<Declaration> {
        let scope = Scope::cluster(&cluster.workspace, &cluster.name);
        let attributes = attrs([
            ("node", Value::reference(&endpoint.node, "name")),
            ("port", endpoint.port.into()),
            ("protocol", Value::text(&endpoint.protocol)),
        ]);
        let address = Address::new(scope, "endpoint", &endpoint.name);
        vec![Declaration::new(address, &self.name(), attributes).after(&endpoint.service, Needs::Created)]
    }

    fn size(&self, node_type: &NodeType, cluster: &Cluster) -> Result<(u32, u64), Box<Diagnostic>> {
        config::size(node_type, cluster)
    }

    fn notes(&self, document: &Document) -> Vec<Diagnostic> {
        let Document::Workspace(workspace) = document else { return Vec::new() };
        let Ok(config) = WorkspaceConfig::read(&workspace.provider) else { return Vec::new() };
        let (model, refused) = match config.model {
            Some(model) => (model, Vec::new()),
            None => {
                let choice = self.choice();
                (choice.model, choice.refused)
            }
        };
        let why: Vec<String> =
            refused.iter().map(|(model, fault)| format!("`{}` is refused here ({fault})", model.as_str())).collect();
        let why = match (config.model, why.is_empty()) {
            (Some(_), _) => "as the document says".to_owned(),
            (None, true) => "the best that this machine allows".into(),
            (None, false) => why.join(", "),
        };
        let note = Diagnostic::new(Severity::Note, "node-model", "how nodes are made");
        vec![note.at(&workspace.origin).detail(format!("`{}`: {why}. {}", model.as_str(), meaning(model)))]
    }
}

/// What a model does not isolate or enforce.
fn meaning(model: NodeModel) -> &'static str {
    match model {
        NodeModel::NamespacesRoot => {
            "Nodes share the machine's kernel and see its files read-only; commands run as root. Memory is bounded and \
             CPU shared out where control groups allow it. The way out is an HTTP proxy."
        }
        NodeModel::Namespaces => {
            "Nodes share the machine's kernel, see its files read-only and run as you. Memory and CPU are declared, \
             not enforced, unless control groups are yours. The way out is an HTTP proxy."
        }
        NodeModel::Loopback => {
            "Nodes are addresses of 127.0.0.0/8 and groups of processes: nothing separates their files, users and \
             networks. Firewall rules, memory and CPU are declared, not enforced; a service that ignores its bind \
             address listens on every interface of the machine."
        }
    }
}

fn network(config: &WorkspaceConfig, model: NodeModel) -> Attrs {
    let mut attributes = attrs([("node_model", model.as_str().into())]);
    if model.isolated() {
        attributes.insert("cidr".into(), config.cidr.to_string().into());
    }
    attributes
}

fn subnet(config: &WorkspaceConfig, model: NodeModel, names: &Names, public: bool) -> Attrs {
    let mut attributes = attrs([("network", Value::reference(&names.network, "id")), ("public", public.into())]);
    if let Some(cidr) = crate::kinds::default_part(config.cidr, public).filter(|_| model.isolated()) {
        attributes.insert("cidr".into(), cidr.to_string().into());
    }
    attributes
}

fn firewall(config: &WorkspaceConfig, names: &Names) -> Attrs {
    let cidrs = |all: &[Cidr]| Value::list(all.iter().map(Cidr::to_string));
    let range = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let rule = |rule: &RuleRecord| {
        Value::map([
            ("protocol", Value::text(&rule.protocol)),
            ("ports", Value::list(rule.ports.iter().map(range))),
            ("sources", cidrs(&rule.sources)),
        ])
    };
    attrs([
        ("network", Value::reference(&names.network, "id")),
        ("rules", Value::List(config.rules.iter().map(rule).collect())),
        ("allow_internal", config.allow_internal.into()),
        ("ssh_sources", cidrs(&config.ssh_sources)),
    ])
}
