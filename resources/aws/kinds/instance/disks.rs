//! The disks of a machine: what they are now, and how they grow in place.

use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request},
    kinds::find::VALUES,
    provider::At,
};
use cloudtik_core::{
    failure::{Failure, FailureKind},
    value::{Attrs, Value},
};
use std::{collections::BTreeMap, time::Duration};

/// Keys of a disk that can be seen and changed on a volume in use, and their names on it.
const LIVE: [(&str, &str); 4] =
    [("VolumeSize", "size"), ("VolumeType", "type"), ("Iops", "iops"), ("Throughput", "throughput")];

/// Changing a volume starts within seconds; it can be used while it is optimised.
/// Source: EBS user guide, "Monitor the progress of volume modifications" (read 2026-11-25).
const PATIENCE: Duration = Duration::from_secs(600);

/// Whether the change from one set of disks to another needs a new machine: other disks, or ones that shrink.
pub(super) fn replaces(before: &Value, after: &Value) -> bool {
    let (Some(before), Some(after)) = (before.as_map(), after.as_map()) else { return true };
    let same = before.keys().eq(after.keys());
    !same || before.iter().zip(after).any(|((_, before), (_, after))| disk_replaces(before, after))
}

fn disk_replaces(before: &Value, after: &Value) -> bool {
    let (Some(before), Some(after)) = (before.as_map(), after.as_map()) else { return true };
    let fixed = |disk: &Attrs| -> Attrs {
        let fixed = disk.iter().filter(|(key, _)| !LIVE.iter().any(|(live, _)| live == key));
        fixed.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    fixed(before) != fixed(after) || !can_become(before, after, LIVE.map(|(theirs, _)| theirs))
}

/// Whether a volume becomes another in place. `keys`: what size, type, iops and throughput are called.
pub(in crate::kinds) fn can_become(before: &Attrs, after: &Attrs, keys: [&str; 4]) -> bool {
    let size = |disk: &Attrs| disk.get(keys[0]).and_then(Value::as_int);
    let kind = |disk: &Attrs| disk.get(keys[1]).and_then(Value::as_text).map(String::from);
    let grows = size(before).zip(size(after)).is_none_or(|(before, after)| before <= after);
    // Source: EC2 API reference, ModifyVolume: `standard` volumes keep their type (read 2026-11-25).
    let types =
        kind(before) == kind(after) || [kind(before), kind(after)].iter().flatten().all(|kind| kind != "standard");
    grows && types
}

/// All volumes of machines whose declared disks have something to compare, by id.
pub(super) async fn volumes<'a>(
    api: &dyn Api,
    machines: impl Iterator<Item = &'a Item>,
) -> Result<BTreeMap<String, Item>, ApiError> {
    let ids: Vec<&str> = machines.map(|item| item.id.as_str()).collect();
    let mut volumes = BTreeMap::new();
    for ids in ids.chunks(VALUES) {
        let filter = Filter::new("attachment.instance-id", ids.iter().copied());
        let found = api.list(&Listing::Volumes, &[filter]).await?;
        volumes.extend(found.into_iter().map(|item| (item.id.clone(), item)));
    }
    Ok(volumes)
}

/// Whether the declared disks say anything that a volume tells.
pub(super) fn is_comparable(disks: &Value) -> bool {
    let says = |disk: &Value| LIVE.iter().any(|(key, _)| disk.at(key).is_some());
    disks.as_map().is_some_and(|disks| disks.values().any(says))
}

/// The volume that a machine has at a device.
pub(super) fn volume_at(machine: &Item, device: &str) -> Option<String> {
    let volumes = machine.fields.get("volumes").and_then(Value::as_list).into_iter().flatten();
    let mut at = volumes.filter(|volume| volume.at("device").and_then(Value::as_text) == Some(device));
    at.next()?.at("volume")?.as_text().map(String::from)
}

/// The disks as they are asked for, with what is seen in place of what can be seen. A disk that is not there is left out.
pub(super) fn seen(asked: &Value, machine: &Item, volumes: &BTreeMap<String, Item>) -> Value {
    let mut seen = Attrs::new();
    for (device, disk) in asked.as_map().into_iter().flatten() {
        let mut disk = disk.as_map().cloned().unwrap_or_default();
        if !disk.contains_key("NoDevice") && !disk.contains_key("VirtualName") {
            let Some(id) = volume_at(machine, device) else { continue };
            for (key, name) in LIVE {
                let there = volumes.get(&id).and_then(|volume| volume.fields.get(name));
                if let (Some(value), Some(there)) = (disk.get_mut(key), there) {
                    *value = there.clone();
                }
            }
        }
        seen.insert(device.clone(), Value::Map(disk));
    }
    Value::Map(seen)
}

/// Makes the volumes of a machine what the call asks for.
pub(super) async fn converge(at: &At<'_>, machine: &Item, volumes: &BTreeMap<String, Item>) -> Result<(), Failure> {
    for (device, disk) in at.attribute("disks").as_map().into_iter().flatten() {
        let volume = volume_at(machine, device).and_then(|id| volumes.get(&id));
        if let Some(volume) = volume {
            let wanted = |key| disk.at(key).cloned().unwrap_or_default();
            modify(at, volume, LIVE.map(|(theirs, name)| (name, wanted(theirs)))).await?;
        }
    }
    Ok(())
}

/// Changes a volume where it differs from `wanted`, and waits until the change can be used.
pub(in crate::kinds) async fn modify(at: &At<'_>, volume: &Item, wanted: [(&str, Value); 4]) -> Result<(), Failure> {
    let mut wanted: BTreeMap<&str, Value> = wanted.into();
    wanted.retain(|name, value| *value != Value::Unset && volume.fields.get(*name) != Some(value));
    if wanted.is_empty() {
        return Ok(());
    }
    let int = |name| wanted.get(name).and_then(Value::as_int);
    let request = Request::ModifyVolume {
        volume: volume.id.clone(),
        size: int("size"),
        kind: wanted.get("type").and_then(Value::as_text).map(String::from),
        iops: int("iops"),
        throughput: int("throughput"),
    };
    at.send(request).await?;
    let filters = [Filter::is("volume-id", &volume.id)];
    let awaits = format!("volume {} to change", volume.id);
    let done = |item: Option<&Item>| match item.map(|item| item.text("modification")) {
        Some("failed") => {
            Err(Failure::new(FailureKind::Other, &at.operation, format!("AWS gave up changing {}", volume.id)))
        }
        Some("optimizing" | "completed") => Ok(true),
        _ => Ok(false),
    };
    at.poll(Listing::Volumes, &filters, &awaits, Duration::from_secs(5), PATIENCE, done).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn disks_grow_in_place_and_shrink_with_a_new_machine() {
        let disks = |json: serde_json::Value| Value::from(json!({"/dev/sdf": json}));
        let before = disks(json!({"VolumeSize": 200, "VolumeType": "gp2", "DeleteOnTermination": true}));
        for (after, replaced) in [
            (json!({"VolumeSize": 300, "VolumeType": "gp2", "DeleteOnTermination": true}), false),
            (json!({"VolumeSize": 200, "VolumeType": "gp3", "Iops": 5000, "DeleteOnTermination": true}), false),
            (json!({"VolumeSize": 100, "VolumeType": "gp2", "DeleteOnTermination": true}), true),
            (json!({"VolumeSize": 200, "VolumeType": "standard", "DeleteOnTermination": true}), true),
            (json!({"VolumeSize": 200, "VolumeType": "gp2", "DeleteOnTermination": true, "Encrypted": true}), true),
        ] {
            assert_eq!(replaces(&before, &disks(after.clone())), replaced, "{after}");
        }
        assert!(replaces(&before, &Value::from(json!({"/dev/sdg": {"VolumeSize": 200}}))));
        assert!(replaces(&before, &Value::Unset));
    }
}
