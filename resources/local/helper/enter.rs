//! Opens a node's door and does one piece of work behind it.

use super::{
    protocol::{Done, Door, Entry, Inside, Work},
    run::{self, Streams},
    space,
};
use crate::{
    agent_socket,
    wire::{self, Fault, Step},
    world::Place,
};
use cloudtik_terminal::copy;
use std::{
    fs,
    io::{self, ErrorKind, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{OpenOptionsExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::Path,
    time::Duration,
};

/// How long a connection to a port of a node may take: the address is on this machine.
const CONNECT: Duration = Duration::from_secs(10);

/// Serves one entry, and tells `control` how it went.
pub fn serve(control: UnixStream, entry: &Entry, payload: &[u8]) -> io::Result<()> {
    let (output, error) = (own(rustix::stdio::stdout())?, own(rustix::stdio::stderr())?);
    match &entry.door {
        Door::Agent { folder } => agent_socket::pass(folder, &control, &entry.work, payload, &output, &error),
        Door::Namespaces { inside, cgroups } => {
            let work = || -> Result<(Done, Vec<u8>), Fault> {
                for folder in cgroups {
                    fs::write(folder.join("cgroup.procs"), "0").step("join the node's control group")?;
                }
                match entry.work {
                    Work::Connect { .. } => space::join_node_net(inside)?,
                    _ => space::join_node(inside)?,
                }
                work(&control, &entry.work, payload, output, error)
            };
            answer(&control, work())
        }
    }
}

fn own(fd: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), 3)?)
}

pub fn answer(control: &UnixStream, result: Result<(Done, Vec<u8>), Fault>) -> io::Result<()> {
    let (done, payload) = result.unwrap_or_else(|fault| (Done::Failed(fault), Vec::new()));
    match wire::send(control, &done, &payload) {
        // Nobody waits for the answer any more.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Does the work in the place that the process has entered.
pub fn work(
    control: &UnixStream,
    work: &Work,
    payload: &[u8],
    output: OwnedFd,
    error: OwnedFd,
) -> Result<(Done, Vec<u8>), Fault> {
    match work {
        Work::Run(program) => {
            // Else what the program leaves running would hold our copies open.
            let null = super::null().step("open /dev/null")?;
            rustix::stdio::dup2_stdout(&null).step("let go of the output")?;
            rustix::stdio::dup2_stderr(&null).step("let go of the output")?;
            let input = run::input(payload).step("make the command's input")?;
            let done = run::run(control, program, Streams { input, output, error, terminal: false })?;
            Ok((done, Vec::new()))
        }
        Work::Terminal { program, rows, columns } => {
            let (ours, streams) = run::terminal(*rows, *columns).step("make a terminal")?;
            run::hand_over(control, &ours)?;
            drop(ours);
            Ok((run::run(control, program, streams)?, Vec::new()))
        }
        Work::Upload { path, mode } => upload(path, *mode, payload).map(|()| (Done::Uploaded, Vec::new())),
        Work::Read { path } => match fs::read(path) {
            Ok(bytes) => Ok((Done::Read(true), bytes)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok((Done::Read(false), Vec::new()))
            }
            Err(error) => Err(error).step(&format!("read {}", path.display())),
        },
        Work::Connect { to } => {
            let stream = TcpStream::connect_timeout(to, CONNECT).step(&format!("connect to {to}"))?;
            run::hand_over(control, &stream)?;
            Ok((Done::Exit(0), Vec::new()))
        }
    }
}

/// Writes beside the file, then renames: a reader sees the old content or the new, never a part.
fn upload(path: &Path, mode: u32, content: &[u8]) -> Result<(), Fault> {
    let place = format!("write {}", path.display());
    let name = path.file_name().ok_or(io::Error::from(ErrorKind::InvalidInput)).step(&place)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).step(&place)?;
    let beside = folder.join(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        fs::rename(&beside, path)
    };
    write()
        .inspect_err(|_| {
            // The half-written file is of no use; that it could not be written is what is reported.
            let _ = fs::remove_file(&beside);
        })
        .step(&place)
}

/// `__node-connect ROOT WORKSPACE NODE PORT`: standard input and output as a connection to a node's port, for SSH.
pub fn pipe(args: &[&str]) -> io::Result<()> {
    let [root, workspace, key, port] = args else { return Err(ErrorKind::InvalidInput.into()) };
    let gone = || io::Error::new(ErrorKind::NotFound, format!("no node {key} in workspace {workspace}"));
    let world = Place::new(Path::new(root), workspace).load()?.ok_or_else(gone)?;
    let node = world.nodes.get(*key).ok_or_else(gone)?;
    if let (Some(router), Some(init)) = (world.door(), node.init) {
        space::join_node_net(&Inside { router, init }).map_err(|fault| io::Error::other(fault.to_string()))?;
    }
    let to = SocketAddr::new(node.ip.into(), port.parse().map_err(io::Error::other)?);
    let stream = TcpStream::connect_timeout(&to, CONNECT)?;
    let far = stream.try_clone()?;
    let inward = std::thread::spawn(move || -> io::Result<()> {
        while copy(rustix::stdio::stdin(), &far)? {}
        far.shutdown(Shutdown::Write)
    });
    while copy(&stream, rustix::stdio::stdout())? {}
    // The node has closed; what may still come on standard input has nowhere to go.
    drop(inward);
    Ok(())
}
