//! One file per kind of resource. Each has its typed attributes and the calls on one object or on all of one node.

pub mod artifact;
pub mod command;
pub mod disks;
pub mod file;
pub mod installation;
pub mod mount;
pub mod service;

use crate::hosts::{self, Hosts};
use cloudtik_core::{
    Attrs, Failure, FailureKind, Value,
    host::Host,
    provider::{Call, Health, Observed, Presence, Refresh, Subject},
    value,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, future::Future, sync::Arc};

/// Reads a resource's attributes as its type.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, attributes: &Attrs) -> Result<T, Failure> {
    let json = serde_json::to_value(value::pruned(attributes)).expect("a value is always JSON");
    serde_json::from_value(json)
        .map_err(|e| Failure::new(FailureKind::Bug, format!("read the attributes of {what}"), e.to_string()))
}

pub(crate) fn connection(attributes: &Attrs) -> &Value {
    attributes.get("connection").unwrap_or(&Value::Unset)
}

/// What refresh looks at: the object as recorded, else as declared. `None` while the node is not known.
fn looked_at(subject: &Subject) -> Option<&Attrs> {
    let attributes = subject.record.as_ref().map_or(&subject.declared, |record| &record.attributes);
    attributes.get("connection").is_some_and(Value::is_known).then_some(attributes)
}

/// A subject, and the attributes that refresh goes by.
pub(crate) type Looked<'a> = (&'a Subject, &'a Attrs);

/// Observes subjects node by node, all nodes at once. `read` answers for all subjects of one node, in their order.
///
/// A node that is gone has nothing on it. What is on a node that cannot be reached keeps its record and is broken.
pub(crate) async fn by_node<'a, F, Fut>(hosts: &Hosts, refresh: &'a Refresh, read: F) -> Result<Vec<Observed>, Failure>
where
    F: Fn(Arc<dyn Host>, Vec<Looked<'a>>) -> Fut,
    Fut: Future<Output = Result<Vec<Presence>, Failure>>,
{
    let mut nodes: BTreeMap<String, (&Value, Vec<Looked<'_>>)> = BTreeMap::new();
    let mut observed = Vec::new();
    for subject in &refresh.subjects {
        match looked_at(subject) {
            Some(attributes) => {
                let connection = connection(attributes);
                nodes.entry(hosts::key(connection)).or_insert((connection, Vec::new())).1.push((subject, attributes));
            }
            None => observed.push(Observed { address: subject.address.clone(), presence: Presence::Absent }),
        }
    }
    let reads = nodes.into_values().map(|(connection, subjects)| {
        let read = &read;
        async move {
            let answer = match hosts.get(connection).await {
                Ok(host) => read(host, subjects.clone()).await,
                Err(failure) => Err(failure),
            };
            (connection, subjects, answer)
        }
    });
    for (connection, subjects, answer) in futures::future::join_all(reads).await {
        let presences = match answer {
            Ok(presences) => presences,
            Err(failure) if hosts::is_lost(&failure) => {
                hosts.forget(connection);
                subjects.iter().map(|(subject, _)| without_node(subject, &failure)).collect()
            }
            Err(failure) => return Err(failure),
        };
        let answers = subjects.iter().zip(presences);
        observed.extend(answers.map(|((s, _), presence)| Observed { address: s.address.clone(), presence }));
    }
    Ok(observed)
}

fn without_node(subject: &Subject, failure: &Failure) -> Presence {
    match &subject.record {
        Some(record) if !hosts::is_gone(failure) => Presence::Present {
            id: record.id.clone(),
            attributes: Attrs::new(),
            outputs: record.outputs.clone(),
            healthy: Health::Broken(format!("its node cannot be reached: {}", failure.message)),
            owned: true,
        },
        _ => Presence::Absent,
    }
}

/// The host of the node that a call is about.
pub(crate) async fn host_of(hosts: &Hosts, call: &Call) -> Result<Arc<dyn Host>, Failure> {
    let connection = connection(&call.attributes);
    let result = hosts.get(connection).await;
    if result.as_ref().is_err_and(hosts::is_lost) {
        hosts.forget(connection);
    }
    result
}

/// The host that the recorded object is on, and `None` when that node is gone: then nothing is left of the object.
pub(crate) async fn recorded_host(hosts: &Hosts, attributes: &Attrs) -> Result<Option<Arc<dyn Host>>, Failure> {
    match hosts.get(connection(attributes)).await {
        Ok(host) => Ok(Some(host)),
        Err(failure) if hosts::is_gone(&failure) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Turns "the node is gone" into success: nothing of the object can be left.
pub(crate) fn unless_gone(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if hosts::is_gone(&failure) => Ok(()),
        other => other,
    }
}
