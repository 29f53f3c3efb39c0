//! `cloudtik start-proxy`: a SOCKS5 proxy on this machine into the network of the head.

use super::{
    context::Context,
    error::Error,
    interrupt,
    nodes::{Recorded, Which},
    proxy::Place,
};
use crate::{
    exit::Exit,
    view::{Output, Stream},
};
use clap::Args;
use cloudtik_access::Said;
use cloudtik_core::{Diagnostic, Failure};
use std::{fs::File, process::Stdio, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
};

/// The first port that is tried, as the Python CloudTik does.
const FIRST_PORT: u16 = 6000;
const LAST_PORT: u16 = 6999;

#[derive(Args)]
pub struct StartProxy {
    #[command(flatten)]
    which: Which,
    /// Listen on this address of this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind_address: String,
    /// Listen on this port [default: the first free one from 6000 on]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Stay in the foreground until interrupted
    #[arg(long)]
    foreground: bool,
    /// The process that stays in the background.
    #[arg(long, hide = true)]
    detached: bool,
}

impl StartProxy {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.which)?;
        let head = recorded.head()?;
        let place = Place::new(&recorded.world.home, &recorded.scope);
        if let Some(proxy) = place.running() {
            return Err(Error::request(
                Diagnostic::error("proxy-running", "a proxy of this cluster runs already")
                    .detail(format!("it listens on {}, as process {}", proxy.address, proxy.pid))
                    .hint(format!("end it first: `cloudtik stop-proxy {}`", self.which.arguments())),
            ));
        }
        if !self.foreground && !self.detached {
            return detach(context, &place).await;
        }
        if self.detached {
            // Away from the terminal and its signals. Fails only for the leader of a group, which this one is not.
            let _ = rustix::process::setsid();
        }
        let asked = interrupt::listen().map_err(Error::io("listen for signals"))?;
        // Before anything is promised: a head that does not answer is told now.
        let host = recorded.host(&head).await?;
        let listener = self.listen().await?;
        let address = listener.local_addr().map_err(Error::io("learn the proxy's address"))?.to_string();
        let proxy = place.write(&address)?;
        if context.out.is_json() {
            context.event("proxy", serde_json::json!({"address": address, "pid": proxy.pid}))?;
        } else {
            context.print(&format!("SOCKS5 proxy into {}: socks5h://{address}", recorded.scope))?;
        }
        serve(&context.out, host, listener, asked).await;
        place.remove();
        Ok(Exit::Ok)
    }

    async fn listen(&self) -> Result<TcpListener, Failure> {
        if let Some(port) = self.port {
            return cloudtik_access::listen(&self.bind_address, port).await;
        }
        for port in FIRST_PORT..LAST_PORT {
            if let Ok(listener) = cloudtik_access::listen(&self.bind_address, port).await {
                return Ok(listener);
            }
        }
        cloudtik_access::listen(&self.bind_address, LAST_PORT).await
    }
}

async fn serve(
    out: &Output,
    host: Arc<dyn cloudtik_core::host::Host>,
    listener: TcpListener,
    mut asked: tokio::sync::watch::Receiver<cloudtik_engine::Interrupt>,
) {
    let out = out.clone();
    let said: Said = Arc::new(move |failure| out.note(&failure.to_string()));
    tokio::select! {
        () = cloudtik_access::socks(host, listener, said) => {}
        _ = asked.changed() => {}
    }
}

/// Starts the same command once more, as a process that stays, and waits until that listens or has failed.
async fn detach(context: &Context, place: &Place) -> Result<Exit, Error> {
    let failed = || Error::io("start the proxy's process");
    place.make_folder()?;
    let log = File::create(place.log()).map_err(Error::io(format!("write `{}`", place.log().display())))?;
    let mut child = tokio::process::Command::new(std::env::current_exe().map_err(failed())?)
        .args(std::env::args_os().skip(1))
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(failed())?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(failed())? {
            said.push_str(&line);
            said.push('\n');
            // In JSON, the event stream's version is said before.
            if line.contains("socks5h://") || line.contains("\"event\":\"proxy\"") {
                return context.print(&said);
            }
        }
    }
    let ended = child.wait().await.map_err(failed())?;
    let complaint = std::fs::read(place.log()).unwrap_or_default();
    place.remove();
    context.print(&said)?;
    context.out.raw(Stream::Stderr, &complaint).map_err(Error::io("write output"))?;
    context.out.raw_end().map_err(Error::io("write output"))?;
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).map_or(Exit::Failed, Exit::Job))
}
