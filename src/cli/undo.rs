//! Revisions on the command line: `r12`, `r12..r15`, and documents taken back to one (`--to r12`).

use super::{context::World, error::Error, load::Program};
use clap::Args;
use cloudtik_core::{
    Diagnostic, Scope,
    document::Document,
    state::{Revision, Snapshot, Store},
};
use cloudtik_engine::undo;
use std::{collections::BTreeMap, path::Path};

/// Where to, if not to what the documents say; shared by `plan` and `apply`.
#[derive(Args, Clone, Debug, Default)]
pub struct To {
    /// Go back to what this revision recorded (`r12`, as `history` lists them) instead of to what the document says
    #[arg(long = "to", value_name = "REVISION")]
    pub revision: Option<String>,
}

impl To {
    /// The same choice as a command line has it, with a space before.
    pub fn arguments(&self) -> String {
        self.revision.as_ref().map(|to| format!(" --to r{}", digits(to))).unwrap_or_default()
    }

    /// Puts what the revision recorded in the place of what the document declares; the state that it was, if one was named.
    ///
    /// Errors: several documents, an unknown revision, and what [`undo::declarations`] refuses.
    pub fn take_back(&self, program: &mut Program, world: &World) -> Result<Option<Snapshot>, Error> {
        let Some(to) = &self.revision else { return Ok(None) };
        let [document] = program.documents.as_slice() else { return Err(several(program.documents.len())) };
        let scope = document.scope();
        let then = at(&*world.store, &scope, to)?;
        let others = surroundings(world, &then)?;
        let now = world.store.read(&scope)?;
        let found = undo::declarations(&then, &others, &now, world.platform.engine.kinds())
            .map_err(|diagnostics| Error::Problems { diagnostics, sources: Box::default() })?;
        program.declarations = found.declarations;
        // The document is not what is planned for: what it warns of is not either.
        program.notes = found.notes;
        program.notes.extend(incomplete(&*world.store, &then)?);
        Ok(Some(then))
    }
}

fn digits(revision: &str) -> &str {
    revision.trim_start_matches('r')
}

/// The state at the end of a revision.
pub fn at(store: &dyn Store, scope: &Scope, revision: &str) -> Result<Snapshot, Error> {
    let number = digits(revision).parse::<u64>().ok();
    let snapshot = match number {
        Some(number) => store.at_revision(scope, number)?,
        None => None,
    };
    snapshot.ok_or_else(|| {
        Error::request(
            Diagnostic::error("unknown-revision", "there is no such revision")
                .detail(format!("{scope} has no revision `{revision}`"))
                .hint("list them: `cloudtik history` with this document"),
        )
    })
}

fn several(count: usize) -> Error {
    Error::request(
        Diagnostic::error("several-documents", "revisions are numbered for each document on its own")
            .detail(format!("`--to` was given with {count} documents"))
            .hint("give one document; go back with the others one after another, clusters before their workspace"),
    )
}

/// The same workspace's other scopes as they were when the revision ended: the last revision of each that was not later,
/// or that the same plan made. Scopes without one are as they are now. Nothing where references were recorded.
fn surroundings(world: &World, then: &Snapshot) -> Result<BTreeMap<Scope, Snapshot>, Error> {
    let mut others = BTreeMap::new();
    if then.records.values().all(|record| record.references.is_some() || record.dependencies.is_empty()) {
        return Ok(others);
    }
    let own = revision(&*world.store, then)?;
    for (scope, now) in world.read(&[then.scope.clone()].into())? {
        let history = world.store.history(&scope)?;
        let before = |other: &&Revision| own.as_ref().is_some_and(|own| other.at <= own.at || other.plan == own.plan);
        let snapshot = match history.iter().find(before) {
            Some(found) => world.store.at_revision(&scope, found.number)?.unwrap_or(now),
            None => now,
        };
        others.insert(scope, snapshot);
    }
    Ok(others)
}

fn revision(store: &dyn Store, then: &Snapshot) -> Result<Option<Revision>, Error> {
    Ok(store.history(&then.scope)?.into_iter().find(|revision| revision.number == then.revision))
}

fn incomplete(store: &dyn Store, then: &Snapshot) -> Result<Option<Diagnostic>, Error> {
    let open = revision(store, then)?.filter(|revision| revision.failed + revision.skipped > 0);
    Ok(open.map(|revision| {
        Diagnostic::warning("revision-in-part", "that revision itself was applied in part")
            .detail(format!(
                "r{}: {} steps failed and {} were skipped; what it recorded is what it reached",
                revision.number, revision.failed, revision.skipped
            ))
            .hint("choose another one: `cloudtik history` lists them")
    }))
}

/// Two revisions, `r12..r15`; the second is the present one when it is left out.
pub struct Range {
    pub from: String,
    pub to: Option<String>,
}

impl Range {
    pub fn parse(text: &str) -> Self {
        let (from, to) = text.split_once("..").unwrap_or((text, ""));
        let to = Some(to.to_owned()).filter(|to| !to.is_empty() && to != "now");
        Range { from: from.to_owned(), to }
    }
}

/// A saved plan goes where it was made to go.
pub fn not_with_a_plan(path: &Path) -> Error {
    Error::request(
        Diagnostic::error("plan-has-its-goal", "`--to` needs a document, not a saved plan")
            .detail(format!("`{}` is a saved plan", path.display()))
            .hint("make one that goes back: `cloudtik plan DOC --to REVISION -o FILE`"),
    )
}

/// Only one document has revisions at a time.
pub fn only(documents: &[Document]) -> Result<&Document, Error> {
    match documents {
        [document] => Ok(document),
        several_ => Err(several(several_.len())),
    }
}
