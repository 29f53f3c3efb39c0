//! The same connection for OpenSSH's client, for who wants a terminal of their own.

use crate::{
    host_key,
    target::{Route, Target},
    wrapper::quote,
};
use cloudtik_core::{Value, failure::Failure};

/// A command line, and the file of known hosts that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSsh {
    pub command: String,
    pub known_hosts: String,
}

/// How `ssh` reaches the machine of a connection value. `known_hosts` is where the file is going to be.
pub fn openssh(connection: &Value, known_hosts: &str) -> Result<OpenSsh, Failure> {
    let target = Target::of(connection)?;
    let mut lines = String::new();
    let mut hop = Some(&target);
    while let Some(at) = hop {
        for key in &at.host_keys {
            lines += &format!("{} {}\n", alias(&at.route), host_key::line(key));
        }
        hop = at.jump.as_deref();
    }
    let words = words(&target, known_hosts);
    let command = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    Ok(OpenSsh { command, known_hosts: lines })
}

/// Names a machine by the way to it: two that are behind different ones may have one address.
fn alias(route: &Route) -> String {
    let own = format!("{}.{}", route.host.replace([':', '%'], "-"), route.port);
    match &route.jump {
        Some(jump) => format!("{own}.via.{}", alias(jump)),
        None => own,
    }
}

fn words(target: &Target, known_hosts: &str) -> Vec<String> {
    let Route { host, port, user, key, proxy_command, .. } = &*target.route;
    let mut words = vec!["ssh".to_owned()];
    if let Some(key) = key {
        words.extend(["-i".into(), key.display().to_string()]);
    }
    words.extend(["-p".into(), port.to_string()]);
    let mut option = |text: String| words.extend(["-o".into(), text]);
    if !target.host_keys.is_empty() {
        // A path with a space is quoted once more, for OpenSSH's own reading of its options.
        let file = if known_hosts.contains(' ') { format!("\"{known_hosts}\"") } else { known_hosts.into() };
        option(format!("UserKnownHostsFile={file}"));
        option(format!("HostKeyAlias={}", alias(&target.route)));
        option("StrictHostKeyChecking=yes".into());
    }
    if let Some(jump) = &target.jump {
        let way: Vec<String> = self::words(jump, known_hosts).iter().map(|word| quote(word)).collect();
        // OpenSSH puts words of its own in place of `%`.
        option(format!("ProxyCommand={} -W {host}:{port}", way.join(" ").replace('%', "%%")));
    } else if let Some(command) = proxy_command {
        option(format!("ProxyCommand={command}"));
    }
    words.push(format!("{user}@{host}"));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_machine_behind_another_is_reached_by_one_line() {
        let head = Value::map([
            ("host", Value::text("203.0.113.7")),
            ("user", "ubuntu".into()),
            ("key", "/a key".into()),
            ("host_keys", Value::list([KEY])),
        ]);
        let worker = Value::map([
            ("host", Value::text("10.0.0.4")),
            ("user", "ubuntu".into()),
            ("jump", head),
            ("host_keys", Value::list([KEY])),
        ]);
        let OpenSsh { command, known_hosts } = openssh(&worker, "/k").unwrap();
        assert_eq!(
            command,
            "ssh -p 22 -o 'UserKnownHostsFile=/k' -o 'HostKeyAlias=10.0.0.4.22.via.203.0.113.7.22' \
             -o 'StrictHostKeyChecking=yes' -o 'ProxyCommand=ssh -i '\\''/a key'\\'' -p 22 \
             -o '\\''UserKnownHostsFile=/k'\\'' -o '\\''HostKeyAlias=203.0.113.7.22'\\'' \
             -o '\\''StrictHostKeyChecking=yes'\\'' ubuntu@203.0.113.7 -W 10.0.0.4:22' ubuntu@10.0.0.4"
        );
        assert_eq!(known_hosts, format!("10.0.0.4.22.via.203.0.113.7.22 {KEY}\n203.0.113.7.22 {KEY}\n"));
    }
}
