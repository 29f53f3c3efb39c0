//! The same on the real program: clusters of provider `local` on this machine, nodes of model `loopback`.
//!
//! What exists is counted from outside: the processes of nodes, and the provider's own record of what it made.

use super::{
    dice::Dice,
    process::{self, How},
    tally::Tally,
    witness::{Broken, Fault},
};
use cloudtik_core::{
    Scope,
    state::{Snapshot, Store},
};
use cloudtik_redb::RedbStore;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const MOST: u64 = 12;
const KILLS: u64 = 3;
const DOCUMENTS: [&str; 2] = ["workspace.yaml", "cluster.yaml"];

struct Stage<'a> {
    program: &'a Path,
    folder: PathBuf,
    store: RedbStore,
    /// The states as they were last seen.
    seen: BTreeMap<Scope, Snapshot>,
    /// How long an apply or a destroy takes, start included.
    life: f64,
}

/// Tells stories until there were enough kills.
pub fn work(program: &Path, folder: &Path, mut dice: Dice, tally: &Tally) -> io::Result<()> {
    let mut life = 0.1;
    for story in 0.. {
        if !tally.wants_more() {
            break;
        }
        let folder = folder.join(story.to_string());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(DOCUMENTS[0]), "workspace_name: w\nprovider:\n  type: local\n")?;
        let store = RedbStore::new(folder.join("state"));
        let mut stage = Stage { program, folder: folder.clone(), store, seen: BTreeMap::new(), life };
        if let Err((broken, what)) = stage.story(&mut dice, tally)? {
            tally.broken(broken, &format!("{what}; kept in {}", folder.display()));
            // Its nodes go if they can; what is broken stays to be looked at.
            let _ = stage.command(false).output();
            continue;
        }
        life = stage.life;
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

impl Stage<'_> {
    fn story(&mut self, dice: &mut Dice, tally: &Tally) -> io::Result<Result<(), Fault>> {
        for edit in 0..2 + dice.below(3) {
            let workers = 1 + dice.below(MOST);
            fs::write(self.folder.join(DOCUMENTS[1]), cluster(workers))?;
            if let Err(fault) = self.action(true, dice, tally)? {
                return Ok(Err(fault));
            }
            tally.converged(if edit == 0 { "create" } else { "resize" });
            if let Err(fault) = self.is_whole(workers as usize + 1)? {
                return Ok(Err(fault));
            }
        }
        if let Err(fault) = self.action(false, dice, tally)? {
            return Ok(Err(fault));
        }
        tally.converged("destroy");
        self.is_gone()
    }

    /// Applies or destroys, with kills on the way.
    fn action(&mut self, apply: bool, dice: &mut Dice, tally: &Tally) -> io::Result<Result<(), Fault>> {
        let kills = 1 + dice.below(KILLS);
        for attempt in 0.. {
            let last = attempt == kills || !tally.wants_more();
            let limit = (!last).then(|| Duration::from_secs_f64(self.life * dice.fraction()));
            let ended = process::run(self.command(apply), limit, |_| {}, process::applies)?;
            tally.run(&ended);
            if let Err(fault) = self.inspect(tally)? {
                return Ok(Err(fault));
            }
            match ended.how {
                How::Killed => continue,
                How::Failed => return Ok(Err((Broken::Astray, ended.said))),
                How::Finished => {
                    self.life += (ended.took.as_secs_f64() - self.life) * 0.1;
                    break;
                }
            }
        }
        Ok(Ok(()))
    }

    fn command(&self, apply: bool) -> Command {
        let mut command = Command::new(self.program);
        command.current_dir(&self.folder).env("CLOUDTIK_STATE", self.folder.join("state"));
        command.env("CLOUDTIK_NODE_MODEL", "loopback").arg("--json");
        command.arg(if apply { "apply" } else { "destroy" }).args(DOCUMENTS).arg("--yes");
        if !apply {
            command.arg("--delete-managed-storage");
        }
        command
    }

    /// What a run left: states load and never go back, and every node is in one of them or in an open intent.
    fn inspect(&mut self, tally: &Tally) -> io::Result<Result<(), Fault>> {
        let scopes = [Scope::workspace("w"), Scope::cluster("w", "c")];
        for scope in &scopes {
            let read = self.store.check(scope).and_then(|()| self.store.read(scope));
            let read = match read {
                Ok(read) => read,
                Err(e) => return Ok(Err((Broken::Unreadable, e.to_string()))),
            };
            if let Some(before) = self.seen.get(scope) {
                let another = !before.lineage.is_empty() && before.lineage != read.lineage;
                if another || read.serial < before.serial || read.revision < before.revision {
                    return Ok(Err((
                        Broken::Lost,
                        format!("{scope} went back from entry {} to {}", before.serial, read.serial),
                    )));
                }
            }
            tally.open(read.open.len());
            self.seen.insert(scope.clone(), read);
        }
        let state = &self.seen[&scopes[1]];
        for (node, made) in self.nodes()? {
            let id = format!("w/{node}@{}", made["serial"]);
            let recorded = state.records.values().any(|r| r.id == id || r.deposed.values().any(|d| d.id == id));
            let opened = state.open.iter().any(|intent| made["made"]["operation"] == *intent.operation.0);
            if !recorded && !opened {
                return Ok(Err((Broken::Lost, format!("node {id} is neither in state nor in an open intent"))));
            }
        }
        Ok(Ok(()))
    }

    /// The nodes that the provider has made.
    fn nodes(&self) -> io::Result<serde_json::Map<String, Json>> {
        let record = match fs::read(self.folder.join("state/local/w/network.json")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(serde_json::Map::new()),
            other => other?,
        };
        let mut record: Json = serde_json::from_slice(&record)?;
        Ok(record["nodes"].as_object_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Once a run has finished: so many nodes, each alive once, and nothing is left to do.
    fn is_whole(&self, nodes: usize) -> io::Result<Result<(), Fault>> {
        let alive = self.daemons()?;
        let each: BTreeSet<&String> = alive.iter().collect();
        if each.len() < alive.len() || alive.len() > nodes || self.nodes()?.len() > nodes {
            return Ok(Err((Broken::Doubled, format!("{nodes} nodes were asked for, {alive:?} are alive"))));
        }
        if alive.len() < nodes || self.nodes()?.len() < nodes {
            return Ok(Err((Broken::Astray, format!("{nodes} nodes were asked for, {alive:?} are alive"))));
        }
        let mut plan = Command::new(self.program);
        plan.current_dir(&self.folder).env("CLOUDTIK_STATE", self.folder.join("state"));
        plan.env("CLOUDTIK_NODE_MODEL", "loopback").arg("plan").args(DOCUMENTS).arg("--detailed-exitcode");
        let output = plan.output()?;
        match output.status.code() {
            Some(0) => Ok(Ok(())),
            _ => Ok(Err((Broken::Astray, String::from_utf8_lossy(&output.stderr).into_owned()))),
        }
    }

    fn is_gone(&self) -> io::Result<Result<(), Fault>> {
        let (alive, local) = (self.daemons()?, self.folder.join("state/local/w"));
        let records = self.seen.values().map(|s| s.records.len() + s.open.len()).sum::<usize>();
        if !alive.is_empty() || local.exists() || records > 0 {
            let what = format!("after destroy {alive:?} are alive and {records} records are left");
            return Ok(Err((Broken::Lost, what)));
        }
        Ok(Ok(()))
    }

    /// The homes of the nodes whose daemon runs, sorted.
    fn daemons(&self) -> io::Result<Vec<String>> {
        let nodes = self.folder.join("state/local/w/nodes");
        let needle = format!("\"home\":\"{}", nodes.display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            // Processes come and go while they are listed.
            let Ok(command) = fs::read(entry?.path().join("cmdline")) else { continue };
            let command = String::from_utf8_lossy(&command).into_owned();
            if command.contains("__node-sshd")
                && let Some((_, rest)) = command.split_once(&needle)
            {
                found.push(rest.split('"').next().unwrap_or_default().to_owned());
            }
        }
        found.sort();
        Ok(found)
    }
}

fn cluster(workers: u64) -> String {
    format!(
        "cluster_name: c\nworkspace_name: w\nfrom: local/small\nprovider:\n  type: local\navailable_node_types:\n  \
         worker.default:\n    min_workers: {workers}\nruntime:\n  types: []\n"
    )
}
