//! Looking at many machines while they start, in one listing for all of them.
//!
//! Each waiter says what it last saw; whoever first wants to see more looks for everybody. So a hundred machines that start
//! together cost one listing a round, without a clock.

use crate::{
    api::{Api, ApiError, Filter, Item, Listing},
    kinds::find::VALUES,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Default)]
pub(super) struct Watch {
    rooms: Mutex<BTreeMap<usize, Arc<Room>>>,
}

/// The waiters of one client.
#[derive(Default)]
struct Room {
    awaited: Mutex<BTreeSet<String>>,
    last: tokio::sync::Mutex<Look>,
}

#[derive(Default)]
struct Look {
    number: u64,
    asked: BTreeSet<String>,
    items: BTreeMap<String, Item>,
}

/// One machine that is waited for. Others look for it until this is dropped.
pub(super) struct Waiter {
    room: Arc<Room>,
    id: String,
    seen: u64,
}

impl Watch {
    pub fn join(&self, api: &Arc<dyn Api>, id: &str) -> Waiter {
        let client = Arc::as_ptr(api).cast::<()>() as usize;
        let room = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).entry(client).or_default().clone();
        room.awaited.lock().unwrap_or_else(PoisonError::into_inner).insert(id.into());
        Waiter { room, id: id.into(), seen: 0 }
    }
}

impl Waiter {
    /// The machine as it is now, or as somebody saw it since this waiter looked last; `None` when it is not there.
    pub async fn look(&mut self, api: &dyn Api) -> Result<Option<Item>, ApiError> {
        let mut last = self.room.last.lock().await;
        if last.number <= self.seen || !last.asked.contains(&self.id) {
            let asked = self.room.awaited.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let ids: Vec<&String> = asked.iter().collect();
            let mut items = BTreeMap::new();
            for ids in ids.chunks(VALUES) {
                let filter = Filter::new("instance-id", ids.iter().map(|id| id.as_str()));
                let found = api.list(&Listing::Instances, &[filter]).await?;
                items.extend(found.into_iter().map(|item| (item.id.clone(), item)));
            }
            *last = Look { number: last.number + 1, asked, items };
        }
        self.seen = last.number;
        Ok(last.items.get(&self.id).cloned())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.room.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
