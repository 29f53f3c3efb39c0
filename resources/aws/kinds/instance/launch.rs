//! RunInstances: what it is told, and which zones and markets are tried.

use crate::{
    api::{Item, Request, Tags},
    error,
    provider::At,
};
use cloudtik_core::{
    failure::{Failure, FailureKind},
    value::{Attrs, Value},
};
use serde_json::{Map, Value as Json, json};

/// Attributes that are one key of RunInstances, and what that key is called.
const KEYS: [(&str, &str); 6] = [
    ("type", "InstanceType"),
    ("image", "ImageId"),
    ("key", "KeyName"),
    ("groups", "SecurityGroupIds"),
    ("market_options", "InstanceMarketOptions"),
    ("launch_template", "LaunchTemplate"),
];

/// The request's body, but for the subnet: `launch`, and over it what is declared.
pub(super) fn config(attributes: &Attrs, tags: &Tags) -> Map<String, Json> {
    let get = |name: &str| attributes.get(name).filter(|value| **value != Value::Unset);
    let mut config = match get("launch").map(plain) {
        Some(Json::Object(launch)) => launch,
        _ => Map::new(),
    };
    for (name, key) in KEYS {
        if let Some(value) = get(name) {
            config.insert(key.into(), plain(value));
        }
    }
    if let Some(profile) = get("profile") {
        config.insert("IamInstanceProfile".into(), json!({"Name": plain(profile)}));
    }
    if let Some(disks) = get("disks").and_then(Value::as_map) {
        config.insert("BlockDeviceMappings".into(), disks.iter().map(mapping).collect());
    }
    if let Some(text) = get("user_data").and_then(Value::as_text) {
        config.insert("UserData".into(), base64(text.as_bytes()).into());
    }
    if let (Some(Json::Array(interfaces)), Some(groups)) =
        (config.get_mut("NetworkInterfaces"), get("interface_groups"))
    {
        for interface in new_interfaces(interfaces) {
            interface.entry("Groups").or_insert_with(|| plain(groups));
        }
    }
    let tags: Vec<Json> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    let specs = config.entry("TagSpecifications").or_insert_with(|| json!([]));
    if let Json::Array(specs) = specs {
        specs.insert(0, json!({"ResourceType": "instance", "Tags": tags}));
    }
    config
}

/// Interfaces that the launch makes; existing ones have their subnet and groups.
fn new_interfaces(interfaces: &mut [Json]) -> impl Iterator<Item = &mut Map<String, Json>> {
    let maps = interfaces.iter_mut().filter_map(Json::as_object_mut);
    maps.filter(|interface| !interface.contains_key("NetworkInterfaceId"))
}

/// With interfaces spelt out, the service takes the subnet from them alone.
fn put_into(config: &mut Map<String, Json>, subnet: &str) {
    match config.get_mut("NetworkInterfaces") {
        Some(Json::Array(interfaces)) => {
            for interface in new_interfaces(interfaces) {
                interface.entry("SubnetId").or_insert_with(|| subnet.into());
            }
        }
        _ => drop(config.insert("SubnetId".into(), subnet.into())),
    }
}

fn mapping((device, disk): (&String, &Value)) -> Json {
    let mut mapping = Map::from_iter([("DeviceName".to_owned(), Json::from(device.as_str()))]);
    let Json::Object(mut ebs) = plain(disk) else { return mapping.into() };
    for beside in ["VirtualName", "NoDevice"] {
        mapping.extend(ebs.remove_entry(beside));
    }
    if !ebs.is_empty() {
        mapping.insert("Ebs".into(), ebs.into());
    }
    mapping.into()
}

/// A resolved value as JSON. Values that are no JSON have no place in a request.
fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        Value::Float(f) => (*f).into(),
        Value::Text(text) => (&**text).into(),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        Value::Unset | Value::Unknown | Value::Secret(_) | Value::Ref(_) | Value::Concat(_) => Json::Null,
    }
}

/// The service's form of user data; documents have it as plain text, as boto3 takes it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

/// One call: where, in which market, and with how few machines it is content.
#[derive(Clone, Debug, PartialEq)]
struct Attempt<'a> {
    subnet: Option<&'a str>,
    on_demand: bool,
    all: bool,
}

/// In order: all machines together, subnet by subnet; then as many as there is room for. Where spot has no room, on-demand
/// has its turn.
fn attempts<'a>(subnets: &'a [String], spot: bool, count: usize) -> Vec<Attempt<'a>> {
    let places: Vec<Option<&str>> =
        if subnets.is_empty() { vec![None] } else { subnets.iter().map(|subnet| Some(subnet.as_str())).collect() };
    let markets: &[bool] = if spot { &[false, true] } else { &[false] };
    let rounds: &[bool] = if count > 1 { &[true, false] } else { &[true] };
    let mut attempts = Vec::new();
    for all in rounds {
        for on_demand in markets {
            attempts.extend(places.iter().map(|subnet| Attempt { subnet: *subnet, on_demand: *on_demand, all: *all }));
        }
    }
    attempts
}

/// What a launch made, and why it is not more.
pub(super) struct Launched {
    /// In the order of the members that they are for; at most as many as were asked.
    pub items: Vec<Item>,
    pub short: Option<Failure>,
}

/// Launches `count` machines that are alike. Errors only when there is none.
///
/// Each attempt has a client token of its own, since the service refuses one token for two different requests; the mark of
/// the operation is the same on all, and is what they are found by.
pub(super) async fn launch(at: &At<'_>, count: usize, tags: &Tags, token: &str) -> Result<Launched, Failure> {
    let config = config(&at.call.attributes, tags);
    let subnets = at.texts("subnets");
    let spot = config.get("InstanceMarketOptions").is_some_and(|market| market["MarketType"] == "spot");
    let (mut items, mut short): (Vec<Item>, _) = (Vec::new(), None);
    for (number, attempt) in attempts(&subnets, spot, count).into_iter().enumerate() {
        let missing = count - items.len();
        let mut config = config.clone();
        if let Some(subnet) = attempt.subnet {
            put_into(&mut config, subnet);
        }
        if attempt.on_demand {
            config.remove("InstanceMarketOptions");
            at.call.say("no spot capacity: asking for on-demand");
        }
        let request = Request::RunInstances {
            config: config.into(),
            least: if attempt.all { missing } else { 1 },
            count: missing,
            token: if number == 0 { token.into() } else { format!("{token}-{number:02}") },
        };
        match at.patiently(request, "what the machines need to become visible", is_young).await {
            Ok(reply) => items.extend(reply.items.into_iter().take(missing)),
            Err(failure) if failure.kind == FailureKind::Exhausted => short = Some(failure),
            // What was launched before is found by the mark of the operation.
            Err(failure) => return Err(failure),
        }
        if items.len() == count {
            return Ok(Launched { items, short: None });
        }
    }
    match short {
        Some(failure) if items.is_empty() => Err(failure),
        short => Ok(Launched { items, short }),
    }
}

/// Whether an error comes from something made moments ago: identities take seconds to reach EC2.
/// Source: IAM user guide, "Changes that I make are not always immediately visible" (read 2026-11-25).
fn is_young(error: &crate::api::ApiError) -> bool {
    let profile = match &error.cause {
        crate::api::Cause::Service { code, message, .. } => {
            code == "InvalidParameterValue" && message.to_lowercase().contains("iam instance profile")
        }
        _ => false,
    };
    let ours =
        ["InvalidSubnetID.NotFound", "InvalidGroup.NotFound", "InvalidGroupId.NotFound", "InvalidKeyPair.NotFound"];
    profile || (error::is_absent(error) && ours.contains(&error.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_encoded_as_the_service_wants_it() {
        for (text, encoded) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("#!/bin/sh\n", "IyEvYmluL3NoCg==")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn all_together_is_tried_everywhere_before_fewer_are_taken() {
        let subnets = ["a".to_owned(), "b".to_owned()];
        let told = |spot, count| -> Vec<String> {
            let tell = |attempt: Attempt| {
                let market = if attempt.on_demand { " on-demand" } else { "" };
                let least = if attempt.all { "all" } else { "some" };
                format!("{least} in {}{market}", attempt.subnet.unwrap_or("default"))
            };
            attempts(&subnets, spot, count).into_iter().map(tell).collect()
        };
        assert_eq!(told(false, 1), ["all in a", "all in b"]);
        assert_eq!(told(false, 3), ["all in a", "all in b", "some in a", "some in b"]);
        assert_eq!(told(true, 1), ["all in a", "all in b", "all in a on-demand", "all in b on-demand"]);
        assert_eq!(attempts(&[], false, 1), [Attempt { subnet: None, on_demand: false, all: true }]);
    }

    #[test]
    fn declared_attributes_take_their_place_over_what_is_passed_through() {
        let attributes: Attrs = serde_json::from_value(json!({
            "type": "m5.xlarge", "image": "ami-1", "key": "k", "profile": "p", "user_data": "hi",
            "interface_groups": ["sg-1"], "cpus": 4, "region": "us-west-2",
            "disks": {"/dev/sda1": {"VolumeSize": 100, "VolumeType": "gp2"}, "/dev/sdb": {"VirtualName": "ephemeral0"}},
            "launch": {
                "EbsOptimized": true,
                "NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1, "NetworkInterfaceId": "eni-1"}],
                "TagSpecifications": [{"ResourceType": "volume", "Tags": []}],
            },
        }))
        .unwrap();
        let mut made = config(&attributes, &Tags::from([("Name".into(), "n".into())]));
        put_into(&mut made, "subnet-1");
        let expected = json!({
            "InstanceType": "m5.xlarge", "ImageId": "ami-1", "KeyName": "k", "IamInstanceProfile": {"Name": "p"},
            "UserData": "aGk=", "EbsOptimized": true,
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "VolumeType": "gp2"}},
                {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
            ],
            "NetworkInterfaces": [
                {"DeviceIndex": 0, "Groups": ["sg-1"], "SubnetId": "subnet-1"},
                {"DeviceIndex": 1, "NetworkInterfaceId": "eni-1"},
            ],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "n"}]},
                {"ResourceType": "volume", "Tags": []},
            ],
        });
        assert_eq!(Json::Object(made), expected);
    }
}
