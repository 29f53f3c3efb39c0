//! Connections by route: one for each machine, made when it is needed, made again when it was lost.

use crate::{
    config::SshConfig,
    host_key,
    link::Link,
    target::{Route, Target},
};
use cloudtik_core::failure::Failure;
use russh::keys::PublicKey;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

pub(crate) struct Pool {
    pub config: SshConfig,
    /// How many may be in the making at once.
    making: Semaphore,
    slots: Mutex<HashMap<Arc<Route>, Arc<Slot>>>,
}

/// Held while a connection is made, so that it is made once.
type Slot = tokio::sync::Mutex<Option<Arc<Link>>>;

impl Pool {
    pub fn new(config: SshConfig) -> Self {
        Pool { making: Semaphore::new(config.simultaneous), slots: Mutex::default(), config }
    }

    fn slot(&self, route: &Arc<Route>) -> Arc<Slot> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(route.clone()).or_default().clone()
    }

    /// The connection to a machine that shows one of its keys.
    pub async fn link(&self, target: &Target) -> Result<Arc<Link>, Failure> {
        let slot = self.slot(&target.route);
        let mut slot = slot.lock().await;
        if let Some(link) = slot.as_ref().filter(|link| link.is_alive() && fits(link, &target.host_keys)) {
            return Ok(link.clone());
        }
        let link = self.make(target).await?;
        *slot = Some(link.clone());
        Ok(link)
    }

    /// A connection that is made now, to the machine that answers now.
    pub async fn fresh(&self, target: &Target) -> Result<Arc<Link>, Failure> {
        let slot = self.slot(&target.route);
        let mut slot = slot.lock().await;
        *slot = None;
        let link = self.make(target).await?;
        *slot = Some(link.clone());
        Ok(link)
    }

    async fn make(&self, target: &Target) -> Result<Arc<Link>, Failure> {
        let via = match &target.jump {
            Some(jump) => Some(self.boxed(jump).await?),
            None => None,
        };
        // Taken after the way there is open: those who wait for it must not keep others from opening it. Never closed.
        let _turn = self.making.acquire().await.ok();
        Link::new(&target.route, &target.host_keys, via.as_ref(), &self.config).await.map(Arc::new)
    }

    fn boxed<'a>(
        &'a self,
        target: &'a Target,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Link>, Failure>> + Send + 'a>> {
        Box::pin(self.link(target))
    }
}

fn fits(link: &Link, pinned: &[PublicKey]) -> bool {
    pinned.is_empty() || link.key().is_some_and(|key| host_key::is_among(key, pinned))
}
