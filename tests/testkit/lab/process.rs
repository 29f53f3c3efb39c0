//! A server of the laboratory: a Python module that says where it listens, and ends when its standard input does.

use super::{Network, http, install};
use serde_json::Value as Json;
use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Python with the packages of `requirements-PACKAGES.txt` and our own modules.
pub(super) fn python(packages: &str, network: &Network) -> Command {
    let mut command = network.command(install::python(packages));
    command.current_dir(install::sources()).env("PYTHONDONTWRITEBYTECODE", "1");
    // A proxy of the machine is for what is outside, and the settings of its user are for another AWS.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.ends_with("_proxy") || text.starts_with("aws_") || text.starts_with("moto_") {
            command.env_remove(name);
        }
    }
    command
}

#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub network: Network,
    pub port: u16,
}

impl Server {
    /// Starts `aws_lab.MODULE` on a free port of 127.0.0.1, with the packages of `requirements-PACKAGES.txt`.
    pub fn start(packages: &str, module: &str, network: &Network, args: &[&str]) -> Self {
        let mut command = python(packages, network);
        command.args(["-m", &format!("aws_lab.{module}"), "127.0.0.1", "0"]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it can be read");
        let port = line.trim().strip_prefix("listening ").and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{module} did not start: {line:?}, {:?}", child.wait()));
        Server { child, network: network.clone(), port }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Json {
        http::ask(&self.network, self.port, method, path, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
