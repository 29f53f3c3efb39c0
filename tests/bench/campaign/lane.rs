//! One story after another: a document is applied, edited some times and destroyed, with kills in all of it.

use super::{
    dice::Dice,
    document::{Document, Shape, scope},
    process::{self, How},
    run::{self, Failpoints, Line},
    stage::{Calm, Stage},
    tally::Tally,
    witness::{Broken, Fault},
    world::LAG,
};
use cloudtik_core::state::{Store, StoreError};
use std::{path::Path, process::Child, time::Duration};
use tokio::runtime::Handle;

/// How long at most a request, and its answer, are under way.
const WAY: Duration = Duration::from_millis(3);

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
        let dice = Dice::new(self.dice.next());
        let mut stage = Stage::open(folder, &self.runtime, LAG, WAY, dice)?;
        let calm = Calm::new(&folder.join("calm"), &self.runtime)?;
        let half = (self.most / 2) as u64;
        let mut document = Document::new(shape, (half + self.dice.below(half + 1)) as usize);
        let mut action = "create";
        let actions = if kills { 2 + self.dice.below(3) } else { 1 };
        for left in (0..=actions).rev() {
            if let Err((broken, what)) = self.action(&mut stage, &calm, &document, kills, tally)? {
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
        calm: &Calm,
        document: &Document,
        kills: bool,
        tally: &Tally,
    ) -> std::io::Result<Result<(), Fault>> {
        stage.write(document)?;
        let (before, calm) = (stage.world.counts()?, calm.change(document)?);
        // As many steps as objects come and go, or some that only change.
        let mut left = (calm.counts.created + calm.counts.deleted).max(20);
        let kills = if kills { 1 + self.dice.below(KILLS) } else { 0 };
        for attempt in 0.. {
            let pace = self.pace(document);
            let last = attempt == kills || !tally.wants_more();
            let limit = (!last).then(|| pace.instant(left, &mut self.dice));
            let watched = self.dice.below(8) == 0;
            let ended = process::run(
                stage.command(&Failpoints::default())?,
                limit,
                |child| {
                    if watched {
                        rival(stage, child, tally);
                    }
                },
                process::own,
            )?;
            match stage.inspect(&ended)? {
                Ok(state) => tally.open(state.open.len()),
                Err(fault) => return Ok(Err(fault)),
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
        stage.compare(before, &calm)
    }

    fn pace(&self, document: &Document) -> Pace {
        self.pace[document.shape as usize]
    }
}

/// Somebody else who wants to change the same scope, while the owner stands still, is refused by the owner's name.
fn rival(stage: &Stage, owner: &Child, tally: &Tally) {
    let pid = i32::try_from(owner.id()).expect("a process id");
    // SAFETY: the process is our child and was not waited for, so the id is still its own.
    unsafe { libc::kill(pid, libc::SIGSTOP) };
    match stage.store.lease(&scope()) {
        Ok(Some(lease)) if lease.holder.pid == owner.id() => match stage.store.lock(&scope(), &run::holder()) {
            Err(StoreError::Locked { .. }) => tally.rival(),
            Err(e) => tally.broken(Broken::Astray, &format!("a rival was told: {e}")),
            Ok(_) => tally.broken(Broken::Astray, "two processes had the lock of one scope"),
        },
        // It does not have it yet, or no longer.
        _ => {}
    }
}
