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
    std::panic::set_hook(Box::new(|info| {
        if !registry::catches() {
            view::bug(info)
        }
    }));
    let exit = std::panic::catch_unwind(cli::main).unwrap_or(exit::Exit::Bug);
    exit.code().into()
}
