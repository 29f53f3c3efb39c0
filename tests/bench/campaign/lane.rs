//! One story after another: a document is applied, edited some times and destroyed, with kills in all of it.

use super::{
    client::{Client, Link},
    dice::Dice,
    document::{Document, Shape, scope},
    process::{self, Ended, How},
    run::{self, Line, Say},
    service::Service,
    tally::Tally,
    witness::{Broken, Fault, Witness, accounted},
    world::{Counts, LAG, World, shape},
};
use cloudtik_core::state::{Store, StoreError};
use cloudtik_redb::RedbStore;
use cloudtik_testkit::MemoryStore;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;

/// Most kills between a change of the document and the run that is left to finish.
const KILLS: u64 = 6;

/// How long runs take, by the powers of two of what they have to do; learnt from those that were left alone.
#[derive(Clone, Copy, Debug)]
struct Pace([f64; 16]);

impl Pace {
    /// A guess to begin with.
    fn new() -> Self {
        Pace(std::array::from_fn(|power| 0.05 + 0.002 * (1 << power) as f64))
    }

    fn power(operations: usize) -> usize {
        operations.checked_ilog2().map_or(0, |log| log as usize + 1)
    }

    fn learn(&mut self, operations: usize, took: Duration) {
        let life = &mut self.0[Self::power(operations)];
        *life += (took.as_secs_f64() - *life) * 0.3;
    }

    /// Any instant in the life of a run with so much to do.
    fn instant(&self, operations: usize, dice: &mut Dice) -> Duration {
        Duration::from_secs_f64(self.0[Self::power(operations)] * dice.fraction())
    }
}

pub struct Lane {
    runtime: Handle,
    dice: Dice,
    /// Most objects of a document.
    most: usize,
    pace: [Pace; Shape::ALL.len()],
}

/// A world, its state, and the same without kills.
struct Stage {
    folder: PathBuf,
    world: Arc<World>,
    service: Service,
    store: RedbStore,
    witness: Witness,
    calm: Arc<World>,
    calm_store: MemoryStore,
}

impl Lane {
    pub fn new(runtime: Handle, dice: Dice, most: usize) -> Self {
        Lane { runtime, dice, most, pace: [Pace::new(); Shape::ALL.len()] }
    }

    /// Goes on until there were enough kills.
    pub fn work(&mut self, folder: &Path, tally: &Tally) -> std::io::Result<()> {
        let mut story = 0;
        // Those first are left alone, to learn how long they take.
        for shape in Shape::ALL {
            self.story(&folder.join(format!("{story}")), shape, false, tally)?;
            story += 1;
        }
        while tally.wants_more() {
            let shape = Shape::ALL[self.dice.below(3) as usize];
            self.story(&folder.join(format!("{story}")), shape, true, tally)?;
            story += 1;
        }
        Ok(())
    }

    fn story(&mut self, folder: &Path, shape: Shape, kills: bool, tally: &Tally) -> std::io::Result<()> {
        let mut stage = Stage::new(folder, &self.runtime, Dice::new(self.dice.next()))?;
        let half = (self.most / 2) as u64;
        let mut document = Document::new(shape, (half + self.dice.below(half + 1)) as usize);
        let mut action = "create";
        let actions = if kills { 2 + self.dice.below(3) } else { 1 };
        for left in (0..=actions).rev() {
            if let Err((broken, what)) = self.action(&mut stage, &document, kills, tally)? {
                // What is broken once may be broken in every run that follows: this story ends, and is kept.
                tally.broken(broken, &format!("{shape:?}, {action}: {what}; kept in {}", folder.display()));
                return Ok(());
            }
            tally.converged(action);
            match left {
                0 => break,
                1 => (document, action) = (document.emptied(), "destroy"),
                _ => (document, action) = document.edited(&mut self.dice, self.most),
            }
        }
        std::fs::remove_dir_all(folder)
    }

    /// Brings the stage to a document, with kills on the way, and checks everything.
    fn action(
        &mut self,
        stage: &mut Stage,
        document: &Document,
        kills: bool,
        tally: &Tally,
    ) -> std::io::Result<Result<(), Fault>> {
        stage.write(document)?;
        let (before, calm_before) = (stage.world.counts()?, stage.calm.counts()?);
        if let Err(why) = self.runtime.block_on(stage.calm_down(document)) {
            return Ok(Err((Broken::Astray, format!("without kills: {why}"))));
        }
        let calm = stage.calm.counts()? - calm_before;
        // As many steps as objects come and go, or some that only change.
        let mut left = (calm.created + calm.deleted).max(20);
        let kills = if kills { 1 + self.dice.below(KILLS) } else { 0 };
        for attempt in 0.. {
            let pace = self.pace(document);
            let last = attempt == kills || !tally.wants_more();
            let limit = (!last).then(|| pace.instant(left, &mut self.dice));
            let rival = self.dice.below(8) == 0;
            let ended = stage.run(limit, rival, tally)?;
            if let Err(fault) = self.runtime.block_on(stage.inspect(&ended, tally))? {
                return Ok(Err(fault));
            }
            tally.run(&ended);
            if last {
                self.pace[document.shape as usize].learn(ended.planned().unwrap_or(0), ended.took);
            }
            if ended.how == How::Finished {
                break;
            }
            let done = ended.lines.iter().map(Line::results).sum();
            left = ended.planned().unwrap_or(left).saturating_sub(done);
        }
        stage.compare(before, calm)
    }

    fn pace(&self, document: &Document) -> Pace {
        self.pace[document.shape as usize]
    }
}

impl Stage {
    fn new(folder: &Path, runtime: &Handle, dice: Dice) -> std::io::Result<Stage> {
        let world = Arc::new(World::new(&folder.join("world"), LAG)?);
        let service = Service::start(runtime, world.clone(), &folder.join("socket"), dice)?;
        Ok(Stage {
            world,
            service,
            store: RedbStore::new(folder.join("state")),
            witness: Witness::new(),
            calm: Arc::new(World::new(&folder.join("calm"), Duration::ZERO)?),
            calm_store: MemoryStore::new(),
            folder: folder.into(),
        })
    }

    fn write(&self, document: &Document) -> std::io::Result<()> {
        std::fs::write(self.folder.join("document"), serde_json::to_vec(document)?)
    }

    /// The same change, in a world where nothing is killed.
    async fn calm_down(&self, document: &Document) -> Result<(), String> {
        let client = Arc::new(Client(Link::Direct(self.calm.clone())));
        let silent: Say = Arc::new(|_| {});
        match run::change(&self.calm_store, client, document, silent).await? {
            Some(summary) if !summary.is_complete() => Err(format!("it is not complete: {:?}", summary.failed)),
            _ => Ok(()),
        }
    }

    fn run(&self, limit: Option<Duration>, rival: bool, tally: &Tally) -> std::io::Result<Ended> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("campaign-run").args([self.folder.join("state"), self.folder.join("socket")]);
        command.arg(self.folder.join("document"));
        process::run(
            command,
            limit,
            |child| {
                if rival {
                    self.rival(child, tally);
                }
            },
            process::own,
        )
    }

    /// Somebody else who wants to change the same scope, while the owner stands still, is refused by the owner's name.
    fn rival(&self, owner: &Child, tally: &Tally) {
        let pid = i32::try_from(owner.id()).expect("a process id");
        // SAFETY: the process is our child and was not waited for, so the id is still its own.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        match self.store.lease(&scope()) {
            Ok(Some(lease)) if lease.holder.pid == owner.id() => match self.store.lock(&scope(), &run::holder()) {
                Err(StoreError::Locked { .. }) => tally.rival(),
                Err(e) => tally.broken(Broken::Astray, &format!("a rival was told: {e}")),
                Ok(_) => tally.broken(Broken::Astray, "two processes had the lock of one scope"),
            },
            // It does not have it yet, or no longer.
            _ => {}
        }
    }

    /// What a run left, right after its end.
    async fn inspect(&mut self, ended: &Ended, tally: &Tally) -> std::io::Result<Result<(), Fault>> {
        self.service.quiet().await?;
        if ended.how == How::Failed {
            return Ok(Err((Broken::Astray, ended.said.clone())));
        }
        let lines = ended.lines.to_vec();
        let state = match self.witness.check(&self.store, lines) {
            Ok(state) => state,
            Err(fault) => return Ok(Err(fault)),
        };
        tally.open(state.open.len());
        if ended.how == How::Finished && !state.open.is_empty() {
            return Ok(Err((Broken::Astray, format!("a run that finished left {} open intents", state.open.len()))));
        }
        Ok(accounted(&state, &self.world.objects()?))
    }

    /// After a run that was left alone: the same world as without kills, made in as many steps.
    fn compare(&self, before: Counts, calm: Counts) -> std::io::Result<Result<(), Fault>> {
        let made = self.world.counts()? - before;
        if made.created > calm.created {
            let what = format!("{} objects were made instead of {}", made.created, calm.created);
            return Ok(Err((Broken::Doubled, what)));
        }
        if shape(&self.world.objects()?) != shape(&self.calm.objects()?) {
            return Ok(Err((Broken::Astray, "the world is not what it is without kills".into())));
        }
        if made != calm {
            return Ok(Err((Broken::Astray, format!("{made:?} instead of {calm:?}"))));
        }
        Ok(Ok(()))
    }
}
