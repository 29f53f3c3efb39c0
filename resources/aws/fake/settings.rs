//! What a fake can be told: limits, times, rates.

use super::world::seconds;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Ids and host keys are the same ones for the same seed.
    pub seed: u64,
    /// Where an account without region is.
    pub region: String,
    /// How long a new object is seen by nobody but the call that made it.
    /// Source: EC2 developer guide, "Eventual consistency in the Amazon EC2 API" (read 2026-11-25); the length is ours.
    pub lag: Duration,
    /// How long RunInstances does not know a new instance profile.
    pub profile_lag: Duration,
    /// Whether calls take time.
    pub latency: bool,
    pub rates: Rates,
    pub quotas: Quotas,
    pub times: Times,
}

/// What becomes of calls beyond the service's rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rates {
    Off,
    /// The client waits for its turn, as the trait asks of implementations.
    Wait,
    /// RequestLimitExceeded, as the service answers.
    Refuse,
}

/// Source: "quotas" pages of VPC, EC2, S3 and RDS (read 2026-11-25): what a new account has, but for vCPUs, of which a new
/// account has too few for a test.
#[derive(Clone, Debug)]
pub struct Quotas {
    pub vpcs: usize,
    pub subnets: usize,
    pub addresses: usize,
    /// In a zone.
    pub nats: usize,
    pub tables: usize,
    pub routes: usize,
    pub endpoints: usize,
    pub rules: usize,
    pub cpus: usize,
    pub spot_cpus: usize,
    pub buckets: usize,
    pub databases: usize,
}

/// How long things take. Source: public logs of applies: a NAT gateway 85 to 125 s, an instance 10 to 30 s to running.
#[derive(Clone, Debug)]
pub struct Times {
    pub nat: Duration,
    pub nat_delete: Duration,
    pub boot: Duration,
    /// From running to the console's text.
    pub console: Duration,
    pub stop: Duration,
    pub terminate: Duration,
    /// From modified to optimized.
    pub optimize: Duration,
    pub database: Duration,
    pub database_delete: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 1,
            region: "us-east-1".into(),
            lag: Duration::from_millis(1_500),
            profile_lag: seconds(10),
            latency: true,
            rates: Rates::Off,
            quotas: Quotas::default(),
            times: Times::default(),
        }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas {
            vpcs: 5,
            subnets: 200,
            addresses: 5,
            nats: 5,
            tables: 200,
            routes: 50,
            endpoints: 20,
            rules: 60,
            cpus: 640,
            spot_cpus: 640,
            buckets: 10_000,
            databases: 40,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Times {
            nat: seconds(105),
            nat_delete: seconds(45),
            boot: seconds(20),
            console: seconds(40),
            stop: seconds(30),
            terminate: seconds(35),
            optimize: seconds(600),
            database: seconds(420),
            database_delete: seconds(240),
        }
    }
}

/// How long a call takes. Source: public logs of applies: a VPC 1 to 3 s with its attributes, other creates 1 to 2 s with the
/// first look at them.
pub(super) fn latency(action: &str) -> Duration {
    Duration::from_millis(match action {
        "RunInstances" => 1_500,
        "CreateVpc" | "CreateNatGateway" | "CreateVpcEndpoint" => 900,
        "CreateDBInstance" | "TerminateInstances" => 1_000,
        _ if action.starts_with("Create") => 400,
        _ if action.starts_with("Describe") || action.starts_with("Get") || action.starts_with("List") => 120,
        _ => 250,
    })
}

/// Bucket size and refill a second of an action.
/// Source: EC2 developer guide, "Request throttling for the Amazon EC2 API" (read 2026-11-25). The other services publish no
/// rates: theirs here are those of changes.
pub(super) fn rate(action: &str) -> (f64, f64) {
    match action {
        "RunInstances" => (5.0, 2.0),
        "TerminateInstances" => (100.0, 5.0),
        "CreateNatGateway" => (10.0, 1.0),
        "CreateVpcEndpoint" => (4.0, 0.3),
        "CreateTags" | "DeleteTags" => (100.0, 10.0),
        "CreateVolume" => (100.0, 5.0),
        _ if action.starts_with("Describe") || action.starts_with("List") || action.starts_with("Get") => (100.0, 20.0),
        "HeadBucket" => (100.0, 20.0),
        _ => (50.0, 5.0),
    }
}

/// Instances that one call may start or end, and refill a second; `None` for calls that are not counted so.
pub(super) fn instance_rate(action: &str) -> Option<(f64, f64)> {
    match action {
        "RunInstances" => Some((1_000.0, 2.0)),
        "TerminateInstances" => Some((1_000.0, 20.0)),
        _ => None,
    }
}
