//! Where the file of an artifact is published, for whoever loads it without this machine's help.

use crate::manifest::{Artifact, Pypi, Source};

/// The index of Python packages where the user names none.
pub(super) const INDEX: &str = "https://pypi.org/simple";

/// The file that an artifact's source leads to. Debian packages are none: apt knows their names and checks them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Published<'a> {
    pub file: &'a str,
    pub sha256: &'a str,
    /// Bytes; 0 when not known.
    pub size: u64,
}

impl<'a> Published<'a> {
    pub fn of(artifact: &'a Artifact) -> Self {
        match &artifact.source {
            Source::Debian(_) => Published::default(),
            Source::Pypi(pypi) => Published { file: &pypi.file, sha256: &pypi.sha256, size: pypi.size },
            Source::Url(url) => {
                let file = url.url.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("file");
                Published { file, sha256: &url.sha256, size: url.size }
            }
        }
    }
}

/// Addresses to try in order; `page:` stands before one of a page that links to the file. `index`: of Python packages.
///
/// A mirror or index that asks for a password is left out: that is not for nodes, their logs and our records to know.
pub(super) fn urls(artifact: &Artifact, mirror: Option<&str>, index: &str) -> Vec<String> {
    let mut urls = Vec::new();
    let file = Published::of(artifact).file;
    if let Some(mirror) = mirror.filter(|m| !file.is_empty() && is_open(m)) {
        urls.push(format!("{}/{file}", mirror.trim_end_matches('/')));
    }
    match &artifact.source {
        Source::Pypi(package) if is_open(index) => urls.push(page(package, index)),
        Source::Url(url) => urls.push(url.url.clone()),
        Source::Debian(_) | Source::Pypi(_) => {}
    }
    urls
}

/// Whether it is an address on the web that anybody may ask.
fn is_open(address: &str) -> bool {
    (address.starts_with("http://") || address.starts_with("https://")) && !address.contains('@')
}

/// The page of a package in an index.
fn page(package: &Pypi, index: &str) -> String {
    format!("page:{}/{}/", index.trim_end_matches('/'), normalized(&package.package))
}

/// A package's name as indexes spell it: lower-case, with one dash for any run of `-`, `_` and `.`.
///
/// Source: PEP 503, "Normalized Names".
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_comes_first_and_a_password_stays_here() {
        let package = Pypi {
            package: "Apache_Flink.Libraries".into(),
            version: "1".into(),
            file: "f.whl".into(),
            size: 0,
            sha256: String::new(),
        };
        let artifact = Artifact {
            name: "flink".into(),
            version: "1".into(),
            source: Source::Pypi(package),
            instead: None,
            unpack: Vec::new(),
            home: None,
        };
        let page = "page:https://pypi.org/simple/apache-flink-libraries/";
        for (mirror, index, expected) in [
            (None, INDEX, vec![page]),
            (Some("http://m/files/"), INDEX, vec!["http://m/files/f.whl", page]),
            (Some("/a/folder"), INDEX, vec![page]),
            (Some("http://me:secret@m"), "https://me:secret@pypi.org/simple", vec![]),
        ] {
            assert_eq!(urls(&artifact, mirror, index), expected);
        }
    }
}
