//! Upstream children of our contexts: module requests, messages, disconnects.

use mitogen::upstream::{self, UpstreamConnectError};
use mitogen::{CallError, ChildSettings, Context, Master, MasterOptions, Upstream, Value};
use mitogen_core::connect::Peers;
use mitogen_core::ids::Handle;
use mitogen_core::runtime::Feature;
use mitogen_tests::{isolated, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::children::{
    errors_are_returned_and_chains_stop, forwarded_records, large_values_are_returned,
    logs_and_prints_are_forwarded, shutdown_ends_the_process, upstream_modules_are_served,
    values_are_returned,
};
use crate::common::{TIMEOUT, connect_with, local, up};
use crate::releases::{Release, each, master, newest, oldest};
use crate::via::{master_serving, program};

fn ours(master: &Master, via: Option<&Context>) -> Context {
    up(&connect_with(master, via, &local(), master.settings()))
}

fn below(master: &Master, via: &Context, release: &Release) -> Context {
    up(&connect_with(master, Some(via), &local(), &release.settings()))
}

#[test]
fn every_release_can_be_a_child_of_a_context() {
    isolated(|| {
        let program = program();
        each(|release| {
            let master = master_serving(program.path());
            let records = forwarded_records(&master);
            // Under the same interpreter, so that the intermediate context runs under old ones too.
            let settings = crate::common::started_by(&[&release.base_interpreter()]);
            let between = up(&connect_with(&master, None, &local(), &settings));
            let settings = release.settings().log_levels([20, 20, 20]);
            // Without waiting: the call is sent right behind the plan.
            let connecting = connect_with(&master, Some(&between), &local(), &settings);
            let child = connecting.context();
            let pid: i32 = child.call("os.getpid", ()).expect("an answer");
            let parent: i32 = child.call("os.getppid", ()).expect("an answer");
            assert_eq!(parent, between.call::<i32>("os.getpid", ()).expect("an answer"));
            values_are_returned(child);
            errors_are_returned_and_chains_stop(child);
            large_values_are_returned(child);
            upstream_modules_are_served(child);
            let words: Vec<String> = child.call("app.main.words", ()).expect("the program is served");
            assert_eq!(words, ["cast", "from app.other"]);
            logs_and_prints_are_forwarded(child, &records);
            shutdown_ends_the_process(child, pid);
            let _: u32 = between.call("os.getpid", ()).expect("the context continues");
            master.shutdown();
        });
    });
}

#[test]
fn every_release_below_a_context_starts_children() {
    isolated(|| {
        let program = program();
        each(|release| {
            let master = master_serving(program.path());
            // Two of our contexts in between; neither has the modules that the upstream child requests.
            let first = ours(&master, None);
            let between = ours(&master, Some(&first));
            let one = below(&master, &between, release);
            let two = upstream::connect(&one, "local", &[]).expect("a grandchild");
            let three = upstream::connect(&two, "local", &[]).expect("its child");
            for context in [&three, &two, &one] {
                let cast: String = context.call("mitogen.utils.cast", ("word",)).expect("it is served");
                assert_eq!(cast, "word");
                let words: Vec<String> = context.call("app.main.words", ()).expect("the program is served");
                assert_eq!(words, ["cast", "from app.other"]);
            }
            let options = [("python_path", Value::from("/nonexistent/python"))];
            let error = upstream::connect(&one, "local", &options).expect_err("no such interpreter");
            assert!(matches!(error, UpstreamConnectError::Failed { .. }), "{error:?}");
            let pid: i32 = two.call("os.getpid", ()).expect("an answer");
            let waiting = three.call_async::<Value>("time.sleep", (3600,)).expect("sent");
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process exists");
            let error = waiting.get_timeout(TIMEOUT).expect_err("the link is lost");
            assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
            let _: u32 = one.call("os.getpid", ()).expect("the parent continues");
            master.shutdown();
        });
    });
}

#[test]
fn one_context_can_have_children_of_two_releases_and_of_its_own_kind() {
    isolated(|| {
        let master = master();
        let between = ours(&master, None);
        let (old, new) = (below(&master, &between, &oldest()), below(&master, &between, &newest()));
        let same = below(&master, &between, &newest());
        let mine = ours(&master, Some(&between));
        for child in [&old, &new, &same] {
            upstream_modules_are_served(child);
        }
        // This context has our `mitogen.parent`, and its child must get that one from it.
        Peers::of(master.router()).provide(mine.id(), Feature::Children).expect("sent");
        let deep = ours(&master, Some(&mine));
        let _: u32 = deep.call("os.getpid", ()).expect("an answer");
        // Messages between them pass the intermediate context, in an encoding that the receiver can read.
        for (from, to) in [(&new, &old), (&old, &new), (&deep, &old)] {
            let sender = Value::Sender { context: to.id(), handle: Handle(4_000) };
            let text = "a text in a pickle".to_owned();
            from.call::<Value>("mitogen.core:Sender.send", (sender, text)).expect("sent");
            let _: u32 = from.call("os.getpid", ()).expect("an answer");
            let _: u32 = to.call("os.getpid", ()).expect("its link is whole");
        }
        master.shutdown();
    });
}

#[test]
fn upstream_children_end_with_their_parent_context() {
    isolated(|| {
        let master = Master::start(MasterOptions::default()).expect("a master starts");
        let between = ours(&master, None);
        let one = below(&master, &between, &newest());
        let two = upstream::connect(&one, "local", &[]).expect("a grandchild");
        let pids: Vec<i32> = [&between, &one, &two]
            .map(|context| context.call("os.getpid", ()).expect("an answer"))
            .into_iter()
            .collect();
        let waiting =
            [&one, &two].map(|context| context.call_async::<Value>("time.sleep", (3600,)).expect("sent"));
        kill(Pid::from_raw(pids[0]), Signal::SIGKILL).expect("the process exists");
        for receiver in waiting {
            let error = receiver.get_timeout(TIMEOUT).expect_err("the link is lost");
            assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
        }
        for pid in &pids[1..] {
            let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(*pid), None).is_err().then_some(()));
            assert!(gone.is_some(), "{pid} has outlived its parent");
        }
        master.shutdown();
    });
}

#[test]
fn a_failed_core_below_a_context_reports_its_output() {
    isolated(|| {
        let package = tempfile::tempdir().expect("a directory");
        for (name, text) in
            [("__init__.py", "__version__ = (0, 3, 54)\n"), ("core.py", "raise SystemExit('no luck')\n")]
        {
            std::fs::write(package.path().join(name), text).expect("written");
        }
        let package = upstream::find_in(package.path()).expect("a package");
        let master = master();
        let between = ours(&master, None);
        let settings = ChildSettings::new(Upstream::new(package));
        let error = crate::common::down(&connect_with(&master, Some(&between), &local(), &settings));
        assert!(error.report().contains("no luck"), "{}", error.report());
        // The failed child has left no state: the next one runs another package.
        let child = below(&master, &between, &newest());
        upstream_modules_are_served(&child);
        master.shutdown();
    });
}
