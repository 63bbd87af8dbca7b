//! Chains of five contexts: lost hops, messages between siblings, allocation of ids, withdrawn routes.

use std::collections::BTreeSet;

use mitogen::{CallError, Context, Master, Receiver, Value};
use mitogen_tests::{isolated, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{TIMEOUT, local, master, transport};

const DEPTH: usize = 5;

/// A chain of contexts, each a child of the previous one.
fn chain(master: &Master, depth: usize) -> Vec<Context> {
    let mut chain = vec![local(master)];
    while chain.len() < depth {
        let last = &chain[chain.len() - 1];
        let next = master.connect_via(last, &transport()).expect("a plan").wait().expect("the next hop");
        chain.push(next);
    }
    chain
}

fn pid(context: &Context) -> i32 {
    context.call("os.getpid", ()).expect("an answer")
}

fn is_gone(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_err()
}

fn wait_gone(pid: i32) {
    let gone = wait::until(TIMEOUT, || is_gone(pid).then_some(()));
    assert!(gone.is_some(), "process {pid} has outlived its ancestors");
}

/// Runs statements in a context.
fn exec(context: &Context, code: &str) {
    let _: Value = context.call("builtins.exec", (code, Value::Dict(Vec::new()))).expect("it runs");
}

/// Evaluates an expression in a context.
fn eval<T: mitogen_core::call::FromMessage>(context: &Context, code: &str) -> T {
    context.call("builtins.eval", (code,)).expect("a value")
}

fn eval_until(context: &Context, code: &str) {
    let seen = wait::until(TIMEOUT, || eval::<bool>(context, code).then_some(()));
    assert!(seen.is_some(), "{code} did not become true");
}

#[test]
fn a_lost_hop_fails_all_contexts_behind_it_and_is_named_in_the_error() {
    isolated(|| {
        for dead in 0..DEPTH {
            let master = master();
            let chain = chain(&master, DEPTH);
            let pids: Vec<i32> = chain.iter().map(pid).collect();
            let waiting: Vec<Receiver<Value>> = chain
                .iter()
                .map(|context| context.call_async("time.sleep", (3600,)).expect("sent"))
                .collect();
            kill(Pid::from_raw(pids[dead]), Signal::SIGKILL).expect("the process exists");
            for (at, call) in waiting.iter().enumerate().skip(dead) {
                let error = call.get_timeout(TIMEOUT).expect_err("the link is lost");
                let CallError::Dead { reason, .. } = &error else { panic!("{error:?}") };
                let names_it = format!("context {} ({})", chain[dead].id(), chain[dead].name());
                let is_named = reason.contains(&names_it)
                    // For a direct child the reason contains only its name.
                    || dead == 0 && reason.contains(&format!("the link to {} was lost", chain[0].name()));
                assert!(is_named, "hop {at} of a chain cut at {dead}: {reason}");
                // Later calls get the same error.
                let late = chain[at].call::<Value>("os.getpid", ()).expect_err("no route");
                assert!(late.to_string().contains(reason.as_str()), "{late}");
            }
            for pid in &pids[dead..] {
                wait_gone(*pid);
            }
            for (at, call) in waiting.iter().enumerate().take(dead) {
                assert!(call.is_empty(), "hop {at} is not affected");
                assert!(!is_gone(pids[at]));
            }
            drop(waiting);
            master.shutdown();
        }
    });
}

/// How many bytes this process has read so far from any descriptor.
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("Linux");
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a count").parse().expect("a number")
}

#[test]
fn messages_between_siblings_pass_their_nearest_common_parent() {
    const PIECE: usize = 1 << 19;
    const PIECES: usize = 64;
    isolated(|| {
        let master = master();
        let parent = chain(&master, 3).pop().expect("three");
        let [a, b] =
            [(); 2].map(|()| master.connect_via(&parent, &transport()).expect("a plan").wait().expect("it"));
        exec(
            &b,
            "import builtins, mitogen.core as core\n\
             builtins.got = []\n\
             builtins.port = core.router.add_handler(lambda msg: got.append((msg.src_id, len(msg.data))))",
        );
        let port: u32 = eval(&b, "port");
        // Check first that the counter includes what arrives by a link.
        let before = bytes_read();
        let text: String = eval(&b, "'x' * (1 << 20)");
        assert!(bytes_read() - before >= text.len() as u64);
        let before = bytes_read();
        exec(
            &a,
            &format!(
                "import mitogen.core as core\n\
                 for _ in range({PIECES}): core.send({}, {port}, b'x' * {PIECE}, core.BIN)",
                b.id()
            ),
        );
        eval_until(&b, &format!("len(got) == {PIECES}"));
        assert!(eval::<bool>(&b, &format!("set(got) == {{({}, {PIECE})}}", a.id())));
        let read = bytes_read() - before;
        assert!(read < 1 << 20, "{read} bytes of {} passed the master", PIECE * PIECES);
        master.shutdown();
    });
}

/// Requests a block of ids, as a context does that starts contexts on its own.
fn allocate(context: &Context) -> (u32, u32) {
    exec(
        context,
        "import builtins, mitogen.core as core\n\
         builtins.block = []\n\
         port = core.router.add_handler(lambda msg: block.append(msg.unpickle()), persist=False)\n\
         core.router.route(core.Message(0, 105, b'', port, core.MGC))",
    );
    eval_until(context, "len(block) == 1");
    eval(context, "block[0]")
}

#[test]
fn allocated_id_blocks_are_unique() {
    isolated(|| {
        let master = master();
        let chain = chain(&master, 3);
        let mut taken: BTreeSet<u32> = chain.iter().map(|context| context.id().0).collect();
        for context in [&chain[0], &chain[2], &chain[2], &chain[1]] {
            let (first, end) = allocate(context);
            // The end is exclusive.
            assert_eq!(end - first, 1000);
            for id in first..end {
                assert!(taken.insert(id), "{id} was given out twice");
            }
        }
        let late = local(&master);
        assert!(taken.insert(late.id().0), "{} was given out twice", late.id());
        master.shutdown();
    });
}

#[test]
fn a_lost_link_is_announced_once_for_each_context_behind_it() {
    isolated(|| {
        let master = master();
        let chain = chain(&master, 4);
        let parent = local(&master);
        let observers =
            [(); 2].map(|()| master.connect_via(&parent, &transport()).expect("a plan").wait().expect("it"));
        for observer in &observers {
            exec(
                observer,
                "import builtins, mitogen.core as core\n\
                 builtins.heard = []\n\
                 core.router.on_lost.append(heard.append)",
            );
            // Only contexts that have written to a context are notified of its disconnect.
            for context in &chain[1..] {
                let send = format!("import mitogen.core as core\ncore.send({}, 9999, b'')", context.id());
                exec(observer, &send);
            }
        }
        kill(Pid::from_raw(pid(&chain[0])), Signal::SIGKILL).expect("the process exists");
        let ids: Vec<String> = chain[1..].iter().map(|context| context.id().to_string()).collect();
        for observer in &observers {
            eval_until(observer, "len(heard) >= 3");
            // The reply to this call arrives after any notification that is still in transit.
            let _: u32 = observer.call("os.getpid", ()).expect("the context continues");
            assert!(eval::<bool>(observer, &format!("sorted(heard) == [{}]", ids.join(", "))));
        }
        master.shutdown();
    });
}
