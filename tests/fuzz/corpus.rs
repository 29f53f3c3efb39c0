//! The documents that inputs are made from: every YAML file of the repository, and the seeds beside this program.

use std::path::{Path, PathBuf};

const FOLDERS: [&str; 4] = ["tests/fuzz/seeds", "src/config/tests", "templates", "examples"];

/// Sorted by path, so that a seed means the same everywhere.
pub fn documents() -> Result<Vec<Vec<u8>>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("no documents below {}: run it where it was built", root.display()));
    }
    let read = |file: &PathBuf| std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()));
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if !folder.is_dir() {
        return Ok(());
    }
    let failed = |e| format!("cannot list {}: {e}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(path);
        }
    }
    Ok(())
}
