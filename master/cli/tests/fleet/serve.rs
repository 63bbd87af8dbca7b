//! `mitogen serve`, and commands that use its connections.

use std::fs;
use std::process::Stdio;

use mitogen_tests::procs::{self, Process};
use mitogen_tests::wait;
use nix::sys::signal::Signal;

use super::scene::{Scene, Started};

/// Starts `mitogen serve` with a socket in the scene's directory.
fn serve(scene: &Scene, targets: &[&str]) -> Started {
    let arguments = [&["serve", "--socket", "t.sock"], targets].concat();
    let mut started = scene.start(&arguments, Stdio::null());
    assert_eq!(started.line(), "t.sock\n");
    started
}

/// Ends the session with a signal, and checks that nothing is left. Returns its standard error.
fn end(scene: &Scene, started: Started, signal: Signal) -> String {
    started.signal(signal);
    let done = scene.finish(started);
    assert_eq!(done.status, 0, "{}", done.err);
    assert!(!scene.path().join("t.sock").exists());
    done.err
}

/// Runs the command while a session is running.
fn run(scene: &Scene, arguments: &[&str]) -> (i32, String, String) {
    let output = scene.command(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn commands_use_the_open_connections_and_leave_them_open() {
    let scene = Scene::new();
    let started = serve(&scene, &["n", "deep"]);
    let pids = || {
        let (status, out, err) = run(&scene, &["call", "--socket=t.sock", "n[01-03],d1", "os.getpid"]);
        assert_eq!((status, err.as_str()), (0, ""));
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let first = pids();
    assert_eq!(first.len(), 4, "{first:?}");
    assert_eq!(pids(), first, "the same processes");
    let (status, out, err) = run(&scene, &["run", "--socket=t.sock", "n", "-l", "n[02-03]", "--", "echo hi"]);
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!((status, lines, err.as_str()), (0, vec!["n02: hi", "n03: hi"], ""));
    let (status, out, err) = run(&scene, &["run", "--socket=t.sock", "n01", "--", "cat; exit 3"]);
    assert_eq!((status, out.as_str(), err.as_str()), (3, "", "mitogen: 1 failed\n  n01: exit status 3\n"));
    let output = scene.command(&["ping", "n"]).env("MITOGEN_SOCKET", "t.sock").output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.iter().filter(|byte| **byte == b'\n').count()),
        (Some(0), 30)
    );
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn the_contexts_are_drawn_as_a_tree() {
    let scene = Scene::new();
    let started = serve(&scene, &["n01", "deep/d1"]);
    let (status, out, err) = run(&scene, &["tree", "--socket=t.sock"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "t.sock"), "{out}");
    assert!(lines.iter().any(|line| line.contains("  └─ ") && line.contains(" (d1)  local")), "{out}");
    assert!(
        lines[1..].iter().all(|line| line.contains("  local  Python ") && line.contains("  up ")),
        "{out}"
    );
    let (status, out, _) = run(&scene, &["tree", "--socket=t.sock", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, told["contexts"].as_array().unwrap().len()), (0, 3), "{out}");
    assert_eq!(told["contexts"][0]["via"], 0);
    let told = told["contexts"].as_array().unwrap();
    assert!(told.iter().all(|told| told["python"].is_string()), "{out}");
    let mut depths: Vec<_> = told.iter().map(|told| told["depth"].as_u64()).collect();
    depths.sort_unstable();
    assert_eq!(depths, [Some(1), Some(1), Some(2)], "{out}");
    let there = |told: &serde_json::Value| Process::get(told["pid"].as_i64().unwrap() as i32).is_some();
    assert!(told.iter().all(there), "{out}");
    end(&scene, started, Signal::SIGINT);
}

#[test]
fn options_that_a_session_cannot_honour_are_errors() {
    let scene = Scene::new();
    let (status, _, err) = run(&scene, &["run", "--socket=t.sock", "n01", "--", "true"]);
    let advice = "start a session with `mitogen serve`, or leave out --socket (and MITOGEN_SOCKET)\n";
    assert_eq!((status, err), (4, format!("mitogen: t.sock: no session is listening; {advice}")));
    let started = serve(&scene, &["n01"]);
    let (status, out, err) = run(&scene, &["run", "--socket=t.sock", "n[01-03]", "--", "true"]);
    let expected = "mitogen: the session at t.sock is not connected to n[02-03]; restart its `mitogen serve` \
                    with n[02-03] among the targets, or leave out --socket\n";
    assert_eq!((status, out.as_str(), err.as_str()), (2, "", expected));
    let (status, _, err) = run(&scene, &["run", "--socket=t.sock", "nobody", "--", "true"]);
    assert!(status == 2 && err.contains("nobody"), "{status} {err}");
    let (status, _, err) = run(&scene, &["run", "--socket=t.sock", "-b", "n01", "--", "true"]);
    assert!(
        status == 2 && err.contains("give -u, -k, -b, -K, -T and --become-* to `mitogen serve`"),
        "{status} {err}"
    );
    for (flags, reason) in [
        (&["--profiles", "mitogen.toml"][..], "give --profiles to `mitogen serve`"),
        (&["-C"], "there is no plan to show"),
    ] {
        let words = [&["run", "--socket=t.sock"], flags, &["n01", "--", "true"]].concat();
        let (status, out, err) = run(&scene, &words);
        assert!(status == 2 && out.is_empty() && err.contains(reason), "{status} {out} {err}");
    }
    let (status, _, err) = run(&scene, &["serve", "--socket", "t.sock", "n02"]);
    assert!(status == 2 && err.contains("a listener is running already"), "{status} {err}");
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn a_lost_target_is_connected_again_on_next_use() {
    let scene = Scene::new();
    let mut started = serve(&scene, &["deep/d1", "n01"]);
    let pid =
        || run(&scene, &["call", "--socket=t.sock", "d1", "os.getppid"]).1.trim().parse::<i32>().unwrap();
    let gate = pid();
    procs::kill_now(Process::get(gate).expect("it runs").id);
    let message = started.message();
    assert!(message.starts_with("mitogen: d1: connection lost: "), "{message}");
    assert_ne!(pid(), gate);
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn failed_targets_are_reported_and_the_others_stay_connected() {
    let scene = Scene::new();
    let mut started = scene.start(&["serve", "--socket", "t.sock", "n01,b1"], Stdio::null());
    assert_eq!(started.line(), "t.sock\n");
    let message = started.message();
    assert!(message.starts_with("mitogen: b1: "), "{message}");
    let (status, _, err) = run(&scene, &["run", "--socket=t.sock", "n01,b1", "--", "true"]);
    assert!(status == 4 && err.contains("b1: "), "{status} {err}");
    end(&scene, started, Signal::SIGTERM);
    let done = scene.run(&["serve", "--socket", "t.sock", "broken"]);
    assert_eq!((done.status, done.text()), (4, ""), "{}", done.err);
    assert!(!scene.path().join("t.sock").exists());
}

/// A module and a program that imports it, in a directory each, which say which version they are.
fn versions(scene: &Scene) {
    for version in ["one", "two"] {
        let directory = scene.path().join(version);
        fs::create_dir(&directory).unwrap();
        let module =
            format!("import time\n\ndef which(seconds):\n    time.sleep(seconds)\n    return {version:?}\n");
        fs::write(directory.join("mine.py"), module).unwrap();
        fs::write(directory.join("prog.py"), "import sys, mine\nprint(sys.argv[1:], mine.which(0.5))\n")
            .unwrap();
    }
}

#[test]
fn two_clients_use_their_own_module_versions_at_the_same_time() {
    let scene = Scene::new();
    versions(&scene);
    let started = serve(&scene, &["n01", "deep/d1"]);
    for words in [
        &["call", "--socket=t.sock", "--path=VERSION", "n01,d1", "mine.which", "0.5"][..],
        &["script", "--socket=t.sock", "n01,d1", "VERSION/prog.py", "x"],
    ] {
        let start = |version: &str| {
            let words: Vec<String> = words.iter().map(|word| word.replace("VERSION", version)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut command = scene.command(&words);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let (one, two) = (start("one"), start("two"));
        for (child, version) in [(one, "one"), (two, "two")] {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let expected =
                if words[0] == "call" { format!("{version:?}") } else { format!("['x'] {version}") };
            let mut lines: Vec<&str> = said.lines().collect();
            lines.sort_unstable();
            let err = String::from_utf8_lossy(&output.stderr);
            assert_eq!(lines, [format!("d1: {expected}"), format!("n01: {expected}")], "{err}");
        }
    }
    // Other clients do not see the modules.
    let (status, _, err) = run(&scene, &["call", "--socket=t.sock", "n01", "mine.which", "0"]);
    assert!(status == 3 && err.contains("mine"), "{status} {err}");
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn an_interrupt_ends_only_what_its_client_has_started() {
    let scene = Scene::new();
    versions(&scene);
    fs::write(scene.path().join("two/prog.py"), "import time\nprint('up')\ntime.sleep(1000)\n").unwrap();
    let started = serve(&scene, &["n01", "n02"]);
    let line = "echo $$; exec sleep 1000";
    let mut mine = scene.start(&["run", "--socket=t.sock", "n01", "--", line], Stdio::null());
    let mut other = scene.start(&["run", "--socket=t.sock", "n01", "--", line], Stdio::null());
    let mut program = scene.start(&["script", "--socket=t.sock", "n01", "two/prog.py"], Stdio::null());
    let call = ["call", "--socket=t.sock", "--path=one", "n02", "mine.which", "1000"];
    let call = scene.start(&call, Stdio::null());
    let pid = |started: &mut Started| started.line().trim().parse::<i32>().unwrap();
    let (first, second) = (pid(&mut mine), pid(&mut other));
    assert_eq!(program.line(), "up\n");
    let scoped = || {
        let (_, out, _) = run(&scene, &["call", "--socket=t.sock", "n02", "os.getpid"]);
        let parent: i32 = out.trim().parse().unwrap();
        let children = procs::all().into_iter().filter(|process| process.parent == parent);
        children.filter(|process| !process.is_zombie()).map(|process| process.id).collect::<Vec<_>>()
    };
    assert!(wait::until(wait::TIMEOUT, || (scoped().len() == 1).then_some(())).is_some(), "{:?}", scoped());
    for client in [mine, program, call] {
        client.signal(Signal::SIGINT);
        let output = client.child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let gone =
        wait::until(wait::TIMEOUT, || (Process::get(first).is_none() && scoped().is_empty()).then_some(()));
    assert!(gone.is_some(), "something has outlived its client");
    assert!(Process::get(second).is_some(), "it belongs to another client");
    other.signal(Signal::SIGINT);
    assert_eq!(other.child.wait_with_output().unwrap().status.code(), Some(130));
    assert_eq!(
        run(&scene, &["run", "--socket=t.sock", "n", "-l", "n01,n02", "-n", "--", "echo", "well"]).0,
        0
    );
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn files_are_copied_both_ways_in_a_running_session() {
    let scene = Scene::new();
    let started = serve(&scene, &["n01", "deep/d1"]);
    let place = scene.path().join("there");
    fs::create_dir(&place).unwrap();
    fs::write(scene.path().join("file"), "precious").unwrap();
    let to = format!("{}/", place.display());
    let (status, _, err) = run(&scene, &["put", "--socket=t.sock", "--mode=600", "d1", "file", &to]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(fs::read(place.join("file")).unwrap(), b"precious");
    let from = place.join("file").display().to_string();
    let (status, _, err) = run(&scene, &["get", "--socket=t.sock", "n01,d1", &from, "back"]);
    assert_eq!((status, err.as_str()), (0, ""));
    for host in ["n01", "d1"] {
        assert_eq!(fs::read(scene.path().join("back").join(host).join("file")).unwrap(), b"precious");
    }
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn a_killed_client_ends_only_its_own_command() {
    let scene = Scene::new();
    let started = serve(&scene, &["n01"]);
    let arguments = ["run", "--socket=t.sock", "n01", "--", "echo $$; exec sleep 1000"];
    let mut client = scene.start(&arguments, Stdio::null());
    let pid: i32 = client.line().trim().parse().unwrap();
    client.child.kill().unwrap();
    client.child.wait().unwrap();
    let gone = wait::until(wait::TIMEOUT, || Process::get(pid).is_none().then_some(()));
    assert!(gone.is_some(), "the command has outlived its client");
    assert_eq!(run(&scene, &["run", "--socket=t.sock", "n01", "--", "echo well"]).1, "well\n");
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn a_killed_server_leaves_no_process_and_its_socket_is_replaced() {
    let scene = Scene::new();
    let mut started = serve(&scene, &["n[01-03]", "deep/d1"]);
    started.child.kill().unwrap();
    started.child.wait().unwrap();
    scene.assert_nothing_left();
    assert!(scene.path().join("t.sock").exists(), "a killed process cannot remove its socket");
    let (status, _, err) = run(&scene, &["tree", "--socket=t.sock"]);
    assert!(status == 4 && err.contains("; start a session with `mitogen serve`"), "{status} {err}");
    let started = serve(&scene, &["n01"]);
    end(&scene, started, Signal::SIGTERM);
}

#[test]
fn the_default_socket_is_in_a_private_directory() {
    let scene = Scene::new();
    let mut command = scene.command(&["serve", "n01"]);
    command.env("XDG_RUNTIME_DIR", scene.path());
    let mut started = Scene::spawn(command, Stdio::null());
    let path = scene.path().join("mitogen/default.sock");
    assert_eq!(started.line(), format!("{}\n", path.display()));
    let mut command = scene.command(&["run", "--socket", "n01", "--", "echo hi"]);
    let output = command.env("XDG_RUNTIME_DIR", scene.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hi\n");
    started.signal(Signal::SIGTERM);
    assert_eq!(scene.finish(started).status, 0);
    assert!(!path.exists());
    // With TMPDIR, and open to others.
    fs::create_dir(scene.path().join(format!("mitogen-{}", nix::unistd::geteuid()))).unwrap();
    let mut command = scene.command(&["serve", "n01"]);
    command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", scene.path());
    let done = scene.finish(Scene::spawn(command, Stdio::null()));
    assert!(
        done.status == 2 && done.err.contains("accessible to other users"),
        "{} {}",
        done.status,
        done.err
    );
}

#[test]
fn the_old_names_work_and_the_old_variable_warns() {
    let scene = Scene::new();
    let mut started = scene.start(&["listen", "--socket", "t.sock", "n01"], Stdio::null());
    assert_eq!(started.line(), "t.sock\n");
    assert_eq!(
        run(&scene, &["run", "--tree=t.sock", "n01", "--", "echo hi"]),
        (0, "hi\n".into(), String::new())
    );
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        let output = scene.command(arguments).envs(variables.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let command = &["run", "n01", "--", "echo hi"];
    let old = ("MITOGEN_TREE", "t.sock");
    let warning = "mitogen: warning: MITOGEN_TREE is deprecated; set MITOGEN_SOCKET instead\n";
    assert_eq!(with(&[old], command), (0, "hi\n".into(), warning.into()));
    assert_eq!(with(&[old], &[&["-q"], &command[..]].concat()), (0, "hi\n".into(), String::new()));
    // The new variable takes precedence, and the option over both.
    assert_eq!(with(&[("MITOGEN_TREE", "none"), ("MITOGEN_SOCKET", "t.sock")], command).0, 0);
    assert_eq!(with(&[("MITOGEN_SOCKET", "none")], command).0, 4);
    let option = &[&["--socket=t.sock"], &command[..]].concat();
    assert_eq!(with(&[("MITOGEN_SOCKET", "none")], option), (0, "hi\n".into(), String::new()));
    end(&scene, started, Signal::SIGTERM);
}
