//! Tests that run with every poller of this system.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mitogen_core::io::{Event, FdSide, Interest, Poller, Residual, Side, Token, default_poller};
use mitogen_core::sys;
use support::{LONG, pollers};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn each(test: impl Fn(&mut dyn Poller)) {
    for (name, mut poller) in pollers() {
        println!("poller: {name}");
        test(&mut *poller);
    }
}

/// What is ready at once, by token.
fn ready(poller: &mut dyn Poller, timeout: Option<Duration>) -> Vec<Event> {
    let mut events = vec![Event { token: Token(999), readable: true, writable: true }];
    poller.poll(&mut events, timeout).unwrap();
    events.sort_by_key(|event| event.token);
    events
}

fn event(token: usize, readable: bool, writable: bool) -> Event {
    Event { token: Token(token), readable, writable }
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

#[test]
fn unread_data_is_reported_again() {
    each(|poller| {
        let (mut a, mut b) = pair();
        poller.register(a.as_fd(), Token(1), Interest::READ).unwrap();
        assert_eq!(ready(poller, NOW), []);
        b.write_all(b"xyz").unwrap();
        let mut byte = [0];
        for _ in 0..3 {
            assert_eq!(ready(poller, Some(LONG)), [event(1, true, false)]);
            a.read_exact(&mut byte).unwrap();
        }
        assert_eq!(ready(poller, NOW), []);
        b.write_all(b"x").unwrap();
        assert_eq!(ready(poller, Some(LONG)), [event(1, true, false)]);
    });
}

/// Readiness that is noted as drained is not reported until the kernel reports a new edge.
#[test]
fn a_drained_direction_is_reported_again_only_after_a_change() {
    let poller = &mut *default_poller().unwrap();
    let (mut a, mut b) = pair();
    let fd = a.as_raw_fd();
    poller.register(a.as_fd(), Token(1), Interest::BOTH).unwrap();
    b.write_all(b"xy").unwrap();
    assert_eq!(ready(poller, Some(LONG)), [event(1, true, true)]);
    // Both notes are false, which shows that the kernel is not asked.
    poller.note_residual(fd, Token(1), Interest::READ, Residual::Drained);
    poller.note_residual(fd, Token(1), Interest::WRITE, Residual::Drained);
    assert_eq!(ready(poller, NOW), []);
    b.write_all(b"z").unwrap();
    assert!(ready(poller, Some(LONG))[0].readable, "something has changed");
    // A note with another token is ignored, and so is one about a direction that was not reported.
    poller.note_residual(fd, Token(2), Interest::READ, Residual::Drained);
    assert!(ready(poller, Some(LONG))[0].readable);
    poller.note_residual(fd, Token(1), Interest::READ, Residual::Drained);
    poller.note_residual(fd, Token(1), Interest::WRITE, Residual::Drained);
    poller.note_residual(fd, Token(1), Interest::READ, Residual::Ready);
    assert_eq!(ready(poller, NOW), []);
    // A new request for a direction checks its state again.
    poller.reregister(fd, Token(1), Interest::NONE).unwrap();
    poller.reregister(fd, Token(1), Interest::READ).unwrap();
    assert_eq!(ready(poller, Some(LONG)), [event(1, true, false)]);

    // A direction noted as ready is reported without asking the kernel, even if it is not ready. The poll does not
    // wait then, and the same event contains other changes.
    a.read_exact(&mut [0; 3]).unwrap();
    poller.note_residual(fd, Token(1), Interest::READ, Residual::Ready);
    assert_eq!(ready(poller, None), [event(1, true, false)]);
    poller.note_residual(fd, Token(1), Interest::READ, Residual::Ready);
    b.write_all(b"x").unwrap();
    assert_eq!(ready(poller, None), [event(1, true, false)]);
    // But not for a direction that is not requested any more.
    poller.note_residual(fd, Token(1), Interest::READ, Residual::Ready);
    poller.reregister(fd, Token(1), Interest::NONE).unwrap();
    assert_eq!(ready(poller, NOW), []);
}

#[test]
fn a_hang_up_is_reported_whatever_was_noted() {
    each(|poller| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let (ours, mut theirs) = pair();
        let (master, slave) = sys::open_pty().unwrap();
        sys::set_nonblock(&master).unwrap();
        poller.register(reader.as_fd(), Token(1), Interest::READ).unwrap();
        poller.register(ours.as_fd(), Token(2), Interest::READ).unwrap();
        poller.register(master.as_fd(), Token(3), Interest::READ).unwrap();
        // The last data and the hang-up arrive together, so there is no second edge.
        writer.write_all(b"x").unwrap();
        theirs.write_all(b"x").unwrap();
        sys::write_all(slave.as_fd(), b"x", Some(support::soon())).unwrap();
        drop(writer);
        drop(theirs);
        drop(slave);
        let all = [event(1, true, false), event(2, true, false), event(3, true, false)];
        for _ in 0..2 {
            let mut seen = Vec::new();
            while seen.len() < all.len() {
                for event in ready(poller, Some(LONG)) {
                    if !seen.contains(&event) {
                        seen.push(event);
                    }
                }
                assert!(!seen.is_empty());
            }
            seen.sort_by_key(|event| event.token);
            assert_eq!(seen, all);
            // Short reads.
            for (token, fd) in [(1, reader.as_fd()), (2, ours.as_fd()), (3, master.as_fd())] {
                let _ = nix::unistd::read(fd, &mut [0; 16]);
                poller.note_residual(fd.as_raw_fd(), Token(token), Interest::READ, Residual::Drained);
            }
        }
    });
}

#[test]
fn a_note_does_not_affect_a_reused_descriptor_number() {
    each(|poller| {
        let (a, mut b) = pair();
        let number = a.as_raw_fd();
        poller.register(a.as_fd(), Token(1), Interest::READ).unwrap();
        b.write_all(b"x").unwrap();
        assert_eq!(ready(poller, Some(LONG)), [event(1, true, false)]);
        poller.note_residual(number, Token(1), Interest::READ, Residual::Ready);
        poller.deregister(number, Token(1));
        poller.register(a.as_fd(), Token(2), Interest::READ).unwrap();
        poller.note_residual(number, Token(1), Interest::READ, Residual::Drained);
        assert_eq!(ready(poller, Some(LONG)), [event(2, true, false)]);
        poller.deregister(number, Token(2));
        (&a).read_exact(&mut [0]).unwrap();
        poller.register(a.as_fd(), Token(3), Interest::READ).unwrap();
        assert_eq!(ready(poller, NOW), []);
    });
}

#[test]
fn the_directions_of_one_descriptor_are_reported_separately() {
    each(|poller| {
        let (a, mut b) = pair();
        let fd = a.as_raw_fd();
        poller.register(a.as_fd(), Token(1), Interest::BOTH).unwrap();
        assert_eq!(ready(poller, Some(LONG)), [event(1, false, true)]);
        b.write_all(b"x").unwrap();
        // kqueue shows the directions as two events.
        let events = ready(poller, Some(LONG));
        assert!(events.iter().any(|event| event.readable) && events.iter().any(|event| event.writable));
        poller.reregister(fd, Token(1), Interest::READ).unwrap();
        assert_eq!(ready(poller, Some(LONG)), [event(1, true, false)]);
        poller.reregister(fd, Token(1), Interest::WRITE).unwrap();
        assert_eq!(ready(poller, Some(LONG)), [event(1, false, true)]);
        poller.reregister(fd, Token(1), Interest::NONE).unwrap();
        assert_eq!(ready(poller, NOW), []);
        poller.reregister(fd, Token(1), Interest::READ).unwrap();
        assert_eq!(ready(poller, Some(LONG)), [event(1, true, false)]);
    });
}

#[test]
fn a_full_socket_is_not_writable_until_it_is_read() {
    each(|poller| {
        let (mut a, mut b) = pair();
        a.set_nonblocking(true).unwrap();
        while a.write(&[0; 4096]).is_ok() {}
        poller.register(a.as_fd(), Token(1), Interest::WRITE).unwrap();
        assert_eq!(ready(poller, NOW), []);
        b.set_nonblocking(true).unwrap();
        while b.read(&mut [0; 65536]).is_ok() {}
        assert_eq!(ready(poller, Some(LONG)), [event(1, false, true)]);
    });
}

#[test]
fn a_hang_up_is_reported_in_the_requested_directions_only() {
    each(|poller| {
        let (reader, writer) = std::io::pipe().unwrap();
        let (broken_reader, broken_writer) = std::io::pipe().unwrap();
        poller.register(reader.as_fd(), Token(1), Interest::READ).unwrap();
        poller.register(broken_writer.as_fd(), Token(2), Interest::WRITE).unwrap();
        drop(writer);
        drop(broken_reader);
        assert_eq!(ready(poller, Some(LONG)), [event(1, true, false), event(2, false, true)]);
        // Without requested directions nothing is reported, so the loop does not spin.
        poller.reregister(reader.as_raw_fd(), Token(1), Interest::NONE).unwrap();
        poller.reregister(broken_writer.as_raw_fd(), Token(2), Interest::NONE).unwrap();
        assert_eq!(ready(poller, NOW), []);
    });
}

#[test]
fn a_closed_terminal_reads_as_end_of_file() {
    each(|poller| {
        let (master, slave) = sys::open_pty().unwrap();
        let mut side = FdSide::new(master).unwrap();
        poller.register(side.fd().unwrap(), Token(1), Interest::READ).unwrap();
        assert_eq!(ready(poller, NOW), []);
        drop(slave);
        assert_eq!(ready(poller, Some(LONG)), [event(1, true, false)]);
        assert_eq!(side.read(&mut [0; 16]).unwrap(), 0);
    });
}

#[test]
fn files_and_the_null_device_are_always_ready() {
    each(|poller| {
        let mut path = tempfile::tempfile().unwrap();
        path.write_all(b"text").unwrap();
        let null = File::open("/dev/null").unwrap();
        poller.register(path.as_fd(), Token(1), Interest::BOTH).unwrap();
        poller.register(null.as_fd(), Token(2), Interest::READ).unwrap();
        for _ in 0..2 {
            assert_eq!(ready(poller, None), [event(1, true, true), event(2, true, false)]);
        }
        poller.reregister(path.as_raw_fd(), Token(1), Interest::NONE).unwrap();
        assert_eq!(ready(poller, None), [event(2, true, false)]);
        poller.deregister(null.as_raw_fd(), Token(2));
        assert_eq!(ready(poller, NOW), []);
        poller.reregister(path.as_raw_fd(), Token(1), Interest::WRITE).unwrap();
        assert_eq!(ready(poller, None), [event(1, false, true)]);
        poller.deregister(path.as_raw_fd(), Token(1));
    });
}

#[test]
fn a_reused_descriptor_number_is_a_new_registration() {
    each(|poller| {
        let (a, mut b) = pair();
        let number = a.as_raw_fd();
        poller.register(a.as_fd(), Token(1), Interest::READ).unwrap();
        b.write_all(b"x").unwrap();
        poller.deregister(number, Token(1));
        drop(a);
        assert_eq!(ready(poller, NOW), []);

        // The same number, made so by hand so that no other thread takes it.
        let (c, mut d) = pair();
        let c = OwnedFd::from(c);
        poller.register(c.as_fd(), Token(2), Interest::READ).unwrap();
        // A late deregistration with the old token must not affect it.
        poller.deregister(c.as_raw_fd(), Token(1));
        assert!(poller.reregister(c.as_raw_fd(), Token(1), Interest::NONE).is_err());
        d.write_all(b"x").unwrap();
        assert_eq!(ready(poller, Some(LONG)), [event(2, true, false)]);
    });
}

#[test]
fn thousands_of_descriptors_are_watched() {
    const COUNT: usize = 1_500;
    let limit = sys::raise_nofile_limit().unwrap();
    assert!(limit as usize > 3 * COUNT, "this test needs a limit above {}, not {limit}", 3 * COUNT);
    each(|poller| {
        let mut pairs: Vec<_> = (0..COUNT).map(|_| pair()).collect();
        for (index, (ours, _)) in pairs.iter().enumerate() {
            poller.register(ours.as_fd(), Token(index), Interest::READ).unwrap();
        }
        assert!(pairs.iter().any(|(ours, _)| ours.as_raw_fd() > 1024));
        assert_eq!(ready(poller, NOW), []);
        for (_, theirs) in &mut pairs {
            theirs.write_all(b"x").unwrap();
        }
        // In as many rounds as it takes, each is shown, and none is starved by its elders.
        let mut seen = vec![false; COUNT];
        let mut rounds = 0;
        while !seen.iter().all(|&seen| seen) {
            for event in ready(poller, Some(LONG)) {
                let index = event.token.0;
                assert!(event.readable && !seen[index]);
                seen[index] = true;
                pairs[index].0.read_exact(&mut [0]).unwrap();
            }
            rounds += 1;
            assert!(rounds <= COUNT);
        }
        for (index, (ours, _)) in pairs.iter().enumerate() {
            poller.deregister(ours.as_raw_fd(), Token(index));
        }
    });
}

#[test]
fn a_busy_descriptor_does_not_starve_the_others() {
    each(|poller| {
        let mut pairs: Vec<_> = (0..600).map(|_| pair()).collect();
        for (index, (ours, theirs)) in pairs.iter_mut().enumerate() {
            theirs.write_all(b"x").unwrap();
            poller.register(ours.as_fd(), Token(index), Interest::READ).unwrap();
        }
        // Nothing is ever read, and every descriptor is still reported.
        let mut seen = vec![false; pairs.len()];
        for _ in 0..4 {
            for event in ready(poller, Some(LONG)) {
                seen[event.token.0] = true;
            }
        }
        assert!(seen.iter().all(|&seen| seen));
    });
}

#[test]
fn wakes_are_merged_and_end_one_wait() {
    each(|poller| {
        let waker = poller.waker();
        for _ in 0..100 {
            waker.wake();
        }
        // Before the wait: it does not sleep.
        assert_eq!(ready(poller, None), []);
        // All of them were for that one.
        let before = Instant::now();
        assert_eq!(ready(poller, Some(Duration::from_millis(20))), []);
        assert!(before.elapsed() >= Duration::from_millis(20), "an old wake was kept");

        // During the wait, again and again.
        let (sender, receiver) = std::sync::mpsc::channel();
        let ringer = std::thread::spawn(move || {
            for _ in 0..500 {
                for _ in 0..3 {
                    waker.clone().wake();
                }
                let () = receiver.recv_timeout(LONG).unwrap();
            }
        });
        for _ in 0..500 {
            let before = Instant::now();
            assert_eq!(ready(poller, Some(LONG)), []);
            assert!(before.elapsed() < LONG, "a wake was lost");
            // A merged wake may be left over: it shows as one early return.
            sender.send(()).unwrap();
        }
        ringer.join().unwrap();
    });
}

#[test]
fn a_wait_never_ends_before_its_timeout() {
    each(|poller| {
        for micros in [1, 300, 1_500, 12_345] {
            let timeout = Duration::from_micros(micros);
            let before = Instant::now();
            assert_eq!(ready(poller, Some(timeout)), []);
            assert!(before.elapsed() >= timeout, "{micros} us");
        }
    });
}
