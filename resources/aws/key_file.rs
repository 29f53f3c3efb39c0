//! Private keys in files: the one that is made here, and those that users bring. Nothing but a public half leaves a file.

use russh::keys::{PrivateKey, PublicKey, ssh_key};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Makes an ed25519 key at `path` (OpenSSH's format, mode 0600), durable when this returns.
///
/// A file that is there already stays: two makers at once get one key. `comment` tells who made it.
pub(crate) fn make(path: &Path, comment: &str) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = beside(path);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = generate(comment).and_then(|key| {
        file.write_all(key.as_bytes())?;
        file.sync_all()?;
        // Fails when another was first, and then that one's key counts.
        fs::hard_link(&beside, path)
    });
    fs::remove_file(&beside)?;
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(folder)?.sync_all(),
    }
}

fn generate(comment: &str) -> io::Result<String> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&seed);
    let key = PrivateKey::new(pair.into(), comment).map_err(io::Error::other)?;
    Ok(key.to_openssh(ssh_key::LineEnding::LF).map_err(io::Error::other)?.to_string())
}

/// A name of this process's own, so that two makers do not meet.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}

/// The public half of a private key in any of the usual formats. One that is locked by a passphrase has its public half
/// beside it, as `ssh-keygen` puts it there.
pub(crate) fn public(path: &Path) -> io::Result<PublicKey> {
    let text = fs::read_to_string(path)?;
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => Ok(key.public_key().clone()),
        Err(error) => {
            let mut beside = path.as_os_str().to_owned();
            beside.push(".pub");
            read_public(Path::new(&beside)).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
        }
    }
}

/// A public key in a file of its own.
pub(crate) fn read_public(path: &Path) -> io::Result<PublicKey> {
    let invalid = |error: ssh_key::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    PublicKey::from_openssh(fs::read_to_string(path)?.trim()).map_err(invalid)
}

/// Who made the key: its comment, where the file tells it.
pub(crate) fn maker(path: &Path) -> Option<String> {
    let key = PrivateKey::from_openssh(fs::read_to_string(path).ok()?).ok()?;
    Some(key.comment().to_string())
}

/// `ssh-ed25519 AAAA…`: the parts that make a key this one.
pub(crate) fn line(key: &PublicKey) -> io::Result<String> {
    let text = key.to_openssh().map_err(io::Error::other)?;
    Ok(text.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

/// `SHA256:…`.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_knows_its_maker() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ssh/id.pem");
        make(&path, "by me").unwrap();
        let first = line(&public(&path).unwrap()).unwrap();
        make(&path, "by another").unwrap();
        assert_eq!(line(&public(&path).unwrap()).unwrap(), first);
        assert!(first.starts_with("ssh-ed25519 AAAA"), "{first}");
        assert_eq!(maker(&path).as_deref(), Some("by me"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_no_key_is_neither_used_nor_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        fs::write(&path, "precious").unwrap();
        make(&path, "").unwrap();
        assert_eq!(public(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
