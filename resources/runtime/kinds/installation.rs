//! `installation`: what a runtime needs on a node that does not see this machine's files, in a folder of the node's own.
//!
//! The node uses what it has, else fetches by itself, else is sent what this machine's cache holds. Whatever the way, the
//! digest decides, and the folder appears by one rename with its mark inside. A folder's name tells what was asked for, so
//! another artifact is another folder: the old one goes once nothing uses it.

use super::{Looked, decode, host_of, recorded_host, unless_gone};
use crate::{
    artifact::{self, Packed, Published, Store},
    hosts::{self, Hosts},
    manifest::{Artifact, Debian, Instead, Source},
};
use cloudtik_core::{
    Attrs, Failure, FailureKind, Value,
    host::{Chunk, Command, Host},
    node::Node,
    provider::{Call, Health, Observed, Outcome, Presence, Refresh, Settled, Subject},
    schema::{Durations, KindSchema},
};
use std::{env::consts::ARCH, sync::Arc};

const LOOK: &str = include_str!("../scripts/look.sh");
const INSTALL: &str = concat!(
    include_str!("../scripts/alive.sh"),
    include_str!("../scripts/installation.sh"),
    include_str!("../scripts/install.sh")
);
const TAKE: &str = concat!(
    include_str!("../scripts/alive.sh"),
    include_str!("../scripts/installation.sh"),
    include_str!("../scripts/take.sh")
);
/// Exit codes of the scripts: nothing worked, and nothing is there.
const NOTHING_WORKED: i32 = 3;
const NOTHING_THERE: i32 = 4;

pub fn schema() -> KindSchema {
    KindSchema::new("installation")
        .replace_on(&["name", "version", "source", "instead", "unpack", "home"])
        .create_before_destroy()
        .volatile(&["path", "libraries", "from"])
        .takes(Durations { create: 20_000, ready: 0, update: 20_000, delete: 500 })
}

/// The folder of an artifact on a node.
pub(crate) fn folder(node: &Node, artifact: &Artifact) -> Value {
    Value::concat([node.home.clone(), Value::text(format!("/software/{}", artifact::key(artifact)))])
}

struct Spec {
    artifact: Artifact,
    folder: String,
}

impl Spec {
    fn read(attributes: &Attrs) -> Result<Self, Failure> {
        let mut own = attributes.clone();
        let folder = own.remove("folder").and_then(|f| f.scalar_text()).unwrap_or_default();
        own.remove("connection");
        let artifact = decode("an installation", &own)?;
        if folder.starts_with('/') {
            return Ok(Spec { artifact, folder });
        }
        let what = format!("its folder is `{folder}`, no absolute path");
        Err(Failure::new(FailureKind::Bug, "read the attributes of an installation", what))
    }

    fn label(&self) -> String {
        format!("{} {}", self.artifact.name, self.artifact.version)
    }

    /// What all scripts of an installation begin with.
    fn arguments(&self) -> Vec<String> {
        let (java, modules) = match &self.artifact.instead {
            Some(Instead::Java { at_least, modules }) => (at_least.to_string(), modules.join(" ")),
            None => Default::default(),
        };
        let libraries = if matches!(self.artifact.source, Source::Debian(_)) { "yes" } else { "" };
        let home = self.artifact.home.clone().unwrap_or_default();
        vec![self.folder.clone(), artifact::mark(&self.artifact), home, java, modules, libraries.into()]
    }

    /// `look`: only whether it is there.
    fn install(&self, store: &Store, look: bool) -> Command {
        let Published { file, sha256, size } = Published::of(&self.artifact);
        let packages = match &self.artifact.source {
            Source::Debian(Debian { packages }) => packages.join("\n"),
            Source::Pypi(_) | Source::Url(_) => String::new(),
        };
        let urls = store.urls(&self.artifact).join("\n");
        let look = if look { "look" } else { "" };
        let own = [&self.label(), &size.to_string(), sha256, file, &packages, &urls, look].map(str::to_owned);
        let parts = self.artifact.unpack.iter().flat_map(|part| [part.from.clone(), part.to.clone()]);
        Command::sh(INSTALL, self.arguments().into_iter().chain(own).chain(parts))
    }

    fn take(&self, pushed: &str, sha256: &str) -> Command {
        let own = [&self.label(), pushed, sha256].map(str::to_owned);
        Command::sh(TAKE, self.arguments().into_iter().chain(own))
    }
}

pub async fn refresh(hosts: &Hosts, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
    super::by_node(hosts, refresh, read_node).await
}

/// One round trip for all of a node.
async fn read_node(host: Arc<dyn Host>, subjects: Vec<Looked<'_>>) -> Result<Vec<Presence>, Failure> {
    let mut arguments = Vec::new();
    for (subject, _) in &subjects {
        if let Some(record) = &subject.record {
            let output = |name: &str| record.outputs.get(name).and_then(Value::as_text).unwrap_or_default().to_owned();
            // One that an earlier version recorded in a way that is not understood has no mark that could be right.
            let mark = Spec::read(&record.attributes).map(|spec| artifact::mark(&spec.artifact)).unwrap_or_default();
            arguments.extend([record.id.clone(), mark, output("path"), output("from")]);
        }
    }
    let mut text = String::new();
    if !arguments.is_empty() {
        text = hosts::run(&*host, "look at installations", &Command::sh(LOOK, arguments)).await?.text();
    }
    let mut answers = text.lines();
    Ok(subjects.iter().map(|(subject, _)| presence(subject, &mut answers)).collect())
}

fn presence<'a>(subject: &Subject, answers: &mut impl Iterator<Item = &'a str>) -> Presence {
    match &subject.record {
        Some(record) if answers.next() == Some("yes") => Presence::Present {
            id: record.id.clone(),
            attributes: Attrs::new(),
            outputs: record.outputs.clone(),
            healthy: Health::Ok,
            owned: true,
        },
        _ => Presence::Absent,
    }
}

pub async fn create(hosts: &Hosts, store: &Store, call: &Call) -> Result<Outcome, Failure> {
    let spec = Spec::read(&call.attributes)?;
    let host = host_of(hosts, call).await?;
    let answer = ask(&*host, &spec.install(store, false), call).await?;
    let outputs = match answer.code {
        0 => answer.outputs,
        NOTHING_WORKED => send(&*host, store, &spec, call, &answer.why).await?,
        _ => return Err(answer.failure(&spec)),
    };
    Ok(Outcome { id: spec.folder, outputs })
}

/// Also to where the node's folders are now; what was at another place goes.
pub async fn update(hosts: &Hosts, store: &Store, call: &Call) -> Result<Outcome, Failure> {
    let outcome = create(hosts, store, call).await?;
    if let Some(record) = &call.record
        && record.id != outcome.id
    {
        unless_gone(remove(hosts, &record.attributes, &record.id).await)?;
    }
    Ok(outcome)
}

/// Sends what this machine's cache holds, fetched here first if need be. `why`: why the node could not fetch it.
async fn send(host: &dyn Host, store: &Store, spec: &Spec, call: &Call, why: &[String]) -> Result<Attrs, Failure> {
    let refused = |failure: Failure| Failure {
        message: format!("the node cannot fetch it ({}), and this machine cannot send it: {failure}", why.join("; ")),
        operation: format!("install {}", spec.label()),
        ..failure
    };
    call.say(format!("the node cannot fetch it: {}", why.last().map_or("no source is left", String::as_str)));
    check_architecture(host, spec).await.map_err(refused)?;
    let tree = store.tree(&spec.artifact, &*call.progress).await.map_err(refused)?;
    let (root, key) = spec.folder.rsplit_once('/').unwrap_or(("", &spec.folder));
    let pushed = format!("{root}/.{key}.push.{}/tree.tar", call.operation);
    let mut packed = Packed::open(&tree, format!("sending {}", spec.label()), call.progress.clone()).await?;
    let uploaded = host.upload_from(&pushed, &mut packed, 0o600).await;
    let sha256 = packed.sha256().await;
    // An upload that fails ends the packing as well, with an error that says less.
    uploaded?;
    let answer = ask(host, &spec.take(&pushed, &sha256?), call).await?;
    if answer.code == 0 { Ok(answer.outputs) } else { Err(answer.failure(spec)) }
}

/// Packages hold programs for the kind of processor that they were fetched on.
async fn check_architecture(host: &dyn Host, spec: &Spec) -> Result<(), Failure> {
    if !matches!(spec.artifact.source, Source::Debian(_)) {
        return Ok(());
    }
    let what = format!("send {}", spec.label());
    let theirs = hosts::run(host, &what, &Command::new(["uname", "-m"])).await?.text().trim().to_owned();
    if theirs == ARCH {
        return Ok(());
    }
    let message = format!("its processor is `{theirs}`, this machine's is `{ARCH}`");
    Err(Failure::new(FailureKind::Environment, what, message)
        .hint("give the node a way to its package mirror, or an image that has it installed"))
}

/// What a script answered.
#[derive(Default)]
struct Answer {
    code: i32,
    outputs: Attrs,
    why: Vec<String>,
    error: Vec<u8>,
}

impl Answer {
    fn line(&mut self, line: &str, say: &mut dyn FnMut(&str)) {
        match line.split_at_checked(2) {
            Some(("~ ", text)) => say(text),
            Some(("! ", text)) => self.why.push(text.into()),
            Some(("= ", text)) => {
                let (name, value) = text.split_once(' ').unwrap_or((text, ""));
                self.outputs.insert(name.into(), Value::text(value));
            }
            _ => {}
        }
    }

    fn failure(&self, spec: &Spec) -> Failure {
        let error = hosts::last_lines(&String::from_utf8_lossy(&self.error), 4);
        let said: Vec<&str> =
            self.why.iter().map(String::as_str).chain([error.as_str()]).filter(|s| !s.is_empty()).collect();
        let message = format!("exit code {}: {}", self.code, said.join("; "));
        Failure::new(FailureKind::Command, format!("install {}", spec.label()), message)
    }
}

async fn ask(host: &dyn Host, command: &Command, call: &Call) -> Result<Answer, Failure> {
    let (mut answer, mut pending, mut told) = (Answer::default(), Vec::new(), String::new());
    let mut say = |text: &str| {
        if text != told {
            call.say(text);
            text.clone_into(&mut told);
        }
    };
    let mut sink = |chunk: Chunk| match chunk {
        Chunk::Err(bytes) => answer.error.extend(bytes),
        Chunk::Out(bytes) => {
            pending.extend(bytes);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                answer.line(String::from_utf8_lossy(&line).trim_end_matches('\n'), &mut say);
            }
        }
    };
    let code = host.stream(command, &mut sink).await?;
    Ok(Answer { code, ..answer })
}

pub async fn delete(hosts: &Hosts, call: &Call) -> Result<(), Failure> {
    let Some(record) = &call.record else { return Ok(()) };
    unless_gone(remove(hosts, &record.attributes, &record.id).await)
}

async fn remove(hosts: &Hosts, attributes: &Attrs, folder: &str) -> Result<(), Failure> {
    let Some(host) = recorded_host(hosts, attributes).await? else { return Ok(()) };
    let (root, key) = folder.rsplit_once('/').unwrap_or(("", folder));
    // The mark first: what is left when this is cut off is not taken for whole.
    let script = "rm -f \"$1/.complete\"; rm -rf \"$1\" \"$2/.$3\".*; rmdir \"$2\" 2>/dev/null || true";
    let command = Command::sh(script, [folder, root, key]);
    hosts::run(&*host, &format!("remove {folder}"), &command).await.map(drop)
}

/// It appears at once or not at all: it is found when its mark is the right one.
pub async fn settle(hosts: &Hosts, store: &Store, call: &Call) -> Result<Settled, Failure> {
    let spec = Spec::read(&call.attributes)?;
    let Some(host) = recorded_host(hosts, &call.attributes).await? else { return Ok(Settled::Absent) };
    let answer = ask(&*host, &spec.install(store, true), call).await?;
    match answer.code {
        0 => Ok(Settled::Found(Outcome { id: spec.folder, outputs: answer.outputs })),
        NOTHING_THERE => Ok(Settled::Absent),
        _ => Err(answer.failure(&spec)),
    }
}
