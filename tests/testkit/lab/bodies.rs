//! Instances of moto with bodies: hosts with sshd in namespaces, behind the network that moto has on record.

use super::{Moto, Network, REGION, Settings, process};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A host of an instance.
#[derive(Clone, Debug, Deserialize)]
pub struct Host {
    pub ip: String,
    pub public_ip: Option<String>,
    /// Of the process that holds its namespaces.
    pid: u32,
}

/// The networks of a lab. Moto, the layer and the tool under test go into [`network`](Bodies::network). All of it is removed
/// when this is dropped, and when the process of the test ends.
#[derive(Debug)]
pub struct Bodies {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    network: Network,
}

impl Bodies {
    /// Makes the networks, or says why this machine does not let us.
    pub fn make() -> Result<Self, String> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            return Err("hosts in namespaces need root".to_owned());
        }
        for program in ["ip", "nft", "sshd", "ssh-keygen", "unshare", "nsenter"] {
            if !installed(program) {
                return Err(format!("`{program}` is not on this machine"));
            }
        }
        let name = format!("lab{}x{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let mut command = process::python("moto", &Network::Machine);
        command.args(["-m", "aws_lab.bodies", &name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it can be read");
        match line.trim().split_once(' ') {
            Some(("outside", namespace)) => {
                let network = Network::Namespace(namespace.to_owned());
                Ok(Bodies { child, input, output, network })
            }
            Some(("impossible", why)) => Err(why.to_owned()),
            _ => panic!("the networks were not made: {line:?}, {:?}", child.wait()),
        }
    }

    /// Where the internet, moto and the tool under test are.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// From now on hosts are as the instances of this moto, and the layer with these settings shows their consoles.
    pub fn follow(&mut self, moto: &Moto, settings: Settings) -> Settings {
        let answer = self.tell(&json!({"follow": moto.port(), "region": REGION}));
        let console = answer["console"].as_str().expect("a folder is text").to_owned();
        Settings { console, ..settings }
    }

    /// Serves a folder to whoever reaches the internet; returns its URL.
    pub fn mirror(&mut self, folder: &Path) -> String {
        self.tell(&json!({"mirror": folder}))["url"].as_str().expect("a URL is text").to_owned()
    }

    /// The hosts that run now, by instance.
    pub fn hosts(&mut self) -> BTreeMap<String, Host> {
        serde_json::from_value(self.tell(&json!({"hosts": true}))).expect("hosts have addresses")
    }

    fn tell(&mut self, what: &Json) -> Json {
        let input = self.input.as_mut().expect("it is closed only when dropped");
        writeln!(input, "{what}").expect("the lab listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it can be read");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{what}: {e}: {line:?}"))
    }
}

impl Host {
    /// A command that runs inside, as the host's root.
    pub fn command(&self, program: &str) -> Command {
        let inside = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).unwrap_or_default();
        let first = inside.split_ascii_whitespace().next().unwrap_or_else(|| panic!("{} runs no more", self.ip));
        let mut command = Command::new("nsenter");
        command.args(["--target", first, "--all", "--root", "--wd", program]);
        command
    }
}

impl Drop for Bodies {
    fn drop(&mut self) {
        // Its end is the sign to clean up, which takes a moment.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(system).any(|folder: std::path::PathBuf| folder.join(program).is_file())
}
