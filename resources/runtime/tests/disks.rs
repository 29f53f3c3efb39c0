//! Data disks, on loop devices where this machine allows them.
//!
//! Without loop devices (no root, or a sandbox) there is nothing to format: the tests say so and end.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_core::{
    Address, Declaration, Scope, Value,
    provider::{Health, Presence},
};
use serde_json::json;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};
use support::{LocalConnector, World, runtime};

/// Runs a program; what it printed, `None` when it failed.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Loop devices over files, given back when it is dropped.
struct Machine {
    root: tempfile::TempDir,
    /// In order of their names.
    devices: Vec<String>,
    world: World,
}

impl Machine {
    /// `None` where this machine has no loop devices for us.
    fn new(count: usize) -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let world = World::new(runtime(&root.path().join("cache"), Arc::new(LocalConnector::default()), None));
        let mut machine = Machine { root, devices: Vec::new(), world };
        for number in 0..count {
            let file = machine.path(&format!("disk{number}"));
            fs::File::create(&file).unwrap().set_len(16 << 20).unwrap();
            machine.devices.push(run("losetup", &["-f", "--show", file.to_str().unwrap()])?);
        }
        machine.devices.sort_by_key(|d| d.trim_start_matches("/dev/loop").parse::<u32>().unwrap());
        Some(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn place(&self, number: usize) -> String {
        self.path(&format!("mnt/data_disk_{number}")).display().to_string()
    }

    fn declare(&self, count: usize) -> Declaration {
        let names: Vec<&str> = self.devices.iter().map(|d| d.trim_start_matches("/dev/")).collect();
        let attributes = json!({
            "connection": {"via": "test"}, "count": count, "folder": self.path("mnt").display().to_string(),
            "fstab": self.path("fstab").display().to_string(), "devices": names.join(" "), "wait_seconds": 0,
        });
        Declaration::new(address(), &cloudtik_runtime::name(), Value::from(attributes).as_map().unwrap().clone())
    }

    fn mounted(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string("/proc/self/mounts").unwrap();
        let all = text.lines().map(|line| line.split(' ').map(String::from).collect::<Vec<_>>());
        all.filter(|words| self.devices.contains(&words[0])).map(|words| (words[0].clone(), words[1].clone())).collect()
    }

    fn unmount(&self) {
        for (_, place) in self.mounted() {
            run("umount", &[&place]).unwrap();
        }
    }

    fn uuid(&self, at: usize) -> String {
        run("blkid", &["-p", "-o", "value", "-s", "UUID", &self.devices[at]]).unwrap()
    }

    fn fstab(&self) -> String {
        fs::read_to_string(self.path("fstab")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for (_, place) in self.mounted() {
            let _ = run("umount", &[&place]);
        }
        for device in &self.devices {
            let _ = run("losetup", &["-d", device]);
        }
    }
}

fn address() -> Address {
    Address::new(Scope::cluster("w", "c"), "disks", "head/data")
}

#[allow(clippy::print_stderr, reason = "a test that tests nothing says so")]
fn machine(count: usize) -> Option<Machine> {
    let machine = Machine::new(count);
    if machine.is_none() {
        eprintln!("this machine has no loop devices for us: nothing is tested");
    }
    machine
}

#[tokio::test]
async fn blank_disks_are_formatted_once_and_keep_their_places() {
    let Some(mut machine) = machine(2) else { return };
    fs::write(machine.path("fstab"), "UUID=root / ext4 defaults 0 1\n").unwrap();
    let disks = machine.declare(2);
    machine.world.apply(&disks).await.unwrap();
    let places = [machine.place(1), machine.place(2)];
    let expected: Vec<_> = machine.devices.iter().cloned().zip(places.clone()).collect();
    assert_eq!(machine.mounted(), expected);
    assert_eq!(machine.world.records[&address()].outputs["mounts"], Value::list(&places));
    let uuids = [machine.uuid(0), machine.uuid(1)];
    let fstab = format!(
        "UUID=root / ext4 defaults 0 1\nUUID={} {} ext4 defaults,nofail 0 2\nUUID={} {} ext4 defaults,nofail 0 2\n",
        uuids[0], places[0], uuids[1], places[1]
    );
    assert_eq!(machine.fstab(), fstab);
    fs::write(format!("{}/data", places[1]), "kept").unwrap();

    machine.world.apply(&disks).await.unwrap();
    assert_eq!((machine.mounted(), machine.fstab()), (expected.clone(), fstab.clone()));

    // As after a start of the machine without its fstab, the devices in another order.
    machine.unmount();
    let Presence::Present { healthy: Health::Broken(why), .. } = machine.world.refresh(&address()).await else {
        panic!("nothing is mounted")
    };
    assert_eq!(why, "not mounted: disk 1, 2");
    let turned = fs::read_to_string(machine.path("fstab")).unwrap();
    let turned: Vec<&str> = turned.lines().rev().collect();
    fs::write(machine.path("fstab"), turned.join("\n") + "\n").unwrap();
    machine.world.apply(&disks).await.unwrap();
    assert_eq!(machine.mounted(), expected);
    assert_eq!(fs::read_to_string(format!("{}/data", places[1])).unwrap(), "kept");
    assert!(matches!(machine.world.refresh(&address()).await, Presence::Present { healthy: Health::Ok, .. }));

    machine.world.delete(&address()).await.unwrap();
    assert_eq!(machine.mounted(), expected, "what is on disks is never taken away");
}

/// One Linux partition from sector 2048 on, in the form of DOS.
fn partition_table() -> Vec<u8> {
    let mut sector = vec![0; 512];
    let entry = [0, 0, 2, 0, 0x83, 0, 2, 0, 0, 8, 0, 0, 0, 16, 0, 0];
    sector[446..462].copy_from_slice(&entry);
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    sector
}

#[tokio::test]
async fn a_disk_that_holds_anything_is_left_alone() {
    let Some(mut machine) = machine(4) else { return };
    // A file system of somebody else's, a swap area, a partition table, and one blank disk.
    run("mkfs.ext4", &["-q", "-L", "precious", &machine.devices[0]]).unwrap();
    run("mkswap", &[&machine.devices[1]]).unwrap();
    fs::write(&machine.devices[2], partition_table()).unwrap();
    let before: Vec<Vec<u8>> = (0..3).map(|n| fs::read(&machine.devices[n]).unwrap()).collect();

    let failure = machine.world.apply(&machine.declare(2)).await.unwrap_err();
    assert!(failure.message.contains("only 1 of 2 data disks"), "{failure}");
    assert!(failure.message.contains(&format!("{} holds ext4", machine.devices[0])), "{failure}");
    assert!(machine.mounted().is_empty() && machine.fstab().is_empty(), "nothing is begun that cannot be ended");

    machine.world.apply(&machine.declare(1)).await.unwrap();
    assert_eq!(machine.mounted(), [(machine.devices[3].clone(), machine.place(1))]);
    for (at, content) in before.iter().enumerate() {
        assert!(fs::read(&machine.devices[at]).unwrap() == *content, "{} was written", machine.devices[at]);
    }
}

#[tokio::test]
async fn a_run_that_was_cut_off_after_formatting_goes_on_with_the_same_disk() {
    let Some(mut machine) = machine(2) else { return };
    // The second one was formatted, and nothing else was done.
    run("mkfs.ext4", &["-q", "-L", "cloudtik", &machine.devices[1]]).unwrap();
    let uuid = machine.uuid(1);
    machine.world.apply(&machine.declare(2)).await.unwrap();
    assert_eq!(machine.uuid(1), uuid);
    assert_eq!(machine.mounted().len(), 2);
    assert!(machine.fstab().contains(&format!("UUID={uuid} {}", machine.place(1))));
}
