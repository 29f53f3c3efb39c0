//! The provider: `connection`, which is nothing that is made, but the wait until a machine can be worked on.

use crate::{
    host::{SshConnector, failed},
    host_key,
    link::Link,
    process,
    target::Target,
};
use async_trait::async_trait;
use cloudtik_core::{
    address::ProviderName,
    failure::{Failure, FailureKind, Retry},
    host::Command,
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Refresh, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The provider's name in declarations.
pub const NAME: &str = "ssh";
/// Its one kind. Inputs: `host`, `port`, `user`, `key`, `proxy_command`, `jump`, `host_keys`, `home`. Outputs:
/// `connection` (a value for the connector, with the keys that the machine showed), `home`, `ip`.
pub const KIND: &str = "connection";

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// `PATH`: a folder of the user's own, made by root where only root may.
const MAKE_HOME: &str = "mkdir -p -- \"$1\" 2>/dev/null && [ -w \"$1\" ] || {
    sudo -n mkdir -p -- \"$1\" && sudo -n chown \"$(id -u):$(id -g)\" -- \"$1\"
}";

/// Waits for machines. Nothing is made or removed by it.
pub struct SshProvider {
    connector: SshConnector,
}

impl SshProvider {
    /// Shares its connections with the connector.
    pub fn new(connector: SshConnector) -> Self {
        SshProvider { connector }
    }

    /// Connects anew, so that a machine that has gone cannot answer for the one that took its place.
    async fn answer(&self, target: &Target, home: &str) -> Result<Arc<Link>, Failure> {
        let link = self.connector.pool.fresh(target).await?;
        let session = link.session().await?;
        let command = Command::sh(MAKE_HOME, [home]).env("LC_ALL", "C");
        let output = process::collect(&link, session, &command).await?;
        match output.code {
            0 => Ok(link),
            _ => Err(failed(format!("make {home} on {}", link.name), &output)),
        }
    }
}

#[async_trait]
impl Provider for SshProvider {
    fn name(&self) -> ProviderName {
        NAME.into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        // `home` is an input as well, and stays what was asked.
        let takes = Durations { create: 1, ready: 20_000, update: 500, delete: 1 };
        vec![KindSchema::new(KIND).volatile(&["connection", "ip"]).takes(takes)]
    }

    /// A wait takes no part of what others may call; how many connections are made at once is limited elsewhere.
    fn concurrency(&self) -> usize {
        1024
    }

    /// As recorded, without a call: what runs on a machine that does not answer says so itself.
    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let observe = |subject: &Subject| Observed {
            address: subject.address.clone(),
            presence: match &subject.record {
                Some(record) => Presence::Present {
                    id: record.id.clone(),
                    attributes: Attrs::new(),
                    outputs: Attrs::new(),
                    healthy: Health::Ok,
                    owned: true,
                },
                None => Presence::Absent,
            },
        };
        Ok(refresh.subjects.iter().map(observe).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        let target = Target::parse(&|name| call.attributes.get(name).cloned())?;
        home(&call.attributes)?;
        Ok(Outcome { id: target.route.name(), outputs: Attrs::new() })
    }

    /// Waits until the machine answers, takes the key and runs commands.
    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        let mut target = Target::parse(&|name| call.attributes.get(name).cloned())?;
        let home = home(&call.attributes)?;
        if target.host_keys.is_empty() {
            target.host_keys = learnt(call, &target).unwrap_or_default();
        }
        let name = target.route.name();
        call.say(format!("ssh on {name}"));
        let config = &self.connector.pool.config;
        let started = Instant::now();
        let mut refused = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.answer(&target, home).await {
                Ok(link) => return Ok(outputs(target, &link, home)),
                Err(failure) => failure,
            };
            let patience = match failure.kind {
                FailureKind::Unreachable | FailureKind::Timeout => config.ready.saturating_sub(started.elapsed()),
                // What installs the keys there may still be at work.
                FailureKind::Unauthenticated => {
                    let since = refused.get_or_insert_with(Instant::now);
                    config.refused.saturating_sub(since.elapsed())
                }
                _ => Duration::ZERO,
            };
            if patience.is_zero() {
                return Err(named(failure.retry(Retry::Never), call));
            }
            call.say(format!("ssh on {name}: {}", failure.message));
            tokio::time::sleep(pause.min(patience)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.create(call).await
    }

    async fn delete(&self, _: &Call) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        Ok(Settled::Found(self.create(call).await?))
    }
}

/// A hint that is about a node in general is about this one.
fn named(mut failure: Failure, call: &Call) -> Failure {
    failure.hint = failure.hint.map(|hint| hint.replace(host_key::SOME_CONNECTION, &call.address.short()));
    failure
}

/// What the machine showed before, when it is still the same one.
fn learnt(call: &Call, target: &Target) -> Option<Vec<russh::keys::PublicKey>> {
    let recorded = Target::of(call.record.as_ref()?.outputs.get("connection")?).ok()?;
    let same = (&recorded.route.host, recorded.route.port) == (&target.route.host, target.route.port);
    same.then_some(recorded.host_keys)
}

fn home(attributes: &Attrs) -> Result<&str, Failure> {
    let home = attributes.get("home").and_then(Value::as_text).filter(|home| home.starts_with('/'));
    home.ok_or_else(|| Failure::new(FailureKind::Invalid, "read a connection", "`home` is an absolute path"))
}

fn outputs(mut target: Target, link: &Link, home: &str) -> Attrs {
    if target.host_keys.is_empty() {
        target.host_keys.extend(link.key().cloned());
    }
    let ip = link.peer.map_or_else(|| target.route.host.clone(), |ip| ip.to_string());
    let all = [("connection", target.value()), ("home", home.into()), ("ip", ip.into())];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
