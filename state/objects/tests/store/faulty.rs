//! A bucket in memory that counts requests, and loses requests or answers at chosen ones.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Passes,
    /// It does not arrive.
    RequestLost,
    /// It is done, and nobody hears of it.
    AnswerLost,
}

/// Decides by the number of the request, from 0, and what it is: `PUT heads/…`.
pub type Choice = Box<dyn Fn(usize, &str) -> Fate + Send>;

pub struct Faulty {
    objects: Arc<InMemory>,
    choice: Mutex<Choice>,
    log: Mutex<Vec<String>>,
    /// From now on nothing of this client arrives: it was killed.
    dead: AtomicBool,
}

impl Faulty {
    pub fn new(objects: Arc<InMemory>) -> Arc<Faulty> {
        let choice: Choice = Box::new(|_, _| Fate::Passes);
        Arc::new(Faulty { objects, choice: Mutex::new(choice), log: Mutex::default(), dead: AtomicBool::new(false) })
    }

    /// Starts a new count, in which requests have these fates.
    pub fn choose(&self, choice: impl Fn(usize, &str) -> Fate + Send + 'static) {
        *self.choice.lock().unwrap() = Box::new(choice);
        self.log.lock().unwrap().clear();
    }

    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Requests since the count began.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn fate(&self, what: &str, path: &Path) -> Fate {
        if self.dead.load(Ordering::SeqCst) {
            return Fate::RequestLost;
        }
        let mut log = self.log.lock().unwrap();
        log.push(format!("{what} {path}"));
        (self.choice.lock().unwrap())(log.len() - 1, &log[log.len() - 1])
    }
}

/// As a client of a killed process: its failures are final, so that the test need not wait for patience.
fn lost(dead: bool) -> Error {
    match dead {
        true => Error::NotSupported { source: "killed".into() },
        false => Error::Generic { store: "faulty", source: "error sending request: no answer".into() },
    }
}

macro_rules! through {
    ($self:ident, $what:expr, $path:expr, $call:expr) => {
        match $self.fate($what, $path) {
            Fate::Passes => $call.await,
            Fate::RequestLost => Err(lost($self.dead.load(Ordering::SeqCst))),
            Fate::AnswerLost => {
                $call.await?;
                Err(lost($self.dead.load(Ordering::SeqCst)))
            }
        }
    };
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        through!(self, "PUT", path, self.objects.put_opts(path, payload, options))
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        through!(self, "GET", path, self.objects.get_opts(path, options))
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.log.lock().unwrap().push(format!("LIST {}", prefix.cloned().unwrap_or_default()));
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
