//! The key that nodes let in, and what becomes of its two halves.

use super::*;

fn text() -> String {
    cluster("", 0, WORKER)
}

fn file(trial: &Trial) -> std::path::PathBuf {
    trial.home.path().join(".ssh/cloudtik-w-us-west-2.pem")
}

#[tokio::test(start_paused = true)]
async fn the_private_half_is_in_its_file_and_nowhere_else() {
    let trial = Trial::with(&text()).await;
    let secret = std::fs::read_to_string(file(&trial)).unwrap();
    let body: Vec<&str> = secret.lines().filter(|line| !line.starts_with("-----")).collect();
    for scope in scopes() {
        let journal = serde_json::to_string(&trial.store.journal(&scope).unwrap()).unwrap();
        assert!(body.iter().all(|line| !journal.contains(line)), "the journal has a line of the key");
    }
    assert_eq!(trial.output("connection.head", "key"), file(&trial).to_string_lossy());
    assert!(trial.output("key-pair.main", "public").starts_with("ssh-ed25519 AAAA"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_aws_lost_is_told_to_it_again() {
    let trial = Trial::with(&text()).await;
    let public = trial.output("key-pair.main", "public");
    trial.api().call(Request::DeleteKeyPair { name: "cloudtik-w-us-west-2".into() }).await.unwrap();
    trial.wait(2).await;
    complete(trial.apply(&text()).await);
    assert_eq!(trial.output("key-pair.main", "public"), public);
    assert_eq!(trial.plan(&text()).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_lost_is_said_with_the_way_out() {
    let trial = Trial::with(&text()).await;
    let kept = std::fs::read(file(&trial)).unwrap();
    std::fs::remove_file(file(&trial)).unwrap();
    let summary = trial.apply(&text()).await;
    assert_eq!(failed(&summary), ["update key-pair.main"]);
    let hint = summary.failed[0].2.hint.clone().unwrap_or_default();
    assert!(hint.contains("copy it from the machine") && hint.contains("--replace key-pair.main"), "{hint}");
    std::fs::write(file(&trial), kept).unwrap();
    assert_eq!(trial.plan(&text()).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_users_is_used_and_left_alone() {
    let trial = Trial::new();
    let own = trial.home.path().join("mine.pem");
    crate::key_file::make(&own, "me").unwrap();
    let auth = format!("auth: {{ssh_private_key: {}}}\nhead_node_type", own.display());
    let text = text().replacen("head_node_type", &auth, 1);
    complete(trial.apply(&text).await);
    assert_eq!(trial.machines().await[0].text("key"), "cloudtik-w-c");
    assert_eq!(trial.plan(&text).await, [""; 0]);
    complete(trial.run("", Mode::Destroy).await);
    assert!(own.exists());
}
