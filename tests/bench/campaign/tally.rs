//! What was counted, over all lanes.

use super::{
    process::{Ended, How},
    witness::Broken,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

/// So many broken promises end a campaign.
const ENOUGH: usize = 10;

#[derive(Default)]
pub struct Counted {
    pub kills: usize,
    /// Of those, in the middle of an apply.
    pub applies: usize,
    /// Open intents that kills left.
    pub open: usize,
    /// Others that were refused the lock while an owner stood still.
    pub rivals: usize,
    pub operations: usize,
    pub converged: BTreeMap<&'static str, usize>,
    pub broken: BTreeMap<Broken, Vec<String>>,
}

pub struct Tally {
    wanted: usize,
    counted: Mutex<Counted>,
}

impl Tally {
    pub fn new(wanted: usize) -> Self {
        Tally { wanted, counted: Mutex::default() }
    }

    /// Until there were enough kills, or enough is broken to look at.
    pub fn wants_more(&self) -> bool {
        let counted = self.counted();
        counted.kills < self.wanted && counted.broken.values().map(Vec::len).sum::<usize>() < ENOUGH
    }

    pub fn into_counted(self) -> Counted {
        self.counted.into_inner().expect("no panic held this lock")
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().expect("no panic holds this lock")
    }

    pub fn run(&self, ended: &Ended) {
        let mut counted = self.counted();
        counted.kills += usize::from(ended.how == How::Killed);
        counted.applies += usize::from(ended.hit_an_apply());
        counted.operations += ended.lines.iter().map(super::run::Line::results).sum::<usize>();
    }

    pub fn open(&self, intents: usize) {
        self.counted().open += intents;
    }

    pub fn rival(&self) {
        self.counted().rivals += 1;
    }

    pub fn converged(&self, action: &'static str) {
        *self.counted().converged.entry(action).or_default() += 1;
    }

    pub fn broken(&self, broken: Broken, what: &str) {
        eprintln!("{broken:?}: {what}");
        self.counted().broken.entry(broken).or_default().push(what.into());
    }
}
