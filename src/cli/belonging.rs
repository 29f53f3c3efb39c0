//! Storages and databases: what a workspace has beside its clusters, in documents of their own or in the workspace's.

use super::{
    context::{Context, World},
    destroy,
    error::Error,
    load::{self, Overrides},
    nodes::output,
    plan::{DeleteData, Selection, Upgrade},
    start::{self, Creation},
    undo::To,
};
use crate::{exit::Exit, view::tables::Block};
use cloudtik_core::{
    Scope,
    state::{Record, Store},
};
use std::{path::PathBuf, sync::Arc};

/// One of the two, and what is told of it.
pub struct What {
    /// As its document and its verbs call it.
    pub name: &'static str,
    pub plural: &'static str,
    /// The resource that it is.
    kind: &'static str,
    /// Attributes that are told after the name.
    told: &'static [&'static str],
    pub headings: &'static [&'static str],
    pub none: &'static str,
}

pub const STORAGE: What = What {
    name: "storage",
    plural: "storages",
    kind: "bucket",
    told: &["uri"],
    headings: &["storage-name", "storage-uri"],
    none: "No storages.",
};

pub const DATABASE: What = What {
    name: "database",
    plural: "databases",
    kind: "database",
    told: &["engine", "address", "port", "user", "secret"],
    headings: &["instance-name", "engine", "host", "port", "admin-user", "password-secret"],
    none: "No databases.",
};

impl What {
    /// In the order of the headings.
    pub fn columns(&self, record: &Record) -> Vec<String> {
        let told = self.told.iter().map(|name| output(record, name));
        let name = match output(record, "name") {
            name if name.is_empty() => record.address.name().to_owned(),
            name => name,
        };
        std::iter::once(name).chain(told).collect()
    }

    pub fn json(&self, row: &[String]) -> serde_json::Value {
        let pairs = self.headings.iter().zip(row);
        pairs
            .map(|(heading, value)| (heading.replace('-', "_"), value.as_str().into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// What a workspace has of a kind, by scope.
pub fn records(store: &dyn Store, workspace: &str, what: &What) -> Result<Vec<Arc<Record>>, Error> {
    let mut found = Vec::new();
    for scope in store.scopes()?.iter().filter(|scope| scope.workspace_name() == workspace) {
        let records = store.read(scope)?.here()?.records;
        found.extend(records.into_values().filter(|r| r.address.kind() == what.kind && !r.only_deposed));
    }
    Ok(found)
}

/// A document of that kind, and the command line's own words on it.
pub struct Named {
    pub document: PathBuf,
    pub overrides: Overrides,
    pub yes: bool,
}

impl Named {
    pub async fn create(self, context: &Context, what: &What) -> Result<Exit, Error> {
        self.load(context, what)?;
        let all = Selection { refresh: "all".into(), ..Selection::default() };
        let command = &format!("{} create", what.name);
        let (yes, upgrade) = (self.yes, Upgrade::default());
        let creation = Creation { selection: &all, upgrade, to: To::default(), adopt: false, command, yes };
        start::create(context, &[self.document], self.overrides, &creation).await
    }

    /// The document is its data, so deleting it is asking for the loss of that.
    pub async fn delete(self, context: &Context, what: &What) -> Result<Exit, Error> {
        self.load(context, what)?;
        let all = Selection { refresh: "all".into(), delete: DeleteData::ALL, ..Selection::default() };
        let command = format!("{} delete", what.name);
        destroy::remove(context, &[self.document], self.overrides, &all, &command, self.yes).await
    }

    pub fn info(self, context: &Context, what: &What) -> Result<Exit, Error> {
        let (scope, world) = self.load(context, what)?;
        let state = world.store.read(&scope)?.here()?;
        if context.out.is_json() {
            return context.event("state", cloudtik_core::export::export(&state));
        }
        let mut block = Block::new();
        let (_, name) = scope.document();
        block.heading(format!("{} {name}", capital(what.name)));
        block.pair("workspace", scope.workspace_name());
        let found = state.records.values().find(|record| record.address.kind() == what.kind);
        match found {
            Some(record) => {
                let told = what.headings.iter().zip(what.columns(record)).filter(|(_, value)| !value.is_empty());
                told.for_each(|(heading, value)| block.pair(*heading, value));
            }
            None => block.text(format!("Not created yet: `cloudtik {} create` makes it.", what.name)),
        }
        context.print(&block.render(&context.out.look()))
    }

    fn load(&self, context: &Context, what: &What) -> Result<(Scope, World), Error> {
        let (document, world) = load::one(context, &self.document, self.overrides.clone())?;
        let scope = document.scope();
        match scope.document().0 == what.name {
            true => Ok((scope, world)),
            false => Err(load::wrong_kind(what.name, &self.document, &document)),
        }
    }
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}
