//! Which processes can connect to a listener.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use mitogen::Client;
use mitogen::listen::JoinError;
use mitogen_core::unix::ServerHello;
use mitogen_tests::{TestUser, isolated, run};

use crate::Open;
use crate::common::{TIMEOUT, master};

fn mode(path: &std::path::Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Waits until the peer closes the connection.
fn closed(stream: &mut UnixStream) -> Vec<u8> {
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("it closes");
    said
}

#[test]
fn the_socket_is_private_and_removed_with_the_master() {
    isolated(|| {
        let open = Open::new();
        let path = open.path().to_owned();
        assert_eq!(mode(&path), 0o600);
        let again = open.master.listen(Some(&path)).expect_err("it is in use");
        assert!(again.to_string().contains("a listener is running already"), "{again}");
        open.master.shutdown();
        assert!(!path.exists(), "the socket has outlived its master");
        assert!(matches!(
            Client::connect(&path).unwrap_err(),
            mitogen::ClientError::Join(JoinError::NoSocket { .. })
        ));
    });
}

#[test]
fn without_a_path_the_listener_creates_a_private_directory() {
    isolated(|| {
        let master = master();
        let listener = master.listen(None).expect("a socket");
        let directory = listener.path().parent().unwrap().to_owned();
        assert_eq!((mode(&directory), mode(listener.path())), (0o700, 0o600));
        drop(Client::connect(listener.path()).expect("a client"));
        drop(listener);
        assert!(!directory.exists());
        master.shutdown();
    });
}

#[test]
fn a_silent_client_delays_no_other_and_is_dropped() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        let mut silent = UnixStream::connect(open.path()).unwrap();
        let mut slow = UnixStream::connect(open.path()).unwrap();
        slow.write_all(&[0, 0]).unwrap();
        let client = Client::connect(open.path()).expect("a client");
        let pid: i32 = client.context(child.id(), "child").call("os.getpid", ()).expect("an answer");
        assert_eq!(pid, child.call::<i32>("os.getpid", ()).unwrap());
        assert_eq!((closed(&mut silent), closed(&mut slow)), (vec![], vec![]));
        // Clients that completed the handshake in time stay connected.
        assert_eq!(pid, client.context(child.id(), "child").call::<i32>("os.getpid", ()).unwrap());
        client.shutdown();
        open.master.shutdown();
    });
}

#[test]
fn an_incomplete_handshake_is_harmless() {
    isolated(|| {
        let open = Open::new();
        for said in [&[][..], &[0], &[0, 0, 1]] {
            let mut torn = UnixStream::connect(open.path()).unwrap();
            torn.write_all(said).unwrap();
            torn.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(closed(&mut torn).is_empty());
        }
        // A client that sends invalid frames after the handshake is disconnected.
        let mut loud = UnixStream::connect(open.path()).unwrap();
        loud.write_all(&[0, 0, 0, 9, b'x', b'y', b'z']).unwrap();
        loud.write_all(&[b'x'; 64]).unwrap();
        let answer = ServerHello::LEN + ServerHello::FIRST_FRAME_LEN;
        assert_eq!(closed(&mut loud).len(), answer, "the answer to its hello");
        let client = Client::connect(open.path()).expect("a client");
        client.shutdown();
        open.master.shutdown();
    });
}

#[test]
fn another_user_is_refused_even_if_the_file_mode_admits_them() {
    isolated(|| {
        let open = Open::new();
        let user = TestUser::new().expect("a user");
        // The file mode is relaxed, so that only the listener's own check applies.
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o666)).unwrap();
        let directory = open.path().parent().unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        let above = directory.parent().unwrap();
        fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
        let script = format!(
            "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect({:?})\ns.settimeout(30)\n\
             try:\n    s.sendall(b'\\0\\0\\0\\1')\n    print(len(s.recv(12)))\nexcept ConnectionError:\n    print(0)\n",
            open.path().display().to_string(),
        );
        let said = run::run(&["su", user.name(), "-c", "exec python3 -c \"$0\" </dev/null", "--", &script]);
        let said = said.expect("it runs");
        assert_eq!(said.trim(), "0", "he got an answer");
        open.master.shutdown();
    });
}
