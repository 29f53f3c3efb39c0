//! `disks`: the data disks of a node, formatted when they are blank and mounted at `data_disk_1` to `data_disk_<count>`.
//!
//! Nothing that holds anything is ever formatted, and nothing is unmounted or erased when the resource goes: its records
//! are forgotten, the disks keep what is on them.

use super::{Looked, decode, host_of};
use crate::hosts::{self, Hosts};
use cloudtik_core::{
    Attrs, Failure, FailureKind, Value,
    host::{Chunk, Command, Host},
    provider::{Call, Health, Observed, Outcome, Presence, Refresh, Subject},
    schema::{Durations, KindSchema},
};
use serde::Deserialize;
use std::sync::Arc;

const MOUNT: &str = include_str!("../scripts/disks.sh");
/// `SCRIPT ARGUMENT…`: runs a script as root, with who asked for it as first argument.
const AS_ROOT: &str = "script=$1 owner=$(id -u):$(id -g); shift
if [ \"$(id -u)\" = 0 ]; then exec /bin/sh -euc \"$script\" sh \"$owner\" \"$@\"; fi
command -v sudo >/dev/null || { echo 'mounting disks needs root, and the node has no sudo' >&2; exit 1; }
exec sudo -n /bin/sh -euc \"$script\" sh \"$owner\" \"$@\"";
/// `[FOLDER COUNT]…`: for each the numbers of the disks that are not mounted, on a line.
const LOOK: &str = "while [ $# -gt 0 ]; do number=1 missing=
while [ \"$number\" -le \"$2\" ]; do
grep -q \"^[^ ]* $1/data_disk_$number \" /proc/self/mounts || missing=\"$missing $number\"
number=$((number + 1)); done; echo \"$missing\"; shift 2; done";

/// Where data disks are mounted, as the Python tool has it.
pub(crate) const FOLDER: &str = "/mnt/cloudtik";

/// The mount points of that many disks.
pub(crate) fn places(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{FOLDER}/data_disk_{number}")).collect()
}

#[derive(Deserialize)]
struct Spec {
    count: u32,
    folder: String,
    #[serde(default = "fstab")]
    fstab: String,
    /// Patterns of the names of devices that may be data disks.
    #[serde(default = "devices")]
    devices: String,
    /// How long disks that were just attached are waited for.
    #[serde(default = "wait_seconds")]
    wait_seconds: u32,
}

fn fstab() -> String {
    "/etc/fstab".into()
}

fn devices() -> String {
    "sd[a-z]* vd[a-z]* xvd[a-z]* nvme*n*".into()
}

fn wait_seconds() -> u32 {
    120
}

pub fn schema() -> KindSchema {
    KindSchema::new("disks").volatile(&["mounts"]).takes(Durations { create: 4000, ready: 0, update: 1000, delete: 1 })
}

pub async fn refresh(hosts: &Hosts, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
    super::by_node(hosts, refresh, read_node).await
}

async fn read_node(host: Arc<dyn Host>, subjects: Vec<Looked<'_>>) -> Result<Vec<Presence>, Failure> {
    let mut arguments = Vec::new();
    for (_, attributes) in &subjects {
        let spec: Spec = decode("data disks", attributes)?;
        arguments.extend([spec.folder, spec.count.to_string()]);
    }
    let text = hosts::run(&*host, "look at data disks", &Command::sh(LOOK, arguments)).await?.text();
    let answers = text.lines().map(str::trim).chain(std::iter::repeat("?"));
    Ok(subjects.iter().zip(answers).map(|((subject, _), missing)| presence(subject, missing)).collect())
}

fn presence(subject: &Subject, missing: &str) -> Presence {
    let Some(record) = &subject.record else { return Presence::Absent };
    let healthy = match missing {
        "" => Health::Ok,
        numbers => Health::Broken(format!("not mounted: disk {}", numbers.replace(' ', ", "))),
    };
    Presence::Present {
        id: record.id.clone(),
        attributes: Attrs::new(),
        outputs: record.outputs.clone(),
        healthy,
        owned: true,
    }
}

/// Formats and mounts what is not yet; mounts again what a node that was started anew lacks.
pub async fn create(hosts: &Hosts, call: &Call) -> Result<Outcome, Failure> {
    let spec: Spec = decode("data disks", &call.attributes)?;
    let host = host_of(hosts, call).await?;
    let numbers = [spec.count, spec.wait_seconds].map(|n| n.to_string());
    let arguments = [MOUNT, &numbers[0], &spec.folder, &spec.fstab, &spec.devices, &numbers[1]];
    let (mut text, mut error) = (String::new(), Vec::new());
    let mut sink = |chunk: Chunk| match chunk {
        Chunk::Err(bytes) => error.extend(bytes),
        Chunk::Out(bytes) => {
            text.push_str(&String::from_utf8_lossy(&bytes));
            if let Some(what) = text.lines().last().and_then(|line| line.strip_prefix("~ ")) {
                call.say(what);
            }
        }
    };
    let code = host.stream(&Command::sh(AS_ROOT, arguments), &mut sink).await?;
    if code != 0 {
        let message = hosts::last_lines(&String::from_utf8_lossy(&error), 4);
        return Err(Failure::new(FailureKind::Command, "mount data disks", message)
            .hint("a disk that holds data is never formatted: empty it (`wipefs`), or declare fewer disks"));
    }
    let mounts = text.lines().find_map(|line| line.strip_prefix("= mounts")).unwrap_or_default();
    let outputs = [("mounts".to_owned(), Value::list(mounts.split_whitespace()))].into();
    Ok(Outcome { id: spec.folder, outputs })
}
