//! A workspace: network, way in, way out, identities, bucket.
//!
//! Names and tags are the Python tool's, so that what it made is found. Needs are *created* wherever a thing can be made
//! while the one before is still coming; only the route through the NAT gateway waits for it to work.

use super::{database, identities, keys, resource, storage};
use crate::{
    config::{self, Network, WorkspaceConfig},
    names::{self, Names},
    provider::Aws,
    tags,
};
use cloudtik_core::{
    address::Address,
    declaration::Declaration,
    diagnostic::Diagnostic,
    document::Workspace,
    origin::Tree,
    value::{Attrs, Needs, Value},
};

/// The Python tool's limits on names: the longest name made of it is an IAM role's and a bucket's.
/// Source: IAM user guide, role names of at most 64 characters; its own limit of 31.
const LONGEST_NAME: usize = 31;

/// The whole network of a workspace that has one of its own, and its parts: the private ones hold 4,091 machines each. The
/// Python tool's hold 251, too few for a large cluster.
const CIDR: &str = "10.0.0.0/16";
const SUBNETS: [(&str, &str, &str); 3] = [
    ("public", "10.0.0.0/24", "first"),
    ("private-1", "10.0.16.0/20", "first"),
    ("private-2", "10.0.32.0/20", "second"),
];

const EVERYWHERE: &str = "0.0.0.0/0";

pub(crate) fn declare(aws: &Aws, workspace: &Workspace) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
    let config = WorkspaceConfig::read(&workspace.provider);
    let name = check_name(workspace);
    let database = database_options(&workspace.provider);
    let (config, database) = match (config, name, database) {
        (Ok(config), None, Ok(database)) => (config, database),
        (config, name, database) => {
            let (config, database) = (config.err().into_iter().flatten(), database.err().into_iter().flatten());
            return Err(config.chain(name).chain(database).collect());
        }
    };
    let mut model = Model { names: Names::of(&workspace.name), workspace, config, all: Vec::new() };
    model.network();
    model.subnets();
    model.ways_out();
    model.security_group();
    model.peering();
    model.key();
    model.storage();
    if let Some(options) = database {
        model.database(aws, &options);
    }
    Ok(model.all)
}

fn database_options(provider: &Tree) -> Result<Option<database::Options>, Vec<Diagnostic>> {
    config::flag(provider, "managed_cloud_database", false).then(|| database::Options::read(provider)).transpose()
}

fn check_name(workspace: &Workspace) -> Option<Diagnostic> {
    let length = workspace.name.chars().count();
    (length > LONGEST_NAME).then(|| {
        Diagnostic::error("workspace-name", "a workspace name too long for AWS")
            .at(&workspace.origin)
            .detail(format!("`{}` has {length} characters; names made of it would be cut", workspace.name))
            .hint(format!("choose a name of at most {LONGEST_NAME} characters"))
    })
}

struct Model<'a> {
    names: Names,
    workspace: &'a Workspace,
    config: WorkspaceConfig,
    all: Vec<Declaration>,
}

impl Model<'_> {
    fn add<const N: usize>(&mut self, address: Address, attributes: [(&str, Value); N]) -> &mut Declaration {
        self.all.push(resource(address, &self.config.account.region, &self.workspace.origin, attributes));
        self.all.last_mut().expect("one was pushed")
    }

    fn working_network(&self) -> Address {
        Address::new(self.names.scope.clone(), "working-network", "main")
    }

    fn vpc(&self) -> Value {
        Value::reference(&self.names.vpc(), "id")
    }

    fn network(&mut self) {
        self.add(self.names.zones(), []);
        let tags = names::tags(
            &self.names.scope,
            [(tags::NAME, self.names.named("vpc").as_str()), ("cloudtik-workspace-version", "1")],
        );
        match self.config.network {
            Network::Own => {
                let cidr = Value::text(CIDR);
                self.vpc_of_its_own(cidr, tags);
            }
            Network::Working => {
                let scope = names::tags(&self.names.scope, []);
                self.add(self.names.vpc(), [("working", true.into()), ("tags", scope)]);
            }
            Network::Peered => {
                self.add(self.working_network(), []);
                let cidr = Value::reference(&self.working_network(), "free_cidr");
                self.vpc_of_its_own(cidr, tags);
            }
        }
    }

    fn vpc_of_its_own(&mut self, cidr: Value, tags: Value) {
        let names = [("dns_support", true.into()), ("dns_hostnames", true.into())];
        let [support, hostnames] = names;
        self.add(self.names.vpc(), [("cidr", cidr), support, hostnames, ("tags", tags)]);
    }

    fn subnets(&mut self) {
        for (slot, (name, cidr, zone)) in SUBNETS.into_iter().enumerate() {
            let public = name == "public";
            let tag = self.names.named(if public { "public-subnet" } else { "private-subnet" });
            let zone = Value::reference(&self.names.zones(), zone);
            let attributes =
                [("vpc", self.vpc()), ("zone", zone), ("public", public.into()), ("tags", self.names.tags(&tag))];
            let fixed = self.config.network == Network::Own;
            let subnet = self.add(self.names.subnet(name), attributes);
            let (key, value) = match fixed {
                true => ("cidr", Value::text(cidr)),
                // Which ranges are free is known when the network is.
                false => ("slot", Value::Int(slot as i64)),
            };
            subnet.attributes.insert(key.into(), value);
        }
    }

    /// Gateways, tables and routes. In somebody else's network its gateway and main table serve the public subnet.
    fn ways_out(&mut self) {
        let own = self.config.network != Network::Working;
        let gateway = self.names.internet_gateway();
        let vpc = self.vpc();
        if own {
            let named =
                [(tags::NAME, self.names.named("internet-gateway")), (tags::WORKSPACE, self.workspace.name.clone())];
            let tags = names::tags(&self.names.scope, named.iter().map(|(k, v)| (*k, v.as_str())));
            self.add(gateway.clone(), [("vpc", vpc.clone()), ("tags", tags)]);
            let tags = self.names.tags(&self.names.named("public-route-table"));
            let main = ("main", true.into());
            self.add(self.names.route_table("public"), [("vpc", vpc.clone()), main, ("tags", tags)]);
            let target = Value::reference(&gateway, "id");
            self.route("public", &self.names.route_table("public"), Value::text(EVERYWHERE), ("gateway", target));
        }
        let private = ["private-1", "private-2"].map(|name| created(&self.names.subnet(name)));
        let tags = self.names.tags(&self.names.named("private-route-table"));
        let subnets = ("subnets", Value::List(private.to_vec()));
        self.add(self.names.route_table("private"), [("vpc", vpc.clone()), subnets, ("tags", tags)]);

        let tags = self.names.tags(&self.names.named("nat-gateway"));
        let address = self.add(self.names.elastic_ip(), [("tags", tags.clone())]);
        if own {
            // An address of a network needs its gateway to exist, and leaves before it.
            address.depends_on.push(cloudtik_core::Dependency { address: gateway.clone(), needs: Needs::Ready });
        }
        let subnet = ("subnet", created(&self.names.subnet("public")));
        let allocation = ("allocation", created(&self.names.elastic_ip()));
        let public_route = self.names.route("public");
        let nat = self.add(self.names.nat_gateway(), [subnet, allocation, ("tags", tags)]);
        if own {
            nat.depends_on.push(cloudtik_core::Dependency { address: public_route, needs: Needs::Ready });
        }
        let target = Value::reference(&self.names.nat_gateway(), "id");
        self.route("private", &self.names.route_table("private"), Value::text(EVERYWHERE), ("nat", target));

        let tables = ["public", "private"].into_iter().filter(|name| own || *name == "private");
        let tables = tables.map(|name| created(&self.names.route_table(name))).collect();
        let service = format!("com.amazonaws.{}.s3", self.config.account.region);
        let tags = self.names.tags(&self.names.named("vpc-endpoint-s3"));
        let attributes = [("vpc", vpc), ("service", service.into()), ("tables", Value::List(tables)), ("tags", tags)];
        self.add(self.names.endpoint(), attributes);
    }

    fn route(&mut self, name: &str, table: &Address, destination: Value, target: (&str, Value)) {
        let tables = Value::List(vec![created(table)]);
        self.add(self.names.route(name), [("tables", tables), ("destination", destination), target]);
    }

    fn security_group(&mut self) {
        let mut rules: Attrs =
            [("all from self", "machines of the workspace"), ("tcp 22 from vpc", "SSH inside the network")]
                .map(|(rule, purpose)| (rule.to_owned(), Value::text(purpose)))
                .into();
        for (rule, purpose) in &self.config.rules {
            rules.entry(rule.to_string()).or_insert_with(|| Value::text(purpose));
        }
        if let Some(ports) = self.config.peer_ports {
            let ports = if ports.0 == ports.1 { ports.0.to_string() } else { format!("{}-{}", ports.0, ports.1) };
            rules.insert(format!("tcp {ports} from peer"), Value::text("the peered network"));
        }
        let name = self.config.group_name.clone().unwrap_or_else(|| format!("cloudtik-{}", self.workspace.name));
        let tags = self.names.tags(&name);
        let peer = match self.config.network {
            Network::Peered => Value::reference(&self.working_network(), "cidr"),
            _ => Value::Unset,
        };
        let attributes = [
            ("vpc", self.vpc()),
            ("vpc_cidr", Value::reference(&self.names.vpc(), "cidr")),
            ("peer_cidr", peer),
            ("name", Value::text(name)),
            // Cannot change without a new group, so nothing that changes is in it.
            ("description", Value::text("Machines of a cloudtik workspace")),
            ("rules", Value::Map(rules)),
            ("tags", tags),
        ];
        self.add(self.names.security_group(), attributes);
    }

    /// For the clusters that bring no key of their own.
    fn key(&mut self) {
        let pair = keys::generated(&self.names, &self.config.account.region);
        self.all.push(pair.written_at(Some(&self.workspace.origin)));
    }

    /// The joint with the working network, and the ways over it in both directions.
    fn peering(&mut self) {
        if self.config.network != Network::Peered {
            return;
        }
        let working = self.working_network();
        let tags = self.names.tags(&self.names.named("vpc-peering-connection"));
        let attributes = [("vpc", Value::reference(&working, "id")), ("peer", self.vpc()), ("tags", tags)];
        self.add(self.names.peering(), attributes);
        let over = ("peering", Value::reference(&self.names.peering(), "id"));
        let tables = ["public", "private"].map(|name| created(&self.names.route_table(name)));
        let there = Value::reference(&working, "cidr");
        let attributes = [("tables", Value::List(tables.to_vec())), ("destination", there), over.clone()];
        self.add(self.names.route("peering-there"), attributes);
        let back = Value::reference(&self.names.vpc(), "cidr");
        let attributes = [("tables", Value::reference(&working, "tables")), ("destination", back), over];
        self.add(self.names.route("peering-back"), attributes);
    }

    fn storage(&mut self) {
        let (region, origin) = (&self.config.account.region, &self.workspace.origin);
        self.all.extend(identities::declare(&self.names, region, origin));
        if self.config.bucket {
            self.all.push(storage::declare(self.names.bucket(), region, storage::OWN, origin));
        }
    }

    fn database(&mut self, aws: &Aws, options: &database::Options) {
        if let Some(password) = &options.password {
            aws.remember_password(&database::address(&self.names.scope), password.clone());
        }
        let (name, group) = (self.names.named("db"), self.names.named("db-subnet-group"));
        let (region, origin) = (&self.config.account.region, &self.workspace.origin);
        self.all.extend(database::declare(&self.names.scope, region, (&name, &group), options, origin));
    }
}

fn created(address: &Address) -> Value {
    Value::reference_created(address, "id")
}
