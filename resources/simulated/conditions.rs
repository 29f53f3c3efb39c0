//! What a world is like: how its times spread and what goes wrong in it.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Conditions {
    pub seed: u64,
    /// A call takes from `1 / spread` to `spread` times what is typical of its kind.
    pub spread: f64,
    /// Whether new objects are seen late, up to their kind's window.
    pub lag: bool,
    pub busy: Busy,
    /// Whether alike calls go together, as the provider would have it.
    pub batching: bool,
    pub boot: Option<Boot>,
    pub chaos: Chaos,
}

/// What becomes of a call that is one more than its service allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// It waits for its turn before it goes, as with a client that keeps to the published rates.
    Waits,
    /// It is refused.
    Refused,
}

/// A kind that is ready only when the machine it names has booted.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    pub kind: &'static str,
    /// The attribute with the machine's id.
    pub machine: &'static str,
    pub takes: Duration,
}

/// What goes wrong, as the probability for each request; all 0: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chaos {
    /// Refused as one too many.
    pub throttled: f64,
    /// The service has a problem of its own, and says so: nothing was done.
    pub unavailable: f64,
    /// It is done, and no answer comes.
    pub unheard: f64,
    /// It never arrives, and no answer comes.
    pub dropped: f64,
    /// Of what comes from a stock (machines, databases): there is none left for a while.
    pub exhausted: f64,
    /// It is there and does not become ready in time.
    pub unready: f64,
    /// How often at most the program is killed.
    pub kills: u32,
}

impl Chaos {
    /// A bad day: about one request in eight goes wrong.
    pub const ROUGH: Chaos = Chaos {
        throttled: 0.04,
        unavailable: 0.03,
        unheard: 0.03,
        dropped: 0.02,
        exhausted: 0.05,
        unready: 0.02,
        kills: 3,
    };
}

impl Conditions {
    /// Typical times, nothing goes wrong, everything is seen at once.
    pub fn calm(seed: u64) -> Self {
        let (busy, chaos) = (Busy::Waits, Chaos::default());
        Conditions { seed, spread: 1.0, lag: false, busy, batching: true, boot: None, chaos }
    }

    /// As clouds are on a good day: times spread, and lists lag.
    pub fn fair(seed: u64) -> Self {
        Conditions { spread: 1.5, lag: true, ..Conditions::calm(seed) }
    }
}
