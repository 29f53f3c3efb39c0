//! Where templates come from: the user's folders first, then those shipped in the binary.

use crate::{input, machines, suggest};
use cloudtik_core::{Diagnostic, Origin};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Every template in the binary, by name.
        const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../templates/clusters/", $name, ".yaml")))),*];
    };
}

shipped![
    "defaults",
    "workspace-defaults",
    "storage-defaults",
    "database-defaults",
    "aws/defaults",
    "aws/workspace-defaults",
    "aws/storage-defaults",
    "aws/database-defaults",
    "local/defaults",
    "local/workspace-defaults",
    "local/small",
    "local/standard",
    "local/medium",
    "local/large",
];

/// Whether an origin's file is one of the system's defaults.
pub(crate) fn is_default(file: &str) -> bool {
    let name = file.strip_prefix("template:").and_then(|name| name.rsplit('/').next());
    name.is_some_and(|last| last == "defaults" || last.ends_with("-defaults"))
}

/// A template's text and the name that its origins carry.
pub(crate) struct Template {
    pub file: Arc<str>,
    pub text: String,
    /// One of the defaults, on which nothing is laid but other defaults.
    pub system: bool,
}

/// The shipped template of that name.
pub(crate) fn shipped(name: &str) -> Option<Template> {
    let written = SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
    Some(Template {
        file: format!("template:{name}").into(),
        text: written.or_else(|| machines::template(name))?,
        system: is_default(&format!("template:{name}")),
    })
}

/// Looks a template up. `from` is where the name was written.
pub(crate) fn find(name: &str, folders: &[PathBuf], from: &Origin) -> Result<Template, Diagnostic> {
    check_name(name, from)?;
    for folder in folders {
        let path = folder.join(format!("{name}.yaml"));
        if path.exists() {
            let text = input::read(&path).map_err(|fault| fault.related(from, "named here"))?;
            return Ok(Template { file: input::name(&path), text, system: false });
        }
    }
    shipped(name).ok_or_else(|| missing(name, folders, from))
}

/// Names are paths below the template folders: no way out of them, no addresses.
fn check_name(name: &str, from: &Origin) -> Result<(), Diagnostic> {
    let parts_fit = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if parts_fit && !name.contains(['\\', ':', '\0']) {
        return Ok(());
    }
    Err(Diagnostic::error("bad-template-name", "this cannot name a template")
        .at(from)
        .detail(format!("`{name}` is not a name such as `local/small`"))
        .hint("templates are looked up below the template folders; add one with `--template-dir`"))
}

fn missing(name: &str, folders: &[PathBuf], from: &Origin) -> Diagnostic {
    let mut diagnostic = Diagnostic::error("unknown-template", "there is no such template")
        .at(from)
        .detail(format!("`{name}` is neither in a template folder nor shipped"));
    let mut known: Vec<String> = folders.iter().flat_map(|folder| names(folder)).collect();
    known.extend(SHIPPED.iter().map(|(name, _)| *name).chain(machines::names()).map(String::from));
    known.sort();
    known.dedup();
    let plain = name.strip_suffix(".yaml").unwrap_or(name);
    diagnostic.hints.extend(suggest::hint(plain, known.iter().map(String::as_str)));
    if folders.is_empty() {
        diagnostic = diagnostic.hint("own templates: `--template-dir DIR`, or CLOUDTIK_USER_TEMPLATES=DIR");
    }
    diagnostic
}

/// Names of the templates in a folder, two levels of subfolders included. What cannot be listed has none.
fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_path_buf(), String::new(), 0)];
    while let Some((path, prefix, depth)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() && depth < 2 {
                open.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
            } else if let Some(stem) = name.strip_suffix(".yaml") {
                found.push(format!("{prefix}{stem}"));
            }
        }
    }
    found
}
