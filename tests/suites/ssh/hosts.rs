//! Unreachable hosts and host keys.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use mitogen::dialogue::{FailureKind, Stage};
use mitogen::transports::ssh::{CheckHostKeys, Options};
use mitogen_tests::{Sshd, isolated};

use crate::common::{by_key, check, down, master, options, silent_port, ssh, ssh_args, uid, up};

/// Options for a port of this machine without an sshd.
fn at(port: u16) -> Options {
    let mut options = Options::new("127.0.0.1");
    options.port = Some(port);
    options.ssh_args = ssh_args("/dev/null");
    options
}

#[test]
fn closed_ports_and_unknown_names_are_errors() {
    isolated(|| {
        let master = master();
        let refused = master.connect(&ssh(at(silent_port()))).unwrap();
        let mut named = at(22);
        named.hostname = "nowhere.invalid".to_owned();
        let unnamed = master.connect(&ssh(named)).unwrap();
        check(&down(&refused), Stage::Connect, FailureKind::ConnectionRefused);
        let error = down(&unnamed);
        check(&error, Stage::Resolve, FailureKind::NameNotResolved);
        assert!(error.hop.contains("nowhere.invalid") && error.status == Some(255), "{}", error.report());
        master.shutdown();
    });
}

#[test]
fn options_that_ssh_rejects_are_errors() {
    isolated(|| {
        let master = master();
        let mut options = at(22);
        options.ssh_args.extend(["-o".to_owned(), "NoSuchOption=1".to_owned()]);
        let bad = master.connect(&ssh(options)).unwrap();
        let mut options = at(22);
        options.ssh_path = "/nonexistent/ssh".to_owned();
        let missing = master.connect(&ssh(options)).unwrap();
        check(&down(&bad), Stage::Spawn, FailureKind::BadOption);
        check(&down(&missing), Stage::Spawn, FailureKind::SpawnFailed);
        master.shutdown();
    });
}

#[test]
fn a_server_that_sends_nothing_times_out() {
    isolated(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let master = master();
        let mut options = at(listener.local_addr().unwrap().port());
        options.connect_timeout = Duration::from_secs(1);
        let silent = master.connect(&ssh(options.clone())).unwrap();
        let waiting = silent.context().call_async::<u32>("os.getpid", ()).unwrap();
        let error = down(&silent);
        check(&error, Stage::Connect, FailureKind::Timeout);
        let call = waiting.get_timeout(crate::common::TIMEOUT).expect_err("the context is lost");
        assert!(call.to_string().contains("timed out"), "{call}");
        // The same with a terminal.
        options.password = Some(mitogen::dialogue::Secret::new("x"));
        check(&down(&master.connect(&ssh(options)).unwrap()), Stage::Connect, FailureKind::Timeout);
        master.shutdown();
    });
}

#[test]
fn a_host_that_closes_connections_is_retried_up_to_a_limit() {
    isolated(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let counter = std::thread::spawn(move || {
            // The last connection is the test's own, which sends one byte to end the thread.
            let mut count = 0;
            for stream in listener.incoming().flatten() {
                let mut byte = [0];
                let mut stream = stream;
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                if matches!(stream.read(&mut byte), Ok(1)) && &byte == b"." {
                    return count;
                }
                count += 1;
            }
            count
        });
        let master = master();
        check(&down(&master.connect(&ssh(at(port))).unwrap()), Stage::Connect, FailureKind::ConnectionClosed);
        master.shutdown();
        std::io::Write::write_all(&mut std::net::TcpStream::connect(("127.0.0.1", port)).unwrap(), b".")
            .unwrap();
        assert_eq!(counter.join().unwrap(), 5, "one try and four more");
    });
}

#[test]
fn unknown_hosts_follow_the_check_host_keys_option() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        let known = server.key().with_file_name("known_by_us");
        let with = |check| {
            let mut options = by_key(&server, "root");
            options.ssh_args = ssh_args(&known.display().to_string());
            options.check_host_keys = check;
            ssh(options)
        };
        check(
            &down(&master.connect(&with(CheckHostKeys::Enforce)).unwrap()),
            Stage::HostKey,
            FailureKind::HostKeyUnknown,
        );
        assert_eq!(uid(&up(&master.connect(&with(CheckHostKeys::Ignore)).unwrap())), 0);
        assert!(!known.exists(), "a key that was not to be checked was noted");
        assert_eq!(uid(&up(&master.connect(&with(CheckHostKeys::Accept)).unwrap())), 0);
        assert!(std::fs::read_to_string(&known).unwrap().contains(&format!(":{}", server.port())));
        // The host is known now.
        assert_eq!(uid(&up(&master.connect(&with(CheckHostKeys::Enforce)).unwrap())), 0);
        master.shutdown();
    });
}

#[test]
fn a_changed_key_is_refused_unless_ignored() {
    isolated(|| {
        let (server, other) = (Sshd::start().unwrap(), Sshd::start().unwrap());
        // The key of another server, under this one's name.
        let other_key = std::fs::read_to_string(other.known_hosts()).unwrap();
        let wrong = other_key.replace(&other.port().to_string(), &server.port().to_string());
        std::fs::write(server.known_hosts(), wrong).unwrap();
        let master = master();
        for told in [CheckHostKeys::Enforce, CheckHostKeys::Accept] {
            let mut options = by_key(&server, "root");
            options.check_host_keys = told;
            let error = down(&master.connect(&ssh(options)).unwrap());
            check(&error, Stage::HostKey, FailureKind::HostKeyChanged);
        }
        // A password must not be sent to an unverified host.
        let mut options = options(&server, "root");
        options.password = Some(mitogen::dialogue::Secret::new("precious"));
        let error = down(&master.connect(&ssh(options)).unwrap());
        check(&error, Stage::HostKey, FailureKind::HostKeyChanged);
        let mut options = by_key(&server, "root");
        options.check_host_keys = CheckHostKeys::Ignore;
        assert_eq!(uid(&up(&master.connect(&ssh(options)).unwrap())), 0);
        master.shutdown();
    });
}

#[test]
fn shutdown_does_not_wait_for_hosts_and_ends_all_connections() {
    isolated(|| {
        // One host never answers, the other always closes connections: those to the first fill the limit and its queue,
        // those to the second wait for a retry.
        let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let rude = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (silent_port, rude_port) =
            (silent.local_addr().unwrap().port(), rude.local_addr().unwrap().port());
        let master = master();
        let mut connecting: Vec<_> =
            (0..12).map(|_| master.connect(&ssh(at(silent_port))).unwrap()).collect();
        connecting.extend((0..2).map(|_| master.connect(&ssh(at(rude_port))).unwrap()));
        for _ in 0..2 {
            drop(rude.accept().unwrap());
        }
        let waiting: Vec<_> = connecting
            .iter()
            .map(|connecting| connecting.context().call_async::<u32>("os.getpid", ()).unwrap())
            .collect();
        master.shutdown();
        for connecting in connecting {
            let outcome = connecting.wait_deadline(Instant::now() + Duration::from_secs(5));
            let error = outcome.expect("a connection did not end").expect_err("no server answered");
            assert_eq!(error.kind, FailureKind::Cancelled, "{}", error.report());
        }
        for call in waiting {
            call.get_timeout(Duration::from_secs(5)).expect_err("the context is lost");
        }
    });
}
