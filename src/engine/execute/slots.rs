//! How many requests may be under way: each provider has its own limit, and a run may have one over all.

use crate::{Registry, queue::Lane};
use cloudtik_core::{ProviderName, plan::Plan};
use std::collections::{BTreeMap, HashMap};

/// Names a request under way: the first of the operations that share it.
pub(crate) type Request = usize;

pub(crate) struct Slots {
    /// By lane.
    limits: Vec<usize>,
    used: Vec<usize>,
    over_all: usize,
    /// How many operations each request still has under way, and its lane.
    requests: HashMap<Request, (usize, Lane)>,
    /// The request of each operation under way.
    of: HashMap<usize, Request>,
}

impl Slots {
    /// Nothing under way; and the lane of each operation.
    pub fn new(plan: &Plan, registry: &Registry, over_all: Option<usize>) -> (Self, Vec<Lane>) {
        let mut numbers: BTreeMap<&ProviderName, Lane> = BTreeMap::new();
        let mut limits = Vec::new();
        let mut lane = |provider| {
            *numbers.entry(provider).or_insert_with(|| {
                limits.push(registry.get(provider).map_or(1, |p| p.concurrency().max(1)));
                limits.len() - 1
            })
        };
        let lanes = plan.operations.iter().map(|op| lane(&op.provider)).collect();
        let used = vec![0; limits.len()];
        let over_all = over_all.unwrap_or(usize::MAX).max(1);
        (Slots { limits, used, over_all, requests: HashMap::new(), of: HashMap::new() }, lanes)
    }

    pub fn is_free(&self, lane: Lane) -> bool {
        self.used[lane] < self.limits[lane] && self.used.iter().sum::<usize>() < self.over_all
    }

    /// Takes a slot for a request of one operation.
    pub fn take(&mut self, at: usize, lane: Lane) -> Request {
        self.used[lane] += 1;
        self.requests.insert(at, (1, lane));
        self.of.insert(at, at);
        at
    }

    /// One more operation goes in a request that has its slot.
    pub fn join(&mut self, at: usize, request: Request) {
        if let Some((members, _)) = self.requests.get_mut(&request) {
            *members += 1;
            self.of.insert(at, request);
        }
    }

    /// The operation makes no call any more; its request's slot is free when that is true of all who share it.
    pub fn release(&mut self, at: usize) {
        let Some(request) = self.of.remove(&at) else { return };
        let Some((members, lane)) = self.requests.get_mut(&request) else { return };
        *members -= 1;
        if *members == 0 {
            self.used[*lane] -= 1;
            self.requests.remove(&request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(limits: &[usize], over_all: usize) -> Slots {
        let used = vec![0; limits.len()];
        Slots { limits: limits.to_vec(), used, over_all, requests: HashMap::new(), of: HashMap::new() }
    }

    #[test]
    fn a_full_lane_leaves_the_others_free_and_a_shared_request_takes_one_slot_until_its_last_member_ends() {
        let mut slots = slots(&[1, 2], usize::MAX);
        let request = slots.take(0, 0);
        slots.join(1, request);
        assert!(!slots.is_free(0) && slots.is_free(1));
        slots.release(0);
        slots.release(0);
        assert!(!slots.is_free(0), "its other member is still under way");
        slots.release(1);
        assert!(slots.is_free(0));
    }

    #[test]
    fn a_limit_over_all_binds_every_lane() {
        let mut slots = slots(&[5, 5], 2);
        slots.take(0, 0);
        slots.take(1, 1);
        assert!(!slots.is_free(0) && !slots.is_free(1));
        slots.release(1);
        assert!(slots.is_free(0));
    }
}
