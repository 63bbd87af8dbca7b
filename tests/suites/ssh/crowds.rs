//! Many connections at once.

use mitogen::{ConnectHandle, Master, Transport};
use mitogen_tests::{Namespaces, Sshd, isolated};

use crate::common::{TIMEOUT, by_key, master, ssh, up};

const CROWD: u8 = 30;

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Requests all connections and calls before any is up, and counts the threads of this process meanwhile.
fn all_at_once(master: &Master, transports: &[impl Transport]) {
    let before = thread_count();
    let connecting: Vec<ConnectHandle> =
        transports.iter().map(|transport| master.connect(transport).unwrap()).collect();
    let calls: Vec<_> = connecting
        .iter()
        .map(|connecting| connecting.context().call_async::<u32>("os.getpid", ()).unwrap())
        .collect();
    let mut most = 0;
    let all_done = || connecting.iter().all(|connecting| connecting.outcome().is_some());
    mitogen_tests::wait::until(TIMEOUT, || {
        most = most.max(thread_count());
        all_done().then_some(())
    });
    for connecting in &connecting {
        up(connecting);
    }
    let mut pids: Vec<u32> = calls.iter().map(|call| call.get_timeout(TIMEOUT).expect("an answer")).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), transports.len(), "each context is a process of its own");
    assert!(most <= before, "{before} threads before, {most} while connecting");
}

#[test]
fn thirty_contexts_connect_through_one_server() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        let transports: Vec<_> = (0..CROWD).map(|_| ssh(by_key(&server, "root"))).collect();
        all_at_once(&master, &transports);
        master.shutdown();
    });
}

#[test]
fn thirty_hosts_connect_at_once() {
    isolated(|| {
        let net = Namespaces::new(CROWD).unwrap();
        let master = master();
        let transports: Vec<_> = net.hosts().iter().map(|host| ssh(by_key(&host.sshd, "root"))).collect();
        all_at_once(&master, &transports);
        master.shutdown();
    });
}

#[test]
fn all_connections_succeed_although_max_startups_drops_some() {
    isolated(|| {
        let server = Sshd::options().max_startups("2:100:2").start().unwrap();
        let master = master();
        let transports: Vec<_> = (0..12).map(|_| ssh(by_key(&server, "root"))).collect();
        all_at_once(&master, &transports);
        assert!(
            server.log().contains("MaxStartups"),
            "the server dropped no connection, so none was retried"
        );
        master.shutdown();
    });
}
