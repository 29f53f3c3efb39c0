//! Ctrl-C, SIGTERM and a closed terminal: the first lets running work finish, the second stops waiting.

use cloudtik_engine::Interrupt;
use futures::future::select_all;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Listens from now on. What this process was started to ignore stays ignored: `nohup` outlives its terminal, and a script's
/// background jobs do not hear its Ctrl-C. Errors when the system refuses the handlers.
pub fn listen() -> std::io::Result<watch::Receiver<Interrupt>> {
    let (tell, asked) = watch::channel(Interrupt::No);
    let ignored = ignored();
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .into_iter()
        .filter(|kind| ignored >> (kind.as_raw_value() - 1) & 1 == 0)
        .map(signal)
        .collect::<std::io::Result<Vec<Signal>>>()?;
    tokio::spawn(async move {
        for level in [Interrupt::Finish, Interrupt::Abandon] {
            if signals.is_empty() {
                break;
            }
            select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
            if tell.send(level).is_err() {
                return;
            }
        }
        // Keeps the channel open: a closed one would read as "cannot be interrupted".
        std::future::pending::<()>().await;
    });
    Ok(asked)
}

/// The signals that this process ignores, the first one in the lowest bit; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
