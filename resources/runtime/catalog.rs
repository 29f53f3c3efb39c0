//! The runtimes that can be selected: those shipped in the binary, and the user's folders over them.

use crate::manifest::Manifest;
use cloudtik_core::Diagnostic;
use std::{collections::BTreeMap, fs, path::Path};

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

const MANIFEST: &str = "runtime.yaml";

/// A manifest with the templates beside it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub manifest: Manifest,
    /// Text by file name.
    pub templates: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub struct Catalog(BTreeMap<String, Entry>);

impl Catalog {
    /// The shipped runtimes.
    pub fn shipped() -> Result<Self, Vec<Diagnostic>> {
        let mut catalog = Catalog::default();
        let mut problems = Vec::new();
        for (name, files) in SHIPPED {
            let files = files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
            catalog.add(name, &format!("runtimes/{name}"), files, &mut problems);
        }
        done(catalog, problems)
    }

    /// The shipped runtimes with every folder of `folders` that holds a `runtime.yaml` added over them, later ones winning.
    ///
    /// Errors: all manifests that cannot be read, each with its path.
    pub fn with_folders<P: AsRef<Path>>(folders: &[P]) -> Result<Self, Vec<Diagnostic>> {
        let mut catalog = Self::shipped()?;
        let mut problems = Vec::new();
        for folder in folders {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
            paths.sort();
            for path in paths.iter().filter(|p| p.join(MANIFEST).is_file()) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                match read_folder(path) {
                    Ok(files) => catalog.add(&name, &path.display().to_string(), files, &mut problems),
                    Err(error) => problems.push(broken(&path.display().to_string(), &error.to_string())),
                }
            }
        }
        done(catalog, problems)
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// Sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds one runtime given as text; for tests and tools.
    pub fn insert(&mut self, manifest: Manifest, templates: BTreeMap<String, String>) {
        self.0.insert(manifest.name.clone(), Entry { manifest, templates });
    }

    fn add(&mut self, name: &str, place: &str, mut files: BTreeMap<String, String>, problems: &mut Vec<Diagnostic>) {
        let text = files.remove(MANIFEST).unwrap_or_default();
        match Manifest::read(&text) {
            Ok(manifest) if manifest.name != name => {
                problems.push(broken(place, &format!("it names itself `{}`, its folder is `{name}`", manifest.name)));
            }
            Ok(manifest) => {
                self.0.insert(name.into(), Entry { manifest, templates: files });
            }
            Err(error) => problems.push(broken(place, &error)),
        }
    }
}

fn done(catalog: Catalog, problems: Vec<Diagnostic>) -> Result<Catalog, Vec<Diagnostic>> {
    if problems.is_empty() { Ok(catalog) } else { Err(problems) }
}

fn broken(place: &str, error: &str) -> Diagnostic {
    Diagnostic::error("broken-runtime-manifest", "a runtime manifest cannot be used")
        .detail(format!("{place}/{MANIFEST}: {error}"))
        .hint("mend the file, or take its folder out of the user's runtime folders")
}

fn read_folder(path: &Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_folder_replaces_a_shipped_runtime_and_a_broken_one_is_named() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("spark");
        fs::create_dir(&own).unwrap();
        let text = "{name: spark, summary: mine, version: '1', versions: {'1': []}, roles: {}}";
        fs::write(own.join(MANIFEST), text).unwrap();
        let catalog = Catalog::with_folders(&[root.path()]).unwrap();
        assert_eq!(catalog.get("spark").unwrap().manifest.summary, "mine");

        fs::write(own.join(MANIFEST), text.replace("spark", "sparc")).unwrap();
        let problems = Catalog::with_folders(&[root.path()]).unwrap_err();
        assert!(problems[0].detail.contains("names itself `sparc`"), "{problems:?}");
    }
}
