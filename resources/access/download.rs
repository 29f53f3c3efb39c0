//! A file or folder of a node, fetched. Nothing outside the target is written, whatever the node sends.

use crate::{Moved, remote, upload::failed};
use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::{Chunk, Command, Host},
};
use std::{
    ffi::OsStr,
    fs::{self, OpenOptions, Permissions},
    io::{self, ErrorKind, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt, symlink},
    },
    path::{Component, Path, PathBuf},
    sync::mpsc,
    time::{Duration, SystemTime},
};

/// `PATH`: says what it is by a letter, then sends it as an archive.
const PACK: &str = r#"if [ -d "$1" ]; then printf d; exec tar -cf - --hard-dereference -C "$1" .; fi
if [ ! -e "$1" ] && [ ! -L "$1" ]; then echo "$1: no such file or folder" >&2; exit 1; fi
folder=$(dirname -- "$1"); name=$(basename -- "$1")
printf f; exec tar -cf - --hard-dereference -C "$folder" -- "./$name""#;
/// Pieces that wait to be written: a slow disk slows down the node, not this machine's memory.
const WAITING: usize = 64;
/// How tar ends when files changed while they were read; they are sent as they were then.
const CHANGED: i32 = 1;

/// Fetches `source` into `target`. A folder's content goes into the folder `target`; a file becomes `target`, or goes into
/// it when that is a folder or ends with `/`.
///
/// Modes, times and links are kept, owners are not. `progress` hears what has arrived so far.
pub async fn download(
    host: &dyn Host,
    source: &str,
    target: &Path,
    progress: &mut (dyn FnMut(&Moved) + Send),
) -> Result<Moved, Failure> {
    let operation = format!("fetch {source}");
    let (sender, pieces) = mpsc::sync_channel::<Vec<u8>>(WAITING);
    let target = target.to_owned();
    let writing = tokio::task::spawn_blocking(move || unpack(Pieces { pieces, rest: Vec::new(), at: 0 }, &target));
    tokio::pin!(writing);
    let broken = |e: io::Error| Failure::new(FailureKind::Environment, &operation, format!("cannot write: {e}"));
    let mut said = Vec::new();
    let code = {
        let mut moved = Moved::default();
        let command = Command::sh(PACK, [remote(source)]);
        let mut sink = |chunk: Chunk| match chunk {
            Chunk::Out(bytes) => {
                moved.bytes += bytes.len() as u64;
                progress(&moved);
                // When nobody takes it any more, the writer has failed and says why.
                drop(sender.send(bytes));
            }
            Chunk::Err(bytes) => said.extend(bytes),
        };
        tokio::select! {
            code = host.stream(&command, &mut sink) => code?,
            // Only a failure ends the writer first; what sends is ended with it.
            written = &mut writing => return written.map_err(io::Error::other).and_then(|done| done).map_err(broken),
        }
    };
    drop(sender);
    match (code, writing.await.map_err(io::Error::other).and_then(|done| done)) {
        (0 | CHANGED, Ok(moved)) => Ok(moved),
        (0, Err(error)) => Err(broken(error)),
        (code, _) => Err(failed(&operation, code, &String::from_utf8_lossy(&said))),
    }
}

/// Pieces that arrive, as a stream to read.
struct Pieces {
    pieces: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.rest.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.rest, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len() - self.at);
        buffer[..count].copy_from_slice(&self.rest[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn unpack(mut from: Pieces, target: &Path) -> io::Result<Moved> {
    let mut letter = [0];
    if from.read(&mut letter)? == 0 {
        // Nothing was sent; how the command ended says why.
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let single = letter == *b"f";
    let into_folder = !single || target.is_dir() || target.as_os_str().as_bytes().ends_with(b"/");
    let (root, name) = match into_folder {
        true => (target.to_owned(), None),
        false => {
            let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (parent.to_owned(), target.file_name())
        }
    };
    fs::create_dir_all(&root)?;
    let mut unpacking = Unpacking { root, name: name.map(OsStr::to_owned), ..Unpacking::default() };
    let mut archive = tar::Archive::new(&mut from);
    for entry in archive.entries()? {
        unpacking.entry(entry?)?;
    }
    unpacking.finish()?;
    // What follows the end of the archive is filling.
    io::copy(&mut from, &mut io::sink())?;
    Ok(unpacking.moved)
}

#[derive(Default)]
struct Unpacking {
    root: PathBuf,
    /// What a single file is to be called.
    name: Option<std::ffi::OsString>,
    /// A folder, below the root, that is known to have no link on the way.
    checked: Option<PathBuf>,
    /// Their modes are set last: what belongs into them may still have to be written.
    folders: Vec<(PathBuf, u32)>,
    moved: Moved,
}

impl Unpacking {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> io::Result<()> {
        let sent = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
        let below = self.name.as_ref().map_or_else(|| inside(&sent), |name| Ok(PathBuf::from(name)))?;
        let mode = entry.header().mode()? & 0o7777;
        let kind = entry.header().entry_type();
        if below.as_os_str().is_empty() {
            return Ok(());
        }
        let path = self.root.join(&below);
        self.make_parent(&below)?;
        if kind.is_dir() {
            match fs::symlink_metadata(&path) {
                Ok(there) if there.is_dir() => {}
                _ => fs::create_dir(&path)?,
            }
            self.folders.push((path, mode));
            return Ok(());
        }
        let beside = path.with_file_name(format!(".cloudtik-{}-{}", std::process::id(), self.moved.files));
        if kind.is_symlink() {
            let to = entry.link_name_bytes().unwrap_or_default();
            symlink(OsStr::from_bytes(&to), &beside)?;
        } else if kind.is_file() {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            let written = io::copy(&mut entry, &mut file).and_then(|count| {
                self.moved.bytes += count;
                file.set_permissions(Permissions::from_mode(mode))?;
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(entry.header().mtime()?))
            });
            written.inspect_err(|_| drop(fs::remove_file(&beside)))?;
        } else {
            self.moved.skipped += 1;
            return Ok(());
        }
        fs::rename(&beside, &path).inspect_err(|_| drop(fs::remove_file(&beside)))?;
        self.moved.files += 1;
        Ok(())
    }

    /// Makes the folders above a path. A link on the way could lead out of the target: what the node sends must not be
    /// able to use one, so one is an error.
    fn make_parent(&mut self, below: &Path) -> io::Result<()> {
        let Some(parent) = below.parent().filter(|p| !p.as_os_str().is_empty()) else { return Ok(()) };
        if self.checked.as_deref() == Some(parent) {
            return Ok(());
        }
        let mut path = self.root.clone();
        for part in parent.components() {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(there) if there.is_dir() => {}
                Ok(_) => return Err(io::Error::other(format!("{} is in the way: it is no folder", path.display()))),
                Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir(&path)?,
                Err(error) => return Err(error),
            }
        }
        self.checked = Some(parent.to_owned());
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.folders
            .drain(..)
            .rev()
            .try_for_each(|(path, mode)| fs::set_permissions(path, Permissions::from_mode(mode)))
    }
}

/// A path of an archive, below the folder that it is unpacked in.
fn inside(sent: &Path) -> io::Result<PathBuf> {
    let mut below = PathBuf::new();
    for part in sent.components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::CurDir => {}
            _ => {
                return Err(io::Error::other(format!("the node sent a path that leads elsewhere: {}", sent.display())));
            }
        }
    }
    Ok(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(letter: u8, archive: Vec<u8>) -> Pieces {
        let (sender, pieces) = mpsc::sync_channel(2);
        sender.send(vec![letter]).unwrap();
        sender.send(archive).unwrap();
        Pieces { pieces, rest: Vec::new(), at: 0 }
    }

    fn entry(archive: &mut tar::Builder<Vec<u8>>, path: &[u8], link: Option<&str>) {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_mode(0o644);
        header.set_mtime(1);
        header.set_size(if link.is_some() { 0 } else { 3 });
        if let Some(link) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        archive.append(&header, if link.is_some() { b"".as_slice() } else { b"abc" }).unwrap();
    }

    #[test]
    fn nothing_is_written_outside_the_target() {
        let folder = tempfile();
        let target = folder.join("target");
        for path in ["../out", "/out", "a/../../out"] {
            let mut archive = tar::Builder::new(Vec::new());
            entry(&mut archive, path.as_bytes(), None);
            assert!(unpack(pieces(b'd', archive.into_inner().unwrap()), &target).is_err(), "{path}");
        }
        let mut archive = tar::Builder::new(Vec::new());
        entry(&mut archive, b"./way", Some(".."));
        entry(&mut archive, b"./way/out", None);
        assert!(unpack(pieces(b'd', archive.into_inner().unwrap()), &target).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "only the target is there");
        fs::remove_dir_all(folder).unwrap();
    }

    fn tempfile() -> PathBuf {
        let path = std::env::temp_dir().join(format!("cloudtik-access-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        path
    }
}
