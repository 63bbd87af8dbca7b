//! Hosts whose cable is pulled: no end of file, no reset, only silence.

use std::time::Duration;

use mitogen::{ChildSettings, Context, Keepalive, Master, Python, Receiver, Value};
use mitogen_tests::netns::Host;
use mitogen_tests::{Leaks, Namespaces, isolated, procs, wait};

use crate::common::{PATIENCE, by_key, connect_with, local, master, no_process_left, ssh, up};
use crate::five::{loss, pid};

/// Asks after this many milliseconds of silence, this often.
fn watched(interval: u64, count: u32) -> ChildSettings {
    let keepalive = Keepalive { interval: Duration::from_millis(interval), count };
    ChildSettings::new(Python::new()).keepalive(keepalive)
}

/// By ssh, which would itself never notice.
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

/// Waits until no ssh is left of those that `parent` has started.
fn no_ssh_below(parent: i32) {
    let left = || {
        let mut found = procs::descendants(parent);
        found.retain(|process| process.parent == parent && process.command.starts_with("ssh "));
        found
    };
    assert!(wait::until(PATIENCE, || left().is_empty().then_some(())).is_some(), "{:#?}", left());
}

#[test]
fn a_host_that_falls_silent_is_given_up_with_all_behind_it() {
    isolated(|| {
        let network = Namespaces::new(2).unwrap();
        let leaks = Leaks::start();
        let master = master();
        // A second at most until it is noticed, by the promise; a minute by the test.
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
            let late = context.call::<Value>("os.getpid", ()).expect_err("no way there").to_string();
            assert!(late.contains(one.name()), "{late}");
        }
        pid(&other);
        other.shutdown().unwrap();
        // At this end nothing stays, though the host has not been heard of since.
        no_ssh_below(i32::try_from(std::process::id()).unwrap());
        // Nor at the other, when it learns what has happened.
        network.set_connected(0, true).unwrap();
        no_process_left(&leaks);
        master.shutdown();
    });
}

#[test]
fn a_host_behind_a_host_is_given_up_by_that_one() {
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
        // And the near one with all that is left behind it.
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
fn a_host_that_comes_back_in_time_is_not_given_up() {
    isolated(|| {
        let network = Namespaces::new(2).unwrap();
        let master = master();
        // Eleven seconds until it is given up, and one of silence.
        let settings = watched(250, 42);
        let one = reach(&master, None, &network.hosts()[0], &settings);
        let two = reach(&master, Some(&one), &network.hosts()[1], &settings);
        let before = [&one, &two].map(pid);
        for host in [0, 1] {
            network.set_connected(host, false).unwrap();
            let calls = [&one, &two].map(|context| context.call_async::<i32>("os.getpid", ()).unwrap());
            std::thread::sleep(Duration::from_secs(1));
            assert!(calls[1].is_empty(), "the cable was not cut");
            network.set_connected(host, true).unwrap();
            for (call, pid) in calls.into_iter().zip(before) {
                assert_eq!(call.get_timeout(PATIENCE).expect("it was only late"), pid);
            }
        }
        master.shutdown();
    });
}
