//! Contexts behind hosts and privilege tools that outlive the link by which they were reached.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mitogen::{CallError, ConnectHandle, Context, Master, Value};
use mitogen_tests::procs::{self, Process};
use mitogen_tests::{Leaks, isolated, wait};

use crate::common::{TIMEOUT, by_key, by_password, local, master, no_process_left, ssh, up};
use crate::five::{Site, Way, pid};

/// Work that a detached context does after its link is gone.
struct Work {
    process: Process,
    gate: PathBuf,
    done: PathBuf,
}

impl Work {
    /// Detaches a context whose last call waits at a FIFO.
    fn leave(context: &Context, dir: &Path) -> Self {
        Self::begin(context, dir, |script| context.detach_running("os.system", (script,)).expect("detached"))
    }

    /// Detaches a context from within a running call.
    fn leave_by_itself(context: &Context, dir: &Path) -> Self {
        Self::begin(context, dir, |script| {
            let code = format!("import mitogen.detach, os\nmitogen.detach.detach()\nos.system({script:?})");
            let nothing = Value::Dict(Vec::new());
            let call = context.call_async::<Value>("builtins.exec", (code, nothing)).expect("sent");
            let error = call.get_timeout(TIMEOUT).expect_err("its result is discarded");
            assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
        })
    }

    fn begin(context: &Context, dir: &Path, leave: impl FnOnce(String)) -> Self {
        let name = context.id().to_string();
        let (gate, done) = (dir.join(format!("gate{name}")), dir.join(format!("done{name}")));
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        open_to_all(&gate);
        let process = Process::get(pid(context)).unwrap();
        let script = format!("read line < {}; mkdir {}", gate.display(), done.display());
        leave(script);
        let late = context.call::<Value>("os.getpid", ()).expect_err("the link is cut");
        assert!(matches!(late, CallError::Send(_)), "{late:?}");
        Self { process, gate, done }
    }

    fn is_alive(&self) -> bool {
        Process::get(self.process.id.pid)
            .is_some_and(|process| process.id == self.process.id && !process.is_zombie())
    }

    /// Checks that the process still runs, and that it ends when its work is done.
    fn finish(self) {
        assert!(self.is_alive(), "it ended with its link: {:?}", self.process);
        std::fs::write(&self.gate, "go\n").expect("the reader is open");
        let gone = wait::until(TIMEOUT, || (!self.is_alive()).then_some(()));
        assert!(gone.is_some(), "it does not end: {:?}", self.process);
        assert!(self.done.exists(), "it ended before its work was done: {:?}", self.process);
        std::fs::remove_dir(self.done).unwrap();
        std::fs::remove_file(self.gate).unwrap();
    }
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

/// Detaches the contexts that `make` creates, last first, breaks their links by `strike`, and lets them finish.
fn outlive(site: &Site, make: impl Fn(&Site, &Master) -> Vec<ConnectHandle>, strike: impl FnOnce(Master)) {
    let leaks = Leaks::start();
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    let master = master();
    let contexts: Vec<Context> = make(site, &master).iter().map(up).collect();
    let ways = [Work::leave, Work::leave_by_itself];
    let leave = |(at, context): (usize, &Context)| ways[at % 2](context, dir.path());
    let work: Vec<Work> = contexts.iter().rev().enumerate().map(leave).collect();
    strike(master);
    work.into_iter().for_each(Work::finish);
    reap();
    // While the server still runs.
    no_process_left(&leaks);
}

/// Reaps the children of this process, whose master is gone. What sudo and su started has ended before them.
fn reap() {
    let ours = i32::try_from(std::process::id()).unwrap();
    let reaped = wait::until(TIMEOUT, || {
        let mut children = procs::descendants(ours);
        children.retain(|child| child.parent == ours && !child.command.contains("sshd"));
        for child in children.iter().filter(|child| child.is_zombie()) {
            nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.id.pid), None).unwrap();
        }
        children.is_empty().then_some(())
    });
    assert!(reaped.is_some(), "{:#?}", procs::descendants(ours));
}

#[test]
fn a_detached_context_behind_ssh_outlives_its_link_and_its_master() {
    isolated(|| {
        let site = Site::new();
        let (user, password) = (site.user.name(), site.user.password());
        for options in [by_key(&site.server, user), by_password(&site.server, user, password)] {
            let make = |_: &Site, master: &Master| vec![master.connect(&ssh(options.clone())).unwrap()];
            outlive(&site, make, |master| {
                // ssh ends when its session does.
                let ours = i32::try_from(std::process::id()).unwrap();
                let gone = wait::until(TIMEOUT, || {
                    let mut found = procs::descendants(ours);
                    found.retain(|process| process.command.starts_with("ssh "));
                    found.is_empty().then_some(())
                });
                assert!(gone.is_some(), "ssh has outlived its link");
                master.shutdown();
            });
        }
    });
}

#[test]
fn a_detached_context_behind_sudo_outlives_its_link_and_its_master() {
    isolated(|| {
        let site = Site::new();
        // The test runs as root, so sudo needs no password; if one is set, it gets a terminal.
        let make = |site: &Site, master: &Master| vec![master.connect(&site.sudo()).unwrap()];
        outlive(&site, make, Master::shutdown);
        let plain = mitogen::transports::sudo::Sudo::new(mitogen::transports::sudo::Options::new()).unwrap();
        outlive(&site, |_, master| vec![master.connect(&plain).unwrap()], Master::shutdown);
        let make = |site: &Site, master: &Master| vec![master.connect(&site.su(None)).unwrap()];
        outlive(&site, make, Master::shutdown);
    });
}

#[test]
fn every_detached_context_of_a_mixed_chain_outlives_its_parent() {
    isolated(|| {
        let site = Site::new();
        for way in [Way::Sudo, Way::Doas] {
            outlive(&site, |site, master| site.start(master, way), Master::shutdown);
        }
    });
}

#[test]
fn a_detached_context_outlives_the_shutdown_of_its_host() {
    isolated(|| {
        let site = Site::new();
        let dir = tempfile::tempdir().unwrap();
        open_to_all(dir.path());
        let leaks = Leaks::start();
        let master = master();
        let host = up(&master.connect(&ssh(by_key(&site.server, site.user.name()))).unwrap());
        let root = up(&master.connect_via(&host, &site.sudo()).unwrap());
        let beside = up(&master.connect_via(&host, &local()).unwrap());
        let work = Work::leave_by_itself(&root, dir.path());
        // The shutdown of its parent does not end it, but ends the other children.
        pid(&beside);
        host.shutdown().unwrap();
        let gone = wait::until(TIMEOUT, || host.call::<Value>("os.getpid", ()).err());
        assert!(gone.is_some());
        work.finish();
        no_process_left(&leaks);
        master.shutdown();
    });
}
