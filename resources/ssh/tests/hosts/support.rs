//! Real `sshd` processes with keys of their own, and the connection values that reach them.

use cloudtik_core::{
    Attrs, Value,
    host::{Connector, Host},
};
use cloudtik_ssh::{SshConfig, SshConnector};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub const SSHD: &str = "/usr/sbin/sshd";
pub const PORT: u16 = 2222;

/// An address of this machine that no other server has: ports that are chosen now may be taken by another test's.
pub fn own_address() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", 100 + process % 100, process / 100 % 200 + number / 250, 1 + number % 250)
}

/// One server. It ends, with the sessions that it holds, when this is dropped.
pub struct Server {
    pub folder: TempDir,
    pub address: String,
    pub port: u16,
    process: Child,
}

/// A key pair made for a test.
pub fn key(folder: &Path, name: &str, kind: &[&str], passphrase: &str) -> PathBuf {
    let path = folder.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", passphrase, "-C", name, "-f"]).arg(&path).args(kind);
    assert!(command.status().unwrap().success());
    path
}

pub fn public(key: &Path) -> String {
    let text = fs::read_to_string(key.with_extension("pub")).unwrap();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Options of every client here: nothing of the user's own.
pub fn config() -> SshConfig {
    SshConfig { agent: None, ..SshConfig::default() }
}

pub fn connector() -> SshConnector {
    SshConnector::new(config())
}

impl Server {
    pub fn start() -> Self {
        Server::with("")
    }

    /// With more lines in its configuration.
    pub fn with(options: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("cloudtik-ssh-").tempdir().unwrap();
        key(folder.path(), "host", &["-t", "ed25519"], "");
        key(folder.path(), "user", &["-t", "ed25519"], "");
        fs::copy(folder.path().join("user.pub"), folder.path().join("authorized_keys")).unwrap();
        Server::at(&own_address(), PORT, folder, options)
    }

    pub fn at(address: &str, port: u16, folder: TempDir, options: &str) -> Self {
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "{options}\nListenAddress {address}:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             SetEnv HOME={}\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             MaxStartups 100:30:200\nPerSourcePenalties no\nLogLevel DEBUG1\n",
            at("host"),
            at("authorized_keys"),
            // What a shell of this user reads at its start is nothing that tests depend on.
            at("login"),
        );
        fs::create_dir_all(folder.path().join("login")).unwrap();
        let config = match Command::new(SSHD).arg("-V").output() {
            // Older servers know of no penalties.
            Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("OpenSSH_10") => {
                config.replace("PerSourcePenalties no\n", "")
            }
            _ => config,
        };
        fs::write(folder.path().join("config"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut process = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(folder.path().join("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let since = Instant::now();
        let said = || fs::read_to_string(folder.path().join("log")).unwrap();
        while !said().contains("Server listening on") {
            assert!(process.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(20), "{}", said());
            std::thread::yield_now();
        }
        Server { folder, address: address.into(), port, process }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn host_key(&self) -> String {
        public(&self.path("host"))
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its inputs, as a `connection` is declared.
    pub fn inputs(&self) -> Attrs {
        let all: [(&str, Value); 4] = [
            ("host", self.address.as_str().into()),
            ("port", self.port.into()),
            ("user", user().into()),
            ("key", self.path("user").display().to_string().into()),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The connection value with this server's key pinned.
    pub fn connection(&self) -> Value {
        self.connection_with([("host_keys", Value::list([self.host_key()]))])
    }

    pub fn connection_with<const N: usize>(&self, more: [(&str, Value); N]) -> Value {
        let mut inputs = self.inputs();
        inputs.insert("via".into(), "ssh".into());
        inputs.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Map(inputs)
    }

    pub async fn host(&self) -> Arc<dyn Host> {
        connector().connect(&self.connection()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its sessions would outlive it.
        for session in sessions(self.pid()) {
            kill(session, "KILL");
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}

pub fn children(of: u32) -> Vec<u32> {
    let stat = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    all.filter(|pid| stat(*pid) == Some(of)).collect()
}

/// The processes of `sshd` itself that serve one connection each.
pub fn sessions(server: u32) -> Vec<u32> {
    let is_sshd =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"));
    let found = children(server).into_iter().flat_map(|pid| [vec![pid], children(pid)].concat());
    found.filter(is_sshd).collect()
}

pub fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).stderr(Stdio::null()).status();
}

pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < Duration::from_secs(20), "{what} within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
