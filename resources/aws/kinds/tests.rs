//! Identities, buckets and databases against the fake: made, lost, found, mended, gone.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use crate::{
    Account, Aws, Options,
    api::{Api, Filter, Listing, Password, Request, Tags},
    fake::{Fake, Fault, Settings, What},
    model, policies,
};
use cloudtik_core::{
    Address, Attrs, Declaration, Effect, Failure, FailureKind, Origin, ProviderName, Scope, Value,
    plan::OperationId,
    provider::{Call, Presence, Provider, Refresh, Settled, Subject},
    state::{Record, Status},
};
use std::sync::Arc;

const REGION: &str = "us-west-2";

struct Bench {
    fake: Fake,
    aws: Aws,
    api: Arc<dyn Api>,
}

impl Bench {
    fn new() -> Self {
        let fake = Fake::new(Settings::default());
        let api = fake.client(&Account { region: REGION.into(), ..Account::default() });
        Bench { aws: Aws::new(Arc::new(fake.clone()), Options::default()), fake, api }
    }

    fn call(&self, address: &Address, attributes: &Attrs) -> Call {
        let operation = OperationId(format!("op-{}", address.short()).into());
        Call::new(operation, address.clone(), attributes.clone())
    }

    async fn create(&self, address: &Address, attributes: &Attrs) -> Result<Arc<Record>, Failure> {
        let mut call = self.call(address, attributes);
        let made = self.aws.create(&call).await?;
        let mut record = record(address, &made.id, attributes, made.outputs);
        call.record = Some(Arc::new(record.clone()));
        record.outputs.extend(self.aws.ready(&call).await?);
        Ok(Arc::new(record))
    }

    async fn update(&self, record: &Arc<Record>, attributes: &Attrs) {
        let call = Call { record: Some(record.clone()), ..self.call(&record.address, attributes) };
        self.aws.update(&call).await.unwrap();
        let after = Record { attributes: attributes.clone(), ..(**record).clone() };
        self.aws.ready(&Call { record: Some(Arc::new(after)), ..call }).await.unwrap();
    }

    async fn delete(&self, record: &Arc<Record>) {
        let call = Call { record: Some(record.clone()), ..self.call(&record.address, &Attrs::new()) };
        self.aws.delete(&call).await.unwrap();
        self.aws.delete(&call).await.expect("what is gone is deleted");
    }

    async fn seen(&self, address: &Address, record: Option<&Arc<Record>>, declared: &Attrs) -> Presence {
        let subject = Subject { address: address.clone(), record: record.cloned(), declared: declared.clone() };
        let refresh = Refresh { kind: address.kind().into(), subjects: vec![subject] };
        self.aws.refresh(&refresh).await.unwrap().remove(0).presence
    }

    /// Names of attributes that the world has otherwise than declared.
    async fn drift(&self, record: &Arc<Record>, declared: &Attrs) -> Vec<String> {
        let schema = self.aws.kinds().into_iter().find(|kind| kind.kind == record.address.kind()).unwrap();
        match self.seen(&record.address, Some(record), declared).await {
            Presence::Absent => vec!["(gone)".into()],
            Presence::Present { attributes, .. } => {
                let differs = |(name, seen): (&String, &Value)| {
                    let wanted = declared.get(name).unwrap_or(&Value::Unset);
                    (!schema.same(name, seen, wanted)).then(|| name.clone())
                };
                attributes.iter().filter_map(differs).collect()
            }
        }
    }

    async fn send(&self, request: Request) {
        self.api.call(request).await.unwrap();
    }

    fn changes(&self) -> Vec<&'static str> {
        let read = |action: &str| ["Describe", "Get", "List", "Head"].iter().any(|verb| action.starts_with(verb));
        self.fake.take_log().into_iter().map(|call| call.action).filter(|action| !read(action)).collect()
    }
}

fn record(address: &Address, id: &str, attributes: &Attrs, outputs: Attrs) -> Record {
    Record {
        address: address.clone(),
        provider: ProviderName::from("aws"),
        id: id.into(),
        status: Status::Ready,
        attributes: attributes.clone(),
        outputs,
        dependencies: Vec::new(),
        lifecycle: Default::default(),
        operation: OperationId("op".into()),
        schema: 1,
        made: None,
        deposed: Default::default(),
        only_deposed: false,
        references: None,
    }
}

fn origin() -> Origin {
    Origin { file: "w.yaml".into(), line: 1, column: 1, length: 1 }
}

/// What the model declares for workspace `w`, with references to others' ids replaced by their names.
fn identity(kind: &str) -> (Address, Attrs) {
    let names = crate::names::Names::of("w");
    let declared = model::identities::declare(&names, REGION, &origin());
    let Declaration { address, mut attributes, .. } =
        declared.into_iter().find(|d| d.address.short() == format!("{kind}.head")).unwrap();
    if kind == "instance-profile" {
        attributes.insert("role".into(), "cloudtik-w-head-role".into());
    }
    (address, attributes)
}

fn bucket() -> (Address, Attrs) {
    let address = Address::new(Scope::workspace("w"), "bucket", "default");
    let declared = model::storage::declare(address, REGION, "default", &origin());
    (declared.address, declared.attributes)
}

#[tokio::test(start_paused = true)]
async fn a_role_and_its_profile_are_made_seen_mended_and_gone() {
    let bench = Bench::new();
    let (role_at, role) = identity("role");
    let (profile_at, profile) = identity("instance-profile");
    assert_eq!(bench.seen(&role_at, None, &role).await, Presence::Absent);
    let made = bench.create(&role_at, &role).await.unwrap();
    let held = bench.create(&profile_at, &profile).await.unwrap();
    assert_eq!(bench.drift(&made, &role).await, [""; 0]);
    assert_eq!(bench.drift(&held, &profile).await, [""; 0]);
    assert!(matches!(bench.seen(&role_at, None, &role).await, Presence::Present { owned: true, .. }));

    let name = "cloudtik-w-head-role".to_owned();
    let foreign = policies::storage("other", REGION);
    bench.send(Request::PutRolePolicy { role: name.clone(), name: "more".into(), policy: foreign }).await;
    let s3 = "arn:aws:iam::aws:policy/AmazonS3FullAccess".to_owned();
    bench.send(Request::AttachRolePolicy { role: name.clone(), policy: s3 }).await;
    assert_eq!(bench.drift(&made, &role).await, ["attached", "policies"]);
    bench.changes();
    bench.update(&made, &role).await;
    assert_eq!(bench.changes(), ["DeleteRolePolicy", "DetachRolePolicy"], "only what differs");
    assert_eq!(bench.drift(&made, &role).await, [""; 0]);

    let profile_name = "cloudtik-w-head-profile".to_owned();
    bench.send(Request::RemoveRoleFromProfile { profile: profile_name, role: name }).await;
    assert_eq!(bench.drift(&held, &profile).await, ["role"]);
    bench.update(&held, &profile).await;
    assert_eq!(bench.drift(&held, &profile).await, [""; 0]);

    bench.delete(&made).await;
    assert_eq!(bench.drift(&held, &profile).await, ["role"], "a role that goes leaves its profile first");
    bench.delete(&held).await;
    assert!(!bench.fake.world_picture().keys().any(|id| id.contains("cloudtik-w")));
}

#[tokio::test(start_paused = true)]
async fn a_role_of_our_name_without_our_mark_is_somebody_elses() {
    let bench = Bench::new();
    let (address, role) = identity("role");
    let (name, trust) = ("cloudtik-w-head-role".to_owned(), policies::trust(REGION));
    bench.send(Request::CreateRole { name, trust, description: String::new(), tags: Tags::new() }).await;
    bench.fake.client(&Account::default()).pause(std::time::Duration::from_secs(60)).await;
    let failure = bench.create(&address, &role).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::AlreadyExists);
    assert!(failure.message.contains("does not carry this workspace's mark"), "{failure}");
    assert!(matches!(bench.seen(&address, None, &role).await, Presence::Present { owned: false, .. }));
}

/// For each kind and each call of its create: the answer is lost, what was made is found, and nothing is made twice.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_found_again() {
    for (address, attributes) in [identity("role"), bucket()] {
        for nth in 1..=3 {
            let bench = Bench::new();
            bench.fake.fault(Fault { action: "*".into(), nth, what: What::LostAnswer });
            let call = bench.call(&address, &attributes);
            match bench.aws.create(&call).await {
                Ok(_) => assert!(bench.fake.pending_faults() > 0, "{address} {nth}"),
                Err(failure) => {
                    assert_eq!(failure.effect, Effect::Unknown);
                    bench.api.pause(std::time::Duration::from_secs(30)).await;
                    let found = bench.aws.settle(&call).await.unwrap();
                    assert!(matches!(found, Settled::Found(_)), "{address} {nth}: {found:?}");
                }
            }
            let again = bench.create(&address, &attributes).await.unwrap();
            assert_eq!(bench.drift(&again, &attributes).await, [""; 0], "{address} {nth}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_keeps_others_tags_and_goes_with_all_that_is_in_it() {
    let bench = Bench::new();
    let (address, attributes) = bucket();
    let made = bench.create(&address, &attributes).await.unwrap();
    assert_eq!(made.outputs["uri"], Value::text("s3a://cloudtik-w-us-west-2-default"));
    let name = made.id.clone();
    let mut tags = bench.api.list(&Listing::Buckets, &[Filter::is("name", &name)]).await.unwrap().remove(0).tags;
    tags.insert("cost-centre".into(), "7".into());
    tags.remove("cloudtik-workspace-name");
    bench.send(Request::TagBucket { name: name.clone(), tags }).await;
    assert_eq!(bench.drift(&made, &attributes).await, ["tags"]);
    bench.update(&made, &attributes).await;
    assert_eq!(bench.drift(&made, &attributes).await, [""; 0]);
    let tags = bench.api.list(&Listing::Buckets, &[Filter::is("name", &name)]).await.unwrap().remove(0).tags;
    assert_eq!(tags["cost-centre"], "7");

    bench.fake.version_bucket(&name);
    (0..2_500).for_each(|n| bench.fake.put_object(&name, &format!("k{}", n % 1_200)));
    bench.fake.begin_upload(&name, "half");
    bench.changes();
    bench.delete(&made).await;
    let calls = ["DeleteObjects"; 3].into_iter().chain(["AbortMultipartUpload", "DeleteBucket"]);
    assert_eq!(bench.changes(), calls.collect::<Vec<_>>());
    assert_eq!(bench.drift(&made, &attributes).await, ["(gone)"]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_another_account_is_told_from_one_of_another_workspace() {
    let bench = Bench::new();
    let keys = crate::Keys { id: "AKIAOTHER".into(), secret: "s".into(), token: None };
    let other = Account { region: REGION.into(), keys: Some(keys), ..Account::default() };
    let (address, attributes) = bucket();
    let name = "cloudtik-w-us-west-2-default".to_owned();
    bench.fake.client(&other).call(Request::CreateBucket { name }).await.unwrap();
    bench.api.pause(std::time::Duration::from_secs(30)).await;
    let failure = bench.create(&address, &attributes).await.unwrap_err();
    assert!(failure.message.contains("belongs to another account"), "{failure}");
    assert!(failure.hint.unwrap().contains("another workspace name"));

    let bench = Bench::new();
    bench.create(&address, &attributes).await.unwrap();
    let elsewhere = Address::new(Scope::storage("x", "y"), "bucket", "default");
    let failure = bench.create(&elsewhere, &attributes).await.unwrap_err();
    assert!(failure.message.contains("belongs to workspace/w"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_database_has_a_password_that_nobody_stored_grows_and_frees_its_network() {
    let bench = Bench::new();
    let vpc =
        bench.api.call(Request::CreateVpc { cidr: "10.0.0.0/16".into(), tags: Tags::new() }).await.unwrap().item.id;
    bench.api.pause(std::time::Duration::from_secs(30)).await;
    let mut subnets = Vec::new();
    for (cidr, zone) in [("10.0.1.0/24", "us-west-2a"), ("10.0.2.0/24", "us-west-2b")] {
        let request =
            Request::CreateSubnet { vpc: vpc.clone(), cidr: cidr.into(), zone: Some(zone.into()), tags: Tags::new() };
        subnets.push(bench.api.call(request).await.unwrap().item.id);
    }
    let request =
        Request::CreateSecurityGroup { vpc: vpc.clone(), name: "g".into(), description: "g".into(), tags: Tags::new() };
    let security_group = bench.api.call(request).await.unwrap().item.id;
    bench.api.pause(std::time::Duration::from_secs(30)).await;

    for given in [None, Some(Password("correct-horse".into()))] {
        let scope = Scope::workspace("w");
        let mut options = model::database::Options::default();
        options.password = given.clone();
        let names = ("cloudtik-w-db", "cloudtik-w-db-subnet-group");
        let [mut group, mut database] = model::database::declare(&scope, REGION, names, &options, &origin());
        group.attributes.insert("subnets".into(), Value::list(subnets.clone()));
        database.attributes.insert("subnet_group".into(), names.1.into());
        database.attributes.insert("groups".into(), Value::list([security_group.clone()]));
        if let Some(password) = &given {
            let failure = bench.create(&database.address, &database.attributes).await.unwrap_err();
            assert!(failure.message.contains("no plan or state holds passwords"), "{failure}");
            bench.aws.remember_password(&database.address, password.clone());
        }
        let group_made = bench.create(&group.address, &group.attributes).await.unwrap();
        let made = bench.create(&database.address, &database.attributes).await.unwrap();
        assert!(made.outputs["address"].as_text().is_some_and(|address| !address.is_empty()));
        assert_eq!(made.outputs.contains_key("secret"), given.is_none());
        let stored = serde_json::to_string(&*made).unwrap();
        assert!(!stored.contains("correct-horse"), "{stored}");
        assert_eq!(bench.drift(&made, &database.attributes).await, [""; 0]);
        assert_eq!(bench.drift(&group_made, &group.attributes).await, [""; 0]);

        let mut larger = database.attributes.clone();
        larger.insert("storage_gib".into(), 80.into());
        assert_eq!(bench.drift(&made, &larger).await, ["storage_gib"]);
        bench.update(&made, &larger).await;
        assert_eq!(bench.drift(&made, &larger).await, [""; 0]);
        let schema = bench.aws.kinds().into_iter().find(|kind| kind.kind == "database").unwrap();
        assert!(schema.replaces("storage_gib", &80.into(), &50.into()) && schema.holds_data);
        assert!(!schema.replaces("storage_gib", &50.into(), &80.into()));

        bench.delete(&made).await;
        bench.delete(&group_made).await;
    }
    for subnet in subnets {
        bench.send(Request::DeleteSubnet { subnet }).await;
    }
}
