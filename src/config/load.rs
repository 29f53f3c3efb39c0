//! From paths to documents: read, compose, inherit, override, check, build.
//!
//! Every problem of every document is gathered; there are documents only when there are no errors.

use crate::{
    compose::compose,
    cross, fetch,
    inherit::{Inherited, inherit, provider_of},
    input, model,
    names::PROVIDERS,
    overrides, schema, semantic, suggest, walk,
};
use cloudtik_core::{Diagnostic, Origin, Sources, Tree, TreeValue, diagnostic, document::Document};
use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Workspace,
    Cluster,
    Storage,
    Database,
}

/// What documents are loaded for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Everything that they need must be in this binary.
    #[default]
    Plan,
    /// What is recorded of them is used or removed: what only an apply needs may be missing.
    Use,
    /// They are only looked at: providers, templates and runtimes that this binary lacks are warnings.
    Validate,
}

#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Folders that templates are looked up in, in this order, before the shipped ones.
    pub template_dirs: Vec<PathBuf>,
    /// Runtimes that there are manifests for.
    pub runtimes: BTreeSet<String>,
    /// Providers in this binary.
    pub providers: BTreeSet<String>,
    /// Values that win over the documents': dotted path and value. Each applies to every document that has such a key.
    pub overrides: Vec<(String, Json)>,
    pub purpose: Purpose,
}

#[derive(Clone, Debug)]
pub struct Loaded {
    /// Workspaces before clusters, by scope. With [`Purpose::Validate`], documents that this binary cannot build are
    /// left out.
    pub documents: Vec<Document>,
    pub sources: Sources,
    pub warnings: Vec<Diagnostic>,
}

#[derive(Clone, Debug)]
pub struct Problems {
    /// Errors and warnings, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Sources,
}

/// Loads documents. A folder stands for its `*.yaml` and `*.yml` files.
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Result<Loaded, Problems> {
    let mut loading =
        Loading { options, sources: Sources::default(), found: Vec::new(), documents: Vec::new(), unread: false };
    let overrides = overrides::parse(&options.overrides, &mut loading.sources);
    let mut used = vec![false; overrides.len()];
    for file in loading.files(paths) {
        loading.file(&file, &overrides, &mut used);
    }
    if !loading.unread {
        loading.found.extend(overrides.iter().zip(used).filter(|(_, used)| !used).map(|(o, _)| overrides::unused(o)));
    }
    loading.found.extend(cross::check(&loading.documents));
    loading.finish()
}

/// Reads one document without templates or checks: what a fuzzer feeds. The second part holds warnings.
pub fn parse_bytes(name: &str, bytes: &[u8]) -> Result<(Tree, Vec<Diagnostic>), Vec<Diagnostic>> {
    let file: Arc<str> = name.into();
    let text = input::decode(&file, bytes.to_vec()).map_err(|fault| vec![fault])?;
    let (tree, warnings) = compose(&file, &text)?;
    Ok((Arc::unwrap_or_clone(tree), warnings))
}

struct Loading<'a> {
    options: &'a LoadOptions,
    sources: Sources,
    found: Vec<Diagnostic>,
    documents: Vec<Document>,
    /// Whether some document could not be read at all.
    unread: bool,
}

impl Loading<'_> {
    /// The files behind the paths, each once, in order.
    fn files(&mut self, paths: &[PathBuf]) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for path in paths {
            match input::files(path) {
                Ok(found) => files.extend(
                    found.into_iter().filter(|f| seen.insert(std::fs::canonicalize(f).unwrap_or_else(|_| f.clone()))),
                ),
                Err(fault) => self.refuse([fault]),
            }
        }
        files
    }

    fn file(&mut self, path: &Path, overrides: &[overrides::Override], used: &mut [bool]) {
        let name = input::name(path);
        let text = match input::read(path) {
            Ok(text) => text,
            Err(fault) => return self.refuse([fault]),
        };
        self.sources.0.insert(name.clone(), text.as_str().into());
        match compose(&name, &text) {
            Ok((tree, warnings)) => {
                self.found.extend(warnings);
                self.tree(&tree, overrides, used);
            }
            Err(problems) => self.refuse(problems),
        }
    }

    fn refuse(&mut self, problems: impl IntoIterator<Item = Diagnostic>) {
        self.found.extend(problems);
        self.unread = true;
    }

    fn tree(&mut self, tree: &Arc<Tree>, overrides: &[overrides::Override], used: &mut [bool]) {
        let kind = match kind_of(tree) {
            Ok(kind) => kind,
            Err(fault) => return self.refuse([fault]),
        };
        let (mut inherited, found) = inherit(tree, kind, self.options, &mut self.sources);
        let merged_well = !found.iter().any(Diagnostic::is_error);
        self.found.extend(found);
        for (at, wish) in overrides.iter().enumerate().filter(|(_, wish)| schema::knows(kind, &wish.keys())) {
            used[at] = true;
            inherited.tree = overrides::apply(&inherited.tree, wish);
        }
        inherited.provider = provider_of(&inherited.tree);
        let checked = self.check(kind, &inherited);
        let clean = merged_well && !checked.iter().any(Diagnostic::is_error);
        self.found.extend(checked);
        if clean && inherited.complete {
            match model::build(kind, &inherited, self.options) {
                Ok(mut document) => {
                    if self.options.purpose != Purpose::Validate {
                        self.found.extend(fetch::fetch(&mut document, self.options.purpose));
                    }
                    self.documents.push(document);
                }
                Err(fault) => self.found.push(fault),
            }
        }
    }

    fn check(&self, kind: Kind, inherited: &Inherited) -> Vec<Diagnostic> {
        let provider = inherited.provider.as_ref().map(|(name, _)| &**name);
        let elsewhere = |path: &[String], key: &str| other_kind(kind, path, key);
        let mut found =
            walk::check(&inherited.tree, schema::strict(kind), &[], provider, inherited.complete, &elsewhere);
        if provider == Some("local") {
            found.extend(semantic::local_nodes(&inherited.tree, provider));
        }
        if let Some((provider, origin)) = &inherited.provider {
            found.extend(self.provider(provider, origin));
        }
        found.extend(semantic::check(kind, inherited, self.options));
        found
    }

    /// A provider that exists, but not in this binary.
    fn provider(&self, provider: &str, origin: &Origin) -> Option<Diagnostic> {
        if self.options.providers.contains(provider) || !PROVIDERS.contains(&provider) {
            return None;
        }
        let diagnostic = match self.options.purpose {
            Purpose::Plan | Purpose::Use => {
                Diagnostic::error("provider-unavailable", "a provider that this build lacks")
            }
            Purpose::Validate => Diagnostic::warning("provider-unavailable", "a provider that this build lacks"),
        };
        let have: Vec<&str> = self.options.providers.iter().map(String::as_str).collect();
        Some(
            diagnostic
                .at(origin)
                .detail(format!("`{provider}` is not among this build's providers ({})", have.join(", ")))
                .hint(build_hint(provider)),
        )
    }

    fn finish(mut self) -> Result<Loaded, Problems> {
        diagnostic::sort(&mut self.found);
        if self.found.iter().any(Diagnostic::is_error) {
            return Err(Problems { diagnostics: self.found, sources: self.sources });
        }
        self.documents.sort_by_key(Document::scope);
        Ok(Loaded { documents: self.documents, sources: self.sources, warnings: self.found })
    }
}

/// How to get a provider.
pub(crate) fn build_hint(provider: &str) -> String {
    match provider {
        "external" => "external providers are Python classes; this program cannot run them".into(),
        _ => format!(
            "README lists the providers there are; one that this build leaves out comes with `--features {provider}`"
        ),
    }
}

pub(crate) fn not_a_map(tree: &Tree) -> Diagnostic {
    let what = match &tree.value {
        TreeValue::List(_) => "a list",
        TreeValue::Null => "empty",
        _ => "a single value",
    };
    if tree.value == TreeValue::Null {
        return Diagnostic::error("empty-document", "the document is empty")
            .at(&tree.origin)
            .hint("a workspace needs `workspace_name` and `provider`; see `cloudtik schema workspace`");
    }
    Diagnostic::error("not-a-map", "the document is not a map")
        .at(&tree.origin)
        .detail(format!("it is {what}"))
        .hint("write keys and values: `workspace_name: demo`")
}

/// Tells what a document is by the keys it has.
fn kind_of(tree: &Tree) -> Result<Kind, Diagnostic> {
    if !matches!(tree.value, TreeValue::Map(_)) {
        return Err(not_a_map(tree));
    }
    for (key, kind) in [("storage_name", Kind::Storage), ("database_name", Kind::Database)] {
        if tree.get(key).is_some() {
            return Ok(kind);
        }
    }
    let (workspace, cluster) = (properties(Kind::Workspace), properties(Kind::Cluster));
    let base = |key: &str| key.trim_start_matches(['+', '~']).trim_end_matches('+').to_string();
    let has = |test: &dyn Fn(&str) -> bool| tree.entries().iter().any(|e| test(&base(&e.key)));
    if has(&|key| cluster.contains(&key) && !workspace.contains(&key)) {
        return Ok(Kind::Cluster);
    }
    if has(&|key| matches!(key, "workspace_name" | "provider")) {
        return Ok(Kind::Workspace);
    }
    if has(&|key| key == "from") {
        return Ok(Kind::Cluster);
    }
    let keys: Vec<&str> = tree.entries().iter().map(|e| &*e.key).take(5).collect();
    let mut problem = Diagnostic::error("unknown-document", "neither a workspace nor a cluster")
        .at(&tree.origin)
        .detail(format!("none of its keys says what it is: {}", keys.join(", ")));
    let close = keys.iter().find_map(|key| suggest::closest(key, cluster.iter().chain(&workspace).copied()));
    problem.hints.extend(close.map(|key| format!("did you mean `{key}`?")));
    Err(problem.hint("a cluster has `cluster_name`, a workspace has `workspace_name` and `provider`"))
}

fn properties(kind: Kind) -> Vec<&'static str> {
    let properties = schema::strict(kind).get("properties").and_then(Json::as_object);
    properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// A hint for a key that the other kind of document knows under the same path.
fn other_kind(kind: Kind, path: &[String], key: &str) -> Option<String> {
    let mut full: Vec<&str> = path.iter().map(String::as_str).collect();
    full.push(key);
    let mine = || properties(kind);
    match kind {
        Kind::Cluster if schema::knows(Kind::Workspace, &full) => Some("it belongs in the workspace's document".into()),
        Kind::Storage | Kind::Database if schema::knows(Kind::Workspace, &full) => {
            Some("it belongs in the workspace's document".into())
        }
        Kind::Workspace | Kind::Storage | Kind::Database if schema::knows(Kind::Cluster, &full) => {
            Some("it belongs in the cluster's document".into())
        }
        Kind::Workspace if path.is_empty() => {
            let cluster = properties(Kind::Cluster);
            suggest::closest(key, mine().iter().chain(&cluster).copied())
                .map(|close| format!("did you mean `{close}`?"))
        }
        Kind::Cluster if path.is_empty() && suggest::closest(key, mine()).is_none() => {
            Some("data of your own goes under `metadata`; for the known keys see `cloudtik schema cluster`".into())
        }
        _ => None,
    }
}
