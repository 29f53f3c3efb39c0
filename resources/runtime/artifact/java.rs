//! Whether this machine already has a Java that will do.

use crate::manifest::Instead;
use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// The home of a Java with the version and modules asked for: that of `JAVA_HOME`, else the one on `PATH`.
pub async fn find(instead: &Instead) -> Option<PathBuf> {
    let Instead::Java { at_least, modules } = instead;
    let by_home = env::var_os("JAVA_HOME").map(PathBuf::from);
    let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("java"))
        .find_map(|java| Some(java.canonicalize().ok()?.parent()?.parent()?.to_owned()));
    for home in [by_home, on_path].into_iter().flatten() {
        if fits(&home, *at_least, modules).await {
            return Some(home);
        }
    }
    None
}

async fn fits(home: &Path, at_least: u32, modules: &[String]) -> bool {
    let (version, listed) = tokio::join!(ask(home, "-version"), ask(home, "--list-modules"));
    let (Some(version), Some(listed)) = (version, listed) else { return false };
    let has = |module: &String| listed.lines().any(|line| line.split('@').next() == Some(module));
    major(&version).is_some_and(|major| major >= at_least) && modules.iter().all(has)
}

/// What the program prints, to either stream.
async fn ask(home: &Path, option: &str) -> Option<String> {
    let java = home.join("bin/java");
    let output = Command::new(java).arg(option).stdin(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    let text = [output.stdout, output.stderr].concat();
    output.status.success().then(|| String::from_utf8_lossy(&text).into_owned())
}

/// The major version in `openjdk version "17.0.15" 2025-04-15`; 8 for `1.8.0_312`.
fn major(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut numbers = quoted.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_spelling() {
        for (text, expected) in [
            ("openjdk version \"17.0.15\" 2025-04-15", Some(17)),
            ("java version \"1.8.0_312\"", Some(8)),
            ("openjdk version \"25-ea\" 2025-09-16", Some(25)),
            ("Unrecognized option", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_java_that_lacks_a_module_does_not_do() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let java = root.path().join("bin/java");
        std::fs::create_dir(root.path().join("bin")).unwrap();
        let script = "#!/bin/sh\n[ $1 = -version ] && echo 'openjdk version \"17.0.1\"' >&2 || echo java.base@17.0.1\n";
        std::fs::write(&java, script).unwrap();
        std::fs::set_permissions(&java, std::fs::Permissions::from_mode(0o755)).unwrap();
        let modules = |names: &[&str]| names.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert!(fits(root.path(), 17, &modules(&["java.base"])).await);
        assert!(!fits(root.path(), 17, &modules(&["java.base", "jdk.incubator.vector"])).await);
        assert!(!fits(root.path(), 21, &modules(&["java.base"])).await);
    }
}
