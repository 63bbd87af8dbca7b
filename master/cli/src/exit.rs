//! Exit statuses: what they mean, and how the results of many hosts become one status.

use mitogen_core::dialogue::{FailureKind, Stage};

/// Success.
pub const OK: u8 = 0;
/// An internal error.
pub const INTERNAL: u8 = 1;
/// The command line or the profile file is wrong, or a transport rejected its options.
pub const USAGE: u8 = 2;
/// A command exited with a non-zero status or was killed by a signal, a call raised an exception, or a
/// transfer failed.
pub const COMMAND_FAILED: u8 = 3;
/// A host could not be reached, has no usable Python, or its connection was lost.
pub const UNREACHABLE: u8 = 4;
/// Authentication, the host key or the change of user was refused.
pub const REFUSED: u8 = 5;
/// A command or call timed out, or a host that can be reached took too long to connect.
pub const TIMEOUT: u8 = 124;
/// The user interrupted the run.
pub const INTERRUPTED: u8 = 130;

/// The category of a host's result. The order is that of severity, least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostOutcome {
    /// Success.
    Ok,
    /// The command, call or transfer failed.
    CommandFailed,
    /// A time limit was exceeded.
    TimedOut,
    /// The host could not be reached.
    Unreachable,
    /// Authentication, the host key or the change of user was refused.
    Refused,
    /// The transport rejected its options.
    Misconfigured,
    /// An internal error.
    Internal,
    /// The user interrupted the run.
    Interrupted,
}

impl HostOutcome {
    /// The outcome of a connection that failed.
    pub fn of_failure(stage: Stage, kind: FailureKind) -> Self {
        match kind {
            kind if kind.is_refusal() => Self::Refused,
            FailureKind::BadOption | FailureKind::InvalidPlan => Self::Misconfigured,
            FailureKind::Cancelled => Self::Interrupted,
            // A host that is down does not answer: a timeout of the connection itself means unreachable.
            FailureKind::Timeout if stage > Stage::Connect => Self::TimedOut,
            _ => Self::Unreachable,
        }
    }

    /// The exit status for this outcome alone.
    pub fn status(self) -> u8 {
        match self {
            Self::Ok => OK,
            Self::CommandFailed => COMMAND_FAILED,
            Self::TimedOut => TIMEOUT,
            Self::Unreachable => UNREACHABLE,
            Self::Refused => REFUSED,
            Self::Misconfigured => USAGE,
            Self::Internal => INTERNAL,
            Self::Interrupted => INTERRUPTED,
        }
    }

    /// The name in `--json` and in summaries.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CommandFailed => "failed",
            Self::TimedOut => "timeout",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Misconfigured => "misconfigured",
            Self::Internal => "internal",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The exit status of a run: that of its most severe outcome. Most severe first: interrupted (130), internal
/// (1), misconfigured (2), refused (5), unreachable (4), timeout (124), command failed (3), ok (0). An outcome
/// is more severe the less it says about the command: if a host was not reached, it is unknown what the
/// command would have done on it.
pub fn exit_status(outcomes: impl IntoIterator<Item = HostOutcome>) -> u8 {
    outcomes.into_iter().max().unwrap_or(HostOutcome::Ok).status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_severe_outcome_decides() {
        let rising = [
            (HostOutcome::Ok, 0),
            (HostOutcome::CommandFailed, 3),
            (HostOutcome::TimedOut, 124),
            (HostOutcome::Unreachable, 4),
            (HostOutcome::Refused, 5),
            (HostOutcome::Misconfigured, 2),
            (HostOutcome::Internal, 1),
            (HostOutcome::Interrupted, 130),
        ];
        for (i, (worse, status)) in rising.into_iter().enumerate() {
            assert_eq!(exit_status([worse]), status);
            for (better, _) in &rising[..i] {
                assert_eq!(exit_status([*better, worse]), status);
                assert_eq!(exit_status([worse, *better, HostOutcome::Ok]), status);
            }
        }
        assert_eq!(exit_status([]), 0);
    }

    #[test]
    fn connection_failures_have_outcomes() {
        let table = [
            (Stage::Connect, FailureKind::ConnectionRefused, HostOutcome::Unreachable),
            (Stage::Connect, FailureKind::Timeout, HostOutcome::Unreachable),
            (Stage::Resolve, FailureKind::Timeout, HostOutcome::Unreachable),
            (Stage::Interpreter, FailureKind::Timeout, HostOutcome::TimedOut),
            (Stage::HostKey, FailureKind::HostKeyChanged, HostOutcome::Refused),
            (Stage::Privilege, FailureKind::PasswordIncorrect, HostOutcome::Refused),
            (Stage::Privilege, FailureKind::NotPermitted, HostOutcome::Refused),
            (Stage::Interpreter, FailureKind::NoInterpreter, HostOutcome::Unreachable),
            (Stage::HostKey, FailureKind::HostKeyUnknown, HostOutcome::Refused),
            (Stage::Spawn, FailureKind::BadOption, HostOutcome::Misconfigured),
            (Stage::Spawn, FailureKind::InvalidPlan, HostOutcome::Misconfigured),
            (Stage::Shell, FailureKind::Cancelled, HostOutcome::Interrupted),
        ];
        for (stage, kind, outcome) in table {
            assert_eq!(HostOutcome::of_failure(stage, kind), outcome, "{stage:?} {kind:?}");
        }
    }
}
