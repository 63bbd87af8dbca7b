//! Children of a master that run upstream's core.

use std::sync::mpsc;

use mitogen::dialogue::Stage;
use mitogen::pickle::{Binary, Blob};
use mitogen::upstream;
use mitogen::wire::WellKnownHandle;
use mitogen::{CallError, ChildSettings, Context, Master, Upstream, Value};
use mitogen_core::logging::ForwardedLog;
use mitogen_core::router::HandlerOptions;
use mitogen_tests::{Sshd, TestUser, isolated, procs, wait};

use crate::common::{TIMEOUT, by_key, connect_with, down, local, ssh, uid, up};
use crate::releases::{each, master, newest, newest_for_all_accounts};

#[test]
fn every_release_can_be_a_child() {
    isolated(|| {
        each(|release| {
            let master = master();
            let records = forwarded_records(&master);
            let settings = release.settings().log_levels([20, 20, 20]);
            // Without waiting: the call is sent right behind the bootstrap.
            let connecting = connect_with(&master, None, &local(), &settings);
            let child = connecting.context();
            let pid: i32 = child.call("os.getpid", ()).expect("an answer");
            assert_ne!(pid as u32, std::process::id());
            values_are_returned(child);
            errors_are_returned_and_chains_stop(child);
            large_values_are_returned(child);
            upstream_modules_are_served(child);
            logs_and_prints_are_forwarded(child, &records);
            shutdown_ends_the_process(child, pid);
            master.shutdown();
        });
    });
}

pub(crate) fn values_are_returned(child: &Context) {
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
        assert_eq!(back, value);
    }
    let request = child.request("json.dumps".parse().expect("a name")).args((vec![1, 2],));
    let text: String = request.kwarg("sort_keys", true).call().expect("keyword arguments arrive");
    assert_eq!(text, "[1, 2]");
}

pub(crate) fn errors_are_returned_and_chains_stop(child: &Context) {
    let error = child.call::<Value>("json.loads", ("{",)).expect_err("not JSON");
    let CallError::Remote(remote) = error else { panic!("{error:?}") };
    assert!(remote.type_name.ends_with("Error"), "{remote:?}");
    assert!(remote.traceback.is_some_and(|text| text.contains("decoder.py")));
    let error = child.call::<Value>("no_such_module.f", ()).expect_err("no such module");
    assert!(error.to_string().contains("no_such_module"), "{error}");
    let chain = child.chain();
    chain.call_no_reply("os.stat", ("/nonexistent/one",)).expect("sent");
    chain.call_no_reply("os.stat", ("/nonexistent/two",)).expect("sent");
    let error = chain.call::<Value>("os.getpid", ()).expect_err("the first call failed");
    assert!(error.to_string().contains("/nonexistent/one"), "{error}");
    chain.reset().expect("sent");
    let _: u32 = chain.call("os.getpid", ()).expect("forgotten");
}

pub(crate) fn large_values_are_returned(child: &Context) {
    let data: Vec<u8> = (0..4_000_000u32).map(|at| (at % 251) as u8).collect();
    let back: Binary = child.call("copy.copy", (Blob(data.clone().into()),)).expect("an echo");
    assert!(back.0 == data, "the bytes differ");
}

/// Only upstream has `mitogen.utils`; our runtime has a `mitogen.parent` of its own.
pub(crate) fn upstream_modules_are_served(child: &Context) {
    let cast: String = child.call("mitogen.utils.cast", ("word",)).expect("it is served");
    assert_eq!(cast, "word");
    let program: String = child.call("mitogen.parent.get_sys_executable", ()).expect("it is served");
    assert!(program.contains("python"), "{program}");
    let missing = child.call::<Value>("mitogen.nothing.f", ()).expect_err("no release has it");
    assert!(missing.to_string().contains("nothing"), "{missing}");
}

pub(crate) fn forwarded_records(master: &Master) -> mpsc::Receiver<String> {
    let (sender, records) = mpsc::channel();
    let handle = Some(WellKnownHandle::ForwardLog.handle());
    master.router().add_handler(handle, HandlerOptions::default(), move |delivery| {
        if let Some(log) = ForwardedLog::parse(&delivery.message.data) {
            let _ = sender.send(format!("{} {}", log.level, log.text));
        }
    });
    records
}

pub(crate) fn logs_and_prints_are_forwarded(child: &Context, records: &mpsc::Receiver<String>) {
    child.call::<Value>("logging.warning", ("a word of %s", "warning")).expect("done");
    child.call::<Value>("os.system", ("echo printed",)).expect("done");
    let mut wanted = vec!["30 a word of warning", "20 printed"];
    while !wanted.is_empty() {
        let record = records.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("{wanted:?} did not arrive"));
        wanted.retain(|words| !record.ends_with(words));
    }
}

pub(crate) fn shutdown_ends_the_process(child: &Context, pid: i32) {
    let (sender, gone) = mpsc::channel();
    child.on_disconnect(move |reason| drop(sender.send(reason.to_owned())));
    child.shutdown().expect("sent");
    gone.recv_timeout(TIMEOUT).expect("a disconnect");
    let ended = wait::until(TIMEOUT, || procs::Process::get(pid).is_none().then_some(()));
    assert!(ended.is_some(), "it was not reaped");
}

#[test]
fn a_failed_core_reports_its_output() {
    isolated(|| {
        let package = tempfile::tempdir().expect("a directory");
        for (name, text) in
            [("__init__.py", "__version__ = (0, 3, 54)\n"), ("core.py", "raise SystemExit('no luck')\n")]
        {
            std::fs::write(package.path().join(name), text).expect("written");
        }
        let package = upstream::find_in(package.path()).expect("a package");
        let master = master();
        let settings = ChildSettings::new(Upstream::new(package));
        let error = down(&connect_with(&master, None, &local(), &settings));
        assert_eq!(error.stage, Stage::Bootstrap, "{}", error.report());
        assert!(error.report().contains("no luck"), "{}", error.report());
        master.shutdown();
    });
}

#[test]
fn files_in_the_current_directory_are_not_imported() {
    isolated(|| {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["pickle.py", "struct.py", "logging.py", "json.py", "site.py"] {
            std::fs::write(dir.path().join(name), "raise SystemExit('hostile')\n").expect("written");
        }
        let release = newest();
        let master = master();
        let python = release.base_interpreter();
        let place = dir.path().display();
        let argv = ["/bin/sh", "-c", &format!("cd {place} && exec {python} \"$@\""), "sh"];
        let settings = release.started_by(&argv);
        let child = up(&connect_with(&master, None, &local(), &settings));
        let text: String = child.call("json.dumps", (Vec::<u8>::new(),)).expect("the library's own");
        assert_eq!(text, "[]");
        master.shutdown();
    });
}

#[test]
fn the_package_is_found_by_asking_an_interpreter() {
    isolated(|| {
        let release = newest();
        let found = upstream::find(&release.interpreter()).expect("it is installed");
        assert_eq!(*found, *release.package());
    });
}

#[test]
fn an_upstream_child_on_another_host_works() {
    isolated(|| {
        let (server, user) = (Sshd::start().expect("a server"), TestUser::new().expect("an account"));
        let release = newest_for_all_accounts();
        let master = master();
        let transport = ssh(by_key(&server, user.name()));
        let child = up(&connect_with(&master, None, &transport, &release.settings()));
        assert_eq!(uid(&child), user.uid());
        // The package is not installed for that account.
        let cast: String = child.call("mitogen.utils.cast", ("word",)).expect("it is served");
        assert_eq!(cast, "word");
        let below = upstream::connect(&child, "local", &[]).expect("a grandchild");
        assert_eq!(uid(&below), user.uid());
        master.shutdown();
    });
}
