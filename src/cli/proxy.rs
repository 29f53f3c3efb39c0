//! The record of a proxy that runs in the background: one for each cluster, below the state folder.

use super::{context, error::Error};
use cloudtik_core::Scope;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a proxy that is told to end may take.
const FAREWELL: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Serialize, Deserialize)]
pub struct Proxy {
    pub pid: u32,
    /// The process's start time, so that a reused number is not taken for it.
    started: u64,
    /// `host:port`.
    pub address: String,
}

/// Where a cluster's record is.
pub struct Place(PathBuf);

impl Place {
    pub fn new(home: &Path, scope: &Scope) -> Self {
        Place(home.join("proxy").join(scope.workspace_name()).join(scope.cluster_name().unwrap_or_default()))
    }

    fn record(&self) -> PathBuf {
        self.0.with_added_extension("json")
    }

    /// What the proxy says while it runs.
    pub fn log(&self) -> PathBuf {
        self.0.with_added_extension("log")
    }

    /// The proxy that runs now; what is left of one that does not is passed over.
    pub fn running(&self) -> Option<Proxy> {
        let text = fs::read(self.record()).ok()?;
        let proxy: Proxy = serde_json::from_slice(&text).ok()?;
        proxy.runs().then_some(proxy)
    }

    pub fn make_folder(&self) -> Result<(), Error> {
        let folder = self.0.parent().unwrap_or(Path::new("/"));
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(Error::io(format!("make `{}`", folder.display())))
    }

    /// Records this very process.
    pub fn write(&self, address: &str) -> Result<Proxy, Error> {
        let pid = std::process::id();
        let proxy = Proxy { pid, started: context::start_ticks(pid), address: address.into() };
        let path = self.record();
        let write = || -> io::Result<()> {
            let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            serde_json::to_writer(file, &proxy).map_err(io::Error::other)
        };
        self.make_folder()?;
        write().map_err(Error::io(format!("write `{}`", path.display())))?;
        Ok(proxy)
    }

    pub fn remove(&self) {
        // Nobody needs it any more; what is left is passed over.
        let _ = fs::remove_file(self.record());
        let _ = fs::remove_file(self.log());
    }
}

impl Proxy {
    fn runs(&self) -> bool {
        self.started != 0 && context::start_ticks(self.pid) == self.started
    }

    /// Tells it to end and waits until it has.
    pub async fn end(&self) -> Result<(), Error> {
        let what = || format!("end process {}", self.pid);
        let Some(pid) = Pid::from_raw(self.pid as i32).filter(|_| self.runs()) else { return Ok(()) };
        kill_process(pid, Signal::TERM).map_err(io::Error::from).map_err(Error::io(what()))?;
        let told = Instant::now();
        while self.runs() {
            if told.elapsed() > FAREWELL {
                return Err(Error::Io { what: what(), source: io::ErrorKind::TimedOut.into() });
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
