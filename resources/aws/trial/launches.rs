//! Machines that are made: together, in part, once.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_cluster_is_made_once_and_leaves_nothing() {
    let trial = Trial::new();
    trial.fake.plant_foreign();
    let before = trial.fake.world_picture();
    let text = cluster("", 3, WORKER);
    complete(trial.apply(&text).await);
    assert_eq!(trial.plan(&text).await, [""; 0]);
    assert_eq!(trial.calls("RunInstances"), 2, "the head, and the workers together");
    for name in ["instance.head", "instance.worker.default[2]"] {
        let keys = trial.record(name).outputs["host_keys"].clone();
        assert!(keys.as_list().is_some_and(|keys| !keys.is_empty()), "{name} has {}", keys.display());
        assert!(trial.output(name, "ip").starts_with("10.0."), "{name}");
    }
    assert!(!trial.output("instance.head", "public_ip").is_empty());
    assert!(!trial.record("instance.worker.default[0]").outputs.contains_key("public_ip"));

    complete(trial.run("", Mode::Destroy).await);
    trial.wait(60).await;
    let left: Vec<String> = trial.fake.world_picture().into_keys().filter(|id| !before.contains_key(id)).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(std::fs::read_dir(trial.home.path().join(".ssh")).unwrap().count(), 0, "the key that was made is gone");
}

#[tokio::test(start_paused = true)]
async fn workers_without_room_fail_alone_and_come_later() {
    let trial = Trial::new();
    // The head and two workers.
    trial.fake.set(|settings| settings.quotas.cpus = 2 + 2 * 4);
    let text = cluster("", 4, WORKER);
    let summary = trial.apply(&text).await;
    assert_eq!(failed(&summary), ["create instance.worker.default[2]", "create instance.worker.default[3]"]);
    assert_eq!(trial.machines().await.len(), 3);
    trial.fake.set(|settings| settings.quotas.cpus = 64);
    complete(trial.apply(&text).await);
    assert_eq!(trial.plan(&text).await, [""; 0]);
    assert_eq!(trial.machines().await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_room_gives_way_to_the_next() {
    let trial = Trial::with(&cluster("", 0, WORKER)).await;
    trial.strike("RunInstances", What::NoCapacity);
    let text = cluster("", 2, WORKER);
    complete(trial.apply(&text).await);
    let (first, second) = (trial.output("subnet.private-1", "id"), trial.output("subnet.private-2", "id"));
    for name in ["instance.worker.default[0]", "instance.worker.default[1]"] {
        assert_ne!(trial.output(name, "subnet"), first);
        assert_eq!(trial.output(name, "subnet"), second);
    }
    assert_eq!(trial.plan(&text).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn spot_without_room_is_bought_on_demand() {
    let trial = Trial::new();
    trial.fake.set(|settings| settings.quotas.spot_cpus = 0);
    let text = cluster("    prefer_spot_node: true\n", 1, WORKER);
    complete(trial.apply(&text).await);
    assert_eq!(trial.output("instance.worker.default[0]", "market"), "on-demand");
    assert_eq!(trial.plan(&text).await, [""; 0]);
    trial.fake.set(|settings| settings.quotas.spot_cpus = 64);
    complete(trial.apply(&cluster("    prefer_spot_node: true\n", 2, WORKER)).await);
    assert_eq!(trial.output("instance.worker.default[1]", "market"), "spot");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_makes_no_machine_twice() {
    for what in [What::LostAnswer, What::FailsAfter, What::FailsBefore, What::NeverSent, What::Throttle] {
        let trial = Trial::with(&cluster("", 0, WORKER)).await;
        trial.strike("RunInstances", what.clone());
        let text = cluster("", 3, WORKER);
        complete(trial.apply(&text).await);
        assert_eq!(trial.fake.pending_faults(), 0, "{what:?}");
        assert_eq!(trial.machines().await.len(), 4, "{what:?}");
        assert_eq!(trial.plan(&text).await, [""; 0], "{what:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_dies_while_it_starts_says_why_at_once() {
    let trial = Trial::with(&cluster("", 0, WORKER)).await;
    trial.strike("RunInstances", What::Stillborn);
    let text = cluster("", 1, WORKER);
    let begun = trial.fake.now();
    let summary = trial.apply(&text).await;
    assert_eq!(failed(&summary), ["create instance.worker.default[0]"]);
    let message = &summary.failed[0].2.message;
    assert!(message.contains("terminated instead of running"), "{message}");
    assert!((trial.fake.now() - begun).as_secs() < 60, "it was not waited for");
    complete(trial.apply(&text).await);
    assert_eq!(trial.plan(&text).await, [""; 0]);
}

/// How many things of each kind there are, by the prefix of their ids.
fn census(trial: &Trial) -> BTreeMap<&'static str, usize> {
    let mut census = BTreeMap::new();
    for existing in trial.fake.world_picture().into_values() {
        *census.entry(existing.kind).or_default() += 1;
    }
    census
}

#[tokio::test(start_paused = true)]
async fn whichever_answer_is_lost_the_world_becomes_the_same() {
    let text = cluster("", 2, WORKER);
    let whole = Trial::with(&text).await;
    let changes = whole.fake.take_log().iter().filter(|logged| !is_read(logged.action)).count();
    for nth in 1..=changes {
        let trial = Trial::new();
        trial.fake.fault(Fault { action: "*".into(), nth, what: What::LostAnswer });
        let first = trial.apply(&text).await;
        trial.wait(2).await;
        // What was made and not finished is a difference that the next run mends.
        complete(trial.apply(&text).await);
        trial.wait(2).await;
        assert_eq!(census(&trial), census(&whole), "lost at change {nth}; failed: {:?}", failed(&first));
        assert_eq!(trial.plan(&text).await, [""; 0], "lost at change {nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn whichever_delete_is_lost_nothing_is_left() {
    let text = cluster("", 2, WORKER);
    let whole = Trial::with(&text).await;
    drop(whole.fake.take_log());
    complete(whole.run("", Mode::Destroy).await);
    let changes = whole.fake.take_log().iter().filter(|logged| !is_read(logged.action)).count();
    // A region has a default network from the first look at it.
    let empty = Trial::new();
    empty.machines().await;
    let before: Vec<String> = empty.fake.world_picture().into_keys().collect();
    for nth in 1..=changes {
        let trial = Trial::with(&text).await;
        trial.fake.fault(Fault { action: "*".into(), nth, what: What::LostAnswer });
        let first = trial.run("", Mode::Destroy).await;
        trial.wait(2).await;
        complete(trial.run("", Mode::Destroy).await);
        trial.wait(60).await;
        let left: Vec<String> = trial.fake.world_picture().into_keys().collect();
        assert_eq!(left, before, "lost at change {nth}; failed: {:?}", failed(&first));
    }
}

fn is_read(action: &str) -> bool {
    ["Describe", "List", "Get", "Head"].iter().any(|verb| action.starts_with(verb))
}
