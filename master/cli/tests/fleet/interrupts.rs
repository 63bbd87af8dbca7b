//! SIGINT, SIGTERM, SIGHUP, and a closed standard output.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use mitogen_tests::wait;
use nix::sys::signal::Signal;

use super::scene::Scene;

#[test]
fn the_first_interrupt_is_forwarded() {
    let scene = Scene::new();
    let line = "echo ready; exec sleep 1000";
    let mut started = scene.start(&["run", "n[01-02]", "--", line], Stdio::null());
    let mut lines = [started.line(), started.line()];
    lines.sort_unstable();
    assert_eq!(lines, ["n01: ready\n", "n02: ready\n"]);
    started.signal(Signal::SIGINT);
    assert_eq!(started.message(), "mitogen: interrupted; waiting for n[01-02]; press Ctrl-C again to kill\n");
    let done = scene.finish(started);
    let expected = "mitogen: 2 interrupted\n  n[01-02] (2): interrupted\n";
    assert_eq!((done.status, done.text(), done.err.as_str()), (130, "", expected));
}

#[test]
fn a_command_may_succeed_after_an_interrupt_and_no_other_is_started() {
    let scene = Scene::new();
    let line = "trap 'echo cleaned; exit 0' INT; echo ready; while :; do sleep 0.05; done";
    let mut started = scene.start(&["run", "-f", "1", "--json", "n[01-03]", "--", line], Stdio::null());
    while !started.line().contains("ready") {}
    started.signal(Signal::SIGINT);
    let done = scene.finish(started);
    let ends: Vec<String> = done
        .events()
        .iter()
        .filter(|event| event["event"] == "end")
        .map(|event| format!("{} {}", event["host"].as_str().unwrap(), event["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(ends.len(), 3, "{}", done.text());
    assert!(ends.contains(&"n01 ok".to_owned()) && ends.contains(&"n03 interrupted".to_owned()), "{ends:?}");
    assert!(done.text().contains("cleaned"), "{}", done.text());
    assert_eq!(done.status, 130);
}

#[test]
fn the_second_interrupt_kills() {
    let scene = Scene::new();
    let line = "trap '' INT TERM HUP; echo ready; sleep 1000; sleep 1000";
    let mut started = scene.start(&["run", "n01,deep/d1", "--", line], Stdio::null());
    assert!(started.line().ends_with("ready\n") && started.line().ends_with("ready\n"));
    started.signal(Signal::SIGINT);
    assert!(started.message().starts_with("mitogen: interrupted; waiting for n01,d1; press"));
    started.signal(Signal::SIGINT);
    let done = scene.finish(started);
    assert_eq!(done.status, 130, "{}", done.err);
}

#[test]
fn sigterm_and_sighup_end_the_tree() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let scene = Scene::new();
        let mut started = scene.start(&["run", "local", "--", "echo ready; exec sleep 1000"], Stdio::null());
        assert_eq!(started.line(), "ready\n");
        started.signal(signal);
        assert_eq!(scene.finish(started).status, 130);
    }
}

#[test]
fn an_interrupt_before_any_command_runs_ends_the_run() {
    let scene = Scene::new();
    let mut started = scene.start(&["run", "n01,silent", "--", "echo ready; exec sleep 1000"], Stdio::null());
    assert_eq!(started.line(), "n01: ready\n");
    started.signal(Signal::SIGINT);
    // The one that is still connecting is not waited for.
    assert_eq!(started.message(), "mitogen: interrupted; waiting for n01; press Ctrl-C again to kill\n");
    assert_eq!(scene.finish(started).status, 130);
}

#[test]
fn a_blocked_output_does_not_prevent_the_end() {
    let scene = Scene::new();
    let mut started = scene.start(&["run", "local", "--", "echo ready; exec yes"], Stdio::null());
    assert_eq!(started.line(), "ready\n");
    // Signals that come together merge, so the key is pressed until it helps.
    let ended = wait::until(wait::TIMEOUT, || {
        started.signal(Signal::SIGINT);
        started.child.try_wait().unwrap()
    });
    // A signal that comes when the tree has ended has its old meaning again.
    let ended = ended.expect("an end");
    assert!(ended.code() == Some(130) || ended.signal() == Some(2), "{ended}");
    scene.assert_nothing_left();
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let scene = Scene::new();
    let mitogen = env!("CARGO_BIN_EXE_mitogen");
    let script = format!("trap '' HUP; exec {mitogen} run local -- 'echo ready; read x; echo end'");
    let mut started = Scene::spawn(scene.program("/bin/sh", &["-c", &script]), Stdio::piped());
    assert_eq!(started.line(), "ready\n");
    started.signal(Signal::SIGHUP);
    let done = scene.finish(started);
    assert_eq!((done.status, done.text()), (0, "end\n"));
}
