//! `cloudtik`: plan and apply analytics and AI clusters from two short YAML files.

mod cli;
mod exit;
mod registry;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Nodes on this machine are held and entered by this same binary, single-threaded and before anything else starts.
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(code) = registry::hidden(&args) {
        return code.into();
    }
    guarded(cli::main).code().into()
}

/// Runs to the end, or to a defect of ours, which is told without what it says: that may hold secrets.
fn guarded(run: impl FnOnce() -> exit::Exit + std::panic::UnwindSafe) -> exit::Exit {
    std::panic::set_hook(Box::new(|info| {
        if !registry::catches() {
            view::bug(info)
        }
    }));
    std::panic::catch_unwind(run).unwrap_or(exit::Exit::Bug)
}
