//! Many machines at once, directly and behind one, and what that takes. `--nocapture` shows the times.

use crate::support::{Server, connector};
use cloudtik_core::{
    Value,
    host::{Command, Connector, Host},
};
use cloudtik_ssh::SshConnector;
use std::{sync::Arc, time::Instant};
use tokio::task::JoinSet;

const HOSTS: usize = 64;

async fn servers() -> Vec<Server> {
    let mut starting = JoinSet::new();
    for _ in 0..HOSTS {
        starting.spawn_blocking(Server::start);
    }
    starting.join_all().await
}

/// Connects to all and runs a command on each; the addresses that answered, in order.
async fn run_on_all(connector: &SshConnector, connections: Vec<Value>) -> Vec<String> {
    let mut running = JoinSet::new();
    for connection in connections {
        let connector = connector.clone();
        running.spawn(async move {
            let host: Arc<dyn Host> = connector.connect(&connection).await.unwrap();
            let command = Command::new(["/bin/sh", "-c", "echo $SSH_CONNECTION | cut -d ' ' -f 3"]);
            host.run(&command).await.unwrap().text().trim().to_owned()
        });
    }
    let mut answers = running.join_all().await;
    answers.sort();
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_machines_answer_together_directly_and_behind_one() {
    let servers = servers().await;
    let mut addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    addresses.sort();
    let (direct, behind) = (connector(), connector());

    let since = Instant::now();
    let connections = || servers.iter().map(Server::connection);
    assert_eq!(run_on_all(&direct, connections().collect()).await, addresses);
    println!("{HOSTS} machines, connect and run: {:?}", since.elapsed());
    let since = Instant::now();
    assert_eq!(run_on_all(&direct, connections().collect()).await, addresses);
    println!("{HOSTS} machines, run again: {:?}", since.elapsed());

    let head = Server::start();
    let jump = head.connection();
    let through = |server: &Server| {
        server.connection_with([("jump", jump.clone()), ("host_keys", Value::list([server.host_key()]))])
    };
    let since = Instant::now();
    assert_eq!(run_on_all(&behind, servers.iter().map(through).collect()).await, addresses);
    println!("{HOSTS} machines behind one, connect and run: {:?}", since.elapsed());
    assert_eq!(head.log().matches("Accepted publickey").count(), 1);
    for server in &servers {
        assert_eq!(server.log().matches("Accepted publickey").count(), 2, "once directly, once through the head");
    }
}
