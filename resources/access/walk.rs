//! A folder of this machine, as what has to be sent of it.

use crate::Moved;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What one archive holds at most, but for a single file that is larger and has to go in one.
pub(crate) const BATCH: u64 = 8 << 20;

pub(crate) struct Found {
    /// Below the folder that was walked.
    pub path: PathBuf,
    pub size: u64,
    pub mode: u32,
    /// Seconds.
    pub modified: i64,
    /// Where a link leads.
    pub link: Option<PathBuf>,
}

#[derive(Default)]
pub(crate) struct Tree {
    /// Files and links, in order of their paths.
    pub files: Vec<Found>,
    /// Every folder below the one that was walked, each before what is in it.
    pub folders: Vec<Found>,
    pub skipped: u64,
}

pub(crate) fn walk(root: &Path) -> io::Result<Tree> {
    let mut tree = Tree::default();
    inside(root, Path::new(""), &mut tree)?;
    Ok(tree)
}

fn inside(root: &Path, below: &Path, tree: &mut Tree) -> io::Result<()> {
    let folder = root.join(below);
    let about = |error: io::Error, path: &Path| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let names = fs::read_dir(&folder).map_err(|e| about(e, &folder))?;
    let mut names: Vec<_> = names.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        let path = below.join(name);
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full).map_err(|e| about(e, &full))?;
        let kind = metadata.file_type();
        let link = if kind.is_symlink() { Some(fs::read_link(&full).map_err(|e| about(e, &full))?) } else { None };
        let found = Found {
            size: if kind.is_file() { metadata.len() } else { 0 },
            mode: metadata.mode() & 0o7777,
            modified: metadata.mtime(),
            link,
            path,
        };
        if kind.is_dir() {
            let below = found.path.clone();
            tree.folders.push(found);
            inside(root, &below, tree)?;
        } else if kind.is_file() || kind.is_symlink() {
            tree.files.push(found);
        } else {
            tree.skipped += 1;
        }
    }
    Ok(())
}

/// Splits files so that each part fits into an archive of [`BATCH`] bytes, or is one file.
pub(crate) fn batches(files: Vec<Found>) -> Vec<Vec<Found>> {
    let mut parts: Vec<Vec<Found>> = Vec::new();
    let mut size = 0;
    for file in files {
        // A header, and one for a long name or link each.
        let takes = file.size + 2048;
        match parts.last_mut() {
            Some(part) if size + takes <= BATCH => part.push(file),
            _ => {
                parts.push(vec![file]);
                size = 0;
            }
        }
        size += takes;
    }
    parts
}

pub(crate) fn sum(files: &[Found]) -> Moved {
    Moved { files: files.len() as u64, bytes: files.iter().map(|file| file.size).sum(), skipped: 0 }
}

/// An archive of files, read now. A file that shrinks meanwhile is an error: what is sent is whole or nothing.
pub(crate) fn pack(root: &Path, files: &[Found]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for found in files {
        let full = root.join(&found.path);
        let mut header = header(found);
        match &found.link {
            Some(to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, &found.path, to)?;
            }
            None => {
                let mut content = Vec::with_capacity(found.size as usize);
                io::Read::read_to_end(&mut File::open(&full)?, &mut content)?;
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, &found.path, content.as_slice())?;
            }
        }
    }
    archive.into_inner()
}

/// An archive of folders alone, with their modes.
pub(crate) fn pack_folders(folders: &[Found]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for found in folders {
        let mut header = header(found);
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        archive.append_data(&mut header, &found.path, io::empty())?;
    }
    archive.into_inner()
}

fn header(found: &Found) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(found.mode);
    header.set_mtime(u64::try_from(found.modified).unwrap_or(0));
    header
}
