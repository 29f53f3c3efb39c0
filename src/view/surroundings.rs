//! What the program is run from: whether somebody watches, how wide the terminal is, whether colours are wanted.

use std::io::IsTerminal;

/// Width when none can be learnt.
pub(crate) const WIDTH: usize = 80;

/// The facts that decide how output looks. Separate from the decision, so that tests state them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub stdin_tty: bool,
    pub stdout_tty: bool,
    pub stderr_tty: bool,
    pub terminal_width: Option<usize>,
    pub no_color: Option<String>,
    pub clicolor_force: Option<String>,
    pub ci: Option<String>,
    pub columns: Option<String>,
    pub term: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub color: bool,
    pub width: usize,
    pub interactive: bool,
    pub live: bool,
}

impl Facts {
    pub(crate) fn gather() -> Self {
        let var = |name: &str| std::env::var(name).ok();
        Facts {
            stdin_tty: std::io::stdin().is_terminal(),
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
            terminal_width: terminal_width(),
            no_color: var("NO_COLOR"),
            clicolor_force: var("CLICOLOR_FORCE"),
            ci: var("CI"),
            columns: var("COLUMNS"),
            term: var("TERM"),
        }
    }

    /// `NO_COLOR` wins over `CLICOLOR_FORCE`, which wins over what the streams are; `CI` means that nobody watches.
    pub(crate) fn decide(&self, no_color: bool) -> Decision {
        let set = |value: &Option<String>| value.as_deref().is_some_and(|v| !v.is_empty() && v != "0");
        let ci = set(&self.ci) && self.ci.as_deref() != Some("false");
        let dumb = self.term.as_deref() == Some("dumb");
        let refused = no_color || self.no_color.as_deref().is_some_and(|v| !v.is_empty());
        let color = !refused && (set(&self.clicolor_force) || (self.stdout_tty && self.stderr_tty && !dumb));
        let asked = self.columns.as_deref().and_then(|c| c.trim().parse().ok()).filter(|w| *w > 0);
        let seen = self.terminal_width.filter(|_| self.stdout_tty);
        Decision {
            color,
            width: asked.or(seen).unwrap_or(WIDTH).clamp(20, 400),
            interactive: self.stdin_tty && self.stderr_tty && !ci,
            live: self.stderr_tty && !dumb && !ci,
        }
    }
}

pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stderr()))
        .ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Facts {
        Facts { stdin_tty: true, stdout_tty: true, stderr_tty: true, terminal_width: Some(120), ..Facts::default() }
    }

    #[test]
    fn a_terminal_gets_colour_width_and_questions() {
        let all = Decision { color: true, width: 120, interactive: true, live: true };
        assert_eq!(terminal().decide(false), all);
        assert_eq!(
            Facts::default().decide(false),
            Decision { color: false, width: 80, interactive: false, live: false }
        );
    }

    #[test]
    fn the_environment_overrules_the_terminal() {
        let with = |change: fn(&mut Facts)| {
            let mut facts = terminal();
            change(&mut facts);
            facts.decide(false)
        };
        assert!(!with(|f| f.no_color = Some("1".into())).color);
        assert!(with(|f| f.no_color = Some(String::new())).color);
        assert!(!terminal().decide(true).color);
        let dumb = with(|f| f.term = Some("dumb".into()));
        assert!(!dumb.color && !dumb.live && dumb.interactive);
        let ci = with(|f| f.ci = Some("true".into()));
        assert!(!ci.live && !ci.interactive);
        assert_eq!(with(|f| f.columns = Some("60".into())).width, 60);
        let forced = Facts { clicolor_force: Some("1".into()), ..Facts::default() };
        assert!(forced.decide(false).color);
    }
}
