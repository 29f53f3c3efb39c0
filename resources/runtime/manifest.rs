//! The format of `templates/runtimes/<name>/runtime.yaml`: what a runtime is, as data.
//!
//! Only the shape is known here. Text values of roles, environment and launchers are minijinja templates; `value`, `when`
//! and `that` are minijinja expressions. Unknown fields are errors.

use crate::probe::Probe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    pub summary: String,
    /// The version used when the document names none.
    pub version: String,
    pub versions: BTreeMap<String, Vec<Artifact>>,
    /// Features that other runtimes may need (`metastore`).
    #[serde(default)]
    pub provides: Vec<String>,
    /// Features that must be provided by a runtime of the same cluster.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Keys of the runtime's block in documents.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    #[serde(default)]
    pub sizing: Sizing,
    /// Set for every service and every submitted job.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub roles: Roles,
    #[serde(default)]
    pub launchers: Vec<Launcher>,
}

/// A file or a set of packages that the runtime needs and the machine may lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    pub name: String,
    pub version: String,
    pub source: Source,
    /// A probe that makes fetching unnecessary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
    /// The parts of an archive that are kept; all of it when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpack: Vec<Part>,
    /// Folder inside the unpacked tree that is the artifact's home; `*` stands for any text within a path segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file of a Python package, as published: nothing of it is run or installed.
    Pypi(Pypi),
    /// Debian packages and those of their dependencies that the machine lacks, unpacked, not installed.
    Debian(Debian),
    Url(Url),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pypi {
    pub package: String,
    pub version: String,
    pub file: String,
    /// Bytes.
    pub size: u64,
    pub sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// Each entry may name alternatives, the preferred one first: `openjdk-17-jre-headless | openjdk-21-jre-headless`.
    pub packages: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Url {
    pub url: String,
    pub sha256: String,
    #[serde(default)]
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instead {
    /// A Java of at least this version with these modules, found by `JAVA_HOME` or `PATH`.
    Java { at_least: u32, modules: Vec<String> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    #[serde(rename = "type")]
    pub kind: SettingKind,
    /// An expression over the cluster's facts, evaluated when the document does not set the key.
    #[serde(default)]
    pub default: Option<String>,
    /// The key is accepted and has no effect: why, as a sentence for the warning.
    #[serde(default)]
    pub ignored: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    Bool,
    Int,
    Text,
    Map,
    Any,
}

/// Named expressions, each seeing those before it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizing {
    /// Per node, over its role, cpus and memory.
    #[serde(default)]
    pub node: Vec<Named>,
    /// Conditions that a node's size must meet.
    #[serde(default)]
    pub require: Vec<Require>,
    /// Once, over all nodes.
    #[serde(default)]
    pub cluster: Vec<Named>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Require {
    pub that: String,
    /// What does not fit, as a fragment: `the driver, the master and the history server`.
    pub fits: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// On every node, before the role's own.
    #[serde(default)]
    pub all: Role,
    #[serde(default)]
    pub head: Role,
    #[serde(default)]
    pub worker: Role,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    #[serde(default)]
    pub files: Vec<File>,
    #[serde(default)]
    pub services: Vec<Service>,
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Unique among the files of a node; names the resource.
    pub name: String,
    /// A file of the manifest's folder; the one called `name` when unset.
    #[serde(default)]
    pub template: Option<String>,
    /// Relative to the node's home.
    pub path: String,
    #[serde(default = "plain_file")]
    pub mode: String,
    #[serde(default)]
    pub when: Option<String>,
}

fn plain_file() -> String {
    "0644".into()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Unique among the services of a node; names the resource.
    pub name: String,
    pub command: Vec<Argument>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working folder, relative to the node's home; made when missing.
    #[serde(default)]
    pub dir: Option<String>,
    /// Other folders made before the start.
    #[serde(default)]
    pub folders: Vec<String>,
    #[serde(default)]
    pub ports: Vec<u16>,
    /// What tells that it works.
    pub ready: Probe,
    /// What tells that it still works, when that is less than `ready`.
    #[serde(default)]
    pub alive: Option<Probe>,
    /// Services, here or on the head, that must be ready before this one starts.
    #[serde(default)]
    pub after: Vec<String>,
    /// Files, by name, whose change restarts it.
    #[serde(default)]
    pub reads: Vec<String>,
    #[serde(default)]
    pub stop: Stop,
    /// How its work moves elsewhere before it is stopped for good; it is then stopped before its machine goes.
    #[serde(default)]
    pub drain: Option<Drain>,
    #[serde(default = "two_minutes")]
    pub start_seconds: u32,
    #[serde(default)]
    pub when: Option<String>,
}

fn two_minutes() -> u32 {
    120
}

/// One argument, or as many as an expression's list has.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    One(String),
    Each { each: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    #[serde(default = "term")]
    pub signal: String,
    #[serde(default = "ten_seconds")]
    pub grace_seconds: u32,
}

/// A signal that tells a daemon to take no new work and to hand over or finish what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    pub signal: String,
    /// The longest wait.
    pub seconds: u32,
    #[serde(default)]
    pub until: Until,
}

/// What tells that nothing is left to hand over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// It ends by itself.
    #[default]
    Ended,
    /// The processes that it started to do the work have ended.
    Childless,
}

impl Until {
    pub fn as_str(self) -> &'static str {
        match self {
            Until::Ended => "ended",
            Until::Childless => "childless",
        }
    }
}

fn term() -> String {
    "TERM".into()
}

fn ten_seconds() -> u32 {
    10
}

impl Default for Stop {
    fn default() -> Self {
        Stop { signal: term(), grace_seconds: ten_seconds() }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub name: String,
    pub service: String,
    pub port: u16,
    pub protocol: String,
}

/// How a script is run on the head.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launcher {
    /// File name extensions without the dot.
    pub extensions: Vec<String>,
    /// What stands before the script's name.
    pub command: Vec<Argument>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads one manifest. Errors: what is wrong and where, as the YAML reader puts it.
    pub fn read(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let manifest: Manifest = serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The problems that the shape alone does not show.
    fn check(&self) -> Result<(), String> {
        if !self.versions.contains_key(&self.version) {
            return Err(format!("version `{}` is not among `versions`", self.version));
        }
        for role in [&self.roles.head, &self.roles.worker] {
            let services: Vec<_> = self.roles.all.services.iter().chain(&role.services).collect();
            let files: Vec<_> = self.roles.all.files.iter().chain(&role.files).collect();
            for service in &services {
                if let Some(file) = service.reads.iter().find(|name| !files.iter().any(|f| f.name == **name)) {
                    return Err(format!("service `{}` reads `{file}`, which is no file of its role", service.name));
                }
                let head = || self.roles.head.services.iter();
                let known = |name: &String| services.iter().any(|s| s.name == *name) || head().any(|s| s.name == *name);
                if let Some(other) = service.after.iter().find(|name| !known(name)) {
                    return Err(format!("service `{}` is after `{other}`, which is no service", service.name));
                }
                if service.command.is_empty() {
                    return Err(format!("service `{}` has no command", service.name));
                }
            }
            if let Some(endpoint) = role.endpoints.iter().find(|e| !services.iter().any(|s| s.name == e.service)) {
                return Err(format!("endpoint `{}` is of `{}`, which is no service", endpoint.name, endpoint.service));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
name: small
summary: a test
version: "1"
versions: {"1": []}
roles:
  head:
    services:
      - {name: one, command: [sleep, "1"], ready: {tcp: {host: h, port: 1}}}
"#;

    #[test]
    fn a_mistake_is_named() {
        assert!(Manifest::read(SMALL).is_ok());
        for (from, to, says) in [
            ("summary: a test", "sumary: a test", "sumary"),
            ("version: \"1\"", "version: \"2\"", "`2` is not among `versions`"),
            ("command: [sleep, \"1\"],", "command: [],", "`one` has no command"),
            ("port: 1}}", "port: 1, prt: 2}}", "prt"),
            ("ready:", "after: [two], ready:", "is after `two`"),
            ("ready:", "reads: [a.conf], ready:", "reads `a.conf`"),
            ("port: 1}}", "port: 70000}}", "70000"),
        ] {
            let error = Manifest::read(&SMALL.replace(from, to)).unwrap_err();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
