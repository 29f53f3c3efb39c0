//! `cloudtik state`: look at recorded state, and repair it by hand.

use super::{
    context::{Context, World, holder},
    error::Error,
    lock::standing,
    migrate::Migrate,
};
use crate::{exit::Exit, view};
use clap::{Args, Subcommand};
use cloudtik_core::{
    Address, Diagnostic, Reference, Scope, Value, export,
    state::{Entry, Mutation, Record, Snapshot},
    value,
};
use jiff::Timestamp;
use std::{collections::BTreeSet, io::Read, path::PathBuf, sync::Arc};

#[derive(Subcommand)]
pub enum State {
    /// List recorded resources
    List(List),
    /// Show everything recorded of one resource
    Show(Show),
    /// Write a scope's state as JSON
    Export(Export),
    /// Put a scope's state from JSON in place of an empty one
    Import(Import),
    /// Give a recorded resource another address, without touching it
    Mv(Mv),
    /// Read everything recorded and compare all checksums
    Check(Check),
    /// End another run's right to write a scope
    Unlock(Unlock),
    /// Put damaged state aside and restore what of it can be read
    Repair(Repair),
    /// Move state with its history to another folder or bucket
    Migrate(Migrate),
    /// Forget a recorded resource, without touching it; with --scope, forget an empty scope and its history
    Rm(Rm),
}

#[derive(Args)]
pub struct List {
    /// Only this scope: `workspace/<name>` or `cluster/<workspace>/<name>`
    scope: Option<Scope>,
}

#[derive(Args)]
pub struct Show {
    /// The resource, as `cloudtik state list` names it
    address: String,
}

#[derive(Args)]
pub struct Export {
    /// `workspace/<name>` or `cluster/<workspace>/<name>`
    scope: Scope,
}

#[derive(Args)]
pub struct Check {
    /// Only this scope: `workspace/<name>` or `cluster/<workspace>/<name>`
    scope: Option<Scope>,
}

#[derive(Args)]
pub struct Repair {
    /// `workspace/<name>` or `cluster/<workspace>/<name>`
    scope: Scope,
}

#[derive(Args)]
pub struct Import {
    /// A file that `state export` wrote; `-` reads standard input
    file: PathBuf,
}

#[derive(Args)]
pub struct Mv {
    from: Address,
    to: Address,
}

#[derive(Args)]
pub struct Unlock {
    /// `workspace/<name>` or `cluster/<workspace>/<name>`
    scope: Scope,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Args)]
pub struct Rm {
    /// Resources with their scope
    #[arg(required_unless_present = "scope")]
    addresses: Vec<Address>,
    /// An empty scope, forgotten with its history
    #[arg(long, conflicts_with = "addresses")]
    scope: Option<Scope>,
}

impl State {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let world = context.world(None)?;
        match self {
            State::List(list) => match list.scope {
                Some(scope) => print_list(context, &[world.store.read(&scope)?]),
                None => list_all(context),
            },
            State::Show(show) => show.run(context, &world),
            State::Export(export) => export.run(context, &world),
            State::Import(import) => import.run(context, &world),
            State::Check(check) => check.run(context, &world),
            State::Repair(repair) => repair.run(context, &world),
            State::Migrate(migrate) => migrate.run(context),
            State::Mv(mv) => mv.run(context, &world),
            State::Unlock(unlock) => unlock.run(context, &world),
            State::Rm(rm) => rm.run(context, &world),
        }
    }
}

/// Everything recorded, scope by scope.
pub fn list_all(context: &Context) -> Result<Exit, Error> {
    let store = context.world(None)?.store;
    let snapshots = store.scopes()?.iter().map(|scope| store.read(scope)).collect::<Result<Vec<Snapshot>, _>>()?;
    print_list(context, &snapshots)
}

fn print_list(context: &Context, snapshots: &[Snapshot]) -> Result<Exit, Error> {
    if context.out.is_json() {
        for snapshot in snapshots {
            context.event("state", export::export(snapshot))?;
        }
        return Ok(Exit::Ok);
    }
    match snapshots {
        [] => context.print("Nothing is recorded."),
        snapshots => context.print(&view::state::lists(snapshots, &context.out.look())),
    }
}

fn unknown(address: &str, place: &str) -> Error {
    Error::request(
        Diagnostic::error("unknown-resource", "nothing is recorded under this address")
            .detail(format!("`{address}` is not in {place}"))
            .hint("list what is: `cloudtik state list`"),
    )
}

impl Show {
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        let mut found: Vec<Arc<Record>> = Vec::new();
        for scope in world.store.scopes()? {
            let snapshot = world.store.read(&scope)?;
            let same = |a: &Address| a.to_string() == self.address || a.short() == self.address;
            found.extend(snapshot.records.into_values().filter(|r| same(&r.address)));
        }
        match found.as_slice() {
            [] => Err(unknown(&self.address, &world.store.place())),
            [record] if context.out.is_json() => {
                let json = serde_json::to_value(&**record).map_err(std::io::Error::other);
                context.event("resource", json.map_err(Error::io("write the record"))?)
            }
            [record] => context.print(&view::state::show(record, &context.out.look())),
            several => Err(Error::request(
                Diagnostic::error("ambiguous-address", "more than one scope has such a resource")
                    .detail(format!("`{}`", self.address))
                    .hint(format!(
                        "name the scope too: {}",
                        several.iter().map(|r| r.address.to_string()).collect::<Vec<_>>().join(", ")
                    )),
            )),
        }
    }
}

impl Export {
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        let snapshot = world.store.read(&self.scope)?;
        if snapshot.lineage.is_empty() {
            return Err(unknown(&self.scope.to_string(), &world.store.place()));
        }
        let text = serde_json::to_string_pretty(&export::export(&snapshot)).map_err(std::io::Error::other);
        context.print(&text.map_err(Error::io("write the export"))?)
    }
}

impl Check {
    /// Every damaged scope is told before the first one ends the run.
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        let known = world.store.scopes()?;
        let scopes = match self.scope {
            Some(scope) if !known.contains(&scope) => return Err(unknown(&scope.to_string(), &world.store.place())),
            Some(scope) => vec![scope],
            None => known,
        };
        let mut exit = Exit::Ok;
        let mut whole = Vec::new();
        for scope in scopes {
            match world.store.check(&scope) {
                Ok(()) => whole.push(scope.to_string()),
                Err(error) => exit = Error::from(error).report(&context.out),
            }
        }
        match whole.as_slice() {
            _ if context.out.is_json() => context.event("checked", serde_json::json!({ "whole": whole }))?,
            [] if exit == Exit::Ok => context.print("Nothing is recorded.")?,
            [] => exit,
            whole => context.print(&format!("Whole: {}", whole.join(", ")))?,
        };
        Ok(exit)
    }
}

impl Repair {
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        let scope = &self.scope;
        let repaired = world.store.repair(scope, &holder("state repair"))?;
        let mut text = format!("{scope}: {}.", repaired.how);
        if let Some(aside) = repaired.aside {
            text += &format!("\nThe damaged data is kept in {aside}. `cloudtik plan` shows what was done since.");
        }
        context.tell("state-changed", &text)
    }
}

impl Import {
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        let text = if self.file.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(&self.file)
        };
        let text = text.map_err(Error::io(format!("read `{}`", self.file.display())))?;
        let wrong = |detail: String| {
            Error::request(
                Diagnostic::error("not-an-export", "the file is not an export of state")
                    .detail(format!("`{}`: {detail}", self.file.display()))
                    .hint("write one with `cloudtik state export SCOPE`"),
            )
        };
        let json = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let snapshot = export::import(json).map_err(|e| wrong(e.to_string()))?;
        let mut lock = lock_one(world, &snapshot.scope, "state import")?;
        if !lock.snapshot().records.is_empty() || !lock.snapshot().open.is_empty() {
            return Err(Error::request(
                Diagnostic::error("state-exists", "the scope already has state")
                    .detail(format!("{} records {} resources", snapshot.scope, lock.snapshot().records.len()))
                    .hint("import into another state folder: `--state DIR`"),
            ));
        }
        let mutations: Vec<Mutation> =
            snapshot.records.values().map(|r| Mutation::Put(Box::new((**r).clone()))).collect();
        let count = mutations.len();
        let mut entries = vec![Entry::Edit { what: "import".into(), mutations, at: Timestamp::now() }];
        entries.extend(snapshot.open.iter().cloned().map(Entry::Intent));
        lock.append(&entries)?;
        context.tell("state-changed", &format!("Imported {count} resources into {}.", snapshot.scope))
    }
}

fn lock_one(world: &World, scope: &Scope, doing: &str) -> Result<Box<dyn cloudtik_core::state::Locked>, Error> {
    let mut locks = world.lock(&BTreeSet::from([scope.clone()]), doing)?;
    Ok(locks.remove(scope).expect("the lock that was just taken"))
}

impl Mv {
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        let refuse = |detail: String| {
            Error::request(
                Diagnostic::error("cannot-move", "the record cannot be moved there")
                    .detail(detail)
                    .hint("move within one scope and one kind, to an address that is free"),
            )
        };
        if self.from.scope() != self.to.scope() || self.from.kind() != self.to.kind() {
            return Err(refuse(format!("`{}` and `{}` differ in scope or kind", self.from, self.to)));
        }
        let mut lock = lock_one(world, self.from.scope(), "state mv")?;
        let records = &lock.snapshot().records;
        let Some(record) = records.get(&self.from) else {
            return Err(unknown(&self.from.to_string(), &world.store.place()));
        };
        if records.contains_key(&self.to) {
            return Err(refuse(format!("`{}` is taken", self.to)));
        }
        let mut mutations = vec![
            Mutation::Remove(self.from.clone()),
            Mutation::Put(Box::new(Record { address: self.to.clone(), ..(**record).clone() })),
        ];
        // Whatever was built on it keeps pointing at it.
        for other in records.values().filter(|r| r.address != self.from) {
            let mut moved = (**other).clone();
            for dependency in moved.dependencies.iter_mut().filter(|d| d.address == self.from) {
                dependency.address = self.to.clone();
            }
            let renamed = |reference: &Reference| {
                let address = if reference.address == self.from { &self.to } else { &reference.address };
                Some(Value::Ref(Reference { address: address.clone(), ..reference.clone() }))
            };
            moved.references = moved.references.as_ref().map(|references| value::resolve(references, &renamed));
            if moved.lifecycle.gone_with.as_ref() == Some(&self.from) {
                moved.lifecycle.gone_with = Some(self.to.clone());
            }
            if moved != **other {
                mutations.push(Mutation::Put(Box::new(moved)));
            }
        }
        lock.append(&[Entry::Edit { what: format!("mv {} {}", self.from, self.to), mutations, at: Timestamp::now() }])?;
        context.tell("state-changed", &format!("Moved {} to {}.", self.from, self.to.short()))
    }
}

impl Unlock {
    /// Whatever the other run still writes is refused, so that this cannot harm the state.
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        let scope = &self.scope;
        let Some(lease) = world.store.lease(scope)? else {
            return context.tell("state-changed", &format!("Nobody holds {scope}."));
        };
        let (who, doing) = (&lease.holder, &lease.holder.doing);
        context.out.note(&format!("{scope} is locked by {who}, `{doing}`: {}.", standing(&lease)));
        let question = "What it still does is not recorded; the next run finds out what became of it. Unlock?";
        if let Some(exit) = context.agree(question, self.yes)? {
            return Ok(exit);
        }
        // It may have given a sign of life since: that is what the question was about.
        let latest = world.store.lease(scope)?.filter(|latest| latest.fence == lease.fence);
        if let Some(latest) = latest {
            drop(world.store.take_over(scope, &holder("state unlock"), &latest)?);
        }
        context.tell("state-changed", &format!("Unlocked {scope}; what {who} still writes is refused."))
    }
}

impl Rm {
    fn run(self, context: &Context, world: &World) -> Result<Exit, Error> {
        if let Some(scope) = &self.scope {
            lock_one(world, scope, "state rm")?.erase()?;
            return context.tell("state-changed", &format!("Forgot {scope} and its history."));
        }
        for address in &self.addresses {
            if !world.store.read(address.scope())?.records.contains_key(address) {
                return Err(unknown(&address.to_string(), &world.store.place()));
            }
        }
        for address in &self.addresses {
            let mut lock = lock_one(world, address.scope(), "state rm")?;
            let mutations = vec![Mutation::Remove(address.clone())];
            lock.append(&[Entry::Edit { what: format!("rm {address}"), mutations, at: Timestamp::now() }])?;
        }
        let names: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        context.tell("state-changed", &format!("Forgot {}; what they stand for is untouched.", names.join(", ")))
    }
}
