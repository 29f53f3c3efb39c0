//! Fetches one published file of a Python package through pip, the ordinary client, with the user's own settings for it.
//!
//! pip builds a package's metadata after it has loaded a source archive, which takes longer than the load. The archive is
//! taken as soon as it is whole, and pip is ended; its checksum decides whether it is used.

use super::{
    debian,
    download::{self, Progress},
    ended_badly, environment, io, output,
};
use crate::manifest::Pypi;
use cloudtik_core::Failure;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// Brings `package.file` to `target`, working below `work`.
pub async fn fetch(package: &Pypi, work: &Path, target: &Path, progress: &Progress<'_>) -> Result<(), Failure> {
    let what = format!("fetch {}", package.file);
    let (temporary, kept) = (work.join("pip"), work.join("kept"));
    for folder in [&temporary, &kept] {
        fs::create_dir_all(folder).map_err(io(&what, folder))?;
    }
    let mut command = pip(work, progress).await?;
    let form = if package.file.ends_with(".whl") { "--only-binary=:all:" } else { "--no-binary=:all:" };
    command
        .args(["download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--quiet", form, "-d"])
        .arg(&kept)
        .arg(format!("{}=={}", package.package, package.version))
        .env("TMPDIR", &temporary);
    let mut child = download::spawn(&what, &mut command)?;
    let loading = || find(&temporary, &package.file, 2);
    let whole = |path: &Path, bytes: u64| bytes == package.size && fs::hard_link(path, target).is_ok();
    let status = progress.watch(&mut child, loading, whole).await.map_err(io(&what, work))?;
    match status {
        // It is whole: what pip would do with it now is not needed. It may have started helpers in its group.
        None => {
            if let Some(pid) = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
                // Already gone is as good.
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
            child.wait().await.map(drop).map_err(io(&what, work))
        }
        Some(status) if status.success() => {
            fs::rename(kept.join(&package.file), target).map_err(io(&what, &kept.join(&package.file)))
        }
        Some(_) => Err(ended_badly(&what, "pip", &download::errors(child).await)
            .hint("check the network and pip's settings, or put the file into CLOUDTIK_ARTIFACT_MIRROR")),
    }
}

fn find(folder: &Path, file: &str, depth: usize) -> Option<PathBuf> {
    let direct = folder.join(file);
    if direct.is_file() {
        return Some(direct);
    }
    let inner = fs::read_dir(folder).ok().filter(|_| depth > 0)?;
    inner.flatten().find_map(|entry| find(&entry.path(), file, depth - 1))
}

/// `python3 -m pip`; where the machine's Python has none, the one of the Debian package of pip's wheel.
async fn pip(work: &Path, progress: &Progress<'_>) -> Result<Command, Failure> {
    let what = "look for pip";
    if !download::has("python3") {
        return Err(environment(what, "python3 is not on this machine").hint("install python3, and run it again"));
    }
    let mut command = Command::new("python3");
    command.args(["-m", "pip"]);
    if output(what, Command::new("python3").args(["-m", "pip", "--version"])).await.is_err() {
        let (packages, tree) = (work.join("pip-packages"), work.join("pip-tree"));
        for folder in [&packages, &tree] {
            fs::create_dir_all(folder).map_err(io(what, folder))?;
        }
        let wanted = ["python3-pip-whl".to_owned()];
        debian::fetch(&wanted, &packages, &tree, progress.say).await?;
        let wheels = tree.join("usr/share/python-wheels");
        let wheel = super::unpack::matching(&wheels, "pip-*.whl")
            .ok_or_else(|| environment(what, "python3-pip-whl holds no wheel of pip").hint("install python3-pip"))?;
        command.env("PYTHONPATH", wheel);
    }
    Ok(command)
}
