//! One listing for many that ask at once: what lost answers made, what machines are now, what disks they have.
//!
//! Who asks while a listing is under way waits for the next one, which asks for all that wait; so every answer is from after
//! the question. A request that was seen to have made all its machines is remembered: its members need no other look.

use super::{STATES, launch_order};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing},
    kinds::find::VALUES,
    tags,
};
use cloudtik_core::{batch::Batch, provider::Call};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What is asked, but for the values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// By the mark of the operation or request that made them; in launch order.
    MadeBy,
    Machine,
    VolumesOf,
}

impl Question {
    fn listing(self) -> Listing {
        if self == Question::VolumesOf { Listing::Volumes } else { Listing::Instances }
    }

    fn filter(self) -> String {
        match self {
            Question::MadeBy => format!("tag:{}", tags::OPERATION),
            Question::Machine => "instance-id".into(),
            Question::VolumesOf => "attachment.instance-id".into(),
        }
    }

    /// The value that an item answers.
    fn value(self, item: &Item) -> Option<String> {
        match self {
            Question::MadeBy => item.tags.get(tags::OPERATION).cloned(),
            Question::Machine => Some(item.id.clone()),
            Question::VolumesOf => Some(item.text("instance").to_owned()),
        }
    }
}

type Answers = BTreeMap<String, Vec<Item>>;

#[derive(Default)]
pub(super) struct Lookups {
    rooms: Mutex<BTreeMap<(usize, Question), Arc<Room>>>,
    /// Requests that made all that they were to make.
    whole: Mutex<Answers>,
}

/// Those who ask one question through one client.
#[derive(Default)]
struct Room {
    asking: Mutex<Asking>,
    last: tokio::sync::Mutex<Look>,
}

/// The values that each asks for, by its number.
#[derive(Default)]
struct Asking {
    next: u64,
    values: BTreeMap<u64, Vec<String>>,
}

#[derive(Default)]
struct Look {
    /// Who has a lower number had asked when it began.
    before: u64,
    answers: Answers,
}

/// One who asks. Its values are asked for until this is dropped.
struct Asker {
    room: Arc<Room>,
    number: u64,
}

impl Lookups {
    /// The machines that the create of `call` may have made: the one in its place of what its request made, else those that
    /// carry its own mark.
    pub async fn made(&self, api: &Arc<dyn Api>, call: &Call) -> Result<Vec<Item>, ApiError> {
        let own = call.operation.to_string();
        let Some(batch) = &call.batch else { return self.ask(api, Question::MadeBy, vec![own]).await };
        let known = self.whole().get(&batch.id).and_then(|made| place(made, batch));
        if let Some(item) = known {
            return Ok(vec![item]);
        }
        let made = self.ask(api, Question::MadeBy, vec![batch.id.clone(), own.clone()]).await?;
        let (own, together): (Vec<Item>, Vec<Item>) = made.into_iter().partition(|item| tags::is_made_by(item, &own));
        let member = place(&together, batch);
        if together.len() == batch.count as usize {
            self.whole().insert(batch.id.clone(), together);
        }
        Ok(member.map_or(own, |item| vec![item]))
    }

    /// A machine as it is now.
    pub async fn machine(&self, api: &Arc<dyn Api>, id: &str) -> Result<Option<Item>, ApiError> {
        Ok(self.ask(api, Question::Machine, vec![id.into()]).await?.pop())
    }

    /// The volumes that are attached to a machine, by id.
    pub async fn volumes(&self, api: &Arc<dyn Api>, machine: &str) -> Result<BTreeMap<String, Item>, ApiError> {
        let volumes = self.ask(api, Question::VolumesOf, vec![machine.into()]).await?;
        Ok(volumes.into_iter().map(|volume| (volume.id.clone(), volume)).collect())
    }

    async fn ask(&self, api: &Arc<dyn Api>, question: Question, values: Vec<String>) -> Result<Vec<Item>, ApiError> {
        let asker = self.join(api, question, values.clone());
        let mut last = asker.room.last.lock().await;
        if last.before <= asker.number {
            *last = look(&**api, question, &asker.room).await?;
        }
        Ok(values.iter().filter_map(|value| last.answers.get(value)).flatten().cloned().collect())
    }

    fn join(&self, api: &Arc<dyn Api>, question: Question, values: Vec<String>) -> Asker {
        let client = Arc::as_ptr(api).cast::<()>() as usize;
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry((client, question)).or_default().clone();
        let number = {
            let mut asking = room.asking();
            let number = asking.next;
            asking.next += 1;
            asking.values.insert(number, values);
            number
        };
        Asker { room, number }
    }

    fn whole(&self) -> MutexGuard<'_, Answers> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(made: &[Item], batch: &Batch) -> Option<Item> {
    made.get(batch.index as usize).cloned()
}

async fn look(api: &dyn Api, question: Question, room: &Room) -> Result<Look, ApiError> {
    let (before, values) = {
        let asking = room.asking();
        (asking.next, asking.values.values().flatten().cloned().collect::<BTreeSet<String>>())
    };
    let values: Vec<String> = values.into_iter().collect();
    let mut answers = Answers::new();
    for values in values.chunks(VALUES) {
        let mut filters = vec![Filter::new(question.filter(), values.iter().cloned())];
        if question == Question::MadeBy {
            filters.push(Filter::new("instance-state-name", STATES));
        }
        for item in api.list(&question.listing(), &filters).await? {
            if let Some(value) = question.value(&item) {
                answers.entry(value).or_default().push(item);
            }
        }
    }
    if question == Question::MadeBy {
        answers.values_mut().for_each(|items| items.sort_by(|a, b| launch_order(a).cmp(&launch_order(b))));
    }
    Ok(Look { before, answers })
}

impl Room {
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.room.asking().values.remove(&self.number);
    }
}
