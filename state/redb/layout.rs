//! Where a scope's files are.

use cloudtik_core::{
    Scope,
    file_name::{decode, encode},
    state::StoreError,
};
use std::{
    fs::{DirBuilder, File},
    io::{Error, ErrorKind, Result},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The folders of what is in a workspace.
const FOLDERS: [(&str, Inner); 3] =
    [("clusters", Scope::cluster), ("storages", Scope::storage), ("databases", Scope::database)];

/// A scope by its workspace's name and its own.
type Inner = fn(&str, &str) -> Scope;
const WORKSPACE: &str = "workspace";

/// The files of one scope.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// As commands name it.
    pub scope: String,
    pub folder: PathBuf,
    pub database: PathBuf,
    /// A database before its first commit is complete.
    pub fresh: PathBuf,
    pub lock: PathBuf,
    pub backup: PathBuf,
    /// Folders that go when they are empty, innermost first.
    pub parents: Vec<PathBuf>,
}

impl Files {
    pub fn of(home: &Path, scope: &Scope) -> Files {
        let workspace = home.join(encode(scope.workspace_name()));
        let (kind, name) = scope.document();
        let (folder, stem, parents) = match scope {
            Scope::Workspace { .. } => (workspace.clone(), WORKSPACE.to_owned(), vec![workspace]),
            _ => {
                let folder = workspace.join(format!("{kind}s"));
                (folder.clone(), encode(name), vec![folder, workspace])
            }
        };
        let file = |extension: &str| folder.join(format!("{stem}.{extension}"));
        Files {
            scope: scope.to_string(),
            database: file("redb"),
            fresh: file("redb.new"),
            lock: file("lock"),
            backup: file("json"),
            folder: folder.clone(),
            parents,
        }
    }

    /// Makes the folders, open to their owner only, and makes their names durable.
    pub fn make_folders(&self) -> Result<()> {
        let missing = self.folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir());
        for folder in missing.collect::<Vec<_>>().into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(folder) {
                Ok(()) => sync_folder(parent(folder))?,
                Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Removes the folders that are empty.
    pub fn remove_empty_folders(&self) -> Result<()> {
        for folder in &self.parents {
            match std::fs::remove_dir(folder) {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Every scope that has a database below `home`, sorted. A home that does not exist has none.
pub(crate) fn scopes(home: &Path) -> std::result::Result<Vec<Scope>, StoreError> {
    let mut found = Vec::new();
    for (workspace, folder) in entries(home)? {
        let Some(workspace) = decode(&workspace) else { continue };
        let database = Files::of(home, &Scope::workspace(&workspace)).database;
        match database.try_exists() {
            Ok(true) => found.push(Scope::workspace(&workspace)),
            Ok(false) => {}
            Err(e) if e.kind() == ErrorKind::NotADirectory => continue,
            Err(e) => return Err(io_error("look at", &database, e)),
        }
        for (inner, scope) in FOLDERS {
            for (file, _) in entries(&folder.join(inner))? {
                if let Some(name) = file.strip_suffix(".redb").and_then(decode) {
                    found.push(scope(&workspace, &name));
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Names and paths in a folder; none when it is no folder.
fn entries(folder: &Path) -> std::result::Result<Vec<(String, PathBuf)>, StoreError> {
    let failed = |e| io_error("list", folder, e);
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// Whether `path` exists; unlike [`Path::exists`] a failure to tell is an error.
pub(crate) fn exists(path: &Path) -> std::result::Result<bool, StoreError> {
    path.try_exists().map_err(|e| io_error("look at", path, e))
}

pub(crate) fn io_error(operation: &'static str, place: &Path, source: Error) -> StoreError {
    StoreError::Io { operation, place: place.display().to_string(), source }
}

/// The folder that a relative or absolute path is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes names in a folder (created, renamed, removed) durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scopes_files_are_where_the_crate_says() {
        let files = Files::of(Path::new("/h"), &Scope::cluster("lake", "etl"));
        assert_eq!(files.database, Path::new("/h/lake/clusters/etl.redb"));
        assert_eq!(files.lock, Path::new("/h/lake/clusters/etl.lock"));
        assert_eq!(files.backup, Path::new("/h/lake/clusters/etl.json"));
        let files = Files::of(Path::new("/h"), &Scope::workspace("lake"));
        assert_eq!(files.database, Path::new("/h/lake/workspace.redb"));
        let files = Files::of(Path::new("/h"), &Scope::storage("lake", "raw"));
        assert_eq!(files.database, Path::new("/h/lake/storages/raw.redb"));
    }
}
