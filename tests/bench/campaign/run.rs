//! The process that is killed: the program's way from declarations to a changed world, on the real store, telling its
//! parent of every append before and after it.
//!
//! It does what `src/cli/flow.rs` does, in the same order: lock, settle, read, observe, plan, apply.

use super::{
    client::{Client, Link},
    document::{Document, scope},
    points::{Pointed, Points, named},
};
use cloudtik_core::{
    event::Silent,
    plan::Mode,
    provider::Provider,
    state::{Entry, Holder, Locked, Progress, Snapshot, Store, StoreError},
};
use cloudtik_engine::{
    ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Registry, Summary, apply, observe, plan, settle,
};
use cloudtik_redb::RedbStore;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io::Write,
    path::Path,
    sync::Arc,
};

/// What the process says, each a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// It holds the lock.
    Locked,
    /// It appends these.
    Try(Vec<Entry>),
    /// They are durable.
    Ack,
    /// So many operations are carried out from now on.
    Plan(usize),
    /// One of them is done; the real program's word for it.
    Result,
    /// It comes to a named point.
    Point(String),
    Done,
}

impl Line {
    /// Operations whose results it makes durable.
    pub fn results(&self) -> usize {
        match self {
            Line::Try(entries) => entries.iter().filter(|entry| matches!(entry, Entry::Result { .. })).count(),
            Line::Result => 1,
            _ => 0,
        }
    }
}

pub type Say = Arc<dyn Fn(&Line) + Send + Sync>;

/// Where a run is to end, or to do something twice.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Failpoints {
    /// Says every point that it passes, and makes one call at a time, so that they come in the same order in every run.
    pub named: bool,
    pub die: Option<usize>,
    pub twice: Option<usize>,
}

/// The hidden verb. `document` is a file.
pub fn child(home: &Path, socket: &Path, document: &Path, failpoints: &str) -> Result<(), String> {
    let failpoints: Failpoints = serde_json::from_str(failpoints).map_err(|e| e.to_string())?;
    let text = std::fs::read(document).map_err(|e| format!("cannot read the document: {e}"))?;
    let document: Document = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(told)?.block_on(async {
        let link = Link::to(socket).await.map_err(|e| format!("cannot reach the service: {e}"))?;
        let say: Say = Arc::new(write);
        let points = failpoints.named.then(|| Arc::new(Points::new(say.clone(), failpoints.die, failpoints.twice)));
        let client = Arc::new(Client(link));
        let summary = change(&RedbStore::new(home), client, &document, say.clone(), points).await?;
        say(&Line::Done);
        match summary {
            Some(summary) if !summary.is_complete() => Err(format!("it is not complete: {:?}", summary.failed)),
            _ => Ok(()),
        }
    })
}

fn write(line: &Line) {
    let mut text = serde_json::to_vec(line).expect("a line is JSON");
    text.push(b'\n');
    std::io::stdout().lock().write_all(&text).expect("the parent listens");
}

/// An error with its causes.
fn told(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Brings a world to what a document says. `None`: it was so already.
pub async fn change(
    store: &dyn Store,
    mut provider: Arc<dyn Provider>,
    document: &Document,
    say: Say,
    points: Option<Arc<Points>>,
) -> Result<Option<Summary>, String> {
    let parallelism = points.is_some().then_some(1);
    if let Some(points) = &points {
        provider = Arc::new(Pointed { provider, points: points.clone() });
    }
    let registry = Registry::new([provider]);
    let scopes = BTreeSet::from([scope()]);
    store.read(&scope()).map_err(told)?;
    let lock = store.lock(&scope(), &holder()).map_err(told)?;
    say(&Line::Locked);
    let mut lock: Box<dyn Locked> = Box::new(Telling { lock, say: say.clone(), points });
    settle(&registry, &mut *lock, &Silent).await.map_err(told)?;
    let state = BTreeMap::from([(scope(), store.read(&scope()).map_err(told)?)]);
    let declarations = document.declarations();
    let observed =
        observe(&registry, &declarations, &scopes, &state, RefreshPolicy::All, &Silent).await.map_err(told)?;
    let plan = plan(&Input {
        mode: if declarations.is_empty() { Mode::Destroy } else { Mode::Normal },
        declarations: &declarations,
        scopes: &scopes,
        state: &state,
        observed: &observed,
        kinds: registry.kinds(),
        options: &Options::default(),
    })
    .map_err(|problems| format!("{problems:?}"))?;
    if plan.is_empty() {
        return Ok(None);
    }
    say(&Line::Plan(plan.operations.len()));
    let (_keep, interrupt) = tokio::sync::watch::channel(Interrupt::No);
    let options = ApplyOptions { who: "campaign".into(), command: "apply".into(), interrupt, parallelism };
    apply(&plan, &registry, BTreeMap::from([(scope(), lock)]), &state, options, &Silent).await.map(Some).map_err(told)
}

pub fn holder() -> Holder {
    Holder {
        user: "campaign".into(),
        host: "here".into(),
        pid: std::process::id(),
        started: 0,
        since: jiff::Timestamp::now(),
        machine: String::new(),
        doing: "apply".into(),
    }
}

/// The right to change a scope, with somebody who hears of every append before and after it.
struct Telling {
    lock: Box<dyn Locked>,
    say: Say,
    points: Option<Arc<Points>>,
}

impl Telling {
    fn point(&self, side: &str, entries: &[Entry]) {
        if let Some(points) = &self.points {
            points.pass(format!("{side} append {}", named(entries)));
        }
    }
}

impl Locked for Telling {
    fn snapshot(&self) -> &Snapshot {
        self.lock.snapshot()
    }

    fn progress(&mut self, progress: Progress) {
        self.lock.progress(progress);
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        (self.say)(&Line::Try(entries.to_vec()));
        self.point("before", entries);
        self.lock.append(entries)?;
        (self.say)(&Line::Ack);
        self.point("after", entries);
        Ok(())
    }

    fn restore(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError> {
        self.lock.restore(lineage, entries)
    }

    fn erase(self: Box<Self>) -> Result<(), StoreError> {
        self.lock.erase()
    }
}
