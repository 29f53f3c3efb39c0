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
pub(super) fn urls(artifact: &Artifact, mirror: Option<&str>, index: &str) -> Vec<String> {
    let file = Published::of(artifact).file;
    let mirror =
        mirror.map(|m| m.trim_end_matches('/')).filter(|m| m.starts_with("http://") || m.starts_with("https://"));
    let mut urls: Vec<String> =
        mirror.filter(|_| !file.is_empty()).map(|m| format!("{m}/{file}")).into_iter().collect();
    match &artifact.source {
        Source::Debian(_) => {}
        Source::Url(url) => urls.push(url.url.clone()),
        Source::Pypi(package) => urls.extend(page(package, index)),
    }
    urls
}

/// The page of a package in an index; none of an index that asks for a password, which is not for nodes to know.
fn page(package: &Pypi, index: &str) -> Option<String> {
    let index = index.trim_end_matches('/');
    (!index.contains('@')).then(|| format!("page:{index}/{}/", normalized(&package.package)))
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
    fn a_package_is_looked_for_where_the_index_has_it_and_a_password_stays_here() {
        let package = Pypi {
            package: "Apache_Flink.Libraries".into(),
            version: "1".into(),
            file: "f.whl".into(),
            size: 0,
            sha256: String::new(),
        };
        for (index, expected) in [
            (INDEX, Some("page:https://pypi.org/simple/apache-flink-libraries/")),
            ("http://mirror/simple/", Some("page:http://mirror/simple/apache-flink-libraries/")),
            ("https://me:secret@mirror/simple", None),
        ] {
            assert_eq!(page(&package, index).as_deref(), expected);
        }
    }
}
