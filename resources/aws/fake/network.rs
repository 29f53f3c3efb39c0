//! VPCs, subnets, internet gateways.

use super::world::{Answer, Course, Entry, Refusal, Thing, Time, Turn, refuse};
use crate::api::{Item, Reply, Tags};
use cloudtik_core::{cidr::Cidr, value::Value};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Vpc {
    pub cidr: Cidr,
    pub course: Course,
    pub is_default: bool,
    pub dns_support: bool,
    pub dns_hostnames: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Subnet {
    pub vpc: String,
    pub cidr: Cidr,
    pub zone: String,
    pub course: Course,
    pub public: bool,
}

#[derive(Clone, Debug)]
pub(super) struct InternetGateway {
    pub vpc: Option<String>,
}

impl Thing for Vpc {
    const ABSENT: &'static str = "InvalidVpcID.NotFound";
    const WHAT: &'static str = "vpc";
}

impl Thing for Subnet {
    const ABSENT: &'static str = "InvalidSubnetID.NotFound";
    const WHAT: &'static str = "subnet";
}

impl Thing for InternetGateway {
    const ABSENT: &'static str = "InvalidInternetGatewayID.NotFound";
    const WHAT: &'static str = "internetGateway";
}

/// An item of `entry` with the given fields; unset ones are left out.
pub(super) fn item<T, const N: usize>(entry: &Entry<T>, fields: [(&str, Value); N]) -> Item {
    let fields = fields.into_iter().filter(|(_, value)| !matches!(value, Value::Unset));
    Item { id: entry.id.clone(), tags: entry.tags.clone(), fields: fields.map(|(k, v)| (k.into(), v)).collect() }
}

pub(super) fn reply(item: Item) -> Answer {
    Ok(Reply { item, items: Vec::new() })
}

/// An answer that says no more than an id.
pub(super) fn only(id: impl Into<String>) -> Answer {
    reply(Item { id: id.into(), ..Item::default() })
}

pub(super) const NOTHING: Answer = Ok(Reply {
    item: Item { id: String::new(), tags: Tags::new(), fields: cloudtik_core::value::Attrs::new() },
    items: Vec::new(),
});

/// A range in canonical form, as AWS makes of every range with host bits.
/// Source: EC2 API reference, CreateVpc and CreateSubnet, `CidrBlock` (read 2026-11-25).
pub(super) fn range(text: &str) -> Result<Cidr, Refusal> {
    let valid = text.contains('/').then(|| text.parse::<Cidr>().ok()).flatten();
    let invalid = || format!("Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block.");
    valid.ok_or_else(|| refuse("InvalidParameterValue", invalid()))
}

impl Turn<'_> {
    pub fn vpc_item(&self, vpc: &Entry<Vpc>) -> Item {
        item(
            vpc,
            [
                ("cidr", vpc.cidr.to_string().into()),
                ("state", vpc.course.at(self.now).into()),
                ("is_default", vpc.is_default.into()),
                ("dns_support", vpc.dns_support.into()),
                ("dns_hostnames", vpc.dns_hostnames.into()),
            ],
        )
    }

    pub fn subnet_item(&self, subnet: &Entry<Subnet>) -> Item {
        item(
            subnet,
            [
                ("vpc", subnet.vpc.as_str().into()),
                ("cidr", subnet.cidr.to_string().into()),
                ("zone", subnet.zone.as_str().into()),
                ("state", subnet.course.at(self.now).into()),
                ("public", subnet.public.into()),
            ],
        )
    }

    pub fn gateway_item(&self, gateway: &Entry<InternetGateway>) -> Item {
        let attached = gateway.vpc.as_ref().map(|_| "available");
        item(gateway, [("vpc", gateway.vpc.clone().into()), ("state", attached.into())])
    }

    /// A /16 to a /28; at most five in a region.
    /// Source: EC2 API reference, CreateVpc; VPC user guide, "Amazon VPC quotas" (read 2026-11-25).
    pub fn create_vpc(&mut self, cidr: &str, tags: Tags) -> Answer {
        let cidr = range(cidr)?;
        if !(16..=28).contains(&cidr.prefix) {
            return Err(refuse("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid.")));
        }
        if self.region.vpcs.all(self.now).count() >= self.settings.quotas.vpcs {
            return Err(refuse("VpcLimitExceeded", "The maximum number of VPCs has been reached."));
        }
        let id = self.new_vpc(cidr, tags, false, self.seen());
        self.vpc_answer(&id)
    }

    fn vpc_answer(&self, id: &str) -> Answer {
        let mut item = self.region.vpcs.peek(id).map(|vpc| self.vpc_item(vpc)).unwrap_or_default();
        item.fields.retain(|name, _| !name.starts_with("dns_"));
        reply(item)
    }

    /// With its main route table and default security group.
    pub fn new_vpc(&mut self, cidr: Cidr, tags: Tags, is_default: bool, seen: Time) -> String {
        let id = self.ids.next("vpc");
        let course = Course::new(self.now, "pending", &[(Duration::from_millis(500), "available")]);
        let vpc = Vpc { cidr, course, is_default, dns_support: true, dns_hostnames: is_default };
        self.region.vpcs.put(id.clone(), tags, seen, vpc);
        self.new_table(&id, Tags::new(), true, seen);
        self.new_group(&id, "default", "default VPC security group", Tags::new(), seen);
        id
    }

    /// Source: EC2 API reference, ModifyVpcAttribute: "you can't modify the attributes in the same request" (read
    /// 2026-11-25).
    pub fn modify_vpc(&mut self, vpc: &str, dns_support: Option<bool>, dns_hostnames: Option<bool>) -> Answer {
        let now = self.now;
        let vpc = self.region.vpcs.get_mut(vpc, now)?;
        match (dns_support, dns_hostnames) {
            (Some(_), Some(_)) => {
                return Err(refuse(
                    "InvalidParameterCombination",
                    "Fields for multiple attribute types specified: dnsSupport, dnsHostnames",
                ));
            }
            (None, None) => return Err(refuse("MissingParameter", "No attributes specified.")),
            (Some(on), None) => vpc.dns_support = on,
            (None, Some(on)) if on && !vpc.dns_support => {
                return Err(refuse("InvalidParameterCombination", "DNS hostnames need DNS support"));
            }
            (None, Some(on)) => vpc.dns_hostnames = on,
        }
        NOTHING
    }

    /// Source: EC2 API reference, DeleteVpc: everything but the default group, network ACL and main table must be gone
    /// first (read 2026-11-25).
    pub fn delete_vpc(&mut self, id: &str) -> Answer {
        let now = self.now;
        self.region.vpcs.get(id, now)?;
        let region = &*self.region;
        let used = region.subnets.all(now).any(|s| s.vpc == id)
            || region.gateways.all(now).any(|g| g.vpc.as_deref() == Some(id))
            || region.tables.all(now).any(|t| t.vpc == id && !t.main)
            || region.groups.all(now).any(|g| g.vpc == id && g.name != "default")
            || region.endpoints.all(now).any(|e| e.vpc == id && e.course.at(now) != "deleted")
            || region.nats.all(now).any(|n| n.vpc == id && n.holds(now))
            || region.peerings.all(now).any(|p| p.is_open(now) && (p.requester == id || p.accepter == id));
        if used {
            let what = format!("The vpc '{id}' has dependencies and cannot be deleted.");
            return Err(refuse("DependencyViolation", what));
        }
        let tables: Vec<String> = region.tables.all(now).filter(|t| t.vpc == id).map(|t| t.id.clone()).collect();
        let groups: Vec<String> = region.groups.all(now).filter(|g| g.vpc == id).map(|g| g.id.clone()).collect();
        tables.iter().for_each(|table| self.region.tables.remove(table));
        groups.iter().for_each(|group| self.region.groups.remove(group));
        self.region.vpcs.remove(id);
        NOTHING
    }

    /// Source: EC2 API reference, CreateSubnet (read 2026-11-25): a part of the VPC's range, a /16 to a /28, apart from
    /// every other.
    pub fn create_subnet(&mut self, vpc: &str, cidr: &str, zone: Option<String>, tags: Tags) -> Answer {
        let now = self.now;
        let cidr = range(cidr)?;
        let network = self.region.vpcs.get(vpc, now)?.cidr;
        let inside = network.prefix <= cidr.prefix && network.contains(cidr.base);
        if !inside || !(16..=28).contains(&cidr.prefix) {
            return Err(refuse("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid.")));
        }
        let zones = self.zone_names();
        let zone = match zone {
            None => zones.first().cloned().unwrap_or_default(),
            Some(zone) if zones.contains(&zone) => zone,
            Some(zone) => {
                let what = format!(
                    "Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in \
                     the following availability zones: {}.",
                    zones.join(", ")
                );
                return Err(refuse("InvalidParameterValue", what));
            }
        };
        let siblings: Vec<Cidr> = self.region.subnets.all(now).filter(|s| s.vpc == vpc).map(|s| s.cidr).collect();
        if siblings.iter().any(|other| other.overlaps(&cidr)) {
            let what = format!("The CIDR '{cidr}' conflicts with another subnet");
            return Err(refuse("InvalidSubnet.Conflict", what));
        }
        if siblings.len() >= self.settings.quotas.subnets {
            return Err(refuse("SubnetLimitExceeded", "The maximum number of subnets has been reached."));
        }
        let id = self.new_subnet(vpc, cidr, &zone, tags, self.seen());
        reply(self.region.subnets.peek(&id).map(|subnet| self.subnet_item(subnet)).unwrap_or_default())
    }

    pub fn new_subnet(&mut self, vpc: &str, cidr: Cidr, zone: &str, tags: Tags, seen: Time) -> String {
        let id = self.ids.next("subnet");
        let course = Course::new(self.now, "pending", &[(Duration::from_millis(500), "available")]);
        let subnet = Subnet { vpc: vpc.into(), cidr, zone: zone.into(), course, public: false };
        self.region.subnets.put(id.clone(), tags, seen, subnet);
        id
    }

    pub fn modify_subnet(&mut self, id: &str, public: bool) -> Answer {
        self.region.subnets.get_mut(id, self.now)?.public = public;
        NOTHING
    }

    /// Source: EC2 API reference, DeleteSubnet: "You must terminate all running instances in the subnet before you can
    /// delete the subnet"; every network interface in it counts (read 2026-11-25). Its association goes with it.
    pub fn delete_subnet(&mut self, id: &str) -> Answer {
        let now = self.now;
        self.region.subnets.get(id, now)?;
        if self.interfaces(id) > 0 {
            let what = format!("The subnet '{id}' has dependencies and cannot be deleted.");
            return Err(refuse("DependencyViolation", what));
        }
        self.region.tables.iter_mut().for_each(|table| table.associations.retain(|(_, subnet)| subnet != id));
        self.region.subnets.remove(id);
        NOTHING
    }

    /// How many network interfaces are in a subnet: of instances, NAT gateways and databases.
    pub fn interfaces(&self, subnet: &str) -> usize {
        let now = self.now;
        let region = &*self.region;
        region.instances.all(now).filter(|i| i.subnet == subnet && i.course.at(now) != "terminated").count()
            + region.nats.all(now).filter(|n| n.subnet == subnet && n.holds(now)).count()
            + region.databases.all(now).filter(|d| self.database_subnets(d).contains(&subnet.to_owned())).count()
    }

    /// Addresses for instances: all but the first four and the last.
    pub fn free_addresses(&self, subnet: &Entry<Subnet>) -> usize {
        let all = 1usize << (32 - u32::from(subnet.cidr.prefix));
        all.saturating_sub(5 + self.interfaces(&subnet.id))
    }

    pub fn create_internet_gateway(&mut self, tags: Tags) -> Answer {
        if self.region.gateways.all(self.now).count() >= self.settings.quotas.vpcs {
            return Err(refuse(
                "InternetGatewayLimitExceeded",
                "The maximum number of internet gateways has been reached.",
            ));
        }
        let (id, seen) = (self.ids.next("igw"), self.seen());
        let gateway = self.region.gateways.put(id, tags, seen, InternetGateway { vpc: None }).clone();
        reply(self.gateway_item(&gateway))
    }

    /// One gateway a VPC, one VPC a gateway.
    /// Source: VPC user guide, "Amazon VPC quotas", "Internet gateways per Region" (read 2026-11-25).
    pub fn attach_internet_gateway(&mut self, id: &str, vpc: &str) -> Answer {
        let now = self.now;
        let attached = self.region.gateways.get(id, now)?.vpc.clone();
        self.region.vpcs.get(vpc, now)?;
        if let Some(attached) = attached {
            let what = format!("resource {id} is already attached to network {attached}");
            return Err(refuse("Resource.AlreadyAssociated", what));
        }
        if self.region.gateways.all(now).any(|g| g.vpc.as_deref() == Some(vpc)) {
            let what = format!("Network {vpc} already has an internet gateway attached");
            return Err(refuse("InvalidParameterValue", what));
        }
        self.region.gateways.get_mut(id, now)?.vpc = Some(vpc.into());
        NOTHING
    }

    /// Source: EC2 API reference, DetachInternetGateway: no running instances with public addresses; a NAT gateway's
    /// address counts (read 2026-11-25).
    pub fn detach_internet_gateway(&mut self, id: &str, vpc: &str) -> Answer {
        let now = self.now;
        if self.region.gateways.get(id, now)?.vpc.as_deref() != Some(vpc) {
            let what = format!("resource {id} is not attached to network {vpc}");
            return Err(refuse("Gateway.NotAttached", what));
        }
        let region = &*self.region;
        let mapped = region.instances.all(now).any(|i| i.vpc == vpc && i.public_ip(now).is_some())
            || region.nats.all(now).any(|n| n.vpc == vpc && n.holds(now));
        if mapped {
            let what = format!(
                "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before \
                 detaching the gateway."
            );
            return Err(refuse("DependencyViolation", what));
        }
        self.region.gateways.get_mut(id, now)?.vpc = None;
        NOTHING
    }

    pub fn delete_internet_gateway(&mut self, id: &str) -> Answer {
        if self.region.gateways.get(id, self.now)?.vpc.is_some() {
            let what = format!("The internetGateway '{id}' has dependencies and cannot be deleted.");
            return Err(refuse("DependencyViolation", what));
        }
        self.region.gateways.remove(id);
        NOTHING
    }

    /// The network that every account has in every region, as old as the account.
    pub fn default_vpc(&mut self) {
        let now = self.now;
        self.now = Time::ZERO;
        let network = Cidr::new([172, 31, 0, 0].into(), 16);
        let vpc = self.new_vpc(network, Tags::new(), true, Time::ZERO);
        for (index, zone) in (0..).zip(self.zone_names()) {
            let Some(cidr) = network.part(20, index) else { break };
            let subnet = self.new_subnet(&vpc, cidr, &zone, Tags::new(), Time::ZERO);
            if let Some(subnet) = self.region.subnets.peek_mut(&subnet) {
                subnet.public = true;
            }
        }
        let gateway = self.ids.next("igw");
        self.region.gateways.put(gateway.clone(), Tags::new(), Time::ZERO, InternetGateway { vpc: Some(vpc.clone()) });
        for table in self.region.tables.iter_mut().filter(|table| table.vpc == vpc) {
            table.routes.insert("0.0.0.0/0".into(), super::routes::Way::Gateway(gateway.clone()));
        }
        self.now = now;
    }
}
