//! The witness beside a tree: how far its journal had come. It is what makes a rollback of the whole tree visible.

use crate::{
    journal::Tip,
    layout::{self, Files},
};
use cloudtik_core::state::{FORMAT, StoreError};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guard {
    format: u32,
    /// What was acknowledged last; nothing when its serial is 0, whatever a tree holds.
    pub tip: Tip,
    /// A history that is being put in this one's place: the tree holds one or the other.
    pub next: Option<Tip>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    sum: String,
    guard: Guard,
}

impl Guard {
    pub fn new(tip: Tip, next: Option<Tip>) -> Guard {
        Guard { format: FORMAT, tip, next }
    }

    fn sum(&self) -> String {
        blake3::hash(&serde_json::to_vec(self).expect("a guard is always JSON")).to_hex().to_string()
    }

    pub fn write(self, files: &Files) -> Result<(), StoreError> {
        let sealed = Sealed { sum: self.sum(), guard: self };
        let text = serde_json::to_vec_pretty(&sealed).expect("a guard is always JSON");
        layout::replace(&files.guard, &text).map_err(|e| files.io("guard", e))
    }

    /// `None`: the scope was never written.
    pub fn read(files: &Files) -> Result<Option<Guard>, StoreError> {
        let Some(text) = layout::read(&files.guard).map_err(|e| files.io("read", e))? else {
            return match files.has(&files.tree)? || files.has(&files.export)? {
                true => Err(files.damaged("its guard is gone")),
                false => Ok(None),
            };
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        #[derive(Deserialize)]
        struct Envelope {
            guard: Format,
        }
        let damaged = |e: serde_json::Error| files.damaged(format!("its guard cannot be read: {e}"));
        let found = serde_json::from_slice::<Envelope>(&text).map_err(damaged)?.guard.format;
        let sealed = serde_json::from_slice::<Sealed>(&text);
        if found > FORMAT && sealed.as_ref().map_or(true, |sealed| sealed.sum == sealed.guard.sum()) {
            return Err(StoreError::TooNew { place: files.folder.display().to_string(), found, known: FORMAT });
        }
        let Sealed { sum, guard } = sealed.map_err(damaged)?;
        match sum == guard.sum() {
            true => Ok(Some(guard)),
            false => Err(files.damaged("the checksum of its guard is wrong")),
        }
    }
}

/// Whether a scope has state, as far as can be told without opening its tree.
pub(crate) fn is_state(files: &Files) -> bool {
    // What cannot be read is listed, and says why when it is looked at.
    !matches!(Guard::read(files), Ok(None) | Ok(Some(Guard { tip: Tip { serial: 0, .. }, .. })))
}
