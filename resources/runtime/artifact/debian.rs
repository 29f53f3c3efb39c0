//! Brings Debian packages, and those of their dependencies that the machine lacks, without root and without installing
//! anything: apt names and verifies them, dpkg-deb unpacks them.

use super::{Say, download, environment, io, output};
use cloudtik_core::Failure;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};
use tokio::process::Command;

/// Unpacks packages into `tree`. `work` takes the downloads, and a package index of our own when the machine has none.
pub async fn fetch(packages: &[String], work: &Path, tree: &Path, say: Say<'_>) -> Result<(), Failure> {
    let what = "fetch Debian packages";
    if !download::has("apt-get") || !download::has("dpkg-deb") {
        let hint = format!("install {} by hand", packages.join(" and "));
        return Err(environment(what, "this machine has no apt-get").hint(hint));
    }
    let debs = work.join("debs");
    fs::create_dir_all(&debs).map_err(io(what, &debs))?;
    let mut options = vec!["-oAPT::Sandbox::User=root".to_owned()];
    if load(packages, &options, &debs, say).await.is_err() {
        say("loading the package index");
        options.extend(own_index(work).map_err(io(what, work))?);
        output(what, Command::new("apt-get").args(&options).arg("update")).await?;
        load(packages, &options, &debs, say).await?;
    }
    for deb in fs::read_dir(&debs).map_err(io(what, &debs))? {
        let deb = deb.map_err(io(what, &debs))?.path();
        output(what, Command::new("dpkg-deb").arg("-x").args([&deb, tree])).await?;
    }
    repoint(tree, tree).map_err(io(what, tree))
}

async fn load(packages: &[String], options: &[String], debs: &Path, say: Say<'_>) -> Result<(), Failure> {
    let names = choose(packages, options).await?;
    say(&format!("fetching {} Debian packages", names.len()));
    let mut download = Command::new("apt-get");
    download.args(options).args(["download", "-q"]).args(&names).current_dir(debs);
    output("fetch Debian packages", &mut download).await.map(drop)
}

/// Settings that keep apt's index and locks in a folder of ours, for a machine whose own index is empty.
fn own_index(work: &Path) -> std::io::Result<Vec<String>> {
    let root = work.join("apt");
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let root = root.display();
    Ok(vec![format!("-oDir::State::lists={root}/lists"), format!("-oDir::Cache={root}")])
}

/// For each entry its first alternative that can be had, with every package that would be installed along with it.
async fn choose(packages: &[String], options: &[String]) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for alternatives in packages {
        let mut last = Err(environment("choose Debian packages", format!("`{alternatives}` names none")));
        for name in alternatives.split('|').map(str::trim) {
            last = simulate(name, options).await;
            if last.is_ok() {
                break;
            }
        }
        names.extend(last?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

async fn simulate(name: &str, options: &[String]) -> Result<Vec<String>, Failure> {
    let mut command = Command::new("apt-get");
    command.args(options).args(["install", "-s", "--no-install-recommends", name]).env("LC_ALL", "C");
    let output = output(&format!("look for the Debian package {name}"), &mut command).await?;
    let mut names = missing(&String::from_utf8_lossy(&output.stdout));
    names.push(name.to_owned());
    Ok(names)
}

/// The packages of `Inst name (…)` lines.
fn missing(simulation: &str) -> Vec<String> {
    let names = simulation.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    names.map(String::from).collect()
}

/// Makes absolute links whose target came along point at it, wherever the tree is moved to.
fn repoint(root: &Path, folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            repoint(root, &path)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path)?;
            if let Ok(inside) = target.strip_prefix("/")
                && fs::symlink_metadata(root.join(inside)).is_ok()
            {
                fs::remove_file(&path)?;
                symlink(climb(root, &path).join(inside), &path)?;
            }
        }
    }
    Ok(())
}

/// `..` as often as `path`'s folder lies below `root`.
fn climb(root: &Path, path: &Path) -> PathBuf {
    let below = path.strip_prefix(root).unwrap_or(path).components().count();
    std::iter::repeat_n(Component::ParentDir, below.saturating_sub(1)).collect()
}

/// The folders of shared libraries in a tree, for `LD_LIBRARY_PATH`.
pub fn libraries(tree: &Path) -> String {
    let mut folders = Vec::new();
    for pattern in ["usr/lib/*-linux-gnu*", "lib/*-linux-gnu*"] {
        folders.extend(super::unpack::matching(tree, pattern).map(|path| path.display().to_string()));
    }
    folders.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_links_follow_the_tree_and_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        let conf = tree.join("usr/lib/jvm/java/conf");
        fs::create_dir_all(tree.join("etc/java")).unwrap();
        fs::create_dir_all(conf.parent().unwrap()).unwrap();
        fs::write(tree.join("etc/java/security"), "yes").unwrap();
        symlink("/etc/java", &conf).unwrap();
        symlink("/nowhere/at-all", tree.join("usr/other")).unwrap();
        repoint(&tree, &tree).unwrap();
        let moved = root.path().join("moved");
        fs::rename(&tree, &moved).unwrap();
        assert_eq!(fs::read_to_string(moved.join("usr/lib/jvm/java/conf/security")).unwrap(), "yes");
        assert_eq!(fs::read_link(moved.join("usr/other")).unwrap(), Path::new("/nowhere/at-all"));
    }

    #[test]
    fn the_simulation_names_what_the_machine_lacks() {
        let text = "Reading...\nInst libfoo1 (1.0 Debian:12 [amd64])\nInst java-common (0.74)\nConf libfoo1 (1.0)\n";
        assert_eq!(missing(text), ["libfoo1", "java-common"]);
    }
}
