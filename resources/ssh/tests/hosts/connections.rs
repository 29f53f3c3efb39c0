//! Who is let in and who is believed.

use crate::support::{PORT, Server, config, connector, key, kill, own_address, public, sessions, until};
use cloudtik_core::{
    FailureKind, Value,
    host::{Command, Connector},
};
use cloudtik_ssh::{SshConfig, SshConnector};
use std::{
    fs,
    process::{Command as Process, Stdio},
    time::{Duration, Instant},
};

fn echo() -> Command {
    Command::new(["echo", "here"])
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_key_is_refused_before_anything_is_told() {
    let server = Server::start();
    let other = public(&key(server.folder.path(), "other", &["-t", "ed25519"], ""));
    let connection = server.connection_with([("host_keys", Value::list([other.as_str()]))]);
    let failure = connector().connect(&connection).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert_eq!(failure.message.matches("SHA256:").count(), 2, "{failure}");
    assert!(failure.hint.unwrap().contains("--replace"));
    let log = server.log();
    assert!(!log.contains("userauth-request") && !log.contains("publickey"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_kind_is_not_the_pinned_one() {
    let server = Server::start();
    let other = public(&key(server.folder.path(), "other", &["-t", "ecdsa"], ""));
    let connection = server.connection_with([("host_keys", Value::list([other.as_str()]))]);
    assert_eq!(connector().connect(&connection).await.err().unwrap().kind, FailureKind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_host_keys_the_pinned_one_is_asked_for() {
    let server = Server::start();
    for (kind, bits) in [("rsa", "2048"), ("ecdsa", "256")] {
        let path = key(server.folder.path(), kind, &["-t", kind, "-b", bits], "");
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "user", "authorized_keys"] {
            fs::copy(server.path(name), folder.path().join(name)).unwrap();
        }
        let second = Server::at(&own_address(), PORT, folder, &format!("HostKey {}", path.display()));
        let pins = Value::list([public(&path)]);
        let host = connector().connect(&second.connection_with([("host_keys", pins)])).await.unwrap();
        assert_eq!(host.run(&echo()).await.unwrap().text(), "here\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_log_in() {
    let server = Server::start();
    let kinds: [&[&str]; 5] = [
        &["-t", "ed25519"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "rsa", "-b", "3072"],
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
    ];
    for (i, kind) in kinds.into_iter().enumerate() {
        let path = key(server.folder.path(), &format!("key{i}"), kind, "");
        fs::copy(path.with_extension("pub"), server.path("authorized_keys")).unwrap();
        let connection = server.connection_with([("key", path.display().to_string().into())]);
        let host = connector().connect(&connection).await.unwrap();
        assert_eq!(host.run(&echo()).await.unwrap().text(), "here\n", "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_authorized_is_told_as_such() {
    let server = Server::start();
    let path = key(server.folder.path(), "stranger", &["-t", "ed25519"], "");
    let failure =
        connector().connect(&server.connection_with([("key", path.display().to_string().into())])).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unauthenticated);
    assert!(failure.message.contains("SHA256:"), "{failure}");
    let failure = connector().connect(&server.connection_with([("key", "/no/such/key".into())])).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Environment);
}

/// An ssh-agent of the test's own.
struct Agent(std::process::Child, std::path::PathBuf);

impl Agent {
    fn start(folder: &std::path::Path) -> Agent {
        let socket = folder.join("agent");
        let child = Process::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let since = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(since.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        Agent(child, socket)
    }

    fn add(&self, key: &std::path::Path, passphrase: &str) {
        let ask = key.with_extension("ask");
        fs::write(&ask, format!("#!/bin/sh\necho {passphrase}\n")).unwrap();
        fs::set_permissions(&ask, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let status = Process::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.1)
            .env("SSH_ASKPASS", ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    fn connector(&self) -> SshConnector {
        SshConnector::new(SshConfig { agent: Some(self.1.clone()), ..config() })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_logs_in_also_for_an_encrypted_key_file() {
    let server = Server::start();
    let agent = Agent::start(server.folder.path());
    for (name, kind) in [("locked", "ed25519"), ("locked-rsa", "rsa")] {
        let path = key(server.folder.path(), name, &["-t", kind], "secret");
        fs::copy(path.with_extension("pub"), server.path("authorized_keys")).unwrap();
        let by_file = server.connection_with([("key", path.display().to_string().into())]);
        let failure = agent.connector().connect(&by_file).await.err().unwrap();
        assert_eq!(failure.kind, FailureKind::Environment);
        assert!(failure.hint.unwrap().contains("ssh-add"), "{}", failure.message);
        agent.add(&path, "secret");
        for connection in [by_file, server.connection_with([("key", Value::Unset)])] {
            let host = agent.connector().connect(&connection).await.unwrap();
            assert_eq!(host.run(&echo()).await.unwrap().text(), "here\n");
        }
    }
    let none = connector().connect(&server.connection_with([("key", Value::Unset)])).await.err().unwrap();
    assert_eq!((none.kind, none.message.contains("no key")), (FailureKind::Unauthenticated, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_carries_the_connection() {
    let server = Server::start();
    // The way to a machine that has no address here: %h and %p reach the command.
    let relay = format!(
        "python3 -c 'import os,socket,sys,threading\ns=socket.create_connection((\"{}\",int(\"%p\")))\nassert \"%h\"==\"node.invalid\" and \"%r\"\ndef f():\n while True:\n  b=os.read(0,65536)\n  if not b: s.shutdown(1); return\n  s.sendall(b)\nthreading.Thread(target=f,daemon=True).start()\nwhile True:\n b=s.recv(65536)\n if not b: break\n os.write(1,b)'",
        server.address
    );
    let connection = server.connection_with([
        ("host", "node.invalid".into()),
        ("proxy_command", relay.into()),
        ("host_keys", Value::list([server.host_key()])),
    ]);
    let host = connector().connect(&connection).await.unwrap();
    assert_eq!(host.run(&echo()).await.unwrap().text(), "here\n");
    let failing = server.connection_with([("proxy_command", "sh -c 'echo no way >&2; exit 1'".into())]);
    let failure = connector().connect(&failing).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("no way"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jumps_lead_to_a_machine_and_are_shared() {
    let (first, second, third) = (Server::start(), Server::start(), Server::start());
    let connector = connector();
    let hop = second.connection_with([("jump", first.connection()), ("host_keys", Value::list([second.host_key()]))]);
    let far = third.connection_with([("jump", hop.clone()), ("host_keys", Value::list([third.host_key()]))]);
    let host = connector.connect(&far).await.unwrap();
    assert_eq!(host.run(&echo()).await.unwrap().text(), "here\n");
    let near = connector.connect(&hop).await.unwrap();
    assert_eq!(near.run(&echo()).await.unwrap().text(), "here\n");
    for server in [&first, &second, &third] {
        assert_eq!(server.log().matches("Accepted publickey").count(), 1);
    }
    assert_eq!(second.log().matches("ctype direct-tcpip").count(), 1, "{}", second.log());
    // A machine behind it that does not answer is told as such.
    let nowhere = third.connection_with([("jump", hop), ("host", own_address().into())]);
    assert_eq!(connector.connect(&nowhere).await.err().unwrap().kind, FailureKind::Unreachable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_not_there_is_unreachable_within_the_limit() {
    let server = Server::start();
    let closed = server.connection_with([("host", own_address().into())]);
    assert_eq!(connector().connect(&closed).await.err().unwrap().kind, FailureKind::Unreachable);
    // One that takes connections and says nothing.
    let mute = std::net::TcpListener::bind((own_address(), PORT)).unwrap();
    let silent = server.connection_with([("host", mute.local_addr().unwrap().ip().to_string().into())]);
    let impatient = SshConnector::new(SshConfig { login: Duration::from_millis(300), ..config() });
    let failure = impatient.connect(&silent).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("0.3 s"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_peer_is_noticed_by_its_silence() {
    let server = Server::start();
    let quick = SshConfig { keepalive: Duration::from_millis(200), keepalives: 2, ..config() };
    let host = SshConnector::new(quick).connect(&server.connection()).await.unwrap();
    let running = {
        let host = host.clone();
        tokio::spawn(async move { host.run(&Command::new(["sleep", "1000"])).await })
    };
    until("the command runs", || server.log().contains("Starting session: command")).await;
    let stopped = sessions(server.pid());
    let since = Instant::now();
    stopped.iter().for_each(|pid| kill(*pid, "STOP"));
    let failure = running.await.unwrap().unwrap_err();
    stopped.iter().for_each(|pid| kill(*pid, "CONT"));
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("no longer answers"), "{failure}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn first_contact_is_remembered_by_the_host() {
    let server = Server::start();
    let connector = connector();
    let host = connector.connect(&server.connection_with([("host_keys", Value::Unset)])).await.unwrap();
    assert_eq!(host.run(&echo()).await.unwrap().text(), "here\n");
    // Another machine takes its address.
    let (address, port) = (server.address.clone(), server.port);
    let folder = tempfile::tempdir().unwrap();
    for name in ["user", "user.pub", "authorized_keys"] {
        fs::copy(server.path(name), folder.path().join(name)).unwrap();
    }
    key(folder.path(), "host", &["-t", "ed25519"], "");
    drop(server);
    let _other = Server::at(&address, port, folder, "");
    let failure = host.run(&echo()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied, "{failure}");
}
