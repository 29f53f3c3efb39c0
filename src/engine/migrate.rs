//! Moves scopes with their whole history from one store to another.
//!
//! At every moment a scope is in at most one place. The copy says that it is still being moved until the source says that it has
//! moved: killed in between, nobody reads or writes either of them, and the same move completes it.

use cloudtik_core::{
    Scope,
    state::{Elsewhere, Entry, Holder, Locked, Store, StoreError},
};
use jiff::Timestamp;
use serde::Serialize;

/// What has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Arrival {
    pub scope: Scope,
    pub resources: usize,
    pub revisions: u64,
    /// Entries of the journal that were compared.
    pub entries: usize,
}

/// Why nothing was given up by the source.
#[derive(Debug, thiserror::Error)]
pub enum Unmoved {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Each scope that cannot be moved, with the reason. Nothing was written.
    #[error("state cannot be moved there")]
    Refused(Vec<String>),
    /// What was written reads back as something else.
    #[error("the copy of {scope} at {place} is not what was copied")]
    Differs { scope: Scope, place: String },
}

/// Moves these scopes, or completes their move. `tell` hears what is being done, as a phrase.
///
/// Scopes that have arrived before are left out of the answer.
pub fn migrate(
    from: &dyn Store,
    to: &dyn Store,
    scopes: &[Scope],
    holder: &Holder,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<Arrival>, Unmoved> {
    let mut moves = scopes
        .iter()
        .map(|scope| Ok(Move { scope, source: from.lock(scope, holder)?, target: to.lock(scope, holder)? }))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let mut refused = Vec::new();
    let mut steps = Vec::new();
    for one in &moves {
        match one.step(from, to)? {
            Ok(step) => steps.push(step),
            Err(why) => refused.push(why),
        }
    }
    if !refused.is_empty() {
        return Err(Unmoved::Refused(refused));
    }
    let mut arrivals = Vec::new();
    for (one, step) in moves.iter_mut().zip(&steps) {
        if let Step::Copy(journal) = step {
            tell(&format!("copying {} ({} entries)", one.scope, journal.len()));
            one.copy(from, to, journal)?;
        }
    }
    for (one, _) in moves.iter_mut().zip(&steps).filter(|(_, step)| matches!(step, Step::Copy(_))) {
        tell(&format!("giving {} up", one.scope));
        one.source.append(&[mark(Some(Elsewhere::To(to.place())))])?;
    }
    for (one, _) in moves.iter_mut().zip(&steps).filter(|(_, step)| !matches!(step, Step::Nothing)) {
        one.target.append(&[mark(None)])?;
        let state = one.target.snapshot();
        arrivals.push(Arrival {
            scope: one.scope.clone(),
            resources: state.records.len(),
            revisions: state.revision,
            entries: state.serial as usize,
        });
    }
    Ok(arrivals)
}

fn mark(elsewhere: Option<Elsewhere>) -> Entry {
    Entry::Move { elsewhere, at: Timestamp::now() }
}

/// What is left to do for a scope.
enum Step {
    /// All of it; with what is to stand at the target, but for the mark that says it has arrived.
    Copy(Vec<Entry>),
    /// Only that mark is missing.
    Arrive,
    Nothing,
}

struct Move<'a> {
    scope: &'a Scope,
    source: Box<dyn Locked>,
    target: Box<dyn Locked>,
}

impl Move<'_> {
    /// Under both locks; the inner error says why the scope must not be moved.
    fn step(&self, from: &dyn Store, to: &dyn Store) -> Result<Result<Step, String>, StoreError> {
        let (source, target) = (self.source.snapshot(), self.target.snapshot());
        let scope = self.scope;
        let refuse = |why: String| Ok(Err(why));
        let same = source.lineage == target.lineage;
        match (&source.elsewhere, &target.elsewhere) {
            (Some(Elsewhere::To(place)), None) if *place == to.place() && same => Ok(Ok(Step::Nothing)),
            (Some(Elsewhere::To(place)), Some(Elsewhere::From(_))) if *place == to.place() && same => {
                let journals = (from.journal(scope)?, to.journal(scope)?);
                match past(&journals.0) == past(&journals.1) {
                    true => Ok(Ok(Step::Arrive)),
                    false => {
                        refuse(format!("{scope} has another history at {place} than the one that was moved there"))
                    }
                }
            }
            (Some(elsewhere), _) => refuse(format!("{scope} is not at {}: {elsewhere}", from.place())),
            (None, _) if source.lineage.is_empty() => refuse(format!("{scope} has no state at {}", from.place())),
            (None, _) => {
                let mut journal = from.journal(scope)?;
                let related = target.lineage.is_empty() || same && journal.starts_with(past(&to.journal(scope)?));
                if !related {
                    return refuse(format!("{scope} has another history at {}", to.place()));
                }
                journal.push(mark(Some(Elsewhere::From(from.place()))));
                match target.gives_way(&source.lineage, &journal) {
                    Ok(()) => Ok(Ok(Step::Copy(journal))),
                    Err(why) => refuse(format!("{why}, at {}", to.place())),
                }
            }
        }
    }

    /// Writes the copy, and compares what another reader sees of it with the source.
    fn copy(&mut self, from: &dyn Store, to: &dyn Store, journal: &[Entry]) -> Result<(), Unmoved> {
        let source = self.source.snapshot();
        self.target.restore(&source.lineage, journal)?;
        to.check(self.scope)?;
        let (copy, read) = (to.journal(self.scope)?, to.read(self.scope)?);
        let same = copy == journal
            && read.lineage == source.lineage
            && (&read.records, &read.open, read.revision) == (&source.records, &source.open, source.revision)
            && to.history(self.scope)? == from.history(self.scope)?;
        match same {
            true => Ok(()),
            false => Err(Unmoved::Differs { scope: self.scope.clone(), place: to.place() }),
        }
    }
}

/// A journal without the marks of a move at its end.
fn past(journal: &[Entry]) -> &[Entry] {
    let end = journal.iter().rposition(|entry| !matches!(entry, Entry::Move { .. })).map_or(0, |last| last + 1);
    &journal[..end]
}
