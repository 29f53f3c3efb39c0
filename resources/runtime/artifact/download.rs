//! Brings files here with the programs that a machine has for it, and says how far it is.

use super::{Say, ended_badly, environment};
use cloudtik_core::Failure;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::process::{Child, Command};

const TICK: Duration = Duration::from_millis(200);

pub struct Progress<'a> {
    /// `fetching spark 4.3.0`.
    pub label: &'a str,
    /// Bytes expected; 0 when not known.
    pub size: u64,
    pub say: Say<'a>,
}

impl Progress<'_> {
    fn tell(&self, bytes: u64) {
        let megabytes = |bytes: u64| (bytes + 500_000) / 1_000_000;
        match self.size {
            0 => (self.say)(&format!("{}: {} MB", self.label, megabytes(bytes))),
            size => (self.say)(&format!("{}: {} of {} MB", self.label, megabytes(bytes), megabytes(size))),
        }
    }

    /// Waits for `child`, telling the size of what `file` finds, or until `enough` says that it has done its work.
    pub async fn watch(
        &self,
        child: &mut Child,
        file: impl Fn() -> Option<PathBuf>,
        enough: impl Fn(&Path, u64) -> bool,
    ) -> std::io::Result<Option<ExitStatus>> {
        let mut told = u64::MAX;
        loop {
            if let Some(path) = file() {
                let bytes = fs::metadata(&path).map(|m| m.len()).unwrap_or_default();
                if bytes / 1_000_000 != told {
                    told = bytes / 1_000_000;
                    self.tell(bytes);
                }
                if enough(&path, bytes) {
                    return Ok(None);
                }
            }
            tokio::select! {
                status = child.wait() => return status.map(Some),
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }
}

/// Loads `url` into `target` with curl, wget or Python, whichever is there.
pub async fn url(url: &str, target: &Path, progress: &Progress<'_>) -> Result<(), Failure> {
    let what = format!("fetch {url}");
    let path = target.display().to_string();
    let script = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])";
    let ways: [(&str, Vec<&str>); 3] = [
        ("curl", vec!["-fsSL", "--retry", "2", "-o", &path, url]),
        ("wget", vec!["-q", "-O", &path, url]),
        ("python3", vec!["-c", script, url, &path]),
    ];
    let (program, arguments) = ways.into_iter().find(|(program, _)| has(program)).ok_or_else(|| {
        environment(&what, "none of curl, wget and python3 is on this machine").hint("install curl, and run it again")
    })?;
    let mut child = spawn(&what, Command::new(program).args(arguments))?;
    let status = progress.watch(&mut child, || target.exists().then(|| target.to_owned()), |_, _| false).await;
    match status {
        Ok(Some(status)) if status.success() => Ok(()),
        _ => Err(ended_badly(&what, program, &errors(child).await)),
    }
}

pub fn spawn(what: &str, command: &mut Command) -> Result<Child, Failure> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| environment(what, format!("cannot run {program}: {e}")))
}

/// What an ended child wrote to its error stream.
pub async fn errors(mut child: Child) -> String {
    use tokio::io::AsyncReadExt;
    let mut text = Vec::new();
    if let Some(stream) = &mut child.stderr
        && let Err(error) = stream.take(64 << 10).read_to_end(&mut text).await
    {
        return error.to_string();
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether a program is on `PATH`.
pub fn has(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file())
}
