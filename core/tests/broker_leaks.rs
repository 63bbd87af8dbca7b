//! Leak check of the broker. It counts the descriptors and threads of the process, so this program has only one test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::channel;

use mitogen_core::broker::{ProcessMonitor, SignalWatch};
use mitogen_core::io::FdSide;
use mitogen_core::sys::{ChildSpec, ChildStdio, spawn};
use support::{LONG, Probe, broker, socket, wait_until};

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

fn work() {
    let broker = broker();
    let handle = broker.handle();
    let monitor = ProcessMonitor::new(handle.clone());
    let watch = SignalWatch::new(&handle, &[nix::libc::SIGURG], |_, _| ()).unwrap();
    let (ended, ends) = channel();
    let mut diags = Vec::new();
    for stdio in [ChildStdio::Socketpair, ChildStdio::Pipes, ChildStdio::Tty, ChildStdio::HybridTty] {
        let argv = ["true".into()];
        let child = spawn(&ChildSpec { argv: &argv, env: &BTreeMap::new(), stdio }).unwrap();
        let ended = ended.clone();
        // Held, because the end of a terminal would be a hang-up for the program.
        diags.push(child.stderr);
        monitor.add(child.pid, move |_, status| ended.send(status).unwrap()).unwrap();
        let (probe, _) = Probe::new(child.receive);
        handle.defer_sync(move |reactor| reactor.register(Box::new(probe))).unwrap().unwrap();
        let missing = ["/no/such/program".into()];
        spawn(&ChildSpec { argv: &missing, env: &BTreeMap::new(), stdio }).unwrap_err();
    }
    for _ in 0..4 {
        assert!(ends.recv_timeout(LONG).unwrap().success());
    }
    // Streams left open, closed by the peer, replaced, refused, and full of unsent bytes.
    let mut peers = Vec::new();
    for n in 0..40 {
        let (ours, mut theirs) = socket();
        let (probe, _) = Probe::new(ours);
        let spare = probe.side.share();
        let token = handle.defer_sync(move |reactor| reactor.register(Box::new(probe))).unwrap().unwrap();
        theirs.write_all(b"x").unwrap();
        match n % 4 {
            0 => drop(theirs),
            1 => handle.defer(move |reactor| reactor.disconnect(token)).unwrap(),
            2 => {
                let (log, _) = channel();
                let next = Probe { side: spare, log, keep_alive: true, stays: false, on_receive: None };
                assert!(handle.defer_sync(move |reactor| reactor.replace(token, Box::new(next))).unwrap());
            }
            _ => {
                let writer = mitogen_core::io::Writer::new(spare, 1_000);
                handle.bind(&writer, token);
                writer.send(&[vec![0; 1_000_000].into()]).unwrap();
                peers.push(theirs);
            }
        }
    }
    let far = std::time::Duration::from_secs(3_600);
    let (unused, _) = FdSide::pair(socket().0).unwrap();
    handle
        .defer(move |reactor| {
            let when = reactor.now() + far;
            reactor.schedule(when, Box::new(move |_| drop(unused)));
        })
        .unwrap();
    drop(watch);
    broker.shutdown();
}

#[test]
fn a_broker_leaks_no_descriptor_and_no_thread() {
    // The first run may open descriptors that libraries keep.
    work();
    let before = (count("fd"), count("task"));
    for _ in 0..5 {
        work();
    }
    wait_until("all is as before", || (count("fd"), count("task")) == before);
}
