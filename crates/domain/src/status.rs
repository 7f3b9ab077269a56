//! What one run can say about a check.

/// The four statuses of the Nagios plugin interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(rename_all = "lowercase")
)]
pub enum Status {
    /// Exit code 0.
    Ok,
    /// Exit code 1.
    Warning,
    /// Exit code 2.
    Critical,
    /// Exit code 3, and every other code, signal or failure.
    Unknown,
}

impl Status {
    /// The status that a plugin's exit code means (Nagios plugin interface: anything above 3 is unknown).
    #[must_use]
    pub fn from_exit_code(code: i32) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Warning,
            2 => Self::Critical,
            _ => Self::Unknown,
        }
    }

    /// The status that people are shown: what a check was before its agent became unreachable is old news, so that it
    /// is unknown until the next answer (semantics.md, decision 3). None before the first answered run.
    #[must_use]
    pub fn shown(code: Option<i16>, is_unreachable: bool) -> Option<Self> {
        if is_unreachable {
            return Some(Self::Unknown);
        }
        code.map(|code| Self::from_exit_code(code.into()))
    }

    /// The number under which the database keeps it: the exit code, 0 to 3.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word for it, as the wire's `state` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// Every status but ok is failing.
    #[must_use]
    pub fn is_failing(self) -> bool {
        self != Self::Ok
    }
}
