//! What a disk does to a run, and what the run says about it: full, read-only, failing, and with damaged files on it.
//!
//! Disks of a test's own need root; without it those tests say that they are skipped.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use crate::bench::{Bench, Ran, WORKSPACE, ran};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// So many that a full disk has no room for all of them, however much was free inside the files of state.
const LATER: u16 = 6;

/// A service that starts after the one before it.
fn later(number: u16) -> String {
    let (before, port) = (if number == 1 { "gate".into() } else { format!("later-{}", number - 1) }, 8000 + number);
    format!(
        r#"      - name: later-{number}
        after: [{before}]
        command: [python3, -m, http.server, "{port}", --bind, "{{{{ node.ip }}}}"]
        ports: [{port}]
        ready: {{http: {{host: "{{{{ node.host }}}}", port: {port}, path: /}}}}
"#
    )
}

/// `gate` is ready once the file `go` is there; the others start one after the other after it. What they are told makes their
/// records large.
fn gated(bench: &Bench) {
    let (waiting, go) = (bench.path("waiting"), bench.path("go"));
    bench.write(
        "templates/gate/runtime.yaml",
        &format!(
            r#"
name: gate
summary: a service that waits
version: "1"
versions: {{"1": []}}
env: {{WORDS: "{words}"}}
roles:
  head:
    services:
      - name: gate
        command: [sh, -c, "touch {waiting}; until [ -e {go} ]; do sleep 0.02; done; exec python3 -m http.server 8000 --bind {{{{ node.ip }}}}"]
        ports: [8000]
        ready: {{http: {{host: "{{{{ node.host }}}}", port: 8000, path: /}}}}
{later}"#,
            words = "w".repeat(50_000),
            later = (1..=LATER).map(later).collect::<String>(),
            waiting = waiting.display(),
            go = go.display()
        ),
    );
    bench.write(
        "cluster.yaml",
        "cluster_name: bare\nworkspace_name: demo\nfrom: local/small\nprovider:\n  type: local\n\
         available_node_types:\n  worker.default:\n    min_workers: 0\nruntime:\n  types: [gate]\n",
    );
}

fn command(bench: &Bench, line: &str) -> Command {
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = bench.command(&args);
    command.env("CLOUDTIK_USER_TEMPLATES", bench.path("templates"));
    command
}

fn run(bench: &mut Bench, line: &str) -> Ran {
    let ran = ran(command(bench, line).output().unwrap());
    note(bench, line, &ran);
    ran
}

/// Writes a command down: of what it wrote about its work, how that ended. The plan before is not what this is about.
fn note(bench: &mut Bench, line: &str, ran: &Ran) {
    let ends = |line: &str| ["Done:", "Not finished:", "error["].iter().any(|end| line.starts_with(end));
    // How far it comes depends on how much was free inside the files of state.
    let counted = |line: &str| match line.strip_prefix("Not finished: ") {
        Some(_) => "Not finished: [COUNTS]".into(),
        None => line.to_owned(),
    };
    let stderr: Vec<String> = ran.stderr.lines().skip_while(|line| !ends(line)).map(counted).collect();
    bench.note(line, &Ran { stderr: stderr.join("\n"), stdout: ran.stdout.clone(), code: ran.code });
}

/// An apply that stands at the gate, with everything before it recorded.
fn at_the_gate(bench: &Bench) -> Child {
    let mut apply = command(bench, "apply . -y");
    let child = apply.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    let recorded = || {
        let output = command(bench, "state list cluster/demo/bare").output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("created, not ready")
    };
    while !bench.path("waiting").exists() || !recorded() {
        assert!(since.elapsed() < Duration::from_secs(60), "the gate is not reached within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn pass_the_gate(bench: &mut Bench, child: Child) -> Ran {
    bench.write("go", "");
    let ran = ran(child.wait_with_output().unwrap());
    note(bench, "apply . -y", &ran);
    ran
}

/// A file system of a test's own under the state folder. Nodes live beside it, so that only state is on it.
struct Disk {
    at: PathBuf,
    image: Option<PathBuf>,
}

fn system(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

impl Disk {
    fn mounted(bench: &Bench, what: &str, image: Option<PathBuf>, args: &[&str]) -> Option<Disk> {
        let at = bench.path("state");
        fs::create_dir_all(&at).unwrap();
        fs::create_dir_all(bench.path("nodes")).unwrap();
        let mounted = system("mount", &[args, &[at.to_str().unwrap()]].concat());
        if !mounted {
            eprintln!("SKIPPED: {what} cannot be mounted: that needs root");
            return None;
        }
        let disk = Disk { at, image };
        disk.beside(bench);
        Some(disk)
    }

    fn beside(&self, bench: &Bench) {
        symlink(bench.path("nodes"), self.at.join("local")).unwrap();
    }

    fn memory(bench: &Bench, size: &str) -> Option<Disk> {
        Disk::mounted(bench, "a disk in memory", None, &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
    }

    /// One that can fail.
    fn image(bench: &Bench) -> Option<Disk> {
        let image = bench.path("image");
        fs::File::create(&image).unwrap().set_len(24 << 20).unwrap();
        let text = image.to_str().unwrap();
        if !system("mkfs.ext4", &["-q", "-F", text]) {
            eprintln!("SKIPPED: this machine has no mkfs.ext4");
            return None;
        }
        Disk::mounted(bench, "an image of a disk", Some(image.clone()), &["-o", "loop", text])
    }

    fn remount(&self, option: &str) {
        assert!(system("mount", &["-o", &format!("remount,{option}"), self.at.to_str().unwrap()]), "{option}");
    }

    /// Mounts it anew after a failure, as after a repair of the disk.
    fn mend(&self) {
        let (image, at) = (self.image.as_ref().unwrap().to_str().unwrap(), self.at.to_str().unwrap());
        assert!(system("umount", &[at]));
        // 1: errors were corrected.
        let checked = Command::new("fsck.ext4").args(["-y", image]).output().unwrap().status.code();
        assert!(matches!(checked, Some(0 | 1)), "{checked:?}");
        assert!(system("mount", &["-o", "loop", image, at]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = system("umount", &[self.at.to_str().unwrap()]);
        assert!(unmounted || std::thread::panicking(), "{} stays mounted", self.at.display());
    }
}

/// While there is a disk of its own below: nodes end before it does.
fn destroyed(bench: &Bench) {
    let ran = ran(command(bench, "destroy . -y --delete-managed-storage").output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn what_runs_when_the_disk_fills_up_is_recorded_and_the_same_command_goes_on() {
    let mut bench = Bench::new();
    gated(&bench);
    let Some(disk) = Disk::memory(&bench, "12m") else { return };
    let child = at_the_gate(&bench);
    let ballast = disk.at.join("ballast");
    let full = fs::write(&ballast, vec![0; 16 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    bench.remark("the disk fills up");
    assert_eq!(pass_the_gate(&mut bench, child).code, 4);
    let listed = bench.quiet("state list cluster/demo/bare").stdout;
    assert!(listed.contains("service.head/gate") && !listed.contains(&format!("later-{LATER}")), "{listed}");
    run(&mut bench, "state check");
    run(&mut bench, "apply . -y");
    bench.remark("there is room again");
    fs::remove_file(&ballast).unwrap();
    assert_eq!(run(&mut bench, "apply . -y").code, 0);
    assert_eq!(run(&mut bench, "plan . --detailed-exitcode").code, 0);
    destroyed(&bench);
    drop(disk);
    bench.compare("disk-full");
}

#[test]
fn a_read_only_disk_is_read_and_refuses_changes_before_anything_is_touched() {
    let mut bench = Bench::new();
    let Some(disk) = Disk::memory(&bench, "12m") else { return };
    bench.remark("before there is any state");
    disk.remount("ro");
    bench.run("plan workspace.yaml");
    bench.run("apply workspace.yaml -y");
    assert!(!bench.path("nodes/demo").exists(), "nothing is made that could not be recorded");
    disk.remount("rw");
    bench.must("apply workspace.yaml -y");
    bench.remark("with state");
    disk.remount("ro");
    bench.write("workspace.yaml", crate::bench::EDITED);
    bench.run("plan workspace.yaml");
    bench.run("apply workspace.yaml -y");
    bench.run("state check");
    bench.run("state repair workspace/demo");
    bench.run("destroy workspace.yaml -y");
    bench.remark("for writing again");
    disk.remount("rw");
    bench.run("apply workspace.yaml -y");
    assert_eq!(bench.run("plan workspace.yaml --detailed-exitcode").code, 0);
    destroyed(&bench);
    drop(disk);
    bench.compare("disk-read-only");
}

/// The system makes a disk read-only over its failure, under a run that writes to it.
#[test]
fn a_disk_that_fails_in_mid_apply_loses_nothing() {
    let mut bench = Bench::new();
    gated(&bench);
    let Some(disk) = Disk::image(&bench) else { return };
    let child = at_the_gate(&bench);
    bench.remark("the disk fails");
    disk.remount("abort");
    let failed = pass_the_gate(&mut bench, child);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    run(&mut bench, "state check");
    run(&mut bench, "plan .");
    bench.remark("it is mended");
    disk.mend();
    run(&mut bench, "state check");
    assert_eq!(run(&mut bench, "apply . -y").code, 0);
    assert_eq!(run(&mut bench, "plan . --detailed-exitcode").code, 0);
    destroyed(&bench);
    drop(disk);
    bench.compare("disk-fails");
}

/// Whatever happens to a state file, a plan is the right one or names the damage, and the repair that it names mends it.
#[test]
fn damage_is_named_and_what_is_named_mends_it() {
    let bench = Bench::new();
    bench.write("workspace.yaml", WORKSPACE);
    bench.must("apply workspace.yaml -y");
    let (folder, kept) = (bench.path("state/demo"), bench.path("kept"));
    copy(&folder, &kept);
    let file = folder.join("workspace.redb");
    let whole = fs::read(&file).unwrap();
    let cut = |len: usize| (format!("cut to {len} bytes"), whole[..len].to_vec());
    let flip = |bit: usize| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (format!("bit {bit} flipped"), bytes)
    };
    let lengths = [0, 1, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1];
    // Of the head of the file every byte counts; then one bit in each so many pages, at ever other places of them.
    let bits =
        (0..16).map(|n| n * 37).chain((1..whole.len() / 4096).step_by(7).map(|page| (page * 4096 + page % 4096) * 8));
    let mut found = 0;
    for (what, bytes) in lengths.map(cut).into_iter().chain(bits.map(flip)) {
        fs::remove_dir_all(&folder).unwrap();
        copy(&kept, &folder);
        fs::write(&file, &bytes).unwrap();
        let plan = bench.quiet("plan workspace.yaml --detailed-exitcode");
        let said = plan.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        if plan.code == 0 {
            assert!(plan.stdout.starts_with("No changes. 6 resources"), "{what}: {}", plan.stdout);
            continue;
        }
        found += 1;
        assert_eq!(plan.code, 1, "{what}: {}{said}", plan.stdout);
        assert!(said.contains("is damaged") && said.contains("workspace.redb"), "{what}: {said}");
        assert!(said.contains("`cloudtik state repair workspace/demo`"), "{what}: {said}");
        assert_eq!(bench.quiet("state check").code, 1, "{what}");
        assert_eq!(bench.quiet("apply workspace.yaml -y").code, 1, "{what}");
        bench.must("state repair workspace/demo");
        bench.must("state check");
        bench.must("plan workspace.yaml --detailed-exitcode");
    }
    assert!(found >= lengths.len(), "{found}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
