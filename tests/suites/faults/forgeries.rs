//! A child that forges senders, routes and disconnect notifications.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use mitogen::ids::{ContextId, Handle};
use mitogen::wire::{Encoding, IS_DEAD, Message, WellKnownHandle};
use mitogen::{Context, Master, Value, pickle};
use mitogen_tests::isolated;

use crate::common::{TIMEOUT, local, up};
use crate::fake::{Fake, assert_nothing, fence, listen, payload};

const MASTER: ContextId = ContextId(0);

/// A call of `os.mkdir(path)`.
fn mkdir(path: &Path) -> Bytes {
    let text = |text: &str| Value::from(text);
    let path = Value::Tuple(vec![text(path.to_str().unwrap())]);
    let call = Value::Tuple(vec![
        Value::None,
        text("os"),
        Value::None,
        text("mkdir"),
        path,
        Value::Kwargs(Vec::new()),
    ]);
    pickle::to_bytes(&call).unwrap()
}

/// Runs `test` with a fake and an honest child of the master.
fn with_children_of_master(test: impl Fn(&Master, &Fake, &Context)) {
    with_fake_and_honest(0, test);
}

/// The same with children of another context.
fn with_children_of_context(test: impl Fn(&Master, &Fake, &Context)) {
    with_fake_and_honest(1, test);
}

/// A context on this machine, started by the master or by `via`.
fn start(master: &Master, via: Option<&Context>) -> Context {
    let started = match via {
        None => master.connect(&local()),
        Some(via) => master.connect_via(via, &local()),
    };
    up(&started.unwrap())
}

/// Both are children of the last of `depth` chained contexts.
fn with_fake_and_honest(depth: usize, test: impl Fn(&Master, &Fake, &Context)) {
    let master = crate::fake::master();
    let mut between: Vec<Context> = Vec::new();
    for _ in 0..depth {
        between.push(start(&master, between.last()));
    }
    let honest = start(&master, between.last());
    let fake = Fake::start(&master, between.last());
    test(&master, &fake, &honest);
    for context in between.iter().chain([&honest]) {
        let _: u32 = context.call("os.getpid", ()).expect("the context continues");
    }
    let late = up(&master.connect(&local()).unwrap());
    let _: u32 = late.call("os.getpid", ()).expect("the context continues");
    master.shutdown();
}

fn at_every_depth(test: &dyn Fn(&Master, &Fake, &Context)) {
    for depth in 0..3 {
        with_fake_and_honest(depth, test);
    }
}

#[test]
fn messages_with_a_forged_sender_are_dropped() {
    isolated(|| {
        at_every_depth(&|master: &Master, fake: &Fake, honest: &Context| {
            let receiver = listen(master);
            let (me, other) = (fake.id(), honest.id());
            for (src_id, auth_id) in
                [(other, other), (other, me), (me, other), (MASTER, MASTER), (me, MASTER), (MASTER, me)]
            {
                let forged = fake.message(MASTER, receiver.handle(), payload("forged"));
                fake.sends(&Message { src_id, auth_id, ..forged });
            }
            fence(master, fake);
            assert_nothing(&receiver);
        });
    });
}

#[test]
fn calls_with_a_forged_auth_id_are_not_run() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        at_every_depth(&|master: &Master, fake: &Fake, honest: &Context| {
            let path = dir.path().join("made");
            let call = mkdir(&path);
            let names = [
                (fake.id(), fake.id()),
                (fake.id(), MASTER),
                (MASTER, MASTER),
                (honest.id(), honest.id()),
                (fake.id(), honest.id()),
            ];
            for (src_id, auth_id) in names {
                let message = fake.message(honest.id(), WellKnownHandle::CallFunction, call.clone());
                fake.sends(&Message { src_id, auth_id, ..message });
            }
            fence(master, fake);
            // The honest child processes earlier messages before it answers this call.
            let _: u32 = honest.call("os.getpid", ()).unwrap();
            assert!(!path.exists(), "a forged call was run");
            // The same payload from the right sender takes effect.
            let message = Message::new(honest.id(), WellKnownHandle::CallFunction, Encoding::Pickle, call);
            master.router().send(message).unwrap();
            let _: u32 = honest.call("os.getpid", ()).unwrap();
            assert!(path.exists(), "the call of the test is invalid");
            std::fs::remove_dir(path).unwrap();
        });
    });
}

/// The fake child announces routes to its master, its parent and its sibling, and then forges messages from them.
fn claim_routes(parent: ContextId) -> impl Fn(&Master, &Fake, &Context) {
    move |master, fake, honest| {
        let dir = tempfile::tempdir().unwrap();
        for id in [MASTER, parent, honest.id()] {
            fake.sends(&fake.message(parent, WellKnownHandle::AddRoute, format!("{id}:mine")));
        }
        let path = dir.path().join("made");
        for id in [MASTER, parent, honest.id()] {
            let call = fake.message(honest.id(), WellKnownHandle::CallFunction, mkdir(&path));
            fake.sends(&Message { src_id: id, auth_id: id, ..call });
        }
        fence(master, fake);
        let _: u32 = honest.call("os.getpid", ()).unwrap();
        assert!(!path.exists(), "a forged call was run");
    }
}

#[test]
fn a_claimed_route_to_the_master_gives_no_authority() {
    isolated(|| with_children_of_master(claim_routes(MASTER)));
}

#[test]
fn a_claimed_route_to_an_ancestor_gives_no_authority() {
    isolated(|| with_children_of_context(claim_routes(ContextId(1))));
}

#[test]
fn unallocated_context_ids_cannot_be_claimed() {
    isolated(|| {
        let master = crate::fake::master();
        let fake = Fake::start(&master, None);
        for id in fake.id().0 + 1..fake.id().0 + 4 {
            fake.sends(&fake.message(MASTER, WellKnownHandle::AddRoute, format!("{id}:mine")));
        }
        fence(&master, &fake);
        let known: Vec<_> = master.router().contexts().into_iter().map(|(id, _)| id).collect();
        assert_eq!(known, [fake.id()]);
        let parent = up(&master.connect(&local()).unwrap());
        let child = up(&master.connect_via(&parent, &local()).unwrap());
        let _: u32 = child.call("os.getpid", ()).unwrap();
        // It cannot withdraw routes of other contexts either.
        for id in [parent.id(), child.id(), MASTER] {
            fake.sends(&fake.message(MASTER, WellKnownHandle::DelRoute, id.to_string()));
        }
        fence(&master, &fake);
        let _: u32 = child.call("os.getpid", ()).unwrap();
        // It can withdraw its own route.
        fake.sends(&fake.message(MASTER, WellKnownHandle::DelRoute, fake.id().to_string()));
        master.shutdown();
    });
}

#[test]
fn a_claim_does_not_block_the_later_owner_of_an_id() {
    isolated(|| {
        for depth in 1..3 {
            with_fake_and_honest(depth, |master, fake, honest| {
                let parent = honest.id().0 - 1;
                for id in fake.id().0 + 1..fake.id().0 + 4 {
                    fake.sends(&fake.message(
                        ContextId(parent),
                        WellKnownHandle::AddRoute,
                        format!("{id}:mine"),
                    ));
                }
                fence(master, fake);
                // The replies to those claims arrive before the one to this call.
                let _: u32 = honest.call("os.getpid", ()).unwrap();
                for via in [None, Some(honest)] {
                    let late = start(master, via);
                    assert!(late.id().0 < fake.id().0 + 4, "the claims were for other ids: {late:?}");
                    let code = format!(
                        "import builtins, mitogen.core as core\n\
                         builtins.heard = []\n\
                         port = core.router.add_handler(lambda msg: heard.append((msg.src_id, msg.data)))\n\
                         core.router.route(core.Message({}, 4711, b'', port, core.MGC))",
                        late.id()
                    );
                    let _: Value = honest.call("builtins.exec", (code, Value::Dict(Vec::new()))).unwrap();
                    // The true owner answers that it has no such handle; the fake child would not answer.
                    let expected = format!("[({}, b'invalid handle')]", late.id());
                    let heard = mitogen_tests::wait::until(TIMEOUT, || {
                        let heard: String = honest.call("builtins.eval", ("repr(heard)",)).unwrap();
                        (heard == expected).then_some(())
                    });
                    assert!(heard.is_some(), "what was for {late:?} went astray");
                }
            });
        }
    });
}

#[test]
fn ancestors_and_siblings_run_no_calls_of_a_deep_child() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let master = crate::fake::master();
        let one = start(&master, None);
        let two = start(&master, Some(&one));
        let elsewhere = start(&master, None);
        let behind = start(&master, Some(&elsewhere));
        let fake = Fake::start(&master, Some(&two));
        let path = dir.path().join("made");
        for target in [&one, &two, &elsewhere, &behind] {
            let names = [fake.id(), MASTER, one.id(), two.id(), elsewhere.id(), target.id()];
            for src_id in names {
                for auth_id in names {
                    let call = fake.message(target.id(), WellKnownHandle::CallFunction, mkdir(&path));
                    fake.sends(&Message { src_id, auth_id, ..call });
                }
            }
        }
        fence(&master, &fake);
        for target in [&one, &two, &elsewhere, &behind] {
            let _: u32 = target.call("os.getpid", ()).unwrap();
            assert!(!path.exists(), "{target:?} has obeyed");
        }
        master.shutdown();
    });
}

#[test]
fn forged_dead_messages_end_no_call() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        at_every_depth(&|master: &Master, fake: &Fake, honest: &Context| {
            let gate = dir.path().join(format!("gate{}", honest.id()));
            nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let wait = format!("read line < {}; exit 5", gate.display());
            let call = honest.call_async::<i32>("os.system", (wait,)).unwrap();
            for src_id in [fake.id(), honest.id(), MASTER] {
                for auth_id in [fake.id(), honest.id(), MASTER] {
                    for reply_to in [IS_DEAD, Handle(0)] {
                        let forged = fake.message(MASTER, call.handle(), payload("gone"));
                        fake.sends(&Message { src_id, auth_id, reply_to, ..forged });
                    }
                }
            }
            fence(master, fake);
            assert!(call.is_empty(), "{:?}", call.get());
            std::fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
            assert_eq!(call.get_timeout(TIMEOUT).expect("the true answer"), 5 << 8);
        });
    });
}

#[test]
fn junk_sent_to_every_well_known_handle_is_harmless() {
    isolated(|| {
        at_every_depth(&|master: &Master, fake: &Fake, honest: &Context| {
            let deep: Vec<u8> = std::iter::repeat_n(b'(', 20_000).collect();
            let payloads: [&[u8]; 8] = [
                b"",
                b"\x80\x02N.",
                b"\x80\x02.",
                b"\x80\x02X\xff\xff\xff\x7f",
                b"\x80\x02cos\nsystem\nU\x04exit\x85R.",
                b"999999999999999999999:x",
                b"\xff\xfe\x00",
                &deep,
            ];
            for dst in [MASTER, ContextId(1), honest.id(), ContextId(4711)] {
                for handle in (100..=121).chain([0, 1, 999, 1000, u32::MAX]) {
                    for data in payloads {
                        for (encoding, reply_to) in [
                            (Encoding::Pickle, Handle(1)),
                            (Encoding::Legacy, IS_DEAD),
                            (Encoding::Raw, Handle(0)),
                        ] {
                            let junk = fake.message(dst, Handle(handle), data.to_vec());
                            fake.sends(&Message { encoding, reply_to, ..junk });
                        }
                    }
                }
            }
            fence(master, fake);
        });
    });
}
