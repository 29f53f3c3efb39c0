//! With the client of the same library in this process, and with OpenSSH's where the machine has it.

use super::*;
use russh::{ChannelMsg, Pty, Sig, client, keys};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
};
use tempfile::TempDir;

/// A server with a home of its own.
struct Server {
    folder: TempDir,
    address: SocketAddr,
}

const USER: &str = "tester";

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let line = make_key(&path("id"), "tester").unwrap();
        make_key(&path("other"), "stranger").unwrap();
        fs::write(path("authorized"), line).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let options = SshdOptions {
            listen: address,
            host_key: path("host"),
            authorized_keys: path("authorized"),
            user: USER.to_string(),
            home: folder.path().to_path_buf(),
            shell: "/bin/sh".into(),
            env: BTreeMap::from([("GIVEN".to_string(), "by options".to_string())]),
        };
        thread::spawn(move || serve(listener, options));
        Server { folder, address }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn login(&self, user: &str, key: &str) -> Option<client::Handle<Trusting>> {
        let key = Arc::new(keys::load_secret_key(self.path(key), None).unwrap());
        let mut client = client::connect(Arc::default(), self.address, Trusting).await.unwrap();
        let key = keys::PrivateKeyWithHashAlg::new(key, None);
        client.authenticate_publickey(user, key).await.unwrap().success().then_some(client)
    }

    async fn client(&self) -> client::Handle<Trusting> {
        self.login(USER, "id").await.unwrap()
    }
}

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

#[derive(Debug, Default)]
struct Ended {
    out: Vec<u8>,
    err: Vec<u8>,
    code: Option<u32>,
    signal: Option<Sig>,
}

impl Ended {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).replace("\r\n", "\n")
    }

    fn take(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Data { data } => self.out.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, .. } => self.err.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => self.code = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => self.signal = Some(signal_name),
            _ => {}
        }
    }
}

type Session = russh::Channel<client::Msg>;

async fn rest(mut channel: Session) -> Ended {
    let mut ended = Ended::default();
    while let Some(message) = channel.wait().await {
        ended.take(message);
    }
    ended
}

/// Reads until the output holds `words`.
async fn until(channel: &mut Session, words: &str) -> Ended {
    let mut so_far = Ended::default();
    while !so_far.text().contains(words) {
        so_far.take(channel.wait().await.unwrap_or_else(|| panic!("ended before {words:?}")));
    }
    so_far
}

async fn exec(client: &client::Handle<Trusting>, line: &str, input: &[u8]) -> Ended {
    let channel = client.channel_open_session().await.unwrap();
    channel.exec(false, line).await.unwrap();
    let (mut read, write) = channel.split();
    let feeding = async {
        write.data(input).await.unwrap();
        write.eof().await.unwrap();
    };
    let reading = async {
        let mut ended = Ended::default();
        while let Some(message) = read.wait().await {
            ended.take(message);
        }
        ended
    };
    tokio::join!(feeding, reading).1
}

#[tokio::test]
async fn only_the_listed_key_of_the_one_user_gets_in_and_the_list_is_read_each_time() {
    let server = Server::start();
    assert!(server.login(USER, "other").await.is_none());
    assert!(server.login("root", "id").await.is_none());
    assert!(server.login(USER, "id").await.is_some());
    let other = make_key(&server.path("other"), "").unwrap();
    fs::write(server.path("authorized"), other).unwrap();
    assert!(server.login(USER, "other").await.is_some());
    assert!(server.login(USER, "id").await.is_none());
    let mut client = client::connect(Arc::default(), server.address, Trusting).await.unwrap();
    assert!(!client.authenticate_password(USER, "").await.unwrap().success());
    assert!(!client.authenticate_none(USER).await.unwrap().success());
}

#[tokio::test]
async fn a_command_has_its_streams_its_place_and_its_exit_code() {
    let server = Server::start();
    let client = server.client().await;
    let ended = exec(&client, "cat; echo oops >&2; echo $USER $GIVEN; pwd; exit 7", b"in\n").await;
    let home = server.folder.path().display();
    assert_eq!(ended.text(), format!("in\n{USER} by options\n{home}\n"));
    assert_eq!((ended.err.as_slice(), ended.code), (&b"oops\n"[..], Some(7)));
    let killed = exec(&client, "kill -TERM $$", b"").await;
    assert!(matches!(killed.signal, Some(Sig::TERM)) && killed.code.is_none(), "{killed:?}");
}

#[tokio::test]
async fn bytes_pass_unchanged_both_ways_at_once() {
    let server = Server::start();
    let client = server.client().await;
    let input: Vec<u8> = (0..5_000_000u32).map(|n| (n ^ (n >> 9)) as u8).collect();
    let ended = exec(&client, "cat", &input).await;
    assert!(ended.out == input && ended.code == Some(0), "{} bytes, {:?}", ended.out.len(), ended.code);
}

#[tokio::test]
async fn languages_are_the_only_variables_a_client_sets() {
    let server = Server::start();
    let channel = server.client().await.channel_open_session().await.unwrap();
    for name in ["LC_ALL", "LANG", "LD_PRELOAD", "PATH"] {
        channel.set_env(false, name, "mine").await.unwrap();
    }
    channel.exec(false, "echo $LC_ALL $LANG $LD_PRELOAD; echo $PATH | grep -c mine").await.unwrap();
    assert_eq!(rest(channel).await.text(), "mine mine\n0\n");
}

#[tokio::test]
async fn a_terminal_has_its_size_follows_it_and_passes_control_keys() {
    let server = Server::start();
    let client = server.client().await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_pty(false, "vt100", 80, 24, 0, 0, &[(Pty::ECHO, 1)]).await.unwrap();
    let script = "echo $TERM; stty size; read line; stty size; read line || echo end of input; exec cat";
    channel.exec(false, script).await.unwrap();
    assert_eq!(until(&mut channel, "24 80\n").await.text(), "vt100\n24 80\n");
    channel.window_change(132, 50, 0, 0).await.unwrap();
    channel.data_bytes(&b"go on\n"[..]).await.unwrap();
    until(&mut channel, "50 132\n").await;
    channel.data_bytes(&b"\x04"[..]).await.unwrap(); // Ctrl-D
    until(&mut channel, "end of input\n").await;
    channel.data_bytes(&b"cat?\n"[..]).await.unwrap();
    until(&mut channel, "cat?\ncat?\n").await; // echoed by the terminal, then by the program
    channel.data_bytes(&b"\x03"[..]).await.unwrap(); // Ctrl-C
    assert!(matches!(rest(channel).await.signal, Some(Sig::INT)));
}

#[tokio::test]
async fn a_shell_reads_commands_and_leaves_with_the_last_code() {
    let server = Server::start();
    let channel = server.client().await.channel_open_session().await.unwrap();
    channel.request_shell(false).await.unwrap();
    channel.data_bytes(&b"echo $0 $((6 * 7))\nexit 3\n"[..]).await.unwrap();
    let ended = rest(channel).await;
    assert_eq!((ended.text().as_str(), ended.code), ("-sh 42\n", Some(3)));
}

#[tokio::test]
async fn signals_reach_the_process() {
    let server = Server::start();
    let mut channel = server.client().await.channel_open_session().await.unwrap();
    channel.exec(false, "trap 'echo caught; exit 4' INT; echo ready; while :; do :; done").await.unwrap();
    until(&mut channel, "ready").await;
    channel.signal(Sig::INT).await.unwrap();
    let ended = rest(channel).await;
    assert_eq!((ended.text().as_str(), ended.code), ("caught\n", Some(4)));
}

#[tokio::test]
async fn a_closed_channel_and_a_lost_connection_hang_up_what_they_started() {
    let server = Server::start();
    for (name, disconnect) in [("closed", false), ("lost", true)] {
        let fifo = server.path(name);
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let client = server.client().await;
        let mut channel = client.channel_open_session().await.unwrap();
        // Both the shell and its child hold the FIFO open for writing.
        let line = format!("exec 3<>{0}; echo ready; sleep 1000 & wait", fifo.display());
        channel.exec(false, line).await.unwrap();
        until(&mut channel, "ready").await;
        let mut witness = fs::File::open(&fifo).unwrap();
        if disconnect {
            drop((channel, client));
        } else {
            channel.close().await.unwrap();
        }
        // What can be read from the FIFO ends when the last process that holds it does.
        tokio::task::spawn_blocking(move || witness.read_to_end(&mut Vec::new()).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_forwarded_connection_carries_more_than_any_window_and_ends_cleanly() {
    let server = Server::start();
    let client = server.client().await;
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = target.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = target.accept().unwrap();
        let mut echo = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut echo).unwrap();
        echo.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let channel = client.channel_open_direct_tcpip("127.0.0.1", port.into(), "127.0.0.1", 1).await.unwrap();
    let (mut read, write) = channel.split();
    let input = vec![42; 8_000_000];
    let feeding = async {
        write.data(&input[..]).await.unwrap();
        write.eof().await.unwrap();
    };
    let reading = async {
        let mut count = 0;
        while let Some(message) = read.wait().await {
            if let ChannelMsg::Data { data } = message {
                count += data.len();
            }
        }
        count
    };
    assert_eq!(tokio::join!(feeding, reading).1, input.len());
    let vacant = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(client.channel_open_direct_tcpip("127.0.0.1", vacant.into(), "127.0.0.1", 1).await.is_err());
}

#[tokio::test]
async fn a_process_that_does_not_read_holds_up_no_other_channel() {
    let server = Server::start();
    let client = server.client().await;
    let mut deaf = client.channel_open_session().await.unwrap();
    deaf.exec(false, "echo ready; sleep 1000").await.unwrap();
    until(&mut deaf, "ready").await;
    deaf.data(&vec![0; 12_000_000][..]).await.unwrap();
    assert_eq!(exec(&client, "echo still here", b"").await.text(), "still here\n");
}

#[tokio::test]
async fn what_is_not_offered_is_refused_and_the_client_goes_on() {
    let server = Server::start();
    let client = server.client().await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "netconf").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    let channel = client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    if !connection::SFTP_SERVERS.iter().any(|path| Path::new(path).exists()) {
        let ended = rest(channel).await;
        assert_eq!(ended.code, Some(127));
        assert!(String::from_utf8_lossy(&ended.err).starts_with("cloudtik: no sftp-server on this node: "));
    }
    assert!(client.tcpip_forward("127.0.0.1", 0).await.is_err());
    assert_eq!(exec(&client, "echo on", b"").await.text(), "on\n");
}

#[test]
fn a_client_that_says_nonsense_disturbs_nobody() {
    let server = Server::start();
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], b"SSH-2.0-x\r\n\xff\xff\xff\xff\xff\xff"] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(words).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { assert!(server.login(USER, "id").await.is_some()) });
}

/// OpenSSH's client, when there is one.
fn openssh(server: &Server, key: &str, arguments: &[&str]) -> Option<Command> {
    if !Path::new("/usr/bin/ssh").exists() {
        eprintln!("not tested: no OpenSSH client here");
        return None;
    }
    let mut command = Command::new("/usr/bin/ssh");
    command.args(["-F", "none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"]).arg(server.path(key));
    command.args(["-p", &server.address.port().to_string(), &format!("{USER}@127.0.0.1")]).args(arguments);
    Some(command)
}

#[test]
fn openssh_runs_commands_and_gets_codes_and_bytes() {
    let server = Server::start();
    let Some(mut command) = openssh(&server, "id", &["head -c 5000000 /dev/zero; exit 7"]) else { return };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == vec![0; 5_000_000]);
    let output = openssh(&server, "other", &["true"]).unwrap().output().unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied (publickey)"));
    let mut terminal = openssh(&server, "id", &["-tt", "stty size; cat"]).unwrap();
    let output = terminal.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).starts_with("0 0"), "{output:?}");
}
