//! The same files to several contexts: contents cross each shared link once, and an error of one target does not affect
//! the others.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::thread;

use mitogen::files::{
    Distribution, FileError, FileErrorKind, Sources, TransferOptions, TransferProgress, TransferReport,
};
use mitogen::{ChildSettings, Context, Master};
use mitogen_core::wire::Encoding;
use mitogen_tests::{Python, isolated, mitogen_bin, pythons, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{TIMEOUT, connect_with, local, master, up};
use crate::faults::SmallDisk;
use crate::frame_log::{FrameLog, Link};
use crate::{Scratch, check, names, noise, started_by};

const MIB: usize = 1 << 20;

/// The number of content bytes sent down a link.
fn contents(link: &Link) -> usize {
    let raw = link.down.iter().filter(|message| message.encoding == Encoding::Raw);
    raw.map(|message| message.data.len()).sum()
}

fn child(master: &Master, via: Option<&Context>, settings: &ChildSettings) -> Context {
    up(&connect_with(master, via, &local(), settings))
}

fn newest() -> Python {
    pythons().into_iter().rfind(Python::is_supported).unwrap()
}

/// Three contexts below an intermediate one.
fn three(master: &Master) -> [Context; 3] {
    let python = newest();
    let settings = started_by(&[python.path.to_str().unwrap()]);
    let above = child(master, None, &settings);
    [(); 3].map(|()| child(master, Some(&above), &settings))
}

/// Puts one source to all of them as a group, to a different path each, with one thread each.
fn put_all<'a>(
    targets: &[(&Context, &Path)],
    source: &Path,
    progress: impl Fn(usize, &TransferProgress) + Sync + 'a,
) -> Vec<Result<TransferReport, FileError>> {
    let sources = Sources::scan(&[source]).unwrap();
    let all = Distribution::new(&sources, &TransferOptions::new()).with_max_wait(TIMEOUT);
    let members: Vec<_> = targets.iter().map(|(context, _)| all.add(context)).collect();
    let progress = &progress;
    thread::scope(|scope| {
        let threads: Vec<_> = members
            .into_iter()
            .enumerate()
            .map(|(at, member)| {
                let dest = targets[at].1.as_os_str().as_bytes();
                scope.spawn(move || member.put(dest, |moved| progress(at, moved)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn pid_of(context: &Context) -> Pid {
    Pid::from_raw(context.call("os.getpid", ()).unwrap())
}

#[test]
fn contents_cross_each_shared_link_once() {
    isolated(|| {
        let scratch = Scratch::new();
        let tree = scratch.at("tree");
        fs::create_dir_all(tree.join("deep")).unwrap();
        let files = [("big", 3 * MIB + 17), ("deep/middling", MIB / 2), ("small", 1000), ("none", 0)];
        for (name, size) in files {
            fs::write(tree.join(name), noise(size)).unwrap();
        }
        let all: usize = files.iter().map(|(_, size)| size).sum();
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let name = python.version_text();
            let tap = FrameLog::new(&python.path);
            let master = master();
            let a = child(&master, None, tap.settings());
            let b = child(&master, Some(&a), tap.settings());
            let ends = [(); 2].map(|()| child(&master, Some(&b), tap.settings()));
            // The intermediate contexts receive it too.
            let targets = [&a, &b, &ends[0], &ends[1]];
            let places: Vec<PathBuf> = (0..4).map(|at| scratch.at(&format!("{name}-{at}"))).collect();
            let pairs: Vec<_> = targets.into_iter().zip(places.iter().map(PathBuf::as_path)).collect();
            for outcome in put_all(&pairs, &tree, |_, _| ()) {
                let report = outcome.unwrap();
                assert_eq!((report.progress.files, report.progress.bytes), (4, all as u64), "{name}");
            }
            master.shutdown();
            for place in &places {
                for (file, size) in files {
                    assert!(fs::read(place.join(file)).unwrap() == noise(size), "{name}: {file}");
                }
            }
            let links = tap.links();
            assert_eq!(links.len(), 4);
            let carried: Vec<usize> = links.iter().map(contents).collect();
            for (at, below) in [(0, 4), (1, 3), (2, 1), (3, 1)] {
                // Addresses take some more bytes.
                let addresses = if below > 1 { 36 * (all / (256 << 10) + 4) } else { 0 };
                let carried = carried[at];
                assert!(
                    (all..=all + addresses).contains(&carried),
                    "{name}: link {at} carried {carried} bytes of contents, not {all}"
                );
            }
            // Every target has its own dialogue of requests and replies.
            assert!(links.iter().all(|link| !link.up.is_empty()), "{name}");
        }
    });
}

#[test]
fn a_failed_target_does_not_affect_the_others() {
    isolated(|| {
        let scratch = Scratch::new();
        let master = master();
        let [a, b, c] = three(&master);
        let source = scratch.file("source", &noise(8 * MIB));
        let disk = SmallDisk::new(&scratch);
        let (full, missing) = (disk.0.join("copy"), scratch.at("no/such/place"));
        let good = scratch.at("good");
        let outcomes = put_all(&[(&a, &full), (&b, &missing), (&c, &good)], &source, |_, _| ());
        let mut outcomes = outcomes.into_iter();
        check(outcomes.next().unwrap(), FileErrorKind::NoSpace, &full);
        check(outcomes.next().unwrap(), FileErrorKind::NotFound, &missing);
        assert_eq!(outcomes.next().unwrap().unwrap().progress.bytes, 8 * MIB as u64);
        assert!(fs::read(&good).unwrap() == noise(8 * MIB));
        assert!(names(&disk.0).is_empty());
        drop(disk);
        master.shutdown();
    });
}

#[test]
fn a_target_with_partial_data_resumes() {
    isolated(|| {
        let scratch = Scratch::new();
        let master = master();
        let [a, b, c] = three(&master);
        let source = scratch.file("source", &noise(6 * MIB));
        let places = ["a", "b", "c"].map(|name| scratch.at(name));
        // Two targets have partial data of the same size, and one has partial data of another file.
        fs::write(scratch.at(".a.mitogen-part"), noise(2 * MIB)).unwrap();
        fs::write(scratch.at(".b.mitogen-part"), noise(2 * MIB)).unwrap();
        fs::write(scratch.at(".c.mitogen-part"), vec![7; 3 * MIB]).unwrap();
        for name in [".a.mitogen-part", ".b.mitogen-part", ".c.mitogen-part"] {
            // The sticky bit marks partial files.
            fs::set_permissions(scratch.at(name), fs::Permissions::from_mode(0o1600)).unwrap();
        }
        let outcomes = put_all(&[(&a, &places[0]), (&b, &places[1]), (&c, &places[2])], &source, |_, _| ());
        let resumed: Vec<u64> =
            outcomes.into_iter().map(|outcome| outcome.unwrap().progress.resumed).collect();
        assert_eq!(resumed, [2 * MIB as u64, 2 * MIB as u64, 0]);
        for place in &places {
            assert!(fs::read(place).unwrap() == noise(6 * MIB), "{}", place.display());
        }
        master.shutdown();
    });
}

#[test]
fn a_lost_or_stalled_target_does_not_delay_the_others() {
    isolated(|| {
        let scratch = Scratch::new();
        let master = master();
        let [a, b, c] = three(&master);
        let source = scratch.file("source", &noise(24 * MIB));
        let (lost, still) = (pid_of(&a), pid_of(&b));
        let places = ["a", "b", "c"].map(|name| scratch.at(name));
        let once = Once::new();
        let progress = |at: usize, moved: &TransferProgress| {
            if at == 2 && moved.bytes * 3 > moved.total_bytes {
                once.call_once(|| {
                    kill(lost, Signal::SIGKILL).unwrap();
                    kill(still, Signal::SIGSTOP).unwrap();
                });
            }
        };
        let outcomes = thread::scope(|scope| {
            let third = &places[2];
            let waker = scope.spawn(move || {
                let whole = wait::until(TIMEOUT, || third.exists().then_some(()));
                kill(still, Signal::SIGCONT).unwrap();
                assert!(whole.is_some(), "the third one waits for those that take nothing");
            });
            let outcomes = put_all(&[(&a, &places[0]), (&b, &places[1]), (&c, third)], &source, progress);
            waker.join().unwrap();
            outcomes
        });
        let mut outcomes = outcomes.into_iter();
        let error = outcomes.next().unwrap().unwrap_err();
        assert!(matches!(error, FileError::Call(_)), "{error}");
        for (outcome, place) in outcomes.zip(&places[1..]) {
            assert_eq!(outcome.unwrap().progress.bytes, 24 * MIB as u64);
            assert!(fs::read(place).unwrap() == noise(24 * MIB), "{}", place.display());
        }
        master.shutdown();
    });
}

#[test]
fn a_source_that_changes_is_an_error_for_every_target() {
    isolated(|| {
        let scratch = Scratch::new();
        let master = master();
        let [a, b, c] = three(&master);
        let source = scratch.file("source", &noise(16 * MIB));
        let places = ["a", "b", "c"].map(|name| scratch.at(name));
        let once = Once::new();
        let progress = |_: usize, moved: &TransferProgress| {
            if moved.bytes * 2 > moved.total_bytes {
                once.call_once(|| {
                    OpenOptions::new().write(true).open(&source).unwrap().set_len(9 * MIB as u64).unwrap();
                });
            }
        };
        for outcome in put_all(&[(&a, &places[0]), (&b, &places[1]), (&c, &places[2])], &source, progress) {
            check(outcome, FileErrorKind::SourceChanged, &source);
        }
        assert!(places.iter().all(|place| !place.exists()));
        master.shutdown();
    });
}

/// Profiles with three targets behind one, for the command; each has its own current directory.
struct Site {
    scratch: Scratch,
    source: PathBuf,
    /// The link to the intermediate target.
    tap: FrameLog,
}

impl Site {
    fn new() -> Self {
        let scratch = Scratch::new();
        let source = scratch.file("source", &noise(2 * MIB));
        let python = newest();
        let tap = FrameLog::new(&python.path);
        let argv = tap.argv();
        let mut text = format!("[profile.gate]\nmethod = \"local\"\npython = {argv:?}\n");
        for name in ["a", "b", "c"] {
            fs::create_dir(scratch.at(name)).unwrap();
            let enter = format!("cd {} && exec \"$@\"", scratch.at(name).display());
            let words = ["/bin/sh", "-c", &enter, "sh", python.path.to_str().unwrap()];
            text += &format!("[profile.{name}]\nmethod = \"local\"\nvia = \"gate\"\npython = {words:?}\n");
        }
        scratch.file("mitogen.toml", text.as_bytes());
        Self { scratch, source, tap }
    }

    fn mitogen(&self) -> Command {
        let mut command = Command::new(mitogen_bin().unwrap());
        command.stdin(Stdio::null()).arg("--profiles").arg(self.scratch.at("mitogen.toml"));
        command
    }

    /// Runs the command, which must succeed.
    fn well(command: &mut Command) {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Checks that all three have the file and that the shared link carried it once. The session must have ended.
    fn check(&self) {
        for name in ["a", "b", "c"] {
            assert!(fs::read(self.scratch.at(name).join("copy")).unwrap() == noise(2 * MIB), "{name}");
        }
        let carried: Vec<usize> = self.tap.links().iter().map(contents).collect();
        assert_eq!(carried.len(), 1);
        assert!((2 * MIB..2 * MIB + 4096).contains(&carried[0]), "{carried:?}");
    }
}

#[test]
fn the_command_sends_a_file_once_over_a_shared_link() {
    isolated(|| {
        let site = Site::new();
        Site::well(site.mitogen().args(["put", "a,b,c"]).arg(&site.source).arg("copy"));
        site.check();
    });
}

#[test]
fn a_client_of_a_running_session_sends_a_file_once_over_a_shared_link() {
    isolated(|| {
        let site = Site::new();
        let socket = site.scratch.at("socket");
        let serve = ["serve", "a,b,c", "--socket"];
        let mut tree = site.mitogen().args(serve).arg(&socket).stdout(Stdio::piped()).spawn().unwrap();
        // It prints the path of its socket once it listens.
        let mut said = String::new();
        BufReader::new(tree.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        let with_socket = format!("--socket={}", socket.display());
        let mut put = Command::new(mitogen_bin().unwrap());
        Site::well(
            put.stdin(Stdio::null()).args(["put", &with_socket, "a,b,c"]).arg(&site.source).arg("copy"),
        );
        kill(Pid::from_raw(tree.id().cast_signed()), Signal::SIGINT).unwrap();
        let ended = tree.wait().unwrap();
        assert!(ended.success(), "{ended:?} after {said:?}");
        site.check();
    });
}
