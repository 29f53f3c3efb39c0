//! A world with its state, and the same without kills.

use super::{
    client::{Client, Link},
    dice::Dice,
    document::{Document, scope},
    process::{Ended, How},
    run::{self, Failpoints, Say},
    service::Service,
    witness::{Broken, Fault, Witness, accounted},
    world::{Counts, World, shape},
};
use cloudtik_core::state::Snapshot;
use cloudtik_redb::RedbStore;
use cloudtik_testkit::MemoryStore;
use serde_json::Value as Json;
use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;

pub struct Stage {
    folder: PathBuf,
    pub world: Arc<World>,
    service: Service,
    pub store: RedbStore,
    witness: Witness,
    runtime: Handle,
}

impl Stage {
    /// What is in `folder`; empty when there is nothing. New objects are not seen for up to `lag`, requests and answers are
    /// under way for up to `way`.
    pub fn open(folder: &Path, runtime: &Handle, lag: Duration, way: Duration, dice: Dice) -> io::Result<Stage> {
        let world = Arc::new(World::open(&folder.join("world"), lag)?);
        let service = Service::start(runtime, world.clone(), &folder.join("socket"), way, dice)?;
        let store = RedbStore::new(folder.join("state"));
        let witness = Witness::of(&store).map_err(io::Error::other)?;
        Ok(Stage { folder: folder.into(), world, service, store, witness, runtime: runtime.clone() })
    }

    pub fn write(&self, document: &Document) -> io::Result<()> {
        std::fs::write(self.folder.join("document"), serde_json::to_vec(document)?)
    }

    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The process that brings the world to the document.
    pub fn command(&self, failpoints: &Failpoints) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("campaign-run").args([self.state(), self.folder.join("socket"), self.folder.join("document")]);
        command.arg(serde_json::to_string(failpoints)?);
        Ok(command)
    }

    /// What a run left, right after its end, which was not a failure.
    pub fn inspect(&mut self, ended: &Ended) -> io::Result<Result<Snapshot, Fault>> {
        match ended.how {
            How::Failed => Ok(Err((Broken::Astray, ended.said.clone()))),
            How::Killed | How::Finished => self.left(ended),
        }
    }

    /// What a run left, right after its end.
    pub fn left(&mut self, ended: &Ended) -> io::Result<Result<Snapshot, Fault>> {
        self.runtime.block_on(self.service.quiet())?;
        let state = match self.witness.check(&self.store, &ended.lines) {
            Ok(state) => state,
            Err(fault) => return Ok(Err(fault)),
        };
        if ended.how == How::Finished && !state.open.is_empty() {
            return Ok(Err((Broken::Astray, format!("a run that finished left {} open intents", state.open.len()))));
        }
        Ok(accounted(&state, &self.world.objects()?).map(|()| state))
    }

    /// How many owners the scope's lock has counted.
    pub fn owners(&self) -> io::Result<u64> {
        let lock = match std::fs::read(self.store.database(&scope()).with_extension("lock")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other?,
        };
        // A killed owner may have left the end of a longer content behind its last one.
        let content = serde_json::Deserializer::from_slice(&lock).into_iter::<Json>().next().transpose()?;
        Ok(content.and_then(|content| content["fence"].as_u64()).unwrap_or(0))
    }

    /// Whether the number of the ownership has grown since it was `before`.
    pub fn grown(&self, before: u64) -> io::Result<Result<(), Fault>> {
        let now = self.owners()?;
        Ok(match now > before {
            true => Ok(()),
            false => Err((Broken::Lost, format!("after {before} owners the lock counts {now}"))),
        })
    }

    /// After a run that finished: the same world as without kills, in as many creations and deletions since `before`.
    pub fn compare(&self, before: Counts, calm: &Outcome) -> io::Result<Result<(), Fault>> {
        let made = self.world.counts()? - before;
        if made.created > calm.counts.created {
            let what = format!("{} objects were made instead of {}", made.created, calm.counts.created);
            return Ok(Err((Broken::Doubled, what)));
        }
        if shape(&self.world.objects()?) != calm.shape {
            return Ok(Err((Broken::Astray, "the world is not what it is without kills".into())));
        }
        if made != calm.counts {
            return Ok(Err((Broken::Astray, format!("{made:?} instead of {:?}", calm.counts))));
        }
        Ok(Ok(()))
    }
}

/// A world in which nothing is killed.
pub struct Calm {
    world: Arc<World>,
    store: MemoryStore,
    runtime: Handle,
}

/// What a change without kills does.
pub struct Outcome {
    pub counts: Counts,
    pub shape: Vec<(String, String)>,
}

impl Calm {
    pub fn new(folder: &Path, runtime: &Handle) -> io::Result<Calm> {
        let world = Arc::new(World::open(folder, Duration::ZERO)?);
        Ok(Calm { world, store: MemoryStore::new(), runtime: runtime.clone() })
    }

    pub fn change(&self, document: &Document) -> io::Result<Outcome> {
        let before = self.world.counts()?;
        let client = Arc::new(Client(Link::Direct(self.world.clone())));
        let silent: Say = Arc::new(|_| {});
        let change = run::change(&self.store, client, document, silent, None);
        match self.runtime.block_on(change).map_err(io::Error::other)? {
            Some(summary) if !summary.is_complete() => {
                Err(io::Error::other(format!("without kills it is not complete: {:?}", summary.failed)))
            }
            _ => Ok(Outcome { counts: self.world.counts()? - before, shape: shape(&self.world.objects()?) }),
        }
    }
}
