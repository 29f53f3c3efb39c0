//! State as portable JSON: what `state export` writes and `state import` reads, and what stores keep as a readable backup.
//!
//! The file is an envelope (`kind`, `format`, `digest`) around a [`Snapshot`]. The digest is taken of the snapshot and not of
//! the text, so a file may be reformatted freely; whoever edits it by hand removes the `digest` line. Importing checks
//! everything before it returns anything.

use crate::{
    address::{Address, Scope},
    digest::{self, Digest},
    state::{FORMAT, Snapshot},
};
use serde::Serialize;
use serde_json::Value as Json;

/// The value of `kind`, by which an export is told from other JSON.
pub const KIND: &str = "cloudtik-state";

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("not a state export: {detail}")]
    NotAnExport { detail: String },
    #[error("the export was written by a newer version (format {found}, this binary knows {known})")]
    TooNew { found: u64, known: u32 },
    /// The content is not what was exported.
    #[error("the export says digest {}, its content has {}: if it was edited on purpose, remove the `digest` line", .says.short(), .has.short())]
    Altered { says: Digest, has: Digest },
    #[error("the export of {scope} holds a record of another scope: {address}")]
    Foreign { scope: Scope, address: Address },
    #[error("the export holds {address} under the name of {key}")]
    Misplaced { key: Address, address: Address },
}

#[derive(Serialize)]
struct Export<'a> {
    kind: &'static str,
    format: u32,
    digest: Digest,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
}

/// The versioned JSON of a scope's state.
pub fn export(snapshot: &Snapshot) -> Json {
    serde_json::to_value(document(snapshot)).expect("state types are always JSON")
}

/// [`export`] for writing right away, without the tree in between.
pub fn document(snapshot: &Snapshot) -> impl Serialize {
    Export { kind: KIND, format: FORMAT, digest: digest::of(snapshot), snapshot }
}

/// The state that an export holds.
///
/// Errors: see [`ImportError`]; a missing `digest` is none, it says that the file was edited.
pub fn import(json: Json) -> Result<Snapshot, ImportError> {
    let says = envelope(&json)?;
    let snapshot: Snapshot =
        serde_json::from_value(json).map_err(|e| ImportError::NotAnExport { detail: e.to_string() })?;
    if let Some(says) = says {
        let has = digest::of(&snapshot);
        if has != says {
            return Err(ImportError::Altered { says, has });
        }
    }
    belongs(&snapshot)?;
    Ok(snapshot)
}

/// Checks kind and format, and returns the digest that the file claims.
fn envelope(json: &Json) -> Result<Option<Digest>, ImportError> {
    let not = |detail: &str| ImportError::NotAnExport { detail: detail.into() };
    let object = json.as_object().ok_or_else(|| not("it is no JSON object"))?;
    if object.get("kind").and_then(Json::as_str) != Some(KIND) {
        return Err(not("`kind` is not `cloudtik-state`"));
    }
    let format = object.get("format").and_then(Json::as_u64).ok_or_else(|| not("`format` is no number"))?;
    if format > FORMAT.into() {
        return Err(ImportError::TooNew { found: format, known: FORMAT });
    }
    match object.get("digest") {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(Digest(text.clone()))),
        Some(_) => Err(not("`digest` is no text")),
    }
}

fn belongs(snapshot: &Snapshot) -> Result<(), ImportError> {
    for (key, record) in &snapshot.records {
        if *key != record.address {
            return Err(ImportError::Misplaced { key: key.clone(), address: record.address.clone() });
        }
    }
    let recorded = snapshot.records.keys();
    let intended = snapshot.open.iter().map(|intent| &intent.address);
    match recorded.chain(intended).find(|address| *address.scope() != snapshot.scope) {
        Some(address) => Err(ImportError::Foreign { scope: snapshot.scope.clone(), address: address.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{OperationId, Verb},
        state::{Entry, Intent, Mutation, Record, Status},
        value::{Attrs, Value},
    };
    use std::sync::Arc;

    fn snapshot() -> Snapshot {
        let scope = Scope::cluster("w", "c");
        let record = |name: &str| Record {
            address: Address::new(scope.clone(), "instance", name),
            provider: "local".into(),
            id: format!("id-{name}"),
            status: Status::Ready,
            attributes: Attrs::from([("cpus".into(), Value::Float(1.0)), ("tags".into(), Value::Unset)]),
            outputs: Attrs::new(),
            references: Some(Attrs::from([(
                "url".into(),
                Value::reference(&Address::new(scope.clone(), "network", "n"), "id"),
            )])),
            dependencies: Vec::new(),
            lifecycle: Default::default(),
            operation: OperationId("o1".into()),
            schema: 1,
            made: None,
            deposed: Default::default(),
            only_deposed: false,
        };
        let intent = Intent {
            operation: OperationId("o2".into()),
            address: Address::new(scope.clone(), "instance", "worker[2]"),
            provider: "local".into(),
            verb: Verb::CreateBeside { key: "k".into() },
            attributes: Attrs::new(),
            references: None,
            dependencies: Vec::new(),
            lifecycle: Default::default(),
            batch: None,
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut snapshot = Snapshot { lineage: "00ff".into(), ..Snapshot::empty(&scope) };
        snapshot.apply(&Entry::Edit {
            what: "test".into(),
            mutations: ["head", "worker[10]"].map(|n| Mutation::Put(Box::new(record(n)))).to_vec(),
            at: jiff::Timestamp::UNIX_EPOCH,
        });
        snapshot.apply(&Entry::Intent(intent));
        snapshot
    }

    #[test]
    fn an_export_reads_back_equal_through_text_in_any_layout() {
        let json = export(&snapshot());
        assert_eq!(json["format"], 4);
        let written = serde_json::to_string_pretty(&document(&snapshot())).unwrap();
        for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap(), written] {
            assert_eq!(import(serde_json::from_str(&text).unwrap()), Ok(snapshot()));
        }
    }

    /// What earlier formats lack is what nobody had then: no intent was part of a batch, no record said what it was made
    /// from.
    #[test]
    fn earlier_formats_are_read() {
        let mut plain = snapshot();
        for record in plain.records.values_mut() {
            Arc::make_mut(record).references = None;
        }
        for format in [1, 2, 3] {
            let mut old = export(&plain);
            old["format"] = format.into();
            assert!(old["open"][0].get("batch").is_none(), "a lone intent is written as it always was");
            assert!(!old.to_string().contains("references"), "what is not known is not written");
            assert_eq!(import(old), Ok(plain.clone()));
        }
    }

    #[test]
    fn an_edit_is_refused_until_the_digest_line_is_removed() {
        let mut json = export(&snapshot());
        json["records"]["cluster/w/c:instance.head"]["id"] = "another".into();
        assert!(matches!(import(json.clone()), Err(ImportError::Altered { .. })));
        json.as_object_mut().unwrap().remove("digest");
        let edited = import(json).unwrap();
        assert_eq!(edited.records[&"cluster/w/c:instance.head".parse().unwrap()].id, "another");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let with = |change: &dyn Fn(&mut Json)| {
            let mut json = export(&snapshot());
            json.as_object_mut().unwrap().remove("digest");
            change(&mut json);
            import(json).unwrap_err().to_string()
        };
        let picture = [
            with(&|j| j["format"] = 5.into()),
            with(&|j| j["format"] = "1".into()),
            with(&|j| j["kind"] = "plan".into()),
            with(&|j| j["digest"] = 7.into()),
            with(&|j| *j = Json::Null),
            with(&|j| j["records"]["cluster/w/c:instance.head"]["address"] = "cluster/w/c:instance.x".into()),
            with(&|j| j["scope"] = "cluster/w/other".into()),
            with(&|j| j["open"][0]["address"] = "workspace/w:network.main".into()),
        ];
        let expected = [
            "the export was written by a newer version (format 5, this binary knows 4)",
            "not a state export: `format` is no number",
            "not a state export: `kind` is not `cloudtik-state`",
            "not a state export: `digest` is no text",
            "not a state export: it is no JSON object",
            "the export holds cluster/w/c:instance.x under the name of cluster/w/c:instance.head",
            "the export of cluster/w/other holds a record of another scope: cluster/w/c:instance.head",
            "the export of cluster/w/c holds a record of another scope: workspace/w:network.main",
        ];
        assert_eq!(picture, expected);
    }
}
