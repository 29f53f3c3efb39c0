//! Waiting for scopes that another run holds: as long as the user allows for one that lives, and as long as its lease lasts for
//! one that gives no sign of life, which is then succeeded.

use super::{
    context::{Context, World, holder},
    error::Error,
};
use cloudtik_core::{
    Scope,
    state::{Lease, Locked, StoreError},
};
use cloudtik_engine::Interrupt;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{sync::watch::Receiver, time::Instant};

pub type Locks = BTreeMap<Scope, Box<dyn Locked>>;

/// Between two looks at a lock that somebody else holds.
const LOOK: Duration = Duration::from_millis(500);
/// Between two lines about the same wait.
const TELL: Duration = Duration::from_secs(10);

/// Locks scopes in order, so that two runs cannot wait for each other. `None`: interrupted while waiting, nothing is locked.
pub async fn lock(
    context: &Context,
    world: &World,
    scopes: &BTreeSet<Scope>,
    doing: &str,
    interrupt: &mut Receiver<Interrupt>,
) -> Result<Option<Locks>, Error> {
    let mut wait = Wait { context, world, doing, scopes, since: Instant::now(), seen: BTreeMap::new() };
    let all = async {
        let mut locks = Locks::new();
        for scope in scopes {
            locks.insert(scope.clone(), wait.one(scope).await?);
        }
        Ok(Some(locks))
    };
    tokio::select! {
        locks = all => locks,
        Ok(_) = interrupt.wait_for(|asked| *asked != Interrupt::No) => Ok(None),
    }
}

struct Wait<'a> {
    context: &'a Context,
    world: &'a World,
    doing: &'a str,
    scopes: &'a BTreeSet<Scope>,
    since: Instant,
    /// Leases of others, each since when it is as it is.
    seen: BTreeMap<Scope, (Lease, Instant)>,
}

impl Wait<'_> {
    async fn one(&mut self, scope: &Scope) -> Result<Box<dyn Locked>, Error> {
        let holder = holder(self.doing);
        let mut told: Option<Instant> = None;
        loop {
            let (refusal, lease) = match self.world.store.lock(scope, &holder) {
                Err(StoreError::Locked { scope, lease }) => {
                    (StoreError::Locked { scope, lease: lease.clone() }, *lease)
                }
                other => return Ok(other?),
            };
            // One that has given a sign under our eyes lives, whatever its clock says.
            let lives = self.see(scope, &lease) || !looks_silent(&lease);
            if lives && self.since.elapsed() >= self.patience() {
                return Err(refusal.into());
            }
            let silence = Duration::from_secs(lease.silence_s);
            let unchanged = self.seen.get(scope).map_or(Duration::ZERO, |(_, since)| since.elapsed());
            if unchanged >= silence {
                match self.world.store.take_over(scope, &holder, &lease) {
                    Err(StoreError::Locked { .. }) => continue, // it came back at the last moment
                    other => {
                        let lock = other?;
                        self.context.out.note(&format!(
                            "Took {scope} over from {}, which gave no sign of life for {} s.",
                            lease.holder,
                            silence.as_secs()
                        ));
                        return Ok(lock);
                    }
                }
            }
            if told.is_none_or(|told| told.elapsed() >= TELL) {
                self.tell(scope, &lease, silence - unchanged);
                told = Some(Instant::now());
            }
            tokio::time::sleep(LOOK).await;
            self.look_on(scope)?;
        }
    }

    /// Takes note of a lease; whether it has moved since it was seen before.
    fn see(&mut self, scope: &Scope, lease: &Lease) -> bool {
        let before = self.seen.get(scope).map(|(seen, _)| (seen.fence, seen.beats));
        if before != Some((lease.fence, lease.beats)) {
            self.seen.insert(scope.clone(), (lease.clone(), Instant::now()));
        }
        before.is_some_and(|before| before != (lease.fence, lease.beats))
    }

    /// Watches the scopes whose turn is still to come, so that a run that held several is waited for once.
    fn look_on(&mut self, current: &Scope) -> Result<(), Error> {
        for scope in self.scopes.iter().filter(|scope| *scope > current) {
            match self.world.store.lease(scope)? {
                Some(lease) => drop(self.see(scope, &lease)),
                None => drop(self.seen.remove(scope)),
            }
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        self.context.global.lock_timeout.unwrap_or_default()
    }

    fn tell(&self, scope: &Scope, lease: &Lease, left: Duration) {
        let so_far = self.since.elapsed().as_secs();
        let then = match looks_silent(lease) {
            true => format!("it is silent and is taken over in {} s if it stays so", left.as_secs() + 1),
            false => format!("waiting at most {} s", self.patience().as_secs()),
        };
        self.context.out.note(&format!(
            "{scope} is locked by {}: {}; {then}, {so_far} s so far. Ctrl-C ends the wait, nothing is touched.",
            lease.holder,
            standing(lease)
        ));
    }
}

/// What is known of a run that holds a lock: how far it is and when it was last heard of.
pub fn standing(lease: &Lease) -> String {
    let progress = lease.progress.map(|p| format!("{} of {} steps done, ", p.done, p.of)).unwrap_or_default();
    format!("{progress}last sign of life {}", ago(lease))
}

fn ago(lease: &Lease) -> String {
    let age = Timestamp::now().duration_since(lease.beat);
    match age.is_negative() {
        true => format!("at {} by its clock", lease.beat.strftime("%FT%TZ")),
        false => format!("{} s ago", age.as_secs()),
    }
}

/// Whether its last sign of life is so long ago, or so far ahead, that it may be dead. Clocks differ: a lease is believed to have
/// ended only when it was watched for its whole length.
pub fn looks_silent(lease: &Lease) -> bool {
    let age = Timestamp::now().duration_since(lease.beat).abs();
    age > SignedDuration::from_secs(i64::try_from(lease.silence_s).unwrap_or(i64::MAX))
}
