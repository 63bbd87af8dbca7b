//! Which modules are served: overrides, blocked modules, extension modules, the program itself.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mitogen::modules::{Module, ModuleError, ModuleSource};
use mitogen::{CallError, ChildSettings, Context, Master, MasterOptions, Value};
use mitogen_tests::{isolated, pythons};

use crate::{TIMEOUT, call, chain, finder, started_by};

fn under_every_interpreter(work: impl Fn(&str, ChildSettings)) {
    for python in pythons().iter().filter(|python| python.is_supported()) {
        work(&python.version_text(), started_by(&[&python.path.to_string_lossy()]));
    }
}

fn start(dir: &Path, settings: &ChildSettings, main_script: Option<&Path>) -> (Master, Vec<Context>) {
    let options = MasterOptions::default()
        .modules(vec![finder(&[dir])])
        .settings(settings.clone())
        .main_script(main_script.map(Path::to_owned));
    let master = Master::start(options).expect("a master starts");
    let contexts = chain(&master, settings, 2);
    (master, contexts)
}

fn failure(context: &Context, function: &str) -> String {
    let request = context.request(function.parse().expect("a function's name")).timeout(TIMEOUT);
    match request.call::<Value>() {
        Err(CallError::Remote(remote)) => remote.to_string(),
        other => panic!("{function}: {other:?}"),
    }
}

#[test]
fn an_override_replaces_the_module_of_the_target() {
    isolated(|| {
        under_every_interpreter(|version, settings| {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("colorsys.py"), "def whose():\n    return 'the master'\n")
                .expect("a file");
            let plain = start(dir.path(), &settings, None);
            let error = failure(&plain.1[1], "colorsys.whose");
            assert!(
                error.contains("whose"),
                "without an override it is the target's under {version}: {error}"
            );
            plain.0.shutdown();
            let settings = settings.import_overrides(["colorsys"]);
            let (master, contexts) = start(dir.path(), &settings, None);
            for context in &contexts {
                assert_eq!(call::<String>(context, "colorsys.whose", ()), "the master", "under {version}");
            }
            master.shutdown();
        });
    });
}

#[test]
fn blocked_modules_are_not_served() {
    isolated(|| {
        under_every_interpreter(|version, settings| {
            let dir = tempfile::tempdir().expect("a directory");
            fs::create_dir(dir.path().join("app")).expect("a directory");
            fs::write(dir.path().join("app/__init__.py"), "").expect("a file");
            fs::write(dir.path().join("app/keys.py"), "KEY = 'secret'\ndef f():\n    return KEY\n")
                .expect("a file");
            fs::write(dir.path().join("app/open.py"), "def f():\n    return 1\n").expect("a file");
            let settings = settings.import_blocks(["app.keys"]);
            let (master, contexts) = start(dir.path(), &settings, None);
            assert_eq!(call::<u8>(&contexts[1], "app.open.f", ()), 1);
            let error = failure(&contexts[1], "app.keys.f");
            assert!(
                error.contains("Mitogen won't serve app.keys, it's in the blocks list"),
                "{version}: {error}"
            );
            // A child that requests a blocked module in spite of its own policy is refused.
            let sent = master.module_stats();
            assert_eq!(sent.negative, 1, "under {version}: {sent:?}");
            master.shutdown();
        });
    });
}

#[test]
fn an_extension_module_error_names_the_file_and_the_target() {
    isolated(|| {
        under_every_interpreter(|version, settings| {
            let dir = tempfile::tempdir().expect("a directory");
            let package = dir.path().join("fast");
            fs::create_dir(&package).expect("a directory");
            fs::write(package.join("__init__.py"), "try:\n    from fast._speed import f\nexcept ImportError:\n    f = None\n\ndef has():\n    return f is not None\n").expect("a file");
            let file = package.join("_speed.cpython-311-x86_64-linux-gnu.so");
            fs::write(&file, b"\x7fELF").expect("a file");
            let (master, contexts) = start(dir.path(), &settings, None);
            assert!(!call::<bool>(&contexts[1], "fast.has", ()), "who can do without does, under {version}");
            let error = failure(&contexts[1], "fast._speed.f");
            for word in [&*file.to_string_lossy(), "local.local", version, "install it"] {
                assert!(error.contains(word), "{word} under {version}: {error}");
            }
            master.shutdown();
        });
    });
}

/// A module source that is slow for one module.
#[derive(Debug, Default)]
struct Slow {
    asked: AtomicBool,
    gate: Mutex<()>,
}

impl ModuleSource for Slow {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        if fullname == "slow" {
            self.asked.store(true, Ordering::SeqCst);
            drop(self.gate.lock());
        }
        Ok(None)
    }

    fn resource(&self, _: &str, _: &str) -> Result<Option<Bytes>, ModuleError> {
        Ok(None)
    }
}

#[test]
fn a_slow_module_source_delays_no_other_context() {
    isolated(|| {
        let slow = Arc::new(Slow::default());
        let options = MasterOptions::default().modules(vec![slow.clone()]);
        let master = Master::start(options).expect("a master starts");
        let contexts = chain(&master, master.settings(), 2);
        let gate = slow.gate.lock().expect("not poisoned");
        // The child requests the module when the code runs: the caller cannot know the import in advance.
        let asks = contexts[1].call_async::<Value>("builtins.__import__", ("slow",)).expect("sent");
        let asked = mitogen_tests::wait::until(TIMEOUT, || slow.asked.load(Ordering::SeqCst).then_some(()));
        assert!(asked.is_some());
        // In the meantime other contexts answer calls, and new ones start.
        let late = chain(&master, master.settings(), 2);
        for context in [&contexts[0], &late[0], &late[1]] {
            let _: u32 = call(context, "posix.getpid", ());
        }
        assert!(asks.is_empty());
        drop(gate);
        let error = asks.get_timeout(TIMEOUT).expect_err("there is no such module").to_string();
        assert!(error.contains("slow"), "{error}");
        master.shutdown();
    });
}

#[test]
fn without_a_program_there_is_an_empty_main_module() {
    isolated(|| {
        under_every_interpreter(|version, settings| {
            let dir = tempfile::tempdir().expect("a directory");
            let text = "import sys\n\ndef main():\n    import __main__\n    __main__.kept = 1\n    import __main__ as \
                        again\n    return [__main__.__name__, again.kept, sys.modules['__main__'] is __main__]\n\n\
                        def debug():\n    import io, pdb, rlcompleter\n    said = io.StringIO() if str is not bytes \
                        else __import__('StringIO').StringIO()\n    pdb.Pdb(stdin=io.StringIO(u'p 6 * 7\\nc\\n'), \
                        stdout=said).runeval('1')\n    return '42' in said.getvalue()\n";
            fs::write(dir.path().join("app.py"), text).expect("a file");
            let (master, contexts) = start(dir.path(), &settings, None);
            for context in contexts.iter().rev() {
                let found: (String, u8, bool) = call(context, "app.main", ());
                assert_eq!(found, ("__main__".to_owned(), 1, true), "under {version}");
                assert!(call::<bool>(context, "app.debug", ()), "under {version}");
                let error = failure(context, "__main__.nothing");
                assert!(error.contains("AttributeError"), "under {version}: {error}");
            }
            master.shutdown();
        });
    });
}

#[test]
fn the_program_is_served_without_the_body_of_its_guard() {
    isolated(|| {
        under_every_interpreter(|version, settings| {
            let dir = tempfile::tempdir().expect("a directory");
            let program = dir.path().join("program.py");
            let text = "import helper\n\ndef twice(x):\n    return helper.double(x)\n\nif __name__ == '__main__':\n    raise SystemExit('it ran')\n";
            fs::write(&program, text).expect("a file");
            fs::write(dir.path().join("helper.py"), "def double(x):\n    return 2 * x\n").expect("a file");
            let (master, contexts) = start(dir.path(), &settings, Some(&program));
            for context in contexts.iter().rev() {
                assert_eq!(call::<u8>(context, "__main__.twice", (21,)), 42, "under {version}");
            }
            master.shutdown();
        });
    });
}
