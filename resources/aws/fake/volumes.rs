//! EBS volumes.

use super::{
    network::{NOTHING, item, reply},
    world::{Answer, Course, Entry, Refusal, Thing, Time, Turn, refuse, seconds},
};
use crate::api::{Item, Tags};
use cloudtik_core::value::Value;
use serde_json::Value as Json;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub size: i64,
    pub kind: String,
    pub iops: Option<i64>,
    pub throughput: Option<i64>,
    pub zone: String,
    pub instance: Option<String>,
    pub device: Option<String>,
    /// Whether it goes when its instance is terminated.
    pub dies: bool,
    pub course: Course,
    pub modification: Option<Course>,
    /// When it was modified.
    pub modified: Vec<Time>,
    /// From when nothing shows it.
    pub end: Option<Time>,
}

impl Thing for Volume {
    const ABSENT: &'static str = "InvalidVolume.NotFound";
    const WHAT: &'static str = "volume";

    fn gone(&self, now: Time) -> bool {
        self.end.is_some_and(|end| end <= now)
    }
}

/// What a type has when nothing is said.
fn defaults(kind: &str) -> (Option<i64>, Option<i64>) {
    match kind {
        "gp3" => (Some(3_000), Some(125)),
        _ => (None, None),
    }
}

impl Volume {
    pub fn of_launch(
        instance: &str,
        device: &str,
        zone: &str,
        ebs: &Json,
        dies: bool,
        now: Time,
        boot: Duration,
    ) -> Self {
        let kind = ebs["VolumeType"].as_str().unwrap_or("gp2");
        let (iops, throughput) = defaults(kind);
        Volume {
            size: ebs["VolumeSize"].as_i64().unwrap_or(super::catalog::ROOT_GIB),
            kind: kind.into(),
            iops: ebs["Iops"].as_i64().or(iops),
            throughput: ebs["Throughput"].as_i64().or(throughput),
            zone: zone.into(),
            instance: Some(instance.into()),
            device: Some(device.into()),
            dies,
            course: Course::new(now, "creating", &[(boot / 2, "in-use")]),
            modification: None,
            modified: Vec::new(),
            end: None,
        }
    }
}

/// Sizes and speeds that a type can have.
/// Source: EC2 API reference, CreateVolume (read 2026-11-25).
pub(super) fn check(size: i64, kind: &str, iops: Option<i64>, throughput: Option<i64>) -> Result<(), Refusal> {
    let (sizes, speeds) = match kind {
        "gp2" => (1..=16_384, None),
        "gp3" => (1..=65_536, Some(3_000..=80_000)),
        "io1" => (4..=16_384, Some(100..=64_000)),
        "io2" => (4..=65_536, Some(100..=256_000)),
        "st1" | "sc1" => (125..=16_384, None),
        "standard" => (1..=1_024, None),
        _ => {
            let what = format!("Invalid value '{kind}' for volumeType.");
            return Err(refuse("InvalidParameterValue", what));
        }
    };
    if !sizes.contains(&size) {
        let what = format!(
            "Volume of size {size}GiB is invalid for {kind}: it must be between {} and {} GiB.",
            sizes.start(),
            sizes.end()
        );
        return Err(refuse("InvalidParameterValue", what));
    }
    match (iops, speeds) {
        (Some(_), None) => {
            let what = format!("The parameter iops is not supported for {kind} volumes.");
            return Err(refuse("InvalidParameterCombination", what));
        }
        (Some(iops), Some(speeds)) if !speeds.contains(&iops) => {
            let what = format!(
                "Volume iops of {iops} is invalid: it must be between {} and {}.",
                speeds.start(),
                speeds.end()
            );
            return Err(refuse("InvalidParameterValue", what));
        }
        (None, Some(_)) if kind.starts_with("io") => {
            return Err(refuse("MissingParameter", "The parameter iops must be specified for io1 and io2 volumes."));
        }
        _ => {}
    }
    match throughput {
        Some(_) if kind != "gp3" => {
            let what = format!("The parameter throughput is not supported for {kind} volumes.");
            Err(refuse("InvalidParameterCombination", what))
        }
        Some(mib) if !(125..=2_000).contains(&mib) => {
            Err(refuse("InvalidParameterValue", format!("Throughput of {mib} MiB/s is invalid: 125 to 2000.")))
        }
        _ => Ok(()),
    }
}

impl Turn<'_> {
    pub fn volume_item(&self, volume: &Entry<Volume>) -> Item {
        let state = volume.course.at(self.now);
        let modification = volume.modification.as_ref().map(|course| course.at(self.now));
        item(
            volume,
            [
                ("state", state.into()),
                ("size", Value::Int(volume.size)),
                ("type", volume.kind.as_str().into()),
                ("iops", volume.iops.into()),
                ("throughput", volume.throughput.into()),
                ("zone", volume.zone.as_str().into()),
                ("instance", volume.instance.clone().into()),
                ("device", volume.device.clone().into()),
                ("modification", modification.into()),
            ],
        )
    }

    #[allow(clippy::too_many_arguments, reason = "the parameters of one call of the service")]
    pub fn create_volume(
        &mut self,
        zone: &str,
        size: i64,
        kind: Option<&str>,
        iops: Option<i64>,
        throughput: Option<i64>,
        token: &str,
        tags: Tags,
    ) -> Answer {
        let arguments = format!("{zone} {size} {kind:?} {iops:?} {throughput:?} {tags:?}");
        if let Some(ids) = self.remembered("CreateVolume", token, &arguments)? {
            let volume = ids.first().and_then(|id| self.region.volumes.peek(id));
            return reply(volume.map(|volume| self.volume_item(volume)).unwrap_or_default());
        }
        if !self.zone_names().iter().any(|known| known == zone) {
            return Err(refuse("InvalidZone.NotFound", format!("The zone '{zone}' does not exist.")));
        }
        let kind = kind.unwrap_or("gp2");
        check(size, kind, iops, throughput)?;
        let normal = defaults(kind);
        let volume = Volume {
            size,
            kind: kind.into(),
            iops: iops.or(normal.0),
            throughput: throughput.or(normal.1),
            zone: zone.into(),
            instance: None,
            device: None,
            dies: false,
            course: Course::new(self.now, "creating", &[(seconds(3), "available")]),
            modification: None,
            modified: Vec::new(),
            end: None,
        };
        let (id, seen) = (self.ids.next("vol"), self.seen());
        let entry = self.region.volumes.put(id.clone(), tags, seen, volume).clone();
        self.remember("CreateVolume", token, arguments, vec![id]);
        reply(self.volume_item(&entry))
    }

    /// Never smaller; one modification at a time, four a day.
    /// Source: EC2 API reference, ModifyVolume (read 2026-11-25).
    pub fn modify_volume(
        &mut self,
        id: &str,
        size: Option<i64>,
        kind: Option<&str>,
        iops: Option<i64>,
        throughput: Option<i64>,
    ) -> Answer {
        let now = self.now;
        let time = self.settings.times.optimize;
        let volume = self.region.volumes.get_mut(id, now)?;
        let state = volume.course.at(now);
        if !matches!(state, "available" | "in-use") {
            return Err(refuse("IncorrectState", format!("Volume {id} is in state '{state}'")));
        }
        if volume.modification.as_ref().is_some_and(|course| course.at(now) != "completed") {
            let what = format!("Volume {id} is already being modified");
            return Err(refuse("IncorrectModificationState", what));
        }
        if volume.modified.iter().filter(|at| **at + seconds(86_400) > now).count() >= 4 {
            let what = format!("You've reached the maximum modification rate per volume limit for {id}.");
            return Err(refuse("VolumeModificationRateExceeded", what));
        }
        let wanted = size.unwrap_or(volume.size);
        if wanted < volume.size {
            return Err(refuse("InvalidParameterValue", "New size cannot be smaller than existing size"));
        }
        let changed = kind.unwrap_or(&volume.kind).to_owned();
        check(wanted, &changed, iops, throughput)?;
        // A speed that is not named stays, unless the type has other ones.
        let normal = defaults(&changed);
        if changed != volume.kind {
            (volume.iops, volume.throughput) = normal;
        }
        volume.size = wanted;
        volume.kind = changed;
        volume.iops = iops.or(volume.iops);
        volume.throughput = throughput.or(volume.throughput);
        volume.modified.push(now);
        let steps = [(seconds(5), "optimizing"), (seconds(5) + time, "completed")];
        volume.modification = Some(Course::new(now, "modifying", &steps));
        NOTHING
    }

    /// Source: EC2 API reference, AttachVolume; error codes VolumeInUse, InvalidVolume.ZoneMismatch (read 2026-11-25).
    pub fn attach_volume(&mut self, id: &str, instance: &str, device: &str) -> Answer {
        let now = self.now;
        let volume = self.region.volumes.get(id, now)?;
        let machine = self.region.instances.get(instance, now)?;
        let state = volume.course.at(now);
        if volume.instance.is_some() {
            return Err(refuse("VolumeInUse", format!("{id} is already attached to an instance")));
        }
        if state != "available" {
            return Err(refuse("IncorrectState", format!("{id} is not 'available'.")));
        }
        if !matches!(machine.course.at(now), "running" | "stopped") {
            return Err(refuse("IncorrectState", format!("Instance '{instance}' is not 'running'.")));
        }
        if volume.zone != machine.zone {
            let what = format!("The volume '{id}' is not in the same availability zone as instance '{instance}'");
            return Err(refuse("InvalidVolume.ZoneMismatch", what));
        }
        if machine.volumes.iter().any(|(taken, _)| taken == device) {
            let what = format!("Invalid value '{device}' for unixDevice. Attachment point {device} is already in use");
            return Err(refuse("InvalidParameterValue", what));
        }
        self.region.instances.get_mut(instance, now)?.volumes.push((device.into(), id.into()));
        let volume = self.region.volumes.get_mut(id, now)?;
        volume.instance = Some(instance.into());
        volume.device = Some(device.into());
        volume.course.turn(now, "in-use", &[]);
        NOTHING
    }

    pub fn detach_volume(&mut self, id: &str) -> Answer {
        let now = self.now;
        let volume = self.region.volumes.get_mut(id, now)?;
        let Some(instance) = volume.instance.take() else {
            let what = format!("Volume '{id}' is in the 'available' state.");
            return Err(refuse("IncorrectState", what));
        };
        volume.device = None;
        volume.course.turn(now, "in-use", &[(seconds(4), "available")]);
        if let Some(instance) = self.region.instances.peek_mut(&instance) {
            instance.volumes.retain(|(_, volume)| volume != id);
        }
        NOTHING
    }

    pub fn delete_volume(&mut self, id: &str) -> Answer {
        let now = self.now;
        let volume = self.region.volumes.get(id, now)?;
        if let Some(instance) = &volume.instance {
            let what = format!("Volume {id} is currently attached to {instance}");
            return Err(refuse("VolumeInUse", what));
        }
        if volume.course.at(now) != "available" {
            return Err(refuse("IncorrectState", format!("Volume {id} is not 'available'.")));
        }
        self.region.volumes.remove(id);
        NOTHING
    }

    /// Its instance is terminated `at` that time: it goes too, or is free.
    pub fn instance_left(&mut self, id: &str, at: Time) {
        let now = self.now;
        let Some(volume) = self.region.volumes.peek_mut(id) else { return };
        (volume.instance, volume.device) = (None, None);
        if volume.dies {
            volume.end = Some(at);
        } else {
            volume.course.turn(now, "in-use", &[(at - now, "available")]);
        }
    }
}
