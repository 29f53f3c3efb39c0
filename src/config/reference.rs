//! `${env:NAME}`, `${file:path}` and `${secret:name}`: values that are fetched when they are needed, and stay marked.

use cloudtik_core::{Origin, Tree};
use std::path::{Path, PathBuf};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An environment variable of this process.
    Env(String),
    /// The content of a file, without one trailing line break.
    File(PathBuf),
    /// An entry of the user's secret store.
    Secret(String),
}

impl Reference {
    /// `env:NAME`, `file:/absolute/path`, `secret:name`: what state keeps in the place of the value.
    pub fn source(&self) -> String {
        match self {
            Reference::Env(name) => format!("env:{name}"),
            Reference::File(path) => {
                format!("file:{}", std::path::absolute(path).unwrap_or_else(|_| path.clone()).display())
            }
            Reference::Secret(name) => format!("secret:{name}"),
        }
    }
}

/// The reference that a text value is, as a whole. Relative paths start at the document that holds them.
///
/// References have this meaning in `runtime` and in credentials only; elsewhere the text stands for itself.
pub fn reference(tree: &Tree) -> Option<Reference> {
    let (scheme, rest) = parts(tree.as_text()?)?;
    match scheme {
        _ if rest.is_empty() => None,
        "env" => Some(Reference::Env(rest.into())),
        "file" => Some(Reference::File(local_path(rest, &tree.origin))),
        _ => Some(Reference::Secret(rest.into())),
    }
}

/// Whether the text tries to be a reference, and fails.
pub(crate) fn is_malformed(text: &str) -> bool {
    match parts(text) {
        Some(("env", name)) => name.is_empty() || name.contains(['=', '\0']),
        Some((_, rest)) => rest.is_empty(),
        None => false,
    }
}

fn parts(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.strip_prefix("${")?.strip_suffix('}')?.split_once(':')?;
    (matches!(scheme, "env" | "file" | "secret") && !rest.contains(['{', '}'])).then_some((scheme, rest))
}

/// A path as written in a document: `~` is the user's home, and relative ones start at the document's folder.
pub(crate) fn local_path(text: &str, origin: &Origin) -> PathBuf {
    if let (Some(rest), Some(home)) = (text.strip_prefix("~/"), std::env::home_dir()) {
        return home.join(rest);
    }
    let in_a_file = origin.file.contains(std::path::MAIN_SEPARATOR) && !origin.file.starts_with("template:");
    match Path::new(&*origin.file).parent().filter(|_| in_a_file) {
        Some(folder) => folder.join(text),
        None => PathBuf::from(text),
    }
}
