//! `file`: a text file on a node. Refresh reads it back, so a hand edit shows as drift of its content.

use super::{Looked, connection, decode, host_of, recorded_host, unless_gone};
use crate::hosts::{self, Hosts};
use cloudtik_core::{
    Attrs, Failure, FailureKind, Value, digest,
    host::{Command, Host},
    provider::{Call, Health, Observed, Outcome, Presence, Refresh, Settled},
    schema::{Durations, KindSchema},
};
use serde::Deserialize;
use std::sync::Arc;

const READ: &str = include_str!("../scripts/read.sh");

#[derive(Deserialize)]
struct Spec {
    path: String,
    content: String,
    mode: String,
}

pub fn schema() -> KindSchema {
    KindSchema::new("file").volatile(&["digest"]).predicts(predict).takes(Durations {
        create: 20,
        ready: 0,
        update: 20,
        delete: 20,
    })
}

/// The digest of a content that is known.
fn predict(attributes: &Attrs) -> Attrs {
    let content = attributes.get("content").and_then(Value::as_text);
    content.map(|text| ("digest".to_owned(), digest_of(text.as_bytes()))).into_iter().collect()
}

fn digest_of(content: &[u8]) -> Value {
    Value::text(digest::of_bytes(content).0)
}

pub async fn refresh(hosts: &Hosts, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
    super::by_node(hosts, refresh, read_node).await
}

async fn read_node(host: Arc<dyn Host>, subjects: Vec<Looked<'_>>) -> Result<Vec<Presence>, Failure> {
    // A declared file without a record may have a path that is not known yet; then there is nothing to look at.
    let paths: Vec<Option<&str>> = subjects.iter().map(|(_, a)| a.get("path").and_then(Value::as_text)).collect();
    let known: Vec<&str> = paths.iter().flatten().copied().collect();
    let mut found = if known.is_empty() { Vec::new() } else { read(&*host, &known).await? }.into_iter();
    let answers = subjects.iter().zip(&paths);
    Ok(answers.map(|(subject, path)| presence(subject, *path, path.and_then(|_| found.next().flatten()))).collect())
}

fn presence((subject, attributes): &Looked<'_>, path: Option<&str>, found: Option<Found>) -> Presence {
    let (Some(path), Some(found)) = (path, found) else { return Presence::Absent };
    let content = Value::text(String::from_utf8_lossy(&found.content));
    // Not ours yet: taken over only when it is what is asked for; anything else is written anew.
    if subject.record.is_none() && attributes.get("content") != Some(&content) {
        return Presence::Absent;
    }
    Presence::Present {
        id: path.into(),
        attributes: [("content".to_owned(), content), ("mode".to_owned(), Value::text(found.mode))].into(),
        outputs: [("digest".to_owned(), digest_of(&found.content))].into(),
        healthy: Health::Ok,
        owned: true,
    }
}

struct Found {
    mode: String,
    content: Vec<u8>,
}

/// Reads many files in one round trip; `None` for one that is not there.
async fn read(host: &dyn Host, paths: &[&str]) -> Result<Vec<Option<Found>>, Failure> {
    let operation = "read files back";
    let output = hosts::run(host, operation, &Command::sh(READ, paths.iter().copied())).await?;
    parse(&output.stdout, paths.len()).ok_or_else(|| {
        Failure::new(FailureKind::Other, operation, "the answer is cut short")
            .retry(cloudtik_core::Retry::Backoff)
            .hint("a file was changing while it was read; run it again")
    })
}

fn parse(mut bytes: &[u8], count: usize) -> Option<Vec<Option<Found>>> {
    let mut files = Vec::with_capacity(count);
    for _ in 0..count {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let header = std::str::from_utf8(&bytes[..end]).ok()?;
        bytes = &bytes[end + 1..];
        if header == "none" {
            files.push(None);
            continue;
        }
        let (mode, size) = header.split_once(' ')?;
        let size: usize = size.trim().parse().ok()?;
        let content = bytes.get(..size)?.to_vec();
        bytes = &bytes[size..];
        files.push(Some(Found { mode: format!("{mode:0>4}"), content }));
    }
    bytes.is_empty().then_some(files)
}

/// Writes the file; an earlier place of the same file is removed.
pub async fn write(hosts: &Hosts, call: &Call) -> Result<Outcome, Failure> {
    let spec: Spec = decode("a file", &call.attributes)?;
    let mode = u32::from_str_radix(&spec.mode, 8).map_err(|_| {
        Failure::new(FailureKind::Invalid, format!("write {}", spec.path), format!("`{}` is no file mode", spec.mode))
    })?;
    host_of(hosts, call).await?.upload(&spec.path, spec.content.as_bytes(), mode).await?;
    if let Some(record) = &call.record
        && (record.id != spec.path || connection(&record.attributes) != connection(&call.attributes))
    {
        unless_gone(remove(hosts, &record.attributes, &record.id).await)?;
    }
    Ok(Outcome { id: spec.path, outputs: [("digest".to_owned(), digest_of(spec.content.as_bytes()))].into() })
}

pub async fn delete(hosts: &Hosts, call: &Call) -> Result<(), Failure> {
    let Some(record) = &call.record else { return Ok(()) };
    unless_gone(remove(hosts, &record.attributes, &record.id).await)
}

async fn remove(hosts: &Hosts, attributes: &Attrs, path: &str) -> Result<(), Failure> {
    let Some(host) = recorded_host(hosts, attributes).await? else { return Ok(()) };
    hosts::run(&*host, &format!("remove {path}"), &Command::new(["rm", "-f", "--", path])).await.map(drop)
}

/// A file is written at once or not at all: it is found when its content is the one asked for.
pub async fn settle(hosts: &Hosts, call: &Call) -> Result<Settled, Failure> {
    let spec: Spec = decode("a file", &call.attributes)?;
    let Some(host) = recorded_host(hosts, &call.attributes).await? else { return Ok(Settled::Absent) };
    Ok(match host.read(&spec.path).await? {
        Some(content) if content == spec.content.as_bytes() => {
            Settled::Found(Outcome { id: spec.path, outputs: [("digest".to_owned(), digest_of(&content))].into() })
        }
        _ => Settled::Absent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_whatever_they_hold() {
        let files = parse(b"644 6\na\nnonenone\n600 0\n4755 1\nx", 4).unwrap();
        let found: Vec<_> = files.iter().map(|f| f.as_ref().map(|f| (f.mode.as_str(), &f.content[..]))).collect();
        let expected: [Option<(&str, &[u8])>; 4] =
            [Some(("0644", b"a\nnone")), None, Some(("0600", b"")), Some(("4755", b"x"))];
        assert_eq!(found, expected);
        for cut in [&b"644 6\na\nno"[..], b"644 x\n", b"644 1\nxrest", b""] {
            assert!(parse(cut, 1).is_none(), "{cut:?}");
        }
    }
}
