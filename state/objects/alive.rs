//! Whether the process that holds a lease still runs, where that can be known: on the same machine.

use cloudtik_core::state::Holder;

/// Whether a holder is certainly gone, as a process of `machine` sees it.
pub(crate) fn is_gone(holder: &Holder, machine: &str) -> bool {
    !machine.is_empty() && holder.machine == machine && start_ticks(holder.pid) != holder.started
}

/// Which processes this one sees, as [`Holder::machine`] says it; empty when the system does not tell.
pub(crate) fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    boot.zip(namespace).map(|(boot, namespace)| format!("{} {}", boot.trim(), namespace.display())).unwrap_or_default()
}

/// A process's start time in clock ticks after boot (field 22 of its `stat`); 0 for one that has ended.
fn start_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let mut fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace();
    match fields.next() {
        Some("Z" | "X") => 0,
        _ => fields.nth(18).and_then(|ticks| ticks.parse().ok()).unwrap_or(0),
    }
}
