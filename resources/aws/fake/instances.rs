//! Instances once they are launched, their console, and launch templates.

use super::{
    network::{NOTHING, item, reply},
    text,
    world::{Answer, Course, Entry, Refusal, Thing, Time, Turn, absent, refuse, seconds},
};
use crate::api::Item;
use cloudtik_core::value::Value;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub kind: String,
    pub image: String,
    pub vpc: String,
    pub subnet: String,
    pub zone: String,
    pub private: String,
    /// Has one while it runs.
    pub public: Option<String>,
    pub key: Option<String>,
    pub profile: Option<String>,
    pub groups: Vec<String>,
    pub token: String,
    pub index: usize,
    pub launched: Time,
    pub spot: bool,
    pub protected: bool,
    pub course: Course,
    pub reason: Option<String>,
    /// Device and volume.
    pub volumes: Vec<(String, String)>,
    /// When its console has something to show.
    pub console: Time,
}

#[derive(Clone, Debug)]
pub(super) struct Template {
    pub name: String,
    pub version: i64,
    pub data: Json,
}

impl Thing for Instance {
    const ABSENT: &'static str = "InvalidInstanceID.NotFound";
    const WHAT: &'static str = "instance";

    /// Source: EC2 user guide, "Terminate EC2 instances": visible for about an hour (read 2026-11-25).
    fn gone(&self, now: Time) -> bool {
        self.course.at(now) == "terminated" && now > self.course.since(now) + seconds(3_600)
    }
}

impl Thing for Template {
    const ABSENT: &'static str = "InvalidLaunchTemplateId.NotFound";
    const WHAT: &'static str = "launch template";
}

impl Instance {
    pub fn public_ip(&self, now: Time) -> Option<&str> {
        self.public.as_deref().filter(|_| matches!(self.course.at(now), "running" | "stopping" | "shutting-down"))
    }
}

impl Turn<'_> {
    pub fn instance_item(&self, instance: &Entry<Instance>) -> Item {
        let now = self.now;
        let state = instance.course.at(now);
        let here = state != "terminated";
        let only_here = |value: Value| if here { value } else { Value::Unset };
        // Volumes are attached while it boots.
        let volumes = instance
            .volumes
            .iter()
            .filter(|_| state != "pending" && here)
            .map(|(device, volume)| Value::map([("device", Value::text(device)), ("volume", Value::text(volume))]));
        let reason = if instance.reason.is_some() && !here { instance.reason.clone() } else { None };
        let architecture = self.instance_type(&instance.kind).map(|kind| kind.architecture);
        item(
            instance,
            [
                ("type", instance.kind.as_str().into()),
                ("image", instance.image.as_str().into()),
                ("state", state.into()),
                ("vpc", only_here(instance.vpc.as_str().into())),
                ("subnet", only_here(instance.subnet.as_str().into())),
                ("zone", instance.zone.as_str().into()),
                ("private_ip", only_here(instance.private.as_str().into())),
                ("public_ip", instance.public_ip(now).into()),
                ("key", instance.key.clone().into()),
                ("profile", only_here(instance.profile.clone().into())),
                ("groups", only_here(Value::list(instance.groups.clone()))),
                ("token", instance.token.as_str().into()),
                ("launch_index", Value::Int(i64::try_from(instance.index).unwrap_or(i64::MAX))),
                ("launched", text::date(instance.launched).into()),
                ("spot", instance.spot.into()),
                ("state_reason", reason.into()),
                ("volumes", Value::List(volumes.collect())),
                ("@architecture", architecture.into()),
                ("@lifecycle", if instance.spot { "spot".into() } else { Value::Unset }),
            ],
        )
    }

    pub fn template_item(&self, template: &Entry<Template>) -> Item {
        item(
            template,
            [
                ("latest", Value::Int(template.version)),
                ("default", Value::Int(template.version)),
                ("data", template.data.clone().into()),
                ("@name", template.name.as_str().into()),
            ],
        )
    }

    /// All of the ids or none: one that is not there fails the call.
    /// Source: EC2 API reference, TerminateInstances: "If you specify an instance ID that is not valid, none are" (read
    /// 2026-11-25).
    fn every(&self, ids: &[String]) -> Result<(), Refusal> {
        if ids.is_empty() {
            return Err(refuse("MissingParameter", "The request must contain the parameter InstanceId"));
        }
        for id in ids {
            let digits = id.strip_prefix("i-").is_some_and(|id| id.len() == 17 || id.len() == 8);
            if !digits {
                return Err(refuse("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")));
            }
            self.region.instances.get(id, self.now)?;
        }
        Ok(())
    }

    pub fn terminate(&mut self, ids: &[String]) -> Answer {
        self.every(ids)?;
        let protected = ids.iter().find(|id| self.region.instances.peek(id).is_some_and(|i| i.protected));
        if let Some(id) = protected {
            let what = format!(
                "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
            );
            return Err(refuse("OperationNotPermitted", what));
        }
        let (now, time) = (self.now, self.settings.times.terminate);
        for id in ids {
            let Some(instance) = self.region.instances.peek_mut(id) else { continue };
            if matches!(instance.course.at(now), "shutting-down" | "terminated") {
                continue;
            }
            let held_room = !matches!(instance.course.at(now), "stopping" | "stopped");
            instance.course.turn(now, "shutting-down", &[(time, "terminated")]);
            instance.reason = Some("Client.UserInitiatedShutdown: User initiated shutdown".into());
            let place = (instance.kind.clone(), instance.zone.clone(), instance.spot);
            if let Some(left) = self.capacity.get_mut(&place).filter(|_| held_room) {
                *left += 1;
            }
            let volumes = std::mem::take(&mut instance.volumes);
            for (_, volume) in volumes {
                self.instance_left(&volume, now + time);
            }
        }
        NOTHING
    }

    pub fn stop(&mut self, ids: &[String]) -> Answer {
        self.every(ids)?;
        let (now, time) = (self.now, self.settings.times.stop);
        for id in ids {
            let Ok(instance) = self.region.instances.get(id, now) else { continue };
            // Source: EC2 user guide, "Stop a Spot Instance": only of a persistent request (read 2026-11-25).
            if instance.spot {
                let what = format!(
                    "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request."
                );
                return Err(refuse("UnsupportedOperation", what));
            }
            if !matches!(instance.course.at(now), "running" | "stopping" | "stopped") {
                let what = format!("The instance '{id}' is not in a state from which it can be stopped.");
                return Err(refuse("IncorrectInstanceState", what));
            }
        }
        for id in ids {
            let Ok(instance) = self.region.instances.get_mut(id, now) else { continue };
            if instance.course.at(now) == "running" {
                instance.course.turn(now, "stopping", &[(time, "stopped")]);
                let place = (instance.kind.clone(), instance.zone.clone(), instance.spot);
                if let Some(left) = self.capacity.get_mut(&place) {
                    *left += 1;
                }
            }
        }
        NOTHING
    }

    /// A started instance has another public address than before it was stopped, and is launched now as listings tell it.
    /// Source: EC2 user guide, "Stop and start": its host's room is not kept for it, and InsufficientInstanceCapacity says
    /// that there is none (read 2026-11-25).
    pub fn start(&mut self, ids: &[String]) -> Answer {
        self.every(ids)?;
        let (now, time) = (self.now, self.settings.times.boot);
        for id in ids {
            let state = self.region.instances.get(id, now)?.course.at(now);
            if !matches!(state, "stopped" | "running" | "pending") {
                let what = format!("The instance '{id}' is not in a state from which it can be started.");
                return Err(refuse("IncorrectInstanceState", what));
            }
        }
        let mut needs: BTreeMap<(String, String, bool), usize> = BTreeMap::new();
        for id in ids {
            let instance = self.region.instances.get(id, now)?;
            if instance.course.at(now) == "stopped" {
                *needs.entry((instance.kind.clone(), instance.zone.clone(), instance.spot)).or_default() += 1;
            }
        }
        if needs.iter().any(|(place, need)| self.capacity.get(place).is_some_and(|left| left < need)) {
            let what = "Insufficient capacity.";
            return Err(refuse("InsufficientInstanceCapacity", what).status(500));
        }
        for (place, need) in needs {
            self.capacity.entry(place).and_modify(|left| *left -= need);
        }
        for id in ids {
            let address = self.public_address();
            let Ok(instance) = self.region.instances.get_mut(id, now) else { continue };
            if instance.course.at(now) == "stopped" {
                instance.course.turn(now, "pending", &[(time, "running")]);
                instance.launched = now;
                instance.public = instance.public.as_ref().map(|_| address);
            }
        }
        NOTHING
    }

    pub fn modify_groups(&mut self, id: &str, groups: Vec<String>) -> Answer {
        let now = self.now;
        let instance = self.region.instances.get(id, now)?;
        if matches!(instance.course.at(now), "shutting-down" | "terminated") {
            return Err(refuse("IncorrectInstanceState", format!("The instance '{id}' is not in a valid state.")));
        }
        let vpc = instance.vpc.clone();
        self.groups_of(&vpc, &groups)?;
        self.region.instances.get_mut(id, now)?.groups = groups;
        NOTHING
    }

    /// Source: EC2 user guide, "Change the instance type": only of a stopped instance (read 2026-11-25).
    pub fn modify_type(&mut self, id: &str, kind: &str) -> Answer {
        let now = self.now;
        self.known_type(kind)?;
        let instance = self.region.instances.get_mut(id, now)?;
        if instance.course.at(now) != "stopped" {
            let what = format!("The instance '{id}' is not in the 'stopped' state.");
            return Err(refuse("IncorrectInstanceState", what));
        }
        instance.kind = kind.into();
        NOTHING
    }

    /// What the boot wrote, in the form of cloud-init's last lines; nothing until the service has fetched it.
    /// Source: EC2 API reference, GetConsoleOutput: posted shortly after a transition (read 2026-11-25).
    pub fn console(&self, id: &str) -> Answer {
        let instance = self.region.instances.get(id, self.now)?;
        if self.now < instance.console || instance.course.at(self.now) == "terminated" {
            return reply(Item { id: id.into(), ..Item::default() });
        }
        let name = format!("ip-{}", instance.private.replace('.', "-"));
        let key = host_key(self.settings.seed, id);
        let fingerprint = text::base64(&Sha256::digest(&key));
        let fingerprint = fingerprint.trim_end_matches('=');
        let key = text::base64(&key);
        let bar = "#".repeat(61);
        let log = "<14>Jan  1 00:01:00 cloud-init: ";
        let output = format!(
            "[    0.000000] Linux version 5.15.0-1084-aws (buildd@lcy02-amd64-045)\r\n\
             [    6.113407] cloud-init[512]: Cloud-init v. 23.1.2 running 'init'\r\n\
             {log}{bar}\r\n\
             {log}-----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n\
             {log}256 SHA256:{fingerprint} root@{name} (ED25519)\r\n\
             {log}-----END SSH HOST KEY FINGERPRINTS-----\r\n\
             {log}{bar}\r\n\
             -----BEGIN SSH HOST KEY KEYS-----\r\n\
             ssh-ed25519 {key} root@{name}\r\n\
             -----END SSH HOST KEY KEYS-----\r\n\
             [   14.802113] cloud-init[871]: Cloud-init v. 23.1.2 finished. Datasource DataSourceEc2Local.\r\n\
             \r\n\
             Ubuntu 20.04.6 LTS {name} ttyS0\r\n\
             \r\n\
             {name} login: "
        );
        let mut shown = Item { id: id.into(), ..Item::default() };
        shown.fields.insert("output".into(), Value::text(output));
        reply(shown)
    }

    pub fn template(&self, id: &str, name: &str) -> Result<&Entry<Template>, Refusal> {
        let mut all = self.region.templates.seen(self.now);
        all.find(|t| t.id == id || t.name == name).ok_or_else(|| absent::<Template>(id))
    }
}

/// The public part of an instance's ED25519 host key as SSH writes it. No key of a host that exists.
pub(super) fn host_key(seed: u64, instance: &str) -> Vec<u8> {
    let mut blob = vec![0, 0, 0, 11];
    blob.extend(b"ssh-ed25519");
    blob.extend([0, 0, 0, 32]);
    blob.extend(Sha256::digest(format!("{seed}/host-key/{instance}")));
    blob
}
