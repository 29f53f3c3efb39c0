//! What state holds, for people: its records, one record whole, its revisions.

use super::{
    page::{Line, Look, Page, Paint, Wrap},
    plan::show_value,
    tables::Table,
    text,
};
use cloudtik_core::{
    Attrs, Value,
    state::{Intent, Record, Revision, Snapshot, Status},
};
use jiff::Timestamp;

/// Scopes under each other; with several, each under its name.
pub fn lists(snapshots: &[Snapshot], look: &Look<'_>) -> String {
    let named = |snapshot: &Snapshot| {
        let mut page = Page::new(look);
        if snapshots.len() > 1 && !snapshot.records.is_empty() {
            page.line(&Line::of(Paint::Bold, snapshot.scope.to_string()), 0);
        }
        page.finish() + &list(snapshot, look)
    };
    snapshots.iter().map(named).collect::<Vec<_>>().join("\n")
}

/// Every record with its state; then what an interrupted run left open.
pub fn list(snapshot: &Snapshot, look: &Look<'_>) -> String {
    let mut table = Table::new(["resource", "provider", "id", "state"])
        .or_empty(&format!("{} holds no resources.", snapshot.scope));
    for record in snapshot.records.values() {
        table.row([record.address.short(), record.provider.to_string(), record.id.clone(), standing(record)]);
    }
    let mut out = table.render(look);
    if let Some(elsewhere) = &snapshot.elsewhere {
        let mut page = Page::new(look);
        page.line(&Line::of(Paint::Edit, format!("{} is not here any more: {elsewhere}", snapshot.scope)), 4);
        out = page.finish() + &out;
    }
    if !snapshot.open.is_empty() {
        out.push('\n');
        out.push_str(&open(&snapshot.open, look));
    }
    out
}

fn open(intents: &[Intent], look: &Look<'_>) -> String {
    let mut page = Page::new(look);
    let steps = text::plural(intents.len(), "step");
    page.line(&Line::of(Paint::Edit, format!("{steps} of an interrupted run, settled by the next apply:")), 0);
    for intent in intents {
        let line = format!("  {} {}, begun {}", intent.verb.as_str(), intent.address.short(), when(intent.at));
        page.line(&Line::new().plain(line), 4);
    }
    page.finish()
}

fn standing(record: &Record) -> String {
    let mut standing = match (record.only_deposed, record.status) {
        (true, _) => "replaced".to_string(),
        (_, Status::Ready) => "ready".to_string(),
        (_, Status::Created) => "created, not ready".to_string(),
    };
    if !record.deposed.is_empty() {
        standing.push_str(&format!(", {} to delete", text::plural(record.deposed.len(), "old object")));
    }
    standing
}

/// One record with everything known of it. Secrets show where they come from, never what they are.
pub fn show(record: &Record, look: &Look<'_>) -> String {
    let mut page = Page::new(look);
    page.line(&Line::of(Paint::Bold, record.address.to_string()), 2);
    pair(&mut page, look, "id", &Value::text(&record.id), 2);
    pair(&mut page, look, "provider", &Value::text(record.provider.to_string()), 2);
    page.line(&Line::of(Paint::Dim, "  state = ").plain(standing(record)), 4);
    attributes(&mut page, look, "attributes", &record.attributes);
    attributes(&mut page, look, "outputs", &record.outputs);
    if !record.dependencies.is_empty() {
        page.blank();
        page.line(&Line::of(Paint::Bold, "  built on"), 0);
        for dependency in &record.dependencies {
            let needs = if dependency.needs == cloudtik_core::Needs::Created { " (created)" } else { "" };
            page.line(&Line::new().plain(format!("    {}{needs}", dependency.address)), 6);
        }
    }
    for (key, old) in &record.deposed {
        page.blank();
        page.line(&Line::of(Paint::Edit, format!("  old object {key} to delete: ")).plain(look.clean(&old.id)), 4);
    }
    page.finish()
}

fn attributes(page: &mut Page, look: &Look<'_>, heading: &str, attributes: &Attrs) {
    if attributes.is_empty() {
        return;
    }
    page.blank();
    page.line(&Line::of(Paint::Bold, format!("  {heading}")), 0);
    for (name, value) in attributes {
        pair(page, look, name, value, 4);
    }
}

fn pair(page: &mut Page, look: &Look<'_>, name: &str, value: &Value, indent: usize) {
    let lead = " ".repeat(indent);
    match value {
        Value::Secret(secret) => {
            let line = Line::of(Paint::Dim, format!("{lead}{name} = ")).plain("(sensitive)");
            page.line(&line.add(Paint::Dim, format!(" from {}", secret.source)), indent + 2);
        }
        Value::Text(content) if content.trim_end().contains('\n') => {
            page.line(&Line::of(Paint::Dim, format!("{lead}{name} =")), indent);
            for line in look.clean(content).lines() {
                page.wrapped(&Line::new().plain(format!("{lead}  {line}")), indent + 2, Wrap::Exact);
            }
        }
        _ => {
            let line = Line::of(Paint::Dim, format!("{lead}{} = ", look.clean(name)));
            page.line(&line.plain(look.clean(&show_value(value))), indent + 4);
        }
    }
}

/// Revisions, newest first as given.
pub fn history(revisions: &[Revision], look: &Look<'_>) -> String {
    let mut table =
        Table::new(["revision", "when", "who", "command", "result", "resources"]).or_empty("No revisions yet.");
    for revision in revisions {
        table.row([
            format!("r{}", revision.number),
            when(revision.at),
            revision.who.clone(),
            revision.command.clone(),
            result(revision),
            revision.resources.to_string(),
        ]);
    }
    table.render(look)
}

fn result(revision: &Revision) -> String {
    let mut parts = vec![format!("{} done", revision.done)];
    if revision.failed > 0 {
        parts.push(format!("{} failed", revision.failed));
    }
    if revision.skipped > 0 {
        parts.push(format!("{} skipped", revision.skipped));
    }
    parts.join(", ")
}

/// A moment in UTC, to the second, the same wherever it is read.
pub fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{assert_case, cluster, look};
    use cloudtik_core::{
        Dependency, Digest, Needs, Secret,
        plan::{OperationId, Verb},
    };
    use std::sync::Arc;

    fn record() -> Record {
        Record {
            address: cluster("instance.head"),
            provider: "local".into(),
            id: "ns-4711".into(),
            status: Status::Ready,
            attributes: [
                ("cpus".to_string(), Value::Int(2)),
                (
                    "password".to_string(),
                    Value::Secret(Secret { source: "env:PASSWORD".into(), fingerprint: Some("f00d".into()) }),
                ),
                ("script".to_string(), Value::text("#!/bin/sh\necho ready\n")),
            ]
            .into(),
            outputs: [("ip".to_string(), Value::text("10.20.0.10"))].into(),
            dependencies: vec![Dependency { address: cluster("subnet.private"), needs: Needs::Created }],
            lifecycle: Default::default(),
            operation: OperationId("op".into()),
            schema: 1,
            made: None,
            deposed: Default::default(),
            only_deposed: false,
            references: None,
        }
    }

    #[test]
    fn a_record_shows_all_but_its_secrets() {
        let text = show(&record(), &look());
        assert!(!text.contains("f00d"), "{text}");
        assert_case("record", &text);
    }

    #[test]
    fn a_list_tells_what_an_interrupted_run_left() {
        let mut snapshot = Snapshot::empty(record().address.scope());
        snapshot.records.insert(record().address, Arc::new(record()));
        snapshot.open.push(Intent {
            operation: OperationId("op2".into()),
            address: cluster("instance.worker.default[0]"),
            provider: "local".into(),
            verb: Verb::Create,
            attributes: Attrs::new(),
            dependencies: Vec::new(),
            lifecycle: Default::default(),
            references: None,
            batch: None,
            at: Timestamp::UNIX_EPOCH,
        });
        assert_case("state-list", &list(&snapshot, &look()));
    }

    #[test]
    fn history_has_a_line_for_each_revision() {
        let revision = |number, failed| Revision {
            number,
            at: Timestamp::UNIX_EPOCH,
            who: "ada@laptop".into(),
            plan: Digest("00".into()),
            command: "cloudtik apply workspace.yaml cluster.yaml".into(),
            done: 14,
            failed,
            skipped: 0,
            resources: 22,
        };
        assert_case("history", &history(&[revision(2, 1), revision(1, 0)], &look()));
    }
}
