//! `mount`: a local file or folder copied to a node. Its digest is an attribute, so a changed local file is an update.
//!
//! A mark beside the node's other files says which content was copied last. The copy appears whole or not at all.

use super::{Looked, connection, decode, host_of, recorded_host, unless_gone};
use crate::hosts::{self, Hosts};
use cloudtik_core::{
    Attrs, Digest, Failure, FailureKind, Value, digest,
    host::{Command, Host},
    provider::{Call, Health, Observed, Outcome, Presence, Refresh, Settled, Subject},
    schema::{Durations, KindSchema},
};
use serde::Deserialize;
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// `PATH`: unpacks a tar stream beside PATH, then puts it in place.
const UNPACK: &str = "new=$1.cloudtik-new; rm -rf \"$new\"; mkdir -p \"$new\"; tar -xf - -C \"$new\"
rm -rf \"$1\"; mv \"$new\" \"$1\"";
/// `PATH MARK…`: for each pair the mark's text, or `none` when the path or the mark is missing.
const LOOK: &str = "while [ $# -gt 0 ]; do
if [ -e \"$1\" ] && [ -f \"$2\" ]; then echo \"$(cat \"$2\")\"; else echo none; fi; shift 2; done";

#[derive(Deserialize)]
struct Spec {
    source: PathBuf,
    path: String,
    digest: String,
    mark: String,
}

pub fn schema() -> KindSchema {
    KindSchema::new("mount").takes(Durations { create: 200, ready: 0, update: 200, delete: 20 })
}

/// The digest of a file, or of a folder's names, modes and contents.
pub fn digest_of(source: &Path) -> io::Result<Digest> {
    let mut files = Vec::new();
    collect(source, Path::new(""), &mut files)?;
    Ok(digest::of(&files))
}

fn collect(path: &Path, name: &Path, files: &mut Vec<(String, u32, String)>) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let shown = name.to_string_lossy().into_owned();
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_dir() {
        files.push((shown, mode, "folder".into()));
        let mut names: Vec<_> = fs::read_dir(path)?.map(|e| Ok(e?.file_name())).collect::<io::Result<_>>()?;
        names.sort();
        names.iter().try_for_each(|inner| collect(&path.join(inner), &name.join(inner), files))
    } else {
        files.push((shown, mode, digest::of_bytes(&fs::read(path)?).0));
        Ok(())
    }
}

pub async fn refresh(hosts: &Hosts, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
    super::by_node(hosts, refresh, read_node).await
}

async fn read_node(host: Arc<dyn Host>, subjects: Vec<Looked<'_>>) -> Result<Vec<Presence>, Failure> {
    let text =
        |attributes: &Attrs, key: &str| attributes.get(key).and_then(Value::as_text).unwrap_or_default().to_owned();
    let pairs = subjects.iter().flat_map(|(_, a)| [text(a, "path"), text(a, "mark")]);
    let output = hosts::run(&*host, "look at mounted files", &Command::sh(LOOK, pairs)).await?;
    let answers = output.text();
    let answers = answers.lines().chain(std::iter::repeat("none"));
    Ok(subjects.iter().zip(answers).map(|((subject, _), digest)| presence(subject, digest)).collect())
}

fn presence(subject: &Subject, digest: &str) -> Presence {
    match &subject.record {
        Some(record) if digest != "none" => Presence::Present {
            id: record.id.clone(),
            attributes: [("digest".to_owned(), Value::text(digest))].into(),
            outputs: Attrs::new(),
            healthy: Health::Ok,
            owned: true,
        },
        _ => Presence::Absent,
    }
}

pub async fn write(hosts: &Hosts, call: &Call) -> Result<Outcome, Failure> {
    let spec: Spec = decode("a mount", &call.attributes)?;
    let what = format!("copy {}", spec.source.display());
    let found = digest_of(&spec.source).map_err(|e| unreadable(&what, &e))?;
    if found.0 != spec.digest {
        return Err(
            Failure::new(FailureKind::Invalid, &what, "it has changed since the plan was made").hint("make a new plan")
        );
    }
    let host = host_of(hosts, call).await?;
    if spec.source.is_dir() {
        let stream = pack(&spec.source).await.map_err(|e| unreadable(&what, &e))?;
        hosts::run(&*host, &what, &Command::sh(UNPACK, [spec.path.as_str()]).stdin(stream)).await?;
    } else {
        let content = fs::read(&spec.source).map_err(|e| unreadable(&what, &e))?;
        let mode = fs::metadata(&spec.source).map_err(|e| unreadable(&what, &e))?.permissions().mode() & 0o777;
        host.upload(&spec.path, &content, mode).await?;
    }
    host.upload(&spec.mark, spec.digest.as_bytes(), 0o644).await?;
    if let Some(record) = &call.record
        && (record.id != spec.path || connection(&record.attributes) != connection(&call.attributes))
    {
        unless_gone(remove(hosts, &record.attributes).await)?;
    }
    Ok(Outcome { id: spec.path, outputs: Attrs::new() })
}

fn unreadable(what: &str, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Environment, what, error.to_string())
}

async fn pack(source: &Path) -> io::Result<Vec<u8>> {
    let source = source.to_owned();
    let pack = move || {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_dir_all(".", &source)?;
        archive.into_inner()
    };
    tokio::task::spawn_blocking(pack).await.map_err(io::Error::other)?
}

pub async fn delete(hosts: &Hosts, call: &Call) -> Result<(), Failure> {
    let Some(record) = &call.record else { return Ok(()) };
    unless_gone(remove(hosts, &record.attributes).await)
}

async fn remove(hosts: &Hosts, attributes: &Attrs) -> Result<(), Failure> {
    let spec: Spec = decode("a mount", attributes)?;
    let Some(host) = recorded_host(hosts, attributes).await? else { return Ok(()) };
    let command = Command::new(["rm", "-rf", "--", spec.path.as_str(), spec.mark.as_str()]);
    hosts::run(&*host, &format!("remove {}", spec.path), &command).await.map(drop)
}

/// Copying again is harmless.
pub async fn settle(_: &Hosts, _: &Call) -> Result<Settled, Failure> {
    Ok(Settled::Absent)
}
