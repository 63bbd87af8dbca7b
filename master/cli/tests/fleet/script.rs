//! `mitogen script`: local programs, run on targets.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use mitogen_tests::pythons;
use nix::sys::signal::Signal;

use super::scene::Scene;

fn scene(program: &str) -> Scene {
    let scene = Scene::new();
    fs::write(scene.path().join("prog.py"), program).unwrap();
    scene
}

#[test]
fn a_program_has_its_own_output_arguments_and_input() {
    let scene = scene("import sys\nprint(sys.argv)\nsys.stderr.write('err\\n')\nprint(sys.stdin.read())\n");
    let words = ["script", "local", "prog.py", "-g", "a b", "--json", "--", "-n"];
    let done = scene.run_with_input(&words, b"given");
    let expected = "['prog.py', '-g', 'a b', '--json', '--', '-n']\ngiven\n";
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, expected, "err\n"));
    let done = scene.run_with_input(&["script", "-n", "local", "prog.py"], b"given");
    assert_eq!((done.status, done.text()), (0, "['prog.py']\n\n"));
}

#[test]
fn programs_exit_like_commands() {
    let told = |end: &str| format!("mitogen: 1 failed\n  local: {end}\n");
    for (program, status, err) in [
        ("import sys; sys.exit(0)", 0, String::new()),
        ("import sys; sys.exit(7)", 3, told("exit status 7")),
        ("import sys; sys.exit('sorry')", 3, format!("sorry\n{}", told("exit status 1"))),
        ("import os; os._exit(9)", 3, told("exit status 9")),
        ("import os; os.kill(os.getpid(), 9)", 3, told("killed by SIGKILL")),
    ] {
        let done = scene(program).run(&["script", "local", "prog.py"]);
        assert_eq!((done.status, done.text(), done.err.as_str()), (status, "", err.as_str()), "{program}");
    }
    let done = scene("import time; time.sleep(1000)").run(&[
        "script",
        "--command-timeout",
        "0.5",
        "local",
        "prog.py",
    ]);
    assert_eq!((done.status, done.text()), (124, ""));
}

#[test]
fn a_traceback_contains_only_lines_of_the_program() {
    for python in pythons().iter().filter(|python| python.is_supported()) {
        let profile =
            format!("\n[profile.it]\nmethod = \"local\"\npython = [{:?}]\n", python.path.to_string_lossy());
        let scene = Scene::with(&profile);
        fs::write(scene.path().join("prog.py"), "def f(x):\n    return 1 // x  # why\n\nf(0)\n").unwrap();
        let done = scene.run(&["script", "-q", "it", "prog.py"]);
        let carets = |line: &&str| !line.trim_matches([' ', '^', '~']).is_empty();
        let lines: Vec<&str> = done.err.lines().filter(carets).collect();
        assert_eq!(done.status, 3, "{python:?}: {}", done.err);
        assert_eq!(
            lines[..lines.len() - 1],
            [
                "Traceback (most recent call last):",
                "  File \"prog.py\", line 4, in <module>",
                "    f(0)",
                "  File \"prog.py\", line 2, in f",
                "    return 1 // x  # why",
            ],
            "{python:?}"
        );
        assert!(lines[lines.len() - 1].starts_with("ZeroDivisionError: "), "{python:?}: {}", done.err);
    }
}

#[test]
fn megabytes_of_output_arrive_unchanged() {
    let scene = scene(
        "import os\npart = bytes(bytearray((i * 7 + i // 256) % 256 for i in range(10240)))\n\
         for _ in range(1024): os.write(1, part)\n",
    );
    let part: Vec<u8> = (0..10240_u32).map(|i| ((i * 7 + i / 256) % 256) as u8).collect();
    let done = scene.run(&["script", "local", "prog.py"]);
    assert_eq!((done.status, done.err.as_str()), (0, ""));
    assert!(done.out == part.repeat(1024), "{} bytes", done.out.len());
}

#[test]
fn a_program_runs_on_several_targets_at_once() {
    let scene = scene("import os\nprint(os.environ['A'], os.getcwd())\n");
    let words = ["script", "--fold", "--cwd", "/usr", "-e", "A=1", "n[01-03],deep", "prog.py"];
    let done = scene.run(&words);
    let rule = "---------------";
    assert_eq!(
        (done.status, done.text(), done.err.as_str()),
        (0, format!("{rule}\nn[01-03],d[1-3] (6)\n{rule}\n1 /usr\n").as_str(), "")
    );
}

#[test]
fn a_program_read_from_standard_input_has_no_input() {
    let scene = Scene::new();
    let program = b"import sys\nprint(sys.argv, repr(sys.stdin.read()))\n";
    let done = scene.run_with_input(&["script", "local", "-", "x"], program);
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, "['-', 'x'] ''\n", ""));
}

#[test]
fn an_unreadable_program_is_a_usage_error() {
    let scene = Scene::new();
    let done = scene.run(&["script", "local", "none.py"]);
    let expected = "mitogen: cannot read the program none.py: No such file or directory (os error 2)\n";
    assert_eq!((done.status, done.text(), done.err.as_str()), (2, "", expected));
    assert_eq!(scene.run(&["script", "local", "."]).status, 2);
    assert_eq!(scene.run(&["script", "local"]).status, 2);
}

#[test]
fn a_program_is_interrupted_with_all_that_it_started() {
    let scene = scene(
        "import subprocess, sys\nwith open('on', 'w') as f: f.write('x')\n\
         print('on')\nsys.stdout.flush()\nsubprocess.call(['sleep', '1000'])\n",
    );
    let mut started = scene.start(&["script", "local", "prog.py"], Stdio::null());
    assert_eq!(started.line(), "on\n");
    started.signal(Signal::SIGINT);
    started.signal(Signal::SIGINT);
    let done = scene.finish(started);
    assert_eq!(done.status, 130, "{}", done.err);
}

#[test]
fn a_program_receives_input_as_soon_as_it_is_written() {
    let scene =
        scene("import sys\nfor line in iter(sys.stdin.readline, ''):\n  print(line.upper().strip())\n");
    let mut started = scene.start(&["script", "local", "prog.py"], Stdio::piped());
    for (line, answer) in [("one\n", "ONE\n"), ("two\n", "TWO\n")] {
        started.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        assert_eq!(started.line(), answer);
    }
    let done = scene.finish(started);
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, "", ""));
}

#[test]
fn check_shows_what_would_run() {
    let scene = scene("1/0");
    let done = scene.run(&["script", "-C", "-n", "local", "prog.py", "a b"]);
    assert_eq!(done.status, 0, "{}", done.err);
    assert!(
        done.text().contains("then run local program prog.py 'a b', without standard input"),
        "{}",
        done.text()
    );
}

#[test]
fn modules_come_from_the_programs_directory_and_the_options() {
    let scene = scene("import beside\nimport pack.deep\nimport lib\nprint(beside.x, pack.deep.f(), lib.x)\n");
    let at = |name: &str| scene.path().join(name);
    fs::create_dir_all(at("pack")).unwrap();
    fs::create_dir_all(at("more")).unwrap();
    fs::create_dir_all(at("venv/lib/python3.9/site-packages")).unwrap();
    fs::write(at("beside.py"), "x = 1\n").unwrap();
    fs::write(at("pack/__init__.py"), "").unwrap();
    fs::write(at("pack/deep.py"), "from . import other\ndef f(): return other.x\n").unwrap();
    fs::write(at("pack/other.py"), "x = 2\n").unwrap();
    fs::write(at("more/lib.py"), "x = 3\ndef twice(n): return 2 * n\n").unwrap();
    fs::write(at("venv/lib/python3.9/site-packages/lib.py"), "x = 4\n").unwrap();
    // A directory without any of these modules.
    let place = ["--cwd", "/usr"];
    let run = |words: &[&str]| scene.run(&[&["script"], &place[..], words].concat());
    let done = run(&["--path", "more", "local", "prog.py"]);
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, "1 2 3\n", ""));
    let done = run(&["--venv", "venv", "d1", "prog.py"]);
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, "1 2 4\n", ""));
    let done = run(&["-q", "local", "prog.py"]);
    assert_eq!(done.status, 3);
    assert!(done.err.contains("File \"prog.py\", line 3, in <module>\n    import lib\n"), "{}", done.err);
    assert!(done.err.ends_with("No module named 'lib'\n"), "{}", done.err);
    let done = scene.run(&["call", "--path", "more", "local", "lib.twice", "4"]);
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, "8\n", ""));
    for words in [&["--path", "nowhere"][..], &["--venv", "more"]] {
        let done = run(&[words, &["local", "prog.py"]].concat());
        assert_eq!((done.status, done.text()), (2, ""), "{}", done.err);
        assert!(done.err.contains(words[1]), "{}", done.err);
    }
}
