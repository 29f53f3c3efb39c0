//! Named points of a run, before and after every append to the journal and every call to the provider.
//!
//! They are wrappers around the store's lock and the provider: the engine and the store know nothing of them.

use super::run::{Line, Say};
use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, ProviderName,
    batch::BatchKey,
    provider::{Call, Observed, Outcome, Provider, Refresh, Settled},
    schema::KindSchema,
    state::Entry,
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

pub struct Points {
    pub say: Say,
    /// The point that the process does not pass, from 0.
    pub die: Option<usize>,
    /// The call that is made twice, from 0.
    pub twice: Option<usize>,
    passed: AtomicUsize,
    called: AtomicUsize,
}

impl Points {
    pub fn new(say: Say, die: Option<usize>, twice: Option<usize>) -> Self {
        Points { say, die, twice, passed: AtomicUsize::new(0), called: AtomicUsize::new(0) }
    }

    /// Says the point's name, and ends the process here if it is the one.
    pub fn pass(&self, name: String) {
        (self.say)(&Line::Point(name));
        if self.die == Some(self.passed.fetch_add(1, Ordering::SeqCst)) {
            // SAFETY: sends this process a signal; it has no other effect, and none returns from this one.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            loop {
                std::thread::park();
            }
        }
    }

    async fn around<T, F: Future<Output = T>>(&self, name: String, call: impl Fn() -> F) -> T {
        self.pass(format!("before {name}"));
        let mut result = call().await;
        if self.twice == Some(self.called.fetch_add(1, Ordering::SeqCst)) {
            result = call().await;
        }
        self.pass(format!("after {name}"));
        result
    }
}

/// What an append holds: `intent create, result`.
pub fn named(entries: &[Entry]) -> String {
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let name = match entry {
            Entry::Intent(intent) => format!("intent {}", intent.verb.as_str()),
            Entry::Result { failure: None, .. } => "result".into(),
            Entry::Result { failure: Some(_), .. } => "failure".into(),
            Entry::Edit { .. } => "edit".into(),
            Entry::Revision(_) => "revision".into(),
            Entry::Move { .. } => "move".into(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" + ")
}

pub struct Pointed {
    pub provider: Arc<dyn Provider>,
    pub points: Arc<Points>,
}

#[async_trait]
impl Provider for Pointed {
    fn name(&self) -> ProviderName {
        self.provider.name()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        self.provider.kinds()
    }

    fn concurrency(&self) -> usize {
        self.provider.concurrency()
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        self.provider.batch(call)
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        self.points.around("call refresh".into(), || self.provider.refresh(refresh)).await
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        self.points.around("call create".into(), || self.provider.create(call)).await
    }

    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        self.points.around("call create_many".into(), || self.provider.create_many(calls)).await
    }

    async fn delete_many(&self, calls: &[Call]) -> Vec<Result<(), Failure>> {
        self.points.around("call delete_many".into(), || self.provider.delete_many(calls)).await
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        self.points.around("call ready".into(), || self.provider.ready(call)).await
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.points.around("call update".into(), || self.provider.update(call)).await
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        self.points.around("call delete".into(), || self.provider.delete(call)).await
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        self.points.around("call settle".into(), || self.provider.settle(call)).await
    }
}
