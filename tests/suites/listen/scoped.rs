//! Clients with their own modules, which no other client or context can use.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use mitogen::command::{Command, ExitStatus};
use mitogen::modules::{Finder, FinderOptions, ModuleSource};
use mitogen::wire::{Encoding, Message, WellKnownHandle};
use mitogen::{CallError, Client, Context, Master, MasterOptions};
use mitogen_tests::{isolated, procs::Process, pythons, wait};
use tempfile::TempDir;

use crate::Open;
use crate::common::{TIMEOUT, connect_with, local, run, started_by, up};

/// A package `app` whose modules all return its version.
fn app(version: &str) -> (TempDir, Vec<Arc<dyn ModuleSource>>) {
    let dir = tempfile::tempdir().expect("a directory");
    let package = dir.path().join("app");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("__init__.py"), "").unwrap();
    let main = format!(
        "import pkgutil\nfrom app import part\n\ndef versions():\n    from app import late\n    \
         text = pkgutil.get_data('app', 'text').decode()\n    \
         return ' '.join([{version:?}, part.VERSION, late.VERSION, text])\n"
    );
    fs::write(package.join("main.py"), main).unwrap();
    for part in ["part", "late"] {
        fs::write(package.join(format!("{part}.py")), format!("VERSION = {version:?}\n")).unwrap();
    }
    fs::write(package.join("text"), version).unwrap();
    let modules = vec![finder(dir.path())];
    (dir, modules)
}

fn finder(path: &Path) -> Arc<dyn ModuleSource> {
    Arc::new(Finder::new(&FinderOptions::default().path(path)).expect("a finder"))
}

fn versions(context: &Context) -> String {
    context.call("app.main.versions", ()).unwrap_or_else(|error| panic!("{context:?}: {error}"))
}

fn client(open: &Open, modules: Vec<Arc<dyn ModuleSource>>) -> Client {
    let mut client = Client::connect(open.path()).expect("a client");
    client.serve(modules, 10).expect("ids");
    client
}

#[test]
fn each_client_sees_only_its_own_module_versions() {
    isolated(|| {
        let program = "import sys\nfrom app import main\nsys.stdout.write(main.versions())\nsys.exit(3)\n";
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let (_trees, modules) = app("tree");
            let master = Master::start(MasterOptions::default().modules(modules)).expect("a master");
            let open = Open::with(master);
            let settings = started_by(&[&python.path.to_string_lossy()]);
            let child = up(&connect_with(&open.master, None, &local(), &settings));
            let deep = up(&connect_with(&open.master, Some(&child), &local(), &settings));
            // Standard modules that the session has loaded, and modules that it does not have, are both available.
            assert_eq!(versions(&deep), ["tree"; 4].join(" "));
            deep.call::<()>("only.one.has.it", ()).expect_err("no such module");
            let (ones, mut modules) = app("one");
            fs::write(ones.path().join("only.py"), "def one():\n    return 1\n").unwrap();
            modules[0] = finder(ones.path());
            let one = client(&open, modules);
            let (_twos, modules) = app("two");
            let two = client(&open, modules);
            let scoped = |client: &Client, context: &Context| {
                let there = client.context(context.id(), context.name());
                up(&client.scoped_context(&there).expect("sent"))
            };
            let (first, second, shallow) = (scoped(&one, &deep), scoped(&two, &deep), scoped(&two, &child));
            // Alternating, so that a cached module of one client would show up in the other.
            for _ in 0..2 {
                assert_eq!(versions(&first), ["one"; 4].join(" "), "{python:?}");
                assert_eq!(versions(&second), ["two"; 4].join(" "), "{python:?}");
                assert_eq!(versions(&shallow), ["two"; 4].join(" "), "{python:?}");
                assert_eq!(versions(&deep), ["tree"; 4].join(" "), "{python:?}");
            }
            assert_eq!(first.call::<i64>("only.one", ()).expect("it has it"), 1);
            second.call::<i64>("only.one", ()).expect_err("it is not his");
            for (client, version) in [(&one, "one"), (&two, "two"), (&one, "one")] {
                let there = client.context(deep.id(), "deep");
                let output = run(&there, &Command::script(program, ["prog.py"]), b"");
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert_eq!(
                    (said, output.exit),
                    ([version; 4].join(" "), ExitStatus::Code(3)),
                    "{python:?} {stderr}"
                );
            }
            one.shutdown();
            two.shutdown();
            assert_eq!(versions(&deep), ["tree"; 4].join(" "), "{python:?}");
            open.master.shutdown();
        }
    });
}

#[test]
fn scoped_contexts_and_scripts_end_with_their_client() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        let mut one = Client::connect(open.path()).expect("a client");
        let there = one.context(child.id(), "child");
        let none = one.scoped_context(&there).expect_err("ids are not available yet");
        assert_eq!(none.to_string(), "no context id is left for a new context");
        let none = Command::script("", ["-"]).start(&there, |_| ()).expect_err("ids are not available yet");
        assert!(matches!(none, CallError::NoId), "{none}");
        one.serve(Vec::new(), 3).expect("ids");
        let (idle, busy) =
            (up(&one.scoped_context(&there).unwrap()), up(&one.scoped_context(&there).unwrap()));
        let pid = |context: &Context| context.call::<i32>("os.getpid", ()).expect("an answer");
        let pids = [pid(&idle), pid(&busy)];
        let _sleeps = busy.call_async::<()>("time.sleep", (3600,)).expect("sent");
        let two = client(&open, Vec::new());
        let other = up(&two.scoped_context(&two.context(child.id(), "child")).unwrap());
        one.shutdown();
        for pid in pids {
            let gone = wait::until(TIMEOUT, || Process::get(pid).is_none().then_some(()));
            assert!(gone.is_some(), "a scoped context has outlived its client");
        }
        // The session's contexts and those of the other client are unaffected.
        assert_eq!(child.call::<i64>("operator.add", (1, 1)).expect("the context continues"), 2);
        assert_eq!(other.call::<i64>("operator.add", (1, 1)).expect("the context continues"), 2);
        two.shutdown();
        open.master.shutdown();
    });
}

#[test]
fn a_client_serves_only_its_scoped_contexts() {
    isolated(|| {
        let open = Open::new();
        let child = open.child();
        let (_dir, modules) = app("mine");
        let one = client(&open, modules);
        let scoped = up(&one.scoped_context(&one.context(child.id(), "child")).unwrap());
        // A context and another client request the same module.
        let data = "app.main";
        let asks = (one.id().0, 100, mitogen::pickle::Binary::from(data.as_bytes().to_vec()));
        child.call::<()>("mitogen.core.send", asks).expect("sent");
        let two = Client::connect(open.path()).expect("a client");
        let question = Message::new(one.id(), WellKnownHandle::GetModule, Encoding::Legacy, data);
        let answers = Arc::new(std::sync::Mutex::new(0));
        let counted = Arc::clone(&answers);
        let options = mitogen_core::router::HandlerOptions::default();
        two.router().add_handler(Some(WellKnownHandle::LoadModule.handle()), options, move |_| {
            *counted.lock().unwrap() += 1;
        });
        two.router().send(question).expect("sent");
        // Replies would have arrived before this one.
        assert_eq!(versions(&scoped), ["mine"; 4].join(" "));
        two.contexts().expect("a list");
        assert_eq!(*answers.lock().unwrap(), 0);
        one.shutdown();
        two.shutdown();
        open.master.shutdown();
    });
}
