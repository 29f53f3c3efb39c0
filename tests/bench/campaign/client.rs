//! The provider in front of that service.

use super::{
    service::Envelope,
    world::{Answer, Ask, LAG, Object, World},
};
use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, FailureKind, ProviderName, Retry, Value,
    batch::BatchKey,
    plan::OperationId,
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Refresh, Settled},
    schema::KindSchema,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::{Mutex as AsyncMutex, oneshot},
};

pub const NAME: &str = "campaign";

/// Objects in one launch.
const TOGETHER: usize = 16;

/// The way to a world.
pub enum Link {
    Direct(Arc<World>),
    Socket(Socket),
}

pub struct Socket {
    writing: AsyncMutex<(u64, OwnedWriteHalf)>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>,
}

impl Link {
    pub async fn to(socket: &Path) -> std::io::Result<Link> {
        let (reading, writing) = UnixStream::connect(socket).await?.into_split();
        let waiting = Arc::new(Mutex::new(HashMap::<u64, oneshot::Sender<Answer>>::new()));
        let inbox = waiting.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(reading).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(Envelope { number, content }) = serde_json::from_str(&line) else { break };
                let waits = inbox.lock().expect("no panic holds this lock").remove(&number);
                // Who no longer waits does not want it.
                let _ = waits.map(|waits| waits.send(content));
            }
            inbox.lock().expect("no panic holds this lock").clear();
        });
        Ok(Link::Socket(Socket { writing: AsyncMutex::new((0, writing)), waiting }))
    }

    async fn ask(&self, what: &str, ask: Ask) -> Result<Answer, Failure> {
        let answer = match self {
            Link::Direct(world) => world.answer(ask),
            Link::Socket(socket) => socket.ask(ask).await.ok_or_else(|| {
                Failure::new(FailureKind::Unreachable, what, "the service is gone").retry(Retry::Never)
            })?,
        };
        match answer {
            Answer::Refused(why) => Err(Failure::new(FailureKind::Other, what, why)),
            answer => Ok(answer),
        }
    }
}

impl Socket {
    /// `None` when the service has gone.
    async fn ask(&self, content: Ask) -> Option<Answer> {
        let (answer, waits) = oneshot::channel();
        {
            let mut writing = self.writing.lock().await;
            writing.0 += 1;
            let number = writing.0;
            self.waiting.lock().expect("no panic holds this lock").insert(number, answer);
            let mut line = serde_json::to_vec(&Envelope { number, content }).expect("a request is JSON");
            line.push(b'\n');
            writing.1.write_all(&line).await.ok()?;
        }
        waits.await.ok()
    }
}

pub struct Client(pub Link);

impl Client {
    async fn create_all(&self, calls: &[Call], objects: Vec<Object>) -> Result<Vec<Outcome>, Failure> {
        let what = format!("create {}", calls[0].address.short());
        match self.0.ask(&what, Ask::Create { objects }).await? {
            Answer::Made(ids) => Ok(ids.into_iter().map(outcome).collect()),
            other => Err(unexpected(&what, &other)),
        }
    }

    async fn change(&self, what: &str, ask: Ask) -> Result<(), Failure> {
        match self.0.ask(what, ask).await? {
            Answer::Done => Ok(()),
            other => Err(unexpected(what, &other)),
        }
    }

    async fn objects(&self, what: &str, ask: Ask) -> Result<BTreeMap<String, Object>, Failure> {
        match self.0.ask(what, ask).await? {
            Answer::Objects(objects) => Ok(objects),
            other => Err(unexpected(what, &other)),
        }
    }

    async fn mark(&self, id: &str, call: &Call) -> Result<(), Failure> {
        let (owner, token) = (call.address.clone(), call.operation.clone());
        self.change(&format!("mark {}", call.address.short()), Ask::Mark { id: id.into(), owner, token }).await
    }
}

fn unexpected(what: &str, answer: &Answer) -> Failure {
    Failure::new(FailureKind::Bug, what, format!("the service answered {answer:?}"))
}

fn outcome(id: String) -> Outcome {
    Outcome { outputs: Attrs::from([("id".into(), Value::text(&id))]), id }
}

fn id_of(call: &Call) -> String {
    call.record.as_ref().map(|record| record.id.clone()).unwrap_or_default()
}

fn object(call: &Call, token: Option<OperationId>) -> Object {
    Object {
        owner: token.is_some().then(|| call.address.clone()),
        token,
        launch: call.batch.as_ref().map(|batch| (batch.id.clone(), batch.index)),
        kind: call.kind().into(),
        attributes: call.attributes.clone(),
    }
}

#[async_trait]
impl Provider for Client {
    fn name(&self) -> ProviderName {
        NAME.into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        let replaced = ["image", "uses"];
        let kinds = [
            KindSchema::new("thing").replace_on(&replaced),
            KindSchema::new("gate").replace_on(&replaced).create_before_destroy(),
            KindSchema::new("unit").replace_on(&replaced),
        ];
        kinds.map(|kind| kind.visible_within(LAG + Duration::from_millis(5))).into()
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let what = format!("list {}", refresh.kind);
        let objects = self.objects(&what, Ask::List { kind: refresh.kind.clone() }).await?;
        let owned: HashMap<_, _> = objects.iter().filter_map(|(id, o)| Some((o.owner.as_ref()?, id))).collect();
        let observe = |subject: &cloudtik_core::provider::Subject| {
            let id = subject.record.as_ref().map(|r| &r.id).or_else(|| owned.get(&subject.address).copied());
            let presence = match id.and_then(|id| objects.get_key_value(id)) {
                None => Presence::Absent,
                Some((id, object)) => Presence::Present {
                    id: id.clone(),
                    attributes: object.attributes.clone(),
                    outputs: outcome(id.clone()).outputs,
                    healthy: Health::Ok,
                    owned: object.owner.is_some(),
                },
            };
            Observed { address: subject.address.clone(), presence }
        };
        Ok(refresh.subjects.iter().map(observe).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        let made =
            self.create_all(std::slice::from_ref(call), vec![object(call, Some(call.operation.clone()))]).await?;
        made.into_iter().next().ok_or_else(|| unexpected("create", &Answer::Made(Vec::new())))
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        (call.kind() == "unit").then(|| BatchKey { alike: call.kind().into(), limit: TOGETHER })
    }

    /// As clouds launch machines: all are there before each gets its own mark.
    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        let objects = calls.iter().map(|call| object(call, None)).collect();
        let made = match self.create_all(calls, objects).await {
            Ok(made) => made,
            Err(failure) => return calls.iter().map(|_| Err(failure.clone())).collect(),
        };
        let mut results = Vec::new();
        for (call, outcome) in calls.iter().zip(made) {
            results.push(self.mark(&outcome.id, call).await.map(|()| outcome));
        }
        results
    }

    async fn delete_many(&self, calls: &[Call]) -> Vec<Result<(), Failure>> {
        let ids = calls.iter().map(id_of).collect();
        let done = self.change(&format!("delete {}", calls[0].address.short()), Ask::Delete { ids }).await;
        calls.iter().map(|_| done.clone()).collect()
    }

    async fn ready(&self, _: &Call) -> Result<Attrs, Failure> {
        Ok(Attrs::new())
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        let (id, attributes) = (id_of(call), call.attributes.clone());
        let what = format!("update {}", call.address.short());
        self.change(&what, Ask::Update { id: id.clone(), attributes }).await.map(|()| outcome(id))
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        self.change(&format!("delete {}", call.address.short()), Ask::Delete { ids: vec![id_of(call)] }).await
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        let launch = call.batch.as_ref().map(|batch| (batch.id.clone(), batch.index));
        let what = format!("look for {}", call.address.short());
        let found = self.objects(&what, Ask::Look { token: call.operation.clone(), launch }).await?;
        match found.into_iter().collect::<Vec<_>>().as_slice() {
            [] => Ok(Settled::Absent),
            [(id, object)] => {
                if object.owner.is_none() {
                    self.mark(id, call).await?;
                }
                Ok(Settled::Found(outcome(id.clone())))
            }
            several => Ok(Settled::Ambiguous(several.iter().map(|(id, _)| id.clone()).collect())),
        }
    }
}
