//! Other workspaces: in a network that is there already, beside one, with a database; other worlds: slow to show what is
//! new, sparing with calls; and a state that was lost.

use crate::{CLUSTER, WORKSPACE, edited, lab::Lab, lab::REGION};
use cloudtik_aws::fake::{Rates, Settings};
use std::time::Duration;

const BOTH: [&str; 2] = [WORKSPACE, CLUSTER];

/// Applies, plans nothing, destroys, and finds what was there.
fn lives(lab: &Lab, documents: &[&str]) {
    let before = lab.world();
    lab.apply(documents).complete();
    assert_eq!(lab.plan(documents), [] as [&str; 0]);
    lab.destroy(documents).complete();
    assert_eq!(lab.world(), before);
}

fn settings() -> Settings {
    Settings { region: REGION.into(), ..Settings::default() }
}

#[test]
fn a_workspace_in_the_network_of_this_machine() {
    let lab = Lab::new();
    lab.fake.stand_on(Some(&lab.foreign.instance));
    let workspace = edited(WORKSPACE, "region: us-west-2", "region: us-west-2\n    use_internal_ips: true");
    let cluster = edited(CLUSTER, "region: us-west-2", "region: us-west-2\n    use_internal_ips: true");
    lives(&lab, &[&workspace, &cluster]);
}

#[test]
fn a_workspace_beside_the_network_of_this_machine() {
    let lab = Lab::new();
    lab.fake.stand_on(Some(&lab.foreign.instance));
    let beside = "region: us-west-2\n    use_internal_ips: true\n    use_working_vpc: false";
    let workspace = edited(WORKSPACE, "region: us-west-2", beside);
    let cluster = edited(CLUSTER, "region: us-west-2", beside);
    lives(&lab, &[&workspace, &cluster]);
}

#[test]
fn a_workspace_with_a_database() {
    let lab = Lab::new();
    lives(&lab, &[&edited(WORKSPACE, "region: us-west-2", "region: us-west-2\n    managed_cloud_database: true")]);
}

/// Each is a document, and a state, of its own.
#[test]
fn a_storage_and_a_database_of_their_own() {
    let lab = Lab::new();
    let before = lab.world();
    let storage = "workspace_name: demo\nstorage_name: raw\nprovider: {type: aws, region: us-west-2}\n";
    let database = "workspace_name: demo\ndatabase_name: meta\nprovider: {type: aws, region: us-west-2}\n";
    lab.apply(&[WORKSPACE]).complete();
    let workspace = lab.world();
    for document in [storage, database] {
        lab.apply(&[document]).complete();
        assert_eq!(lab.plan(&[document]), [] as [&str; 0]);
        assert_eq!(lab.plan(&[WORKSPACE]), [] as [&str; 0]);
        lab.destroy(&[document]).complete();
        assert_eq!(lab.world(), workspace);
    }
    lab.destroy(&[WORKSPACE]).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn a_full_bucket_goes_only_when_that_is_asked_for() {
    let lab = Lab::new();
    let before = lab.world();
    lab.apply(&[WORKSPACE]).complete();
    let bucket = lab.id("bucket.default");
    lab.fake.put_object(&bucket, "a");
    lab.fake.version_bucket(&bucket);
    (0..3).for_each(|_| lab.fake.put_object(&bucket, "a"));
    lab.fake.begin_upload(&bucket, "b");
    lab.destroy_keeping(&[WORKSPACE]).complete();
    assert_eq!(lab.beyond(&before).into_iter().collect::<Vec<_>>(), [("bucket", 1)]);
    // The same workspace, made again, has its data.
    lab.apply(&[WORKSPACE]).complete();
    assert_eq!(lab.id("bucket.default"), bucket);
    lab.destroy(&[WORKSPACE]).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn a_lost_state_finds_everything_again() {
    let mut lab = Lab::new();
    let before = lab.world();
    lab.apply(&BOTH).complete();
    let made = lab.world();
    lab.forget();
    lab.apply(&BOTH).complete();
    assert_eq!(made.keys().collect::<Vec<_>>(), lab.world().keys().collect::<Vec<_>>());
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
    lab.destroy(&BOTH).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn a_world_that_is_slow_to_show_what_is_new() {
    let lab = Lab::with(Settings { lag: Duration::from_secs(8), ..settings() });
    let before = lab.world();
    lab.apply(&BOTH).complete();
    lab.wait(10);
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
    lab.destroy(&BOTH).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn many_machines_within_the_rates_of_the_service() {
    let lab = Lab::with(Settings { rates: Rates::Wait, ..settings() });
    lab.fake.set(|settings| settings.quotas.cpus = 2_000);
    lives(&lab, &[WORKSPACE, &edited(CLUSTER, "min_workers: 2", "min_workers: 150")]);
}

/// The service refuses instead of letting wait: all is told to be throttled, and passes.
#[test]
fn a_service_that_refuses_what_is_too_fast() {
    let lab = Lab::with(Settings { rates: Rates::Refuse, ..settings() });
    lives(&lab, &BOTH);
}
