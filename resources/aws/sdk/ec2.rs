//! Changes of EC2: one line of the table for each call.

use super::{Sdk, ec2_items as items, item::text, malformed};
use crate::{
    api::{ApiError, Item, Request, Tags, Target},
    repeat::Nature,
    rules::{Rule, Source},
};
use aws_sdk_ec2::{
    primitives::Blob,
    types::{
        AttributeBooleanValue, AttributeValue, IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, Tag,
        TagSpecification, UserIdGroupPair, VpcEndpointType,
    },
};

impl Sdk {
    pub(super) async fn call_ec2(&self, request: Request) -> Result<Item, ApiError> {
        use Request::*;
        let (ec2, action) = (&self.ec2, request.action());
        let done = Ok(Item::default());
        /// Sends the call that `$call` builds; repeated, it is built again.
        macro_rules! send {
            ($call:expr) => {
                self.change(action, || $call.send()).await?
            };
        }
        match request {
            CreateVpc { cidr, tags } => {
                let tags = tagged(ResourceType::Vpc, tags);
                let answer = send!(ec2.create_vpc().cidr_block(&cidr).set_tag_specifications(tags.clone()));
                Ok(answer.vpc().map(items::vpc).unwrap_or_default())
            }
            ModifyVpc { vpc, dns_support, dns_hostnames } => {
                send!(
                    ec2.modify_vpc_attribute()
                        .vpc_id(&vpc)
                        .set_enable_dns_support(dns_support.map(truth))
                        .set_enable_dns_hostnames(dns_hostnames.map(truth))
                );
                done
            }
            DeleteVpc { vpc } => {
                send!(ec2.delete_vpc().vpc_id(&vpc));
                done
            }
            CreateSubnet { vpc, cidr, zone, tags } => {
                let tags = tagged(ResourceType::Subnet, tags);
                let answer = send!(
                    ec2.create_subnet()
                        .vpc_id(&vpc)
                        .cidr_block(&cidr)
                        .set_availability_zone(zone.clone())
                        .set_tag_specifications(tags.clone())
                );
                Ok(answer.subnet().map(items::subnet).unwrap_or_default())
            }
            ModifySubnet { subnet, public } => {
                send!(ec2.modify_subnet_attribute().subnet_id(&subnet).map_public_ip_on_launch(truth(public)));
                done
            }
            DeleteSubnet { subnet } => {
                send!(ec2.delete_subnet().subnet_id(&subnet));
                done
            }
            CreateInternetGateway { tags } => {
                let tags = tagged(ResourceType::InternetGateway, tags);
                let answer = send!(ec2.create_internet_gateway().set_tag_specifications(tags.clone()));
                Ok(answer.internet_gateway().map(items::internet_gateway).unwrap_or_default())
            }
            AttachInternetGateway { gateway, vpc } => {
                send!(ec2.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc));
                done
            }
            DetachInternetGateway { gateway, vpc } => {
                send!(ec2.detach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc));
                done
            }
            DeleteInternetGateway { gateway } => {
                send!(ec2.delete_internet_gateway().internet_gateway_id(&gateway));
                done
            }
            CreateRouteTable { vpc, tags } => {
                let tags = tagged(ResourceType::RouteTable, tags);
                let answer = send!(ec2.create_route_table().vpc_id(&vpc).set_tag_specifications(tags.clone()));
                Ok(answer.route_table().map(items::route_table).unwrap_or_default())
            }
            AssociateRouteTable { table, subnet } => {
                let answer = send!(ec2.associate_route_table().route_table_id(&table).subnet_id(&subnet));
                Ok(only(answer.association_id()))
            }
            DisassociateRouteTable { association } => {
                send!(ec2.disassociate_route_table().association_id(&association));
                done
            }
            DeleteRouteTable { table } => {
                send!(ec2.delete_route_table().route_table_id(&table));
                done
            }
            CreateRoute { table, destination, target } => {
                let (v4, v6, list) = end(&destination);
                let (gateway, nat, peering) = way(&target);
                send!(
                    ec2.create_route()
                        .route_table_id(&table)
                        .set_destination_cidr_block(v4.clone())
                        .set_destination_ipv6_cidr_block(v6.clone())
                        .set_destination_prefix_list_id(list.clone())
                        .set_gateway_id(gateway.clone())
                        .set_nat_gateway_id(nat.clone())
                        .set_vpc_peering_connection_id(peering.clone())
                );
                done
            }
            ReplaceRoute { table, destination, target } => {
                let (v4, v6, list) = end(&destination);
                let (gateway, nat, peering) = way(&target);
                send!(
                    ec2.replace_route()
                        .route_table_id(&table)
                        .set_destination_cidr_block(v4.clone())
                        .set_destination_ipv6_cidr_block(v6.clone())
                        .set_destination_prefix_list_id(list.clone())
                        .set_gateway_id(gateway.clone())
                        .set_nat_gateway_id(nat.clone())
                        .set_vpc_peering_connection_id(peering.clone())
                );
                done
            }
            DeleteRoute { table, destination } => {
                let (v4, v6, list) = end(&destination);
                send!(
                    ec2.delete_route()
                        .route_table_id(&table)
                        .set_destination_cidr_block(v4.clone())
                        .set_destination_ipv6_cidr_block(v6.clone())
                        .set_destination_prefix_list_id(list.clone())
                );
                done
            }
            AllocateAddress { tags } => {
                let tags = tagged(ResourceType::ElasticIp, tags);
                let answer = send!(ec2.allocate_address().domain("vpc".into()).set_tag_specifications(tags.clone()));
                let mut item = only(answer.allocation_id());
                item.fields = super::item::attrs([("ip", text(answer.public_ip()))]);
                Ok(item)
            }
            ReleaseAddress { allocation } => {
                send!(ec2.release_address().allocation_id(&allocation));
                done
            }
            CreateNatGateway { subnet, allocation, token, tags } => {
                let tags = tagged(ResourceType::Natgateway, tags);
                let answer = send!(
                    ec2.create_nat_gateway()
                        .subnet_id(&subnet)
                        .allocation_id(&allocation)
                        .client_token(&token)
                        .set_tag_specifications(tags.clone())
                );
                Ok(answer.nat_gateway().map(items::nat_gateway).unwrap_or_default())
            }
            DeleteNatGateway { gateway } => {
                send!(ec2.delete_nat_gateway().nat_gateway_id(&gateway));
                done
            }
            CreateVpcEndpoint { vpc, service, tables, token, tags } => {
                let tags = tagged(ResourceType::VpcEndpoint, tags);
                let answer = send!(
                    ec2.create_vpc_endpoint()
                        .vpc_endpoint_type(VpcEndpointType::Gateway)
                        .vpc_id(&vpc)
                        .service_name(&service)
                        .set_route_table_ids(Some(tables.clone()))
                        .client_token(&token)
                        .set_tag_specifications(tags.clone())
                );
                Ok(answer.vpc_endpoint().map(items::vpc_endpoint).unwrap_or_default())
            }
            ModifyVpcEndpoint { endpoint, add, remove } => {
                send!(
                    ec2.modify_vpc_endpoint()
                        .vpc_endpoint_id(&endpoint)
                        .set_add_route_table_ids(some(&add))
                        .set_remove_route_table_ids(some(&remove))
                );
                done
            }
            DeleteVpcEndpoint { endpoint } => {
                let answer = send!(ec2.delete_vpc_endpoints().vpc_endpoint_ids(&endpoint));
                refused(action, answer.unsuccessful())
            }
            CreateSecurityGroup { vpc, name, description, tags } => {
                let tags = tagged(ResourceType::SecurityGroup, tags);
                let answer = send!(
                    ec2.create_security_group()
                        .vpc_id(&vpc)
                        .group_name(&name)
                        .description(&description)
                        .set_tag_specifications(tags.clone())
                );
                Ok(only(answer.group_id()))
            }
            AuthorizeIngress { group, rules } => {
                let rules = permissions(action, &rules)?;
                send!(ec2.authorize_security_group_ingress().group_id(&group).set_ip_permissions(Some(rules.clone())));
                done
            }
            RevokeIngress { group, rules } => {
                let rules = permissions(action, &rules)?;
                send!(ec2.revoke_security_group_ingress().group_id(&group).set_ip_permissions(Some(rules.clone())));
                done
            }
            DeleteSecurityGroup { group } => {
                send!(ec2.delete_security_group().group_id(&group));
                done
            }
            CreatePeering { vpc, peer, tags } => {
                let tags = tagged(ResourceType::VpcPeeringConnection, tags);
                let answer = send!(
                    ec2.create_vpc_peering_connection()
                        .vpc_id(&vpc)
                        .peer_vpc_id(&peer)
                        .set_tag_specifications(tags.clone())
                );
                Ok(answer.vpc_peering_connection().map(items::peering).unwrap_or_default())
            }
            AcceptPeering { peering } => {
                send!(ec2.accept_vpc_peering_connection().vpc_peering_connection_id(&peering));
                done
            }
            DeletePeering { peering } => {
                send!(ec2.delete_vpc_peering_connection().vpc_peering_connection_id(&peering));
                done
            }
            ImportKeyPair { name, public, tags } => {
                let tags = tagged(ResourceType::KeyPair, tags);
                let answer = send!(
                    ec2.import_key_pair()
                        .key_name(&name)
                        .public_key_material(Blob::new(public.as_bytes()))
                        .set_tag_specifications(tags.clone())
                );
                let fields = [("name", text(answer.key_name())), ("fingerprint", text(answer.key_fingerprint()))];
                Ok(super::item::item(answer.key_name(), items::pairs(answer.tags()), fields))
            }
            DeleteKeyPair { name } => {
                send!(ec2.delete_key_pair().key_name(&name));
                done
            }
            CreateTags { ids, tags } => {
                let tags = sdk_tags(tags);
                send!(ec2.create_tags().set_resources(Some(ids.clone())).set_tags(Some(tags.clone())));
                done
            }
            DeleteTags { ids, keys } => {
                let tags: Vec<Tag> = keys.iter().map(|key| Tag::builder().key(key).build()).collect();
                send!(ec2.delete_tags().set_resources(Some(ids.clone())).set_tags(Some(tags.clone())));
                done
            }
            TerminateInstances { ids } => {
                let ask = || ec2.terminate_instances().set_instance_ids(Some(ids.clone())).send();
                self.ask(action, Nature::Change(ids.len()), ask).await?;
                done
            }
            StopInstances { ids } => {
                send!(ec2.stop_instances().set_instance_ids(Some(ids.clone())));
                done
            }
            StartInstances { ids } => {
                send!(ec2.start_instances().set_instance_ids(Some(ids.clone())));
                done
            }
            ModifyInstanceGroups { instance, groups } => self.modify_groups(action, &instance, groups).await,
            ModifyInstanceType { instance, kind } => {
                let kind = AttributeValue::builder().value(kind).build();
                send!(ec2.modify_instance_attribute().instance_id(&instance).instance_type(kind.clone()));
                done
            }
            ModifyVolume { volume, size, kind, iops, throughput } => {
                let (size, iops, throughput) = (short(action, size)?, short(action, iops)?, short(action, throughput)?);
                send!(
                    ec2.modify_volume()
                        .volume_id(&volume)
                        .set_size(size)
                        .set_volume_type(kind.as_deref().map(Into::into))
                        .set_iops(iops)
                        .set_throughput(throughput)
                );
                done
            }
            CreateVolume { zone, size, kind, iops, throughput, token, tags } => {
                let tags = tagged(ResourceType::Volume, tags);
                let (size, iops, throughput) =
                    (short(action, Some(size))?, short(action, iops)?, short(action, throughput)?);
                let answer = send!(
                    ec2.create_volume()
                        .availability_zone(&zone)
                        .set_size(size)
                        .set_volume_type(kind.as_deref().map(Into::into))
                        .set_iops(iops)
                        .set_throughput(throughput)
                        .client_token(&token)
                        .set_tag_specifications(tags.clone())
                );
                let fields = [
                    ("state", text(answer.state().map(|s| s.as_str()))),
                    ("size", super::item::int(answer.size())),
                    ("type", text(answer.volume_type().map(|t| t.as_str()))),
                    ("iops", super::item::int(answer.iops())),
                    ("throughput", super::item::int(answer.throughput())),
                    ("zone", text(answer.availability_zone())),
                ];
                Ok(super::item::item(answer.volume_id(), items::pairs(answer.tags()), fields))
            }
            AttachVolume { volume, instance, device } => {
                send!(ec2.attach_volume().volume_id(&volume).instance_id(&instance).device(&device));
                done
            }
            DetachVolume { volume } => {
                send!(ec2.detach_volume().volume_id(&volume));
                done
            }
            DeleteVolume { volume } => {
                send!(ec2.delete_volume().volume_id(&volume));
                done
            }
            GetConsoleOutput { instance } => self.console(&instance).await,
            other => Err(malformed(other.action(), "no call of EC2")),
        }
    }

    /// The groups of the first interface. An instance with several takes them by interface only.
    async fn modify_groups(&self, action: &'static str, instance: &str, groups: Vec<String>) -> Result<Item, ApiError> {
        let ec2 = &self.ec2;
        let ask = || ec2.modify_instance_attribute().instance_id(instance).set_groups(Some(groups.clone())).send();
        let error = match self.change(action, ask).await {
            Ok(_) => return Ok(Item::default()),
            // "There are multiple interfaces attached to instance": the code says nothing of it.
            Err(error) if error.code() == "InvalidInstanceID" => error,
            Err(error) => return Err(error),
        };
        let answer = self.read("DescribeInstances", || ec2.describe_instances().instance_ids(instance).send()).await?;
        let mut interfaces =
            answer.reservations().iter().flat_map(|r| r.instances()).flat_map(|i| i.network_interfaces());
        let first = interfaces.find(|i| i.attachment().and_then(|a| a.device_index()) == Some(0));
        let Some(first) = first.and_then(|i| i.network_interface_id()) else { return Err(error) };
        let ask = || {
            ec2.modify_network_interface_attribute().network_interface_id(first).set_groups(Some(groups.clone())).send()
        };
        self.change("ModifyNetworkInterfaceAttribute", ask).await?;
        Ok(Item::default())
    }

    /// What the console says now; machines of older types keep only what it said at boot.
    async fn console(&self, instance: &str) -> Result<Item, ApiError> {
        let ask = |latest| self.ec2.get_console_output().instance_id(instance).set_latest(latest);
        let answer = match self.read("GetConsoleOutput", || ask(Some(true)).send()).await {
            Err(error) if matches!(error.code(), "UnsupportedOperation" | "InvalidParameterCombination") => {
                self.read("GetConsoleOutput", || ask(None).send()).await?
            }
            other => other?,
        };
        let output = answer.output().unwrap_or_default();
        let output = aws_smithy_types::base64::decode(output)
            .map_err(|_| malformed("GetConsoleOutput", "the output is not in base64"))?;
        let output = String::from_utf8_lossy(&output);
        Ok(super::item::item(Some(instance), Tags::new(), [("output", text(Some(output)))]))
    }
}

fn only(id: Option<&str>) -> Item {
    Item { id: id.unwrap_or_default().into(), ..Item::default() }
}

fn truth(value: bool) -> AttributeBooleanValue {
    AttributeBooleanValue::builder().value(value).build()
}

/// `None` for an empty list: an empty parameter is an error.
fn some(items: &[String]) -> Option<Vec<String>> {
    (!items.is_empty()).then(|| items.to_vec())
}

fn short(action: &str, number: Option<i64>) -> Result<Option<i32>, ApiError> {
    number.map(|n| i32::try_from(n).map_err(|_| malformed(action, format!("{n} is too large")))).transpose()
}

fn sdk_tags(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// `None` without tags: an empty specification is an error.
fn tagged(kind: ResourceType, tags: Tags) -> Option<Vec<TagSpecification>> {
    let specification =
        || TagSpecification::builder().resource_type(kind).set_tags(Some(sdk_tags(tags.clone()))).build();
    (!tags.is_empty()).then(|| vec![specification()])
}

type Three = (Option<String>, Option<String>, Option<String>);

/// A route's destination: a range of IPv4, of IPv6, or a prefix list.
fn end(destination: &str) -> Three {
    let it = || Some(destination.to_owned());
    match destination {
        list if list.starts_with("pl-") => (None, None, it()),
        v6 if v6.contains(':') => (None, it(), None),
        _ => (it(), None, None),
    }
}

fn way(target: &Target) -> Three {
    match target {
        Target::Gateway(id) => (Some(id.clone()), None, None),
        Target::Nat(id) => (None, Some(id.clone()), None),
        Target::Peering(id) => (None, None, Some(id.clone())),
    }
}

fn permissions(action: &str, rules: &[String]) -> Result<Vec<IpPermission>, ApiError> {
    let permission = |text: &String| {
        let rule: Rule = text.parse().map_err(|e| malformed(action, format!("{e}")))?;
        let protocol = if rule.protocol == "all" { "-1" } else { &rule.protocol };
        let base = IpPermission::builder()
            .ip_protocol(protocol)
            .set_from_port(rule.ports.map(|p| p.0))
            .set_to_port(rule.ports.map(|p| p.1));
        Ok(match rule.source {
            Source::V4(range) => base.ip_ranges(IpRange::builder().cidr_ip(range).build()),
            Source::V6(range) => base.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(range).build()),
            Source::Group(id) => base.user_id_group_pairs(UserIdGroupPair::builder().group_id(id).build()),
            Source::PrefixList(id) => base.prefix_list_ids(PrefixListId::builder().prefix_list_id(id).build()),
            Source::Word(word) => return Err(malformed(action, format!("the rule says `{word}`, which is not known"))),
        }
        .build())
    };
    rules.iter().map(permission).collect()
}

/// Calls on many objects succeed as a whole and name those that they refused.
fn refused(action: &str, items: &[aws_sdk_ec2::types::UnsuccessfulItem]) -> Result<Item, ApiError> {
    let Some(error) = items.first().and_then(|item| item.error()) else { return Ok(Item::default()) };
    let code = error.code().unwrap_or_default().into();
    let message = error.message().unwrap_or_default().into();
    let cause = crate::api::Cause::Service { code, message, status: 200 };
    Err(ApiError { action: action.into(), cause, request_id: None })
}
