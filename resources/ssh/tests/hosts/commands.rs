//! What a command over there gets, gives back, and how it ends.

use crate::support::{Server, kill, lives, sessions, until};
use cloudtik_core::{
    FailureKind,
    host::{Chunk, Command, Host},
};
use std::{fs, sync::Arc, time::Duration};
use tokio::sync::mpsc;

fn sh(script: &str) -> Command {
    Command::new(["/bin/sh", "-c", script])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_its_code_or_its_signal() {
    let server = Server::start();
    let host = server.host().await;
    for (script, code) in [("true", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)] {
        assert_eq!(host.run(&sh(script)).await.unwrap().code, code, "{script}");
    }
    let missing = host.run(&Command::new(["no-such-program"])).await.unwrap();
    assert_eq!((missing.code, missing.stdout.len()), (127, 0));
    assert!(missing.error_text().contains("no-such-program"), "{}", missing.error_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_both_ways_unchanged() {
    let server = Server::start();
    let host = server.host().await;
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let output = host.run(&Command::new(["cat"]).stdin(bytes.clone())).await.unwrap();
    assert_eq!(output.code, 0);
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    let errors = host.run(&sh("cat >&2").stdin(bytes.clone())).await.unwrap();
    assert!(errors.stdout.is_empty() && errors.stderr == bytes);
    // A command that reads nothing of much input ends all the same.
    assert_eq!(host.run(&sh("exit 3").stdin(bytes)).await.unwrap().code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_arrives_as_it_comes_from_both_streams() {
    let server = Server::start();
    let host = server.host().await;
    let (first, second, said) = (server.path("first"), server.path("second"), server.path("said"));
    // Each line waits for the one before to have arrived here.
    let script = format!(
        "mkfifo {0} {1}; echo one; read x <{0}; echo two >&2; read x <{1}; echo three; : >{2}",
        first.display(),
        second.display(),
        said.display()
    );
    let (sender, mut chunks) = mpsc::unbounded_channel();
    let running =
        tokio::spawn(async move { host.stream(&sh(&script), &mut |chunk| sender.send(chunk).unwrap()).await });
    for (expected, go) in [("out one\n", Some(first)), ("err two\n", Some(second)), ("out three\n", None)] {
        let got = match chunks.recv().await.unwrap() {
            Chunk::Out(bytes) => format!("out {}", String::from_utf8(bytes).unwrap()),
            Chunk::Err(bytes) => format!("err {}", String::from_utf8(bytes).unwrap()),
        };
        assert_eq!(got, expected);
        if let Some(go) = go {
            assert!(!said.exists());
            fs::write(go, "go\n").unwrap();
        }
    }
    assert_eq!(running.await.unwrap().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_folders_are_those_asked_for() {
    let server = Server::start();
    let host = server.host().await;
    let folder = server.path("a folder");
    fs::create_dir(&folder).unwrap();
    let mut command = sh("echo \"$SECRET\"; pwd; tr '\\0' ' ' </proc/$PPID/cmdline").env("SECRET", "it's\n$HOME");
    command.dir = Some(folder.display().to_string());
    let output = host.run(&command).await.unwrap();
    let text = output.text();
    assert!(text.starts_with(&format!("it's\n$HOME\n{}\n", folder.display())), "{text}");
    assert!(text.contains("cloudtik") && !text.contains("SECRET"), "the shell's own arguments show: {text}");
    // Without one, where the login begins.
    let home = host.run(&sh("pwd")).await.unwrap().text();
    assert_eq!(home, host.run(&sh("eval cd \"~$(id -un)\"; pwd")).await.unwrap().text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_start_up_files_print_is_no_output() {
    let server = Server::with(
        "SetEnv BASH_ENV=/dev/null\nForceCommand echo noise; echo noise >&2; sh -c \"$SSH_ORIGINAL_COMMAND\"",
    );
    let output = server.host().await.run(&sh("echo out; echo err >&2")).await.unwrap();
    assert_eq!((output.text().as_str(), output.error_text().as_str()), ("out\n", "err\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_runs_nothing_says_why() {
    let server = Server::with("ForceCommand echo 'Please login as the user \"ubuntu\".'; exit 142");
    let failure = server.host().await.run(&sh("true")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(failure.message.contains("Please login as the user \"ubuntu\"."), "{failure}");
}

/// Starts a command that writes its process number and that of a child, and waits for both.
async fn started(host: &Arc<dyn Host>, server: &Server, input: usize) -> (tokio::task::JoinHandle<()>, [u32; 2]) {
    let pids = server.path("pids");
    let script = format!("sleep 1000 & echo $$ $! >{0}.new; mv {0}.new {0}; wait", pids.display());
    let command = sh(&script).stdin(vec![b'x'; input]);
    let host = host.clone();
    let running = tokio::spawn(async move { drop(host.run(&command).await) });
    until("the command runs", || pids.exists()).await;
    let text = fs::read_to_string(&pids).unwrap();
    let numbers: Vec<u32> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    (running, [numbers[0], numbers[1]])
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_command_kills_its_process_group() {
    // With nothing, with little and with far too much input that it does not read.
    for input in [0, 10, 8_000_000] {
        let server = Server::start();
        let host = server.host().await;
        let (running, pids) = started(&host, &server, input).await;
        assert!(pids.into_iter().all(lives));
        running.abort();
        until("both are gone", || !pids.into_iter().any(lives)).await;
        assert_eq!(host.run(&sh("echo on")).await.unwrap().text(), "on\n", "the connection goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_connection_kills_the_process_group() {
    let server = Server::start();
    let host = server.host().await;
    let (running, pids) = started(&host, &server, 0).await;
    // The session's own server dies, as it does when the connection is cut.
    for session in sessions(server.pid()) {
        kill(session, "KILL");
    }
    running.await.unwrap();
    until("both are gone", || !pids.into_iter().any(lives)).await;
    assert_eq!(host.run(&sh("echo on")).await.unwrap().text(), "on\n", "it connects again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_behind_lives_on() {
    let server = Server::start();
    let host = server.host().await;
    let output = host.run(&sh("sleep 1000 >/dev/null 2>&1 </dev/null & echo $!")).await.unwrap();
    let pid: u32 = output.text().trim().parse().unwrap();
    // One more round, so that the first channel is closed on both sides.
    host.run(&sh("true")).await.unwrap();
    assert!(lives(pid));
    kill(pid, "KILL");
    // One that holds the streams open does not hold us.
    let held = tokio::time::timeout(Duration::from_secs(15), host.run(&sh("sleep 1000 & echo $!"))).await;
    kill(held.unwrap().unwrap().text().trim().parse().unwrap(), "KILL");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_commands_than_a_connection_carries_wait_for_their_turn() {
    let server = Server::with("MaxSessions 4");
    let host = server.host().await;
    let mut all = tokio::task::JoinSet::new();
    for i in 0..40 {
        let host = host.clone();
        all.spawn(async move { host.run(&sh(&format!("echo {i}"))).await.unwrap().text() });
    }
    let mut texts = all.join_all().await;
    texts.sort_by_key(|t| t.trim().parse::<u32>().unwrap());
    assert_eq!(texts.concat(), (0..40).map(|i| format!("{i}\n")).collect::<String>());
    assert_eq!(server.log().matches("Accepted publickey").count(), 1, "one connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_replaced_whole_and_read_back() {
    let server = Server::start();
    let host = server.host().await;
    let path = server.path("new/deep folder/it's.conf");
    let name = path.display().to_string();
    assert_eq!(host.read(&name).await.unwrap(), None);
    for (content, mode) in [(b"one\0".to_vec(), 0o640), (vec![7; 3_000_000], 0o755), (Vec::new(), 0o600)] {
        host.upload(&name, &content, mode).await.unwrap();
        assert!(host.read(&name).await.unwrap() == Some(content));
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, mode);
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    let folder = server.path("new").display().to_string();
    assert!(host.upload(&folder, b"x", 0o644).await.unwrap_err().message.contains("folder"));
}
