//! The layer in front of moto: as strict as AWS, faulty when a test wants it, and it keeps a log.

use super::{Moto, Network, REGION, process, process::Server};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

/// What the layer does. The default changes nothing: it only counts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settings {
    /// Signatures are checked, wrong orders refused, client tokens remembered.
    pub rules: bool,
    /// Seconds that NAT gateways, instances and databases spend in their passing states.
    pub settle: f64,
    /// Seconds during which a new instance, group or instance profile is not found by calls that name it.
    pub visible: f64,
    /// Seconds during which anything new is missing in lists.
    pub list_lag: f64,
    /// Requests a second over all calls; 0 is no limit.
    pub rate: f64,
    pub burst: f64,
    /// EC2's own token buckets.
    pub ec2_buckets: bool,
    /// The longest page, whatever the client asks for; 0 leaves pages alone.
    pub page_size: u32,
    /// Calls take as long as on AWS, times this.
    pub latency: f64,
    /// A folder with the console output of instances, where they have bodies.
    pub console: String,
}

impl Settings {
    /// All rules, short waits, pages of five.
    pub fn strict() -> Self {
        Settings { rules: true, settle: 1.0, visible: 0.5, page_size: 5, ..Settings::default() }
    }
}

/// Something that goes wrong with calls that a test chooses, once unless [`times`](Fault::times) says otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    action: String,
    #[serde(rename = "where")]
    parameters: BTreeMap<String, String>,
    skip: u32,
    times: i64,
    #[serde(flatten)]
    does: Json,
}

impl Fault {
    fn new(action: &str, does: Json) -> Self {
        Fault { action: action.to_owned(), parameters: BTreeMap::new(), skip: 0, times: 1, does }
    }

    /// The service asks to go slower. `action` is, here and below, a regular expression over `ec2:RunInstances`.
    pub fn throttle(action: &str) -> Self {
        Self::new(action, json!({"do": "throttle"}))
    }

    /// An error of this code, with the status that AWS gives it: `InsufficientInstanceCapacity`, `VpcLimitExceeded` …
    pub fn error(action: &str, code: &str) -> Self {
        Self::new(action, json!({"do": "error", "code": code}))
    }

    /// 500 or 503, without effect.
    pub fn server_error(action: &str, status: u16) -> Self {
        let code = if status == 503 { "Unavailable" } else { "InternalError" };
        Self::new(action, json!({"do": "error", "code": code, "status": status}))
    }

    /// The credentials have expired.
    pub fn expired(action: &str) -> Self {
        Self::new(action, json!({"do": "expired"}))
    }

    /// The call takes this much longer.
    pub fn delay(action: &str, time: Duration) -> Self {
        Self::new(action, json!({"do": "delay", "seconds": time.as_secs_f64()}))
    }

    /// The connection is cut before anything happened.
    pub fn reset(action: &str) -> Self {
        Self::new(action, json!({"do": "reset"}))
    }

    /// It happens, and the answer is lost.
    pub fn lost(action: &str) -> Self {
        Self::new(action, json!({"do": "lost"}))
    }

    /// RunInstances makes no more than `count`; fewer than its least are refused for lack of capacity.
    pub fn partial(count: u32) -> Self {
        Self::new("^ec2:RunInstances$", json!({"do": "partial", "count": count}))
    }

    /// What is made is not found for this long, neither by its id nor in lists.
    pub fn hidden(action: &str, time: Duration) -> Self {
        Self::new(action, json!({"do": "hidden", "seconds": time.as_secs_f64()}))
    }

    /// Stops a call before moto sees it, until [`Strict::release`].
    pub fn hold_before(action: &str) -> Self {
        Self::new(action, json!({"do": "hold", "when": "before"}))
    }

    /// Stops the answer of a call that has had its effect, until [`Strict::release`].
    pub fn hold_after(action: &str) -> Self {
        Self::new(action, json!({"do": "hold", "when": "after"}))
    }

    /// Only calls with a parameter, as on the wire, that matches.
    pub fn with(mut self, parameter: &str, pattern: &str) -> Self {
        self.parameters.insert(parameter.to_owned(), pattern.to_owned());
        self
    }

    /// Lets this many go first.
    pub fn after(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    pub fn times(mut self, times: u32) -> Self {
        self.times = times.into();
        self
    }

    pub fn always(mut self) -> Self {
        self.times = -1;
        self
    }
}

/// A request that came to the layer.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    pub service: String,
    pub region: String,
    pub action: String,
    /// Whether it was there to change something.
    pub changes: bool,
    /// As on the wire: `TagSpecification.1.Tag.1.Key`.
    pub params: BTreeMap<String, String>,
    /// Seconds after the layer started.
    pub at: f64,
    /// Seconds until the answer; `None` while there is none.
    #[serde(default)]
    pub took: Option<f64>,
    /// Which fault hit it.
    #[serde(default)]
    pub fault: Option<String>,
    /// `None` when the client never heard, too.
    #[serde(default)]
    pub status: Option<u16>,
    #[serde(default)]
    pub error: Option<String>,
}

impl Call {
    /// `ec2:RunInstances`
    pub fn name(&self) -> String {
        format!("{}:{}", self.service, self.action)
    }
}

/// The layer, running. Ends when dropped.
#[derive(Debug)]
pub struct Strict {
    server: Server,
}

impl Strict {
    pub fn in_front_of(moto: &Moto, settings: Settings) -> Self {
        let settings = serde_json::to_string(&settings).expect("settings are plain");
        Strict { server: Server::start("mitmproxy", "strict", moto.network(), &[&moto.endpoint(), &settings]) }
    }

    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    pub fn network(&self) -> &Network {
        &self.server.network
    }

    /// Variables that lead a client of AWS here, and to nothing of the machine's user.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Python with AWS's own client, in the network of the layer.
    pub fn python(&self) -> Command {
        process::python("moto", self.network())
    }

    pub fn set(&self, settings: &Settings) {
        let settings = serde_json::to_value(settings).expect("settings are plain");
        self.server.ask("PUT", "/_lab/settings", Some(&settings));
    }

    /// From now on these faults, tried in this order for each call, and no others.
    pub fn order(&self, faults: &[Fault]) {
        let faults = serde_json::to_value(faults).expect("faults are plain");
        self.server.ask("PUT", "/_lab/faults", Some(&faults));
    }

    /// Forgets what it knows, the log too. Settings stay.
    pub fn reset(&self) {
        self.server.ask("POST", "/_lab/reset", None);
    }

    /// Every request so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(0)
    }

    /// Without the first `count` requests.
    pub fn calls_since(&self, count: usize) -> Vec<Call> {
        let calls = self.server.ask("GET", &format!("/_lab/calls?since={count}"), None);
        serde_json::from_value(calls).expect("a log is calls")
    }

    /// How often each action was called, by `service:Action`.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call.name()).or_default() += 1;
        }
        counts
    }

    /// Waits until a call is held, and returns the names of all that are; none when the time is over, or when `ended` says
    /// that there is nothing more to wait for.
    pub fn held(&self, time: Duration, mut ended: impl FnMut() -> bool) -> Vec<String> {
        let deadline = Instant::now() + time;
        loop {
            let held = self.server.ask("GET", "/_lab/held?seconds=0.2", None);
            let held: BTreeMap<String, String> = serde_json::from_value(held).expect("held calls have names");
            if !held.is_empty() || ended() || Instant::now() >= deadline {
                return held.into_values().collect();
            }
        }
    }

    /// Lets held calls go on, or cuts their connections.
    pub fn release(&self, passes: bool) {
        self.server.ask("POST", "/_lab/release", Some(&json!({"passes": passes})));
    }
}
