//! The secrets of a run: where their fingerprints' key lives, and what documents hold.

use crate::view::Output;
use cloudtik_core::{
    Declaration, Sources,
    document::Document,
    secret::{DOCUMENT, Key, Secrets, sounds_secret},
};
use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// In the state folder, mode 0600; made when the first secret is met. State that is copied without it is told changes of
/// secrets that did not change, and nothing else.
const KEY_FILE: &str = "fingerprint.key";

/// No secrets yet, over one state folder.
pub fn none(home: &Path, out: &Output) -> Arc<Secrets> {
    let (home, redactor) = (home.to_path_buf(), out.redactor.clone());
    let hidden = out.redactor.clone();
    let fetch = move |source: &str| {
        let value = cloudtik_config::value_of(source)?;
        redactor.add(&value);
        Some(value)
    };
    Arc::new(Secrets::new(move || key(&home), fetch, move |text| hidden.text(text).into_owned()))
}

/// Knows from now on what the documents and the environment hold in secrets, and takes it out of the declarations.
pub fn take_out(
    secrets: &Secrets,
    out: &Output,
    documents: &[Document],
    sources: &Sources,
    declarations: &mut [Declaration],
) -> io::Result<()> {
    for secret in documents.iter().flat_map(cloudtik_config::secrets) {
        secrets.hold(DOCUMENT, &secret)?;
    }
    // A variable's value that was written into a document is as secret there.
    for (name, value) in out.redactor.variables().filter(|(_, value)| sources.0.values().any(|s| s.contains(value))) {
        secrets.hold(&format!("env:{name}"), value)?;
    }
    declarations.iter_mut().for_each(|declaration| secrets.conceal(&mut declaration.attributes));
    for (source, value) in documents.iter().flat_map(cloudtik_config::fetched_values) {
        if is_secret(&source, &value) {
            out.redactor.add(&value);
            secrets.hold(&source, &value)?;
        }
    }
    // What such a value is elsewhere, a region or a user's name, is no secret there.
    let runtimes = declarations.iter_mut().filter(|declaration| declaration.provider == cloudtik_runtime::name());
    runtimes.for_each(|declaration| secrets.conceal(&mut declaration.attributes));
    Ok(())
}

/// Whatever a reference stands for, but for places and for words too short to be told from others.
fn is_secret(source: &str, value: &str) -> bool {
    sounds_secret(source) || (value.len() >= 8 && !value.starts_with(['/', '~', '.']))
}

fn key(home: &Path) -> io::Result<Key> {
    let path = home.join(KEY_FILE);
    match fs::File::open(&path) {
        Ok(file) => read(file, &path),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => make(home, &path),
        Err(fault) => Err(fault),
    }
}

/// Gives another state folder the key of this one, so that its state is told no changes of secrets that did not change. What
/// to tell the user when it has one of its own.
pub fn carry(from: &Path, to: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(from.join(KEY_FILE)) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let (key, path) = (read(file, &from.join(KEY_FILE))?, to.join(KEY_FILE));
    let kept = match fs::File::open(&path) {
        Ok(file) => read(file, &path)?,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => put(to, &path, key)?,
        Err(fault) => return Err(fault),
    };
    let note =
        || format!("`{}` is another key than before: the next plan shows every secret as changed.", path.display());
    Ok((kept != key).then(note))
}

fn read(mut file: fs::File, path: &Path) -> io::Result<Key> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if file.metadata()?.mode() & 0o077 != 0 {
        let path = path.display();
        return Err(wrong(format!("others may read `{path}`, the key of fingerprints: `chmod 600 {path}`")));
    }
    let mut key = Key::default();
    file.read_exact(&mut key).map_err(|_| wrong(format!("`{}` is cut short: remove it", path.display())))?;
    Ok(key)
}

fn make(home: &Path, path: &Path) -> io::Result<Key> {
    let mut key = Key::default();
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    put(home, path, key)
}

/// Of two runs that put one at once, the first wins, and both use its key.
fn put(home: &Path, path: &Path, key: Key) -> io::Result<Key> {
    fs::create_dir_all(home)?;
    let maker = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    let new: PathBuf = home.join(format!("{KEY_FILE}.{maker}"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&key)?;
    file.sync_all()?;
    let linked = fs::hard_link(&new, path);
    fs::remove_file(&new)?;
    match linked {
        Ok(()) => Ok(key),
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => read(fs::File::open(path)?, path),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let keys: Vec<Key> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| key(home.path()).unwrap())).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|other| *other == keys[0] && *other != Key::default()));
        let path = home.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(key(home.path()).unwrap_err().to_string().contains("chmod 600"));
    }
}
