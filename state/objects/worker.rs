//! The thread on which requests run, one for the process.

use std::{
    future::Future,
    pin::Pin,
    sync::{OnceLock, mpsc},
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a future to its end and returns what it gave; the calling thread waits, whatever runtime it belongs to.
pub(crate) fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    static WORKER: OnceLock<UnboundedSender<Job>> = OnceLock::new();
    let (give, given) = mpsc::sync_channel(1);
    let job: Job = Box::pin(async move {
        // Whoever asked is still waiting.
        let _ = give.send(future.await);
    });
    let sent = WORKER.get_or_init(start).send(job);
    sent.ok()
        .and_then(|()| given.recv().ok())
        .expect("the worker lives as long as the process and requests do not panic")
}

/// Sets the crypto backend of this process, which clients need when they are made.
pub(crate) fn prepare() {
    // An error says that another part of it was first, and that has the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn start() -> UnboundedSender<Job> {
    let (send, mut jobs) = unbounded_channel::<Job>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a process that cannot make a poll set cannot send requests");
    let thread = std::thread::Builder::new().name("state-store".into());
    let started = thread.spawn(move || {
        runtime.block_on(async {
            while let Some(job) = jobs.recv().await {
                tokio::spawn(job);
            }
        });
    });
    started.expect("a process that cannot start a thread cannot send requests");
    send
}
