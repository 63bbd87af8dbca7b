//! Either end is killed at every stage: all waits end with an error, and both sides clean up.

use std::net::TcpListener;

use mitogen::command::{Command, CommandEvent};
use mitogen::dialogue::{FailureKind, Stage};
use mitogen::{CallError, ChildSettings, Context, Keepalive, Python, Value};
use mitogen_tests::procs::kill_now;
use mitogen_tests::{DelayLink, Leaks, Sshd, TestUser, isolated};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{
    STUCK, TIMEOUT, by_key, by_password, check, connect_with, down, is_stuck, master, no_process_left, ssh,
    start, started_by, the_process, up,
};

fn kill_ssh() {
    kill_now(the_process(|command| command.starts_with("ssh -T ")).id);
}

#[test]
fn killing_ssh_before_login_is_an_error() {
    isolated(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let master = master();
        let mut options = mitogen::transports::ssh::Options::new("127.0.0.1");
        options.port = Some(listener.local_addr().unwrap().port());
        options.ssh_args = crate::common::ssh_args("/dev/null");
        let connecting = master.connect(&ssh(options)).unwrap();
        let (_stream, _) = listener.accept().unwrap();
        kill_ssh();
        let error = down(&connecting);
        check(&error, Stage::Connect, FailureKind::Eof);
        assert_eq!(error.signal, Some(9), "{}", error.report());
        master.shutdown();
    });
}

#[test]
fn killing_ssh_while_the_interpreter_starts_is_an_error() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let leaks = Leaks::start();
        let master = master();
        let transport = ssh(by_key(&server, user.name()));
        let connecting = connect_with(&master, None, &transport, &started_by(&STUCK));
        let waiting = connecting.context().call_async::<Value>("os.getpid", ()).unwrap();
        the_process(is_stuck);
        kill_ssh();
        let error = down(&connecting);
        check(&error, Stage::Bootstrap, FailureKind::Eof);
        assert!(waiting.get_timeout(TIMEOUT).is_err());
        no_process_left(&leaks);
        master.shutdown();
    });
}

/// Kills a process during calls and commands; all waits must end with an error, and nothing may be left.
fn lose(options: mitogen::transports::ssh::Options, strike: impl FnOnce(&Context)) {
    let leaks = Leaks::start();
    let master = master();
    let context = up(&master.connect(&ssh(options)).unwrap());
    let (_, events) = start(&context, &Command::shell("trap '' HUP TERM; echo on; sleep 3600"));
    while !matches!(events.recv_timeout(TIMEOUT).unwrap(), CommandEvent::Stdout(_)) {}
    let call = context.call_async::<Value>("time.sleep", (3600,)).unwrap();
    strike(&context);
    let error = call.get_timeout(TIMEOUT).expect_err("the child is gone");
    assert!(matches!(&error, CallError::Dead { .. }), "{error:?}");
    let last = events.recv_timeout(TIMEOUT).unwrap();
    assert!(matches!(&last, CommandEvent::Failed(CallError::Dead { .. })), "{last:?}");
    let error = context.call::<Value>("os.getpid", ()).expect_err("no route");
    assert!(matches!(error, CallError::Send(_)), "{error:?}");
    // While the master and the server still run, because the server's end would end the sessions.
    no_process_left(&leaks);
    master.shutdown();
}

#[test]
fn killing_ssh_fails_calls_and_commands() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        lose(by_key(&server, user.name()), |_| kill_ssh());
        lose(by_password(&server, user.name(), user.password()), |_| kill_ssh());
    });
}

#[test]
fn killing_the_remote_process_fails_calls_and_commands() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let strike = |context: &Context| {
            // Its main thread is blocked, so the process is found through the operating system.
            let ours = mitogen_tests::procs::of_user(user.uid());
            let child = ours.iter().find(|process| process.command.contains("mitogen:")).expect("the child");
            kill(Pid::from_raw(child.id.pid), Signal::SIGKILL).unwrap();
            assert!(context.name().starts_with("ssh."));
        };
        lose(by_key(&server, user.name()), strike);
        lose(by_password(&server, user.name(), user.password()), strike);
    });
}

#[test]
fn a_reset_connection_fails_calls_and_commands() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let link = DelayLink::new(server.address(), std::time::Duration::from_millis(5)).unwrap();
        server.also_at(link.address()).unwrap();
        let mut options = by_key(&server, user.name());
        options.port = Some(link.port());
        // The relay threads of the link start and end with its connections.
        lose(options, |_| link.cut());
    });
}

#[test]
fn a_silent_connection_fails_calls_and_commands() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let link = DelayLink::new(server.address(), std::time::Duration::from_millis(5)).unwrap();
        server.also_at(link.address()).unwrap();
        let mut options = by_key(&server, user.name());
        options.port = Some(link.port());
        // ssh's own keep-alive is off.
        options.keepalive_enabled = false;
        let master = master();
        let keepalive = Keepalive { interval: std::time::Duration::from_millis(500), count: 2 };
        let settings = ChildSettings::new(Python::new()).keepalive(keepalive);
        let context = up(&connect_with(&master, None, &ssh(options), &settings));
        let behind = up(&master.connect_via(&context, &crate::common::local()).unwrap());
        let calls = [&context, &behind].map(|to| to.call_async::<Value>("time.sleep", (3600,)).unwrap());
        link.silence();
        for call in calls {
            let error = call.get_timeout(TIMEOUT).expect_err("the context is lost");
            assert!(
                matches!(&error, CallError::Dead { reason, .. } if reason.contains("no traffic for")),
                "{error:?}"
            );
        }
        // The remote side only notices when its connection ends.
        link.cut();
        master.shutdown();
    });
}

#[test]
fn shutting_a_context_down_ends_its_ssh() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let leaks = Leaks::start();
        let master = master();
        let context = up(&master.connect(&ssh(by_key(&server, user.name()))).unwrap());
        let call = context.call_async::<Value>("time.sleep", (3600,)).unwrap();
        context.shutdown().unwrap();
        assert!(call.get_timeout(TIMEOUT).is_err());
        no_process_left(&leaks);
        master.shutdown();
    });
}
