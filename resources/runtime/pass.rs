//! One runtime on the nodes that select it: artifacts once for nodes that see this machine's files, else on each node; then
//! files and services node by node, the head first.

use crate::{
    catalog::Entry,
    compile::{Compiled, defect, on_node, placed},
    facts::{self, Shared, Size},
    kinds::installation,
    launch::Launcher,
    manifest::{Argument, File, Role, Service},
    provider,
    render::{self, Facts, RenderError, Renderer, Tokens, fact},
    settings,
};
use cloudtik_core::{
    Address, Declaration, Diagnostic, Needs, Origin, Scope, Value,
    document::{Cluster, NodeType, RuntimeSelection},
    node::{self, Endpoint, Node},
};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet, btree_map};

/// One runtime on all nodes that select it.
pub(crate) struct Pass<'a> {
    scope: &'a Scope,
    entry: &'a Entry,
    origin: &'a Origin,
    version: String,
    renderer: Renderer,
    tokens: Tokens,
    members: Vec<Member<'a>>,
    /// What all nodes' templates see.
    facts: Facts,
    /// The services declared so far, and by name the first of them.
    services: BTreeSet<Address>,
    first: BTreeMap<String, Address>,
    part: Compiled,
}

type Settings = Map<String, Json>;
type Sizes = Map<String, Json>;

struct Member<'a> {
    node: &'a Node,
    selection: &'a RuntimeSelection,
    settings: Settings,
    sizes: Sizes,
}

impl<'a> Pass<'a> {
    pub fn new(
        cluster: &'a Cluster,
        nodes: &'a [Node],
        scope: &'a Scope,
        entry: &'a Entry,
        origin: &'a Origin,
    ) -> Result<Self, Vec<Diagnostic>> {
        let manifest = &entry.manifest;
        let renderer = Renderer::default();
        let base = render::facts(&facts::cluster(cluster));
        let mut facts = base.clone();
        let whole = settings::read(manifest, &cluster.runtime, &renderer, &base)?;
        let mut part = Compiled { warnings: whole.warnings, ..Compiled::default() };
        let mut chosen: Vec<(&Node, &NodeType)> = nodes
            .iter()
            .filter_map(|n| Some((n, node_type(cluster, n)?)))
            .filter(|(_, t)| t.runtime.types.iter().any(|(name, _)| *name == manifest.name))
            .collect();
        chosen.sort_by(|(a, _), (b, _)| (a.role, &a.instance).cmp(&(b.role, &b.instance)));
        let worker_count = chosen.iter().filter(|(n, _)| n.role == node::Role::Worker).count();
        let shared = Shared { manifest, renderer: &renderer, worker_count };
        let mut members = Vec::new();
        let mut problems = Vec::new();
        // Nodes of one type and size have the same settings and sizes.
        let mut known: BTreeMap<(&str, u32, u64), (Settings, Sizes)> = BTreeMap::new();
        for (node, node_type) in chosen {
            let key = (node_type.name.as_str(), node.cpus, node.memory_mib);
            let (settings, sizes) = match known.entry(key) {
                btree_map::Entry::Occupied(found) => found.into_mut(),
                btree_map::Entry::Vacant(slot) => {
                    let own = settings::read(manifest, &node_type.runtime, &renderer, &base)?;
                    part.warnings.extend(own.warnings);
                    let size = Size { role: node.role, cpus: node.cpus, memory_mib: node.memory_mib };
                    let misfit = shared.check(size, &own.values, &node.node_type, Some(&node_type.origin));
                    problems.extend(misfit.map_err(|e| vec![defect(&e)])?);
                    let sizes = shared.sizes(size, &own.values).map_err(|e| vec![defect(&e)])?;
                    slot.insert((own.values, sizes))
                }
            }
            .clone();
            members.push(Member { node, selection: &node_type.runtime, settings, sizes });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut tokens = Tokens::default();
        facts.insert("settings".into(), fact(&whole.values));
        facts.insert("version".into(), fact(&whole.version));
        facts.insert("worker_count".into(), fact(worker_count));
        if let Some(head) = nodes.iter().find(|n| n.role == node::Role::Head) {
            facts.insert("shared".into(), fact(tokens.hide(&facts::shared_folder(head))));
        }
        let seen = |m: &Member<'_>, tokens: &mut Tokens| facts::node(m.node, &m.sizes, tokens);
        let workers = members.iter().filter(|m| m.node.role == node::Role::Worker);
        let workers: Vec<Json> = workers.map(|m| seen(m, &mut tokens)).collect();
        if let Some(head) = members.iter().find(|m| m.node.role == node::Role::Head) {
            facts.insert("head".into(), fact(seen(head, &mut tokens)));
        }
        facts.insert("workers".into(), fact(workers));
        if !members.is_empty() {
            let sizes = shared.cluster_sizes(&facts).map_err(|e| vec![defect(&e)])?;
            facts.insert("size".into(), fact(sizes));
        }
        let version = whole.version;
        let (services, first) = (BTreeSet::new(), BTreeMap::new());
        Ok(Pass { scope, entry, origin, version, renderer, tokens, members, facts, services, first, part })
    }

    /// `before`: per instance, what must have run on the node before its services start.
    pub fn run(&mut self, before: &BTreeMap<Address, Vec<Address>>) -> Result<Compiled, Vec<Diagnostic>> {
        if self.members.is_empty() {
            return Ok(std::mem::take(&mut self.part));
        }
        let own = |m: &Member<'_>| m.node.files == node::Files::Own;
        let mut shared = None;
        if !self.members.iter().all(own) {
            shared = Some(self.artifacts(None));
        }
        let mut problems = Vec::new();
        for member in std::mem::take(&mut self.members) {
            let mut facts = self.facts.clone();
            facts.insert("node".into(), fact(facts::node(member.node, &member.sizes, &mut self.tokens)));
            facts.insert("settings".into(), fact(&member.settings));
            let held = match &shared {
                Some(held) if !own(&member) => held.clone(),
                _ => self.artifacts(Some(member.node)),
            };
            facts.extend(held);
            let before = before.get(&member.node.instance).map(Vec::as_slice).unwrap_or_default();
            if let Err(error) = self.node(&member, &facts, before) {
                problems.push(defect(&error).at(self.origin));
            }
        }
        if problems.is_empty() { Ok(std::mem::take(&mut self.part)) } else { Err(problems) }
    }

    /// Declares the artifacts on this machine, or on a node of its own files. Returns what templates see of them.
    fn artifacts(&mut self, node: Option<&Node>) -> Facts {
        let (mut homes, mut libraries) = (Map::new(), Map::new());
        for artifact in &self.entry.manifest.versions[&self.version] {
            let json = serde_json::to_value(artifact).expect("an artifact is always JSON");
            let attributes = Value::from(json).as_map().cloned().unwrap_or_default();
            let declaration = match node {
                None => {
                    let address = Address::new(self.scope.clone(), "artifact", &artifact.name);
                    Declaration::new(address, &provider::name(), attributes).written_at(Some(self.origin))
                }
                Some(node) => {
                    let address = on_node(self.scope, "installation", node, &artifact.name);
                    let place =
                        [("connection", node.connection.clone()), ("folder", installation::folder(node, artifact))];
                    let mut declaration = placed(address, node, place, self.origin);
                    declaration.attributes.extend(attributes);
                    declaration
                }
            };
            let output = |name: &str| Value::reference(&declaration.address, name);
            homes.insert(artifact.name.clone(), self.tokens.hide(&output("path")));
            libraries.insert(artifact.name.clone(), self.tokens.hide(&output("libraries")));
            self.part.declarations.push(declaration);
        }
        Facts::from([("artifact".into(), fact(homes)), ("libraries".into(), fact(libraries))])
    }

    fn node(&mut self, member: &Member<'_>, facts: &Facts, before: &[Address]) -> Result<(), RenderError> {
        let roles = &self.entry.manifest.roles;
        let role = match member.node.role {
            node::Role::Head => &roles.head,
            node::Role::Worker => &roles.worker,
        };
        let parts: [&Role; 2] = [&roles.all, role];
        for file in parts.iter().flat_map(|r| &r.files) {
            if self.applies(file.when.as_deref(), facts)? {
                self.file(member.node, file, facts)?;
            }
        }
        let env = self.env(member, facts)?;
        for service in parts.iter().flat_map(|r| &r.services) {
            if self.applies(service.when.as_deref(), facts)? {
                self.service(member.node, service, &env, facts, before)?;
            }
        }
        for endpoint in parts.iter().flat_map(|r| &r.endpoints) {
            let service = on_node(self.scope, "service", member.node, &endpoint.service);
            if self.services.contains(&service) {
                self.part.endpoints.push(Endpoint {
                    name: endpoint.name.clone(),
                    node: member.node.instance.clone(),
                    port: endpoint.port,
                    protocol: endpoint.protocol.clone(),
                    service,
                });
            }
        }
        if member.node.role == node::Role::Head {
            for launcher in &self.entry.manifest.launchers {
                let mut own = env.clone();
                own.extend(self.texts(&launcher.env, facts)?);
                let prefix = self.arguments(&launcher.command, facts)?;
                self.part.launchers.push(Launcher { extensions: launcher.extensions.clone(), prefix, env: own });
            }
            self.part.env = env.clone();
        }
        self.part.envs.insert(member.node.instance.clone(), env);
        Ok(())
    }

    fn file(&mut self, node: &Node, file: &File, facts: &Facts) -> Result<(), RenderError> {
        let name = file.template.as_ref().unwrap_or(&file.name);
        let template = self.entry.templates.get(name).ok_or_else(|| RenderError {
            what: format!("runtime {}", self.entry.manifest.name),
            message: format!("its folder has no `{name}`"),
        })?;
        let content = self.tokens.reveal(&self.renderer.text(name, template, facts)?);
        let attributes = [
            ("connection", node.connection.clone()),
            ("path", self.in_home(node, &file.path, facts)?),
            ("content", content),
            ("mode", Value::text(&file.mode)),
        ];
        let address = on_node(self.scope, "file", node, &file.name);
        self.part.declarations.push(placed(address, node, attributes, self.origin));
        Ok(())
    }

    fn service(
        &mut self,
        node: &Node,
        service: &Service,
        env: &BTreeMap<String, Value>,
        facts: &Facts,
        before: &[Address],
    ) -> Result<(), RenderError> {
        let mut own = env.clone();
        own.extend(self.texts(&service.env, facts)?);
        let digest =
            |file: &String| (file.clone(), Value::reference(&on_node(self.scope, "file", node, file), "digest"));
        let folders = service.folders.iter().map(|f| self.text("a folder", f, facts)).collect::<Result<Vec<_>, _>>()?;
        let mut probes = Map::new();
        probes.insert("ready".into(), json(&service.ready));
        if let Some(alive) = &service.alive {
            probes.insert("alive".into(), json(alive));
        }
        let home = |path: String| Value::concat([node.home.clone(), Value::text(path)]);
        let attributes = [
            ("connection", node.connection.clone()),
            ("run", home(format!("/run/{}", service.name))),
            ("log", home(format!("/log/{}.log", service.name))),
            ("dir", self.in_home(node, service.dir.as_deref().unwrap_or("."), facts)?),
            ("folders", Value::List(folders)),
            ("command", Value::List(self.arguments(&service.command, facts)?)),
            ("env", Value::Map(own.into_iter().collect())),
            ("ports", Value::list(service.ports.iter().copied())),
            ("probe", self.inside(&Json::Object(probes), facts)?),
            ("stop", Value::from(json(&service.stop))),
            ("start_seconds", Value::from(service.start_seconds)),
            ("config", Value::Map(service.reads.iter().map(digest).collect())),
        ];
        let address = on_node(self.scope, "service", node, &service.name);
        let mut declaration = placed(address, node, attributes, self.origin);
        if let Some(drain) = &service.drain {
            declaration.attributes.insert("drain".into(), Value::from(json(drain)));
            declaration.lifecycle.drain = true;
        }
        for name in &service.after {
            if let Some(other) = self.service_address(node, name) {
                declaration = declaration.after(&other, Needs::Ready);
            }
        }
        for earlier in before {
            declaration = declaration.after(earlier, Needs::Ready);
        }
        self.first.entry(service.name.clone()).or_insert_with(|| declaration.address.clone());
        self.services.insert(declaration.address.clone());
        self.part.declarations.push(declaration);
        Ok(())
    }

    /// A service of the same node, else of the head; `None` when neither has it now.
    fn service_address(&self, node: &Node, name: &str) -> Option<Address> {
        let own = on_node(self.scope, "service", node, name);
        if self.services.contains(&own) { Some(own) } else { self.first.get(name).cloned() }
    }

    /// What services of a node get: the manifest's, then the document's, which win.
    fn env(&self, member: &Member<'_>, facts: &Facts) -> Result<BTreeMap<String, Value>, RenderError> {
        let mut env = self.texts(&self.entry.manifest.env, facts)?;
        env.extend(member.selection.envs.iter().map(|(k, v)| (k.clone(), Value::text(v))));
        Ok(env)
    }

    fn applies(&self, when: Option<&str>, facts: &Facts) -> Result<bool, RenderError> {
        let Some(when) = when else { return Ok(true) };
        Ok(self.renderer.eval("when", when, facts)? == Json::Bool(true))
    }

    fn text(&self, what: &str, template: &str, facts: &Facts) -> Result<Value, RenderError> {
        let what = format!("runtime {}, {what}", self.entry.manifest.name);
        Ok(self.tokens.reveal(&self.renderer.text(&what, template, facts)?))
    }

    fn texts(&self, map: &BTreeMap<String, String>, facts: &Facts) -> Result<BTreeMap<String, Value>, RenderError> {
        map.iter().map(|(key, value)| Ok((key.clone(), self.text(key, value, facts)?))).collect()
    }

    fn arguments(&self, arguments: &[Argument], facts: &Facts) -> Result<Vec<Value>, RenderError> {
        let mut values = Vec::new();
        for argument in arguments {
            match argument {
                Argument::One(template) => values.push(self.text("a command", template, facts)?),
                Argument::Each { each } => match self.renderer.eval("each", each, facts)? {
                    Json::Array(items) => {
                        values.extend(items.iter().map(|i| self.tokens.reveal(i.as_str().unwrap_or(&i.to_string()))));
                    }
                    other => {
                        let message = format!("`{each}` is {other}, not a list");
                        return Err(RenderError { what: "each".into(), message });
                    }
                },
            }
        }
        Ok(values)
    }

    /// The templates inside a value, rendered.
    fn inside(&self, json: &Json, facts: &Facts) -> Result<Value, RenderError> {
        Ok(match json {
            Json::String(template) => self.text("a probe", template, facts)?,
            Json::Array(items) => Value::List(items.iter().map(|i| self.inside(i, facts)).collect::<Result<_, _>>()?),
            Json::Object(map) => {
                let entries = map.iter().map(|(k, v)| Ok((k.clone(), self.inside(v, facts)?)));
                Value::Map(entries.collect::<Result<_, RenderError>>()?)
            }
            other => Value::from(other.clone()),
        })
    }

    fn in_home(&self, node: &Node, path: &str, facts: &Facts) -> Result<Value, RenderError> {
        let path = self.text("a path", path, facts)?;
        Ok(Value::concat([node.home.clone(), Value::text("/"), path]))
    }
}

fn json<T: serde::Serialize>(value: &T) -> Json {
    serde_json::to_value(value).expect("manifest types are always JSON")
}

fn node_type<'a>(cluster: &'a Cluster, node: &Node) -> Option<&'a NodeType> {
    std::iter::once(&cluster.head).chain(&cluster.workers).find(|t| t.name == node.node_type)
}
