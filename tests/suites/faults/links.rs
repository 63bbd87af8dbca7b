//! Links that break, stall, or carry invalid frames.

use bytes::Bytes;
use mitogen::ids::{ContextId, Handle};
use mitogen::wire::{Encoding, Message};
use mitogen::{CallError, Context, Master, Value};
use mitogen_tests::{Leaks, isolated};

use crate::common::{TIMEOUT, local, no_process_left, up};
use crate::fake::{Fake, assert_nothing, fence, listen, payload};

/// A pending call to the fake child; orders are sent after it, so the child has it when it misbehaves.
fn pending(fake: &Fake) -> mitogen::Receiver<Value> {
    fake.context.call_async("os.getpid", ()).expect("sent")
}

/// Checks that only the fake child is lost, with a reason that contains these words, and that nothing is left of it.
fn lost(fake: &Fake, call: &mitogen::Receiver<Value>, words: &str, honest: &Context, leaks: &Leaks) {
    let error = call.get_timeout(TIMEOUT).expect_err("it cannot answer");
    assert!(matches!(&error, CallError::Dead { reason, .. } if reason.contains(words)), "{error:?}");
    assert!(matches!(fake.context.call::<Value>("os.getpid", ()), Err(CallError::Send(_))));
    let _: u32 = honest.call("os.getpid", ()).expect("the context continues");
    no_process_left(leaks);
}

/// Runs `test` with fake children of the master.
fn with_fakes(test: impl Fn(&Master, &dyn Fn() -> (Leaks, Fake), &Context)) {
    let master = crate::fake::master();
    let honest = up(&master.connect(&local()).unwrap());
    let start = || {
        let leaks = Leaks::start();
        (leaks, Fake::start(&master, None))
    };
    test(&master, &start, &honest);
    master.shutdown();
}

#[test]
fn invalid_frames_end_the_link() {
    isolated(|| {
        with_fakes(|_, start, honest| {
            let junk: [&[u8]; 4] =
                [b"\n", b"Segmentation fault (core dumped)\n", &[0; 100], &[b'x'; 300_000]];
            for junk in junk {
                let (leaks, fake) = start();
                let call = pending(&fake);
                fake.order(b'w', junk);
                if junk.len() < 24 {
                    // Too short to be rejected before end of file.
                    fake.order(b'x', b"");
                    lost(&fake, &call, "", honest, &leaks);
                } else {
                    lost(&fake, &call, "corrupt", honest, &leaks);
                }
            }
        });
    });
}

#[test]
fn an_oversized_frame_header_ends_the_link_at_once() {
    isolated(|| {
        with_fakes(|master, start, honest| {
            let limit = u32::try_from(master.router().max_message_size()).unwrap();
            for length in [limit + 1, u32::MAX] {
                let (leaks, fake) = start();
                let call = pending(&fake);
                let mut head = fake.message(ContextId(0), Handle(1), Bytes::new()).header();
                head.length = length;
                fake.order(b'w', &head.encode());
                lost(&fake, &call, "corrupt", honest, &leaks);
            }
        });
    });
}

#[test]
fn split_frames_are_joined_and_incomplete_ones_are_not_delivered() {
    isolated(|| {
        with_fakes(|master, start, honest| {
            let (leaks, fake) = start();
            let receiver = listen(master);
            let call = pending(&fake);
            let frame = |number: u32| {
                let text = format!("number {number}");
                fake.message(ContextId(0), receiver.handle(), payload(&text)).to_bytes()
            };
            let text: Vec<u8> = (0..20).flat_map(frame).collect();
            fake.order(b't', &text);
            for number in 0..20 {
                let value = receiver.get_timeout(TIMEOUT).expect("a message");
                assert_eq!(value, Value::from(format!("number {number}").as_str()));
            }
            let half = frame(20);
            fake.order(b'w', &half[..half.len() - 1]);
            fake.order(b'x', b"");
            lost(&fake, &call, "lost", honest, &leaks);
            assert_nothing(&receiver);
        });
    });
}

#[test]
fn a_child_that_closes_its_link_but_keeps_running_is_killed() {
    isolated(|| {
        with_fakes(|_, start, honest| {
            let (leaks, fake) = start();
            let call = pending(&fake);
            fake.order(b'c', b"");
            lost(&fake, &call, "lost", honest, &leaks);
        });
    });
}

#[test]
fn a_child_that_exits_by_itself_is_reaped() {
    isolated(|| {
        with_fakes(|_, start, honest| {
            let (leaks, fake) = start();
            let call = pending(&fake);
            fake.order(b'x', b"");
            lost(&fake, &call, "lost", honest, &leaks);
        });
    });
}

#[test]
fn stderr_of_a_child_is_drained() {
    isolated(|| {
        with_fakes(|master, start, _| {
            let (_leaks, fake) = start();
            // More than a pipe holds, with and without newlines.
            for _ in 0..10 {
                fake.order(b'e', &[b'x'; 200_000]);
                fake.order(b'e', "a line\n".repeat(10_000).as_bytes());
            }
            fence(master, &fake);
        });
    });
}

#[test]
fn a_child_that_stops_reading_stalls_only_its_own_senders() {
    isolated(|| {
        with_fakes(|master, start, honest| {
            let (_leaks, fake) = start();
            fake.order(b's', b"");
            let big = Bytes::from(vec![0; 1 << 20]);
            for _ in 0..20 {
                let message = Message::new(fake.id(), Handle(5000), Encoding::Raw, big.clone());
                master.router().send(message).expect("queued");
            }
            assert!(master.router().pending_bytes(fake.id()) > 10 << 20);
            let _: u32 = honest.call("os.getpid", ()).expect("the context continues");
            // A thread that waits for buffer space is released when the child is lost.
            std::thread::scope(|scope| {
                let blocked = scope.spawn(|| {
                    let message = Message::new(fake.id(), Handle(5000), Encoding::Raw, big.clone());
                    master.router().send_blocking(message, None)
                });
                let pid = crate::common::the_process(|command| command.contains("fake.py")).id;
                mitogen_tests::procs::kill_now(pid);
                assert!(blocked.join().unwrap().is_err(), "the send succeeded without a receiver");
            });
        });
    });
}

#[test]
fn a_relay_to_a_child_that_stops_reading_pauses_and_resumes() {
    isolated(|| {
        with_fakes(|master, start, honest| {
            let (_, stuck) = start();
            let stuck_pid = crate::common::the_process(|command| command.contains("fake.py")).id;
            let (_, chatty) = start();
            stuck.order(b's', b"");
            // A hundred megabytes from one child to another that does not read.
            let chatter = chatty.message(stuck.id(), Handle(5000), vec![0; 1000]);
            chatty.order(b'r', &chatter.to_bytes());
            let paused = mitogen_tests::wait::until(TIMEOUT, || {
                let pending = master.router().pending_bytes(stuck.id());
                assert!(pending < 50 << 20, "our memory is no place to queue: {pending} bytes");
                (pending > 3 << 20).then_some(())
            });
            assert!(paused.is_some());
            let _: u32 = honest.call("os.getpid", ()).expect("the context continues");
            assert!(master.router().pending_bytes(stuck.id()) < 50 << 20);
            mitogen_tests::procs::kill_now(stuck_pid);
            // The remaining data is not read; other messages of the sender must still be processed.
            fence(master, &chatty);
        });
    });
}
