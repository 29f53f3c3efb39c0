//! Nodes with files of their own: programs of this machine, as many as a test lets a node have, and a web server for them.

use super::failure;
use async_trait::async_trait;
use cloudtik_core::{
    Failure, Value,
    host::{Chunk, Command, Connector, Duplex, Host, Output},
};
use std::{
    collections::BTreeMap,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};

/// What `install.sh` needs beside a program that fetches.
const TOOLS: [&str; 23] = [
    "sh",
    "cat",
    "chmod",
    "cut",
    "dirname",
    "env",
    "flock",
    "gzip",
    "head",
    "kill",
    "ls",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "sha256sum",
    "sleep",
    "sync",
    "tail",
    "tar",
    "wc",
];

/// A folder for `PATH` that holds those tools and `more`.
pub fn tools(folder: &Path, more: &[&str]) -> String {
    std::fs::create_dir_all(folder).unwrap();
    for tool in TOOLS.iter().chain(["sort", "tr", "cp", "grep"].iter()).chain(more) {
        let real = ["/usr/bin", "/bin"].iter().map(|f| Path::new(f).join(tool)).find(|p| p.exists());
        symlink(real.unwrap_or_else(|| panic!("this machine has no {tool}")), folder.join(tool)).unwrap();
    }
    folder.display().to_string()
}

/// A program that answers as a Java of that version does.
pub fn java(home: &Path, version: &str, module: &str) {
    let program = home.join("bin/java");
    std::fs::create_dir_all(home.join("bin")).unwrap();
    std::fs::write(&program, java_script(version, module)).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
}

pub fn java_script(version: &str, module: &str) -> String {
    let tells = format!("echo 'openjdk version \"{version}\" 2030-01-01' >&2");
    format!("#!/bin/sh\nif [ $1 = -version ]; then {tells}; else echo {module}@{version}; fi\n")
}

/// Runs on this machine what a node's `PATH` has.
pub struct OwnHost {
    path: Option<String>,
    /// Changes a byte of what is sent.
    spoils: bool,
}

impl OwnHost {
    fn start(&self, command: &Command) -> Result<(tokio::process::Child, Vec<u8>), Failure> {
        let mut program = tokio::process::Command::new(&command.argv[0]);
        program.args(&command.argv[1..]).env_remove("JAVA_HOME").envs(&command.env);
        if let Some(path) = &self.path {
            program.env("PATH", path);
        }
        let child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut input = command.stdin.clone();
        if let (true, Some(last)) = (self.spoils, input.last_mut()) {
            *last ^= 1;
        }
        Ok((child.map_err(|e| failure("start a program", e))?, input))
    }
}

#[async_trait]
impl Host for OwnHost {
    async fn run(&self, command: &Command) -> Result<Output, Failure> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut sink = |chunk| match chunk {
            Chunk::Out(bytes) => stdout.extend(bytes),
            Chunk::Err(bytes) => stderr.extend(bytes),
        };
        let code = self.stream(command, &mut sink).await?;
        Ok(Output { code, stdout, stderr })
    }

    /// Dropped in the middle, this leaves the program to itself with nobody who reads what it says, as a lost connection does.
    async fn stream(&self, command: &Command, sink: &mut (dyn FnMut(Chunk) + Send)) -> Result<i32, Failure> {
        let (mut child, input) = self.start(command)?;
        let mut stdin = child.stdin.take().unwrap();
        // A program that reads none of it is no problem of the test.
        let _ = stdin.write_all(&input).await;
        drop(stdin);
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (mut a, mut b) = (vec![0; 4096], vec![0; 4096]);
        let (mut more_out, mut more_err) = (true, true);
        while more_out || more_err {
            tokio::select! {
                count = out.read(&mut a), if more_out => match count.map_err(|e| failure("read output", e))? {
                    0 => more_out = false,
                    count => sink(Chunk::Out(a[..count].to_vec())),
                },
                count = err.read(&mut b), if more_err => match count.map_err(|e| failure("read output", e))? {
                    0 => more_err = false,
                    count => sink(Chunk::Err(b[..count].to_vec())),
                },
            }
        }
        Ok(child.wait().await.map_err(|e| failure("await a program", e))?.code().unwrap_or(-1))
    }

    async fn interactive(&self, command: &Command) -> Result<i32, Failure> {
        Ok(self.run(command).await?.code)
    }

    async fn upload(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        super::LocalHost.upload(path, content, mode).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        super::LocalHost.read(path).await
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Box<dyn Duplex>, Failure> {
        super::LocalHost.connect(host, port).await
    }
}

/// Connections are `{via: "own", node, path?, spoils?}`.
pub struct OwnConnector;

#[async_trait]
impl Connector for OwnConnector {
    fn via(&self) -> &'static str {
        "own"
    }

    async fn connect(&self, connection: &Value) -> Result<Arc<dyn Host>, Failure> {
        let path = connection.at("path").and_then(Value::as_text).map(String::from);
        Ok(Arc::new(OwnHost { path, spoils: connection.at("spoils").is_some() }))
    }
}

/// Serves files by their path, and remembers what was asked for.
#[derive(Clone)]
pub struct Web {
    pub place: String,
    asked: Arc<Mutex<Vec<String>>>,
    /// Answers stop in their middle.
    pub stalls: Arc<AtomicBool>,
    /// Told when an answer has come to its middle.
    pub halfway: Arc<Notify>,
}

impl Web {
    pub async fn serve(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        let files: BTreeMap<String, Vec<u8>> =
            files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}", listener.local_addr().unwrap());
        let web = Web { place, asked: Arc::default(), stalls: Arc::default(), halfway: Arc::default() };
        let (serving, files) = (web.clone(), Arc::new(files));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().answer(stream, files.clone()));
            }
        });
        web
    }

    async fn answer(self, mut stream: tokio::net::TcpStream, files: Arc<BTreeMap<String, Vec<u8>>>) {
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).await.unwrap();
        let text = String::from_utf8_lossy(&request[..count]).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        let (status, body) = match files.get(&path) {
            Some(body) => ("200 OK", body.as_slice()),
            None => ("404 Not Found", &[][..]),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let (first, rest) = body.split_at(body.len() / 2);
        // Whoever asked may have gone meanwhile.
        let _ = stream.write_all(&[head.as_bytes(), first].concat()).await;
        if self.stalls.load(Ordering::SeqCst) {
            self.halfway.notify_one();
            std::future::pending::<()>().await;
        }
        let _ = stream.write_all(rest).await;
    }

    /// What was asked for since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A `.tar.gz` of these files.
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names in a folder, sorted; none of a folder that is not there.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// An address where nobody listens.
pub async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
