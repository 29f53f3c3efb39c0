//! The program with its state in `sled`: the same commands, another word before the folder.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

const WORKSPACE: &str = "workspace_name: demo\nprovider:\n  type: local\n";

struct Machine(TempDir);

impl Machine {
    fn new(document: &str) -> Self {
        let home = tempfile::Builder::new().prefix("ctk-").tempdir_in("/tmp").unwrap();
        std::fs::write(home.path().join("workspace.yaml"), document).unwrap();
        Machine(home)
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtik"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.0.path()).env("USER", "ada");
        command.env("CLOUDTIK_NODE_MODEL", "loopback").output().unwrap()
    }

    #[track_caller]
    fn must(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.run(line);
        assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }
}

fn files(folder: &Path, name: &str) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let count = |path: std::path::PathBuf| usize::from(path.ends_with(name)) + files(&path, name);
    entries.map(count).sum()
}

/// The document names the place; a relative one starts at the document.
#[test]
fn a_document_may_keep_its_state_in_sled() {
    let machine = Machine::new(&format!("{WORKSPACE}state: sled:kept\n"));
    machine.must("apply workspace.yaml -y");
    machine.must("plan workspace.yaml --detailed-exitcode");
    let list = machine.must("state list --state sled:kept");
    assert!(list.contains("network.main"), "{list}");
    assert!(machine.must("state check --state sled:kept").contains("Whole: workspace/demo"));
    let place = machine.must("workspace info workspace.yaml");
    assert!(place.contains(&format!("sled:{}", machine.0.path().join("kept").display())), "{place}");
    assert_eq!((files(machine.0.path(), "tree/db"), files(machine.0.path(), "workspace.redb")), (1, 0));
    machine.must("destroy workspace.yaml -y --delete-managed-storage");
    assert_eq!(machine.must("state list --state sled:kept").trim(), "workspace/demo holds no resources.");
}

/// From a folder to `sled` in that folder and back, both ways with an empty plan after it and the same history.
#[test]
fn state_moves_to_sled_and_back() {
    let machine = Machine::new(WORKSPACE);
    machine.must("apply workspace.yaml -y --state kept");
    let history = machine.must("history workspace.yaml --state kept");
    machine.must("state migrate kept sled:kept -y");
    machine.must("plan workspace.yaml --detailed-exitcode --state sled:kept");
    assert_eq!(machine.must("history workspace.yaml --state sled:kept"), history);
    let refused = machine.run("plan workspace.yaml --state kept");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--state sled:"), "{said}");
    machine.must("state migrate sled:kept kept -y");
    machine.must("plan workspace.yaml --detailed-exitcode --state kept");
    machine.must("destroy workspace.yaml -y --delete-managed-storage --state kept");
}

/// What `sled` makes of it, an error or a panic, is damage with a way out, and no bug.
#[test]
fn a_tree_that_was_cut_short_is_damage_and_can_be_repaired() {
    let machine = Machine::new(&format!("{WORKSPACE}state: sled:kept\n"));
    machine.must("apply workspace.yaml -y");
    let tree = machine.0.path().join("kept/demo/workspace.sled/tree/db");
    let file = std::fs::OpenOptions::new().write(true).open(tree).unwrap();
    file.set_len(file.metadata().unwrap().len() / 3).unwrap();
    let broken = machine.run("state check --state sled:kept");
    let said = String::from_utf8_lossy(&broken.stderr).into_owned() + &String::from_utf8_lossy(&broken.stdout);
    assert!(!broken.status.success() && said.contains("cloudtik state repair workspace/demo"), "{said}");
    assert!(!said.contains("bug"), "{said}");
    machine.must("state repair workspace/demo --state sled:kept");
    machine.must("plan workspace.yaml --detailed-exitcode");
}
