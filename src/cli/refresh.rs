//! `cloudtik refresh`: takes note of outputs that changed, and tells what differs from the record.

use super::{
    context::Context,
    error::Error,
    flow::{self, Request},
    load::Program,
};
use crate::{exit::Exit, view};
use clap::Args;
use cloudtik_core::{
    Value,
    provider::{Health, Presence},
    state::{Entry, Mutation, Record},
};
use jiff::Timestamp;
use std::path::PathBuf;

#[derive(Args)]
pub struct Refresh {
    /// Documents, or folders of documents
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
}

impl Refresh {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let (program, world) = Program::load(context, &self.documents, Vec::new())?;
        let planned = flow::plan(context, &world, &Request::of(&program, "refresh")).await?;
        let mut noted = 0;
        for (scope, mut lock) in world.lock(&program.scopes, "refresh")? {
            let mutations: Vec<Mutation> = lock
                .snapshot()
                .records
                .values()
                .filter_map(|record| fresher(record, planned.observed.get(&record.address)?))
                .map(|record| Mutation::Put(Box::new(record)))
                .collect();
            noted += mutations.len();
            if !mutations.is_empty() {
                lock.append(&[Entry::Edit { what: format!("refresh {scope}"), mutations, at: Timestamp::now() }])?;
            }
        }
        let drift = &planned.plan.drift;
        if context.out.is_json() {
            return context.event("refreshed", serde_json::json!({"noted": noted, "drift": drift}));
        }
        context.print(&view::refreshed(drift, noted, &context.out.look(), context.global.verbose))
    }
}

/// The record with the outputs that were seen, when they differ. Inputs stay: drift is a plan's business, and so is a newer
/// version, whose outputs are those that it will have.
fn fresher(record: &Record, seen: &Presence) -> Option<Record> {
    let Presence::Present { outputs, healthy: Health::Ok | Health::Broken(_), .. } = seen else { return None };
    let told =
        |(name, value): &(&String, &Value)| **value != Value::Unknown && record.outputs.get(*name) != Some(value);
    let changed: Vec<(String, Value)> = outputs.iter().filter(told).map(|(k, v)| (k.clone(), v.clone())).collect();
    (!changed.is_empty()).then(|| {
        let mut fresher = record.clone();
        fresher.outputs.extend(changed);
        fresher
    })
}
