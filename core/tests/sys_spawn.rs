//! Starts real programs with each kind of stdio, and waits for them; signals and descriptor flags.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mitogen_core::broker::{ProcessMonitor, SignalWatch, WatchMethod};
use mitogen_core::sys::{
    self, ChildSpec, ChildStdio, ExitStatus, SpawnError, Spawned, create_child, hybrid_tty_create_child,
    iter_read, spawn, tty_create_child,
};
use nix::libc;
use support::{LONG, broker, soon, wait_until};

const ALL: [ChildStdio; 4] =
    [ChildStdio::Socketpair, ChildStdio::Pipes, ChildStdio::Tty, ChildStdio::HybridTty];

fn argv(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn start(words: &[&str], stdio: ChildStdio) -> Spawned {
    try_start(words, stdio).unwrap()
}

fn try_start(words: &[&str], stdio: ChildStdio) -> Result<Spawned, SpawnError> {
    spawn(&ChildSpec { argv: &argv(words), env: &BTreeMap::new(), stdio })
}

fn sh(script: &str, stdio: ChildStdio) -> Spawned {
    start(&["/bin/sh", "-c", script], stdio)
}

fn transmit(child: &Spawned) -> BorrowedFd<'_> {
    child.transmit.as_ref().unwrap_or(&child.receive).as_fd()
}

#[track_caller]
fn reap(pid: i32) -> ExitStatus {
    let mut status = None;
    wait_until("the child ends", || {
        status = sys::wait_nohang(pid).unwrap();
        status.is_some()
    });
    assert_eq!(sys::wait_nohang(pid).unwrap(), Some(ExitStatus::default()), "it is reaped only once");
    status.unwrap()
}

fn read_all(fd: impl AsFd) -> String {
    let mut text = Vec::new();
    for piece in iter_read(fd.as_fd(), Some(soon())) {
        text.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(text).unwrap()
}

/// What the script prints, in a wiring where output and error are told apart or not.
#[track_caller]
fn output(script: &str, stdio: ChildStdio) -> String {
    let child = sh(script, stdio);
    let text = read_all(&child.receive);
    assert_eq!(reap(child.pid), ExitStatus { code: Some(0), signal: None }, "{text}");
    text
}

#[test]
fn a_program_reads_and_writes_with_each_kind_of_stdio() {
    for stdio in ALL {
        let child = start(&["cat"], stdio);
        let all_bytes: Vec<u8> = (0..=255).collect();
        sys::write_all(transmit(&child), &all_bytes, Some(soon())).unwrap();
        let echoed = sys::discard_until(child.receive.as_fd(), &all_bytes, Some(soon())).unwrap();
        assert_eq!(&echoed[..], &all_bytes[..], "{stdio:?}: raw, and without echo");
        sys::kill(child.pid, libc::SIGTERM).unwrap();
        assert_eq!(reap(child.pid), ExitStatus { code: None, signal: Some(libc::SIGTERM) });
    }
}

#[test]
fn standard_error_is_separate_except_on_a_terminal() {
    for stdio in ALL {
        let child = sh("echo out; echo err >&2", stdio);
        assert_eq!(child.stderr.is_none(), stdio == ChildStdio::Tty);
        match &child.stderr {
            None => assert_eq!(read_all(&child.receive), "out\nerr\n"),
            Some(diag) => {
                assert_eq!(read_all(&child.receive), "out\n");
                assert_eq!(read_all(diag), "err\n");
            }
        }
        reap(child.pid);
    }
}

#[test]
fn create_child_functions_choose_their_kind_of_stdio() {
    let words = argv(&["true"]);
    let env = BTreeMap::new();
    let spec = |stdio| ChildSpec { argv: &words, env: &env, stdio };
    let plain = create_child(&spec(ChildStdio::Tty)).unwrap();
    let pipes = create_child(&spec(ChildStdio::Pipes)).unwrap();
    let tty = tty_create_child(&spec(ChildStdio::Socketpair)).unwrap();
    let hybrid = hybrid_tty_create_child(&spec(ChildStdio::Socketpair)).unwrap();
    assert!(sys::is_socket(&plain.receive) && plain.transmit.is_none());
    assert!(!sys::is_socket(&pipes.receive) && pipes.transmit.is_some());
    assert!(tty.receive.is_terminal() && tty.stderr.is_none());
    assert!(sys::is_socket(&hybrid.receive) && hybrid.stderr.as_ref().unwrap().is_terminal());
    for child in [plain, pipes, tty, hybrid] {
        assert!(reap(child.pid).success());
    }
}

#[test]
fn a_terminal_is_raw_without_echo_and_controls_its_own_session() {
    for (stdio, fd) in [(ChildStdio::Tty, 0), (ChildStdio::HybridTty, 2)] {
        let script = format!("stty -a <&{fd}; echo; ps -o tty= -o sid= -o pgid= -p $$; echo $$; : </dev/tty");
        let child = sh(&script, stdio);
        let text = read_all(&child.receive);
        assert!(reap(child.pid).success(), "/dev/tty can be opened: {text}");
        for flag in ["-echo", "-icanon", "-isig", "-opost", "-icrnl", "-ixon", "cs8", "cread"] {
            assert!(text.split_whitespace().any(|word| word.trim_end_matches(';') == flag), "{flag}: {text}");
        }
        let words: Vec<_> = text.lines().rev().take(2).flat_map(str::split_whitespace).collect();
        let pid = child.pid.to_string();
        let [own, tty, sid, pgid] = words[..] else { panic!("{text}") };
        assert!(tty.starts_with("pts/"), "{text}");
        assert_eq!([own, sid, pgid], [&*pid; 3]);
    }
}

#[test]
fn a_program_without_a_terminal_has_its_own_session() {
    for stdio in [ChildStdio::Socketpair, ChildStdio::Pipes] {
        let text = output("ps -o tty= -o sid= -o pgid= -p $$; echo $$; (: </dev/tty) || echo none", stdio);
        let [tty, sid, pgid, pid, dev_tty] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        assert_eq!([tty, sid, pgid, dev_tty], ["?", pid, pid, "none"]);
    }
}

#[test]
fn kill_group_signals_exactly_one_group() {
    for stdio in ALL {
        // Both ignore what is polite, and the helper outlives its leader's descriptors.
        let child = sh("trap '' TERM HUP; sleep 3600 & echo $!; exec sleep 3600", stdio);
        let bystander = sh("echo; exec sleep 3600", stdio);
        let line = sys::discard_until(child.receive.as_fd(), b"\n", Some(soon())).unwrap();
        let helper: i32 = std::str::from_utf8(&line).unwrap().trim().parse().unwrap();
        sys::discard_until(bystander.receive.as_fd(), b"\n", Some(soon())).unwrap();
        sys::kill_group(child.pid, libc::SIGTERM).unwrap();
        assert!(is_running(helper) && sys::wait_nohang(child.pid).unwrap().is_none());
        sys::kill_group(child.pid, libc::SIGKILL).unwrap();
        assert_eq!(reap(child.pid), ExitStatus { code: None, signal: Some(libc::SIGKILL) });
        wait_until("the helper ends", || !is_running(helper));
        assert_eq!(sys::wait_nohang(bystander.pid).unwrap(), None);
        sys::kill_group(bystander.pid, libc::SIGKILL).unwrap();
        reap(bystander.pid);
    }
    // Numbers that mean all processes, our own group, or another group.
    for pid in [1, 0, -1, -2] {
        assert_eq!(sys::kill_group(pid, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for pid in [0, -1, -2] {
        assert_eq!(sys::kill(pid, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

/// A zombie that its new parent has not noticed yet has ended.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn a_program_has_exactly_three_descriptors() {
    // Even of a careless library's.
    let careless = std::fs::File::open("/dev/null").unwrap();
    sys::set_cloexec(&careless, false).unwrap();
    let listing = "import os\nprint(sorted(int(n) for n in os.listdir('/proc/self/fd') \
                   if os.path.exists('/proc/self/fd/' + n)), os.get_blocking(0), os.get_blocking(1))";
    for stdio in ALL {
        let child = start(&["python3", "-S", "-E", "-c", listing], stdio);
        let text = read_all(&child.receive);
        assert_eq!(text.trim(), "[0, 1, 2] True True", "{stdio:?}");
        reap(child.pid);
    }
    drop(careless);
}

#[test]
fn the_parents_descriptors_are_close_on_exec_and_non_blocking() {
    for stdio in ALL {
        let child = start(&["true"], stdio);
        for fd in [Some(&child.receive), child.transmit.as_ref(), child.stderr.as_ref()].into_iter().flatten()
        {
            use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
            let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
            assert!(flags.contains(FdFlag::FD_CLOEXEC));
            let status = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
            assert!(status.contains(OFlag::O_NONBLOCK));
        }
        reap(child.pid);
    }
}

/// Page faults of this thread so far that needed no disk.
#[cfg(target_os = "linux")]
fn faults() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).unwrap().minor_page_faults()
}

#[cfg(target_os = "linux")]
#[test]
fn starting_a_program_does_not_copy_memory() {
    const PAGE: usize = 4096;
    let mut memory = vec![1_u8; 128 << 20];
    let mut touch = || memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = byte.wrapping_add(1));
    touch();
    let before = faults();
    let child = start(&["true"], ChildStdio::Socketpair);
    touch();
    // After a copy every page is parted at its next change: 32768 of them, or 64 where they are huge.
    let parted = faults() - before;
    assert!(parted < 50, "{parted} pages were shared with the child");
    assert_eq!(reap(child.pid).code, Some(0));
}

#[test]
fn a_program_starts_with_default_signal_handling() {
    // Our own are not: this thread blocks one and Rust ignores SIGPIPE.
    let mut one = nix::sys::signal::SigSet::empty();
    one.add(nix::sys::signal::Signal::SIGUSR2);
    one.thread_block().unwrap();
    for stdio in ALL {
        let child = start(&["cat", "/proc/self/status"], stdio);
        let text = read_all(&child.receive);
        reap(child.pid);
        // The C library reserves signals 32 and 33; they cannot be changed.
        let reserved = 0b11_u64 << 31;
        for set in ["SigBlk:", "SigIgn:", "SigCgt:"] {
            let line = text.lines().find_map(|line| line.strip_prefix(set)).unwrap();
            let mask = u64::from_str_radix(line.trim(), 16).unwrap();
            assert_eq!(mask & !reserved, 0, "{stdio:?}: {set} {mask:x}");
        }
    }
    let mut now = nix::sys::signal::SigSet::thread_get_mask().unwrap();
    assert!(now.contains(nix::sys::signal::Signal::SIGUSR2), "ours is as it was");
    now.remove(nix::sys::signal::Signal::SIGUSR2);
    assert_eq!(now, nix::sys::signal::SigSet::empty());
}

#[test]
fn the_environment_is_inherited_with_changes() {
    let env = BTreeMap::from([
        ("MITOGEN_TEST_SET".into(), Some("va=lue".into())),
        ("HOME".into(), None),
        ("PATH".into(), Some("/nowhere:/bin:/usr/bin".into())),
    ]);
    let words = argv(&["sh", "-c", "echo $MITOGEN_TEST_SET:${HOME-none}:$PATH"]);
    let child = spawn(&ChildSpec { argv: &words, env: &env, stdio: ChildStdio::Pipes }).unwrap();
    assert_eq!(read_all(&child.receive), "va=lue:none:/nowhere:/bin:/usr/bin\n");
    reap(child.pid);
}

#[test]
fn a_program_that_cannot_be_executed_is_an_error_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let plain_file = dir.path().join("plain");
    std::fs::write(&plain_file, "not a program").unwrap();
    let children_before = children();
    for (program, kind) in [
        ("/no/such/program", ErrorKind::NotFound),
        ("no-such-program-anywhere", ErrorKind::NotFound),
        ("", ErrorKind::NotFound),
        (plain_file.to_str().unwrap(), ErrorKind::PermissionDenied),
        ("/", ErrorKind::PermissionDenied),
    ] {
        for stdio in ALL {
            match try_start(&[program, "arg"], stdio) {
                Err(SpawnError::Exec { program: named, source }) => {
                    assert_eq!((named, source.kind()), (OsString::from(program), kind));
                }
                other => panic!("{program}: {other:?}"),
            }
        }
    }
    assert!(matches!(try_start(&[], ChildStdio::Pipes), Err(SpawnError::EmptyArgv)));
    assert!(matches!(try_start(&["true", "a\0b"], ChildStdio::Pipes), Err(SpawnError::BadText(_))));
    assert_eq!(zombies(&children_before), Vec::<String>::new());
}

fn children() -> Vec<i32> {
    let pid = std::process::id();
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let child: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        (parent == pid).then_some(child)
    });
    stats.collect()
}

/// Zombies with the name of a failed start: those of other tests have run their program.
fn zombies(before: &[i32]) -> Vec<String> {
    let new = children().into_iter().filter(|child| !before.contains(child));
    let stats = new.filter_map(|child| std::fs::read_to_string(format!("/proc/{child}/stat")).ok());
    stats.filter(|stat| stat.contains("(sys_spawn-") && stat.contains(") Z ")).collect()
}

#[test]
fn a_closed_input_is_end_of_file_and_a_closed_reader_is_an_error() {
    let child = start(&["cat"], ChildStdio::Pipes);
    let Spawned { pid, receive, transmit: input, .. } = child;
    drop(input);
    assert_eq!(read_all(&receive), "");
    assert!(reap(pid).success());

    let child = start(&["true"], ChildStdio::Pipes);
    assert!(reap(child.pid).success());
    // What another test is starting right now has a copy of every descriptor until it has become its program.
    wait_until("a write to nobody fails", || match sys::write_all(transmit(&child), b"x", Some(soon())) {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            true
        }
    });
}

#[test]
fn blocking_functions_respect_their_deadline() {
    let (ours, theirs) = sys::create_socketpair().unwrap();
    let deadline = Instant::now() + Duration::from_millis(20);
    let err = sys::discard_until(ours.as_fd(), b"x", Some(deadline)).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::TimedOut);
    assert!(Instant::now() >= deadline);
    let err = sys::write_all(ours.as_fd(), &vec![0; 10_000_000], Some(deadline)).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::TimedOut);
    drop(theirs);
    let err = sys::discard_until(ours.as_fd(), b"x", Some(soon())).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn discard_until_finds_text_across_chunks() {
    let (ours, theirs) = sys::create_socketpair().unwrap();
    let writer = std::thread::spawn(move || {
        for piece in [&b"noise MIT"[..], b"O0", b"00\nrest"] {
            sys::write_all(theirs.as_fd(), piece, Some(soon())).unwrap();
        }
        theirs
    });
    let seen = sys::discard_until(ours.as_fd(), b"MITO000\n", Some(soon())).unwrap();
    assert_eq!(&seen[..], b"noise MITO000\nrest");
    drop(writer.join().unwrap());
}

#[test]
fn a_monitor_reports_the_exit_status_with_either_method() {
    let broker = broker();
    assert!(sys::pidfd_open(std::process::id() as i32).is_some(), "this system has pidfds");
    for method in [WatchMethod::Best, WatchMethod::Poll] {
        let monitor = ProcessMonitor::with_method(broker.handle(), method);
        let (sender, ends) = channel();
        let exits = start(&["sh", "-c", "exit 3"], ChildStdio::Pipes);
        let waits = start(&["cat"], ChildStdio::Pipes);
        for (name, child) in [("exits", &exits), ("waits", &waits)] {
            let (sender, handle) = (sender.clone(), broker.handle());
            let told = move |_: &mut dyn mitogen_core::io::Reactor, status| {
                assert!(handle.is_broker_thread());
                sender.send((name, status)).unwrap();
            };
            monitor.add(child.pid, told).unwrap();
        }
        let first = ends.recv_timeout(LONG).unwrap();
        assert_eq!(first, ("exits", ExitStatus { code: Some(3), signal: None }));
        sys::kill(waits.pid, libc::SIGKILL).unwrap();
        let second = ends.recv_timeout(LONG).unwrap();
        assert_eq!(second, ("waits", ExitStatus { code: None, signal: Some(libc::SIGKILL) }));
        assert_eq!(second.1.to_string(), "killed by SIGKILL");

        // A signal without a name.
        let real_time = start(&["cat"], ChildStdio::Pipes);
        let again = sender.clone();
        monitor.add(real_time.pid, move |_, status| again.send(("rt", status)).unwrap()).unwrap();
        sys::kill(real_time.pid, libc::SIGRTMIN()).unwrap();
        let (_, status) = ends.recv_timeout(LONG).unwrap();
        assert_eq!(status, ExitStatus { code: None, signal: Some(libc::SIGRTMIN()) });

        // A process that other code has reaped is reported without a status.
        let gone = start(&["true"], ChildStdio::Pipes);
        reap(gone.pid);
        let sender = sender.clone();
        monitor.add(gone.pid, move |_, status| sender.send(("gone", status)).unwrap()).unwrap();
        assert_eq!(ends.recv_timeout(LONG).unwrap(), ("gone", ExitStatus::default()));
    }
}

#[test]
fn a_running_process_does_not_delay_a_shutdown_but_its_exit_is_reported_during_one() {
    let broker = broker();
    let monitor = ProcessMonitor::new(broker.handle());
    let child = start(&["cat"], ChildStdio::Pipes);
    monitor.add(child.pid, |_, _| panic!("it is still running")).unwrap();
    broker.shutdown();
    drop(child.transmit);
    assert!(reap(child.pid).success());
}

#[test]
fn signals_reach_the_broker_and_dispositions_are_restored() {
    let broker = broker();
    let (sender, caught) = channel();
    let signals = [libc::SIGWINCH, libc::SIGURG];
    let watch =
        SignalWatch::new(&broker.handle(), &signals, move |_, signal| sender.send(signal).unwrap()).unwrap();
    for signal in signals {
        sys::kill(std::process::id() as i32, signal).unwrap();
        assert_eq!(caught.recv_timeout(LONG), Ok(signal));
    }
    // One catcher each.
    let err = SignalWatch::new(&broker.handle(), &[libc::SIGURG], |_, _| ()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::ResourceBusy);
    assert!(SignalWatch::new(&broker.handle(), &[libc::SIGKILL], |_, _| ()).is_err());
    drop(watch);
    // Both are ignored by default: with the old disposition back, nothing happens.
    sys::kill(std::process::id() as i32, libc::SIGURG).unwrap();
    assert!(caught.recv_timeout(LONG).is_err(), "the callback is gone");
    let (sender, caught) = channel();
    let _again =
        SignalWatch::new(&broker.handle(), &[libc::SIGURG], move |_, signal| sender.send(signal).unwrap());
    sys::kill(std::process::id() as i32, libc::SIGURG).unwrap();
    assert_eq!(caught.recv_timeout(LONG), Ok(libc::SIGURG));
}

#[test]
fn a_broker_restores_dispositions_when_it_shuts_down() {
    let broker = broker();
    let (sender, _caught) = channel::<i32>();
    let watch =
        SignalWatch::new(&broker.handle(), &[libc::SIGTTOU], move |_, signal| sender.send(signal).unwrap());
    broker.shutdown();
    let other = support::broker();
    SignalWatch::new(&other.handle(), &[libc::SIGTTOU], |_, _| ()).unwrap();
    drop(watch);
}

#[test]
fn flags_of_descriptors_can_be_set_and_cleared() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (fd, _other): (OwnedFd, OwnedFd) = sys::create_socketpair().unwrap();
    let nonblocking =
        || OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK);
    assert!(!nonblocking());
    sys::set_nonblock(&fd).unwrap();
    assert!(nonblocking());
    sys::set_block(&fd).unwrap();
    assert!(!nonblocking());
    sys::set_cloexec(&fd, false).unwrap();
    assert_eq!(fcntl(&fd, FcntlArg::F_GETFD).unwrap(), 0);
    sys::set_cloexec(&fd, true).unwrap();
    assert_eq!(fcntl(&fd, FcntlArg::F_GETFD).unwrap(), 1);
}
