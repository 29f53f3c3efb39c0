//! The command line: one file per verb. Verbs are thin: they load documents, call the engine and hand data to `view`.

mod adopt;
mod apply;
mod attach;
mod belonging;
mod completions;
mod config;
mod context;
mod database;
mod destroy;
mod diff;
mod error;
mod exec;
mod flow;
mod graph;
mod head_ip;
mod history;
mod info;
mod interrupt;
mod load;
mod lock;
mod migrate;
mod nodes;
#[cfg(test)]
mod panics;
mod plan;
mod ports;
mod proxy;
mod refresh;
mod rsync_down;
mod rsync_up;
mod schema;
mod secrets;
mod show;
mod simulate;
mod start;
mod start_proxy;
mod state;
mod status;
mod stop;
mod stop_proxy;
mod storage;
mod submit;
mod undo;
mod validate;
mod worker_ips;
mod workspace;

use crate::{exit::Exit, view::Output};
use clap::{Args, CommandFactory, Parser, Subcommand};
use context::Context;
#[cfg(feature = "aws")]
pub use context::home;
pub use context::{Home, Kept};
pub use error::Error;
use std::{path::PathBuf, time::Duration};

const AFTER: &str = "\
Exit codes: 0 done, 1 failed, 2 changes (plan and diff, with --detailed-exitcode), 3 wrong documents or request, 4 applied in part, \
5 locked, 6 plan refused, 7 declined, 64 usage, 70 bug, 130 interrupted; exec and submit return the command's own.";

/// Plan and apply analytics and AI clusters from two short YAML files.
#[derive(Parser)]
#[command(name = "cloudtik", version, after_help = AFTER, propagate_version = true, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Folder or bucket (`s3://…`, `gs://…`, `az://…`) that holds state [default: $CLOUDTIK_STATE, then the workspace document's `state:`, then
    /// $XDG_STATE_HOME/cloudtik]
    #[arg(long, global = true, value_name = "PLACE", help_heading = "Global options")]
    pub state: Option<PathBuf>,
    /// Folder searched for templates before the shipped ones; may be repeated [default: $CLOUDTIK_USER_TEMPLATES]
    #[arg(
        long = "template-dir",
        global = true,
        value_delimiter = ',',
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub template_dirs: Vec<PathBuf>,
    /// How local nodes are made: auto, namespaces, namespaces-root or loopback [default: $CLOUDTIK_NODE_MODEL]
    #[arg(long, global = true, value_name = "MODEL", help_heading = "Global options")]
    pub node_model: Option<String>,
    /// How long to wait for another run that holds the lock, as in `90s` or `10m` [default: not at all]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, help_heading = "Global options")]
    pub lock_timeout: Option<Duration>,
    /// Print machine-readable lines instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Print without colours, as with NO_COLOR
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_color: bool,
    /// Show more
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub verbose: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("`{text}` is no time: write `90s`, `10m` or `1h30m`");
    let signed: jiff::SignedDuration = text.parse().map_err(|_| wanted())?;
    Duration::try_from(signed).map_err(|_| wanted())
}

impl Global {
    /// Fills what the command line left open from the environment. Done here and not by the parser, which would repeat
    /// the values in its help and usage lines.
    fn or_environment(mut self) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        self.state = self.state.or_else(|| set("CLOUDTIK_STATE").map(PathBuf::from));
        self.node_model = self.node_model.or_else(|| set("CLOUDTIK_NODE_MODEL")?.into_string().ok());
        if self.template_dirs.is_empty() {
            let listed = set("CLOUDTIK_USER_TEMPLATES").unwrap_or_default();
            let listed = listed.to_string_lossy();
            self.template_dirs = listed.split(',').filter(|folder| !folder.is_empty()).map(PathBuf::from).collect();
        }
        self
    }
}

#[derive(Subcommand)]
enum Verb {
    /// Show what apply would do
    Plan(plan::Plan),
    /// Make it so
    Apply(apply::Apply),
    /// Make it so, and take over what exists already
    Adopt(adopt::Adopt),
    /// Remove everything that the documents own
    Destroy(destroy::Destroy),
    /// Show a saved plan, or recorded state
    Show(show::Show),
    /// Compare the record with the world and take note of what changed
    Refresh(refresh::Refresh),
    /// Draw the graph of a plan
    Graph(graph::Graph),
    /// Check documents without touching anything
    Validate(validate::Validate),
    /// Print the JSON Schema of a document
    Schema(schema::Schema),
    /// Look at documents as they are after merging
    #[command(subcommand)]
    Config(config::Config),
    /// Create, delete and look at workspaces
    #[command(subcommand)]
    Workspace(workspace::Workspace),
    /// Create, delete and look at buckets beside the workspace's own
    #[command(subcommand)]
    Storage(storage::Storage),
    /// Create, delete and look at databases beside the workspace's own
    #[command(subcommand)]
    Database(database::Database),
    /// Create or update a cluster
    #[command(alias = "up")]
    Start(start::Start),
    /// Remove a cluster
    #[command(alias = "down")]
    Stop(stop::Stop),
    /// List a cluster's nodes and what they do
    Status(status::Status),
    /// Tell how to reach and use a cluster
    Info(info::Info),
    /// Print the head's address
    #[command(name = "head-ip", alias = "head_ip")]
    HeadIp(head_ip::HeadIp),
    /// Print the workers' addresses
    #[command(name = "worker-ips", alias = "worker_ips")]
    WorkerIps(worker_ips::WorkerIps),
    /// Run a command on the head, on one node or on all
    Exec(exec::Exec),
    /// Send a script or jar to the head and run it
    Submit(submit::Submit),
    /// Open a shell on the head or on a node
    Attach(attach::Attach),
    /// Send a file or folder to the head, to one node or to all
    #[command(name = "rsync-up", aliases = ["upload", "rsync_up"])]
    RsyncUp(rsync_up::RsyncUp),
    /// Fetch a file or folder from the head or from a node
    #[command(name = "rsync-down", aliases = ["download", "rsync_down"])]
    RsyncDown(rsync_down::RsyncDown),
    /// Start a SOCKS5 proxy into the head's network
    #[command(name = "start-proxy", alias = "start_proxy")]
    StartProxy(start_proxy::StartProxy),
    /// Stop the proxy that runs in the background
    #[command(name = "stop-proxy", alias = "stop_proxy")]
    StopProxy(stop_proxy::StopProxy),
    /// List revisions, or what one of them holds
    History(history::History),
    /// Show what two revisions differ in
    Diff(diff::Diff),
    /// Look at and repair recorded state
    #[command(subcommand)]
    State(state::State),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Write manual pages into a folder
    Man(completions::Man),
}

/// Parses the command line and runs the verb.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // A closed terminal leaves nobody to tell.
            let _ = error.print();
            return if usage { Exit::Usage } else { Exit::Ok };
        }
    };
    let out = Output::detect(cli.global.json, cli.global.no_color);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return error::Error::Io { what: "start the runtime".into(), source }.report(&out),
    };
    let context = Context::new(cli.global.or_environment(), out);
    let result = runtime.block_on(run(cli.verb, &context));
    // Abandoned calls must not hold the process back.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit,
        Err(error) => error.report(&context.out),
    }
}

async fn run(verb: Verb, context: &Context) -> Result<Exit, error::Error> {
    match verb {
        Verb::Plan(verb) => verb.run(context).await,
        Verb::Apply(verb) => verb.run(context).await,
        Verb::Adopt(verb) => verb.run(context).await,
        Verb::Destroy(verb) => verb.run(context).await,
        Verb::Show(verb) => verb.run(context),
        Verb::Refresh(verb) => verb.run(context).await,
        Verb::Graph(verb) => verb.run(context).await,
        Verb::Validate(verb) => verb.run(context),
        Verb::Schema(verb) => verb.run(context),
        Verb::Config(verb) => verb.run(context),
        Verb::Workspace(verb) => verb.run(context).await,
        Verb::Storage(verb) => verb.run(context).await,
        Verb::Database(verb) => verb.run(context).await,
        Verb::Start(verb) => verb.run(context).await,
        Verb::Stop(verb) => verb.run(context).await,
        Verb::Status(verb) => verb.run(context).await,
        Verb::Info(verb) => verb.run(context).await,
        Verb::HeadIp(verb) => verb.run(context),
        Verb::WorkerIps(verb) => verb.run(context),
        Verb::Exec(verb) => verb.run(context).await,
        Verb::Submit(verb) => verb.run(context).await,
        Verb::Attach(verb) => verb.run(context).await,
        Verb::RsyncUp(verb) => verb.run(context).await,
        Verb::RsyncDown(verb) => verb.run(context).await,
        Verb::StartProxy(verb) => verb.run(context).await,
        Verb::StopProxy(verb) => verb.run(context).await,
        Verb::History(verb) => verb.run(context),
        Verb::Diff(verb) => verb.run(context),
        Verb::State(verb) => verb.run(context),
        Verb::Completions(verb) => verb.run(context, Cli::command()),
        Verb::Man(verb) => verb.run(context, Cli::command()),
    }
}
