//! `cloudtik completions` and `cloudtik man`, both made from the command line's own definition.

use super::{context::Context, error::Error};
use crate::exit::Exit;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(self, context: &Context, mut command: Command) -> Result<Exit, Error> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "cloudtik", &mut text);
        context.print(&String::from_utf8_lossy(&text))
    }
}

#[derive(Args)]
pub struct Man {
    /// Where to put the pages
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub fn run(self, context: &Context, command: Command) -> Result<Exit, Error> {
        let failed = || Error::io(format!("write manual pages to `{}`", self.folder.display()));
        std::fs::create_dir_all(&self.folder).map_err(failed())?;
        clap_mangen::generate_to(command, &self.folder).map_err(failed())?;
        context.out.note(&format!("Manual pages are in {}.", self.folder.display()));
        Ok(Exit::Ok)
    }
}
