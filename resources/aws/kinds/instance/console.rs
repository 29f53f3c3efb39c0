//! A machine's own keys, read off its console, so that the first connection to it is already to the right machine.

use crate::{
    api::{Cause, Request},
    error,
    provider::{At, Pace},
};
use cloudtik_core::value::Value;
use std::time::Duration;

/// How long the console is watched; without keys, the first connection pins what it meets.
const PATIENCE: Duration = Duration::from_secs(120);
const CAP: Duration = Duration::from_secs(5);

/// Written by cloud-init at the end of the first boot.
/// Source: cloud-init documentation, module `Keys to Console` (read 2026-11-25).
const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";
/// Cloud-init's last words: `Cloud-init v. 24.1 finished at …`. What it did not say before, it will not say.
const OVER: [&str; 2] = ["Cloud-init v.", " finished at "];

/// The keys on a console: `ssh-ed25519 AAAA…` each, in order. Names of the machine behind them are left out.
pub(super) fn keys(console: &str) -> Option<Vec<String>> {
    let (_, after) = console.split_once(BEGIN)?;
    let (block, _) = after.split_once(END)?;
    // Kernel messages may come between, and lines end as terminals want it.
    let words = |line: &str| -> Option<String> {
        let start = line.find("ssh-").or_else(|| line.find("ecdsa-sha2-")).or_else(|| line.find("sk-"))?;
        let mut words = line[start..].split_whitespace();
        Some(format!("{} {}", words.next()?, words.next().filter(|key| key.starts_with("AAAA"))?))
    };
    Some(block.lines().filter_map(words).collect())
}

/// The host keys of a machine; empty when its console does not tell them.
pub(super) async fn host_keys(at: &At<'_>, instance: &str) -> Value {
    let mut pace = Pace::new(CAP);
    loop {
        let reply = at.api.call(Request::GetConsoleOutput { instance: instance.into() }).await;
        let over = match &reply {
            Ok(reply) => {
                let text = reply.item.text("output");
                if let Some(keys) = keys(text) {
                    return Value::list(keys);
                }
                OVER.iter().all(|word| text.contains(word))
            }
            // Whoever may not read consoles has clusters all the same.
            Err(error) => !matches!(error.cause, Cause::Transport { .. }) && !error::is_absent(error),
        };
        if over || pace.waited >= PATIENCE {
            return Value::List(Vec::new());
        }
        at.call.say("waiting for its host keys on the console");
        pace.pause(&*at.api).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_between_other_lines() {
        let console = "[   12.1] cloud-init[1]: done\r\n\
            -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n256 SHA256:x root@ip (ED25519)\r\n\
            -----END SSH HOST KEY FINGERPRINTS-----\r\n\
            -----BEGIN SSH HOST KEY KEYS-----\r\n\
            ecdsa-sha2-nistp256 AAAAE2Vj root@ip-10-0-0-5\r\n\
            [   12.2] random: crng init done\r\n\
            <14>Nov 25 19:00:00 ec2: ssh-ed25519 AAAAC3Nz root@ip-10-0-0-5\r\n\
            -----END SSH HOST KEY KEYS-----\r\nip-10-0-0-5 login:";
        let expected = ["ecdsa-sha2-nistp256 AAAAE2Vj", "ssh-ed25519 AAAAC3Nz"].map(String::from);
        assert_eq!(keys(console), Some(expected.to_vec()));
    }

    #[test]
    fn half_a_block_is_none_yet() {
        assert_eq!(keys("-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAAC3Nz x\n"), None);
        assert_eq!(keys("Linux version 6.8"), None);
        assert_eq!(keys(&format!("{BEGIN}\nssh-ed25519 nonsense\n{END}")), Some(Vec::new()));
    }
}
