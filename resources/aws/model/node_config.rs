//! A `node_config`, which has the form of RunInstances, sorted into what this program decides with the user and what goes to
//! the service as it is written.

use cloudtik_core::{
    origin::Tree,
    value::{Attrs, Value},
};
use serde_json::{Map, Value as Json};

/// Keys whose values this program sets or compares by itself. Missing ones are unset.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeConfig {
    pub instance_type: Option<String>,
    pub image: Option<String>,
    pub key: Option<String>,
    pub subnets: Vec<String>,
    pub groups: Vec<String>,
    /// Name of the instance profile.
    pub profile: Option<String>,
    /// By device name: the keys of `Ebs`, and `VirtualName` or `NoDevice` beside them.
    pub disks: Attrs,
    pub market: Option<Attrs>,
    /// Of the instance; those of other things it makes stay in `launch`.
    pub tags: Vec<(String, String)>,
    pub user_data: Option<String>,
    pub template: Option<Attrs>,
    /// Everything else.
    pub launch: Map<String, Json>,
}

/// Without effect: they are decided when nodes are launched, and the check has said so.
const DECIDED: [&str; 4] = ["MinCount", "MaxCount", "ClientToken", "DryRun"];

impl NodeConfig {
    /// `config`, which was checked against the service's shape.
    pub fn read(config: &Tree) -> Self {
        let Json::Object(mut map) = config.to_json() else { return NodeConfig::default() };
        map.retain(|key, value| !DECIDED.contains(&key.as_str()) && !value.is_null());
        let mut read = NodeConfig {
            instance_type: text(&mut map, "InstanceType"),
            image: text(&mut map, "ImageId"),
            key: text(&mut map, "KeyName"),
            subnets: texts(&mut map, "SubnetIds"),
            groups: texts(&mut map, "SecurityGroupIds"),
            profile: map.remove("IamInstanceProfile").and_then(|profile| profile_name(&profile)),
            disks: map.remove("BlockDeviceMappings").map(disks).unwrap_or_default(),
            market: map.remove("InstanceMarketOptions").map(attributes),
            tags: Vec::new(),
            user_data: text(&mut map, "UserData"),
            template: map.remove("LaunchTemplate").map(attributes),
            launch: Map::new(),
        };
        if let Some(subnet) = text(&mut map, "SubnetId").filter(|_| read.subnets.is_empty()) {
            read.subnets.push(subnet);
        }
        if let Some(Json::Array(all)) = map.remove("TagSpecifications") {
            let (own, others): (Vec<Json>, Vec<Json>) =
                all.into_iter().partition(|spec| spec["ResourceType"] == "instance");
            read.tags = own.iter().flat_map(tags).collect();
            if !others.is_empty() {
                map.insert("TagSpecifications".into(), others.into());
            }
        }
        read.launch = map;
        read
    }

    /// Disks beside the root disk that are blank when the machine starts: volumes made from no snapshot.
    pub fn data_disks(&self) -> Vec<&String> {
        let blank = |(device, disk): &(&String, &Value)| {
            let has = |key: &str| disk.at(key).is_some();
            !ROOT.contains(&device.as_str()) && !has("NoDevice") && !has("SnapshotId")
        };
        self.disks.iter().filter(blank).map(|(device, _)| device).collect()
    }
}

/// Devices that hold the system, by the images that there are.
/// Source: EC2 user guide, "Device names for volumes on Amazon EC2 instances" (read 2026-11-25).
const ROOT: [&str; 2] = ["/dev/sda1", "/dev/xvda"];

fn text(map: &mut Map<String, Json>, key: &str) -> Option<String> {
    map.remove(key)?.as_str().map(String::from)
}

fn texts(map: &mut Map<String, Json>, key: &str) -> Vec<String> {
    let items = map.remove(key);
    let items = items.as_ref().and_then(Json::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(String::from)).collect()
}

fn attributes(json: Json) -> Attrs {
    match Value::from(json) {
        Value::Map(attributes) => attributes,
        _ => Attrs::new(),
    }
}

/// `{Name}` or `{Arn}`; an ARN ends in the name.
fn profile_name(profile: &Json) -> Option<String> {
    let part = |key: &str| profile[key].as_str();
    part("Name").or_else(|| part("Arn")?.rsplit('/').next()).map(String::from)
}

/// `[{DeviceName, Ebs: {…}}]` by device. Volumes go with their machine unless it is said that they stay.
fn disks(list: Json) -> Attrs {
    let mut disks = Attrs::new();
    for mapping in list.as_array().into_iter().flatten() {
        let Some(device) = mapping["DeviceName"].as_str() else { continue };
        let mut disk = attributes(mapping["Ebs"].clone());
        if mapping["Ebs"].is_object() {
            disk.entry("DeleteOnTermination".into()).or_insert_with(|| true.into());
        }
        for key in ["VirtualName", "NoDevice"] {
            if let Some(value) = mapping[key].as_str() {
                disk.insert(key.into(), value.into());
            }
        }
        disks.insert(device.into(), Value::Map(disk));
    }
    disks
}

fn tags(spec: &Json) -> Vec<(String, String)> {
    let tag = |tag: &Json| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str().unwrap_or_default().into()));
    spec["Tags"].as_array().into_iter().flatten().filter_map(tag).collect()
}
