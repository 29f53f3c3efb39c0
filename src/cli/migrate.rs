//! `cloudtik state migrate`: all state, or one workspace's, to another store.

use super::{
    context::{Context, Home, holder},
    error::Error,
    secrets,
};
use crate::{exit::Exit, registry, view};
use clap::Args;
use cloudtik_core::{
    Diagnostic, Scope,
    state::{Elsewhere, Store, StoreError},
};
use cloudtik_engine::migrate::{Arrival, Unmoved, migrate};
use std::path::PathBuf;

#[derive(Args)]
pub struct Migrate {
    /// Where the state is: a folder, or the URL of a bucket
    from: PathBuf,
    /// Where it is to be
    to: PathBuf,
    /// Only this workspace, with everything in it
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Migrate {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let (old, new) = (context.home_at(&self.from)?, context.home_at(&self.to)?);
        let (from, to) = (registry::store(&old)?, registry::store(&new)?);
        let place = to.place();
        if from.place() == place {
            return Err(refused(vec![format!("it is at {place} already")]));
        }
        let wanted = |scope: &Scope| self.workspace.as_deref().is_none_or(|name| scope.workspace_name() == name);
        let scopes: Vec<Scope> = from.scopes()?.into_iter().filter(wanted).collect();
        if scopes.is_empty() {
            let named = self.workspace.map(|name| format!(" of workspace `{name}`")).unwrap_or_default();
            return Err(refused(vec![format!("nothing{named} is recorded at {}", from.place())]));
        }
        tied(&*from, &scopes, &old, &new)?;
        let count = view::plural(scopes.len(), "scope");
        context.out.note(&format!("{count} at {}, to {place}:", from.place()));
        scopes.iter().for_each(|scope| context.out.note(&format!("  {scope}")));
        let question = "Their state moves with its history; other machines must use the new place from then on. Move?";
        if let Some(exit) = context.agree(question, self.yes)? {
            return Ok(exit);
        }
        let key = secrets::carry(&old.folder, &new.folder).map_err(Error::io("copy the key of fingerprints"))?;
        let mut tell = |what: &str| context.out.note(&format!("{what} …"));
        let arrived = migrate(&*from, &*to, &scopes, &holder("state migrate"), &mut tell).map_err(words)?;
        if context.out.is_json() {
            return context
                .event("migrated", serde_json::json!({"from": from.place(), "to": place, "scopes": arrived}));
        }
        let line = |arrival: &Arrival| {
            let resources = view::plural(arrival.resources, "resource");
            let revisions = view::plural(arrival.revisions as usize, "revision");
            format!("{}: {resources}, {revisions}, {} entries, compared", arrival.scope, arrival.entries)
        };
        let mut text: Vec<String> = arrived.iter().map(line).collect();
        text.push(match arrived.len() {
            0 => format!("All of it is at {place} already."),
            _ => format!("Moved. Use `--state {place}`, CLOUDTIK_STATE or the document's `state:` from now on."),
        });
        text.extend(key);
        context.print(&text.join("\n"))
    }
}

/// Refuses to part machines from the folder that they live in.
fn tied(from: &dyn Store, scopes: &[Scope], old: &Home, new: &Home) -> Result<(), Error> {
    if old.folder == new.folder {
        return Ok(());
    }
    let mut problems = Vec::new();
    for scope in scopes {
        let state = from.read(scope)?;
        let tied = |provider: &str| registry::IN_FOLDER.contains(&provider);
        let count = state.records.values().filter(|record| tied(&record.provider.to_string())).count();
        if count > 0 && !matches!(state.elsewhere, Some(Elsewhere::To(_))) {
            let resources = view::plural(count, "resource");
            problems.push(format!("{scope} has {resources} that live in {}", old.folder.display()));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(refused(problems)),
    }
}

fn refused(problems: Vec<String>) -> Error {
    let diagnostic = |detail| {
        Diagnostic::error("cannot-migrate", "state cannot be moved there")
            .detail(detail)
            .hint("nothing was written; `cloudtik state list --state PLACE` shows what is where")
    };
    Error::Problems { diagnostics: problems.into_iter().map(diagnostic).collect(), sources: Box::default() }
}

fn words(unmoved: Unmoved) -> Error {
    match unmoved {
        Unmoved::Store(error) => error.into(),
        Unmoved::Refused(problems) => refused(problems),
        Unmoved::Differs { ref place, .. } => {
            StoreError::Damaged { place: place.clone(), detail: format!("{unmoved}; the source is as it was") }.into()
        }
    }
}
