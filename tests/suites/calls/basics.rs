//! Results, errors, order and deadlines of calls.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use mitogen::pickle::{Binary, Blob};
use mitogen::{CallError, Select, Value};
use mitogen_tests::{isolated, pythons};

use super::{TIMEOUT, local, master, master_with};

#[test]
fn values_of_every_type_are_returned_unchanged() {
    isolated(|| {
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let master = master_with(python);
            let child = local(&master);
            let rows = [
                Value::None,
                Value::Bool(true),
                Value::Int(-1),
                Value::Int(i64::MAX),
                Value::Float(-0.5),
                Value::from("text \u{1f980}"),
                Value::List(vec![Value::Int(1), Value::from("two"), Value::None]),
                Value::Tuple(vec![Value::Tuple(vec![]), Value::List(vec![])]),
                Value::Dict(vec![(Value::from("key"), Value::Int(3))]),
                Value::Bytes(bytes(300).into()),
            ];
            for value in rows {
                let back: Value = child.call("copy.copy", (&value,)).expect("an answer");
                assert_eq!(back, value, "under {}", python.version_text());
            }
            master.shutdown();
        }
    });
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

#[test]
fn typed_arguments_and_results_are_converted() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let joined: String = child.call("posixpath.join", ("a", "b", "c")).expect("a path");
        assert_eq!(joined, "a/b/c");
        let split: (String, String) = child.call("posixpath.split", ("/a/b",)).expect("a pair");
        assert_eq!(split, ("/a".to_owned(), "b".to_owned()));
        let map: BTreeMap<String, u8> =
            child.call("copy.copy", (BTreeMap::from([("a", 1), ("b", 2)]),)).expect("a map");
        assert_eq!(map, BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
        let error = child.call::<u8>("posixpath.join", ("a", "b")).expect_err("text is not a number");
        assert!(matches!(error, CallError::Decode(_)), "{error:?}");
        let parsed: Value = child
            .request("json.dumps".parse().expect("a name"))
            .args((vec![1, 2],))
            .kwarg("indent", Value::None)
            .kwarg("sort_keys", true)
            .call()
            .expect("keyword arguments arrive");
        assert_eq!(parsed, Value::from("[1, 2]"));
        master.shutdown();
    });
}

#[test]
fn large_values_are_transferred_unchanged() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let data = bytes(24 << 20);
        let back: Binary = child.call("copy.copy", (Blob(data.clone().into()),)).expect("an echo");
        assert!(back.0 == data, "the bytes differ");
        master.shutdown();
    });
}

#[test]
fn errors_carry_type_message_and_traceback() {
    isolated(|| {
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let master = master_with(python);
            let child = local(&master);
            let error = child.call::<Value>("json.loads", ("{",)).expect_err("not JSON");
            let CallError::Remote(remote) = error else { panic!("{error:?}") };
            assert!(remote.type_name.ends_with("Error"), "{remote:?}");
            assert!(remote.traceback.is_some_and(|text| text.contains("decoder.py")));
            for (function, words) in [
                ("no_such_module.f", "no_such_module"),
                ("os.no_such_function", "no_such_function"),
                ("threading.Lock", "pickle"),
                ("sys.exit", "SystemExit"),
            ] {
                let error = child.call::<Value>(function, ()).expect_err(function);
                let text = error.to_string();
                assert!(
                    text.to_lowercase().contains(&words.to_lowercase()),
                    "{function} under {}: {text}",
                    python.version_text()
                );
            }
            // None of these errors has affected the child.
            let _: u32 = child.call("os.getpid", ()).expect("the context continues");
            master.shutdown();
        }
    });
}

#[test]
fn a_call_chain_stops_at_its_first_error() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let chain = child.chain();
        chain.call_no_reply("os.mkdir", (path("one"),)).expect("sent");
        chain.call_no_reply("os.mkdir", (path("one"),)).expect("sent");
        chain.call_no_reply("os.mkdir", (path("two"),)).expect("sent");
        let error = chain.call::<Value>("os.getpid", ()).expect_err("the second call failed");
        assert!(error.to_string().contains("one"), "{error}");
        assert!(dir.path().join("one").exists());
        assert!(!dir.path().join("two").exists(), "what comes after an error is not run");
        chain.reset().expect("sent");
        let _: u32 = chain.call("os.getpid", ()).expect("forgotten");
        drop(chain);
        master.shutdown();
    });
}

#[test]
fn concurrent_calls_run_in_order_and_are_all_answered() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let waiting: Vec<_> = (0..5000)
            .map(|number: u32| child.call_async::<u32>("copy.copy", (number,)).expect("sent"))
            .collect();
        for (number, receiver) in waiting.into_iter().enumerate() {
            assert_eq!(receiver.get_timeout(TIMEOUT).expect("an answer") as usize, number);
        }
        master.shutdown();
    });
}

#[test]
fn calls_are_pipelined_behind_the_bootstrap() {
    isolated(|| {
        let master = master();
        let connecting = master.connect(&super::transport()).expect("a plan");
        // Without waiting: the call is sent right behind the bootstrap.
        let pid: u32 = connecting.context().call("os.getpid", ()).expect("an answer");
        assert_ne!(pid, std::process::id());
        assert!(
            connecting.outcome().is_some_and(|outcome| outcome.is_ok()),
            "the marker came before the answer"
        );
        master.shutdown();
    });
}

#[test]
fn a_deadline_ends_the_wait_but_not_the_child() {
    isolated(|| {
        let master = master();
        let child = local(&master);
        let request = child.request("time.sleep".parse().expect("a name")).args((0.3,));
        let error = request.timeout(Duration::from_millis(20)).call::<Value>().expect_err("too slow");
        assert!(matches!(error, CallError::TimedOut), "{error:?}");
        let _: u32 = child.call("os.getpid", ()).expect("the context continues");
        master.shutdown();
    });
}

#[test]
fn a_select_returns_the_first_message() {
    isolated(|| {
        let master = master();
        let (slow, fast) = (local(&master), local(&master));
        let mut select = Select::new();
        select.add("slow", slow.call_async::<Value>("time.sleep", (0.2,)).expect("sent"));
        select.add("fast", fast.call_async::<Value>("os.getpid", ()).expect("sent"));
        assert_eq!(select.get_timeout(TIMEOUT).expect("an event").0, "fast");
        assert_eq!(select.get_timeout(TIMEOUT).expect("an event").0, "slow");
        assert!(select.get().is_err(), "nothing is left");
        master.shutdown();
    });
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A minimal executor for futures.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn receivers_and_connections_are_futures() {
    isolated(|| {
        let master = master();
        let connecting = master.connect(&super::transport()).expect("a plan");
        let answer = block_on(async {
            let child = connecting.await.expect("a child");
            child.call_async::<String>("posixpath.basename", ("/a/b",)).expect("sent").await
        });
        assert_eq!(answer.expect("an answer"), "b");
        master.shutdown();
    });
}

#[test]
fn ten_masters_run_in_one_process() {
    isolated(|| {
        let masters: Vec<_> = (0..10).map(|_| master()).collect();
        let children: Vec<_> =
            masters.iter().map(|master| master.connect(&super::transport()).expect("a plan")).collect();
        for child in children {
            let child = child.wait().expect("a child");
            assert_eq!(child.id().0, 1, "each master counts for itself");
            let _: u32 = child.call("os.getpid", ()).expect("an answer");
        }
        for master in masters {
            master.shutdown();
        }
    });
}
