//! Where a scope's files are, and what is said when something is wrong with them.

use cloudtik_core::{
    Scope,
    file_name::{decode, encode},
    state::StoreError,
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const SUFFIX: &str = ".sled";
const WORKSPACE: &str = "workspace.sled";
/// The folders of what is in a workspace.
const FOLDERS: [(&str, Inner); 3] =
    [("clusters", Scope::cluster), ("storages", Scope::storage), ("databases", Scope::database)];

/// A scope by its workspace's name and its own.
type Inner = fn(&str, &str) -> Scope;

/// The files of one scope.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub scope: Scope,
    pub folder: PathBuf,
    pub tree: PathBuf,
    pub guard: PathBuf,
    pub lease: PathBuf,
    pub gate: PathBuf,
    pub export: PathBuf,
}

impl Files {
    pub fn of(home: &Path, scope: &Scope) -> Files {
        let workspace = home.join(encode(scope.workspace_name()));
        let folder = match (scope, scope.document()) {
            (Scope::Workspace { .. }, _) => workspace.join(WORKSPACE),
            (_, (kind, name)) => workspace.join(format!("{kind}s")).join(encode(name) + SUFFIX),
        };
        let file = |name: &str| folder.join(name);
        Files {
            scope: scope.clone(),
            tree: file("tree"),
            guard: file("guard.json"),
            lease: file("lease.json"),
            gate: file("gate"),
            export: file("export.json"),
            folder: folder.clone(),
        }
    }

    /// Makes the folder, open to its owner only, and makes its name durable.
    pub fn make_folder(&self) -> Result<(), StoreError> {
        make_folders(&self.folder).map_err(|e| self.io("create", e))
    }

    pub fn io(&self, operation: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { operation, place: self.folder.display().to_string(), source }
    }

    /// Whether one of them is there; a failure to tell is an error.
    pub fn has(&self, path: &Path) -> Result<bool, StoreError> {
        path.try_exists().map_err(|e| self.io("look at", e))
    }

    pub fn other(&self, operation: &'static str, detail: impl Into<String>) -> StoreError {
        StoreError::Other { operation, place: self.folder.display().to_string(), detail: detail.into() }
    }

    pub fn damaged(&self, found: impl AsRef<str>) -> StoreError {
        let then = format!(
            "`cloudtik state repair {}` puts it aside and restores what can be read, and the next plan shows what was done since",
            self.scope
        );
        StoreError::Damaged { place: self.folder.display().to_string(), detail: format!("{}; {then}", found.as_ref()) }
    }
}

/// Every scope that has state below `home`, or had some and is damaged; sorted.
pub(crate) fn scopes(home: &Path) -> Result<Vec<Scope>, StoreError> {
    let mut found = Vec::new();
    for workspace in names(home)? {
        let Some(name) = decode(&workspace) else { continue };
        found.push(Scope::workspace(&name));
        for (inner, scope) in FOLDERS {
            let files = names(&home.join(&workspace).join(inner))?;
            found.extend(
                files.iter().filter_map(|f| f.strip_suffix(SUFFIX)).filter_map(decode).map(|n| scope(&name, &n)),
            );
        }
    }
    found.retain(|scope| crate::guard::is_state(&Files::of(home, scope)));
    found.sort();
    Ok(found)
}

/// Names in a folder; none when it is no folder.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::Io { operation: "list", place: folder.display().to_string(), source };
    match std::fs::read_dir(folder) {
        Ok(listing) => {
            let names = listing.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
            names.collect::<io::Result<_>>().map_err(failed)
        }
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(failed(e)),
    }
}

fn make_folders(folder: &Path) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir());
    for folder in missing.collect::<Vec<_>>().into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => sync_folder(parent(folder))?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes names in a folder (created, renamed, removed) durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Opens a file of ours for reading and writing, made where it is missing, readable by its owner only.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Replaces a file durably and as a whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    sync_folder(parent(path))
}

/// The content of a file; `None` where there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Removes a file or a folder with all that is in it, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
