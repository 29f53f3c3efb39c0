//! How a user's script is run on the head.

use crate::compile::Compiled;
use cloudtik_core::{Diagnostic, Failure, FailureKind, Reference, Value, host::Command};
use std::{collections::BTreeMap, path::Path};

/// A runtime's way to run scripts with certain extensions.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    pub extensions: Vec<String>,
    pub prefix: Vec<Value>,
    pub env: BTreeMap<String, Value>,
}

/// A command for the head whose values may still refer to resources.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    pub argv: Vec<Value>,
    pub env: BTreeMap<String, Value>,
}

/// The command that runs `script`, a path on the head. `options` go before it (`--class`), `args` after it.
///
/// The first of the cluster's runtimes that takes its extension runs it; `.sh` and, without such a runtime, `.py` run by
/// themselves. Errors: nothing takes the extension.
pub fn launcher(
    compiled: &Compiled,
    script: &str,
    options: &[String],
    args: &[String],
) -> Result<Launch, Box<Diagnostic>> {
    let extension = Path::new(script).extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let found = compiled.launchers.iter().find(|launcher| launcher.extensions.contains(&extension));
    let mut env = compiled.env.clone();
    let prefix = match (found, extension.as_str()) {
        (Some(launcher), _) => {
            env.extend(launcher.env.clone());
            launcher.prefix.clone()
        }
        (None, "sh") => vec![Value::text("/bin/sh")],
        (None, "py") => vec![Value::text("python3")],
        _ => return Err(Box::new(nothing_takes(compiled, script))),
    };
    let texts = |list: &[String]| list.iter().map(Value::text).collect::<Vec<_>>();
    let argv = [prefix, texts(options), vec![Value::text(script)], texts(args)].concat();
    Ok(Launch { argv, env })
}

fn nothing_takes(compiled: &Compiled, script: &str) -> Diagnostic {
    let mut known: Vec<&str> = compiled.launchers.iter().flat_map(|l| &l.extensions).map(String::as_str).collect();
    known.extend(["py", "sh"]);
    known.sort_unstable();
    known.dedup();
    Diagnostic::error("unknown-script", "nothing in this cluster runs such a file")
        .detail(format!("`{script}`"))
        .hint(format!("submit a file that ends with .{}", known.join(", .")))
}

impl Launch {
    /// The command once every reference is found by `lookup`.
    pub fn resolve(&self, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Result<Command, Failure> {
        let text = |value: &Value| {
            value.resolve(lookup).scalar_text().ok_or_else(|| {
                Failure::new(FailureKind::Invalid, "submit", format!("{} is not known yet", value.display()))
                    .hint("apply the cluster first")
            })
        };
        Ok(Command {
            argv: self.argv.iter().map(text).collect::<Result<_, _>>()?,
            env: self.env.iter().map(|(k, v)| Ok((k.clone(), text(v)?))).collect::<Result<_, Failure>>()?,
            ..Command::default()
        })
    }
}
