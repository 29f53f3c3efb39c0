//! Buckets of other clouds: Azurite, which is Microsoft's, and a small Cloud Storage of our own.

use super::{Network, http, install};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A server that ends with this value, and with the process of the test, however that ends.
#[derive(Debug)]
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a program that says `says` and its port on a line of its standard output.
    fn start(mut command: Command, says: &str) -> Server {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| line.split_once(says)?.1.trim().parse().ok());
        let port = port.unwrap_or_else(|| panic!("{command:?} did not start: {:?}", child.wait()));
        Server { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is what ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn python(module: &str, args: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(install::sources()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["-m", module]).args(args);
    command
}

/// Azure Blob Storage.
#[derive(Debug)]
pub struct Azurite(Server);

impl Azurite {
    pub const ACCOUNT: &str = "devstoreaccount1";

    /// Starts it, or says what is missing on this machine.
    pub fn start() -> Result<Self, String> {
        let program = install::azurite()?;
        let mut command = Command::new("sh");
        // It does not look at its input; the shell does that for it.
        command.args(["-c", r#"node "$@" 2>/dev/null & cat >/dev/null; kill $!"#, "sh"]).arg(program);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]);
        command.args(["--skipApiVersionCheck", "--disableTelemetry", "--silent"]);
        Ok(Azurite(Server::start(command, "successfully listens on http://127.0.0.1:")))
    }

    /// With the account's name in it, as emulators have it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.0.port, Self::ACCOUNT)
    }

    pub fn create(&self, container: &str) {
        let done = python("bucket_lab.container", &[&self.endpoint(), container]).status();
        assert!(done.expect("python3 is on this machine").success(), "no container was made");
    }
}

/// Google Cloud Storage's XML API in memory: see `tests/lab/bucket_lab/gcs.py`.
#[derive(Debug)]
pub struct Gcs(Server);

impl Gcs {
    pub fn start() -> Self {
        let described = install::google();
        let described = described.to_str().expect("paths of caches are text");
        Gcs(Server::start(python("bucket_lab.gcs", &["127.0.0.1", "0", described]), "listening "))
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }

    pub fn create(&self, bucket: &str) {
        http::put(&Network::Machine, self.0.port, &format!("/{bucket}"));
    }
}

/// Makes a bucket in moto.
pub fn create_s3(moto: &super::Moto, bucket: &str) {
    http::put(moto.network(), moto.port(), &format!("/{bucket}"));
}
