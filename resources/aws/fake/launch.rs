//! RunInstances: everything that is checked before an instance exists.

use super::{
    groups::Group,
    instances::Instance,
    network::Subnet,
    text,
    volumes::Volume,
    world::{Answer, Course, Entry, Refusal, Turn, refuse, seconds},
};
use crate::api::{Reply, Tags};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// Parameters of the call but those that are arguments of their own.
/// Source: EC2 API reference, RunInstances (read 2026-11-25).
const PARAMETERS: &[&str] = &[
    "AdditionalInfo",
    "BlockDeviceMappings",
    "CapacityReservationSpecification",
    "CpuOptions",
    "CreditSpecification",
    "DisableApiStop",
    "DisableApiTermination",
    "EbsOptimized",
    "EnablePrimaryIpv6",
    "EnclaveOptions",
    "HibernationOptions",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "InstanceType",
    "Ipv6AddressCount",
    "Ipv6Addresses",
    "KernelId",
    "KeyName",
    "LaunchTemplate",
    "LicenseSpecifications",
    "MaintenanceOptions",
    "MetadataOptions",
    "Monitoring",
    "NetworkInterfaces",
    "NetworkPerformanceOptions",
    "Placement",
    "PrivateDnsNameOptions",
    "PrivateIpAddress",
    "RamdiskId",
    "SecurityGroupIds",
    "SecurityGroups",
    "SubnetId",
    "TagSpecifications",
    "UserData",
];

fn invalid(message: impl Into<String>) -> Refusal {
    refuse("InvalidParameterValue", message)
}

fn string<'a>(from: &'a Json, name: &str) -> &'a str {
    from[name].as_str().unwrap_or_default()
}

fn strings(from: &Json, name: &str) -> Vec<String> {
    from[name].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(String::from)).collect()
}

/// What a request comes to once its parts are checked.
struct Plan {
    kind: String,
    cpus: usize,
    image: String,
    root: String,
    subnet: Entry<Subnet>,
    public: bool,
    groups: Vec<String>,
    key: Option<String>,
    profile: Option<String>,
    spot: bool,
    protected: bool,
    private: Option<String>,
    disks: Vec<(String, Json)>,
    tags: Tags,
    volume_tags: Tags,
}

impl Turn<'_> {
    /// As many as there is room for, between `least` and `count`; with fewer than `least`, none.
    /// Source: EC2 API reference, RunInstances, MinCount and MaxCount (read 2026-11-25).
    pub fn run(&mut self, config: &Json, least: usize, count: usize, token: &str) -> Answer {
        let arguments = format!("{config} {least} {count}");
        if let Some(ids) = self.remembered("RunInstances", token, &arguments)? {
            return Ok(self.launched(&ids));
        }
        if least == 0 || least > count {
            return Err(invalid(format!("Invalid value '{count}' for instanceCount.")));
        }
        let config = self.with_template(config)?;
        let plan = self.check(&config)?;
        let free = self.free_addresses(&plan.subnet);
        if free < count {
            let what = format!(
                "There are not enough free addresses in subnet '{}' to satisfy the requested number of instances.",
                plan.subnet.id
            );
            return Err(refuse("InsufficientFreeAddressesInSubnet", what));
        }
        let count = count.min(self.room(&plan, least)?);
        let stillborn = self.stillborn();
        let addresses = match &plan.private {
            Some(_) if count > 1 => return Err(invalid("One private address serves one instance")),
            Some(address) => vec![address.clone()],
            None => self.next_addresses(&plan.subnet, count),
        };
        let launch = |(index, private)| self.launch(&plan, index, private, token, stillborn);
        let ids: Vec<String> = addresses.into_iter().enumerate().map(launch).collect();
        self.remember("RunInstances", token, arguments, ids.clone());
        Ok(self.launched(&ids))
    }

    fn launched(&self, ids: &[String]) -> Reply {
        let found = ids.iter().filter_map(|id| self.region.instances.peek(id));
        Reply { items: found.map(|instance| self.instance_item(instance)).collect(), ..Reply::default() }
    }

    /// A launch template's data under the request's own parameters.
    /// Source: EC2 API reference, RunInstances, LaunchTemplate: parameters of the request win (read 2026-11-25).
    fn with_template(&self, config: &Json) -> Result<Json, Refusal> {
        let Some(parameters) = config.as_object() else {
            return Err(invalid("The request is no structure"));
        };
        if let Some(unknown) = parameters.keys().find(|name| !PARAMETERS.contains(&name.as_str())) {
            return Err(refuse("UnknownParameter", format!("The parameter {unknown} is not recognized")));
        }
        let Some(template) = parameters.get("LaunchTemplate") else { return Ok(config.clone()) };
        let (id, name) = (string(template, "LaunchTemplateId"), string(template, "LaunchTemplateName"));
        if id.is_empty() == name.is_empty() {
            return Err(refuse("InvalidParameterCombination", "Either the template's id or its name"));
        }
        let data = self.template(id, name)?.data.as_object().cloned().unwrap_or_default();
        let merged: Map<String, Json> = data.into_iter().chain(parameters.clone()).collect();
        Ok(Json::Object(merged))
    }

    fn check(&self, config: &Json) -> Result<Plan, Refusal> {
        let now = self.now;
        let image = self.image(string(config, "ImageId"))?;
        let kind = self.known_type(match string(config, "InstanceType") {
            "" => "m1.small",
            kind => kind,
        })?;
        if kind.architecture != image.architecture {
            let what = format!(
                "The architecture '{}' of the specified instance type does not match the architecture '{}' of the \
                 specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.",
                kind.architecture, image.architecture
            );
            return Err(invalid(what));
        }
        let interface = &config["NetworkInterfaces"][0];
        let (subnet, groups) = if interface.is_null() {
            (string(config, "SubnetId"), strings(config, "SecurityGroupIds"))
        } else {
            let both = |what| {
                let what =
                    format!("Network interfaces and an instance-level {what} may not be specified on the same request");
                refuse("InvalidParameterCombination", what)
            };
            if !config["SubnetId"].is_null() {
                return Err(both("subnet ID"));
            }
            if !config["SecurityGroupIds"].is_null() || !config["SecurityGroups"].is_null() {
                return Err(both("security groups"));
            }
            if interface["DeviceIndex"].as_i64() != Some(0) {
                return Err(invalid("Network interfaces must include one with device index 0"));
            }
            (string(interface, "SubnetId"), strings(interface, "Groups"))
        };
        let subnet = match subnet {
            "" => {
                let zone = string(&config["Placement"], "AvailabilityZone");
                let own = |s: &&Entry<Subnet>| {
                    let vpc = self.region.vpcs.peek(&s.vpc);
                    vpc.is_some_and(|vpc| vpc.is_default) && (zone.is_empty() || s.zone == zone)
                };
                let none = || refuse("VPCIdNotSpecified", "No default VPC for this user");
                self.region.subnets.seen(now).find(own).ok_or_else(none)?
            }
            subnet => self.region.subnets.get(subnet, now)?,
        };
        let groups = match groups {
            none if none.is_empty() => {
                let default = |g: &&Entry<Group>| g.vpc == subnet.vpc && g.name == "default";
                self.region.groups.all(now).find(default).map(|g| g.id.clone()).into_iter().collect()
            }
            groups => groups,
        };
        self.groups_of(&subnet.vpc, &groups)?;
        let key = config["KeyName"].as_str().map(String::from);
        if let Some(key) = &key
            && self.region.keys.get(key, now).is_err()
        {
            return Err(refuse("InvalidKeyPair.NotFound", format!("The key pair '{key}' does not exist")));
        }
        user_data(string(config, "UserData"))?;
        let public = interface["AssociatePublicIpAddress"].as_bool().unwrap_or(subnet.public);
        let private = [config, interface].map(|from| string(from, "PrivateIpAddress")).concat();
        let private = Some(private).filter(|address| !address.is_empty());
        if let Some(address) = &private {
            self.private_address(subnet, address)?;
        }
        let (tags, volume_tags) = tags(config)?;
        Ok(Plan {
            cpus: usize::try_from(kind.cpus).unwrap_or(usize::MAX),
            kind: kind.name.into(),
            root: image.root_device().into(),
            public,
            groups,
            key,
            profile: self.usable_profile(&config["IamInstanceProfile"])?,
            spot: string(&config["InstanceMarketOptions"], "MarketType") == "spot",
            protected: config["DisableApiTermination"].as_bool() == Some(true),
            private,
            disks: disks(config, image.root_device())?,
            tags,
            volume_tags,
            subnet: subnet.clone(),
            image: image.id(&self.place.region),
        })
    }

    /// Groups that exist in the VPC.
    pub fn groups_of(&self, vpc: &str, groups: &[String]) -> Result<(), Refusal> {
        if groups.is_empty() {
            return Err(refuse("MissingParameter", "The request must contain a security group"));
        }
        for id in groups {
            if self.region.groups.get(id, self.now)?.vpc != vpc {
                let what = format!("Security group {id} and subnet belong to different networks.");
                return Err(refuse("InvalidParameter", what));
            }
        }
        Ok(())
    }

    /// A profile takes some seconds until EC2 knows it.
    /// Source: EC2 user guide, "Troubleshoot IAM roles": "It can take several seconds" (read 2026-11-25).
    fn usable_profile(&self, asked: &Json) -> Result<Option<String>, Refusal> {
        let (what, value, name) = match (string(asked, "Name"), string(asked, "Arn")) {
            ("", "") => return Ok(None),
            (name, "") => ("name", name, name),
            ("", arn) => ("arn", arn, arn.rsplit('/').next().unwrap_or_default()),
            _ => {
                return Err(refuse("InvalidParameterCombination", "The profile's name and ARN exclude each other"));
            }
        };
        let lag = self.settings.profile_lag;
        let profile = self.identity.profiles.get(name, self.now).ok();
        let Some(profile) = profile.filter(|p| p.made + lag <= self.now && (what == "name" || p.arn == value)) else {
            let what = format!(
                "Value ({value}) for parameter iamInstanceProfile.{what} is invalid. Invalid IAM Instance Profile {what}"
            );
            return Err(invalid(what));
        };
        if profile.roles.is_empty() {
            let what = format!("IAM Instance Profile \"{}\" has no associated IAM Roles", profile.arn);
            return Err(invalid(what));
        }
        Ok(Some(name.into()))
    }

    /// How many there is room for: by vCPUs and by what the zone has.
    /// Source: EC2 user guide, "EC2 instance type quotas"; error codes, InsufficientInstanceCapacity among the server
    /// errors (read 2026-11-25).
    fn room(&self, plan: &Plan, least: usize) -> Result<usize, Refusal> {
        let now = self.now;
        let runs = |i: &&Entry<Instance>| i.spot == plan.spot && matches!(i.course.at(now), "pending" | "running");
        let cpus = |i: &Entry<Instance>| self.instance_type(&i.kind).map_or(0, |kind| kind.cpus);
        let used: i64 = self.region.instances.all(now).filter(runs).map(cpus).sum();
        let quotas = &self.settings.quotas;
        let quota = if plan.spot { quotas.spot_cpus } else { quotas.cpus };
        let by_quota = quota.saturating_sub(usize::try_from(used).unwrap_or(usize::MAX)) / plan.cpus.max(1);
        if by_quota < least {
            return Err(if plan.spot {
                refuse("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
            } else {
                let what = format!(
                    "You have requested more vCPU capacity than your current vCPU limit of {quota} allows for the instance bucket that the specified instance type belongs to."
                );
                refuse("VcpuLimitExceeded", what)
            });
        }
        let place = (plan.kind.clone(), plan.subnet.zone.clone(), plan.spot);
        let spare = self.capacity.get(&place).copied().unwrap_or(usize::MAX);
        if spare < least {
            let what = format!(
                "We currently do not have sufficient {} capacity in the Availability Zone you requested ({}). Our \
                 system will be working on provisioning additional capacity.",
                plan.kind, plan.subnet.zone
            );
            return Err(refuse("InsufficientInstanceCapacity", what).status(500));
        }
        Ok(by_quota.min(spare))
    }

    fn private_address(&self, subnet: &Entry<Subnet>, address: &str) -> Result<(), Refusal> {
        let ip = address.parse::<std::net::Ipv4Addr>().map_err(|_| invalid(format!("Invalid address {address}")))?;
        let last = subnet.cidr.base.to_bits() | (u32::MAX >> subnet.cidr.prefix);
        let offset = ip.to_bits().wrapping_sub(subnet.cidr.base.to_bits());
        if !subnet.cidr.contains(ip) || offset < 4 || ip.to_bits() == last {
            return Err(invalid(format!("Address {address} does not fall within the subnet's address range")));
        }
        if self.taken(&subnet.id, address) {
            let what = format!("Address {address} is in use.");
            return Err(refuse("InvalidIPAddress.InUse", what));
        }
        Ok(())
    }

    fn taken(&self, subnet: &str, address: &str) -> bool {
        let now = self.now;
        self.region
            .instances
            .all(now)
            .any(|i| i.subnet == subnet && i.private == address && i.course.at(now) != "terminated")
    }

    fn launch(&mut self, plan: &Plan, index: usize, private: String, token: &str, stillborn: bool) -> String {
        let now = self.now;
        let id = self.ids.next("i");
        let times = self.settings.times.clone();
        let course = if stillborn {
            Course::new(now, "pending", &[(seconds(4), "terminated")])
        } else {
            Course::new(now, "pending", &[(times.boot, "running")])
        };
        let place = (plan.kind.clone(), plan.subnet.zone.clone(), plan.spot);
        if let Some(left) = self.capacity.get_mut(&place) {
            *left = left.saturating_sub(1);
        }
        let disks = plan.disks.iter().filter(|_| !stillborn).map(|(device, ebs)| {
            let volume = self.ids.next("vol");
            let until = ebs["DeleteOnTermination"].as_bool().unwrap_or(*device == plan.root);
            let disk = Volume::of_launch(&id, device, &plan.subnet.zone, ebs, until, now, times.boot);
            self.region.volumes.put(volume.clone(), plan.volume_tags.clone(), now + self.settings.lag, disk);
            (device.clone(), volume)
        });
        let volumes: Vec<_> = disks.collect();
        let instance = Instance {
            kind: plan.kind.clone(),
            image: plan.image.clone(),
            vpc: plan.subnet.vpc.clone(),
            subnet: plan.subnet.id.clone(),
            zone: plan.subnet.zone.clone(),
            private,
            public: plan.public.then(|| self.public_address()),
            key: plan.key.clone(),
            profile: plan.profile.clone(),
            groups: plan.groups.clone(),
            token: token.into(),
            index,
            launched: now,
            spot: plan.spot,
            protected: plan.protected,
            course,
            reason: stillborn.then(|| "Server.InternalError: Internal error on launch".into()),
            volumes,
            console: now + times.boot + times.console,
        };
        let seen = self.seen();
        self.region.instances.put(id.clone(), plan.tags.clone(), seen, instance);
        id
    }

    /// The lowest addresses that no instance has.
    fn next_addresses(&self, subnet: &Entry<Subnet>, count: usize) -> Vec<String> {
        let now = self.now;
        let here = self.region.instances.all(now);
        let here = here.filter(|i| i.subnet == subnet.id && i.course.at(now) != "terminated");
        let taken: BTreeSet<&str> = here.map(|i| i.private.as_str()).collect();
        // The first node address is the one after the router's, and two more are AWS's own.
        let free = subnet.cidr.nodes().skip(2).map(|address| address.to_string());
        free.filter(|address| !taken.contains(address.as_str())).take(count).collect()
    }
}

/// Source: EC2 user guide, "Run commands when you launch an EC2 instance with user data input": base64 of at most 16 KB
/// (read 2026-11-25).
fn user_data(data: &str) -> Result<(), Refusal> {
    let Some(bytes) = text::from_base64(data) else {
        return Err(refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."));
    };
    if bytes.len() > 16_384 {
        return Err(refuse("InvalidUserData.Malformed", "User data is limited to 16384 bytes"));
    }
    Ok(())
}

/// Tags of the instances and of their volumes.
/// Source: EC2 API reference, RunInstances, TagSpecifications (read 2026-11-25).
fn tags(config: &Json) -> Result<(Tags, Tags), Refusal> {
    let (mut instance, mut volume) = (Tags::new(), Tags::new());
    for specification in config["TagSpecifications"].as_array().into_iter().flatten() {
        let into = match string(specification, "ResourceType") {
            "instance" => &mut instance,
            "volume" => &mut volume,
            "network-interface" | "spot-instances-request" => &mut Tags::new(),
            other => {
                return Err(invalid(format!("'{other}' is not a valid taggable resource type for this operation.")));
            }
        };
        for tag in specification["Tags"].as_array().into_iter().flatten() {
            if into.insert(string(tag, "Key").into(), string(tag, "Value").into()).is_some() {
                return Err(invalid(format!("Duplicate tag key '{}' specified.", string(tag, "Key"))));
            }
        }
        super::tagging::check(into)?;
    }
    Ok((instance, volume))
}

/// The image's root disk, with what the request says of it, and the request's other disks.
fn disks(config: &Json, root: &str) -> Result<Vec<(String, Json)>, Refusal> {
    let mut disks = vec![(root.to_owned(), serde_json::json!({}))];
    for mapping in config["BlockDeviceMappings"].as_array().into_iter().flatten() {
        let (device, ebs) = (string(mapping, "DeviceName"), &mapping["Ebs"]);
        let wrong = |what: String| Err(refuse("InvalidBlockDeviceMapping", what));
        if !device.starts_with("/dev/sd") && !device.starts_with("/dev/xvd") {
            return Err(invalid(format!(
                "Value ({device}) for parameter blockDeviceMapping is invalid. {device} is not a valid EBS device name."
            )));
        }
        if ebs.is_null() {
            continue;
        }
        let is_root = device == root;
        match ebs["VolumeSize"].as_i64() {
            Some(size) if is_root && size < super::catalog::ROOT_GIB => {
                return wrong(format!(
                    "Volume of size {size}GB is smaller than snapshot, expect size >= {}GB",
                    super::catalog::ROOT_GIB
                ));
            }
            None if !is_root && ebs["SnapshotId"].is_null() => {
                return Err(refuse("MissingParameter", "The request must contain the parameter size or snapshotId"));
            }
            _ => {}
        }
        super::volumes::check(
            ebs["VolumeSize"].as_i64().unwrap_or(super::catalog::ROOT_GIB),
            ebs["VolumeType"].as_str().unwrap_or("gp2"),
            ebs["Iops"].as_i64(),
            ebs["Throughput"].as_i64(),
        )?;
        match disks.iter_mut().find(|(name, _)| name == device) {
            Some(disk) if is_root && disk.1 == serde_json::json!({}) => disk.1 = ebs.clone(),
            Some(_) => return wrong(format!("Device {device} is mapped twice")),
            None => disks.push((device.into(), ebs.clone())),
        }
    }
    Ok(disks)
}

impl Turn<'_> {
    pub fn image(&self, id: &str) -> Result<super::catalog::Image, Refusal> {
        if id.is_empty() {
            return Err(refuse("MissingParameter", "The request must contain the parameter ImageId"));
        }
        if !id.starts_with("ami-") {
            return Err(refuse("InvalidAMIID.Malformed", format!("Invalid id: \"{id}\" (expecting \"ami-...\")")));
        }
        let mut all = self.images();
        let missing = || refuse("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist"));
        all.find(|image| image.id(&self.place.region) == id).ok_or_else(missing)
    }
}
