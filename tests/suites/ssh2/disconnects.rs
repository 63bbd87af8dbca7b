//! Ends of connections: the server's process dies, the network is silent, the master shuts down.

use std::time::Duration;

use mitogen::command::{Command, CommandEvent};
use mitogen::dialogue::FailureKind;
use mitogen::transports::ssh2::Options;
use mitogen::{ChildSettings, Keepalive, Python, Value};
use mitogen_tests::{DelayLink, Leaks, Sshd, TestUser, isolated};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{
    STUCK, TIMEOUT, by_key, connect_with, down, is_stuck, master, no_process_left, start, started_by,
    the_process, up,
};
use crate::ssh2;

#[test]
fn the_death_of_the_remote_process_fails_calls() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let leaks = Leaks::start();
        let master = master();
        let context = up(&master.connect(&ssh2(by_key(&server, user.name()))).unwrap());
        let pid: i32 = context.call("os.getpid", ()).unwrap();
        let call = context.call_async::<Value>("time.sleep", (3600,)).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        call.get_timeout(TIMEOUT).expect_err("the child is gone");
        assert!(context.call::<Value>("os.getpid", ()).is_err());
        no_process_left(&leaks);
        master.shutdown();
    });
}

#[test]
fn a_connection_that_is_given_up_leaves_nothing_behind() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let leaks = Leaks::start();
        let master = master();
        let mut options = by_key(&server, user.name());
        options.connect_timeout = Duration::from_secs(3);
        let connecting = connect_with(&master, None, &ssh2(options), &started_by(&STUCK));
        the_process(is_stuck);
        let error = down(&connecting);
        assert_eq!(error.kind, FailureKind::Timeout, "{}", error.report());
        no_process_left(&leaks);
        master.shutdown();
    });
}

#[test]
fn shutting_down_ends_the_remote_side() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let leaks = Leaks::start();
        let master = master();
        for _ in 0..3 {
            up(&master.connect(&ssh2(by_key(&server, user.name()))).unwrap());
        }
        master.shutdown();
        no_process_left(&leaks);
    });
}

/// A server behind a link of 5 ms, and options to reach it.
fn linked(user: &TestUser) -> (Sshd, DelayLink, Options) {
    let server = Sshd::start().unwrap();
    let link = DelayLink::new(server.address(), Duration::from_millis(5)).unwrap();
    server.also_at(link.address()).unwrap();
    let mut options = by_key(&server, user.name());
    options.port = Some(link.port());
    (server, link, options)
}

#[test]
fn a_cut_connection_fails_calls_and_commands() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let (_server, link, options) = linked(&user);
        let leaks = Leaks::start();
        let master = master();
        let context = up(&master.connect(&ssh2(options)).unwrap());
        let (_, events) = start(&context, &Command::shell("trap '' HUP TERM; echo on; sleep 3600"));
        while !matches!(events.recv_timeout(TIMEOUT).unwrap(), CommandEvent::Stdout(_)) {}
        let call = context.call_async::<Value>("time.sleep", (3600,)).unwrap();
        link.cut();
        call.get_timeout(TIMEOUT).expect_err("the connection is cut");
        let last = events.recv_timeout(TIMEOUT).unwrap();
        assert!(matches!(&last, CommandEvent::Failed(_)), "{last:?}");
        no_process_left(&leaks);
        master.shutdown();
    });
}

#[test]
fn a_silent_connection_is_lost() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let (_server, link, options) = linked(&user);
        let master = master();
        let keepalive = Keepalive { interval: Duration::from_millis(500), count: 2 };
        let settings = ChildSettings::new(Python::new()).keepalive(keepalive);
        let context = up(&connect_with(&master, None, &ssh2(options), &settings));
        let call = context.call_async::<Value>("time.sleep", (3600,)).unwrap();
        link.silence();
        let error = call.get_timeout(TIMEOUT).expect_err("the context is lost");
        assert!(error.to_string().contains("no traffic for"), "{error}");
        // The remote side only notices when its connection ends.
        link.cut();
        master.shutdown();
    });
}
