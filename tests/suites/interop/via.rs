//! Upstream's own methods of starting contexts, used in upstream children of a master.

use std::path::Path;
use std::sync::Arc;

use mitogen::modules::{Finder, FinderOptions};
use mitogen::upstream::{self, UpstreamConnectError};
use mitogen::{CallError, Context, Master, MasterOptions, Value};
use mitogen_tests::{isolated, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{TIMEOUT, local};
use crate::releases::{each, master, newest};

#[test]
fn every_release_starts_children_by_upstream_methods() {
    isolated(|| {
        let program = program();
        each(|release| {
            let master = master_serving(program.path());
            let one = release.child(&master);
            let two = upstream::connect(&one, "local", &[]).expect("a grandchild");
            let three = upstream::connect(&two, "local", &[]).expect("its child");
            let pid: i32 = two.call("os.getpid", ()).expect("an answer");
            let parent: i32 = three.call("os.getppid", ()).expect("an answer");
            assert_eq!(parent, pid, "the intermediate is the parent");
            assert!(three.name().starts_with(two.name()) && two.name().starts_with(one.name()));
            // Modules are served through both.
            let cast: String = three.call("mitogen.utils.cast", ("word",)).expect("it is served");
            assert_eq!(cast, "word");
            for context in [&three, &one] {
                let words: Vec<String> = context.call("app.main.words", ()).expect("the program is served");
                assert_eq!(words, ["cast", "from app.other"]);
            }
            failures_are_explained(&one);
            losses_are_announced(&one, &two, pid);
            master.shutdown();
        });
    });
}

/// A program that imports its own package and upstream's.
pub(crate) fn program() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("app")).expect("made");
    for (name, text) in [
        ("__init__.py", ""),
        ("other.py", "WORDS = u'from app.other'\n"),
        (
            "main.py",
            "import mitogen.core\nimport mitogen.utils\nfrom app import other\n\n\
             def words():\n    return [mitogen.utils.cast(u'cast'), other.WORDS]\n",
        ),
    ] {
        std::fs::write(dir.path().join("app").join(name), text).expect("written");
    }
    dir
}

pub(crate) fn master_serving(path: &Path) -> Master {
    let finder = Finder::new(&FinderOptions::default().path(path)).expect("a finder");
    let options = MasterOptions::default().modules(vec![Arc::new(finder)]);
    Master::start(options).expect("a master starts")
}

fn failures_are_explained(one: &Context) {
    let options = [("python_path", Value::from("/nonexistent/python"))];
    let error = upstream::connect(one, "local", &options).expect_err("no such interpreter");
    assert!(matches!(error, UpstreamConnectError::Failed { .. }), "{error:?}");
    assert!(error.to_string().contains("/nonexistent/python"), "{error}");
    let error = upstream::connect(one, "no_such_method", &[]).expect_err("no such method");
    assert!(matches!(error, UpstreamConnectError::Call { .. }), "{error:?}");
    let _: u32 = one.call("os.getpid", ()).expect("the context continues");
}

fn losses_are_announced(one: &Context, two: &Context, pid: i32) {
    let waiting = two.call_async::<Value>("time.sleep", (3600,)).expect("sent");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process exists");
    let error = waiting.get_timeout(TIMEOUT).expect_err("the context is gone");
    assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
    let _: u32 = one.call("os.getpid", ()).expect("the parent continues");
}

#[test]
fn ids_of_grandchildren_are_unique() {
    isolated(|| {
        let release = newest();
        let master = master();
        let one = release.child(&master);
        let two = upstream::connect(&one, "local", &[]).expect("a grandchild");
        let other = release.child(&master);
        let three = upstream::connect(&other, "local", &[]).expect("a grandchild");
        let four = upstream::connect(&one, "local", &[]).expect("a grandchild");
        let mut ids: Vec<u32> = [&one, &two, &other, &three, &four].map(|context| context.id().0).to_vec();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5, "{ids:?}");
        master.shutdown();
    });
}

#[test]
fn grandchildren_end_with_a_lost_child() {
    isolated(|| {
        let master = master();
        let one = newest().child(&master);
        let two = upstream::connect(&one, "local", &[]).expect("a grandchild");
        let (one_pid, two_pid): (i32, i32) =
            (one.call("os.getpid", ()).expect("an answer"), two.call("os.getpid", ()).expect("an answer"));
        let waiting = two.call_async::<Value>("time.sleep", (3600,)).expect("sent");
        kill(Pid::from_raw(one_pid), Signal::SIGKILL).expect("the process exists");
        let error = waiting.get_timeout(TIMEOUT).expect_err("the link is lost");
        assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
        let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(two_pid), None).is_err().then_some(()));
        assert!(gone.is_some(), "the grandchild has outlived its parent");
        master.shutdown();
    });
}

#[test]
fn ours_and_upstream_contexts_start_children_by_their_own_methods() {
    isolated(|| {
        let master = master();
        let one = master.connect(&local()).expect("a plan").wait().expect("a child");
        let two = upstream::connect(&one, "local", &[]).expect("a grandchild");
        assert!(two.name().starts_with(one.name()), "{}", two.name());
        let pid: i32 = one.call("os.getpid", ()).expect("an answer");
        assert_eq!(two.call::<i32>("os.getppid", ()).expect("an answer"), pid);
        let error = upstream::connect(&one, "telnet", &[]).expect_err("there is no such transport");
        assert!(matches!(error, UpstreamConnectError::Failed { .. }), "{error:?}");
        assert!(error.to_string().contains("unknown method `telnet`"), "{error}");
        master.shutdown();
    });
}
