//! Running reports on lists of events.

use std::sync::Arc;

use mitogen_core::dialogue::{FailureKind, Stage};

use super::*;

/// Events that own what they hold.
pub(super) enum Step {
    Start(usize),
    Out(usize, &'static [u8]),
    Err(usize, &'static [u8]),
    End(usize, End),
}

pub(super) fn hosts(names: &[&str]) -> Arc<[String]> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What a report prints: standard output and standard error. Each step takes a quarter of a second.
pub(super) fn run(report: &mut dyn Report, steps: &[Step]) -> (String, String) {
    let (out, err) = run_bytes(report, steps);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

pub(super) fn run_bytes(report: &mut dyn Report, steps: &[Step]) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut at = Duration::ZERO;
    let mut to = Streams { out: &mut out, err: &mut err };
    for step in steps {
        at += Duration::from_millis(250);
        let event = match step {
            Step::Start(host) => Event::Started(HostId(*host)),
            Step::Out(host, data) => Event::Output(HostId(*host), Channel::Stdout, data),
            Step::Err(host, data) => Event::Output(HostId(*host), Channel::Stderr, data),
            Step::End(host, end) => Event::Ended(HostId(*host), end),
        };
        report.event(&mut to, at, &event).unwrap();
    }
    report.finish(&mut to, at).unwrap();
    (out, err)
}

pub(super) fn refused(message: &str) -> End {
    failed(Stage::Authenticate, FailureKind::AuthenticationFailed, message, Some("check the key"))
}

pub(super) fn unreachable(message: &str) -> End {
    failed(Stage::Connect, FailureKind::ConnectionRefused, message, None)
}

fn failed(stage: Stage, kind: FailureKind, message: &str, hint: Option<&str>) -> End {
    let hint = hint.map(str::to_owned);
    End::Failed(Box::new(ConnectError { hint, ..ConnectError::new("ssh.x", stage, kind, message) }))
}

#[test]
fn ends_describe_themselves() {
    let raised = End::Raised("Traceback (most recent call last):\n  ...\nKeyError: 'x'\n".into());
    let hop = failed(Stage::HostKey, FailureKind::HostKeyChanged, "the key changed", None);
    let table = [
        (End::Exit(0), "", Outcome::Ok, Some(0)),
        (End::Exit(3), "exit status 3", Outcome::CommandFailed, Some(3)),
        (End::Signal(9), "killed by SIGKILL", Outcome::CommandFailed, Some(137)),
        (End::Signal(40), "killed by signal 40", Outcome::CommandFailed, Some(168)),
        (End::Value(Value::from(1)), "", Outcome::Ok, Some(0)),
        (raised, "raised KeyError: 'x'", Outcome::CommandFailed, Some(1)),
        (End::TimedOut(Duration::from_millis(1500)), "no end within 1.5s", Outcome::TimedOut, None),
        (unreachable("nobody listens"), "unreachable: connect: nobody listens", Outcome::Unreachable, None),
        (hop, "refused: host key: the key changed", Outcome::Refused, None),
        (End::NotStarted("x".into()), "cannot be started: x", Outcome::CommandFailed, Some(127)),
        (End::NotCopied("x: y".into()), "x: y", Outcome::CommandFailed, Some(1)),
        (End::Lost("x".into()), "connection lost: x", Outcome::Unreachable, None),
        (End::Interrupted, "interrupted", Outcome::Interrupted, None),
        (End::Internal("x".into()), "internal error: x", Outcome::Internal, None),
    ];
    for (end, text, outcome, rank) in table {
        assert_eq!((end.describe().as_str(), end.outcome(), end.rank()), (text, outcome, rank));
    }
}
