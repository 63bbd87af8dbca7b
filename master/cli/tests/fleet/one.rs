//! A single target: `local`.

use std::io::Read;
use std::process::Stdio;

use mitogen_tests::procs;

use super::scene::Scene;

#[test]
fn output_is_passed_through_and_the_status_reported() {
    let scene = Scene::new();
    let done = scene.run(&["run", "local", "--", "echo", "a  b", "c\nd", "'\"$x"]);
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, "a  b c\nd '\"$x\n", ""));
    let done = scene.run(&["run", "local", "--", "printf out; printf err >&2; exit 7"]);
    let expected = "errmitogen: 1 failed\n  local: exit status 7\n";
    assert_eq!((done.status, done.text(), done.err.as_str()), (3, "out", expected));
    let done = scene.run(&["run", "-q", "local", "--", "exit 7"]);
    assert_eq!((done.status, done.text(), done.err.as_str()), (3, "", ""));
    let done = scene.run(&["run", "local", "--", "kill -9 $$"]);
    assert_eq!((done.status, done.err.as_str()), (3, "mitogen: 1 failed\n  local: killed by SIGKILL\n"));
}

#[test]
fn a_command_has_its_directory_and_environment() {
    let scene = Scene::new();
    let line = "pwd; echo \"$A,$B\"";
    let done = scene.run(&["run", "local", "--cwd", "/usr", "-e", "A=1 2", "-e", "B==", "--", line]);
    assert_eq!((done.status, done.text()), (0, "/usr\n1 2,=\n"));
}

#[test]
fn a_command_that_cannot_start_is_reported_with_its_cause() {
    let scene = Scene::new();
    let done = scene.run(&["run", "local", "--", "/nowhere/at/all", "x"]);
    assert_eq!((done.status, done.text()), (3, ""));
    assert!(done.err.contains("local: cannot start: "), "{}", done.err);
    assert!(done.err.contains("No such file or directory: '/nowhere/at/all'"), "{}", done.err);
    let done = scene.run(&["run", "local", "--cwd", "/nowhere", "--", "true", "x"]);
    assert!(done.err.contains("local: cannot start: in directory /nowhere: "), "{}", done.err);
}

#[test]
fn a_background_process_does_not_delay_the_end() {
    let scene = Scene::new();
    let mut started = scene.start(&["run", "local", "--", "sleep 1000 & echo $!"], Stdio::null());
    let pid: i32 = started.line().trim().parse().unwrap();
    assert_eq!(started.child.wait().unwrap().code(), Some(0));
    // It was asked for, and is left alone.
    let background = procs::Process::get(pid).expect("it runs");
    assert!(!background.is_zombie());
    procs::kill_now(background.id);
    scene.assert_nothing_left();
}

#[test]
fn commands_time_out() {
    let scene = Scene::new();
    let expected = "mitogen: 1 timeout\n  local: timed out after 0.2s\n";
    let done = scene.run(&["run", "local", "--command-timeout", "0.2", "--", "sleep", "1000"]);
    assert_eq!((done.status, done.err.as_str()), (124, expected));
    let deaf = "trap '' TERM; sleep 1000";
    let done = scene.run(&["run", "local", "--command-timeout", "0.2", "--", deaf]);
    assert_eq!((done.status, done.err.as_str()), (124, expected));
    let done = scene.run(&["call", "local", "--command-timeout", "0.2", "time.sleep", "1000"]);
    assert_eq!((done.status, done.err.as_str()), (124, expected));
}

#[test]
fn connections_time_out() {
    let scene = Scene::new();
    let done = scene.run(&["run", "-T", "0.2", "silent", "--", "true"]);
    assert_eq!(done.status, 124, "{}", done.err);
    assert!(done.err.starts_with("mitogen: 1 timeout\n  silent: timeout: interpreter: "), "{}", done.err);
}

#[test]
fn a_closed_output_ends_the_run_without_an_error() {
    let scene = Scene::new();
    let mut started = scene.start(&["run", "local", "--", "yes"], Stdio::null());
    assert_eq!(started.line(), "y\n");
    drop(started.out);
    let mut err = String::new();
    started.err.read_to_string(&mut err).unwrap();
    assert_eq!((started.child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
    scene.assert_nothing_left();
}

#[test]
fn a_slow_reader_does_not_fill_memory() {
    const SIZE: usize = 64 << 20;
    let scene = Scene::new();
    // It waits at its end, so that there is a process to look at.
    let line = "dd if=/dev/zero bs=1048576 count=64 2>/dev/null; read x; exit 0";
    let mut started = scene.start(&["run", "local", "--", line], Stdio::piped());
    let mut buffer = [0; 4096];
    let mut count = 0;
    while count < SIZE {
        count += started.out.read(&mut buffer).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", started.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: usize = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak < 40 << 10, "{peak} kB");
    assert_eq!(scene.finish(started).status, 0);
}
