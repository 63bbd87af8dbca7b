//! Exit statuses: what they mean, and how many outcomes become one status.

use mitogen_core::dialogue::{FailureKind, Stage};

/// All went well.
pub const OK: u8 = 0;
/// A fault of ours.
pub const INTERNAL: u8 = 1;
/// The command line or a profile is wrong; nothing was run, or a transport rejected its options.
pub const USAGE: u8 = 2;
/// A command ended with another status than 0 or by a signal, or a call raised.
pub const COMMAND_FAILED: u8 = 3;
/// A host was not reached, or nothing that we need runs there.
pub const UNREACHABLE: u8 = 4;
/// Somebody refused to let us in: authentication, host keys, privilege.
pub const REFUSED: u8 = 5;
/// A command did not end in time, or a host that answers did not get ready in time.
pub const TIMEOUT: u8 = 124;
/// The user interrupted us.
pub const INTERRUPTED: u8 = 130;

/// How it went with one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Well.
    Ok,
    /// The command or call failed.
    CommandFailed,
    /// Time ran out.
    TimedOut,
    /// The host was not reached.
    Unreachable,
    /// We were not let in.
    Refused,
    /// The transport rejected its options.
    Misconfigured,
    /// A fault of ours.
    Internal,
    /// Given up on the user's wish.
    Interrupted,
}

impl Outcome {
    /// The outcome of a connection that failed.
    pub fn of_failure(stage: Stage, kind: FailureKind) -> Self {
        match kind {
            FailureKind::PasswordRequired
            | FailureKind::PasswordIncorrect
            | FailureKind::AuthenticationFailed
            | FailureKind::UnknownUser
            | FailureKind::NotPermitted
            | FailureKind::TtyRequired
            | FailureKind::HostKeyUnknown
            | FailureKind::HostKeyChanged => Self::Refused,
            FailureKind::BadOption => Self::Misconfigured,
            FailureKind::Cancelled => Self::Interrupted,
            // A host that is down is silent: that it does not answer in time is how we learn it.
            FailureKind::Timeout if stage > Stage::Connect => Self::TimedOut,
            _ => Self::Unreachable,
        }
    }

    /// The exit status of this outcome alone.
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

    /// One word for machines, as in `--json`.
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

/// The exit status of a run: that of its gravest outcome. The order, gravest first, is the order of
/// [`Outcome`] backwards: interrupted (130), internal (1), misconfigured (2), refused (5), unreachable
/// (4), timeout (124), command failed (3), ok (0). The graver one is the one that says less about the
/// command: where a host was not reached, nobody knows what the command would have done there.
pub fn exit_status(outcomes: impl IntoIterator<Item = Outcome>) -> u8 {
    outcomes.into_iter().max().unwrap_or(Outcome::Ok).status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_outcome_decides() {
        let rising = [
            (Outcome::Ok, 0),
            (Outcome::CommandFailed, 3),
            (Outcome::TimedOut, 124),
            (Outcome::Unreachable, 4),
            (Outcome::Refused, 5),
            (Outcome::Misconfigured, 2),
            (Outcome::Internal, 1),
            (Outcome::Interrupted, 130),
        ];
        for (i, (graver, status)) in rising.into_iter().enumerate() {
            assert_eq!(exit_status([graver]), status);
            for (milder, _) in &rising[..i] {
                assert_eq!(exit_status([*milder, graver]), status);
                assert_eq!(exit_status([graver, *milder, Outcome::Ok]), status);
            }
        }
        assert_eq!(exit_status([]), 0);
    }

    #[test]
    fn failures_have_outcomes() {
        let table = [
            (Stage::Connect, FailureKind::ConnectionRefused, Outcome::Unreachable),
            (Stage::Connect, FailureKind::Timeout, Outcome::Unreachable),
            (Stage::Resolve, FailureKind::Timeout, Outcome::Unreachable),
            (Stage::Interpreter, FailureKind::Timeout, Outcome::TimedOut),
            (Stage::HostKey, FailureKind::HostKeyChanged, Outcome::Refused),
            (Stage::Privilege, FailureKind::PasswordIncorrect, Outcome::Refused),
            (Stage::Privilege, FailureKind::NotPermitted, Outcome::Refused),
            (Stage::Interpreter, FailureKind::NoInterpreter, Outcome::Unreachable),
            (Stage::Spawn, FailureKind::BadOption, Outcome::Misconfigured),
            (Stage::Shell, FailureKind::Cancelled, Outcome::Interrupted),
        ];
        for (stage, kind, outcome) in table {
            assert_eq!(Outcome::of_failure(stage, kind), outcome, "{stage:?} {kind:?}");
        }
    }
}
