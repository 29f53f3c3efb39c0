//! Data disks that outlive their machines.

use super::*;

fn text(workers: usize, kind: &str) -> String {
    let disk = "BlockDeviceMappings: [{DeviceName: /dev/sdf, Ebs: {VolumeSize: 10, VolumeType: gp3}}]";
    cluster("    permanent_data_volumes: true\n", workers, &format!("{{InstanceType: {kind}, {disk}}}"))
}

async fn volume(trial: &Trial, name: &str) -> Item {
    trial.api().list(&Listing::Volumes, &[Filter::tag("Name", name)]).await.unwrap().pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_disk_goes_from_one_machine_to_the_next_of_its_number() {
    let trial = Trial::with(&text(1, "m5.xlarge")).await;
    let name = "cloudtik-c-node-2-disk-1";
    let before = volume(&trial, name).await;
    assert_eq!(before.text("instance"), trial.record("instance.worker.default[0]").id);

    complete(trial.apply(&text(1, "m5.2xlarge")).await);
    let after = volume(&trial, name).await;
    assert_eq!(after.id, before.id);
    assert_eq!(after.text("instance"), trial.record("instance.worker.default[0]").id);
    assert_ne!(after.text("instance"), before.text("instance"));
    assert_eq!(trial.plan(&text(1, "m5.2xlarge")).await, [""; 0]);

    complete(trial.apply(&text(0, "m5.2xlarge")).await);
    trial.wait(60).await;
    assert_eq!(volume(&trial, name).await.text("state"), "available");
    complete(trial.apply(&text(1, "m5.2xlarge")).await);
    let again = volume(&trial, name).await;
    assert_eq!((again.id.as_str(), again.text("state")), (before.id.as_str(), "in-use"));
    assert_eq!(trial.plan(&text(1, "m5.2xlarge")).await, [""; 0]);
}
