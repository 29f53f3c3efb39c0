//! A place of its own to run commands in, and the transcript of what they did.

use crate::filters::filter;
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

pub const WORKSPACE: &str = "\
workspace_name: demo
provider:
  type: local
";

/// The same with other rules.
pub const EDITED: &str = "\
workspace_name: demo
provider:
  type: local
  allow_internal: false
  firewall_rules:
    - {protocol: tcp, ports: [8088], sources: [127.0.0.0/8]}
";

/// A head and two workers without any runtime.
pub const CLUSTER: &str = "\
cluster_name: bare
workspace_name: demo
from: local/small
provider:
  type: local
available_node_types:
  worker.default:
    min_workers: 2
runtime:
  types: []
";

pub struct Bench {
    folder: TempDir,
    transcript: String,
}

/// Nodes outlive commands: none may outlive the test.
impl Drop for Bench {
    fn drop(&mut self) {
        if self.path("state/demo").exists() {
            self.write("down/workspace.yaml", WORKSPACE);
            self.write("down/cluster.yaml", CLUSTER);
            self.quiet("destroy down -y --delete-managed-storage");
        }
    }
}

/// How one command ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    /// With the two documents in its folder. The folder's name has the same length everywhere, so that lines break alike.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ctk-").rand_bytes(8).tempdir_in("/tmp").unwrap();
        let bench = Bench { folder, transcript: String::new() };
        bench.write("workspace.yaml", WORKSPACE);
        bench.write("cluster.yaml", CLUSTER);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A command in this place: nothing of the tester's environment reaches it, and it cannot ask.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtik"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("USER", "ada");
        for (name, folder) in [("HOME", "home"), ("CLOUDTIK_STATE", "state"), ("CLOUDTIK_CACHE", "cache")] {
            command.env(name, self.path(folder));
        }
        command.env("CLOUDTIK_NODE_MODEL", "loopback").env("NO_COLOR", "1").env("COLUMNS", "80");
        command
    }

    /// Runs a command without writing it down.
    pub fn quiet(&self, line: &str) -> Ran {
        let args: Vec<&str> = line.split_whitespace().collect();
        ran(self.command(&args).output().unwrap())
    }

    /// Runs a command and writes it down. Words are split at spaces.
    pub fn run(&mut self, line: &str) -> Ran {
        let ran = self.quiet(line);
        self.note(line, &ran);
        ran
    }

    pub fn note(&mut self, line: &str, ran: &Ran) {
        let folder = self.folder.path().to_str().unwrap();
        let _ = writeln!(self.transcript, "$ cloudtik {line}\n[exit {}]", ran.code);
        for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            if !text.is_empty() {
                let text = filter(text, folder);
                let _ = writeln!(self.transcript, "--- {name}\n{}", text.trim_end_matches('\n'));
            }
        }
        self.transcript.push('\n');
    }

    /// Writes a remark into the transcript: what the tester does between commands.
    pub fn remark(&mut self, text: &str) {
        let _ = writeln!(self.transcript, "# {text}");
    }

    /// Runs a command that has to work and is not the point of the test.
    pub fn must(&self, line: &str) -> Ran {
        let ran = self.quiet(line);
        assert_eq!(ran.code, 0, "cloudtik {line}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// Compares the transcript so far with `cases/<name>.txt`.
    pub fn compare(&self, name: &str) {
        compare(name, &self.transcript);
    }
}

pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Compares with `cases/<name>.txt`; with `UPDATE=1` in the environment, writes it instead.
pub fn compare(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/cases").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected != actual {
        let difference = similar::TextDiff::from_lines(&expected, actual).unified_diff().to_string();
        panic!("{} differs; UPDATE=1 rewrites it:\n{difference}", path.display());
    }
}
