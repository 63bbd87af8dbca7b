//! Helpers for tests: running printers on lists of events.

use std::sync::Arc;
use std::time::Duration;

use mitogen::ConnectError;
use mitogen_core::dialogue::{FailureKind, Stage};
use serde_json::Value;

use super::*;
use crate::exit::HostOutcome;

/// Events that own their data.
pub(super) enum Step {
    Start(usize),
    Out(usize, &'static [u8]),
    Err(usize, &'static [u8]),
    End(usize, HostResult),
}

pub(super) fn hosts(names: &[&str]) -> Arc<[String]> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Runs a printer on the steps, a quarter of a second apart. Returns standard output and standard error.
pub(super) fn run(printer: &mut dyn Printer, steps: &[Step]) -> (String, String) {
    let (out, err) = run_bytes(printer, steps);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

pub(super) fn run_bytes(printer: &mut dyn Printer, steps: &[Step]) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut at = Duration::ZERO;
    let mut to = Streams { out: &mut out, err: &mut err };
    for step in steps {
        at += Duration::from_millis(250);
        let event = match step {
            Step::Start(host) => HostEvent::Started(HostId(*host)),
            Step::Out(host, data) => HostEvent::Output(HostId(*host), StdStream::Stdout, data),
            Step::Err(host, data) => HostEvent::Output(HostId(*host), StdStream::Stderr, data),
            Step::End(host, result) => HostEvent::Ended(HostId(*host), result),
        };
        printer.event(&mut to, at, &event).unwrap();
    }
    printer.finish(&mut to, at).unwrap();
    (out, err)
}

pub(super) fn refused(message: &str) -> HostResult {
    failed(Stage::Authenticate, FailureKind::AuthenticationFailed, message, Some("check the key"))
}

pub(super) fn unreachable(message: &str) -> HostResult {
    failed(Stage::Connect, FailureKind::ConnectionRefused, message, None)
}

fn failed(stage: Stage, kind: FailureKind, message: &str, hint: Option<&str>) -> HostResult {
    let hint = hint.map(str::to_owned);
    HostResult::Failed(Box::new(ConnectError { hint, ..ConnectError::new("ssh.x", stage, kind, message) }))
}

#[test]
fn results_have_a_description_an_outcome_and_a_rank() {
    let raised = HostResult::Raised("Traceback (most recent call last):\n  ...\nKeyError: 'x'\n".into());
    let hop = failed(Stage::HostKey, FailureKind::HostKeyChanged, "the key changed", None);
    let table = [
        (HostResult::Exit(0), "", HostOutcome::Ok, Some(0)),
        (HostResult::Exit(3), "exit status 3", HostOutcome::CommandFailed, Some(3)),
        (HostResult::Signal(9), "killed by SIGKILL", HostOutcome::CommandFailed, Some(137)),
        (HostResult::Signal(40), "killed by signal 40", HostOutcome::CommandFailed, Some(168)),
        (HostResult::Value(Value::from(1)), "", HostOutcome::Ok, Some(0)),
        (raised, "raised KeyError: 'x'", HostOutcome::CommandFailed, Some(1)),
        (
            HostResult::TimedOut(Duration::from_millis(1500)),
            "timed out after 1.5s",
            HostOutcome::TimedOut,
            None,
        ),
        (
            unreachable("connection refused"),
            "unreachable: connect: connection refused",
            HostOutcome::Unreachable,
            None,
        ),
        (hop, "refused: host key: the key changed", HostOutcome::Refused, None),
        (HostResult::NotStarted("x".into()), "cannot start: x", HostOutcome::CommandFailed, Some(127)),
        (
            HostResult::Undecodable("cannot decode".into()),
            "cannot decode",
            HostOutcome::CommandFailed,
            Some(1),
        ),
        (HostResult::NotCopied("x: y".into()), "x: y", HostOutcome::CommandFailed, Some(1)),
        (HostResult::Lost("x".into()), "connection lost: x", HostOutcome::Unreachable, None),
        (HostResult::Interrupted, "interrupted", HostOutcome::Interrupted, None),
        (HostResult::Internal("x".into()), "internal error: x", HostOutcome::Internal, None),
    ];
    for (result, text, outcome, rank) in table {
        assert_eq!((result.describe().as_str(), result.outcome(), result.rank()), (text, outcome, rank));
    }
}
