//! Calls that go to a provider together: what makes them alike, and how each finds itself again in what they made.

use crate::{digest, plan::OperationId};
use serde::{Deserialize, Serialize};

/// Calls of one verb whose keys are equal may be one request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchKey {
    /// Whatever all calls of one request must share, as one text: a digest of it will do.
    pub alike: String,
    /// The most calls that one request takes; at least 1.
    pub limit: usize,
}

/// A call's place in a request that makes or removes several objects. Durable with the intent, so that after a crash the
/// member `index` of request `id` is still told from the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// A digest over the sorted operation ids: the request's client token.
    pub id: String,
    /// From 0, in address order.
    pub index: u32,
    pub count: u32,
}

impl Batch {
    /// The places of operations that go together, given in address order; each once.
    pub fn of(operations: &[&OperationId]) -> Vec<Batch> {
        let mut sorted = operations.to_vec();
        sorted.sort();
        let id: String = digest::of(&sorted).0.chars().take(20).collect();
        let count = u32::try_from(operations.len()).expect("fewer than 2^32 operations");
        (0..count).map(|index| Batch { id: id.clone(), index, count }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_named_by_its_members_and_not_by_their_order() {
        let [a, b, c] = ["a", "b", "c"].map(|id| OperationId(id.into()));
        let (one, other) = (Batch::of(&[&a, &b]), Batch::of(&[&b, &a]));
        assert_eq!(one, other);
        assert_eq!(one.iter().map(|b| (b.index, b.count)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
        assert_ne!(one[0].id, Batch::of(&[&a, &c])[0].id);
    }
}
