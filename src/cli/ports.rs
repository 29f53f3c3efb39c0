//! `--port-forward`: ports of this machine that lead to ports of a node while a verb runs.

use super::{context::Context, error::Error};
use clap::Args;
use cloudtik_access::Said;
use cloudtik_core::host::Host;
use std::{str::FromStr, sync::Arc};
use tokio::task::JoinSet;

/// This machine's side, where nobody else reaches it.
const HERE: &str = "127.0.0.1";

#[derive(Args)]
pub struct Ports {
    /// Forward a port of this machine to the same port of the node; LOCAL:REMOTE for another one; may be repeated
    #[arg(short = 'p', long = "port-forward", value_name = "PORT")]
    ports: Vec<Port>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Port {
    local: u16,
    remote: u16,
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (local, remote) = text.split_once(':').unwrap_or((text, text));
        let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        match (number(local), number(remote)) {
            (Some(local), Some(remote)) => Ok(Port { local, remote }),
            _ => Err("a port is a number from 1 to 65535, or two of them as LOCAL:REMOTE".into()),
        }
    }
}

impl Ports {
    /// Forwards from now on, until the returned value is dropped. `quiet`: the terminal is lent to somebody else.
    pub async fn open(&self, context: &Context, host: &Arc<dyn Host>, quiet: bool) -> Result<JoinSet<()>, Error> {
        let out = context.out.clone();
        let said: Said = Arc::new(move |failure| {
            if !quiet {
                out.note(&failure.to_string());
            }
        });
        let mut open = JoinSet::new();
        for Port { local, remote } in &self.ports {
            let listener = cloudtik_access::listen(HERE, *local).await?;
            open.spawn(cloudtik_access::forward(host.clone(), listener, "localhost".into(), *remote, said.clone()));
        }
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one_number_or_two() {
        assert_eq!("8080".parse(), Ok(Port { local: 8080, remote: 8080 }));
        assert_eq!("9000:80".parse(), Ok(Port { local: 9000, remote: 80 }));
        for wrong in ["", "0", "70000", "a", "1:", ":1", "1:2:3"] {
            assert!(wrong.parse::<Port>().is_err(), "{wrong}");
        }
    }
}
