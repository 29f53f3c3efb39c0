//! The same question put to `terraform`, where there is one: what its local state is after a SIGKILL in mid-apply.
//!
//! As many `terraform_data` as the engine's documents have objects, in the shapes that have edges; `apply` from nothing,
//! killed at a uniformly random instant of its life; then the state file is parsed and compared with what was said to be
//! complete. Runs that were killed before anything was complete are not counted.

use super::{
    dice::Dice,
    document::{Document, Shape},
};
use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    fmt::Write,
    fs, io,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[derive(Default)]
pub struct Counted {
    /// With at least one object complete.
    pub kills: usize,
    /// Empty, or no JSON.
    pub unreadable: usize,
    /// Readable, but without objects that were reported complete.
    pub lost: usize,
    pub seconds: f64,
}

/// `None` where there is no terraform.
pub fn work(folder: &Path, kills: usize, objects: usize, mut dice: Dice) -> io::Result<Option<Counted>> {
    if !Command::new("terraform").arg("version").output().is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let started = Instant::now();
    let mut counted = Counted::default();
    let mut lives = [0.0; 2];
    for run in 0.. {
        let which = run % 2;
        let home = folder.join(run.to_string());
        fs::create_dir_all(&home)?;
        fs::write(home.join("main.tf"), document([Shape::Tree, Shape::Layers][which], objects))?;
        let init = Command::new("terraform").args(["init", "-no-color"]).current_dir(&home).output()?;
        if !init.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&init.stderr).into_owned()));
        }
        if lives[which] == 0.0 {
            // The first of each shape is left alone.
            lives[which] = apply(&home, None)?.1.as_secs_f64();
        } else {
            let instant = Duration::from_secs_f64(lives[which] * dice.fraction());
            judge(&home, &apply(&home, Some(instant))?.0, &mut counted);
        }
        fs::remove_dir_all(home)?;
        if counted.kills >= kills || run >= 4 * kills + 10 {
            break;
        }
    }
    counted.seconds = started.elapsed().as_secs_f64();
    Ok(Some(counted))
}

fn document(shape: Shape, objects: usize) -> String {
    let mut text = String::new();
    for (i, uses) in Document::new(shape, objects).edges().into_iter().enumerate() {
        let uses: Vec<String> = uses.iter().map(|on| format!("terraform_data.t{on}.id")).collect();
        writeln!(text, "resource \"terraform_data\" \"t{i}\" {{ input = [{}] }}", uses.join(", ")).expect("text grows");
    }
    text
}

/// What it said, and how long it lasted.
fn apply(home: &Path, limit: Option<Duration>) -> io::Result<(String, Duration)> {
    let said = fs::File::create(home.join("said"))?;
    let started = Instant::now();
    let mut child = Command::new("terraform")
        .args(["apply", "-auto-approve", "-no-color"])
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(said)
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(limit) = limit {
        std::thread::sleep(limit);
        child.kill()?;
    }
    child.wait()?;
    Ok((String::from_utf8_lossy(&fs::read(home.join("said"))?).into_owned(), started.elapsed()))
}

fn judge(home: &Path, said: &str, counted: &mut Counted) {
    let complete: BTreeSet<&str> =
        said.lines().filter_map(|line| line.split_once(": Creation complete").map(|(name, _)| name)).collect();
    if complete.is_empty() || said.contains("Apply complete!") {
        return;
    }
    counted.kills += 1;
    let state = fs::read(home.join("terraform.tfstate")).unwrap_or_default();
    let Ok(state) = serde_json::from_slice::<Json>(&state) else {
        counted.unreadable += 1;
        return;
    };
    let resources = state["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |r: &Json| format!("terraform_data.{}", r["name"].as_str().unwrap_or_default());
    let recorded: BTreeSet<String> = resources.iter().map(name).collect();
    counted.lost += usize::from(complete.iter().any(|name| !recorded.contains(*name)));
}
