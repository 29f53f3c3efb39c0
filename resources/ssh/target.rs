//! A connection value, read and written: where a node answers, as whom, by which way, and which keys are its own.

use crate::host_key;
use cloudtik_core::{
    Attrs, Value,
    failure::{Failure, FailureKind},
};
use russh::keys::PublicKey;
use std::{path::PathBuf, sync::Arc};

/// `via` of the connections that this crate makes and understands.
pub const VIA: &str = "ssh";

/// How to get to a machine, without what is known of its keys: two connections with the same route are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// The private key's file; what the agent holds when there is none.
    pub key: Option<PathBuf>,
    /// As in OpenSSH: `%h`, `%p`, `%r` and `%%` are replaced.
    pub proxy_command: Option<String>,
    /// The machine that forwards to this one.
    pub jump: Option<Arc<Route>>,
}

/// A route with the keys that the machine at its end, and every machine on the way, may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub route: Arc<Route>,
    /// Empty: the key that is shown first is learnt.
    pub host_keys: Vec<PublicKey>,
    pub jump: Option<Box<Target>>,
}

impl Route {
    /// For people: `user@host:port`.
    pub fn name(&self) -> String {
        format!("{}@{}:{}", self.user, self.host, self.port)
    }
}

impl Target {
    /// Reads a connection value, or the inputs of a `connection`, which have the same parts.
    pub fn parse(part: &dyn Fn(&str) -> Option<Value>) -> Result<Target, Failure> {
        let text = |name: &str| part(name).and_then(|v| v.scalar_text()).filter(|t| !t.is_empty());
        let needed = |name: &str| text(name).ok_or_else(|| invalid(format!("an ssh connection has a `{name}`")));
        let (host, user) = (needed("host")?, needed("user")?);
        for (what, name) in [("host", &host), ("user", &user)] {
            if !plain(name) {
                return Err(invalid(format!("`{name}` is no {what} name")));
            }
        }
        let port = match part("port") {
            None | Some(Value::Unset) => 22,
            Some(port) => port
                .as_int()
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0)
                .ok_or_else(|| invalid(format!("`port` is a number from 1 to 65535, not {}", port.display())))?,
        };
        let jump = match part("jump") {
            None | Some(Value::Unset) => None,
            Some(jump) => Some(Box::new(Target::of(&jump)?)),
        };
        let lines = part("host_keys");
        let lines = lines.as_ref().and_then(Value::as_list).unwrap_or_default();
        let host_keys = lines.iter().map(|line| host_key::parse(line.as_text().unwrap_or_default()));
        let route = Route {
            host,
            port,
            user,
            key: text("key").map(PathBuf::from),
            proxy_command: text("proxy_command"),
            jump: jump.as_ref().map(|target| target.route.clone()),
        };
        Ok(Target { route: Arc::new(route), host_keys: host_keys.collect::<Result<_, _>>()?, jump })
    }

    /// Reads a connection value.
    pub fn of(connection: &Value) -> Result<Target, Failure> {
        match connection.as_map() {
            Some(parts) => Target::parse(&|name| parts.get(name).cloned()),
            None => Err(invalid(format!("a connection is a map, not {}", connection.display()))),
        }
    }

    /// The connection value that reads back as this.
    pub fn value(&self) -> Value {
        let Route { host, port, user, key, proxy_command, jump: _ } = &*self.route;
        let parts: [(&str, Value); 8] = [
            ("via", VIA.into()),
            ("host", host.into()),
            ("port", (*port).into()),
            ("user", user.into()),
            ("key", key.as_ref().map(|path| path.to_string_lossy().into_owned()).into()),
            ("proxy_command", proxy_command.clone().into()),
            ("jump", self.jump.as_ref().map_or(Value::Unset, |jump| jump.value())),
            ("host_keys", Value::list(self.host_keys.iter().map(host_key::line))),
        ];
        let known = parts.into_iter().filter(|(_, value)| !matches!(value, Value::Unset));
        Value::Map(known.map(|(name, value)| (name.to_owned(), value)).collect::<Attrs>())
    }
}

/// Host and user names end up in shell lines of the user's making (`%h`, `%r`): nothing in them means anything there.
fn plain(name: &str) -> bool {
    !name.starts_with('-')
        && name.chars().all(|c| c.is_alphanumeric() || ".:_-%@+\\".contains(c))
        && !name.contains('\\')
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureKind::Invalid, "read a connection", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_connection_value_reads_back_as_written() {
        let head = Value::map([
            ("via", Value::text("ssh")),
            ("host", "203.0.113.7".into()),
            ("port", 2222.into()),
            ("user", "ubuntu".into()),
            ("key", "/k".into()),
            ("host_keys", Value::list([KEY])),
        ]);
        let worker = Value::map([
            ("via", Value::text("ssh")),
            ("host", "10.0.0.4".into()),
            ("port", 22.into()),
            ("user", "ubuntu".into()),
            ("jump", head.clone()),
            ("host_keys", Value::List(Vec::new())),
        ]);
        for value in [head, worker] {
            assert_eq!(Target::of(&value).unwrap().value(), value);
        }
    }

    #[test]
    fn names_that_a_shell_would_interpret_are_refused() {
        for (host, user) in [("a;b", "u"), ("-oProxyCommand=x", "u"), ("h", "$(x)"), ("h", "u v"), ("", "u"), ("h", "")]
        {
            let value = Value::map([("host", host), ("user", user)]);
            assert_eq!(Target::of(&value).unwrap_err().kind, FailureKind::Invalid, "{host} {user}");
        }
        assert!(Target::of(&Value::map([("host", "fe80::1%eth0"), ("user", "svc_a.b-c")])).is_ok());
    }
}
