//! How a `node_config` is written into the query of RunInstances.

use crate::schema::TABLE;
use serde_json::Value as Json;

/// The parameters of a query for `config`, a `node_config` without CloudTik's own keys.
///
/// Errors: what the service's shape has no place for, in words.
pub(crate) fn parameters(config: &Json) -> Result<Vec<(String, String)>, String> {
    let mut parameters = Vec::new();
    structure(config, &TABLE.root, "", &mut parameters)?;
    Ok(parameters)
}

fn structure(value: &Json, name: &str, path: &str, to: &mut Vec<(String, String)>) -> Result<(), String> {
    let map = value.as_object().ok_or_else(|| format!("`{path}` is no map"))?;
    for (key, value) in map {
        let member = TABLE.structures.get(name).and_then(|members| members.get(key));
        let member = member.ok_or_else(|| format!("RunInstances has no `{path}{key}`"))?;
        let path = format!("{path}{}", member.wire.as_deref().unwrap_or(key));
        match (member.list, value) {
            (false, value) => leaf(value, &member.of, path, to)?,
            (true, Json::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    leaf(item, &member.of, format!("{path}.{}", at + 1), to)?;
                }
            }
            (true, _) => return Err(format!("`{path}` is no list")),
        }
    }
    Ok(())
}

fn leaf(value: &Json, of: &str, path: String, to: &mut Vec<(String, String)>) -> Result<(), String> {
    if TABLE.structures.contains_key(of) {
        return structure(value, of, &format!("{path}."), to);
    }
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        _ => return Err(format!("`{path}` is neither text nor number")),
    };
    to.push((path, text));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_query_has_the_names_of_the_service() {
        let config = json!({
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 200, "Encrypted": true}}],
            "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-1", "sg-2"]}],
            "IamInstanceProfile": {"Arn": "a"}, "DisableApiTermination": false,
        });
        let pairs: BTreeMap<String, String> = parameters(&config).unwrap().into_iter().collect();
        let expected = [
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
            ("BlockDeviceMapping.1.Ebs.VolumeSize", "200"),
            ("DisableApiTermination", "false"),
            ("IamInstanceProfile.Arn", "a"),
            ("NetworkInterface.1.DeviceIndex", "0"),
            ("NetworkInterface.1.SecurityGroupId.1", "sg-1"),
            ("NetworkInterface.1.SecurityGroupId.2", "sg-2"),
        ];
        assert_eq!(pairs, expected.map(|(k, v)| (k.into(), v.into())).into());
        assert!(parameters(&json!({"Nope": 1})).is_err());
    }
}
