//! Contexts that are forks of their parents.

use mitogen::transports::fork::{Fork, Options};
use mitogen::{CallError, RequestError, Value};
use mitogen_tests::{isolated, pythons};

use super::{TIMEOUT, local, master, master_with};

fn fork() -> Fork {
    Fork::new(Options::new()).unwrap()
}

#[test]
fn a_fork_can_be_called_before_it_is_up_under_every_interpreter() {
    isolated(|| {
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let master = master_with(python);
            let parent = local(&master);
            let parent_pid: i32 = parent.call("os.getpid", ()).expect("an answer");
            // The parent is busy during the whole test.
            let busy = parent.call_async::<Value>("time.sleep", (0.5,)).expect("sent");
            let one = master.connect_via(&parent, &fork()).expect("a plan");
            let two = master.connect_via(one.context(), &fork()).expect("a plan");
            let far = two.context().call_async::<i32>("os.getppid", ()).expect("sent at once");
            let near: i32 = one.context().call("os.getppid", ()).expect("an answer");
            assert_eq!(near, parent_pid, "{python:?}");
            let one = one.wait().unwrap_or_else(|error| panic!("{python:?}: {}", error.report()));
            let pid: i32 = one.call("os.getpid", ()).expect("an answer");
            assert_eq!(far.get_timeout(TIMEOUT).expect("an answer"), pid, "{python:?}");
            busy.get_timeout(TIMEOUT).expect("the call is not interrupted");
            master.shutdown();
        }
    });
}

#[test]
fn forks_end_with_their_parent() {
    isolated(|| {
        let master = master();
        let parent = local(&master);
        let copy = master.connect_via(&parent, &fork()).expect("a plan").wait().expect("a fork");
        let waiting = copy.call_async::<Value>("time.sleep", (3600,)).expect("sent");
        let _ = parent.call::<Value>("os._exit", (1,));
        assert!(matches!(waiting.get_timeout(TIMEOUT), Err(CallError::Dead { .. })));
        master.shutdown();
    });
}

#[test]
fn forking_the_master_is_refused_with_a_message() {
    isolated(|| {
        let master = master();
        let Err(RequestError::Options(error)) = master.connect(&fork()) else { panic!("refused") };
        assert_eq!(error.key.as_deref(), Some("via"));
        assert!(error.to_string().contains("name one as `via`"), "{error}");
        master.shutdown();
    });
}
