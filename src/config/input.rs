//! Reading documents from disk: every way in which that fails, told apart.

use cloudtik_core::{Diagnostic, Origin};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The largest document that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The path as documents and diagnostics name it.
pub(crate) fn name(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

fn place(file: &Arc<str>) -> Origin {
    Origin { file: file.clone(), line: 1, column: 1, length: 0 }
}

/// The files behind a path: itself, or, of a folder, its `*.yaml` and `*.yml` files by name.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let listed = std::fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut found: Vec<PathBuf> = listed
        .map_err(|fault| unreadable(path, &fault))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml") && !p.is_dir())
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(Diagnostic::error("no-documents", "a folder without documents")
            .at(&place(&name(path)))
            .detail(format!("`{}` is a folder that holds no *.yaml or *.yml file", path.display()))
            .hint("name a workspace or cluster document, or the folder that holds them"));
    }
    Ok(found)
}

/// The text of a document.
pub(crate) fn read(path: &Path) -> Result<String, Diagnostic> {
    if path.is_dir() {
        return Err(Diagnostic::error("not-a-file", "a folder where a document is expected")
            .at(&place(&name(path)))
            .detail(format!("`{}` is a folder", path.display()))
            .hint("name a file in it"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|fault| unreadable(path, &fault))?;
    decode(&name(path), bytes)
}

/// Bytes as text, within the size limit.
pub(crate) fn decode(file: &Arc<str>, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Diagnostic::error("file-too-large", "the file is too large for a document")
            .at(&place(file))
            .detail(format!("more than {} MiB", MAX_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|fault| not_utf8(file, fault.as_bytes(), fault.utf8_error().valid_up_to()))
}

fn unreadable(path: &Path, fault: &io::Error) -> Diagnostic {
    let at = place(&name(path));
    match fault.kind() {
        io::ErrorKind::NotFound => Diagnostic::error("file-missing", "a file that does not exist")
            .at(&at)
            .detail(format!("there is no `{}`", path.display()))
            .hint("check the path; relative paths start at the current folder"),
        io::ErrorKind::PermissionDenied => Diagnostic::error("file-unreadable", "a file that may not be read")
            .at(&at)
            .detail(format!("`{}`: {fault}", path.display()))
            .hint(format!("chmod u+r {}", path.display())),
        _ => Diagnostic::error("file-unreadable", "a file that cannot be read")
            .at(&at)
            .detail(format!("`{}`: {fault}", path.display())),
    }
}

fn not_utf8(file: &Arc<str>, bytes: &[u8], valid: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let hint = if utf16 { "the file is UTF-16: save it as UTF-8" } else { "save the file as UTF-8" };
    Diagnostic::error("not-utf-8", "the file is not UTF-8 text")
        .at(&Origin { file: file.clone(), line: clamp(line), column: clamp(column), length: 1 })
        .detail(format!("byte 0x{:02x} at offset {valid}", bytes.get(valid).copied().unwrap_or_default()))
        .hint(hint)
}
