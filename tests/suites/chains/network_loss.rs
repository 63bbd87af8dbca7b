//! Hosts whose cable is unplugged: neither end of file nor reset, only silence.

use std::time::Duration;

use mitogen::{ChildSettings, Context, Keepalive, Master, Python, Receiver, Value};
use mitogen_tests::netns::Host;
use mitogen_tests::{Leaks, Namespaces, isolated, procs, wait};

use crate::common::{TIMEOUT, by_key, connect_with, local, master, no_process_left, ssh, up};
use crate::five::{loss, pid};

/// Settings that probe a link after this many milliseconds without traffic, this often.
fn watched(interval: u64, count: u32) -> ChildSettings {
    let keepalive = Keepalive { interval: Duration::from_millis(interval), count };
    ChildSettings::new(Python::new()).keepalive(keepalive)
}

/// A context by ssh whose own keep-alive is off.
fn reach(master: &Master, via: Option<&Context>, host: &Host, settings: &ChildSettings) -> Context {
    let mut options = by_key(&host.sshd, "root");
    options.keepalive_enabled = false;
    up(&connect_with(master, via, &ssh(options), settings))
}

fn below(master: &Master, via: &Context) -> Context {
    up(&master.connect_via(via, &local()).unwrap())
}

fn busy(context: &Context) -> Receiver<Value> {
    context.call_async("time.sleep", (3600,)).unwrap()
}

/// Waits until `parent` has no ssh child any more.
fn no_ssh_below(parent: i32) {
    let left = || {
        let mut found = procs::descendants(parent);
        found.retain(|process| process.parent == parent && process.command.starts_with("ssh "));
        found
    };
    assert!(wait::until(TIMEOUT, || left().is_empty().then_some(())).is_some(), "{:#?}", left());
}

#[test]
fn a_silent_host_is_lost_with_all_contexts_behind_it() {
    isolated(|| {
        let network = Namespaces::new(2).unwrap();
        let leaks = Leaks::start();
        let master = master();
        // The configured limit is one second; the test waits longer.
        let settings = watched(250, 2);
        assert_eq!(settings.keepalive.unwrap().detection_time(), Duration::from_secs(1));
        let [one, other] = [0, 1].map(|host| reach(&master, None, &network.hosts()[host], &settings));
        let two = below(&master, &one);
        let calls = [&one, &two].map(busy);
        network.set_connected(0, false).unwrap();
        for call in calls {
            let reason = loss(&call);
            assert!(reason.contains(one.name()) && reason.contains("no traffic for"), "{reason}");
        }
        for context in [&one, &two] {
            let late = context.call::<Value>("os.getpid", ()).expect_err("no route").to_string();
            assert!(late.contains(one.name()), "{late}");
        }
        pid(&other);
        other.shutdown().unwrap();
        // The local side is cleaned up although the host is still unreachable.
        no_ssh_below(i32::try_from(std::process::id()).unwrap());
        // The remote side is cleaned up once it is reachable again.
        network.set_connected(0, true).unwrap();
        no_process_left(&leaks);
        master.shutdown();
    });
}

#[test]
fn a_silent_host_behind_a_host_is_detected_by_its_parent() {
    isolated(|| {
        let network = Namespaces::new(2).unwrap();
        let leaks = Leaks::start();
        let master = master();
        let settings = watched(250, 2);
        let [near, far] = [0, 1].map(|host| &network.hosts()[host]);
        let one = reach(&master, None, near, &settings);
        let beside = below(&master, &one);
        let two = reach(&master, Some(&one), far, &settings);
        let three = below(&master, &two);
        assert!(two.name().starts_with(one.name()) && two.name().contains(&far.address.to_string()));
        let calls = [&two, &three].map(busy);
        network.set_connected(1, false).unwrap();
        for call in calls {
            let reason = loss(&call);
            assert!(reason.contains(two.name()), "{reason}");
        }
        no_ssh_below(pid(&one));
        pid(&beside);
        // Then the first host is lost with all contexts that remain behind it.
        let calls = [&one, &beside].map(busy);
        network.set_connected(0, false).unwrap();
        for call in calls {
            let reason = loss(&call);
            assert!(reason.contains(one.name()) && !reason.contains(two.name()), "{reason}");
        }
        network.set_connected(0, true).unwrap();
        network.set_connected(1, true).unwrap();
        no_process_left(&leaks);
        master.shutdown();
    });
}

#[test]
fn a_host_that_returns_before_the_limit_is_kept() {
    isolated(|| {
        let network = Namespaces::new(2).unwrap();
        let master = master();
        // The limit is eleven seconds, and the silence lasts one.
        let settings = watched(250, 42);
        let one = reach(&master, None, &network.hosts()[0], &settings);
        let two = reach(&master, Some(&one), &network.hosts()[1], &settings);
        let before = [&one, &two].map(pid);
        for host in [0, 1] {
            network.set_connected(host, false).unwrap();
            let calls = [&one, &two].map(|context| context.call_async::<i32>("os.getpid", ()).unwrap());
            std::thread::sleep(Duration::from_secs(1));
            assert!(calls[1].is_empty(), "the host is still connected");
            network.set_connected(host, true).unwrap();
            for (call, pid) in calls.into_iter().zip(before) {
                assert_eq!(call.get_timeout(TIMEOUT).expect("a late answer"), pid);
            }
        }
        master.shutdown();
    });
}
