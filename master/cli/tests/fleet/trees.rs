//! `mitogen listen`, and the others in its tree.

use std::fs;
use std::process::Stdio;

use mitogen_tests::procs::{self, Process};
use mitogen_tests::wait;
use nix::sys::signal::Signal;

use super::scene::{Scene, Started};

/// A tree that is kept, with a socket in the scene's directory.
fn listen(scene: &Scene, targets: &[&str]) -> Started {
    let arguments = [&["listen", "--socket", "t.sock"], targets].concat();
    let mut started = scene.start(&arguments, Stdio::null());
    assert_eq!(started.line(), "t.sock\n");
    started
}

/// Ends the tree in order; nothing is left.
fn end(scene: &Scene, started: Started, signal: Signal) -> String {
    started.signal(signal);
    let done = scene.finish(started);
    assert_eq!(done.status, 0, "{}", done.err);
    assert!(!scene.path().join("t.sock").exists());
    done.err
}

/// Runs the command with a tree that goes on meanwhile.
fn run(scene: &Scene, arguments: &[&str]) -> (i32, String, String) {
    let output = scene.command(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn commands_use_the_tree_and_leave_it_as_it_was() {
    let scene = Scene::new();
    let started = listen(&scene, &["n", "deep"]);
    let pids = || {
        let (status, out, err) = run(&scene, &["call", "--tree=t.sock", "n[01-03],d1", "os.getpid"]);
        assert_eq!((status, err.as_str()), (0, ""));
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let first = pids();
    assert_eq!(first.len(), 4, "{first:?}");
    assert_eq!(pids(), first, "the same processes");
    let (status, out, err) = run(&scene, &["run", "--tree=t.sock", "n", "-l", "n[02-03]", "--", "echo hi"]);
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!((status, lines, err.as_str()), (0, vec!["n02: hi", "n03: hi"], ""));
    let (status, out, err) = run(&scene, &["run", "--tree=t.sock", "n01", "--", "cat; exit 3"]);
    assert_eq!((status, out.as_str(), err.as_str()), (3, "", "mitogen: 1 failed\n  n01: exit status 3\n"));
    let output = scene.command(&["ping", "n"]).env("MITOGEN_TREE", "t.sock").output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.iter().filter(|byte| **byte == b'\n').count()),
        (Some(0), 30)
    );
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn the_tree_is_drawn() {
    let scene = Scene::new();
    let started = listen(&scene, &["n01", "deep/d1"]);
    let (status, out, err) = run(&scene, &["tree", "--tree=t.sock"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "t.sock"), "{out}");
    assert!(lines.iter().any(|line| line.contains("  └─ ") && line.contains(" (d1)  local")), "{out}");
    assert!(
        lines[1..].iter().all(|line| line.contains("  local  Python ") && line.contains("  up ")),
        "{out}"
    );
    let (status, out, _) = run(&scene, &["tree", "--tree=t.sock", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, told["contexts"].as_array().unwrap().len()), (0, 3), "{out}");
    assert_eq!(told["contexts"][0]["via"], 0);
    assert!(told["contexts"][0]["python"].is_string(), "{out}");
    end(&scene, started, Signal::SIGINT);
}

#[test]
fn what_the_tree_cannot_do_is_said() {
    let scene = Scene::new();
    let (status, _, err) = run(&scene, &["run", "--tree=t.sock", "n01", "--", "true"]);
    assert_eq!((status, err.as_str()), (4, "mitogen: t.sock: no tree listens there\n"));
    let started = listen(&scene, &["n01"]);
    let (status, out, err) = run(&scene, &["run", "--tree=t.sock", "n[01-03]", "--", "true"]);
    let expected = "mitogen: the tree at t.sock does not hold n[02-03]; to add it, end that `mitogen listen` \
                    and start it with n[02-03] among its targets, or leave --tree out\n";
    assert_eq!((status, out.as_str(), err.as_str()), (2, "", expected));
    let (status, _, err) = run(&scene, &["run", "--tree=t.sock", "nobody", "--", "true"]);
    assert!(status == 2 && err.contains("nobody"), "{status} {err}");
    let (status, _, err) = run(&scene, &["run", "--tree=t.sock", "-b", "n01", "--", "true"]);
    assert!(status == 2 && err.contains("leave them out, or --tree"), "{status} {err}");
    let (status, _, err) = run(&scene, &["listen", "--socket", "t.sock", "n02"]);
    assert!(status == 2 && err.contains("a listener is running there already"), "{status} {err}");
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn a_lost_target_is_connected_again_on_next_use() {
    let scene = Scene::new();
    let mut started = listen(&scene, &["deep/d1", "n01"]);
    let pid = || run(&scene, &["call", "--tree=t.sock", "d1", "os.getppid"]).1.trim().parse::<i32>().unwrap();
    let gate = pid();
    procs::kill_now(Process::get(gate).expect("it runs").id);
    let message = started.message();
    assert!(message.starts_with("mitogen: d1 is lost: "), "{message}");
    assert_ne!(pid(), gate);
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn what_fails_to_connect_is_said_and_the_others_are_kept() {
    let scene = Scene::new();
    let mut started = scene.start(&["listen", "--socket", "t.sock", "n01,b1"], Stdio::null());
    assert_eq!(started.line(), "t.sock\n");
    let message = started.message();
    assert!(message.starts_with("mitogen: b1: "), "{message}");
    let (status, _, err) = run(&scene, &["run", "--tree=t.sock", "n01,b1", "--", "true"]);
    assert!(status == 4 && err.contains("b1: "), "{status} {err}");
    end(&scene, started, Signal::SIGTERM);
    let done = scene.run(&["listen", "--socket", "t.sock", "broken"]);
    assert_eq!((done.status, done.text()), (4, ""), "{}", done.err);
    assert!(!scene.path().join("t.sock").exists());
}

#[test]
fn a_killed_client_takes_its_command_along_and_nothing_else() {
    let scene = Scene::new();
    let started = listen(&scene, &["n01"]);
    let arguments = ["run", "--tree=t.sock", "n01", "--", "echo $$; exec sleep 1000"];
    let mut client = scene.start(&arguments, Stdio::null());
    let pid: i32 = client.line().trim().parse().unwrap();
    client.child.kill().unwrap();
    client.child.wait().unwrap();
    let gone = wait::until(wait::PATIENCE, || Process::get(pid).is_none().then_some(()));
    assert!(gone.is_some(), "the command has outlived its client");
    assert_eq!(run(&scene, &["run", "--tree=t.sock", "n01", "--", "echo well"]).1, "well\n");
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn a_killed_listener_leaves_no_process_and_its_socket_is_replaced() {
    let scene = Scene::new();
    let mut started = listen(&scene, &["n[01-03]", "deep/d1"]);
    started.child.kill().unwrap();
    started.child.wait().unwrap();
    scene.assert_nothing_left();
    assert!(scene.path().join("t.sock").exists(), "nobody was there to remove it");
    let started = listen(&scene, &["n01"]);
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn the_default_socket_is_in_a_private_directory() {
    let scene = Scene::new();
    let mut command = scene.command(&["listen", "n01"]);
    command.env("XDG_RUNTIME_DIR", scene.path());
    let mut started = Scene::spawn(command, Stdio::null());
    let path = scene.path().join("mitogen/default.sock");
    assert_eq!(started.line(), format!("{}\n", path.display()));
    let mut command = scene.command(&["run", "--tree", "n01", "--", "echo hi"]);
    let output = command.env("XDG_RUNTIME_DIR", scene.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hi\n");
    started.signal(Signal::SIGTERM);
    assert_eq!(scene.finish(started).status, 0);
    assert!(!path.exists());
    // With TMPDIR, and open to others.
    fs::create_dir(scene.path().join(format!("mitogen-{}", nix::unistd::geteuid()))).unwrap();
    let mut command = scene.command(&["listen", "n01"]);
    command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", scene.path());
    let done = scene.finish(Scene::spawn(command, Stdio::null()));
    assert!(done.status == 2 && done.err.contains("open to other users"), "{} {}", done.status, done.err);
}
