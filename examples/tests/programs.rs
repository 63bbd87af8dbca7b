//! Every program of this package, run as a user runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::fs;
use std::path::Path;
use std::process::Command;

use mitogen_tests::users::Rule;
use mitogen_tests::{Sshd, TestUser, built, isolated, run};

/// The standard output of a program that succeeds.
fn output(program: &mut Command) -> String {
    let output = program.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Arguments that keep ssh from this machine's configuration.
fn ssh_args(server: &Sshd) -> Vec<String> {
    let (key, known_hosts) = (server.key(), server.known_hosts());
    let known_hosts = format!("UserKnownHostsFile={}", known_hosts.display());
    ["-F", "none", "-i", &key.display().to_string(), "-o", &known_hosts, "-o", "IdentityAgent=none"]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn connect_and_call() {
    isolated(|| {
        let text = output(&mut Command::new(env!("CARGO_BIN_EXE_connect_and_call")));
        assert!(text.contains("runs Python ") && text.contains("etc/hosts"), "{text}");
        assert!(text.contains("ValueError: math domain error") || text.contains("nonnegative"), "{text}");
    });
}

#[test]
fn concurrent_calls() {
    isolated(|| {
        let text = output(&mut Command::new(env!("CARGO_BIN_EXE_concurrent_calls")));
        assert!(text.contains("squares: 4 of 4, sum 30"), "{text}");
    });
}

#[test]
fn copy_to_many() {
    isolated(|| {
        run::need_root("the sshd of this test").unwrap();
        let server = Sshd::start().unwrap();
        let users = [TestUser::new().unwrap(), TestUser::new().unwrap()];
        let scratch = tempfile::tempdir().unwrap();
        let (profiles, file) = (scratch.path().join("mitogen.toml"), scratch.path().join("motd"));
        fs::write(&file, "contents").unwrap();
        fs::write(&profiles, profile_file(&server, &users)).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_copy_to_many"));
        program.env("MITOGEN_PROFILES", &profiles).arg("user0,user1").arg(&file).arg("copy");
        let text = output(&mut program);
        assert!(text.contains("user0: 8 bytes") && text.contains("user1: 8 bytes"), "{text}");
        for user in &users {
            assert_eq!(fs::read_to_string(user.home().join("copy")).unwrap(), "contents");
        }
    });
}

/// A profile for each user.
fn profile_file(server: &Sshd, users: &[TestUser]) -> String {
    let profile = |(number, user): (usize, &TestUser)| {
        format!(
            "[profile.user{number}]\nmethod = \"ssh\"\nhostname = {:?}\nport = {}\nusername = {:?}\nssh_args = {:?}\n\n",
            server.host(),
            server.port(),
            user.name(),
            ssh_args(server),
        )
    };
    users.iter().enumerate().map(profile).collect()
}

#[test]
fn streaming() {
    isolated(|| {
        let text = output(&mut Command::new(env!("CARGO_BIN_EXE_streaming")));
        let expected: String = (0..5).map(|number| format!("received {number}\n")).collect();
        assert_eq!(text, expected + "the call returned: counted to 5\n");
    });
}

#[test]
fn custom_transport() {
    isolated(|| {
        run::need_root("chroot").unwrap();
        let program = || Command::new(env!("CARGO_BIN_EXE_custom_transport"));
        let text = output(program().arg("/"));
        assert!(text.starts_with("chroot./: ") && text.contains("names in its root directory"), "{text}");

        let failed = program().arg("/nowhere").output().unwrap();
        let error = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(!failed.status.success());
        assert!(error.contains("the root directory does not exist"), "{error}");
    });
}

#[test]
fn chain() {
    isolated(|| {
        run::need_root("the sshd of this test").unwrap();
        let server = Sshd::start().unwrap();
        let user = TestUser::options().sudo(Rule::Password).create().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_chain"));
        program.env("SUDO_PASSWORD", user.password());
        program.arg(format!("{}@{}:{}", user.name(), server.host(), server.port())).args(ssh_args(&server));
        let text = output(&mut program);
        assert!(text.contains(&format!("has the user id {}\n", user.uid())), "{text}");
        assert!(text.contains("sudo.root has the user id 0\n"), "{text}");
    });
}

/// A crate that has only `mitogen`, without features. The profile is that of the workspace, so that the crates of
/// others need not be compiled again.
const OUTSIDE: &str = r#"
[package]
name = "mitogen-outside"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
mitogen = { path = "MASTER", default-features = false }

[profile.dev.package.mitogen-minify]
opt-level = 2
[profile.dev.package.sha2]
opt-level = 3
"#;

#[test]
fn a_custom_transport_needs_one_dependency() {
    run::need_root("chroot").unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outside = tempfile::tempdir().unwrap();
    let manifest = OUTSIDE.replace("MASTER", &here.with_file_name("master").display().to_string());
    fs::write(outside.path().join("Cargo.toml"), manifest).unwrap();
    fs::copy(here.with_file_name("Cargo.lock"), outside.path().join("Cargo.lock")).unwrap();
    fs::create_dir(outside.path().join("src")).unwrap();
    fs::copy(here.join("custom_transport.rs"), outside.path().join("src/main.rs")).unwrap();

    let target = built::target_dir().unwrap();
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--offline", "--target-dir"]).arg(&target).current_dir(outside.path());
    output(&mut build);
    let text = output(Command::new(target.join("debug/mitogen-outside")).arg("/"));
    assert!(text.starts_with("chroot./: "), "{text}");
}

#[test]
fn the_programs_name_no_crate_of_this_project_but_mitogen() {
    for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some("rs".as_ref()) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("mitogen_"), "{}", Path::new(&path).display());
        }
    }
}
