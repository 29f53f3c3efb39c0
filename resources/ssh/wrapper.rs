//! The lines of `sh` that run a command over there, and what is written to them.
//!
//! sshd takes one line for the user's shell and refuses most variables. So the line is always the same few words, which
//! read a script from standard input: variables, which may be secrets, and arguments, which may be long, are never in
//! the line, where the machine's process list would show them. The script then runs the command, as a child, with what
//! follows it on standard input.
//!
//! Standard input is the lifeline. It stays open until the command has ended; when it ends before, because the channel
//! was closed, the connection was lost or we are gone, a watcher kills the command's process group. Input that was cut
//! off never looks like an end of input: a mark follows it, and without the mark the command is killed first.

use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::Command,
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
};

/// Reads a script up to a line that is `$1`, then runs it. `read` takes no byte too many from a pipe, in any shell.
const READ: &str =
    "c=; while IFS= read -r l; do [ \"$l\" != \"$1\" ] || { eval \"$c\"; exit; }; c=$c$l'\n'; done; exit 125";

/// Kills everything here when standard input ends while the shell still waits for its command.
const WATCH: &str = "while read -r x; do :; done; kill -0 $$ && kill -KILL 0";

/// A command as it is sent.
pub(crate) struct Wrapped {
    /// For the user's shell.
    pub line: String,
    /// To be written first.
    pub script: Vec<u8>,
    /// To be written after the command's input.
    pub end: Vec<u8>,
    /// Each of both output streams starts with this, a space, the shell's process number and a newline; what is before
    /// comes from the user's own start-up files.
    pub mark: String,
}

pub(crate) fn wrap(command: &Command) -> Result<Wrapped, Failure> {
    let mark = mark();
    let run = run(command)?;
    let mut script = format!("exec 3<&0 4>&2 2>/dev/null\necho {mark} $$; echo {mark} $$ >&4\n");
    let length = command.stdin.len();
    if length == 0 {
        script += &format!("({WATCH}) <&3 3<&- 4>&- >/dev/null &\n({run}) </dev/null 3<&- 2>&4 4>&-\nexit $?\n");
    } else {
        let feed = format!("if head -c {length} <&3; then read -r x <&3; [ \"$x\" = {mark} ] || kill -KILL 0; fi");
        script +=
            &format!("{{ {{ {feed}; exec <&3 >/dev/null; {WATCH}; }} 4>&- & }} | ({run}) 3<&- 2>&4 4>&-\nexit $?\n");
    }
    script += &format!("{mark}\n");
    let line = format!("exec /bin/sh -c {} cloudtik {mark}", quote(READ));
    let end = if length == 0 { Vec::new() } else { format!("{mark}\n").into_bytes() };
    Ok(Wrapped { line, script: script.into_bytes(), end, mark })
}

/// A command for a terminal. Its standard input is the user's, so variables are in the line: visible over there until the
/// shell has become the command, some milliseconds later.
pub(crate) fn line(command: &Command) -> Result<String, Failure> {
    Ok(format!("exec /bin/sh -c {}", quote(&run(command)?)))
}

/// The lines that become the command. Its variables are set here and no earlier: none of them is meant for our own shell.
fn run(command: &Command) -> Result<String, Failure> {
    let mut lines = String::new();
    if let Some(dir) = &command.dir {
        lines += &format!("CDPATH= cd -- {} >/dev/null || exit 126\n", quote(text("a folder", dir)?));
    }
    for (name, value) in variables(&command.env)? {
        lines += &format!("export {name}={}\n", quote(text("a variable", value)?));
    }
    let words = command.argv.iter().map(|word| Ok(quote(text("an argument", word)?)));
    Ok(format!("{lines}exec {}", words.collect::<Result<Vec<_>, Failure>>()?.join(" ")))
}

/// Ends the process group of a command whose shell has this number.
pub(crate) fn kill(group: u32) -> String {
    format!("kill -KILL -{group}")
}

fn variables(env: &BTreeMap<String, String>) -> Result<&BTreeMap<String, String>, Failure> {
    let fits = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    match env.keys().find(|name| name.is_empty() || !fits(name)) {
        Some(name) => Err(invalid(format!("`{name}` is no name that a shell can give to a variable"))),
        None => Ok(env),
    }
}

fn text<'a>(what: &str, text: &'a str) -> Result<&'a str, Failure> {
    if text.contains('\0') { Err(invalid(format!("{what} holds a zero byte"))) } else { Ok(text) }
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureKind::Invalid, "run a command over ssh", message)
}

/// One word for any POSIX shell. With `=` in it, it would be an assignment in front of a command.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Text that no command prints by chance.
fn mark() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("cloudtik{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command as Process, Output, Stdio},
    };

    /// What a shell makes of a wrapped command whose input arrives as `input`.
    fn sh(shell: &str, wrapped: &Wrapped, input: &[u8]) -> Output {
        let mut process = Process::new("setsid");
        process.args(["-w", shell, "-c", &wrapped.line]);
        let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let sent = [wrapped.script.as_slice(), input].concat();
        let writing = std::thread::spawn(move || {
            // A command may end without having read everything.
            let _ = pipe.write_all(&sent);
            pipe
        });
        // The pipe is held open until the command has ended.
        let output = child.wait_with_output().unwrap();
        drop(writing.join().unwrap());
        output
    }

    fn shells() -> impl Iterator<Item = &'static str> {
        ["/bin/sh", "/bin/bash"].into_iter().filter(|shell| std::path::Path::new(shell).exists())
    }

    fn after_mark(wrapped: &Wrapped, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let rest = text.split_once(&wrapped.mark).unwrap().1;
        rest.split_once('\n').unwrap().1.to_owned()
    }

    #[test]
    fn words_and_variables_arrive_as_they_are() {
        let odd = ["", "a b", "'", "\"$HOME\"", "`x`", "a\nb", "\\n", "-n", "é", "*", "a=b"];
        let mut command = Command::new(["/usr/bin/env", "printf", "[%s]"].into_iter().chain(odd));
        command.env.insert("ODD".into(), "it's\n$HOME".into());
        for shell in shells() {
            let wrapped = wrap(&command).unwrap();
            let output = sh(shell, &wrapped, b"");
            let expected: String = odd.iter().map(|word| format!("[{word}]")).collect();
            assert_eq!(after_mark(&wrapped, &output.stdout), expected, "{shell}");
            let echo =
                wrap(&Command { argv: vec!["/usr/bin/printenv".into(), "ODD".into()], ..command.clone() }).unwrap();
            assert_eq!(after_mark(&echo, &sh(shell, &echo, b"").stdout), "it's\n$HOME\n");
        }
    }

    #[test]
    fn a_command_gets_its_input_and_then_its_end() {
        let command = Command::new(["cat"]).stdin(b"one\0two\n".to_vec());
        for shell in shells() {
            let wrapped = wrap(&command).unwrap();
            let output = sh(shell, &wrapped, &[b"one\0two\n".as_slice(), &wrapped.end].concat());
            assert_eq!(after_mark(&wrapped, &output.stdout), "one\0two\n");
            assert_eq!(output.status.code(), Some(0));
            assert_eq!(after_mark(&wrapped, &output.stderr), "");
        }
    }

    #[test]
    fn the_variables_of_a_command_are_not_those_of_the_shell() {
        let mut command = Command::new(["/bin/cat"]).stdin(b"in\n".to_vec());
        for name in ["PATH", "IFS", "LD_PRELOAD", "x", "l", "c"] {
            command.env.insert(name.into(), "/nowhere".into());
        }
        for shell in shells() {
            let wrapped = wrap(&command).unwrap();
            let output = sh(shell, &wrapped, &[b"in\n".as_slice(), &wrapped.end].concat());
            assert_eq!(after_mark(&wrapped, &output.stdout), "in\n", "{shell}");
        }
    }

    #[test]
    fn how_a_command_ended_is_the_exit_code() {
        for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("no-such-program", 127)]
        {
            let wrapped = wrap(&Command::new(["/bin/sh", "-c", script])).unwrap();
            assert_eq!(sh("/bin/sh", &wrapped, b"").status.code(), Some(code), "{script}");
        }
        let missing = wrap(&Command::new(["no-such-program"])).unwrap();
        let output = sh("/bin/sh", &missing, b"");
        assert_eq!(output.status.code(), Some(127));
        assert!(after_mark(&missing, &output.stderr).contains("no-such-program"));
        let elsewhere = Command { dir: Some("/no/such/folder".into()), ..Command::new(["true"]) };
        assert_eq!(sh("/bin/sh", &wrap(&elsewhere).unwrap(), b"").status.code(), Some(126));
    }

    #[test]
    fn input_that_was_cut_off_kills_the_command_before_it_sees_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("written");
        let script = format!("cat >/dev/null; : >{}", quote(path.to_str().unwrap()));
        let wrapped = wrap(&Command::new(["/bin/sh", "-c", &script]).stdin(vec![b'x'; 1000])).unwrap();
        let mut process = Process::new("setsid")
            .args(["-w", "/bin/sh", "-c", &wrapped.line])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut pipe = process.stdin.take().unwrap();
        pipe.write_all(&[wrapped.script.as_slice(), &[b'x'; 500]].concat()).unwrap();
        drop(pipe);
        assert_eq!(process.wait().unwrap().code().unwrap_or(137), 137);
        assert!(!path.exists(), "the command went on with half of its input");
    }

    #[test]
    fn what_a_shell_cannot_carry_is_refused() {
        assert!(wrap(&Command::new(["true"]).env("a b", "x")).is_err());
        assert!(wrap(&Command::new(["true"]).env("A", "x\0")).is_err());
        assert!(wrap(&Command::new(["echo", "\0"])).is_err());
    }
}
