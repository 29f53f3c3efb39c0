//! Listings of EC2, and how its answers are read.

use super::{
    Sdk,
    item::{flag, int, item, map, shown, text, texts},
    malformed,
};
use crate::{
    api::{ApiError, Filter, Item, Listing, Tags},
    rules::{Rule, Source},
};
use aws_sdk_ec2::types::{
    Address, Filter as Ec2Filter, Image, Instance, InternetGateway, IpPermission, KeyPairInfo, NatGateway, RouteTable,
    SecurityGroup, Subnet, Tag, Volume, Vpc, VpcAttributeName, VpcEndpoint, VpcPeeringConnection,
};
use cloudtik_core::value::Value;
use std::collections::BTreeMap;

impl Sdk {
    pub(super) async fn list_ec2(&self, listing: &Listing, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        let (ec2, all) = (&self.ec2, sdk_filters(filters));
        /// Every page of a paged call, and the items of the answers' `$items`.
        macro_rules! paged {
            ($action:literal, $call:expr, $most:literal, $items:ident, $item:expr) => {{
                let most = self.page($most);
                let ask = |from| $call.max_results(most).set_next_token(from).send();
                let pages = self.pages($action, |page| page.next_token(), ask).await?;
                pages.iter().flat_map(|page| page.$items()).filter_map($item).collect::<Vec<_>>()
            }};
        }
        /// The same for calls that answer everything at once.
        macro_rules! whole {
            ($action:literal, $call:expr, $items:ident, $item:expr) => {
                self.read($action, || $call.send()).await?.$items().iter().map($item).collect::<Vec<_>>()
            };
        }
        Ok(match listing {
            Listing::Vpcs => {
                let call = || ec2.describe_vpcs().set_filters(all.clone());
                let mut vpcs: Vec<Item> = paged!("DescribeVpcs", call(), 1000, vpcs, |v| Some(vpc(v)));
                let by_id = filters.iter().any(|f| f.name == "vpc-id" && f.values.len() == 1);
                if let ([vpc], true) = (vpcs.as_mut_slice(), by_id) {
                    self.dns(vpc).await?;
                }
                vpcs
            }
            Listing::Subnets => {
                let call = || ec2.describe_subnets().set_filters(all.clone());
                paged!("DescribeSubnets", call(), 1000, subnets, |s| Some(subnet(s)))
            }
            Listing::InternetGateways => {
                let call = || ec2.describe_internet_gateways().set_filters(all.clone());
                paged!("DescribeInternetGateways", call(), 1000, internet_gateways, |g| Some(internet_gateway(g)))
            }
            Listing::RouteTables => {
                let call = || ec2.describe_route_tables().set_filters(all.clone());
                paged!("DescribeRouteTables", call(), 100, route_tables, |t| Some(route_table(t)))
            }
            Listing::Addresses => {
                whole!("DescribeAddresses", ec2.describe_addresses().set_filters(all.clone()), addresses, address)
            }
            Listing::NatGateways => {
                let call = || ec2.describe_nat_gateways().set_filter(all.clone());
                paged!("DescribeNatGateways", call(), 1000, nat_gateways, |n| is_there(nat_gateway(n)))
            }
            Listing::VpcEndpoints => {
                let call = || ec2.describe_vpc_endpoints().set_filters(all.clone());
                paged!("DescribeVpcEndpoints", call(), 1000, vpc_endpoints, |e| is_there(vpc_endpoint(e)))
            }
            Listing::SecurityGroups => {
                let call = || ec2.describe_security_groups().set_filters(all.clone());
                paged!("DescribeSecurityGroups", call(), 1000, security_groups, |g| Some(security_group(g)))
            }
            Listing::Peerings => {
                let call = || ec2.describe_vpc_peering_connections().set_filters(all.clone());
                let item = |p| is_peering(peering(p));
                paged!("DescribeVpcPeeringConnections", call(), 1000, vpc_peering_connections, item)
            }
            Listing::KeyPairs => {
                let call = || ec2.describe_key_pairs().include_public_key(true).set_filters(all.clone());
                whole!("DescribeKeyPairs", call(), key_pairs, key_pair)
            }
            Listing::Images { owners } => {
                let call = || ec2.describe_images().set_owners(Some(owners.clone())).set_filters(all.clone());
                paged!("DescribeImages", call(), 1000, images, |i| Some(image(i)))
            }
            Listing::Zones => {
                let call = || ec2.describe_availability_zones().set_filters(all.clone());
                whole!("DescribeAvailabilityZones", call(), availability_zones, |zone| {
                    let state = text(zone.state().map(|s| s.as_str()));
                    item(zone.zone_name(), Tags::new(), [("state", state), ("id", text(zone.zone_id()))])
                })
            }
            Listing::Instances => {
                let most = self.page(1000);
                let ask = |from| {
                    let call = ec2.describe_instances().set_filters(all.clone());
                    call.max_results(most).set_next_token(from).send()
                };
                let pages = self.pages("DescribeInstances", |page| page.next_token(), ask).await?;
                let reservations = pages.iter().flat_map(|page| page.reservations());
                reservations.flat_map(|r| r.instances()).map(instance).collect()
            }
            Listing::Volumes => {
                let call = || ec2.describe_volumes().set_filters(all.clone());
                let mut volumes = paged!("DescribeVolumes", call(), 500, volumes, |v| Some(volume(v)));
                self.modifications(&mut volumes).await?;
                volumes
            }
            Listing::LaunchTemplates => self.launch_templates(all).await?,
            Listing::InstanceTypes => {
                let call = || ec2.describe_instance_types().set_filters(all.clone());
                paged!("DescribeInstanceTypes", call(), 100, instance_types, |t| Some(instance_type(t)))
            }
            other => return Err(malformed("Describe", format!("{other:?} is no listing of EC2"))),
        })
    }

    async fn dns(&self, vpc: &mut Item) -> Result<(), ApiError> {
        let id = vpc.id.clone();
        let ask = |name: VpcAttributeName| {
            let call = self.ec2.describe_vpc_attribute().vpc_id(&id).attribute(name);
            async move { self.read("DescribeVpcAttribute", || call.clone().send()).await }
        };
        let (support, hostnames) = futures::future::try_join(
            ask(VpcAttributeName::EnableDnsSupport),
            ask(VpcAttributeName::EnableDnsHostnames),
        )
        .await?;
        let support = support.enable_dns_support().and_then(|v| v.value());
        let hostnames = hostnames.enable_dns_hostnames().and_then(|v| v.value());
        vpc.fields.extend(super::item::attrs([("dns_support", flag(support)), ("dns_hostnames", flag(hostnames))]));
        Ok(())
    }

    /// The state of the last modification, of those that were ever modified.
    async fn modifications(&self, volumes: &mut [Item]) -> Result<(), ApiError> {
        let mut states = BTreeMap::new();
        // As many values as one filter takes.
        for some in volumes.chunks(200) {
            let all = sdk_filters(&[Filter::new("volume-id", some.iter().map(|v| v.id.as_str()))]);
            let ask = |from| {
                let call = self.ec2.describe_volumes_modifications().set_filters(all.clone());
                call.max_results(self.page(500)).set_next_token(from).send()
            };
            for page in self.pages("DescribeVolumesModifications", |page| page.next_token(), ask).await? {
                for last in page.volumes_modifications() {
                    let state = text(last.modification_state().map(|s| s.as_str()));
                    states.insert(last.volume_id().unwrap_or_default().to_owned(), state);
                }
            }
        }
        for volume in volumes {
            if let Some(state) = states.remove(&volume.id) {
                volume.fields.insert("modification".into(), state);
            }
        }
        Ok(())
    }
}

pub(super) fn sdk_filters(filters: &[Filter]) -> Option<Vec<Ec2Filter>> {
    let filter = |f: &Filter| Ec2Filter::builder().name(&f.name).set_values(Some(f.values.clone())).build();
    (!filters.is_empty()).then(|| filters.iter().map(filter).collect())
}

pub(super) fn pairs(tags: &[Tag]) -> Tags {
    super::item::tags(tags.iter().map(|tag| (tag.key(), tag.value())))
}

/// What is gone is shown for an hour; a peering that came to nothing, too.
fn is_there(item: Item) -> Option<Item> {
    (item.text("state") != "deleted").then_some(item)
}

fn is_peering(item: Item) -> Option<Item> {
    (!matches!(item.text("state"), "deleted" | "failed" | "expired" | "rejected")).then_some(item)
}

pub(super) fn vpc(vpc: &Vpc) -> Item {
    let fields = [
        ("cidr", text(vpc.cidr_block())),
        ("state", text(vpc.state().map(|s| s.as_str()))),
        ("is_default", flag(vpc.is_default())),
    ];
    item(vpc.vpc_id(), pairs(vpc.tags()), fields)
}

pub(super) fn subnet(subnet: &Subnet) -> Item {
    let fields = [
        ("vpc", text(subnet.vpc_id())),
        ("cidr", text(subnet.cidr_block())),
        ("zone", text(subnet.availability_zone())),
        ("state", text(subnet.state().map(|s| s.as_str()))),
        ("public", flag(subnet.map_public_ip_on_launch())),
    ];
    item(subnet.subnet_id(), pairs(subnet.tags()), fields)
}

pub(super) fn internet_gateway(gateway: &InternetGateway) -> Item {
    let attached = gateway.attachments().first();
    let fields = [
        ("vpc", text(attached.and_then(|a| a.vpc_id()))),
        ("state", text(attached.and_then(|a| a.state()).map(|s| s.as_str()))),
    ];
    item(gateway.internet_gateway_id(), pairs(gateway.tags()), fields)
}

pub(super) fn route_table(table: &RouteTable) -> Item {
    let joined = table.associations();
    let associations = joined
        .iter()
        .filter(|a| a.subnet_id().is_some())
        .map(|a| map([("id", text(a.route_table_association_id())), ("subnet", text(a.subnet_id()))]));
    let routes = table.routes().iter().map(|route| {
        let destination = route.destination_cidr_block().or(route.destination_ipv6_cidr_block());
        map([
            ("destination", text(destination.or(route.destination_prefix_list_id()))),
            ("gateway", text(route.gateway_id())),
            ("nat", text(route.nat_gateway_id())),
            ("peering", text(route.vpc_peering_connection_id())),
            ("prefix_list", text(route.destination_prefix_list_id())),
            ("state", text(route.state().map(|s| s.as_str()))),
        ])
    });
    let fields = [
        ("vpc", text(table.vpc_id())),
        ("main", Value::Bool(joined.iter().any(|a| a.main() == Some(true)))),
        ("associations", Value::List(associations.collect())),
        ("routes", Value::List(routes.collect())),
    ];
    item(table.route_table_id(), pairs(table.tags()), fields)
}

fn address(address: &Address) -> Item {
    let fields = [
        ("ip", text(address.public_ip())),
        ("association", text(address.association_id())),
        ("instance", text(address.instance_id())),
        ("interface", text(address.network_interface_id())),
    ];
    item(address.allocation_id(), pairs(address.tags()), fields)
}

pub(super) fn nat_gateway(gateway: &NatGateway) -> Item {
    let address = gateway.nat_gateway_addresses().first();
    let failure = gateway.failure_message().or(gateway.failure_code());
    let fields = [
        ("vpc", text(gateway.vpc_id())),
        ("subnet", text(gateway.subnet_id())),
        ("state", text(gateway.state().map(|s| s.as_str()))),
        ("allocation", text(address.and_then(|a| a.allocation_id()))),
        ("ip", text(address.and_then(|a| a.public_ip()))),
        ("failure", text(failure)),
    ];
    item(gateway.nat_gateway_id(), pairs(gateway.tags()), fields)
}

pub(super) fn vpc_endpoint(endpoint: &VpcEndpoint) -> Item {
    let fields = [
        ("vpc", text(endpoint.vpc_id())),
        ("service", text(endpoint.service_name())),
        // The service writes `available` and documents `Available`.
        ("state", text(endpoint.state().map(|s| s.as_str().to_lowercase()))),
        ("tables", texts(endpoint.route_table_ids())),
    ];
    item(endpoint.vpc_endpoint_id(), pairs(endpoint.tags()), fields)
}

fn security_group(group: &SecurityGroup) -> Item {
    let rules = group.ip_permissions().iter().flat_map(rules);
    let fields = [
        ("vpc", text(group.vpc_id())),
        ("name", text(group.group_name())),
        ("description", text(group.description())),
        ("ingress", texts(rules.map(|rule| rule.to_string()))),
    ];
    item(group.group_id(), pairs(group.tags()), fields)
}

/// The service gathers the sources of equal ports; here a rule has one.
fn rules(permission: &IpPermission) -> Vec<Rule> {
    let protocol = permission.ip_protocol().unwrap_or("-1");
    let sources = (permission.ip_ranges().iter().filter_map(|r| r.cidr_ip()).map(|r| Source::V4(r.into())))
        .chain(permission.ipv6_ranges().iter().filter_map(|r| r.cidr_ipv6()).map(|r| Source::V6(r.into())))
        .chain(permission.user_id_group_pairs().iter().filter_map(|g| g.group_id()).map(|g| Source::Group(g.into())))
        .chain(
            permission
                .prefix_list_ids()
                .iter()
                .filter_map(|l| l.prefix_list_id())
                .map(|l| Source::PrefixList(l.into())),
        );
    let ports = permission.from_port().zip(permission.to_port()).filter(|_| protocol != "-1");
    let protocol = if protocol == "-1" { "all" } else { protocol };
    sources.map(|source| Rule { protocol: protocol.into(), ports, source }).collect()
}

pub(super) fn peering(peering: &VpcPeeringConnection) -> Item {
    let (ours, theirs) = (peering.requester_vpc_info(), peering.accepter_vpc_info());
    let fields = [
        ("state", text(peering.status().and_then(|s| s.code()).map(|c| c.as_str()))),
        ("requester", text(ours.and_then(|v| v.vpc_id()))),
        ("requester_cidr", text(ours.and_then(|v| v.cidr_block()))),
        ("accepter", text(theirs.and_then(|v| v.vpc_id()))),
        ("accepter_cidr", text(theirs.and_then(|v| v.cidr_block()))),
    ];
    item(peering.vpc_peering_connection_id(), pairs(peering.tags()), fields)
}

fn key_pair(pair: &KeyPairInfo) -> Item {
    let fields = [
        ("name", text(pair.key_name())),
        ("fingerprint", text(pair.key_fingerprint())),
        ("public", text(pair.public_key().map(str::trim_end))),
    ];
    item(pair.key_name(), pairs(pair.tags()), fields)
}

fn image(image: &Image) -> Item {
    let fields = [
        ("name", text(image.name())),
        ("created", text(image.creation_date())),
        ("state", text(image.state().map(|s| s.as_str()))),
        ("architecture", text(image.architecture().map(|a| a.as_str()))),
        ("root_device", text(image.root_device_name())),
    ];
    item(image.image_id(), pairs(image.tags()), fields)
}

pub(super) fn instance(instance: &Instance) -> Item {
    let profile =
        instance.iam_instance_profile().and_then(|p| p.arn()).map(|arn| arn.rsplit('/').next().unwrap_or(arn));
    let volumes = instance.block_device_mappings().iter().map(|mapping| {
        map([("device", text(mapping.device_name())), ("volume", text(mapping.ebs().and_then(|e| e.volume_id())))])
    });
    let reason = instance.state_reason().and_then(|r| r.message());
    let fields = [
        ("type", text(instance.instance_type().map(|t| t.as_str()))),
        ("image", text(instance.image_id())),
        ("state", text(instance.state().and_then(|s| s.name()).map(|n| n.as_str()))),
        ("vpc", text(instance.vpc_id())),
        ("subnet", text(instance.subnet_id())),
        ("zone", text(instance.placement().and_then(|p| p.availability_zone()))),
        ("private_ip", text(instance.private_ip_address())),
        ("public_ip", text(instance.public_ip_address())),
        ("key", text(instance.key_name())),
        ("profile", text(profile)),
        ("groups", texts(instance.security_groups().iter().filter_map(|g| g.group_id()))),
        ("token", text(instance.client_token())),
        ("launch_index", int(instance.ami_launch_index())),
        ("launched", shown(instance.launch_time())),
        ("spot", Value::Bool(instance.instance_lifecycle().is_some_and(|l| l.as_str() == "spot"))),
        ("state_reason", text(reason)),
        ("volumes", Value::List(volumes.collect())),
    ];
    item(instance.instance_id(), pairs(instance.tags()), fields)
}

fn volume(volume: &Volume) -> Item {
    let attached = volume.attachments().first();
    let fields = [
        ("state", text(volume.state().map(|s| s.as_str()))),
        ("size", int(volume.size())),
        ("type", text(volume.volume_type().map(|t| t.as_str()))),
        ("iops", int(volume.iops())),
        ("throughput", int(volume.throughput())),
        ("zone", text(volume.availability_zone())),
        ("instance", text(attached.and_then(|a| a.instance_id()))),
        ("device", text(attached.and_then(|a| a.device()))),
    ];
    item(volume.volume_id(), pairs(volume.tags()), fields)
}

fn instance_type(kind: &aws_sdk_ec2::types::InstanceTypeInfo) -> Item {
    let gpus = kind.gpu_info().map(|info| info.gpus()).unwrap_or_default();
    let count: i32 = gpus.iter().filter_map(|gpu| gpu.count()).sum();
    let architectures = kind.processor_info().map(|p| p.supported_architectures()).unwrap_or_default();
    let fields = [
        ("cpus", int(kind.v_cpu_info().and_then(|c| c.default_v_cpus()))),
        ("memory_mib", int(kind.memory_info().and_then(|m| m.size_in_mib()))),
        ("gpus", int((count > 0).then_some(count))),
        ("gpu_name", text(gpus.first().and_then(|gpu| gpu.name()))),
        ("architectures", texts(architectures.iter().map(|a| a.as_str()))),
    ];
    item(kind.instance_type().map(|t| t.as_str()), Tags::new(), fields)
}
