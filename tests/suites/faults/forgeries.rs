//! A child that claims to be somebody else, or to know what became of somebody else.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use mitogen::ids::{ContextId, Handle};
use mitogen::wire::{Encoding, IS_DEAD, Message, WellKnownHandle};
use mitogen::{Context, Master, Value, pickle};
use mitogen_tests::isolated;

use crate::common::{PATIENCE, local, up};
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

/// Runs `test` with a fake child and an honest one, children of the master.
fn beside(test: impl Fn(&Master, &Fake, &Context)) {
    play(0, test);
}

/// The same with children of another context.
fn behind(test: impl Fn(&Master, &Fake, &Context)) {
    play(1, test);
}

/// A context of this machine, started here or by another.
fn start(master: &Master, via: Option<&Context>) -> Context {
    let started = match via {
        None => master.connect(&local()),
        Some(via) => master.connect_via(via, &local()),
    };
    up(&started.unwrap())
}

/// Both are children of the last of `depth` contexts, each a child of the one before.
fn play(depth: usize, test: impl Fn(&Master, &Fake, &Context)) {
    let master = crate::fake::master();
    let mut between: Vec<Context> = Vec::new();
    for _ in 0..depth {
        between.push(start(&master, between.last()));
    }
    let honest = start(&master, between.last());
    let fake = Fake::start(&master, between.last());
    test(&master, &fake, &honest);
    for context in between.iter().chain([&honest]) {
        let _: u32 = context.call("os.getpid", ()).expect("it lives");
    }
    let late = up(&master.connect(&local()).unwrap());
    let _: u32 = late.call("os.getpid", ()).expect("it lives");
    master.shutdown();
}

fn at_every_depth(test: &dyn Fn(&Master, &Fake, &Context)) {
    for depth in 0..3 {
        play(depth, test);
    }
}

#[test]
fn no_other_name_is_believed() {
    isolated(|| {
        at_every_depth(&|master: &Master, fake: &Fake, honest: &Context| {
            let receiver = listen(master);
            let (me, other) = (fake.id(), honest.id());
            for (src_id, auth_id) in
                [(other, other), (other, me), (me, other), (MASTER, MASTER), (me, MASTER), (MASTER, me)]
            {
                let forged = fake.message(MASTER, receiver.handle(), payload("forged"));
                fake.says(&Message { src_id, auth_id, ..forged });
            }
            fence(master, fake);
            assert_nothing(&receiver);
        });
    });
}

#[test]
fn nobody_is_called_with_borrowed_authority() {
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
                fake.says(&Message { src_id, auth_id, ..message });
            }
            fence(master, fake);
            // The honest child deals with what it has got before it answers this.
            let _: u32 = honest.call("os.getpid", ()).unwrap();
            assert!(!path.exists(), "a forged call was obeyed");
            // The very same payload in the right name is.
            let message = Message::new(honest.id(), WellKnownHandle::CallFunction, Encoding::Pickle, call);
            master.router().send(message).unwrap();
            let _: u32 = honest.call("os.getpid", ()).unwrap();
            assert!(path.exists(), "the test's call is wrong");
            std::fs::remove_dir(path).unwrap();
        });
    });
}

/// The fake child says that its master, its parent and its sibling are behind it, and then speaks in their names.
fn claim_routes(parent: ContextId) -> impl Fn(&Master, &Fake, &Context) {
    move |master, fake, honest| {
        let dir = tempfile::tempdir().unwrap();
        for id in [MASTER, parent, honest.id()] {
            fake.says(&fake.message(parent, WellKnownHandle::AddRoute, format!("{id}:mine")));
        }
        let path = dir.path().join("made");
        for id in [MASTER, parent, honest.id()] {
            let call = fake.message(honest.id(), WellKnownHandle::CallFunction, mkdir(&path));
            fake.says(&Message { src_id: id, auth_id: id, ..call });
        }
        fence(master, fake);
        let _: u32 = honest.call("os.getpid", ()).unwrap();
        assert!(!path.exists(), "a forged call was obeyed");
    }
}

#[test]
fn a_claimed_route_to_the_master_gives_no_authority() {
    isolated(|| beside(claim_routes(MASTER)));
}

#[test]
fn a_claimed_route_to_those_above_gives_no_authority() {
    isolated(|| behind(claim_routes(ContextId(1))));
}

#[test]
fn contexts_that_are_still_to_come_cannot_be_claimed() {
    isolated(|| {
        let master = crate::fake::master();
        let fake = Fake::start(&master, None);
        for id in fake.id().0 + 1..fake.id().0 + 4 {
            fake.says(&fake.message(MASTER, WellKnownHandle::AddRoute, format!("{id}:mine")));
        }
        fence(&master, &fake);
        let known: Vec<_> = master.router().contexts().into_iter().map(|(id, _)| id).collect();
        assert_eq!(known, [fake.id()]);
        let parent = up(&master.connect(&local()).unwrap());
        let child = up(&master.connect_via(&parent, &local()).unwrap());
        let _: u32 = child.call("os.getpid", ()).unwrap();
        // Nor can it take back what is not its own.
        for id in [parent.id(), child.id(), MASTER] {
            fake.says(&fake.message(MASTER, WellKnownHandle::DelRoute, id.to_string()));
        }
        fence(&master, &fake);
        let _: u32 = child.call("os.getpid", ()).unwrap();
        // Itself it can.
        fake.says(&fake.message(MASTER, WellKnownHandle::DelRoute, fake.id().to_string()));
        master.shutdown();
    });
}

#[test]
fn an_id_that_is_still_to_come_cannot_be_kept_from_its_owner() {
    isolated(|| {
        for depth in 1..3 {
            play(depth, |master, fake, honest| {
                let parent = honest.id().0 - 1;
                for id in fake.id().0 + 1..fake.id().0 + 4 {
                    fake.says(&fake.message(
                        ContextId(parent),
                        WellKnownHandle::AddRoute,
                        format!("{id}:mine"),
                    ));
                }
                fence(master, fake);
                // Behind the answers to those claims, which go the same way.
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
                    // The true owner has no such handle; the other would have said nothing.
                    let expected = format!("[({}, b'invalid handle')]", late.id());
                    let heard = mitogen_tests::wait::until(PATIENCE, || {
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
fn nobody_above_or_elsewhere_obeys_a_deep_child() {
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
                    fake.says(&Message { src_id, auth_id, ..call });
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
fn forged_news_ends_no_call() {
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
                        fake.says(&Message { src_id, auth_id, reply_to, ..forged });
                    }
                }
            }
            fence(master, fake);
            assert!(call.is_empty(), "{:?}", call.get());
            std::fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
            assert_eq!(call.get_timeout(PATIENCE).expect("the true answer"), 5 << 8);
        });
    });
}

#[test]
fn junk_at_every_known_handle_harms_nobody() {
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
                            fake.says(&Message { encoding, reply_to, ..junk });
                        }
                    }
                }
            }
            fence(master, fake);
        });
    });
}
