//! The service that is changed: every object is a file, every creation and deletion a line of a log that is only appended to.
//!
//! It lives in the process of the campaign, so a kill of its client takes nothing from it: what was asked for happens, even
//! when nobody is left to hear the answer. As clouds do, it makes a second object for a second request, unless that has the
//! token of the first; what is new may not be seen at once; and what others use cannot go.

use cloudtik_core::{Address, Attrs, Value, plan::OperationId};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// How long at most a new object is not seen.
pub const LAG: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The mark that makes it ours: absent between a launch and its marking.
    pub owner: Option<Address>,
    pub token: Option<OperationId>,
    /// The request that made it together with others, and its place there.
    pub launch: Option<(String, u32)>,
    pub kind: String,
    pub attributes: Attrs,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// Objects, all of them or none. One whose token or launch was seen before is not made again.
    Create {
        objects: Vec<Object>,
    },
    Mark {
        id: String,
        owner: Address,
        token: OperationId,
    },
    Update {
        id: String,
        attributes: Attrs,
    },
    Delete {
        ids: Vec<String>,
    },
    /// By token, or by place in a launch.
    Look {
        token: OperationId,
        launch: Option<(String, u32)>,
    },
    List {
        kind: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", content = "with", rename_all = "kebab-case")]
pub enum Answer {
    Made(Vec<String>),
    Done,
    Objects(BTreeMap<String, Object>),
    Refused(String),
}

struct Inner {
    objects: BTreeMap<String, Object>,
    /// When each may be seen.
    seen: BTreeMap<String, Instant>,
    next: u64,
    log: File,
}

pub struct World {
    folder: PathBuf,
    lag: Duration,
    inner: Mutex<Inner>,
}

/// Creations and deletions so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: usize,
    pub deleted: usize,
}

impl std::ops::Sub for Counts {
    type Output = Counts;

    fn sub(self, earlier: Counts) -> Counts {
        Counts { created: self.created - earlier.created, deleted: self.deleted - earlier.deleted }
    }
}

impl World {
    /// The one below `folder`, an empty one when there is none.
    pub fn open(folder: &Path, lag: Duration) -> std::io::Result<World> {
        fs::create_dir_all(folder.join("objects"))?;
        let log = OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
        let objects = read(folder)?;
        let number = |id: &String| id.strip_prefix("id-").and_then(|n| n.parse().ok());
        let next = objects.keys().filter_map(number).max().unwrap_or(0);
        let seen = objects.keys().map(|id| (id.clone(), Instant::now())).collect();
        let inner = Inner { objects, seen, next, log };
        Ok(World { folder: folder.into(), lag, inner: Mutex::new(inner) })
    }

    /// Everything there is, as the files say.
    pub fn objects(&self) -> std::io::Result<BTreeMap<String, Object>> {
        let _whole = self.lock();
        read(&self.folder)
    }

    /// What the log says.
    pub fn counts(&self) -> std::io::Result<Counts> {
        let text = fs::read_to_string(self.folder.join("log"))?;
        let of = |verb: &str| text.lines().filter(|line| line.starts_with(verb)).count();
        Ok(Counts { created: of("create "), deleted: of("delete ") })
    }

    pub fn answer(&self, ask: Ask) -> Answer {
        let mut inner = self.lock();
        match self.act(&mut inner, ask) {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => Answer::Refused(why),
            Err(e) => Answer::Refused(format!("the service itself failed: {e}")),
        }
    }

    fn act(&self, inner: &mut Inner, ask: Ask) -> std::io::Result<Result<Answer, String>> {
        let answer = match ask {
            Ask::Create { objects } => {
                let used = objects.iter().flat_map(uses).find(|id| !inner.objects.contains_key(id));
                if let Some(id) = used {
                    return Ok(Err(format!("{id} does not exist")));
                }
                let made = objects.into_iter().map(|object| self.make(inner, object));
                Answer::Made(made.collect::<std::io::Result<_>>()?)
            }
            Ask::Mark { id, owner, token } => {
                let Some(object) = inner.objects.get_mut(&id) else { return Ok(Err(format!("{id} does not exist"))) };
                (object.owner, object.token) = (Some(owner), Some(token));
                self.write(&id, object)?;
                Answer::Done
            }
            Ask::Update { id, attributes } => {
                let Some(object) = inner.objects.get_mut(&id) else { return Ok(Err(format!("{id} does not exist"))) };
                object.attributes = attributes;
                self.write(&id, object)?;
                Answer::Done
            }
            Ask::Delete { ids } => {
                for id in &ids {
                    let user =
                        inner.objects.iter().find(|(user, o)| !ids.contains(user) && uses(o).any(|used| used == *id));
                    if let Some((user, _)) = user {
                        return Ok(Err(format!("{id} is used by {user}")));
                    }
                }
                for id in ids.iter().filter(|id| inner.objects.remove(*id).is_some()).collect::<Vec<_>>() {
                    writeln!(inner.log, "delete {id}")?;
                    fs::remove_file(self.file(id))?;
                }
                Answer::Done
            }
            Ask::Look { token, launch } => {
                let ours = |o: &Object| o.token.as_ref() == Some(&token) || (launch.is_some() && o.launch == launch);
                Answer::Objects(inner.visible(ours))
            }
            Ask::List { kind } => Answer::Objects(inner.visible(|o| o.kind == kind)),
        };
        Ok(Ok(answer))
    }

    fn make(&self, inner: &mut Inner, object: Object) -> std::io::Result<String> {
        let same = |o: &Object| {
            (o.token.is_some() && o.token == object.token) || (o.launch.is_some() && o.launch == object.launch)
        };
        if let Some((id, _)) = inner.objects.iter().find(|(_, o)| same(o)) {
            return Ok(id.clone());
        }
        inner.next += 1;
        let id = format!("id-{}", inner.next);
        writeln!(inner.log, "create {id}")?;
        self.write(&id, &object)?;
        // As spread as can be without dice: a third is seen at once.
        let lag = self.lag * (inner.next % 3) as u32 / 2;
        inner.seen.insert(id.clone(), Instant::now() + lag);
        inner.objects.insert(id.clone(), object);
        Ok(id)
    }

    fn write(&self, id: &str, object: &Object) -> std::io::Result<()> {
        fs::write(self.file(id), serde_json::to_vec(object)?)
    }

    fn file(&self, id: &str) -> PathBuf {
        self.folder.join("objects").join(id)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic holds this lock")
    }
}

fn read(folder: &Path) -> std::io::Result<BTreeMap<String, Object>> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry?.path();
        let id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((id, serde_json::from_slice(&fs::read(path)?)?))
    };
    fs::read_dir(folder.join("objects"))?.map(read).collect()
}

impl Inner {
    fn visible(&self, wanted: impl Fn(&Object) -> bool) -> BTreeMap<String, Object> {
        let now = Instant::now();
        let all = self.objects.iter().filter(|(id, o)| wanted(o) && self.seen[*id] <= now);
        all.map(|(id, o)| (id.clone(), o.clone())).collect()
    }
}

/// Ids of what an object is built on.
pub fn uses(object: &Object) -> impl Iterator<Item = String> + '_ {
    let list = object.attributes.get("uses").and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_text).map(str::to_owned)
}

/// What there is, without ids and tokens: equal worlds compare equal.
pub fn shape(objects: &BTreeMap<String, Object>) -> Vec<(String, String)> {
    let name = |id: &str| match objects.get(id) {
        Some(object) => object.owner.as_ref().map_or_else(|| "nobody's".into(), Address::short),
        None => "nothing".into(),
    };
    let mut shape: Vec<_> = objects
        .iter()
        .map(|(id, object)| {
            let uses: Vec<String> = uses(object).map(|id| name(&id)).collect();
            let number = |key: &str| object.attributes.get(key).and_then(Value::as_int);
            (name(id), format!("{:?} {:?} {uses:?}", number("image"), number("size")))
        })
        .collect();
    shape.sort();
    shape
}
