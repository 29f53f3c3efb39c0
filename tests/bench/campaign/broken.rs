//! The same broken disk under the real program: what it says, and how it exits.
//!
//! A workspace of provider `local` is made, and changed; the operations on its state fail in turn. The exit code is that of the
//! table; a failure says where, why and what to do; `state check` finds nothing wrong afterwards; and the same command, given
//! again on a whole disk, leaves nothing to plan.

use super::{
    process::{self, Ended, How},
    scenario::Table,
    trace::{self, Blow, Watch},
    witness::{Broken, Fault},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const WORKSPACE: &str = "workspace_name: w\nprovider:\n  type: local\n";
const CHANGED: &str = "workspace_name: w\nprovider:\n  type: local\n  allow_internal: false\n";

struct Place<'a> {
    program: &'a Path,
    folder: PathBuf,
}

/// Whether nothing was broken.
pub fn run(program: &Path, every: usize) -> io::Result<bool> {
    let scratch = tempfile::Builder::new().prefix("broken-").tempdir()?;
    let (mut table, mut broken) = (Table::default(), 0);
    for changes in [false, true] {
        let start = Place { program, folder: scratch.path().join("start") };
        let (_, operations) = start.begin(changes)?.strike(None)?;
        let mut by_name = BTreeMap::<String, Vec<usize>>::new();
        operations.into_iter().enumerate().for_each(|(at, name)| by_name.entry(name).or_default().push(at));
        if by_name.is_empty() {
            return Err(io::Error::other(
                "no operation on a file was seen: this system does not let processes be traced",
            ));
        }
        for (name, all) in by_name {
            for (blow, named) in
                [(Blow::Fails, format!("once {name}")), (Blow::FailsFromThere, format!("from {name} on"))]
            {
                table.listed(&named, all.len());
                for at in all.iter().step_by(every) {
                    let place = Place { program, folder: scratch.path().join("trial") };
                    match place.begin(changes)?.meets((*at, blow))? {
                        Ok(true) => table.tried(&named),
                        Ok(false) => {}
                        Err((kind, what)) => {
                            broken += 1;
                            eprintln!("{kind:?}: the program, {named} ({at}, {changes}): {what}");
                        }
                    }
                }
            }
        }
    }
    let (points, tried) = table.sum();
    println!("the program: {points} points, {tried} tried, {broken} broken");
    let missed = table.missed(&[]);
    missed.iter().for_each(|name| eprintln!("the program: {name} was not tried"));
    Ok(broken == 0 && missed.is_empty())
}

impl Place<'_> {
    /// In an empty folder, with what there is before.
    fn begin(self, changes: bool) -> io::Result<Self> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&self.folder)?;
        let document = self.folder.join("workspace.yaml");
        fs::write(&document, WORKSPACE)?;
        if changes {
            let made = self.command(&["apply", "workspace.yaml", "--yes"]).output()?;
            if !made.status.success() {
                return Err(io::Error::other(printed(&made)));
            }
            fs::write(&document, CHANGED)?;
        }
        Ok(self)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(args).current_dir(&self.folder).env("CLOUDTIK_STATE", self.folder.join("state"));
        command.env("CLOUDTIK_NODE_MODEL", "loopback").env("NO_COLOR", "1").env("COLUMNS", "1000");
        command.env("HOME", &self.folder).env_remove("RUST_BACKTRACE");
        command
    }

    /// The state of the workspace; what the provider keeps is beside it.
    fn state(&self) -> PathBuf {
        self.folder.join("state/w")
    }

    fn strike(&self, blow: Option<(usize, Blow)>) -> io::Result<(Ended, Vec<String>)> {
        let command = self.command(&["apply", "workspace.yaml", "--yes"]);
        trace::run(command, process::nothing, &self.state(), Watch::All, blow)
    }

    fn meets(&self, blow: (usize, Blow)) -> io::Result<Result<bool, Fault>> {
        let (seen, operations) = self.strike(Some(blow))?;
        let said = seen.said.trim();
        let astray = |what: &str| Ok(Err((Broken::Astray, format!("{what}: {said}"))));
        let cause = io::Error::from_raw_os_error(libc::EIO).to_string();
        let told =
            ["error[", "hint: ", &*self.state().to_string_lossy(), &*cause].iter().all(|part| said.contains(part));
        match (seen.how, seen.code) {
            (How::Finished, _) => {}
            (How::Failed, Some(1)) if told => {}
            (How::Failed, Some(1)) => return astray("it does not say where, why and what to do"),
            (_, code) => return astray(&format!("it exits with {code:?}")),
        }
        for args in [
            &["state", "check"][..],
            &["apply", "workspace.yaml", "--yes"],
            &["plan", "workspace.yaml", "--detailed-exitcode"],
        ] {
            let output = self.command(args).output()?;
            if !output.status.success() {
                let what =
                    format!("then {} exits with {:?}: {}", args.join(" "), output.status.code(), printed(&output));
                return Ok(Err((Broken::Astray, format!("{what}; it had said: {said}"))));
            }
        }
        Ok(Ok(operations.len() > blow.0))
    }
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).trim().into()
}
