//! A hop is lost: all contexts behind it fail at once with an error that names it, and all before it continue.

use mitogen::{CallError, Context, Receiver, Value};
use mitogen_tests::procs::{self, Process};
use mitogen_tests::{Leaks, isolated, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{TIMEOUT, master, no_process_left};
use crate::five::{DEPTH, Site, Way, loss, pid, wait_gone};

#[test]
fn a_lost_hop_of_a_mixed_chain_fails_all_contexts_behind_it() {
    isolated(|| {
        let site = Site::new();
        for (way, dead) in
            [Way::Sudo, Way::Doas].into_iter().flat_map(|way| (0..DEPTH).map(move |at| (way, at)))
        {
            let leaks = Leaks::start();
            let master = master();
            let chain = site.chain(&master, way);
            let pids: Vec<i32> = chain.iter().map(pid).collect();
            let waiting: Vec<Receiver<Value>> =
                chain.iter().map(|context| context.call_async("time.sleep", (3600,)).unwrap()).collect();
            kill(Pid::from_raw(pids[dead]), Signal::SIGKILL).unwrap();
            let names_it = format!("context {} ({})", chain[dead].id(), chain[dead].name());
            for at in dead..DEPTH {
                let reason = loss(&waiting[at]);
                let is_named = reason.contains(&names_it)
                    // For a direct child the reason contains only its name.
                    || dead == 0 && reason.contains(&format!("the link to {} was lost", chain[0].name()));
                assert!(is_named, "hop {at} of a chain cut at {dead}: {reason}");
                let late = chain[at].call::<Value>("os.getpid", ()).expect_err("no route");
                assert!(matches!(&late, CallError::Send(_)) && late.to_string().contains(&reason), "{late}");
            }
            pids[dead..].iter().copied().for_each(wait_gone);
            for (at, call) in waiting.iter().enumerate().take(dead) {
                assert!(call.is_empty(), "hop {at} is not affected");
            }
            drop(waiting);
            master.shutdown();
            no_process_left(&leaks);
        }
    });
}

/// The program by which the previous context started the hop at `at`.
fn tool(chain: &[Context], at: usize, name: &str) -> Process {
    let parent = pid(&chain[at - 1]);
    let found =
        wait::until(TIMEOUT, || procs::descendants(parent).into_iter().find(|child| child.parent == parent));
    let found = found.expect("the tool");
    assert!(found.command.starts_with(&format!("{name} ")), "{found:?}");
    found
}

#[test]
fn killing_a_tool_that_carries_the_link_ends_its_hop() {
    isolated(|| {
        let site = Site::new();
        // Programs that relay the data of the link, or end the interpreter.
        for (way, at, name) in [(Way::Sudo, 1, "ssh"), (Way::Sudo, 2, "sudo"), (Way::Doas, 1, "ssh")] {
            let leaks = Leaks::start();
            let master = master();
            let chain = site.chain(&master, way);
            let waiting: Vec<Receiver<Value>> = chain[at..]
                .iter()
                .map(|context| context.call_async("time.sleep", (3600,)).unwrap())
                .collect();
            procs::kill_now(tool(&chain, at, name).id);
            let names_it = format!("context {} ({})", chain[at].id(), chain[at].name());
            for call in &waiting {
                let reason = loss(call);
                assert!(reason.contains(&names_it), "{name}: {reason}");
            }
            pid(&chain[at - 1]);
            drop(waiting);
            // While the master and the server still run.
            chain[0].shutdown().unwrap();
            no_process_left(&leaks);
            master.shutdown();
        }
    });
}

#[test]
fn killing_a_tool_that_only_waits_changes_nothing() {
    isolated(|| {
        let site = Site::new();
        let leaks = Leaks::start();
        let master = master();
        let chain = site.chain(&master, Way::Sudo);
        let before: Vec<i32> = chain.iter().map(pid).collect();
        // Without a terminal, su passes its own descriptors to the interpreter and waits for its end.
        let su = tool(&chain, 3, "su");
        procs::kill_now(su.id);
        wait_gone(su.id.pid);
        assert_eq!(chain.iter().map(pid).collect::<Vec<i32>>(), before);
        chain[0].shutdown().unwrap();
        no_process_left(&leaks);
        master.shutdown();
    });
}
