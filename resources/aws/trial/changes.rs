//! Clusters that change, and machines that others change.

use super::*;

fn workers(node_config: &str) -> String {
    cluster("", 2, node_config)
}

#[tokio::test(start_paused = true)]
async fn another_type_replaces_workers_and_nothing_else() {
    let trial = Trial::with(&workers(WORKER)).await;
    let head = trial.record("instance.head").id.clone();
    let text = workers("{InstanceType: m5.2xlarge}");
    assert!(trial.plan(&text).await.iter().all(|step| step.contains("worker.default")));
    complete(trial.apply(&text).await);
    let mut kinds: Vec<String> = trial.machines().await.iter().map(|machine| machine.text("type").to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["m5.2xlarge", "m5.2xlarge", "m5.large"]);
    assert_eq!(trial.record("instance.head").id, head);
    assert_eq!(trial.plan(&text).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_head_is_not_replaced_by_an_edit() {
    let text = workers(WORKER);
    let trial = Trial::with(&text).await;
    assert_eq!(trial.refused(&text.replace("InstanceType: m5.large", "InstanceType: m5.4xlarge")).await, ["protected"]);
}

#[tokio::test(start_paused = true)]
async fn disks_grow_in_place_and_shrink_with_new_machines() {
    let disk = |gib: u32| {
        workers(&format!(
            "{{InstanceType: m5.xlarge, BlockDeviceMappings: [{{DeviceName: /dev/sda1, Ebs: {{VolumeSize: {gib}}}}}]}}"
        ))
    };
    let trial = Trial::with(&disk(100)).await;
    let worker = || trial.record("instance.worker.default[0]").id.clone();
    let before = worker();
    let updates = ["update instance.worker.default[0]", "update instance.worker.default[1]"];
    assert_eq!(trial.plan(&disk(200)).await, updates);
    complete(trial.apply(&disk(200)).await);
    assert_eq!(trial.plan(&disk(200)).await, [""; 0]);
    assert_eq!(worker(), before);
    complete(trial.apply(&disk(150)).await);
    assert_ne!(worker(), before);
    assert_eq!(trial.plan(&disk(150)).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn tags_and_groups_change_in_place() {
    let trial = Trial::with(&workers(WORKER)).await;
    let tags = "TagSpecifications: [{ResourceType: instance, Tags: [{Key: team, Value: data}]}]";
    let text = workers(&format!("{{InstanceType: m5.xlarge, {tags}}}"));
    let updates = ["update instance.worker.default[0]", "update instance.worker.default[1]"];
    assert_eq!(trial.plan(&text).await, updates);
    complete(trial.apply(&text).await);
    assert_eq!(trial.plan(&text).await, [""; 0]);

    let vpc = trial.output("vpc.main", "id");
    let (name, description) = ("other".to_owned(), "other".to_owned());
    let request = Request::CreateSecurityGroup { vpc, name, description, tags: Default::default() };
    let group = trial.api().call(request).await.unwrap().item.id;
    trial.wait(2).await;
    let text = workers(&format!("{{InstanceType: m5.xlarge, {tags}, SecurityGroupIds: [{group}]}}"));
    assert_eq!(trial.plan(&text).await, updates);
    complete(trial.apply(&text).await);
    assert_eq!(trial.plan(&text).await, [""; 0]);
    let machines = trial.machines().await;
    let in_group = machines.iter().filter(|m| m.fields["groups"] == Value::list([group.as_str()])).count();
    assert_eq!(in_group, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_head_starts_and_is_reached_where_it_is_then() {
    let text = workers(WORKER);
    let trial = Trial::with(&text).await;
    let before = trial.output("instance.head", "public_ip");
    trial.api().call(Request::StopInstances { ids: vec![trial.record("instance.head").id.clone()] }).await.unwrap();
    trial.wait(60).await;
    let plan = trial.plan(&text).await;
    assert!(plan.starts_with(&["update connection.head".to_owned()]), "{plan:?}");
    assert!(plan.contains(&"update instance.head".to_owned()), "{plan:?}");
    complete(trial.apply(&text).await);
    let now = trial.output("instance.head", "public_ip");
    assert!(!now.is_empty() && now != before);
    assert_eq!(trial.output("connection.head", "connection.host"), now);
    assert_eq!(trial.plan(&text).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_gone_is_made_again() {
    let text = workers(WORKER);
    let trial = Trial::with(&text).await;
    let gone = trial.record("instance.worker.default[1]").id.clone();
    trial.api().call(Request::TerminateInstances { ids: vec![gone.clone()] }).await.unwrap();
    trial.wait(2).await;
    complete(trial.apply(&text).await);
    assert_ne!(trial.record("instance.worker.default[1]").id, gone);
    assert_eq!(trial.plan(&text).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_state_finds_its_machines() {
    let text = workers(WORKER);
    let mut trial = Trial::with(&text).await;
    let before: BTreeSet<String> = trial.machines().await.into_iter().map(|machine| machine.id).collect();
    trial.store = MemoryStore::new();
    complete(trial.apply(&text).await);
    let after: BTreeSet<String> = trial.machines().await.into_iter().map(|machine| machine.id).collect();
    assert_eq!(after, before);
    assert_eq!(trial.plan(&text).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn images_stay_as_they_were_until_upgrades_are_asked_for() {
    let text = workers(WORKER);
    let mut trial = Trial::with(&text).await;
    let before = trial.output("image.ubuntu", "id");
    let name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20991231";
    trial.fake.publish_image("099720109477", name, "2099-12-31T00:00:00.000Z", "x86_64");
    assert_eq!(trial.plan(&text).await, [""; 0]);
    trial.upgrade_image = true;
    assert_eq!(trial.refused(&text).await, ["protected"], "the head would be replaced");
    assert_eq!(trial.output("image.ubuntu", "id"), before);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_moves_to_the_image_that_the_plan_showed() {
    // The head names its image, so that only workers follow the newest.
    let trial = Trial::new();
    let newest = Filter::is("name", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*");
    let owners = vec!["099720109477".to_owned()];
    let image = trial.api().list(&Listing::Images { owners }, &[newest]).await.unwrap().remove(0).id;
    let text = workers(WORKER).replace("InstanceType: m5.large", &format!("InstanceType: m5.large, ImageId: {image}"));
    complete(trial.apply(&text).await);
    let before = trial.output("image.ubuntu", "id");
    let name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20991231";
    trial.fake.publish_image("099720109477", name, "2099-12-31T00:00:00.000Z", "x86_64");
    let trial = Trial { upgrade_image: true, ..trial };
    complete(trial.apply(&text).await);
    let now = trial.output("image.ubuntu", "id");
    assert_ne!(now, before);
    let mut images: Vec<String> =
        trial.machines().await.iter().map(|machine| machine.text("image").to_owned()).collect();
    images.retain(|other| *other == now);
    assert_eq!(images.len(), 2);
    assert_eq!(trial.plan(&text).await, [""; 0]);
}

/// A head of one architecture and workers of the other: each starts from an image of its own, or AWS refuses.
#[tokio::test(start_paused = true)]
async fn machines_start_from_an_image_of_their_architecture() {
    let text = workers("{InstanceType: m6g.xlarge}");
    let trial = Trial::with(&text).await;
    assert_ne!(trial.output("image.ubuntu", "id"), trial.output("image.ubuntu-arm64", "id"));
    let machines = trial.machines().await;
    let of_arm = machines.iter().filter(|machine| machine.text("image") == trial.output("image.ubuntu-arm64", "id"));
    assert_eq!((of_arm.count(), machines.len()), (2, 3));
    assert_eq!(trial.plan(&text).await, [""; 0]);
}
