//! Working on a node: every call enters it anew through the helper, which is told what to do over a socket.
//!
//! That socket is the lifeline of what runs: when a future is dropped, or this process dies, the command's process
//! group on the node is killed.

use crate::{
    config::LocalConfig,
    environment, error,
    helper::{
        self,
        protocol::{Done, Door, Entry, Inside, Program, Work},
    },
    kinds::instance,
    launcher::Helper,
    provider::Local,
    wire::Fault,
    world::{NodeRecord, Place, World},
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind, Retry},
    host::{Chunk, Command, Connector, Duplex, Host, Output},
    value::Value,
};
use cloudtik_terminal as terminal;
use rustix::termios::{Winsize, tcsetwinsize};
use std::{
    collections::BTreeMap,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    process::{Child, ChildStderr, ChildStdout},
};

/// How long output that a finished command left in the pipes is waited for: something it started may hold them open.
const LINGER: Duration = Duration::from_millis(100);

/// Reaches the nodes of provider `local`.
pub struct LocalConnector {
    local: Local,
}

impl LocalConnector {
    pub fn new(config: LocalConfig) -> Self {
        LocalConnector { local: Local::new(config) }
    }
}

#[async_trait]
impl Connector for LocalConnector {
    fn via(&self) -> &'static str {
        "local"
    }

    async fn connect(&self, connection: &Value) -> Result<Arc<dyn Host>, Failure> {
        let part = |name: &str| connection.at(name).and_then(Value::as_text).map(str::to_owned);
        let (Some(workspace), Some(key)) = (part("workspace"), part("node")) else {
            let what = format!("a local connection has `workspace` and `node`, not {}", connection.display());
            return Err(Failure::new(FailureKind::Bug, "connect", what));
        };
        let place = Place::new(&self.local.config.root, &workspace);
        let host = LocalHost { helper: self.local.config.helper(), local: self.local.clone(), place, key };
        host.node().await?;
        Ok(Arc::new(host))
    }
}

#[derive(Clone)]
struct LocalHost {
    local: Local,
    helper: Helper,
    place: Place,
    key: String,
}

/// A command on its way: dropping it ends the command.
struct Session {
    control: UnixStream,
    _child: Child,
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
}

impl LocalHost {
    fn gone(&self, what: &str) -> Failure {
        Failure::new(FailureKind::Unreachable, format!("enter node {}", self.key), what)
            .hint("`cloudtik apply` starts it again")
    }

    fn failed(&self, fault: &Fault) -> Failure {
        match fault.errno {
            None | Some(libc::ENOENT | libc::ESRCH)
                if fault.step.starts_with("enter") || fault.step.starts_with("open the") =>
            {
                self.gone("its first process is gone")
            }
            _ => error::fault(format!("work on node {}", self.key), fault),
        }
    }

    fn broken(&self, error: &io::Error) -> Failure {
        error::io(format!("work on node {}", self.key), error).retry(Retry::Never)
    }

    /// The node as recorded now; a failure when it is dead.
    async fn node(&self) -> Result<(World, NodeRecord), Failure> {
        let host = self.clone();
        let read = tokio::task::spawn_blocking(move || host.node_now()).await;
        read.map_err(|e| Failure::new(FailureKind::Bug, "read the record", e.to_string()))?
    }

    fn node_now(&self) -> Result<(World, NodeRecord), Failure> {
        let world = self.place.load().map_err(|e| self.broken(&e))?;
        let world = world.ok_or_else(|| self.gone("its workspace does not exist on this machine"))?;
        let node = world.nodes.get(&self.key).cloned().ok_or_else(|| self.gone("there is no such node"))?;
        match instance::problem(&self.place, &node) {
            Some(problem) => Err(self.gone(&problem)),
            None => Ok((world, node)),
        }
    }

    fn entry(&self, world: &World, node: &NodeRecord, work: Work) -> Result<Entry, Failure> {
        let init = node.init.ok_or_else(|| self.gone("it was never started"))?;
        let door = match world.door() {
            Some(router) => Door::Namespaces { inside: Inside { router, init }, cgroups: node.cgroups.clone() },
            None => Door::Agent { folder: self.place.node(&self.key) },
        };
        Ok(Entry { door, work })
    }

    fn program(&self, world: &World, node: &NodeRecord, command: &Command) -> Program {
        let home = self.place.home(&self.key);
        let mut env: BTreeMap<String, String> = environment::of(&self.local, &self.place, world, node);
        env.extend(command.env.clone());
        let dir = command.dir.as_ref().map_or_else(|| home.clone(), |dir| home.join(dir));
        Program { argv: command.argv.clone(), env, dir }
    }

    /// Where a path on the node lies: relative ones below its home.
    fn path(&self, path: &str) -> PathBuf {
        self.place.home(&self.key).join(path)
    }

    async fn start(&self, entry: &Entry, payload: &[u8], inherit: bool) -> Result<Session, Failure> {
        let begin = || -> io::Result<Session> {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let mark = instance::mark(&self.place, &self.key);
            let mut command = self.helper.command(helper::ENTER, Some(&mark), theirs.into());
            if inherit {
                command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
            } else {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
            }
            let mut child = tokio::process::Command::from(command).spawn()?;
            let (out, err) = (child.stdout.take(), child.stderr.take());
            Ok(Session { control: UnixStream::from_std(ours)?, _child: child, out, err })
        };
        let mut session = begin().map_err(|e| self.broken(&e))?;
        send(&mut session.control, entry, payload).await.map_err(|e| self.broken(&e))?;
        Ok(session)
    }

    /// Work that is done in one answer.
    async fn work(&self, work: Work, payload: &[u8]) -> Result<(Done, Vec<u8>), Failure> {
        let (world, node) = self.node().await?;
        let mut session = self.start(&self.entry(&world, &node, work)?, payload, false).await?;
        self.answer(&mut session.control).await
    }

    async fn answer(&self, control: &mut UnixStream) -> Result<(Done, Vec<u8>), Failure> {
        match receive(control).await {
            Ok((Done::Failed(fault), _)) => Err(self.failed(&fault)),
            Ok(answer) => Ok(answer),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.gone("it went away while the command ran"))
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn unexpected(&self, done: &Done) -> Failure {
        Failure::new(FailureKind::Bug, format!("work on node {}", self.key), format!("unexpected answer {done:?}"))
    }

    fn blocking_interactive(&self, command: &Command) -> Result<i32, Failure> {
        let (world, node) = self.node_now()?;
        let mut program = self.program(&world, &node, command);
        let (rows, columns) = terminal::size();
        if let Ok(kind) = std::env::var("TERM") {
            program.env.entry("TERM".into()).or_insert(kind);
        }
        let entry = self.entry(&world, &node, Work::Terminal { program, rows, columns })?;
        let mark = instance::mark(&self.place, &self.key);
        let (theirs, lifeline) = self.helper.open(&entry, &mark).map_err(|f| self.failed(&f))?;
        let resized = |rows, columns| {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            Ok(tcsetwinsize(&theirs, size)?)
        };
        terminal::relay(&theirs, lifeline.socket(), resized).map_err(|e| self.broken(&e))?;
        match lifeline.wait().map_err(|f| self.failed(&f))? {
            Done::Exit(code) => Ok(code),
            other => Err(self.unexpected(&other)),
        }
    }

    fn resolve(&self, world: &World, node: &NodeRecord, host: &str) -> Option<IpAddr> {
        if host == "localhost" {
            return Some(if world.model.isolated() { Ipv4Addr::LOCALHOST.into() } else { node.ip.into() });
        }
        let named = world.nodes.values().find(|n| n.host == host);
        let short = || world.nodes.values().find(|n| n.cluster == node.cluster && n.short() == host);
        host.parse().ok().or_else(|| named.or_else(short).map(|n| n.ip.into()))
    }
}

async fn send<T: serde::Serialize>(to: &mut UnixStream, message: &T, payload: &[u8]) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let mut head = Vec::with_capacity(16 + json.len());
    head.extend((json.len() as u64).to_le_bytes());
    head.extend((payload.len() as u64).to_le_bytes());
    head.extend(json);
    to.write_all(&head).await?;
    to.write_all(payload).await
}

/// The asynchronous twin of [`crate::wire::receive`].
async fn receive(from: &mut UnixStream) -> io::Result<(Done, Vec<u8>)> {
    let (json, payload) = (from.read_u64_le().await?, from.read_u64_le().await?);
    let mut bytes = vec![0; usize::try_from(json).map_err(io::Error::other)?];
    from.read_exact(&mut bytes).await?;
    let mut content = Vec::new();
    if (&mut *from).take(payload).read_to_end(&mut content).await? as u64 != payload {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((serde_json::from_slice(&bytes)?, content))
}

/// The next piece of a stream; never ends once the stream has.
async fn piece(from: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> Vec<u8> {
    if let Some(stream) = from {
        match stream.read(buffer).await {
            Ok(n) if n > 0 => return buffer[..n].to_vec(),
            // The end, or as good as the end: the exit code tells what became of the command.
            _ => *from = None,
        }
    }
    if from.is_none() { std::future::pending().await } else { Vec::new() }
}

#[async_trait]
impl Host for LocalHost {
    async fn run(&self, command: &Command) -> Result<Output, Failure> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = self
            .stream(command, &mut |chunk| match chunk {
                Chunk::Out(bytes) => stdout.extend(bytes),
                Chunk::Err(bytes) => stderr.extend(bytes),
            })
            .await?;
        Ok(Output { code, stdout, stderr })
    }

    async fn stream(&self, command: &Command, sink: &mut (dyn FnMut(Chunk) + Send)) -> Result<i32, Failure> {
        let (world, node) = self.node().await?;
        let work = Work::Run(self.program(&world, &node, command));
        let mut session = self.start(&self.entry(&world, &node, work)?, &command.stdin, false).await?;
        let (mut a, mut b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut out = session.out.take();
        let mut err = session.err.take();
        let answer = self.answer(&mut session.control);
        tokio::pin!(answer);
        let done = loop {
            tokio::select! {
                bytes = piece(&mut out, &mut a) => sink(Chunk::Out(bytes)),
                bytes = piece(&mut err, &mut b) => sink(Chunk::Err(bytes)),
                done = &mut answer => break done?.0,
            }
        };
        while out.is_some() || err.is_some() {
            let more = async {
                tokio::select! {
                    bytes = piece(&mut out, &mut a) => Chunk::Out(bytes),
                    bytes = piece(&mut err, &mut b) => Chunk::Err(bytes),
                }
            };
            match tokio::time::timeout(LINGER, more).await {
                Ok(chunk) => sink(chunk),
                Err(_) => break,
            }
        }
        match done {
            Done::Exit(code) => Ok(code),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn interactive(&self, command: &Command) -> Result<i32, Failure> {
        let failed = |e: tokio::task::JoinError| Failure::new(FailureKind::Bug, "interactive", e.to_string());
        if terminal::is_there() {
            let (host, command) = (self.clone(), command.clone());
            return tokio::task::spawn_blocking(move || host.blocking_interactive(&command)).await.map_err(failed)?;
        }
        let mut input = command.stdin.clone();
        let rest = tokio::task::spawn_blocking(|| {
            let mut all = Vec::new();
            io::stdin().lock().read_to_end(&mut all).map(|_| all)
        });
        input.extend(rest.await.map_err(failed)?.map_err(|e| self.broken(&e))?);
        let (world, node) = self.node().await?;
        let work = Work::Run(self.program(&world, &node, command));
        let mut session = self.start(&self.entry(&world, &node, work)?, &input, true).await?;
        match self.answer(&mut session.control).await?.0 {
            Done::Exit(code) => Ok(code),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn upload(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        match self.work(Work::Upload { path: self.path(path), mode }, content).await?.0 {
            Done::Uploaded => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.work(Work::Read { path: self.path(path) }, b"").await? {
            (Done::Read(there), bytes) => Ok(there.then_some(bytes)),
            (other, _) => Err(self.unexpected(&other)),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Box<dyn Duplex>, Failure> {
        let operation = format!("connect from node {} to {host}:{port}", self.key);
        let (world, node) = self.node().await?;
        let ip = self.resolve(&world, &node, host);
        let unknown = || Failure::new(FailureKind::NotFound, &operation, "no node of the workspace has this name");
        let to = SocketAddr::new(ip.ok_or_else(unknown)?, port);
        if !world.model.isolated() {
            let stream = TcpStream::connect(to).await.map_err(|e| error::io(&operation, &e))?;
            return Ok(Box::new(stream));
        }
        let entry = self.entry(&world, &node, Work::Connect { to })?;
        let (helper, mark) = (self.helper.clone(), instance::mark(&self.place, &self.key));
        let opened = tokio::task::spawn_blocking(move || helper.open(&entry, &mark).map(|(fd, _)| fd)).await;
        let opened = opened.map_err(|e| Failure::new(FailureKind::Bug, &operation, e.to_string()))?;
        let stream = std::net::TcpStream::from(opened.map_err(|f| error::fault(&operation, &f))?);
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        Ok(Box::new(stream.map_err(|e| error::io(&operation, &e))?))
    }
}
