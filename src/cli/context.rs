//! What every verb needs: where to write, where state lives, what this binary can do.

use super::{Global, error::Error, secrets};
use crate::{
    exit::Exit,
    registry::{self, Platform, PlatformOptions},
    view::{self, Confirm, Output},
};
use cloudtik_core::{
    Diagnostic, Scope,
    document::Document,
    secret::Secrets,
    state::{Holder, Locked, Snapshot, Store},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub struct Context {
    pub global: Global,
    pub out: Output,
}

impl Context {
    pub fn new(global: Global, out: Output) -> Self {
        Context { global, out }
    }

    /// Writes a verb's result.
    pub fn print(&self, text: &str) -> Result<Exit, Error> {
        self.out.result(text).map_err(Error::io("write to standard output"))?;
        Ok(Exit::Ok)
    }

    /// Asks before something is changed, unless that is agreed to already. `None`: go on.
    pub fn agree(&self, question: &str, yes: bool) -> Result<Option<Exit>, Error> {
        if yes {
            return Ok(None);
        }
        match self.out.confirm(question).map_err(Error::io("ask on the terminal"))? {
            Confirm::Yes => Ok(None),
            Confirm::No => {
                self.out.note("Nothing was changed.");
                Ok(Some(Exit::Declined))
            }
            Confirm::NotAsked => {
                self.out.note("Nothing was changed: nobody is here to agree. Run it again with `-y`.");
                Ok(Some(Exit::Declined))
            }
        }
    }

    /// Writes a verb's result as an event of this name; `document` is a JSON object.
    pub fn event(&self, name: &str, document: serde_json::Value) -> Result<Exit, Error> {
        view::event(&self.out, name, document).map_err(Error::io("write to standard output"))?;
        Ok(Exit::Ok)
    }

    /// Writes a line that is an event already.
    pub fn stream(&self, line: &str) -> Result<Exit, Error> {
        view::progress::announce(&self.out);
        self.print(line)
    }

    /// Writes a text: as it is, or as an event of this name with the field `text`.
    pub fn tell(&self, name: &str, text: &str) -> Result<Exit, Error> {
        match self.out.is_json() {
            true => self.event(name, serde_json::json!({ "text": text })),
            false => self.print(text),
        }
    }

    /// `--state`, CLOUDTIK_STATE, what a workspace document says, then the user's own state folder.
    pub fn home(&self, documented: Option<PathBuf>) -> Result<Home, Error> {
        match self.global.state.clone().or(documented) {
            Some(place) => self.home_at(&place),
            None => self.home_at(&own()?),
        }
    }

    /// What is at a place that somebody named: a folder, `sled:` and a folder, or a URL.
    pub fn home_at(&self, place: &Path) -> Result<Home, Error> {
        let (folder, kept) = match (place.to_string_lossy(), in_sled(place)) {
            (_, Some(folder)) => (folder.to_path_buf(), Kept::Sled),
            (url, None) if url.contains("://") => (own()?, Kept::At(url.into_owned())),
            _ => (place.to_path_buf(), Kept::Here),
        };
        let absolute = std::path::absolute(&folder);
        let folder = absolute.map_err(Error::io(format!("find the state folder `{}`", folder.display())))?;
        Ok(Home { folder, kept })
    }

    pub fn world(&self, documented: Option<PathBuf>) -> Result<World, Error> {
        self.world_on(documented, PlatformOptions::default())
    }

    pub fn world_on(&self, documented: Option<PathBuf>, options: PlatformOptions) -> Result<World, Error> {
        let home = self.home(documented)?;
        let store = registry::store(&home)?;
        let home = home.folder;
        let secrets = secrets::none(&home, &self.out);
        let platform = registry::platform(&home, &cache_home()?, &self.global.template_dirs, options, secrets.clone())?;
        Ok(World { home, store, platform, secrets })
    }
}

/// Where state is.
#[derive(Clone, Debug)]
pub struct Home {
    /// Of this machine: all state, or with a shared store what belongs to this machine alone.
    pub folder: PathBuf,
    pub kept: Kept,
}

/// Which store has the state.
#[derive(Clone, Debug)]
pub enum Kept {
    /// The folder itself.
    Here,
    /// `sled`, in the folder.
    Sled,
    /// The one with this URL.
    At(String),
}

/// What a folder's name begins with when `sled` is to keep the state in it.
pub const SLED: &str = "sled:";

/// The folder in `sled:FOLDER`.
fn in_sled(place: &Path) -> Option<&Path> {
    place.as_os_str().as_bytes().strip_prefix(SLED.as_bytes()).map(|folder| Path::new(OsStr::from_bytes(folder)))
}

/// A state folder with everything that works on it.
pub struct World {
    pub home: PathBuf,
    pub store: Arc<dyn Store>,
    pub platform: Platform,
    /// What providers are told and nobody else.
    pub secrets: Arc<Secrets>,
}

impl World {
    /// What a document's provider says about how things are made here, each note as one text.
    pub fn notes(&self, document: &Document) -> Vec<String> {
        let text = |note: Diagnostic| match note.detail.is_empty() {
            true => note.summary,
            false => format!("{}: {}", note.summary, note.detail),
        };
        let compiler = self.platform.compilers.get(document.provider());
        compiler.map(|c| c.notes(document).into_iter().map(text).collect()).unwrap_or_default()
    }

    /// Tells a document's provider how its objects are reached, where nothing is compiled.
    pub fn meet(&self, document: &Document) {
        if let Some(compiler) = self.platform.compilers.get(document.provider()) {
            compiler.meet(document);
        }
    }

    /// Locks scopes in order, so that two runs cannot wait for each other; does not wait for them itself.
    pub fn lock(&self, scopes: &BTreeSet<Scope>, doing: &str) -> Result<BTreeMap<Scope, Box<dyn Locked>>, Error> {
        let holder = holder(doing);
        scopes.iter().map(|scope| Ok((scope.clone(), self.store.lock(scope, &holder)?))).collect()
    }

    /// The states of `scopes`, and of every other scope in the same workspaces.
    pub fn read(&self, scopes: &BTreeSet<Scope>) -> Result<BTreeMap<Scope, Snapshot>, Error> {
        let workspaces: BTreeSet<&str> = scopes.iter().map(Scope::workspace_name).collect();
        let mut all: BTreeSet<Scope> = scopes.clone();
        all.extend(workspaces.iter().map(|w| Scope::workspace(w)));
        all.extend(self.store.scopes()?.into_iter().filter(|s| workspaces.contains(s.workspace_name())));
        all.into_iter().map(|scope| Ok((scope.clone(), self.store.read(&scope)?.here()?))).collect()
    }
}

/// `user@host`.
pub fn who() -> String {
    let holder = holder("");
    format!("{}@{}", holder.user, holder.host)
}

pub fn holder(doing: &str) -> Holder {
    let uid = rustix::process::geteuid();
    let unnamed = |_| if uid.is_root() { "root".into() } else { format!("uid {}", uid.as_raw()) };
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(unnamed);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string();
    Holder {
        user,
        host,
        pid: std::process::id(),
        started: start_ticks(std::process::id()),
        since: Timestamp::now(),
        machine: machine(),
        doing: doing.into(),
    }
}

/// Which processes this one sees: the machine's boot, and the pid namespace. Empty when the system does not tell.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    boot.zip(namespace).map(|(boot, namespace)| format!("{} {}", boot.trim(), namespace.display())).unwrap_or_default()
}

/// A process's start time in clock ticks after boot (field 22 of its `stat`); 0 for one that has ended.
pub fn start_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_whitespace();
    match fields.next() {
        Some("Z" | "X") => 0,
        _ => fields.nth(18).and_then(|ticks| ticks.parse().ok()).unwrap_or(0),
    }
}

/// The user's own state folder.
fn own() -> Result<PathBuf, Error> {
    Ok(under("XDG_STATE_HOME", ".local/state")?.join("cloudtik"))
}

/// Where artifacts are kept: `CLOUDTIK_CACHE`, then the user's cache folder.
fn cache_home() -> Result<PathBuf, Error> {
    match std::env::var_os("CLOUDTIK_CACHE").filter(|v| !v.is_empty()) {
        Some(cache) => std::path::absolute(cache).map_err(Error::io("find the folder that CLOUDTIK_CACHE names")),
        None => Ok(under("XDG_CACHE_HOME", ".cache")?.join("cloudtik")),
    }
}

fn under(variable: &str, default: &str) -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os(variable).filter(|v| Path::new(v).is_absolute()) {
        return Ok(path.into());
    }
    Ok(home()?.join(default))
}

/// The user's home folder.
pub fn home() -> Result<PathBuf, Error> {
    let home = std::env::var_os("HOME").filter(|v| Path::new(v).is_absolute()).ok_or_else(|| {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "HOME is not set to a folder");
        Error::Io { what: "find the user's folders".into(), source: missing }
    })?;
    Ok(home.into())
}
