//! Listings and their filters.

use super::{
    text::fits,
    world::{Refusal, Turn, refuse},
};
use crate::api::{Filter, Item, Listing};
use cloudtik_core::value::Value;

/// A filter's name and the field it looks at: `@` alone for the id, dots into maps and through lists. Fields that begin with
/// `@` are seen by filters only.
type Fields = &'static [(&'static str, &'static str)];

/// Source: EC2 API reference, "Filters" of each Describe action (read 2026-11-25). Filters that AWS has and that are not here
/// are refused as well: nobody used them when this was written.
fn fields(listing: &Listing) -> Fields {
    match listing {
        Listing::Vpcs => &[("vpc-id", "@"), ("cidr", "cidr"), ("is-default", "is_default"), ("state", "state")],
        Listing::Subnets => &[
            ("subnet-id", "@"),
            ("vpc-id", "vpc"),
            ("cidr-block", "cidr"),
            ("availability-zone", "zone"),
            ("map-public-ip-on-launch", "public"),
            ("state", "state"),
        ],
        Listing::InternetGateways => {
            &[("internet-gateway-id", "@"), ("attachment.vpc-id", "vpc"), ("attachment.state", "state")]
        }
        Listing::RouteTables => &[
            ("route-table-id", "@"),
            ("vpc-id", "vpc"),
            ("association.main", "main"),
            ("association.subnet-id", "associations.subnet"),
            ("association.route-table-association-id", "associations.id"),
            ("route.destination-cidr-block", "routes.destination"),
            ("route.destination-prefix-list-id", "routes.prefix_list"),
            ("route.gateway-id", "routes.gateway"),
            ("route.nat-gateway-id", "routes.nat"),
            ("route.vpc-peering-connection-id", "routes.peering"),
            ("route.state", "routes.state"),
        ],
        Listing::Addresses => &[
            ("allocation-id", "@"),
            ("association-id", "association"),
            ("instance-id", "instance"),
            ("network-interface-id", "interface"),
            ("public-ip", "ip"),
        ],
        Listing::NatGateways => {
            &[("nat-gateway-id", "@"), ("vpc-id", "vpc"), ("subnet-id", "subnet"), ("state", "state")]
        }
        Listing::VpcEndpoints => &[
            ("vpc-endpoint-id", "@"),
            ("vpc-id", "vpc"),
            ("service-name", "service"),
            ("vpc-endpoint-state", "state"),
            ("vpc-endpoint-type", "@type"),
        ],
        Listing::SecurityGroups => {
            &[("group-id", "@"), ("vpc-id", "vpc"), ("group-name", "name"), ("description", "description")]
        }
        Listing::Peerings => &[
            ("vpc-peering-connection-id", "@"),
            ("status-code", "state"),
            ("requester-vpc-info.vpc-id", "requester"),
            ("accepter-vpc-info.vpc-id", "accepter"),
            ("requester-vpc-info.cidr-block", "requester_cidr"),
            ("accepter-vpc-info.cidr-block", "accepter_cidr"),
        ],
        Listing::KeyPairs => &[("key-name", "@"), ("key-pair-id", "@pair"), ("fingerprint", "fingerprint")],
        Listing::Images { .. } => &[
            ("image-id", "@"),
            ("name", "name"),
            ("architecture", "architecture"),
            ("state", "state"),
            ("root-device-name", "root_device"),
            ("root-device-type", "@root_type"),
            ("virtualization-type", "@virtualization"),
            ("owner-id", "@owner"),
            ("owner-alias", "@alias"),
            ("image-type", "@type"),
            ("is-public", "@public"),
            ("creation-date", "created"),
        ],
        Listing::Zones => &[
            ("zone-name", "@"),
            ("state", "state"),
            ("zone-type", "@type"),
            ("opt-in-status", "@opted"),
            ("region-name", "@region"),
        ],
        Listing::Instances => &[
            ("instance-id", "@"),
            ("instance-state-name", "state"),
            ("instance-type", "type"),
            ("image-id", "image"),
            ("vpc-id", "vpc"),
            ("subnet-id", "subnet"),
            ("availability-zone", "zone"),
            ("private-ip-address", "private_ip"),
            ("ip-address", "public_ip"),
            ("key-name", "key"),
            ("instance.group-id", "groups"),
            ("client-token", "token"),
            ("launch-index", "launch_index"),
            ("block-device-mapping.volume-id", "volumes.volume"),
            ("architecture", "@architecture"),
            ("instance-lifecycle", "@lifecycle"),
        ],
        Listing::Volumes => &[
            ("volume-id", "@"),
            ("status", "state"),
            ("size", "size"),
            ("volume-type", "type"),
            ("availability-zone", "zone"),
            ("attachment.instance-id", "instance"),
            ("attachment.device", "device"),
        ],
        Listing::LaunchTemplates => &[("launch-template-name", "@name"), ("launch-template-id", "@")],
        Listing::InstanceTypes => &[("instance-type", "@"), ("processor-info.supported-architecture", "architectures")],
        Listing::InstanceProfiles => &[("name", "@"), ("role", "roles")],
        Listing::Roles | Listing::Buckets | Listing::DbSubnetGroups | Listing::Databases => &[("name", "@")],
        Listing::ObjectVersions { .. } | Listing::Uploads { .. } | Listing::Caller => &[],
    }
}

/// The service's call that a listing is.
pub(super) fn action(listing: &Listing) -> &'static str {
    match listing {
        Listing::Vpcs => "DescribeVpcs",
        Listing::Subnets => "DescribeSubnets",
        Listing::InternetGateways => "DescribeInternetGateways",
        Listing::RouteTables => "DescribeRouteTables",
        Listing::Addresses => "DescribeAddresses",
        Listing::NatGateways => "DescribeNatGateways",
        Listing::VpcEndpoints => "DescribeVpcEndpoints",
        Listing::SecurityGroups => "DescribeSecurityGroups",
        Listing::Peerings => "DescribeVpcPeeringConnections",
        Listing::KeyPairs => "DescribeKeyPairs",
        Listing::Images { .. } => "DescribeImages",
        Listing::Zones => "DescribeAvailabilityZones",
        Listing::Instances => "DescribeInstances",
        Listing::Volumes => "DescribeVolumes",
        Listing::LaunchTemplates => "DescribeLaunchTemplates",
        Listing::InstanceTypes => "DescribeInstanceTypes",
        Listing::Roles => "GetRole",
        Listing::InstanceProfiles => "GetInstanceProfile",
        Listing::Buckets => "HeadBucket",
        Listing::ObjectVersions { .. } => "ListObjectVersions",
        Listing::Uploads { .. } => "ListMultipartUploads",
        Listing::DbSubnetGroups => "DescribeDBSubnetGroups",
        Listing::Databases => "DescribeDBInstances",
        Listing::Caller => "GetCallerIdentity",
    }
}

/// Whether the service has tags to filter by here.
fn has_tags(listing: &Listing) -> bool {
    let without = matches!(listing, Listing::Zones | Listing::InstanceTypes);
    !without && action(listing).starts_with("Describe") && !action(listing).starts_with("DescribeDB")
}

fn check(listing: &Listing, filters: &[Filter]) -> Result<(), Refusal> {
    for filter in filters {
        let tag = filter.name == "tag-key" || filter.name.strip_prefix("tag:").is_some_and(|key| !key.is_empty());
        let known = fields(listing).iter().any(|(name, _)| *name == filter.name);
        if !(known || tag && has_tags(listing)) {
            let what = format!("The filter '{}' is invalid", filter.name);
            return Err(refuse("InvalidParameterValue", what));
        }
        if filter.values.is_empty() {
            return Err(refuse("MissingParameter", format!("The filter '{}' has no value", filter.name)));
        }
        // Source: error code FilterLimitExceeded; 200 values (read 2026-11-25).
        if filter.values.len() > 200 {
            let what = "The maximum number of filter values is 200";
            return Err(refuse("FilterLimitExceeded", what));
        }
    }
    // Without a name the service is asked for one thing and cannot know which.
    let by_name =
        matches!(listing, Listing::Roles | Listing::InstanceProfiles | Listing::Buckets | Listing::DbSubnetGroups);
    if by_name && filters.is_empty() {
        return Err(refuse("MissingParameter", "The request must contain a name"));
    }
    Ok(())
}

fn passes(item: &Item, filter: &Filter, fields: Fields) -> bool {
    let matching = |text: &str| filter.values.iter().any(|value| fits(value, text));
    if filter.name == "tag-key" {
        return item.tags.keys().any(|key| matching(key));
    }
    if let Some(key) = filter.name.strip_prefix("tag:") {
        return item.tags.get(key).is_some_and(|value| matching(value));
    }
    let Some((_, field)) = fields.iter().find(|(name, _)| *name == filter.name) else { return false };
    match *field {
        "@" => matching(&item.id),
        path => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            item.fields.get(first).is_some_and(|value| any(value, rest, &matching))
        }
    }
}

/// Whether any scalar under `path` matches.
fn any(value: &Value, path: &str, matching: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| any(item, path, matching)),
        Value::Map(entries) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            entries.get(first).is_some_and(|value| any(value, rest, matching))
        }
        scalar => scalar.scalar_text().is_some_and(|text| matching(&text)),
    }
}

impl Turn<'_> {
    pub fn list(&mut self, listing: &Listing, filters: &[Filter]) -> Result<Vec<Item>, Refusal> {
        check(listing, filters)?;
        let mut items = self.everything(listing, filters)?;
        let fields = fields(listing);
        items.retain(|item| filters.iter().all(|filter| passes(item, filter, fields)));
        let one_vpc = filters.iter().any(|filter| filter.name == "vpc-id" && filter.values.len() == 1);
        for item in &mut items {
            let shown = |name: &str| !name.starts_with('@') && (one_vpc || !name.starts_with("dns_"));
            item.fields.retain(|name, _| shown(name));
        }
        Ok(items)
    }

    fn everything(&mut self, listing: &Listing, filters: &[Filter]) -> Result<Vec<Item>, Refusal> {
        let now = self.now;
        // Names that are asked for one by one.
        let names = filters.iter().filter(|filter| filter.name == "name").flat_map(|filter| &filter.values);
        match listing {
            Listing::ObjectVersions { bucket } => return self.bucket_versions(bucket),
            Listing::Uploads { bucket } => return self.bucket_uploads(bucket),
            Listing::Buckets => {
                let found: Result<Vec<Option<Item>>, Refusal> = names.map(|name| self.bucket_listing(name)).collect();
                return Ok(found?.into_iter().flatten().collect());
            }
            _ => {}
        }
        let region = &*self.region;
        // Objects by the thousand are told apart by id before they are shown.
        let id = fields(listing).iter().find(|(_, field)| *field == "@").map_or("", |(name, _)| *name);
        let ids: Vec<&Filter> = filters.iter().filter(|filter| filter.name == id).collect();
        let wanted = |id: &str| ids.iter().all(|filter| filter.values.iter().any(|value| fits(value, id)));
        macro_rules! shown {
            ($table:expr, $item:ident) => {
                $table.seen(now).filter(|entry| wanted(&entry.id)).map(|entry| self.$item(entry)).collect()
            };
        }
        let mut items: Vec<Item> = match listing {
            Listing::Vpcs => shown!(region.vpcs, vpc_item),
            Listing::Subnets => shown!(region.subnets, subnet_item),
            Listing::InternetGateways => shown!(region.gateways, gateway_item),
            Listing::RouteTables => shown!(region.tables, table_item),
            Listing::Addresses => shown!(region.addresses, address_item),
            Listing::NatGateways => shown!(region.nats, nat_item),
            Listing::VpcEndpoints => shown!(region.endpoints, endpoint_item),
            Listing::SecurityGroups => shown!(region.groups, group_item),
            Listing::Peerings => shown!(region.peerings, peering_item),
            Listing::KeyPairs => shown!(region.keys, key_item),
            Listing::Instances => shown!(region.instances, instance_item),
            Listing::Volumes => shown!(region.volumes, volume_item),
            Listing::LaunchTemplates => shown!(region.templates, template_item),
            Listing::DbSubnetGroups => shown!(region.subnet_groups, subnet_group_item),
            Listing::Databases => shown!(region.databases, database_item),
            Listing::Roles => shown!(self.identity.roles, role_item),
            Listing::InstanceProfiles => shown!(self.identity.profiles, profile_item),
            Listing::Images { owners } => self.image_items(owners),
            Listing::Zones => self.zone_items(),
            Listing::InstanceTypes => self.type_items(),
            Listing::Caller => {
                let arn = format!("arn:aws:iam::{}:user/operator", self.place.account);
                let fields = [("arn".to_owned(), Value::text(arn))].into();
                vec![Item { id: self.place.account.clone(), fields, ..Item::default() }]
            }
            Listing::Buckets | Listing::ObjectVersions { .. } | Listing::Uploads { .. } => Vec::new(),
        };
        let left_out = |item: &Item| match listing {
            Listing::NatGateways | Listing::VpcEndpoints => item.text("state") == "deleted",
            Listing::Peerings => matches!(item.text("state"), "deleted" | "failed" | "expired" | "rejected"),
            _ => false,
        };
        items.retain(|item| !left_out(item));
        Ok(items)
    }
}
