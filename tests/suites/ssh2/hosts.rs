//! Unreachable hosts, broken servers and host keys.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use mitogen::dialogue::{FailureKind, Secret, Stage};
use mitogen::transports::ssh2::{CheckHostKeys, Options};
use mitogen_tests::{Sshd, isolated};

use crate::common::{by_key, check, down, master, options, silent_port, ssh_args, uid, up};
use crate::ssh2;

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
        let refused = master.connect(&ssh2(at(silent_port()))).unwrap();
        let mut named = at(22);
        named.hostname = "nowhere.invalid".to_owned();
        let unnamed = master.connect(&ssh2(named)).unwrap();
        check(&down(&refused), Stage::Connect, FailureKind::ConnectionRefused);
        check(&down(&unnamed), Stage::Resolve, FailureKind::NameNotResolved);
        let mut options = at(22);
        options.ssh_args.extend(["-o".to_owned(), "NoSuchOption=1".to_owned()]);
        check(&down(&master.connect(&ssh2(options)).unwrap()), Stage::Spawn, FailureKind::BadOption);
        let mut options = at(22);
        options.ssh_args.extend(["-J".to_owned(), "bastion.invalid".to_owned()]);
        let error = down(&master.connect(&ssh2(options)).unwrap());
        check(&error, Stage::Spawn, FailureKind::BadOption);
        assert!(error.hint.as_ref().unwrap().contains("method = \"ssh\""), "{}", error.report());
        master.shutdown();
    });
}

/// Servers that say something wrong, or too much, or nothing more.
#[test]
fn broken_servers_are_errors() {
    isolated(|| {
        let master = master();
        let flood = vec![b'x'; 1 << 20];
        let packet = [&b"SSH-2.0-broken\r\n"[..], &[0xff; 64]].concat();
        let short = [&b"SSH-2.0-broken\r\n"[..], &[0, 0, 0, 12, 10, 20]].concat();
        for greeting in
            [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-1.5-old\r\n", &packet, &short, &flood]
        {
            for closes in [true, false] {
                let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
                let mut options = at(listener.local_addr().unwrap().port());
                options.connect_timeout = Duration::from_secs(if closes { 20 } else { 1 });
                let greeting = greeting.to_owned();
                let server = std::thread::spawn(move || {
                    // A connection that was closed is tried again.
                    for stream in listener.incoming() {
                        let mut stream = stream.unwrap();
                        let mut byte = [0];
                        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                        if matches!(stream.read(&mut byte), Ok(1)) && &byte == b"." {
                            return;
                        }
                        let _ = stream.write_all(&greeting);
                        if !closes {
                            // Until the client gives up.
                            let _ = std::io::copy(&mut stream, &mut std::io::sink());
                        }
                    }
                });
                let port = options.port.unwrap();
                let error = down(&master.connect(&ssh2(options)).unwrap());
                assert_eq!(error.stage, Stage::Connect, "{}", error.report());
                std::net::TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(b".").unwrap();
                server.join().unwrap();
            }
        }
        master.shutdown();
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
            ssh2(options)
        };
        let error = down(&master.connect(&with(CheckHostKeys::Enforce)).unwrap());
        check(&error, Stage::HostKey, FailureKind::HostKeyUnknown);
        assert!(error.message.contains("SHA256:"), "{}", error.report());
        assert_eq!(uid(&up(&master.connect(&with(CheckHostKeys::Ignore)).unwrap())), 0);
        assert!(!known.exists(), "a key that was not to be checked was noted");
        assert_eq!(uid(&up(&master.connect(&with(CheckHostKeys::Accept)).unwrap())), 0);
        assert!(std::fs::read_to_string(&known).unwrap().contains(&format!(":{}", server.port())));
        // The host is known now, to ssh as well.
        assert_eq!(uid(&up(&master.connect(&with(CheckHostKeys::Enforce)).unwrap())), 0);
        let mut options = by_key(&server, "root");
        options.ssh_args = ssh_args(&known.display().to_string());
        assert_eq!(uid(&up(&master.connect(&crate::common::ssh(options)).unwrap())), 0);
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
            let error = down(&master.connect(&ssh2(options)).unwrap());
            check(&error, Stage::HostKey, FailureKind::HostKeyChanged);
            assert!(error.message.contains("line 1"), "{}", error.report());
        }
        // A password must not be sent to an unverified host.
        let mut options = options(&server, "root");
        options.password = Some(Secret::new("precious"));
        let error = down(&master.connect(&ssh2(options)).unwrap());
        check(&error, Stage::HostKey, FailureKind::HostKeyChanged);
        let mut options = by_key(&server, "root");
        options.check_host_keys = CheckHostKeys::Ignore;
        assert_eq!(uid(&up(&master.connect(&ssh2(options)).unwrap())), 0);
        master.shutdown();
    });
}
