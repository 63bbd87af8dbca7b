//! The failures of a login, in the words of the transport `ssh` where they mean the same.

use mitogen_core::dialogue::{Failure, FailureKind, Stage};
use ssh2::{Error, ErrorCode};

/// Error codes of libssh2 (`libssh2.h`).
pub(crate) mod code {
    pub(crate) const BANNER_RECEIVE: i32 = -2;
    pub(crate) const BANNER_SEND: i32 = -3;
    pub(crate) const KEX_FAILURE: i32 = -5;
    pub(crate) const SOCKET_SEND: i32 = -7;
    pub(crate) const TIMEOUT: i32 = -9;
    pub(crate) const SOCKET_DISCONNECT: i32 = -13;
    pub(crate) const FILE: i32 = -16;
    pub(crate) const METHOD_NONE: i32 = -17;
    pub(crate) const SOCKET_TIMEOUT: i32 = -30;
    pub(crate) const METHOD_NOT_SUPPORTED: i32 = -33;
    pub(crate) const SOCKET_RECEIVE: i32 = -43;
    pub(crate) const BAD_SOCKET: i32 = -45;
}

/// libssh2's code of an error.
pub(crate) fn code_of(error: &Error) -> i32 {
    match error.code() {
        ErrorCode::Session(code) | ErrorCode::SFTP(code) => code,
    }
}

/// Whether the error says that the connection has ended.
pub(crate) fn is_disconnect(error: &Error) -> bool {
    matches!(
        code_of(error),
        code::BANNER_RECEIVE
            | code::BANNER_SEND
            | code::SOCKET_SEND
            | code::SOCKET_DISCONNECT
            | code::SOCKET_RECEIVE
            | code::BAD_SOCKET
    )
}

/// Whether the error says that a time limit was reached.
pub(crate) fn is_timeout(error: &Error) -> bool {
    matches!(code_of(error), code::TIMEOUT | code::SOCKET_TIMEOUT)
}

pub(crate) fn failure(stage: Stage, kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure::new(stage, kind, message)
}

pub(crate) fn timeout(stage: Stage) -> Failure {
    failure(stage, FailureKind::Timeout, format!("timed out while {}", stage.doing()))
}

/// The failure of the version and key exchange.
pub(crate) fn handshake(error: &Error) -> Failure {
    if is_timeout(error) {
        return timeout(Stage::Connect);
    }
    if is_disconnect(error) {
        let message = "the host closed the connection before authentication";
        return failure(Stage::Connect, FailureKind::ConnectionClosed, message).with_hint(
            "its sshd may have too many unauthenticated connections (MaxStartups) or block this address for a while",
        );
    }
    match code_of(error) {
        code::KEX_FAILURE | code::METHOD_NONE | code::METHOD_NOT_SUPPORTED => failure(
            Stage::Connect,
            FailureKind::Protocol,
            format!("libssh2 and the host's sshd have no common algorithm: {}", error.message()),
        )
        .with_hint("use method = \"ssh\", which has more algorithms"),
        _ => failure(
            Stage::Connect,
            FailureKind::Protocol,
            format!("the key exchange failed: {}", error.message()),
        )
        .with_hint("check that the port is that of an SSH server"),
    }
}

/// The failure of a step after the key exchange that has no better explanation.
pub(crate) fn step(stage: Stage, error: &Error) -> Failure {
    if is_timeout(error) {
        return timeout(stage);
    }
    if is_disconnect(error) {
        return match stage {
            Stage::Authenticate => failure(
                stage,
                FailureKind::AuthenticationFailed,
                "the host closed the connection during authentication",
            )
            .with_hint(
                "the account may be locked or expired, or too many keys were offered: set `identity_file`",
            ),
            _ => failure(stage, FailureKind::Eof, "the connection was lost"),
        };
    }
    failure(stage, FailureKind::Protocol, format!("the host answered wrongly: {}", error.message()))
}

/// Something that libssh2 cannot do.
pub(crate) fn unsupported(what: &str) -> Failure {
    failure(Stage::Spawn, FailureKind::BadOption, format!("the ssh2 transport does not support {what}"))
        .with_hint("use method = \"ssh\" for this host")
}
