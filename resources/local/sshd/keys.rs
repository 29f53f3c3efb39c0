//! Key files: making, reading, and who may log in.

use russh::keys::{
    Algorithm, PrivateKey, PublicKey,
    ssh_key::{AuthorizedKeys, LineEnding},
};
use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Makes an ed25519 key at `path` (OpenSSH's format, mode 0600) and returns its public line, without a line break.
///
/// A key that is there already stays, and its line is returned: two callers at once get the same key. Errors: the file
/// cannot be written, or what is there is not a private key.
pub fn make_key(path: &Path, comment: &str) -> io::Result<String> {
    if !path.try_exists()? {
        create(path, comment)?;
    }
    public_line(&read(path)?).map_err(|error| about(path, error))
}

/// The server's own key, made when missing.
pub(super) fn host_key(path: &Path) -> io::Result<PrivateKey> {
    make_key(path, "host")?;
    read(path)
}

/// Whether the file lists this key now. A file that cannot be read lists none.
pub(super) fn is_authorized(file: &Path, key: &PublicKey) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let entries = text.lines().filter_map(|line| AuthorizedKeys::new(line).next()?.ok());
    entries.into_iter().any(|entry| entry.config_opts().is_empty() && entry.public_key().key_data() == key.key_data())
}

/// Written whole beside its place and linked there, which fails when another was first.
fn create(path: &Path, comment: &str) -> io::Result<()> {
    let written = || {
        let key = generate(comment)?;
        let beside = beside(path);
        let result = write(&beside, key.as_bytes()).and_then(|()| fs::hard_link(&beside, path));
        fs::remove_file(&beside)?;
        match result {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    written().map_err(|error| about(path, error))
}

fn generate(comment: &str) -> io::Result<String> {
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let pair = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&seed);
    let key = PrivateKey::new(pair.into(), comment).map_err(io::Error::other)?;
    debug_assert_eq!(key.algorithm(), Algorithm::Ed25519);
    Ok(key.to_openssh(LineEnding::LF).map_err(io::Error::other)?.to_string())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name of this process's own, so that two makers do not meet.
fn beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    name.into()
}

fn read(path: &Path) -> io::Result<PrivateKey> {
    let text = fs::read_to_string(path).map_err(|error| about(path, error))?;
    PrivateKey::from_openssh(text).map_err(|error| about(path, io::Error::new(io::ErrorKind::InvalidData, error)))
}

fn public_line(key: &PrivateKey) -> io::Result<String> {
    key.public_key().to_openssh().map_err(io::Error::other)
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("key {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, thread};

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || make_key(&path, "me@here").unwrap())
            })
            .collect();
        let lines: Vec<String> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        assert!(lines[0].starts_with("ssh-ed25519 ") && lines[0].ends_with(" me@here"), "{}", lines[0]);
        assert!(lines.iter().all(|line| *line == lines[0]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_a_key_is_neither_used_nor_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        fs::write(&path, "precious").unwrap();
        assert_eq!(make_key(&path, "").unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn broken_and_restricted_lines_let_nobody_in_and_hide_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let line = |name: &str| make_key(&folder.path().join(name), name).unwrap();
        let key = |line: &str| PublicKey::from_openssh(line).unwrap();
        let (plain, restricted, absent) = (line("a"), line("b"), line("c"));
        let file = folder.path().join("authorized_keys");
        fs::write(&file, format!("# keys\nssh-ed25519 nonsense\n\ncommand=\"true\" {restricted}\n{plain}\n")).unwrap();
        assert!(is_authorized(&file, &key(&plain)));
        assert!(!is_authorized(&file, &key(&restricted)) && !is_authorized(&file, &key(&absent)));
        assert!(!is_authorized(&folder.path().join("none"), &key(&plain)));
    }
}
