//! Contexts that outlive their parent.

use mitogen::{CallError, Context, Value};
use mitogen_tests::{isolated, pythons, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{TIMEOUT, local, master, master_with, transport};

fn pid(context: &Context) -> i32 {
    context.call("os.getpid", ()).expect("an answer")
}

fn is_gone(pid: i32) -> bool {
    // A zombie counts as gone.
    mitogen_tests::procs::Process::get(pid).is_none_or(|process| process.is_zombie())
}

fn wait_gone(pid: i32) {
    let gone = wait::until(TIMEOUT, || is_gone(pid).then_some(()));
    assert!(gone.is_some(), "process {pid} does not end");
}

#[test]
fn a_detached_context_outlives_its_master_until_its_work_is_done() {
    isolated(|| {
        let dir = tempfile::tempdir().expect("a directory");
        for (number, python) in pythons().iter().filter(|python| python.is_supported()).enumerate() {
            let master = master_with(python);
            let one = local(&master);
            let two = master.connect_via(&one, &transport()).expect("a plan").wait().expect("a grandchild");
            let work: Vec<_> = [(0, &one), (1, &two)]
                .into_iter()
                .rev()
                .map(|(hop, context)| {
                    let gate = dir.path().join(format!("gate{number}.{hop}"));
                    let done = dir.path().join(format!("done{number}.{hop}"));
                    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a gate");
                    let pid = pid(context);
                    let script = format!("read line < {}; mkdir {}", gate.display(), done.display());
                    context.detach_running("os.system", (script,)).expect("detached");
                    let late = context.call::<Value>("os.getpid", ()).expect_err("the link is cut");
                    assert!(matches!(late, CallError::Send(_)), "{late:?}");
                    (pid, gate, done)
                })
                .collect();
            master.shutdown();
            for (pid, gate, done) in work {
                assert!(!is_gone(pid), "it has ended with its master, under {}", python.version_text());
                std::fs::write(gate, "go\n").expect("the reader is open");
                wait_gone(pid);
                // The master is gone, so this process itself must reap its child.
                let _ = nix::sys::wait::waitpid(Pid::from_raw(pid), None);
                assert!(done.exists(), "it ended before its work was done");
            }
        }
    });
}

/// A running master reaps its children, detached or not. If only the main thread of a killed process has ended, it
/// cannot be reaped yet.
fn wait_reaped(pid: i32) {
    let reaped = wait::until(TIMEOUT, || mitogen_tests::procs::Process::get(pid).is_none().then_some(()));
    assert!(reaped.is_some(), "process {pid} is not waited for");
}

#[test]
fn an_idle_detached_context_ends_while_its_master_runs() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let number = pid(&child);
        child.detach().expect("detached");
        wait_reaped(number);
        let other = local(&master);
        let number = pid(&other);
        other.detach_running("time.sleep", (3600,)).expect("detached");
        assert!(!is_gone(number));
        kill(Pid::from_raw(number), Signal::SIGKILL).expect("the process exists");
        wait_reaped(number);
        master.shutdown();
    });
}
