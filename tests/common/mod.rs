//! Drives the built program on documents in a folder of its own, as this user or as one without privileges.

#![allow(dead_code)] // each test file uses its part

pub mod http;
pub mod machine;

use cloudtik_testkit::lab::Network;
use serde_json::Value as Json;
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// What one run of the program did.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Run {
    /// The last line of standard output, as JSON.
    pub fn json(&self) -> Json {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }

    /// The event of this name, of output with --json.
    pub fn event(&self, name: &str) -> Json {
        let mut all = self.out.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        all.rfind(|e| e["event"] == name).unwrap_or_else(|| panic!("no {name} in {}{}", self.out, self.err))
    }
}

/// The user that stands for anybody: `nobody`.
const ANYBODY: u32 = 65534;

pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder with documents, a state folder and a home. Whatever a test leaves in it is destroyed with it.
pub struct Bench {
    folder: tempfile::TempDir,
    program: PathBuf,
    model: Option<&'static str>,
    user: Option<u32>,
    cache: Option<PathBuf>,
    templates: bool,
    network: Network,
    environment: Vec<(String, String)>,
}

impl Bench {
    /// As this user, with nodes of this model; `None` is what the program chooses.
    pub fn new(model: Option<&'static str>) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_cloudtik"));
        let folder = tempfile::Builder::new().prefix("cloudtik-test-").tempdir().unwrap();
        let bench = Bench {
            folder,
            program,
            model,
            user: None,
            cache: None,
            templates: false,
            network: Network::Machine,
            environment: Vec::new(),
        };
        fs::create_dir(bench.path("home")).unwrap();
        bench
    }

    /// As a user without privileges, by root. `artifacts` are shared with this user's own cache.
    pub fn anybody(model: &'static str, artifacts: bool) -> Self {
        let mut bench = Bench::new(Some(model));
        let (program, cache) = (bench.path("cloudtik"), bench.path("cache"));
        // The program may be in a folder that nobody else can enter.
        if fs::hard_link(&bench.program, &program).is_err() {
            fs::copy(&bench.program, &program).unwrap();
        }
        fs::create_dir(&cache).unwrap();
        if artifacts && default_cache().is_dir() {
            share(&default_cache(), &cache);
        }
        (bench.program, bench.cache, bench.user) = (program, Some(cache), Some(ANYBODY));
        for path in [bench.path(""), bench.path("home")] {
            chown(path, Some(ANYBODY), Some(ANYBODY)).unwrap();
        }
        bench
    }

    /// Programs run in this network.
    pub fn in_network(mut self, network: &Network) -> Self {
        self.network = network.clone();
        self
    }

    /// Programs have these variables, too.
    pub fn with_environment<V: Into<String>>(mut self, more: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        self.environment.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn cache(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(default_cache)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        for folder in path.parent().unwrap().ancestors().take_while(|f| !f.is_dir()).collect::<Vec<_>>().iter().rev() {
            fs::create_dir(folder).unwrap();
            chown(folder, self.user, self.user).unwrap();
        }
        fs::write(&path, text).unwrap();
        chown(path, self.user, self.user).unwrap();
    }

    /// A runtime for documents to select.
    pub fn runtime(&mut self, name: &str, manifest: &str) {
        self.write(&format!("templates/{name}/runtime.yaml"), manifest);
        self.templates = true;
    }

    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {text}");
        self.write(name, &text.replace(from, to));
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.network.command(&self.program);
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("CLOUDTIK_STATE", self.state()).env("NO_COLOR", "1").env("COLUMNS", "120");
        for name in ["CLOUDTIK_NODE_MODEL", "CLOUDTIK_USER_TEMPLATES", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        if let Some(model) = self.model {
            command.env("CLOUDTIK_NODE_MODEL", model);
        }
        if self.templates {
            command.env("CLOUDTIK_USER_TEMPLATES", self.path("templates"));
        }
        if let Some(cache) = &self.cache {
            command.env("CLOUDTIK_CACHE", cache);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.as_its_user(command)
    }

    /// The command as the user of this bench; folders of this one are none of their business.
    pub fn as_its_user(&self, mut command: Command) -> Command {
        if let Some(user) = self.user {
            command.uid(user).gid(user).env("HOME", self.path("home")).env("USER", "nobody");
            command.env_remove("JAVA_HOME").env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        }
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        let since = Instant::now();
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or(-1);
        Run { code, out: text(output.stdout), err: text(output.stderr), took: since.elapsed() }
    }

    /// Runs the program, which must succeed, and looks once a second while it runs.
    #[track_caller]
    pub fn watched(&self, args: &[&str], look: impl Fn()) -> Run {
        let since = Instant::now();
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (done, ended) = mpsc::channel();
        let wait = std::thread::spawn(move || {
            let output = child.wait_with_output().unwrap();
            done.send(since.elapsed()).unwrap();
            output
        });
        let took = loop {
            match ended.recv_timeout(Duration::from_secs(1)) {
                Ok(took) => break took,
                Err(_) => look(),
            }
        };
        let output = wait.join().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let run =
            Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr), took };
        assert_eq!(run.code, 0, "{}\n{}{}", args.join(" "), run.out, run.err);
        run
    }

    /// Runs the program, which must succeed.
    #[track_caller]
    pub fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        let run = self.run(args);
        let words: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        assert_eq!(run.code, 0, "{}\n{}{}", words.join(" "), run.out, run.err);
        run
    }

    /// The plan of both documents with --json; whether it is empty agrees with the exit code.
    #[track_caller]
    pub fn plan(&self) -> Plan {
        let run = self.run(&["--json", "plan", "workspace.yaml", "cluster.yaml", "--detailed-exitcode"]);
        assert!(matches!(run.code, 0 | 2), "exit code {}: {}{}", run.code, run.out, run.err);
        let plan = Plan(run.event("plan"));
        assert_eq!(plan.changes().is_empty(), run.code == 0, "exit code {}: {:?}", run.code, plan.changes());
        plan
    }

    #[track_caller]
    pub fn apply(&self) -> Run {
        self.ok(&["apply", "workspace.yaml", "cluster.yaml", "--yes"])
    }

    /// Applies, and the plan is empty then.
    #[track_caller]
    pub fn converge(&self) {
        self.apply();
        assert_eq!(self.plan().changes(), [""; 0]);
    }

    /// Removes what both documents own, the bucket too when asked.
    #[track_caller]
    pub fn destroy(&self, data: bool) {
        let mut args = vec!["destroy", "workspace.yaml", "cluster.yaml", "--yes"];
        args.extend(data.then_some("--delete-managed-storage"));
        self.ok(&args);
    }

    /// Starts the program with --json, and kills it at the first event that `at` likes; whether there was one.
    pub fn kill(&self, args: &[&str], at: impl Fn(&Json) -> bool) -> bool {
        let mut child = self.command(args).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut events = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
        let found = events.any(|event: Json| at(&event));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(found || status.success(), "{args:?}: {err}");
        found
    }

    /// Fails when anything of what was there still is, but state and the bucket; `before` is how it was.
    #[track_caller]
    pub fn nothing_left(&self, before: &machine::Traces) {
        assert_eq!(before.rest(self.folder.path()), [""; 0]);
        let local = self.state().join("local");
        let names = |path: &Path| fs::read_dir(path).map(|d| d.map(|e| e.unwrap().file_name()).collect::<Vec<_>>());
        let left = names(&local).unwrap_or_default();
        assert!(left.iter().all(|name| name == "buckets"), "left in {}: {left:?}", local.display());
    }

    pub fn traces(&self) -> machine::Traces {
        machine::Traces::of(self.folder.path())
    }

    /// The processes of all nodes, and beside them.
    pub fn processes(&self) -> Vec<machine::Process> {
        machine::processes(self.folder.path())
    }

    /// The local provider's record of a workspace.
    pub fn record(&self, workspace: &str) -> Json {
        let path = self.state().join("local").join(workspace).join("network.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// An output of a recorded resource of the cluster.
    #[track_caller]
    pub fn output(&self, address: &str, name: &str) -> Json {
        self.ok(&["--json", "state", "show", address]).json()["outputs"][name].clone()
    }

    /// Runs a shell command on a node; its exit code and what it printed.
    pub fn exec(&self, node: Option<&str>, script: &str) -> (i32, String) {
        let at = node.map(|ip| ["--node-ip", ip]);
        let mut args = vec!["exec", "cluster.yaml"];
        args.extend(at.iter().flatten());
        args.push(script);
        let run = self.run(&args);
        (run.code, format!("{}{}", run.out, run.err).trim().into())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.processes().is_empty() {
            return;
        }
        // A test has failed: what it leaves must not be in the way of others.
        let _ = self.command(&["destroy", ".", "--yes", "--delete-managed-storage"]).output();
        self.processes().iter().for_each(machine::Process::kill);
    }
}

/// A plan as --json prints it.
pub struct Plan(pub Json);

impl Plan {
    /// `update file.head/a`, for all that is not kept, in the plan's order.
    pub fn changes(&self) -> Vec<String> {
        let all = self.0["changes"].as_array().unwrap().iter().filter(|c| c["action"] != "keep");
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        all.map(|c| format!("{} {}", text(&c["action"]), text(&c["address"]).rsplit(':').next().unwrap())).collect()
    }

    /// Addresses that are not as they were left.
    pub fn drift(&self) -> Vec<String> {
        let all = self.0["drift"].as_array().unwrap().iter();
        all.map(|d| d["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()).collect()
    }
}

fn default_cache() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("CLOUDTIK_CACHE").or_else(|| Some(cache()?.join("cloudtik"))).expect("HOME is set")
}

/// The same files in folders of another user, without taking room where the file system allows it.
fn share(from: &Path, to: &Path) {
    chown(to, Some(ANYBODY), Some(ANYBODY)).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            fs::create_dir(&target).unwrap();
            share(&source, &target);
        } else if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).unwrap();
        }
    }
}
