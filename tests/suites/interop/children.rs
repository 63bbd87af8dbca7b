//! Children of ours that run stock's core.

use std::sync::mpsc;

use mitogen::dialogue::Stage;
use mitogen::pickle::{Binary, Blob};
use mitogen::stock;
use mitogen::wire::Standard;
use mitogen::{CallError, ChildSettings, PythonCore, Value};
use mitogen_core::logging::ForwardedLog;
use mitogen_core::router::HandlerOptions;
use mitogen_tests::{isolated, procs, wait};

use crate::common::{PATIENCE, connect_with, down, local};
use crate::releases::{each, master, newest};

#[test]
fn every_release_answers_calls() {
    isolated(|| {
        each(|release| {
            let master = master();
            // Nothing is waited for: the call goes right behind the bootstrap.
            let connecting = connect_with(&master, None, &local(), &release.settings());
            let child = connecting.context();
            let pid: i32 = child.call("os.getpid", ()).unwrap_or_else(|e| panic!("{}: {e}", release.name()));
            assert_ne!(pid as u32, std::process::id());
            let rows = [
                Value::None,
                Value::Bool(true),
                Value::Int(-1),
                Value::Int(1 << 40),
                Value::Float(-0.5),
                Value::from("text \u{1f980}"),
                Value::List(vec![Value::Int(1), Value::from("two"), Value::None]),
                Value::Tuple(vec![Value::Tuple(vec![]), Value::List(vec![])]),
                Value::Dict(vec![(Value::from("key"), Value::Int(3))]),
                Value::Bytes((0..=255).collect::<Vec<u8>>().into()),
            ];
            for value in rows {
                let back: Value = child.call("copy.copy", (&value,)).expect("an answer");
                assert_eq!(back, value, "{}", release.name());
            }
            let text: String = child
                .request("json.dumps".parse().expect("a name"))
                .args((vec![1, 2],))
                .kwarg("sort_keys", true)
                .call()
                .expect("keyword arguments arrive");
            assert_eq!(text, "[1, 2]", "{}", release.name());
            master.shutdown();
        });
    });
}

#[test]
fn every_release_reports_errors_and_stops_chains() {
    isolated(|| {
        each(|release| {
            let master = master();
            let child = release.child(&master);
            let error = child.call::<Value>("json.loads", ("{",)).expect_err("not JSON");
            let CallError::Remote(remote) = error else { panic!("{}: {error:?}", release.name()) };
            assert!(remote.type_name.ends_with("Error"), "{remote:?}");
            assert!(remote.traceback.is_some_and(|text| text.contains("decoder.py")), "{}", release.name());
            let error = child.call::<Value>("no_such_module.f", ()).expect_err("nobody has it");
            assert!(error.to_string().contains("no_such_module"), "{}: {error}", release.name());
            let chain = child.chain();
            chain.call_no_reply("os.stat", ("/nonexistent/one",)).expect("sent");
            chain.call_no_reply("os.stat", ("/nonexistent/two",)).expect("sent");
            let error = chain.call::<Value>("os.getpid", ()).expect_err("the first call failed");
            assert!(error.to_string().contains("/nonexistent/one"), "{}: {error}", release.name());
            chain.reset().expect("sent");
            let _: u32 = chain.call("os.getpid", ()).expect("forgotten");
            drop(chain);
            master.shutdown();
        });
    });
}

#[test]
fn every_release_moves_megabytes_both_ways() {
    isolated(|| {
        each(|release| {
            let master = master();
            let child = release.child(&master);
            let data: Vec<u8> = (0..4_000_000u32).map(|at| (at % 251) as u8).collect();
            let back: Binary = child.call("copy.copy", (Blob(data.clone().into()),)).expect("an echo");
            assert!(back.0 == data, "{}: the bytes differ", release.name());
            master.shutdown();
        });
    });
}

#[test]
fn every_release_forwards_what_it_logs_and_prints() {
    isolated(|| {
        each(|release| {
            let master = master();
            let (sender, records) = mpsc::channel();
            let handle = Some(Standard::ForwardLog.handle());
            master.router().add_handler(handle, HandlerOptions::default(), move |delivery| {
                let log = ForwardedLog::parse(&delivery.message.data).expect("a record");
                let _ = sender.send(format!("{} {} {}", log.logger, log.level, log.text));
            });
            let settings = ChildSettings { log_levels: [20, 20, 20], ..release.settings() };
            let child = crate::common::up(&connect_with(&master, None, &local(), &settings));
            child.call::<Value>("logging.warning", ("a word of %s", "warning")).expect("done");
            child.call::<Value>("os.system", ("echo printed",)).expect("done");
            let mut wanted = vec!["30 a word of warning", "printed"];
            while !wanted.is_empty() {
                let record = records
                    .recv_timeout(PATIENCE)
                    .unwrap_or_else(|_| panic!("{}: {wanted:?} never came", release.name()));
                wanted.retain(|words| !record.ends_with(words));
            }
            master.shutdown();
        });
    });
}

#[test]
fn every_release_ends_when_it_is_asked_to() {
    isolated(|| {
        each(|release| {
            let master = master();
            let child = release.child(&master);
            let pid: i32 = child.call("os.getpid", ()).expect("an answer");
            let (sender, gone) = mpsc::channel();
            child.on_disconnect(move |reason| drop(sender.send(reason.to_owned())));
            child.shutdown().expect("sent");
            gone.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{} stays", release.name()));
            let ended = wait::until(PATIENCE, || procs::Process::get(pid).is_none().then_some(()));
            assert!(ended.is_some(), "{} is not waited for", release.name());
            master.shutdown();
        });
    });
}

#[test]
fn every_release_is_served_its_own_modules() {
    isolated(|| {
        each(|release| {
            let master = master();
            let child = release.child(&master);
            // `mitogen.utils` is stock's alone, `mitogen.parent` there is one of in our runtime, too.
            let cast: String = child.call("mitogen.utils.cast", ("word",)).expect("it is served");
            assert_eq!(cast, "word");
            let _: u32 = child.call("mitogen.parent.get_log_level", ()).unwrap_or_else(|error| {
                panic!("{}: {error}", release.name());
            });
            let missing = child.call::<Value>("mitogen.nothing.f", ()).expect_err("no release has it");
            assert!(missing.to_string().contains("mitogen.nothing"), "{}: {missing}", release.name());
            master.shutdown();
        });
    });
}

#[test]
fn a_core_that_fails_says_why() {
    isolated(|| {
        let package = tempfile::tempdir().expect("a directory");
        for (name, text) in
            [("__init__.py", "__version__ = (0, 3, 54)\n"), ("core.py", "raise SystemExit('no luck')\n")]
        {
            std::fs::write(package.path().join(name), text).expect("written");
        }
        let package = stock::find_in(package.path()).expect("it looks like one");
        let master = master();
        let settings = ChildSettings { core: PythonCore::Stock(package), ..ChildSettings::default() };
        let error = down(&connect_with(&master, None, &local(), &settings));
        assert_eq!(error.stage, Stage::Bootstrap, "{}", error.report());
        assert!(error.report().contains("no luck"), "{}", error.report());
        master.shutdown();
    });
}

#[test]
fn what_lies_in_the_current_directory_is_not_imported() {
    isolated(|| {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["pickle.py", "struct.py", "logging.py", "json.py", "site.py"] {
            std::fs::write(dir.path().join(name), "raise SystemExit('hostile')\n").expect("written");
        }
        let release = newest();
        let master = master();
        let python = release.settings().python.argv.remove(0);
        let place = dir.path().display();
        let argv = ["/bin/sh", "-c", &format!("cd {place} && exec {python} \"$@\""), "sh"];
        let settings = ChildSettings { python: crate::common::started_by(&argv).python, ..release.settings() };
        let child = crate::common::up(&connect_with(&master, None, &local(), &settings));
        let text: String = child.call("json.dumps", ((),)).expect("the library's own");
        assert_eq!(text, "[]");
        master.shutdown();
    });
}
