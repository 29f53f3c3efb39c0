//! `bucket`: a folder that outlives the workspace.

use super::{attrs, inputs, present};
use crate::{
    error::Error,
    provider::{At, Kind, Local},
    world::{Place, prune, remove_tree},
};
use cloudtik_core::{
    provider::{Outcome, Presence, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use std::fs;

pub struct Bucket;

impl Kind for Bucket {
    fn schema(&self) -> KindSchema {
        KindSchema::new("bucket").holds_data().takes(Durations { create: 1, ready: 0, update: 1, delete: 5 })
    }

    fn create(&self, at: &At, _: &Attrs, _: &str) -> Result<Outcome, Error> {
        at.place.check_name()?;
        fs::create_dir_all(at.place.bucket())?;
        Ok(outcome(&at.place))
    }

    fn update(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        self.create(at, attributes, operation)
    }

    fn delete(&self, at: &At) -> Result<(), Error> {
        let folder = at.place.bucket();
        remove_tree(&folder)?;
        if let Some(buckets) = folder.parent() {
            prune(buckets, 3);
        }
        Ok(())
    }

    /// A folder is the same whoever made it, so every create finds the one that is there.
    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error> {
        Ok(at.place.bucket().is_dir().then(|| (outcome(&at.place), String::new())))
    }

    fn unfinished(&self, _: &At, _: &str) -> Result<bool, Error> {
        Ok(false) // a folder is made in one step
    }

    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error> {
        let seen = subjects.iter().map(|subject| {
            let place = local.place(&subject.address);
            if place.bucket().is_dir() {
                let Outcome { id, outputs } = outcome(&place);
                present(id, inputs(subject), outputs, None)
            } else {
                Presence::Absent
            }
        });
        Ok(seen.collect())
    }
}

fn outcome(place: &Place) -> Outcome {
    let path = place.bucket().to_string_lossy().into_owned();
    let outputs = attrs([("uri", Value::text(format!("file://{path}"))), ("path", path.clone().into())]);
    Outcome { id: path, outputs }
}
