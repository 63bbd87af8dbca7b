//! The command as a process: its output on both streams, and its exit status.

// clippy does not recognise helpers of integration tests as test code.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const FILE: &str = r#"
[profile.gate]
method = "ssh"
hostname = "gate.example.org"

[profile.web]
method = "ssh"
via = "gate"
hostname = "web[01-03].example.org"

[group]
all = ["web", "gate"]
"#;

/// Runs the command in `directory`. Returns its exit status, standard output and standard error.
fn mitogen(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    mitogen_with_input(directory, arguments, b"")
}

/// As [`mitogen`], with something on standard input.
fn mitogen_with_input(directory: &Path, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mitogen"));
    command
        .args(arguments)
        .current_dir(directory)
        .env("HOME", directory)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("MITOGEN_PROFILES");
    let output = mitogen_tests::run::output_with_input(&mut command, input).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn directory(file: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mitogen.toml");
    fs::write(&path, file).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    directory
}

#[test]
fn a_valid_file_is_summarised_in_numbers() {
    let here = directory(FILE);
    let expected = "mitogen.toml: 2 profiles, 4 targets, 1 group; no errors\n";
    assert_eq!(mitogen(here.path(), &["profiles", "check"]), (0, expected.into(), String::new()));
    let (status, out, err) = mitogen(here.path(), &["profiles", "list"]);
    let expected = "\
gate   ssh           gate.example.org
web    ssh via gate  web[01-03].example.org
local  local
@all   group         web,gate
";
    assert_eq!((status, out.as_str(), err.as_str()), (0, expected, ""));
}

#[test]
fn listed_targets_respect_the_limit() {
    let here = directory(FILE);
    let (status, out, _) = mitogen(here.path(), &["profiles", "list", "@all", "-l", "!web02"]);
    assert_eq!((status, out.as_str()), (0, "web01.example.org\nweb03.example.org\ngate\n"));
    let (status, out, err) = mitogen(here.path(), &["profiles", "list", "wbe"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "mitogen: no profile or host named `wbe`; did you mean `web`? (`ssh:wbe` connects to a host without a profile)\n"
    );
}

#[test]
fn profile_errors_are_usage_errors() {
    let here = directory(&FILE.replace("via = \"gate\"", "via = \"gat\"\nusrname = \"x\""));
    let (status, out, err) = mitogen(here.path(), &["profiles", "check"]);
    assert_eq!((status, out.as_str()), (2, ""));
    let expected = "\
mitogen: mitogen.toml:8:7: profile.web.via: no profile named `gat`
  8 | via = \"gat\"
    |       ^^^^^
    = did you mean `gate`?

mitogen.toml:9:1: profile.web.usrname: unknown key for method `ssh`
  9 | usrname = \"x\"
    | ^^^^^^^
    = did you mean `username`?
";
    assert_eq!(err, expected);
    let open = here.path().join("mitogen.toml");
    fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
    let (status, _, err) = mitogen(here.path(), &["profiles", "check"]);
    assert_eq!(status, 2);
    assert!(
        err.starts_with("mitogen: refusing to use profiles from mitogen.toml: it is writable by everyone\n"),
        "{err}"
    );
    assert_eq!(mitogen(here.path(), &["--profiles", "none.toml", "profiles", "check"]).0, 2);
    assert_eq!(mitogen(here.path(), &["rum"]).0, 2);
    assert_eq!(mitogen(here.path(), &["run", "local"]).0, 2);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let here = tempfile::tempdir().unwrap();
    let (status, out, err) = mitogen(here.path(), &["--help"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with("Examples:\n"), "{out}");
    let (status, out, _) = mitogen(here.path(), &["--version"]);
    assert_eq!((status, out), (0, format!("mitogen {}\n", env!("CARGO_PKG_VERSION"))));
    let (status, out, _) = mitogen(here.path(), &["profiles", "check"]);
    assert_eq!((status, out.starts_with("no profile file")), (0, true), "{out}");
}

#[test]
fn completion_knows_targets() {
    let here = directory(FILE);
    let ask = |words: &[&str]| {
        let (status, out, err) = mitogen(here.path(), &[&["__complete", "zsh", "--"], words].concat());
        assert_eq!((status, err.as_str()), (0, ""));
        out
    };
    assert_eq!(ask(&["run", ""]), "@all\ngate\nweb\nlocal\n");
    assert_eq!(ask(&["run", "web02"]), "web02.example.org\n");
    assert_eq!(ask(&["run", "web,!@"]), "web,!@all\n");
    let (status, script, _) = mitogen(here.path(), &["completions", "bash"]);
    assert_eq!(status, 0);
    assert!(script.contains("complete -o default -F _mitogen mitogen"), "{script}");
}

#[test]
fn minify_prints_the_source_that_is_sent() {
    let here = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(here.path().join(name), bytes).unwrap();
    write("good.py", b"# Why\ndef f( x ):\n    'Doc.'\n    return x  # this\n");
    let expected = "\ndef f(x):\n\n return x\n";
    assert_eq!(mitogen(here.path(), &["minify", "good.py"]), (0, expected.into(), String::new()));
    assert_eq!(
        mitogen_with_input(here.path(), &["minify", "-"], b"x = 1 # one"),
        (0, "x=1".into(), String::new())
    );

    write("bad.py", "x = 1\n\u{e9} = ?\n".as_bytes());
    let refused = "mitogen: bad.py:2:5: invalid character '?' (U+003F)\n";
    assert_eq!(mitogen(here.path(), &["minify", "bad.py"]), (2, String::new(), refused.into()));
    let refused = "mitogen: <stdin>:1:5: '(' was never closed\n";
    assert_eq!(
        mitogen_with_input(here.path(), &["minify", "-"], b"x = (\n"),
        (2, String::new(), refused.into())
    );
    let (status, out, err) = mitogen(here.path(), &["minify", "none.py"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.starts_with("mitogen: none.py: No such file"), "{err}");
    let (status, _, err) = mitogen(here.path(), &["minify", "."]);
    assert_eq!(
        (status, err.as_str()),
        (2, "mitogen: . is a directory: give a directory for the results with --into\n")
    );
    assert_eq!(mitogen(here.path(), &["minify"]).0, 2);

    // File names are left to the shell.
    let complete = |words: &[&str]| mitogen(here.path(), &[&["__complete", "bash", "--"], words].concat()).1;
    assert_eq!(complete(&["mitogen mini"]), "minify\n");
    assert_eq!(complete(&["mitogen minify g"]), "");
}

#[test]
fn minify_writes_a_directory_into_another() {
    let here = tempfile::tempdir().unwrap();
    let at = |name: &str| here.path().join(name);
    fs::create_dir_all(at("lib/pkg/deep")).unwrap();
    for (name, text) in [
        ("lib/one.py", "x = 1  # one\n"),
        ("lib/pkg/deep/two.py", "def f( ):\n    'Doc.'\n"),
        ("lib/pkg/notes.txt", "not Python"),
    ] {
        fs::write(at(name), text).unwrap();
    }
    let done = (0, String::new(), String::new());
    // The second run finds the results of the first one.
    for _ in 0..2 {
        assert_eq!(mitogen(here.path(), &["minify", "lib", "--into", "lib/small"]), done);
        assert_eq!(fs::read_to_string(at("lib/small/one.py")).unwrap(), "x=1\n");
        assert_eq!(fs::read_to_string(at("lib/small/pkg/deep/two.py")).unwrap(), "def f():\n pass\n");
        assert!(!at("lib/small/pkg/notes.txt").exists() && !at("lib/small/small").exists());
    }
    let (status, _, err) = mitogen(here.path(), &["minify", "lib", "--into", "./lib/"]);
    assert_eq!((status, err.contains("contains the sources")), (2, true), "{err}");
    fs::write(at("lib/bad.py"), "x = ?\n").unwrap();
    let (status, _, err) = mitogen(here.path(), &["minify", "lib", "--into", "other"]);
    let refused = "mitogen: lib/bad.py:1:5: invalid character '?' (U+003F)\nall other files were written\n";
    assert_eq!((status, err.as_str()), (2, refused));
    assert!(at("other/one.py").exists() && !at("other/bad.py").exists());
}

/// Runs the command where no thread can be started.
fn mitogen_without_threads(arguments: &[&str]) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("mitogen");
    fs::copy(env!("CARGO_BIN_EXE_mitogen"), &program).unwrap();
    let mut command = Command::new("prlimit");
    command.arg("--nproc=0:0").arg(&program).args(arguments).current_dir(&directory);
    command.env("HOME", directory.path()).env_remove("XDG_CONFIG_HOME").env_remove("MITOGEN_PROFILES");
    if nix::unistd::geteuid().is_root() {
        // The limit does not hold for root.
        command.uid(65534).gid(65534);
    }
    let output = mitogen_tests::run::output_with_input(&mut command, b"").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn plans_are_made_without_a_thread() {
    let (status, out, err) = mitogen_without_threads(&["plan", "local,ssh:web1.example.org"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("local (by local)") && out.contains("ssh.web1.example.org (by ssh)"), "{out}");
    // What needs a thread fails under the same limit.
    let (status, out, err) = mitogen_without_threads(&["run", "local", "--", "true"]);
    assert_eq!(status, 1, "{out}{err}");
    assert!(err.contains("cannot start the I/O loop"), "{err}");
}
