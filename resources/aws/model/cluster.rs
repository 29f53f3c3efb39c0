//! A cluster: image, key, machines, and how they are reached.
//!
//! A machine needs its network *created*, not ready: it boots while the NAT gateway is still coming. What runs on it waits
//! for its connection, and the connection of a machine without a public address waits for the way out.

use super::{
    images,
    keys::{self, Login},
    node_config::NodeConfig,
    sizes, storage,
};
use crate::{
    config::{self, Network},
    names::{self, Names},
    provider::Aws,
    schema, tags,
};
use cloudtik_core::{
    address::{Address, Scope},
    declaration::{Declaration, Lifecycle, Rolling},
    diagnostic::Diagnostic,
    document::{Cluster, NodeType},
    node::{Endpoint, Files, Node, Role},
    origin::{Tree, TreeValue},
    provider::Provider,
    value::{Attrs, Needs, Value},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const USER: &str = "ubuntu";
const PORT: u16 = 22;

pub(crate) use sizes::size;

/// The machines of a cluster with what they need of their own, and the nodes they become.
pub(crate) fn cluster(aws: &Aws, cluster: &Cluster) -> Result<(Vec<Declaration>, Vec<Node>), Vec<Diagnostic>> {
    let mut problems = checked(cluster);
    problems.retain(Diagnostic::is_error);
    let region = config::account(&cluster.provider).region;
    let mut model = Model {
        aws,
        cluster,
        names: Names::of(&cluster.workspace),
        scope: Scope::cluster(&cluster.workspace, &cluster.name),
        network: config::network(&cluster.provider),
        login: Login::of(cluster, &region, &aws.options),
        region,
        all: BTreeMap::new(),
        nodes: Vec::new(),
    };
    let own = model.login.own.take();
    model.all.extend(own.map(|pair| (pair.address.clone(), pair)));
    let mut number = 1;
    for (role, kind) in node_types(cluster) {
        let sized = match size(kind) {
            Ok(sized) => sized,
            Err(problem) => {
                problems.push(*problem);
                continue;
            }
        };
        let config = NodeConfig::read(&config_of(cluster, role, kind));
        for index in 0..kind.count as usize {
            let name = if role == Role::Head { "head".into() } else { format!("{}[{index}]", kind.name) };
            let machine = Machine { kind, role, index, number, name, size: sized, config: &config };
            if let Err(problem) = model.machine(&machine) {
                problems.push(*problem);
                break;
            }
            number += 1;
        }
    }
    model.cache();
    problems.dedup();
    if problems.is_empty() { Ok((model.all.into_values().collect(), model.nodes)) } else { Err(problems) }
}

/// What is wrong with the node types, or of no effect in the document.
pub(crate) fn checked(cluster: &Cluster) -> Vec<Diagnostic> {
    let permanent = config::flag(&cluster.provider, "permanent_data_volumes", false);
    let keys = NO_EFFECT.iter().chain(permanent.then_some(&PERMANENT));
    let mut problems: Vec<Diagnostic> = keys.filter_map(|key| no_effect(cluster, key)).collect();
    for (role, kind) in node_types(cluster) {
        schema::check(&config_of(cluster, role, kind), &mut problems);
    }
    problems
}

/// Keys of the provider block that the Python tool knows and nothing here follows, with what is done instead.
const NO_EFFECT: [(&str, &str, &str); 1] =
    [("security_group", "machines are in the workspace's group", "put its rules into the workspace's document")];

/// The same beside `permanent_data_volumes`.
const PERMANENT: (&str, &str, &str) =
    ("cache_stopped_nodes", "machines whose data disks belong to their number are terminated", "remove one of the two");

fn no_effect(cluster: &Cluster, (key, instead, hint): &(&str, &str, &str)) -> Option<Diagnostic> {
    let entry = cluster.provider.entries().iter().find(|entry| *entry.key == **key)?;
    let asked = !matches!(entry.value.value, TreeValue::Null | TreeValue::Bool(false));
    let problem = Diagnostic::warning("no-effect", "a key without effect").at(&entry.key_origin);
    asked.then(|| problem.detail(format!("`provider.{key}`: {instead}")).hint(*hint))
}

/// Sentences on the images that are taken by default.
pub(crate) fn notes(cluster: &Cluster) -> Vec<Diagnostic> {
    let mut notes = checked(cluster);
    notes.retain(|problem| !problem.is_error());
    let mut by_default: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (role, kind) in node_types(cluster) {
        if let Some(image) = images::default_for(&NodeConfig::read(&config_of(cluster, role, kind))) {
            by_default.entry(image.what).or_default().push(format!("`{}`", kind.name));
        }
    }
    notes.extend(by_default.into_iter().map(|(what, types)| {
        let note = Diagnostic::new(cloudtik_core::Severity::Note, "default-image", "which image nodes start from");
        note.at(&cluster.origin).detail(format!(
            "{}: the newest public image of {what}, looked up once and then kept until `--upgrade-image`; `ImageId` in \
             `node_config` chooses another",
            types.join(", ")
        ))
    }));
    notes
}

fn node_types(cluster: &Cluster) -> impl Iterator<Item = (Role, &NodeType)> {
    [(Role::Head, &cluster.head)].into_iter().chain(cluster.workers.iter().map(|kind| (Role::Worker, kind)))
}

/// A type's `node_config`; for the head with the fields of `head_node` where it has none of its own.
fn config_of(cluster: &Cluster, role: Role, kind: &NodeType) -> Arc<Tree> {
    let more = cluster.tree.get("head_node").filter(|_| role == Role::Head).map_or(&[][..], |tree| tree.entries());
    let mut entries = kind.config.entries().to_vec();
    entries.extend(more.iter().filter(|entry| kind.config.get(&entry.key).is_none()).cloned());
    Arc::new(Tree { value: TreeValue::Map(entries), ..(*kind.config).clone() })
}

/// What makes an endpoint known to the user. Its address is the private one: `start-proxy` leads there.
pub(crate) fn publish(aws: &Aws, cluster: &Cluster, endpoint: &Endpoint) -> Vec<Declaration> {
    let scope = Scope::cluster(&cluster.workspace, &cluster.name);
    let attributes = attrs([
        ("host", Value::reference(&endpoint.node, "ip")),
        ("port", endpoint.port.into()),
        ("protocol", Value::text(&endpoint.protocol)),
    ]);
    let address = Address::new(scope, "endpoint", &endpoint.name);
    vec![Declaration::new(address, &aws.name(), attributes).after(&endpoint.service, Needs::Created)]
}

struct Model<'a> {
    aws: &'a Aws,
    cluster: &'a Cluster,
    names: Names,
    scope: Scope,
    region: String,
    network: Network,
    login: Login,
    all: BTreeMap<Address, Declaration>,
    nodes: Vec<Node>,
}

/// One machine to declare.
struct Machine<'a> {
    kind: &'a NodeType,
    role: Role,
    /// Within its type.
    index: usize,
    /// Within the cluster, from 1: the Python tool's sequence number.
    number: usize,
    /// `head`, `worker.default[2]`.
    name: String,
    size: (u32, u64),
    config: &'a NodeConfig,
}

fn attrs<const N: usize>(entries: [(&str, Value); N]) -> Attrs {
    entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

fn created(address: &Address) -> Value {
    Value::reference_created(address, "id")
}

impl Model<'_> {
    fn address(&self, kind: &str, name: &str) -> Address {
        Address::new(self.scope.clone(), kind, name)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        match self.cluster.provider.get(name)?.value {
            TreeValue::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn machine(&mut self, machine: &Machine) -> Result<(), Box<Diagnostic>> {
        let instance = self.address("instance", &machine.name);
        let worker = machine.role == Role::Worker;
        let batch = (machine.kind.count as usize / 4).max(1);
        let rolling = worker.then(|| Rolling { group: machine.kind.name.clone(), batch });
        let lifecycle = Lifecycle { rolling, prevent_destroy: !worker, ..Lifecycle::default() };
        let mut attributes = self.attributes(machine);
        let volumes = match self.flag("permanent_data_volumes") {
            Some(true) => self.volumes(machine, &instance, &mut attributes)?,
            _ => Vec::new(),
        };
        // What has a disk that belongs to its number is no other's to use.
        if volumes.is_empty() && self.flag("cache_stopped_nodes") == Some(true) {
            attributes.insert("cache".into(), created(&self.address("machine-cache", "main")));
        }
        let declaration = Declaration::new(instance.clone(), &self.aws.name(), attributes).lifecycle(lifecycle);
        self.all.insert(instance.clone(), declaration.written_at(Some(&machine.kind.origin)));
        let connection = self.connection(machine, &instance, &volumes);
        self.nodes.push(self.node(machine, instance, connection));
        Ok(())
    }

    /// Where machines go that have a `cache`: it outlives nothing that they are built on.
    fn cache(&mut self) {
        let cache = self.address("machine-cache", "main");
        let users = self.all.values().filter(|d| d.attributes.contains_key("cache"));
        let ground: BTreeSet<Address> =
            users.flat_map(Declaration::dependencies).map(|on| on.address).filter(|on| *on != cache).collect();
        if ground.is_empty() {
            return;
        }
        let attributes = attrs([("region", Value::text(&self.region))]);
        let declaration = Declaration::new(cache.clone(), &self.aws.name(), attributes);
        let declaration = ground.iter().fold(declaration, |all, on| all.after(on, Needs::Created));
        self.all.insert(cache, declaration.written_at(Some(&self.cluster.origin)));
    }

    /// What RunInstances is told.
    fn attributes(&mut self, machine: &Machine) -> Attrs {
        let config = machine.config;
        let (cpus, memory) = machine.size;
        let memory = i64::try_from(memory).unwrap_or(i64::MAX);
        let mut attributes = attrs([
            ("region", Value::text(&self.region)),
            ("cpus", cpus.into()),
            ("memory_mib", memory.into()),
            ("type", config.instance_type.clone().into()),
            ("image", self.image(config)),
            ("key", config.key.clone().map_or_else(|| self.login.name.clone(), Value::from)),
            ("subnets", self.subnets(machine)),
            ("profile", self.profile(machine)),
            ("market_options", self.market(machine)),
            ("tags", self.tags(machine)),
            ("user_data", config.user_data.clone().into()),
            ("launch_template", config.template.clone().into()),
        ]);
        let groups = self.groups(config);
        let mut launch = config.launch.clone();
        match launch.get_mut("NetworkInterfaces").and_then(|list| list.as_array_mut()) {
            // The service takes the groups of interfaces that are spelt out from them alone.
            Some(_) => drop(attributes.insert("interface_groups".into(), groups)),
            None => drop(attributes.insert("groups".into(), groups)),
        }
        if !config.disks.is_empty() {
            attributes.insert("disks".into(), config.disks.clone().into());
        }
        if !launch.is_empty() {
            attributes.insert("launch".into(), serde_json::Value::Object(std::mem::take(&mut launch)).into());
        }
        attributes.retain(|_, value| *value != Value::Unset);
        attributes
    }

    fn image(&mut self, config: &NodeConfig) -> Value {
        if let Some(image) = &config.image {
            return image.into();
        }
        let Some(image) = images::default_for(config) else { return Value::Unset };
        let address = self.address("image", image.name);
        let declaration = Declaration::new(address.clone(), &self.aws.name(), image.attributes(&self.region));
        self.all.entry(address.clone()).or_insert_with(|| declaration.written_at(Some(&self.cluster.origin)));
        created(&address)
    }

    /// In the order in which they are tried.
    fn subnets(&self, machine: &Machine) -> Value {
        if !machine.config.subnets.is_empty() {
            return Value::list(&machine.config.subnets);
        }
        let public = machine.role == Role::Head && self.network == Network::Own;
        let names: &[&str] = if public { &["public"] } else { &["private-1", "private-2"] };
        Value::List(names.iter().map(|name| created(&self.names.subnet(name))).collect())
    }

    fn groups(&self, config: &NodeConfig) -> Value {
        match config.groups.as_slice() {
            [] => Value::List(vec![created(&self.names.security_group())]),
            own => Value::list(own),
        }
    }

    fn profile(&self, machine: &Machine) -> Value {
        let of = |role| Value::reference_created(&self.names.profile(role), "name");
        match (&machine.config.profile, machine.role) {
            (Some(own), _) => own.into(),
            (None, Role::Head) => of("head"),
            (None, Role::Worker) if self.flag("worker_role_for_cloud_storage") != Some(false) => of("worker"),
            (None, Role::Worker) => Value::Unset,
        }
    }

    fn market(&self, machine: &Machine) -> Value {
        let own = machine.config.market.clone();
        let spot = || attrs([("MarketType", "spot".into())]);
        match (machine.role, self.flag("prefer_spot_node")) {
            (Role::Worker, Some(true)) => own.unwrap_or_else(spot).into(),
            (Role::Worker, Some(false)) => Value::Unset,
            _ => own.into(),
        }
    }

    /// The Python tool's, with the user's own over them. Our mark of the scope is nobody's to change.
    fn tags(&self, machine: &Machine) -> Value {
        let role = machine.role.as_str();
        let name = format!("cloudtik-{}-{role}", self.cluster.name);
        let ours = [
            (tags::NAME, name.as_str()),
            ("cloudtik-cluster-name", &self.cluster.name),
            (tags::WORKSPACE, &self.cluster.workspace),
            ("cloudtik-node-kind", role),
            (tags::NODE_TYPE, &machine.kind.name),
        ];
        let own = machine.config.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        names::tags(&self.scope, ours.into_iter().chain(own))
    }

    /// Data disks that outlive their machine, and belong to its number: taken out of what the machine is launched with.
    fn volumes(
        &mut self,
        machine: &Machine,
        instance: &Address,
        attributes: &mut Attrs,
    ) -> Result<Vec<Address>, Box<Diagnostic>> {
        let devices: Vec<String> = machine.config.data_disks().into_iter().cloned().collect();
        let Some(Value::Map(disks)) = attributes.get_mut("disks") else { return Ok(Vec::new()) };
        let taken: Vec<(String, Value)> = devices.iter().filter_map(|device| disks.remove_entry(device)).collect();
        if disks.is_empty() {
            attributes.remove("disks");
        }
        // A volume is of one zone, so its machine is of that zone too.
        let subnet = if machine.role == Role::Head && self.network == Network::Own { "public" } else { "private-1" };
        let subnet = self.names.subnet(subnet);
        if !taken.is_empty() && machine.config.subnets.is_empty() {
            attributes.insert("subnets".into(), Value::List(vec![created(&subnet)]));
        }
        let mut volumes = Vec::new();
        for (at, (device, disk)) in taken.into_iter().enumerate() {
            let name = format!("cloudtik-{}-node-{}-disk-{}", self.cluster.name, machine.number, at + 1);
            let mut volume = attrs([
                ("region", Value::text(&self.region)),
                ("zone", Value::reference_created(&subnet, "zone")),
                ("tags", names::tags(&self.scope, [(tags::NAME, name.as_str())])),
            ]);
            volume.extend(volume_spec(&disk, machine.kind)?);
            let address = self.address("volume", &format!("{}/disk-{}", machine.name, at + 1));
            let lifecycle = Lifecycle { retain: true, prevent_destroy: true, ..Lifecycle::default() };
            let declaration = Declaration::new(address.clone(), &self.aws.name(), volume).lifecycle(lifecycle);
            self.all.insert(address.clone(), declaration.written_at(Some(&machine.kind.origin)));
            volumes.push(self.attachment(machine, instance, &address, &device));
        }
        Ok(volumes)
    }

    /// A resource of its own, so that the volume is built on nothing that goes.
    fn attachment(&mut self, machine: &Machine, instance: &Address, volume: &Address, device: &str) -> Address {
        let attributes = attrs([
            ("region", Value::text(&self.region)),
            ("volume", created(volume)),
            ("instance", created(instance)),
            ("device", device.into()),
        ]);
        let address = self.address("attachment", volume.name());
        let lifecycle = Lifecycle { gone_with: Some(instance.clone()), ..Lifecycle::default() };
        let declaration = Declaration::new(address.clone(), &self.aws.name(), attributes).lifecycle(lifecycle);
        self.all.insert(address.clone(), declaration.written_at(Some(&machine.kind.origin)));
        address
    }

    fn connection(&mut self, machine: &Machine, instance: &Address, volumes: &[Address]) -> Address {
        let connection = self.address("connection", &machine.name);
        let auth = &self.cluster.auth;
        let user = auth.ssh_user.as_deref().unwrap_or(USER);
        let public = machine.role == Role::Head && self.network == Network::Own;
        let key = match &machine.config.key {
            Some(name) => keys::named_file(self.cluster, name, &self.aws.options),
            None => self.login.file.clone(),
        };
        let mut attributes = attrs([
            ("host", Value::reference(instance, if public { "public_ip" } else { "ip" })),
            ("port", auth.ssh_port.unwrap_or(PORT).into()),
            ("user", user.into()),
            ("key", key),
            ("host_keys", Value::reference(instance, "host_keys")),
            ("home", Value::text(home(user))),
        ]);
        match &auth.ssh_proxy_command {
            Some(command) => drop(attributes.insert("proxy_command".into(), command.into())),
            None if machine.role == Role::Worker && self.network == Network::Own => {
                let head = self.address("connection", "head");
                attributes.insert("jump".into(), Value::reference(&head, "connection"));
            }
            None => {}
        }
        let way = if public { "public" } else { "private" };
        let mut declaration = Declaration::new(connection.clone(), &"ssh".into(), attributes)
            .after(&self.names.route(way), Needs::Ready)
            .lifecycle(Lifecycle { gone_with: Some(instance.clone()), ..Lifecycle::default() });
        for volume in volumes {
            declaration = declaration.after(volume, Needs::Ready);
        }
        self.all.insert(connection.clone(), declaration.written_at(Some(&machine.kind.origin)));
        connection
    }

    fn node(&self, machine: &Machine, instance: Address, connection: Address) -> Node {
        let user = self.cluster.auth.ssh_user.as_deref().unwrap_or(USER);
        let ip = Value::reference(&instance, "ip");
        Node {
            role: machine.role,
            node_type: machine.kind.name.clone(),
            index: machine.index,
            host: ip.clone(),
            ip,
            connection: Value::reference(&connection, "connection"),
            cpus: machine.size.0,
            memory_mib: machine.size.1,
            home: Value::text(home(user)),
            shared: None,
            files: Files::Own,
            env: storage::env(self.cluster, &self.region),
            data_disks: machine.config.data_disks().len(),
            instance,
        }
    }
}

fn home(user: &str) -> String {
    if user == "root" { "/root/cloudtik".into() } else { format!("/home/{user}/cloudtik") }
}

/// A disk of `node_config` as an attribute set of `volume`.
fn volume_spec(disk: &Value, kind: &NodeType) -> Result<Attrs, Box<Diagnostic>> {
    let keys = [("VolumeSize", "size"), ("VolumeType", "type"), ("Iops", "iops"), ("Throughput", "throughput")];
    let mut spec = Attrs::new();
    for (key, value) in disk.as_map().into_iter().flatten() {
        match keys.iter().find(|(theirs, _)| theirs == key) {
            Some((_, ours)) => drop(spec.insert((*ours).into(), value.clone())),
            None if key == "DeleteOnTermination" => {}
            None => {
                let problem = Diagnostic::error("unsupported-disk", "a disk that cannot be made permanent");
                let hint = "remove the key, or set `permanent_data_volumes: false`";
                return Err(Box::new(problem.at(&kind.origin).detail(format!("it has `{key}`")).hint(hint)));
            }
        }
    }
    if !spec.contains_key("size") {
        let problem = Diagnostic::error("unsupported-disk", "a disk that cannot be made permanent");
        return Err(Box::new(problem.at(&kind.origin).detail("it has no size").hint("give it a `VolumeSize`")));
    }
    Ok(spec)
}
