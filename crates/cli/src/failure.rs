//! Why a command could not be done: what to tell, what to do next, and with which exit code.

use std::fmt;
use std::process::ExitCode;

use crate::output::printable;

/// The exit codes that scripts rely on. `0` is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Something is alerting, and `--check` asked.
    Alerting = 1,
    /// The command line, or what it was given, is wrong: nothing was asked of a server.
    Usage = 2,
    /// The server answered, and refused.
    Refused = 3,
    /// No server, or none that can be understood.
    Unreachable = 4,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// What went wrong, and what can be done about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// A sentence without a full stop.
    what: String,
    /// What to do next.
    hint: Option<String>,
    /// The HTTP status, if a server refused.
    pub(crate) status: Option<u16>,
}

impl Failure {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            // a server's words, or a host's: data
            what: printable(&what.into()),
            hint: None,
            status: None,
        }
    }

    /// Something here is wrong, before any server was asked.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    /// A server said no.
    pub(crate) fn refused(status: u16, what: impl Into<String>) -> Self {
        Self {
            status: Some(status),
            ..Self::new(Code::Refused, what)
        }
    }

    /// No answer, or none that can be read.
    pub(crate) fn unreachable(what: impl Into<String>) -> Self {
        Self::new(Code::Unreachable, what)
    }

    /// What went wrong, without what to do next.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// With what it is about.
    #[must_use]
    pub(crate) fn of(mut self, name: &str) -> Self {
        self.what = format!("{}: {}", printable(name), self.what);
        self
    }

    /// With the HTTP status of what was answered.
    #[must_use]
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}
