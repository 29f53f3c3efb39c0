//! Ctrl-C and SIGTERM: the first lets running work finish, the second stops waiting.

use cloudtik_engine::Interrupt;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Listens from now on. Errors when the system refuses the handlers.
pub fn listen() -> std::io::Result<watch::Receiver<Interrupt>> {
    let (tell, asked) = watch::channel(Interrupt::No);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for level in [Interrupt::Finish, Interrupt::Abandon] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if tell.send(level).is_err() {
                return;
            }
        }
        // Keeps the channel open: a closed one would read as "cannot be interrupted".
        std::future::pending::<()>().await;
    });
    Ok(asked)
}
