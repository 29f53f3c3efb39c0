//! A file or folder of this machine, sent to a node. Each file appears whole or not at all; what is there besides stays.

use crate::{
    Moved, remote,
    walk::{self, BATCH, Found},
};
use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::{Command, Host},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// `FOLDER`: unpacks an archive beside the files that it replaces, then puts each in its place. The outer `find` would fill
/// in braces that are meant for the inner one.
const UNPACK: &str = r#"mkdir -p -- "$1"; cd -- "$1"
new=$(mktemp -d ./.cloudtik-XXXXXX); trap 'rm -rf -- "$new"' EXIT
tar -xpf - --no-same-owner -C "$new"
(cd -- "$new"; find . -type d -exec sh -euc 'all="{"; for folder; do
    mkdir -p -- "../$folder"
    find "$folder" -mindepth 1 -maxdepth 1 ! -type d -exec mv -f -t "../$folder" -- "$all}" +
done' sh {} +)"#;
/// `FOLDER`: makes folders, and gives those that are there their modes.
const FOLDERS: &str = r#"mkdir -p -- "$1"; tar -xpf - --no-same-owner --keep-directory-symlink -C "$1""#;
/// `PATH`
const IS_FOLDER: &str = r#"if [ -d "$1" ]; then echo folder; fi"#;

/// Sends `source` to `target`. A folder's content goes into the folder `target`; a file becomes `target`, or goes into it
/// when that is a folder or ends with `/`.
///
/// Modes, times and links are kept, owners are not. `progress` hears what has been sent so far, and the total.
pub async fn upload(
    host: &dyn Host,
    source: &Path,
    target: &str,
    progress: &mut (dyn FnMut(&Moved, &Moved) + Send),
) -> Result<Moved, Failure> {
    let operation = format!("send {}", source.display());
    let unreadable = |error: io::Error| Failure::new(FailureKind::Environment, &operation, error.to_string());
    let target = remote(target);
    let metadata = tokio::fs::metadata(source).await.map_err(unreadable)?;
    if !metadata.is_dir() {
        let path = file_target(host, &operation, source, target).await?;
        let file = one(source, &metadata);
        let total = walk::sum(std::slice::from_ref(&file));
        whole(host, source, &path, &file).await?;
        progress(&total, &total);
        return Ok(total);
    }
    let root: Arc<Path> = source.into();
    let tree = blocking({
        let root = root.clone();
        move || walk::walk(&root)
    });
    let tree = tree.await.map_err(unreadable)?;
    let total = Moved { skipped: tree.skipped, ..walk::sum(&tree.files) };
    let mut moved = Moved { skipped: tree.skipped, ..Moved::default() };
    let folders = blocking(move || walk::pack_folders(&tree.folders)).await.map_err(unreadable)?;
    for part in walk::batches(tree.files) {
        let sum = walk::sum(&part);
        match part.as_slice() {
            // Names that are not UTF-8 cannot be arguments: such a file goes in an archive, whatever its size.
            [one] if one.size > BATCH && one.path.to_str().is_some() => {
                let path = format!("{target}/{}", one.path.to_string_lossy());
                whole(host, &root.join(&one.path), &path, one).await?;
            }
            _ => {
                let root = root.clone();
                let archive = blocking(move || walk::pack(&root, &part)).await.map_err(unreadable)?;
                sh(host, &operation, UNPACK, target, archive).await?;
            }
        }
        moved.files += sum.files;
        moved.bytes += sum.bytes;
        progress(&moved, &total);
    }
    // Last: a folder that may not be written to has what belongs into it by now.
    sh(host, &operation, FOLDERS, target, folders).await?;
    Ok(moved)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn one(source: &Path, metadata: &std::fs::Metadata) -> Found {
    use std::os::unix::fs::MetadataExt;
    Found {
        path: source.to_owned(),
        size: metadata.len(),
        mode: metadata.mode() & 0o7777,
        modified: metadata.mtime(),
        link: None,
    }
}

async fn file_target(host: &dyn Host, operation: &str, source: &Path, target: &str) -> Result<String, Failure> {
    let inside = target.ends_with('/') || sh(host, operation, IS_FOLDER, target, Vec::new()).await? == "folder\n";
    let name = source.file_name().map(PathBuf::from).unwrap_or_default();
    let name = name.to_str().ok_or_else(|| {
        Failure::new(FailureKind::Invalid, operation, "its name is not UTF-8").hint("name the target as well")
    });
    match inside {
        true => Ok(format!("{}/{}", target.trim_end_matches('/'), name?)),
        false => Ok(target.to_owned()),
    }
}

/// A file on its own, in pieces.
async fn whole(host: &dyn Host, source: &Path, path: &str, file: &Found) -> Result<(), Failure> {
    let operation = format!("send {}", source.display());
    let mut content = tokio::fs::File::open(source)
        .await
        .map_err(|e| Failure::new(FailureKind::Environment, &operation, format!("cannot read it: {e}")))?;
    host.upload_from(path, &mut content, file.mode).await?;
    let touch = Command::new(["touch", "-d", &format!("@{}", file.modified), "--", path]);
    checked(host, &operation, &touch).await.map(drop)
}

async fn sh(host: &dyn Host, operation: &str, script: &str, path: &str, input: Vec<u8>) -> Result<String, Failure> {
    checked(host, operation, &Command::sh(script, [path]).stdin(input)).await
}

async fn checked(host: &dyn Host, operation: &str, command: &Command) -> Result<String, Failure> {
    let output = host.run(command).await?;
    match output.code {
        0 => Ok(output.text()),
        code => Err(failed(operation, code, &output.error_text())),
    }
}

pub(crate) fn failed(operation: &str, code: i32, said: &str) -> Failure {
    let message = match said.trim() {
        "" => format!("exit code {code}"),
        said => said.to_owned(),
    };
    let failure = Failure::new(FailureKind::Command, operation, message);
    if code == 127 { failure.hint("the node needs `tar` and `find`") } else { failure }
}
