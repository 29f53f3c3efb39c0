//! What holds for nodes, whatever their model. Where a model cannot hold it, the case says so.

use crate::world::{Bench, attrs, cluster, firewall, instance, rule, workspace};
use cloudtik_core::{
    host::{Command, Host},
    provider::{Provider, Settled},
};
use std::{
    fs,
    os::unix::process::CommandExt,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Case = fn(&Bench);

pub const ALL: &[(&str, Case)] = &[
    ("nodes_have_addresses_names_and_homes_and_reach_each_other", nodes_reach_each_other),
    ("commands_keep_their_exit_codes_streams_and_input", commands),
    ("dropping_a_command_ends_what_it_started", dropping),
    ("files_arrive_whole_and_are_read_back", files),
    ("ports_that_no_rule_opens_are_refused", ports),
    ("changed_rules_are_seen_and_mended", changed_rules),
    ("a_dead_node_is_seen_and_mended_and_keeps_its_home", dead_node),
    ("a_dead_router_takes_its_nodes_along_and_all_is_mended", dead_router),
    ("deleting_a_node_ends_every_process_on_it", process_tree),
    ("a_repeated_create_makes_nothing_twice", repeated),
    ("an_endpoint_leads_into_its_node", endpoint),
    ("the_way_out_is_the_proxy_alone", way_out),
    ("a_machine_that_refuses_namespaces_gets_loopback_and_is_told_why", refusing),
    ("a_shell_on_a_node_has_the_callers_terminal", attach),
    ("ssh_opens_a_node_with_the_workspace_key", ssh),
    ("the_bucket_outlives_the_workspace", bucket),
    ("sixty_four_nodes_start_at_once", sixty_four),
    ("what_a_killed_run_leaves_is_deleted", killed),
];

fn sh(bench: &Bench, host: &Arc<dyn Host>, script: &str) -> (i32, String) {
    let output = bench.runtime.block_on(host.run(&Command::sh(script, [""; 0]))).unwrap();
    (output.code, format!("{}{}", output.text(), output.error_text()).trim().to_owned())
}

fn isolated(bench: &Bench) -> bool {
    bench.model != "loopback"
}

/// Listens on the node, from a process that outlives the command.
fn listen(bench: &Bench, host: &Arc<dyn Host>, port: u16) {
    let script = format!(
        "exec 2>&1; setsid python3 -c 'import socket,os
s=socket.create_server((os.environ[\"CLOUDTIK_NODE_IP\"],{port}))
open(\"listening-{port}\",\"w\").close()
while True:
  c,_=s.accept(); c.sendall(b\"hello from {port}\"); c.close()' >/dev/null 2>&1 </dev/null &
while ! [ -e listening-{port} ]; do :; done"
    );
    assert_eq!(sh(bench, host, &script), (0, String::new()));
}

async fn fetch(host: &Arc<dyn Host>, to: &str, port: u16) -> Result<String, cloudtik_core::Failure> {
    let mut stream = host.connect(to, port).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    Ok(text)
}

fn nodes_reach_each_other(bench: &Bench) {
    bench.network(true, vec![]);
    let (head, worker) = (bench.head(), bench.worker(0));
    let ip = bench.text(&cluster("instance.head"), "ip");
    let name = if isolated(bench) { "etl-head".to_owned() } else { ip.clone() };
    assert_eq!(bench.text(&cluster("instance.head"), "host"), name);
    assert_eq!(
        sh(bench, &head, "echo $CLOUDTIK_NODE_IP $CLOUDTIK_HEAD_IP $CLOUDTIK_NODE_HOST"),
        (0, format!("{ip} {ip} {name}"))
    );
    let home = bench.text(&cluster("instance.head"), "home");
    assert_eq!(sh(bench, &head, "pwd; echo $HOME"), (0, format!("{home}\n{home}")));
    listen(bench, &head, 7077);
    for to in if isolated(bench) { vec!["head", "etl-head", &ip] } else { vec!["head", &ip] } {
        assert_eq!(bench.runtime.block_on(fetch(&worker, to, 7077)).unwrap(), "hello from 7077", "{to}");
    }
    if isolated(bench) {
        assert_eq!(sh(bench, &worker, "hostname"), (0, "etl-worker-0".into()));
        let inside = "python3 -c 'import socket; print(socket.create_connection((\"head\",7077)).recv(99).decode())'";
        assert_eq!(sh(bench, &worker, inside), (0, "hello from 7077".into()));
        assert!(sh(bench, &worker, "echo x > /etc/cloudtik-test").0 != 0, "the machine's files are read-only");
        assert_eq!(
            sh(bench, &worker, "echo own > /tmp/f; cat /tmp/f; echo own > /run/user-f 2>/dev/null || true").1,
            "own"
        );
        assert_eq!(sh(bench, &head, "ls /tmp/f").0, 2, "another node's /tmp is its own");
    }
    bench.destroy();
}

fn commands(bench: &Bench) {
    bench.network(true, vec![]);
    let head = bench.head();
    assert_eq!(sh(bench, &head, "exit 7").0, 7);
    assert_eq!(sh(bench, &head, "kill -TERM $$").0, 128 + 15);
    let run = |command: Command| bench.runtime.block_on(head.run(&command)).unwrap();
    assert_eq!(run(Command::new(["no-such-program"])).code, 127);
    let output = run(Command::sh("cat; echo to-error >&2; echo $EXTRA", [""; 0]).stdin("given\n").env("EXTRA", "more"));
    assert_eq!((output.text().as_str(), output.error_text().as_str()), ("given\nmore\n", "to-error\n"));
    let big = vec![b'x'; 3 << 20];
    assert_eq!(run(Command::new(["cat"]).stdin(big.clone())).stdout, big);
    let left = run(Command::sh("setsid sleep 1000 & echo done", [""; 0]));
    assert_eq!((left.code, left.text().as_str()), (0, "done\n"), "a daemon that holds the output open delays nobody");
    bench.destroy();
}

fn dropping(bench: &Bench) {
    bench.network(true, vec![]);
    let head = bench.head();
    bench.runtime.block_on(async {
        let command = Command::sh("echo ready; sleep 1000 & sleep 1000", [""; 0]);
        let (ready, started) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        let mut sink = |_| {
            let _ = ready.take().map(|r| r.send(()));
        };
        tokio::select! {
            _ = head.stream(&command, &mut sink) => panic!("it sleeps"),
            _ = started => {}
        }
    });
    let deadline = Instant::now() + Duration::from_secs(5);
    while sh(bench, &head, "ps -eo args | grep '^sleep 1000' || true").1.contains("1000") {
        assert!(Instant::now() < deadline, "the command's processes live on");
    }
    bench.destroy();
}

fn files(bench: &Bench) {
    bench.network(true, vec![]);
    let head = bench.head();
    bench.runtime.block_on(async {
        head.upload("deep/in/file", b"content", 0o750).await.unwrap();
        assert_eq!(head.read("deep/in/file").await.unwrap().unwrap(), b"content");
        assert_eq!(head.read("deep/missing").await.unwrap(), None);
        let big: Vec<u8> = (0..5_000_000u32).map(|i| i as u8).collect();
        head.upload("deep/in/file", &big, 0o640).await.unwrap();
        assert_eq!(head.read("deep/in/file").await.unwrap().unwrap(), big);
    });
    assert_eq!(sh(bench, &head, "stat -c %a deep/in/file; ls -A deep/in"), (0, "640\nfile".into()));
    bench.destroy();
}

fn ports(bench: &Bench) {
    bench.network(false, vec![rule("8080")]);
    let (head, worker) = (bench.head(), bench.worker(0));
    listen(bench, &head, 8080);
    listen(bench, &head, 9090);
    let fetch = |port| bench.runtime.block_on(fetch(&worker, "head", port));
    assert_eq!(fetch(8080).unwrap(), "hello from 8080");
    if isolated(bench) {
        let refused = fetch(9090).unwrap_err();
        assert_eq!(refused.kind, cloudtik_core::FailureKind::Unreachable, "{refused}");
        let update = bench.call(&workspace("firewall.main"), firewall(false, vec![rule("9000-9100")]), "edit");
        bench.runtime.block_on(bench.provider.update(&update)).unwrap();
        assert_eq!(fetch(9090).unwrap(), "hello from 9090");
        assert!(fetch(8080).is_err());
    }
    bench.destroy();
}

fn changed_rules(bench: &Bench) {
    bench.network(true, vec![rule("8080")]);
    bench.head();
    let firewall = workspace("firewall.main");
    assert_eq!(bench.broken(&firewall), None);
    if isolated(bench) {
        behind_our_back(bench);
        let why = bench.broken(&firewall).unwrap();
        assert!(why.contains("etl-head") && why.contains("no rules"), "{why}");
        bench.mend(&firewall);
    }
    assert_eq!(bench.broken(&firewall), None);
    bench.destroy();
}

/// Deletes the head's table of rules, as `nft delete table inet cloudtik` in its network would.
fn behind_our_back(bench: &Bench) {
    let pid = |address, name| bench.output(&address, name).as_int().unwrap();
    let (node, router) = (pid(cluster("instance.head"), "pid"), pid(workspace("network.main"), "router_pid"));
    let script = "import socket,struct
s=socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,12)
def message(kind,seq,flags,body): return struct.pack('=IHHII',16+len(body),kind,flags,seq,0)+body
name=struct.pack('=HH',13,1)+b'cloudtik\\0'+b'\\0'*3
batch=struct.pack('>BBH',0,0,10)
s.send(message(16,1,1,batch)+message(10<<8|2,2,5,struct.pack('>BBH',1,0,0)+name)+message(17,3,1,batch))
s.settimeout(5)
assert struct.unpack('=i',s.recv(4096)[16:20])==(0,)";
    let mut enter = std::process::Command::new("nsenter");
    enter.arg(format!("--net=/proc/{node}/ns/net"));
    if bench.model == "namespaces" {
        enter.args([&format!("--user=/proc/{router}/ns/user"), "--preserve-credentials"]);
    }
    assert!(enter.args(["python3", "-c", script]).status().unwrap().success());
}

fn dead_node(bench: &Bench) {
    bench.network(true, vec![]);
    let head = bench.head();
    let address = cluster("instance.head");
    assert_eq!(bench.broken(&address), None);
    bench.runtime.block_on(head.upload("kept", b"data", 0o600)).unwrap();
    let ip = bench.text(&address, "ip");
    let pid = bench.output(&address, "pid").as_int().unwrap() as i32;
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    while bench.broken(&address).is_none() {
        std::thread::yield_now();
    }
    let failure = bench.runtime.block_on(head.run(&Command::new(["true"]))).unwrap_err();
    assert!(failure.hint.unwrap().contains("apply"), "{}", failure.message);
    bench.mend(&address);
    assert_eq!(bench.broken(&address), None);
    assert_eq!(bench.text(&address, "ip"), ip);
    assert_eq!(bench.runtime.block_on(head.read("kept")).unwrap().unwrap(), b"data");
    fs::remove_dir_all(bench.text(&address, "home")).unwrap();
    assert!(bench.broken(&address).unwrap().contains("home"));
    bench.mend(&address);
    assert_eq!(sh(bench, &head, "pwd").0, 0);
    bench.destroy();
}

fn dead_router(bench: &Bench) {
    bench.network(true, vec![]);
    let (head, network) = (bench.head(), workspace("network.main"));
    if isolated(bench) {
        let pid = bench.output(&network, "router_pid").as_int().unwrap() as i32;
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        while bench.broken(&network).is_none() {
            std::thread::yield_now();
        }
        for short in ["subnet.public", "subnet.private"] {
            assert!(bench.broken(&workspace(short)).unwrap().contains("bridge"), "{short}");
        }
        assert!(bench.broken(&cluster("instance.head")).is_some());
        for address in [network, workspace("subnet.public"), workspace("subnet.private"), cluster("instance.head")] {
            bench.mend(&address);
            assert_eq!(bench.broken(&address), None, "{address}");
        }
    }
    assert_eq!(sh(bench, &head, "echo up"), (0, "up".into()));
    bench.destroy();
}

fn process_tree(bench: &Bench) {
    bench.network(true, vec![]);
    let head = bench.head();
    // A daemon that has left its session, its parent and its standard streams behind, and one below it.
    let daemon = "setsid sh -c 'setsid sh -c \"sleep 4711 & sleep 4712\" & exit' >/dev/null 2>&1 </dev/null & ";
    assert_eq!(sh(bench, &head, daemon).0, 0);
    let running = || {
        let all = std::process::Command::new("ps").args(["-eo", "stat,args"]).output().unwrap().stdout;
        let text = String::from_utf8(all).unwrap();
        text.lines().filter(|l| l.contains("sleep 471") && !l.starts_with('Z') && !l.contains("sh -c")).count()
    };
    while running() < 2 {
        std::thread::yield_now();
    }
    bench.delete(&cluster("instance.head"));
    assert_eq!(running(), 0);
    bench.destroy();
}

fn repeated(bench: &Bench) {
    bench.network(true, vec![]);
    bench.head();
    let address = cluster("instance.head");
    let first = bench.output(&address, "pid");
    bench.head();
    assert_eq!(bench.output(&address, "pid"), first);
    let settle = |operation: &str| {
        let call = bench.call(&address, instance("public", "head"), operation);
        bench.runtime.block_on(bench.provider.settle(&call)).unwrap()
    };
    assert!(matches!(settle(&format!("make {address}")), Settled::Found(found) if found.outputs["pid"] == first));
    assert_eq!(settle("another"), Settled::Absent);
    bench.delete(&address);
    bench.delete(&address);
    bench.destroy();
}

fn endpoint(bench: &Bench) {
    bench.network(false, vec![]);
    let head = bench.head();
    listen(bench, &head, 18080);
    let address = cluster("endpoint.ui");
    let attributes = attrs([("node", "etl/etl-head".into()), ("port", 18080.into()), ("protocol", "http".into())]);
    bench.make(&address, attributes);
    let port = bench.output(&address, "host_port").as_int().unwrap() as u16;
    assert_eq!(bench.text(&address, "url"), format!("http://127.0.0.1:{port}"));
    let fetch = || {
        bench.runtime.block_on(async {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            let _ = stream.shutdown().await;
            text
        })
    };
    assert_eq!(fetch(), "hello from 18080");
    assert_eq!(bench.broken(&address), None);
    let pid = bench.output(&address, "pid").as_int().unwrap() as i32;
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    while bench.broken(&address).is_none() {
        std::thread::yield_now();
    }
    bench.mend(&address);
    assert_eq!(bench.output(&address, "host_port").as_int().unwrap() as u16, port);
    assert_eq!(fetch(), "hello from 18080");
    bench.destroy();
}

fn way_out(bench: &Bench) {
    bench.network(true, vec![]);
    let address = workspace("nat.main");
    let mode = if isolated(bench) { "proxy" } else { "host" };
    bench.make(&address, attrs([("network", "w".into()), ("subnet", "public".into()), ("mode", mode.into())]));
    let worker = bench.worker(0);
    assert_eq!(bench.broken(&address), None);
    if isolated(bench) {
        assert_eq!(sh(bench, &worker, "echo $http_proxy"), (0, "http://10.77.0.1:3128".into()));
        let direct = "python3 -c 'import socket; socket.create_connection((\"192.0.2.1\",80),5)' 2>&1 | tail -1";
        let (_, refusal) = sh(bench, &worker, direct);
        assert!(refusal.contains("unreachable") || refusal.contains("No route"), "{refusal}");
        // The machine itself is no business of nodes: the proxy answers, and refuses.
        let ask = "python3 -c 'import socket
s=socket.create_connection((\"10.77.0.1\",3128),5); s.sendall(b\"GET http://127.0.0.1:1/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\")
print(s.recv(99).split()[1].decode())'";
        assert_eq!(sh(bench, &worker, ask), (0, "403".into()));
    }
    bench.destroy();
}

/// The kernel refuses user namespaces to whoever lives in a changed root.
fn refusing(bench: &Bench) {
    if bench.model != "namespaces-root" {
        return; // only root can change its root
    }
    fs::create_dir_all(bench.folder.join("root")).unwrap();
    let script =
        "mount --rbind / \"$1\" && exec chroot \"$1\" setpriv --reuid=65534 --regid=65534 --clear-groups \"$2\" notes";
    let output = std::process::Command::new("unshare")
        .args(["-m", "/bin/sh", "-c", script, "sh"])
        .args([bench.folder.join("root"), std::env::current_exe().unwrap()])
        .output()
        .unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("`loopback`: `namespaces` is refused here (make a user namespace:"), "{said}{error}");
    assert!(said.contains("not enforced"), "{said}");
}

fn attach(bench: &Bench) {
    bench.network(true, vec![]);
    bench.head();
    // Types once the prompt is there; what the terminal shows is printed.
    let script = "import os,pty,sys
pid,far=pty.fork()
if pid==0: os.execv(sys.argv[1],sys.argv[1:])
shown=b''
def until(text):
  global shown
  while text not in shown:
    try: shown+=os.read(far,4096)
    except OSError: break
until(b'$ ' if os.geteuid() else b'# ')
os.write(far,b'test -t 0 && echo ti$(echo ck) $CLOUDTIK_NODE_IP; stty size; exit 5\\n')
until(b'nothing prints this')
print(shown.decode()); sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid,0)[1]))";
    let output = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["attach".as_ref(), bench.model.as_ref(), bench.folder.as_os_str()])
        .output()
        .unwrap();
    let (shown, ip) = (String::from_utf8_lossy(&output.stdout), bench.text(&cluster("instance.head"), "ip"));
    assert!(shown.contains(&format!("tick {ip}")), "{shown} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(5), "{shown}");
    bench.destroy();
}

fn ssh(bench: &Bench) {
    bench.network(true, vec![]);
    bench.head();
    let part = |name: &str| bench.output(&cluster("instance.head"), &format!("ssh.{name}")).scalar_text().unwrap();
    let ssh = std::process::Command::new("ssh")
        .args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"])
        .args(["-o", &format!("UserKnownHostsFile={}", part("known_hosts")), "-o", "IdentitiesOnly=yes"])
        .args(["-o", &format!("HostKeyAlias={}", part("host_key_alias"))])
        .args(["-o", &format!("ProxyCommand={}", part("proxy_command")), "-i", &part("key"), "-p", &part("port")])
        .args([&format!("{}@node", part("user")), "echo $CLOUDTIK_NODE_IP; exit 3"])
        .output();
    match ssh {
        Ok(output) => {
            let ip = bench.text(&cluster("instance.head"), "ip");
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{ip}\n"), "{error}");
            assert_eq!(output.status.code(), Some(3), "{error}");
        }
        Err(error) => println!("  (no ssh client to try with: {error})"),
    }
    bench.destroy();
}

fn bucket(bench: &Bench) {
    bench.network(true, vec![]);
    let address = workspace("bucket.default");
    bench.make(&address, attrs([]));
    let head = bench.head();
    let path = bench.text(&address, "path");
    assert_eq!(bench.text(&address, "uri"), format!("file://{path}"));
    assert_eq!(sh(bench, &head, &format!("echo data > {path}/object")).0, 0);
    for gone in ["instance.head", "firewall.main", "subnet.public", "subnet.private", "network.main"] {
        bench.delete(&if gone.starts_with("inst") { cluster(gone) } else { workspace(gone) });
    }
    assert_eq!(fs::read_to_string(format!("{path}/object")).unwrap(), "data\n");
    bench.delete(&address);
}

fn sixty_four(bench: &Bench) {
    bench.network(true, vec![]);
    let start = Instant::now();
    bench.runtime.block_on(async {
        let addresses: Vec<_> = (0..64).map(|i| cluster(&format!("instance.worker.default[{i}]"))).collect();
        let all = addresses.iter().map(|a| Box::pin(bench.create(a, instance("private", "worker"))));
        for made in futures_all(all).await {
            made.unwrap();
        }
    });
    let took = start.elapsed();
    println!("  64 nodes in {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let ips: std::collections::BTreeSet<_> =
        (0..64).map(|i| bench.text(&cluster(&format!("instance.worker.default[{i}]")), "ip")).collect();
    assert_eq!(ips.len(), 64);
    let start = Instant::now();
    bench.destroy();
    println!("  gone in {:?}", start.elapsed());
}

/// Polls all together, as the engine does.
async fn futures_all<F: Future + Unpin>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Option<F>> = all.map(Some).collect();
    let mut done: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in waiting.iter_mut().zip(&mut done) {
            if let Some(running) = future
                && let std::task::Poll::Ready(output) = std::pin::Pin::new(running).poll(context)
            {
                *result = Some(output);
                *future = None;
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn killed(bench: &Bench) {
    for after in [2, 8, 15, 25, 40, 60, 90, 130] {
        let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["victim".as_ref(), bench.model.as_ref(), bench.folder.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        // No sleep for its own sake: the instant of the kill is the point.
        std::thread::sleep(Duration::from_millis(after));
        victim.kill().unwrap();
        victim.wait().unwrap();
        for index in 0..40 {
            bench.delete(&cluster(&format!("instance.worker.default[{index}]")));
        }
        bench.delete(&cluster("instance.head"));
        for short in ["firewall.main", "subnet.public", "subnet.private", "network.main"] {
            bench.delete(&workspace(short));
        }
        assert_eq!(bench.is_clean(), Vec::<String>::new(), "killed after {after} ms");
    }
}
