//! Exit codes. Published in README: a change here is a change of a promise.

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Ok,
    /// The environment, a provider or the state store failed.
    Failed,
    /// `plan --detailed-exitcode`: there are changes.
    Changes,
    /// The documents or the request are wrong; nothing was touched.
    Invalid,
    /// Applied in part: something failed or was skipped.
    Incomplete,
    /// Another run holds the lock.
    Locked,
    /// The plan is stale or was tampered with; nothing was touched.
    Refused,
    /// The user said no, or nobody was there to say yes.
    Declined,
    /// The command line cannot be understood.
    Usage,
    /// A defect in cloudtik.
    Bug,
    /// Stopped by Ctrl-C, SIGTERM or the end of its terminal; what ran is recorded or will be settled.
    Interrupted,
    /// The exit code of a command or job on a node.
    Job(u8),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Changes => 2,
            Exit::Invalid => 3,
            Exit::Incomplete => 4,
            Exit::Locked => 5,
            Exit::Refused => 6,
            Exit::Declined => 7,
            Exit::Usage => 64,
            Exit::Bug => 70,
            Exit::Interrupted => 130,
            Exit::Job(code) => code,
        }
    }
}
