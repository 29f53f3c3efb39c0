//! Checks and unpacks archives. Nothing outside the target folder is ever written.

use super::{environment, store::wrong_checksum};
use crate::manifest::Part;
use cloudtik_core::Failure;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Component, Path, PathBuf},
    thread,
};

/// Unpacks `parts` of a `.tar.gz` into `tree` while the checksum is computed beside it; any other file is copied as it is.
///
/// `tree` is of no use when this fails.
pub async fn checked(archive: &Path, sha256: &str, parts: &[Part], tree: &Path) -> Result<(), Failure> {
    let (archive, sha256, parts, tree) = (archive.to_owned(), sha256.to_owned(), parts.to_vec(), tree.to_owned());
    let what = format!("unpack {}", archive.display());
    let work = move || {
        let (found, unpacked) = thread::scope(|scope| {
            let sum = scope.spawn(|| self::sha256(&archive));
            let unpacked = unpack(&archive, &parts, &tree);
            (sum.join().expect("hashing does not panic"), unpacked)
        });
        let found = found.map_err(|e| environment(&what, e.to_string()))?;
        if found != sha256 {
            return Err(wrong_checksum(&archive, &sha256, &found));
        }
        unpacked.map_err(|e| environment(&what, e.to_string()))
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| environment("unpack an archive", e.to_string()))?
}

/// The SHA-256 of a file as lower-case hex.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn unpack(archive: &Path, parts: &[Part], tree: &Path) -> io::Result<()> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !(name.ends_with(".tar.gz") || name.ends_with(".tgz")) {
        return fs::copy(archive, tree.join(name)).map(drop);
    }
    let reader = BufReader::with_capacity(1 << 20, File::open(archive)?);
    let mut entries = tar::Archive::new(GzDecoder::new(reader));
    entries.set_preserve_mtime(true);
    for entry in entries.entries()? {
        let mut entry = entry?;
        let Some(target) = place(&entry.path()?, parts) else { continue };
        if entry.header().entry_type().is_dir() {
            fs::create_dir_all(tree.join(target))?;
        } else {
            let target = tree.join(target);
            fs::create_dir_all(target.parent().unwrap_or(tree))?;
            entry.unpack(&target)?;
        }
    }
    Ok(())
}

/// Where an entry goes; `None` for one that is not asked for or that would leave the tree.
fn place(path: &Path, parts: &[Part]) -> Option<PathBuf> {
    let placed = match parts {
        [] => path.to_owned(),
        parts => parts.iter().find_map(|part| {
            let rest = path.strip_prefix(&part.from).ok()?;
            Some(if rest.as_os_str().is_empty() { PathBuf::from(&part.to) } else { Path::new(&part.to).join(rest) })
        })?,
    };
    placed.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)).then_some(placed)
}

/// The first path below `root` that matches `pattern`, segment by segment; `*` stands for any text.
pub fn matching(root: &Path, pattern: &str) -> Option<PathBuf> {
    let (first, rest) = pattern.split_once('/').unwrap_or((pattern, ""));
    let mut found: Vec<PathBuf> = fs::read_dir(root).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    found.sort();
    found
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| fits(&name.to_string_lossy(), first)))
        .find_map(|path| if rest.is_empty() { Some(path) } else { matching(&path, rest) })
}

fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((before, after)) => name
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && fits(&rest[at..], after))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_where_the_parts_say_and_never_outside() {
        let parts =
            [Part { from: "p/jars".into(), to: "jars".into() }, Part { from: "p/LICENSE".into(), to: "L".into() }];
        let placed = |path: &str| place(Path::new(path), &parts);
        assert_eq!(placed("p/jars/a.jar"), Some("jars/a.jar".into()));
        assert_eq!(placed("p/LICENSE"), Some("L".into()));
        assert_eq!(placed("p/jarsx/a.jar"), None);
        assert_eq!(placed("p/jars/../../etc/passwd"), None);
        assert_eq!(place(Path::new("/etc/passwd"), &[]), None);
        assert_eq!(place(Path::new("a/b"), &[]), Some("a/b".into()));
    }

    #[test]
    fn a_star_stands_for_any_text_within_a_segment() {
        for (name, pattern, expected) in [
            ("java-17-openjdk-amd64", "java-*-openjdk-*", true),
            ("java-17", "java-*-openjdk-*", false),
            ("a", "*", true),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }
}
