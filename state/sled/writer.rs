//! The right to change one scope.

use crate::{
    export,
    guard::Guard,
    journal::{self, Loaded, Tip},
    layout::{self, Files, sync_folder},
    place::{Inner, Place},
    tree::{Gate, Tree},
};
use cloudtik_core::{
    Scope,
    state::{Entry, Locked, Progress, Snapshot, StoreError},
};
use rustix::fs::{FallocateFlags, fallocate};
use std::{
    fs::File,
    io::{self, ErrorKind},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

/// An owner gives so many signs of life in the time after which it may be succeeded.
const BEATS: u32 = 6;
/// Bytes held back, to record the results of running calls when the disk fills up: `sled` grows by half a mebibyte at a time.
const ROOM: u64 = 8 << 20;

pub(crate) struct Writer {
    place: Arc<Place>,
    fence: u64,
    snapshot: Snapshot,
    tip: Tip,
    /// Whether `snapshot` may not be what is durable: after an error, until it is read again.
    stale: bool,
    /// Space of a file without a name, and whether it is used up.
    reserve: Option<File>,
    spent: bool,
    beats: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Writer {
    /// Over a place that was just made ours.
    pub fn new(place: Arc<Place>, silence: Duration) -> Writer {
        let fence = place.inner().owner.as_ref().map_or(0, |owner| owner.lease.fence);
        let reserve = space(&place.files);
        let spent = reserve.as_ref().is_err_and(is_full);
        Writer {
            beats: Some(beats(place.clone(), fence, silence)),
            snapshot: Snapshot::empty(&place.files.scope),
            tip: Tip::default(),
            stale: true,
            // One that the file system does not give for another reason is missed at a full disk only.
            reserve: reserve.ok(),
            spent,
            fence,
            place,
        }
    }

    pub fn open(place: Arc<Place>, silence: Duration) -> Result<Writer, StoreError> {
        // Made before it is filled: the lock ends with it when the state cannot be read.
        let mut writer = Writer::new(place, silence);
        writer.with(|_, _| Ok(()))?;
        Ok(writer)
    }

    fn files(&self) -> &Files {
        &self.place.files
    }

    fn scope(&self) -> &Scope {
        &self.snapshot.scope
    }

    fn refuse(&self, operation: &'static str, detail: String) -> StoreError {
        self.files().other(operation, detail)
    }

    /// Works on the place while it is ours, after what is durable was read. After an error it is read again.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Writer, &mut Inner) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let place = self.place.clone();
        let mut inner = place.inner();
        if inner.owner.as_ref().is_none_or(|owner| owner.lease.fence != self.fence) {
            let by = inner.owner.as_ref().map(|owner| Box::new(owner.lease.clone()));
            return Err(StoreError::Fenced { scope: self.scope().clone(), by });
        }
        if self.stale {
            let loaded = place.load(&mut inner)?.unwrap_or_else(|| Loaded::empty(self.scope()));
            (self.snapshot, self.tip, self.stale) = (loaded.snapshot, loaded.tip, false);
        }
        let done = work(self, &mut inner);
        if done.is_err() {
            (inner.tree, self.stale) = (None, true);
        }
        done
    }

    /// Makes entries durable after `from`.
    fn write(&mut self, inner: &mut Inner, from: &Tip, entries: &[Entry], over: Over) -> Result<(), StoreError> {
        let files = &self.place.files;
        let fresh = self.tip.serial == 0 || over == Over::Damage;
        let mut batch = match &inner.tree {
            Some(tree) if over == Over::History && !fresh => tree.removal(files)?,
            _ => sled::Batch::default(),
        };
        let next = journal::add(&mut batch, &files.scope, from, entries);
        match over {
            Over::Damage => Guard::new(Tip::nowhere(), Some(next.clone())).write(files)?,
            _ if fresh => Guard::new(Tip::root(&from.lineage), None).write(files)?,
            Over::History => Guard::new(self.tip.clone(), Some(next.clone())).write(files)?,
            Over::Journal => {}
        }
        if fresh {
            inner.tree = None;
            inner.tree = Some(Tree::create(files, Gate::enter(files, true)?)?);
        }
        let tree = inner.tree.as_ref().ok_or_else(|| self.refuse("append to", "its tree is closed".into()))?;
        tree.write(files, batch)?;
        Guard::new(next.clone(), None).write(files)?;
        self.tip = next;
        if let Some(owner) = &mut inner.owner {
            // It is for those who wait: what was written is durable.
            let _ = owner.beat(None);
        }
        Ok(())
    }

    /// Leaves nothing of the scope but its lock.
    fn clear(&mut self, inner: &mut Inner) -> Result<(), StoreError> {
        let files = &self.place.files;
        let failed = |e| files.io("erase", e);
        if files.has(&files.guard)? {
            // From here on there is no state, whatever is left of it.
            Guard::new(Tip::default(), None).write(files)?;
        }
        inner.tree = None;
        for path in [&files.tree, &files.export, &files.guard] {
            layout::remove(path).map_err(failed)?;
        }
        sync_folder(&files.folder).map_err(failed)
    }

    /// Tries again in the room that was held back when the disk is full.
    fn with_reserve(&mut self, mut run: impl FnMut(&mut Writer) -> Result<(), StoreError>) -> Result<(), StoreError> {
        match run(self) {
            Err(e) if lacks_room(&e) => {
                self.spent = true;
                let Some(space) = self.reserve.take() else { return Err(e) };
                drop(space);
                run(self)
            }
            result => result,
        }
    }

    /// Puts a history in place of whatever is there.
    fn replace(&mut self, lineage: &str, entries: &[Entry], over: Over) -> Result<(), StoreError> {
        let snapshot = Snapshot::fold(self.scope(), lineage, entries);
        self.with_reserve(|writer| {
            writer.with(|writer, inner| {
                // The try before may have ended with all of it durable.
                if writer.snapshot != snapshot {
                    writer.write(inner, &Tip::root(lineage), entries, over)?;
                }
                writer.snapshot = snapshot.clone();
                Ok(())
            })
        })?;
        self.with_reserve(|writer| export::write(writer.files(), &writer.snapshot))
    }

    /// Puts another history, or none, in place of a damaged one.
    pub fn anew(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.stale = false;
        match entries {
            [] => self.with(|writer, inner| writer.clear(inner)),
            _ => {
                let lineage = lineage().map_err(|e| self.files().io("create", e))?;
                self.replace(&lineage, entries, Over::Damage)
            }
        }
    }
}

/// What entries are written over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Journal,
    /// Another history.
    History,
    /// A tree that is given up.
    Damage,
}

impl Locked for Writer {
    fn progress(&mut self, progress: Progress) {
        let mut inner = self.place.inner();
        if let Some(owner) = inner.owner.as_mut().filter(|owner| owner.lease.fence == self.fence) {
            // It is for those who wait; whether the scope can be written shows at the next append.
            let _ = owner.beat(Some(progress));
        }
    }

    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// After an error nothing or all of the batch is durable; the next append starts from what is.
    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let before = self.with(|writer, _| {
            let checked = writer.snapshot.admits(entries);
            Ok(checked.map(|()| writer.snapshot.serial))
        })?;
        let before = before.map_err(|detail| self.refuse("append to", detail))?;
        if entries.is_empty() {
            return Ok(());
        }
        self.with_reserve(|writer| {
            writer.with(|writer, inner| {
                // The try before may have ended with all of it durable.
                if writer.snapshot.serial != before {
                    return Ok(());
                }
                let mut from = writer.tip.clone();
                if from.lineage.is_empty() {
                    from.lineage = lineage().map_err(|e| writer.files().io("create", e))?;
                }
                writer.write(inner, &from, entries, Over::Journal)?;
                writer.snapshot.lineage = from.lineage;
                entries.iter().for_each(|entry| writer.snapshot.apply(entry));
                Ok(())
            })
        })?;
        if !entries.iter().any(|entry| matches!(entry, Entry::Revision(_))) {
            return Ok(());
        }
        match self.with_reserve(|writer| export::write(writer.files(), &writer.snapshot)) {
            // The export of an earlier revision stays; the batch is durable.
            Err(e) if lacks_room(&e) => Ok(()),
            result => result,
        }
    }

    fn short_of_room(&self) -> Option<String> {
        self.spent.then(|| self.files().folder.display().to_string())
    }

    fn restore(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError> {
        let checked = self.with(|writer, _| Ok(writer.snapshot.gives_way(lineage, entries)))?;
        checked.map_err(|detail| self.refuse("restore", detail))?;
        self.replace(lineage, entries, Over::History)
    }

    fn erase(mut self: Box<Self>) -> Result<(), StoreError> {
        self.with(|writer, inner| {
            let Snapshot { records, open, .. } = &writer.snapshot;
            if !records.is_empty() || !open.is_empty() {
                let left = format!("{} resources and {} open intents are left", records.len(), open.len());
                return Err(writer.refuse("erase", format!("{left}; `cloudtik destroy` removes them")));
            }
            writer.clear(inner)
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beats.take() {
            drop(stop);
            // It holds the place; one that panicked does not.
            let _ = thread.join();
        }
        let mut inner = self.place.inner();
        if inner.owner.as_ref().is_some_and(|owner| owner.lease.fence == self.fence) {
            // A lease that still names its owner is none without the lock.
            let _ = inner.owner.take().map(|owner| owner.release());
        }
    }
}

/// Signs of life from a thread of their own.
fn beats(place: Arc<Place>, fence: u64, silence: Duration) -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        while stopped.recv_timeout(silence / BEATS) == Err(mpsc::RecvTimeoutError::Timeout) {
            match place.inner().owner.as_mut().filter(|owner| owner.lease.fence == fence) {
                // A disk that is full now may not be at the next sign.
                Some(owner) => drop(owner.beat(None)),
                None => return,
            }
        }
    });
    (stop, thread)
}

fn space(files: &Files) -> io::Result<File> {
    let path = files.folder.join("reserve");
    let file = layout::open(&path)?;
    std::fs::remove_file(&path)?;
    fallocate(&file, FallocateFlags::empty(), 0, ROOM)?;
    Ok(file)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn lacks_room(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if is_full(source))
}

/// 128 random bits in hex.
fn lineage() -> io::Result<String> {
    let mut bytes = [0; 16];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
