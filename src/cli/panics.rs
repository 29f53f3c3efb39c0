//! A provider that panics with secrets in hand: nothing that the run writes holds one.
//!
//! Panics go past everything that renders: the text is whatever a library chose to say. So the run is a process of its own, this
//! test program again, and all that it wrote is searched.

use super::{
    Global,
    context::Context,
    error::Error,
    flow::{self, Request},
    load::Program,
};
use crate::{exit::Exit, view::Output};
use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, ProviderName,
    provider::{Call, Observed, Outcome, Presence, Provider, Refresh, Settled},
    schema::KindSchema,
    secret::encodings,
};
use cloudtik_engine::{Discreet, Registry};
use proptest::prelude::*;
use std::{
    path::Path,
    process::{Command, Output as Ended},
    sync::Arc,
};

/// Where the process that panics finds its documents, and at which call it does.
const FOLDER: &str = "CLOUDTIK_TEST_FOLDER";
const CALL: &str = "CLOUDTIK_TEST_CALL";
const FORMAT: &str = "CLOUDTIK_TEST_FORMAT";

/// Every call that gets attributes. The one that settles follows one that left something to settle.
const CALLS: [&str; 4] = ["refresh", "ready", "create", "settle"];

/// Makes nothing, and panics at the first call of its name that has a canary in hand.
struct Panicking {
    real: Arc<dyn Provider>,
    at: String,
}

impl Panicking {
    fn meet(&self, call: &str, given: &Attrs) {
        let given = format!("{given:?}");
        assert!(call != self.at || !given.contains("canary"), "{call} of {given}");
    }

    fn outcome(call: &Call) -> Outcome {
        Outcome { id: call.address.short(), outputs: Attrs::from([("ip".into(), "127.0.0.2".into())]) }
    }
}

#[async_trait]
impl Provider for Panicking {
    fn name(&self) -> ProviderName {
        self.real.name()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        self.real.kinds()
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let look = |subject: &cloudtik_core::provider::Subject| {
            self.meet("refresh", &subject.declared);
            Observed { address: subject.address.clone(), presence: Presence::Absent }
        };
        Ok(refresh.subjects.iter().map(look).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        self.meet("create", &call.attributes);
        Ok(Panicking::outcome(call))
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        self.meet("ready", &call.attributes);
        Ok(Attrs::new())
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        Ok(Panicking::outcome(call))
    }

    async fn delete(&self, _call: &Call) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        self.meet("settle", &call.attributes);
        Ok(Settled::Absent)
    }
}

async fn apply(context: &Context, folder: &Path, at: &str) -> Result<Exit, Error> {
    let paths = ["workspace.yaml", "cluster.yaml"].map(|name| folder.join(name));
    let (program, mut world) = Program::load(context, &paths, Vec::new())?;
    let secrets = world.secrets.clone();
    let providers: Vec<Arc<dyn Provider>> = world.platform.engine.providers().cloned().collect();
    world.platform.engine = Registry::new(providers.into_iter().map(|real| -> Arc<dyn Provider> {
        Arc::new(Discreet::new(Arc::new(Panicking { real, at: at.into() }), secrets.clone()))
    }));
    flow::change(context, &world, &Request { yes: true, ..Request::of(&program, "apply") }).await
}

/// Not a test: the process that panics.
#[test]
#[ignore = "the other test of this file runs it"]
#[allow(clippy::exit, reason = "it ends as the program does, and not as a test")]
fn the_run_that_panics() {
    let given = |name: &str| std::env::var(name).unwrap();
    let (folder, at, json) = (given(FOLDER), given(CALL), given(FORMAT) == "json");
    let folder = Path::new(&folder);
    let exit = crate::guarded(|| {
        let node_model = Some("loopback".to_owned());
        let global = Global { state: Some(folder.join("state")), node_model, verbose: true, ..Global::default() };
        let context = Context::new(global, Output::detect(json, true));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ended = runtime.block_on(apply(&context, folder, &at));
        ended.unwrap_or_else(|error| error.report(&context.out))
    });
    std::process::exit(exit.code().into());
}

fn run(folder: &Path, call: &str, format: &str, canary: &str) -> Ended {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cli::panics::the_run_that_panics", "--ignored", "--nocapture"]);
    command.env(FOLDER, folder).env(CALL, call).env(FORMAT, format).env("CANARY", canary).env("RUST_BACKTRACE", "1");
    command.env("HOME", folder).env("CLOUDTIK_CACHE", folder.join("cache")).output().unwrap()
}

/// Characters that every encoding changes, and a word that none does.
fn canary() -> impl Strategy<Value = String> {
    ("[a-z]{4}", "[ '\"/+%$&=?~ä]{0,3}", "[0-9A-Z]{8}").prop_map(|(a, odd, b)| format!("{a}{odd}canary{b}"))
}

fn write_documents(folder: &Path, canaries: &[String]) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    std::fs::write(folder.join("workspace.yaml"), "workspace_name: demo\nprovider:\n  type: local\n").unwrap();
    let cluster = format!(
        "cluster_name: bare\nworkspace_name: demo\nfrom: local/small\nprovider:\n  type: local\n\
         setup_commands:\n  - \"true\"\nruntime:\n  types: []\n  envs:\n    DB_PASSWORD: {}\n    FROM_ENV: ${{env:CANARY}}\n",
        quoted(&canaries[0])
    );
    std::fs::write(folder.join("cluster.yaml"), cluster).unwrap();
}

/// Files below a folder.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path(), found),
            false => found.push((entry.path().display().to_string(), std::fs::read(entry.path()).unwrap())),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn no_canary_is_in_any_byte_of_a_run_that_panics(canaries in prop::collection::vec(canary(), 2)) {
        for format in ["human", "json"] {
            let scratch = tempfile::tempdir().unwrap();
            let folder = scratch.path();
            write_documents(folder, &canaries);
            let mut written = Vec::new();
            for call in CALLS {
                let ended = run(folder, call, format, &canaries[1]);
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                prop_assert!(said.contains("cloudtik met a bug of its own at "), "{call} meets no canary: {said}");
                prop_assert_eq!(ended.status.code(), Some(i32::from(Exit::Bug.code())), "{}: {}", call, said);
                written.extend([(format!("stdout at {call}"), ended.stdout), (format!("stderr at {call}"), ended.stderr)]);
            }
            files(&folder.join("state"), &mut written);
            files(&folder.join("cache"), &mut written);
            prop_assert!(written.iter().any(|(place, _)| place.ends_with("bare.redb")), "a call was recorded");
            for canary in &canaries {
                // Whatever an encoder does to the rest, it leaves the word and what follows.
                let end = canary[canary.find("canary").unwrap()..].to_owned();
                for form in encodings(canary).into_iter().chain([end]) {
                    let leak = written.iter().find(|(_, bytes)| bytes.windows(form.len()).any(|w| w == form.as_bytes()));
                    prop_assert!(leak.is_none(), "{form:?} in {}", leak.unwrap().0);
                }
            }
        }
    }
}
