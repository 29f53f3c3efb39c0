//! `cloudtik submit`: a script or jar, sent to the head and run by the cluster's runtime.

use super::{
    context::Context,
    error::Error,
    exec,
    load::Program,
    nodes::{Recorded, Which},
};
use crate::exit::Exit;
use clap::Args;
use cloudtik_core::{Diagnostic, host::Command};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Submit {
    #[command(flatten)]
    which: Which,
    /// A .py, .jar or .sh on this machine
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// Arguments of the script
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
    /// Options of the runtime's launcher, such as `--runtime-options "--class Main"`
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    runtime_options: String,
}

impl Submit {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let content = std::fs::read(&self.script).map_err(Error::io(format!("read `{}`", self.script.display())))?;
        let name = file_name(&self.script)?;
        let recorded = Recorded::load(context, &self.which)?;
        let head = recorded.head()?;
        let (program, _) = Program::load(context, std::slice::from_ref(&self.which.document), self.which.overrides())?;
        let compiled = program.compiled.get(&recorded.scope).cloned().unwrap_or_default();
        let remote = format!("{}/user/jobs/{name}", recorded.home(&head));
        let options: Vec<String> = self.runtime_options.split_whitespace().map(String::from).collect();
        let launch = cloudtik_runtime::launcher(&compiled, &remote, &options, &self.args)
            .map_err(|diagnostic| Error::request(*diagnostic))?;
        let state = recorded.world.read(&std::iter::once(recorded.scope.clone()).collect())?;
        let command: Command = launch.resolve(&|reference| {
            state
                .get(reference.address.scope())?
                .records
                .get(&reference.address)?
                .attribute(&reference.attribute)
                .cloned()
        })?;
        let host = recorded.host(&head).await?;
        host.upload(&remote, &content, 0o755).await?;
        let code = exec::stream(&context.out, &*host, &command).await?;
        Ok(exec::exit(code))
    }
}

fn file_name(path: &Path) -> Result<String, Error> {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| {
        Error::request(
            Diagnostic::error("not-a-file", "a script is a file").detail(format!("`{}` names no file", path.display())),
        )
    })
}
