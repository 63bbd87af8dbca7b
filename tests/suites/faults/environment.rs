//! Hostile files where a child runs, and module requests from contexts that are not children.

use mitogen::ids::{ContextId, Handle};
use mitogen::transports::sudo;
use mitogen::wire::{Encoding, Message, WellKnownHandle};
use mitogen::{Context, MasterOptions, Value};
use mitogen_tests::{isolated, pythons, wait};

use crate::common::{TIMEOUT, connect_with, local, started_by, up};
use crate::fake::{self, Fake, fence, listen};

/// Modules that the interpreter, the runtime and calls import.
const BAIT: [&str; 16] = [
    "json.py",
    "os.py",
    "site.py",
    "zlib.py",
    "select.py",
    "logging.py",
    "threading.py",
    "socket.py",
    "struct.py",
    "signal.py",
    "termios.py",
    "sitecustomize.py",
    "usercustomize.py",
    "encodings/__init__.py",
    "mitogen/__init__.py",
    "mitogen/core.py",
];

#[test]
fn hostile_files_in_the_current_directory_are_never_imported() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let sprung = dir.path().join("sprung");
        let trap = format!("open({:?}, 'a').write(__file__ + '\\n')\n", sprung.display().to_string());
        let field = dir.path().join("field");
        for bait in BAIT {
            let file = field.join(bait);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, &trap).unwrap();
        }
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let path = python.path.display().to_string();
            let settings = started_by(&[
                "/bin/sh",
                "-c",
                "cd \"$0\" && exec \"$@\"",
                &field.display().to_string(),
                &path,
            ]);
            let master = fake::master();
            let one = up(&connect_with(&master, None, &local(), &settings));
            let root = sudo::Sudo::new(sudo::Options::new()).unwrap();
            let two = up(&connect_with(&master, Some(&one), &root, &settings));
            for context in [&one, &two] {
                let place: String = context.call("os.getcwd", ()).expect("an answer");
                assert_eq!(std::path::Path::new(&place), field);
                let _: Value = context.call("json.loads", ("1",)).expect("an answer");
                let _: Value = context.call("logging.getLevelName", (10,)).expect("an answer");
                let _: Value = context.call("socket.gethostname", ()).expect("an answer");
            }
            master.shutdown();
            let found = std::fs::read_to_string(&sprung).unwrap_or_default();
            assert_eq!(found, "", "imported under {}", python.version_text());
        }
        // Check that such a file would take effect.
        let python = mitogen_tests::run::find("python3").unwrap();
        std::process::Command::new(python).args(["-c", "import json"]).current_dir(&field).status().unwrap();
        assert!(std::fs::read_to_string(&sprung).unwrap().contains("json.py"), "the test's trap is broken");
    });
}

#[test]
fn modules_are_served_to_children_only() {
    isolated(|| {
        let master = fake::master();
        let parent = up(&master.connect(&local()).unwrap());
        let owner = up(&master.connect_via(&parent, &local()).unwrap());
        let behind = up(&master.connect_via(&owner, &local()).unwrap());
        let stranger = Fake::start(&master, Some(&parent));
        let ask = |dst, handle| {
            let ask = stranger.message(dst, handle, &b"mitogen.parent"[..]);
            stranger.sends(&Message { encoding: Encoding::Legacy, ..ask });
        };
        // Its parent has the module and serves it.
        ask(parent.id(), WellKnownHandle::GetModule);
        let given =
            wait::until(TIMEOUT, || (stranger_got(&master, &stranger) == Value::Int(1)).then_some(()));
        assert!(given.is_some());
        // Its sibling and the sibling's child have it too, but neither is its parent.
        for dst in [owner.id(), behind.id()] {
            for handle in [WellKnownHandle::GetModule, WellKnownHandle::GetResource] {
                ask(dst, handle);
            }
        }
        fence(&master, &stranger);
        for context in [&owner, &behind] {
            let _: u32 = context.call("os.getpid", ()).expect("the context continues");
        }
        assert_eq!(stranger_got(&master, &stranger), Value::Int(1));
        master.shutdown();
    });
}

/// How often the module was sent to the fake child.
fn stranger_got(master: &mitogen::Master, fake: &Fake) -> Value {
    let receiver = listen(master);
    let head = fake.message(ContextId(0), receiver.handle(), &b""[..]);
    let mut text = head.header().encode().to_vec();
    text.truncate(text.len() - 4);
    fake.order(b'n', &text);
    receiver.get_timeout(TIMEOUT).expect("a count")
}

#[test]
fn unidirectional_mode_separates_siblings_at_every_depth() {
    isolated(|| {
        let options =
            MasterOptions::default().unidirectional(true).grace(std::time::Duration::from_millis(300));
        let master = mitogen::Master::start(options).unwrap();
        let one = up(&master.connect(&local()).unwrap());
        let two = up(&master.connect_via(&one, &local()).unwrap());
        for parent in [None, Some(&one), Some(&two)] {
            let start = || match parent {
                None => up(&master.connect(&local()).unwrap()),
                Some(parent) => up(&master.connect_via(parent, &local()).unwrap()),
            };
            let (speaker, target): (Context, Context) = (start(), start());
            let code = format!(
                "import builtins, mitogen.core as core\n\
                 builtins.heard = []\n\
                 port = core.router.add_handler(lambda msg: heard.append((msg.is_dead, msg.data)))\n\
                 core.router.route(core.Message({}, {}, b'', port, core.MGC))",
                target.id(),
                Handle(4711)
            );
            let _: Value = speaker.call("builtins.exec", (code, Value::Dict(Vec::new()))).unwrap();
            let answer = wait::until(TIMEOUT, || {
                let heard: Value = speaker.call("builtins.repr", (eval_heard(&speaker),)).unwrap();
                (heard != Value::from("[]")).then_some(heard)
            });
            let answer = format!("{answer:?}");
            assert!(answer.contains("routing mode prevents"), "{answer}");
        }
        master.shutdown();
    });
}

fn eval_heard(context: &Context) -> Value {
    context.call("builtins.eval", ("heard",)).unwrap()
}
