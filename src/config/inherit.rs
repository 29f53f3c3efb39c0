//! Follows `from` to its end, puts the provider's defaults underneath, and merges the chain.
//!
//! The chain is: document, its templates, `<provider>/defaults` (or `workspace-defaults` and the like), global defaults. A chain that
//! cannot be followed to its end is merged as far as it goes and marked incomplete, so that later checks do not complain
//! about what the missing part would have supplied.

use crate::{
    Kind, LoadOptions, Purpose,
    compose::{MAX_EXPANDED, compose},
    merge,
    names::PROVIDERS,
    templates::{self, Template},
};
use cloudtik_core::{Diagnostic, Origin, Sources, Tree, TreeValue};
use std::sync::Arc;

/// How many documents one may inherit from, one by one.
const MAX_CHAIN: usize = 16;

/// A document with everything that it inherits.
pub(crate) struct Inherited {
    pub tree: Arc<Tree>,
    /// `provider.type`, where it is text, and the place that says so.
    pub provider: Option<(Arc<str>, Origin)>,
    /// Whether the chain was followed to its end.
    pub complete: bool,
}

struct Chain<'a> {
    options: &'a LoadOptions,
    sources: &'a mut Sources,
    found: Vec<Diagnostic>,
    /// From the document to the most general.
    trees: Vec<Arc<Tree>>,
    /// Files and the places that name them.
    seen: Vec<(Arc<str>, Origin)>,
    complete: bool,
}

/// Resolves one document. The second part holds errors and warnings alike.
pub(crate) fn inherit(
    document: &Arc<Tree>,
    kind: Kind,
    options: &LoadOptions,
    sources: &mut Sources,
) -> (Inherited, Vec<Diagnostic>) {
    let mut chain = Chain {
        options,
        sources,
        found: Vec::new(),
        trees: vec![document.clone()],
        seen: vec![(document.origin.file.clone(), document.origin.clone())],
        complete: true,
    };
    let at_system = chain.follow(false);
    let provider = chain.trees.iter().find_map(|tree| provider_of(tree));
    match &provider {
        Some((provider, origin)) => chain.check_providers(provider, origin),
        None => chain.check_some_provider(),
    }
    if !at_system {
        chain.defaults(kind, provider.as_ref().map(|(p, _)| &**p));
    }
    let tree = chain.merged();
    (Inherited { tree, provider, complete: chain.complete }, chain.found)
}

/// `provider.type`, where it is text, with its place.
pub(crate) fn provider_of(tree: &Tree) -> Option<(Arc<str>, Origin)> {
    let kind = tree.at(&["provider", "type"])?;
    Some((kind.as_text()?.into(), kind.origin.clone()))
}

impl Chain<'_> {
    /// Follows `from` until there is none; tells whether that ended among the system's defaults.
    fn follow(&mut self, mut system: bool) -> bool {
        loop {
            let Some(from) = self.trees.last().and_then(|tree| tree.get("from")).cloned() else { return system };
            let Some(name) = from.as_text() else {
                self.stop(
                    Diagnostic::error("wrong-type", "a value of the wrong type")
                        .at(&from.origin)
                        .detail("`from` must be the name of a template")
                        .hint("write it like `from: local/small`, or remove the key"),
                );
                return system;
            };
            let folders = if system { &[][..] } else { &self.options.template_dirs[..] };
            match templates::find(name, folders, &from.origin) {
                Ok(template) => {
                    system = template.system;
                    if !self.add(template, &from.origin) {
                        return system;
                    }
                }
                Err(fault) => {
                    let fault = self.unavailable(name, &from.origin).unwrap_or(fault);
                    self.stop(fault);
                    return system;
                }
            }
        }
    }

    fn stop(&mut self, problem: Diagnostic) {
        self.found.push(problem);
        self.complete = false;
    }

    /// Reads a template and puts it at the end; tells whether that went well.
    fn add(&mut self, template: Template, from: &Origin) -> bool {
        if let Some((file, first)) = self.seen.iter().find(|(file, _)| *file == template.file).cloned() {
            self.stop(
                Diagnostic::error("template-cycle", "templates inherit from each other in a circle")
                    .at(from)
                    .detail(format!("`{file}` is already part of this chain"))
                    .related(&first, "first used here")
                    .hint("remove one of the `from` keys"),
            );
            return false;
        }
        if self.seen.len() > MAX_CHAIN {
            self.stop(
                Diagnostic::error("template-chain", "too many templates in a chain")
                    .at(from)
                    .detail(format!("more than {MAX_CHAIN}"))
                    .hint("join some of them"),
            );
            return false;
        }
        self.seen.push((template.file.clone(), from.clone()));
        self.sources.0.insert(template.file.clone(), template.text.as_str().into());
        match compose(&template.file, &template.text) {
            Ok((tree, warnings)) if matches!(tree.value, TreeValue::Map(_)) => {
                self.found.extend(warnings);
                self.trees.push(tree);
                true
            }
            Ok((tree, _)) => {
                self.stop(crate::load::not_a_map(&tree).related(from, "named here"));
                false
            }
            Err(problems) => {
                self.found.extend(problems.into_iter().map(|p| p.related(from, "named here")));
                self.complete = false;
                false
            }
        }
    }

    /// A template of a provider that this binary has no templates for.
    fn unavailable(&self, name: &str, from: &Origin) -> Option<Diagnostic> {
        let (provider, _) = name.split_once('/')?;
        if !PROVIDERS.contains(&provider) || templates::shipped(&format!("{provider}/defaults")).is_some() {
            return None;
        }
        let fault = match self.options.purpose {
            Purpose::Plan | Purpose::Use => {
                Diagnostic::error("template-unavailable", "a template that this build lacks")
            }
            Purpose::Validate => Diagnostic::warning("template-unavailable", "a template that this build lacks"),
        };
        Some(
            fault
                .at(from)
                .detail(format!("`{name}` comes with provider {provider}, which this build does not have"))
                .hint(crate::load::build_hint(provider)),
        )
    }

    /// Nothing can be checked or built without a provider; one of a wrong type is found by the schema.
    fn check_some_provider(&mut self) {
        if self.complete && !self.trees.iter().any(|tree| tree.at(&["provider", "type"]).is_some()) {
            self.found.push(
                Diagnostic::error("missing-provider", "the document names no provider")
                    .at(&self.trees[0].origin)
                    .detail("neither the document nor a template of it has `provider.type`")
                    .hint("add it: `provider: {type: local}`"),
            );
        }
    }

    /// Every template must be for the document's provider.
    fn check_providers(&mut self, provider: &str, origin: &Origin) {
        for (tree, (_, from)) in self.trees.iter().zip(&self.seen).skip(1) {
            if let Some((other, place)) = provider_of(tree).filter(|(other, _)| &**other != provider) {
                self.found.push(
                    Diagnostic::error("template-provider", "a template of another provider")
                        .at(from)
                        .detail(format!("the template is for {other}, the document for {provider}"))
                        .related(&place, "the template's provider")
                        .related(origin, "the document's provider")
                        .hint("choose a template of the document's provider"),
                );
            }
        }
    }

    /// Puts the system's defaults underneath.
    fn defaults(&mut self, kind: Kind, provider: Option<&str>) {
        let name = match kind {
            Kind::Cluster => "defaults",
            Kind::Workspace => "workspace-defaults",
            Kind::Storage => "storage-defaults",
            Kind::Database => "database-defaults",
        };
        let own = provider.and_then(|p| templates::shipped(&format!("{p}/{name}")));
        let none = own.is_none();
        let Some(template) = own.or_else(|| templates::shipped(name)) else { return };
        let origin = self.trees[0].origin.clone();
        if self.add(template, &origin) {
            self.follow(true);
        }
        // The defaults of a provider that is not in this binary: what they would supply cannot be missed.
        self.complete &= !none || provider.is_some_and(|p| self.options.providers.contains(p));
    }

    fn merged(&mut self) -> Arc<Tree> {
        let mut merged: Option<Arc<Tree>> = None;
        for tree in self.trees.iter().rev() {
            let own = without_from(tree);
            let next = match &merged {
                Some(base) => merge::merge(base, &own, &mut self.found),
                None => merge::settled(&own, &mut self.found),
            };
            if weight(&next) > MAX_EXPANDED {
                self.found.push(*crate::syntax::too_large(&tree.origin, None));
                self.complete = false;
                break;
            }
            merged = Some(next);
        }
        merged.unwrap_or_else(|| self.trees[0].clone())
    }
}

fn without_from(tree: &Arc<Tree>) -> Arc<Tree> {
    let entries = tree.entries().iter().filter(|e| &*e.key != "from").cloned().collect();
    Arc::new(Tree { value: TreeValue::Map(entries), origin: tree.origin.clone(), raw: None })
}

/// How many values a walk meets.
fn weight(tree: &Tree) -> u64 {
    1 + match &tree.value {
        TreeValue::List(items) => items.iter().map(|t| weight(t)).sum(),
        TreeValue::Map(entries) => entries.iter().map(|e| weight(&e.value)).sum(),
        _ => 0,
    }
}
