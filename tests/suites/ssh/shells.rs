//! Login shells and forced commands between sshd and the interpreter.

use mitogen::dialogue::{FailureKind, Stage};
use mitogen::{Context, Master};
use mitogen_tests::{Sshd, TestUser, isolated, run};

use crate::common::{by_key, check, connect_with, down, master, ssh, started_by, uid, up};

fn login(master: &Master, server: &Sshd, user: &TestUser) -> Context {
    let context = up(&master.connect(&ssh(by_key(server, user.name()))).unwrap());
    assert_eq!(uid(&context), user.uid());
    context
}

#[test]
fn an_interpreter_is_found_behind_every_login_shell() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        for shell in ["sh", "bash", "dash", "csh"] {
            let shell = run::find(shell).unwrap();
            let user = TestUser::options().shell(&shell.display().to_string()).create().unwrap();
            let context = login(&master, &server, &user);
            let joined: String = context.call("posixpath.join", ("a", "b")).unwrap();
            assert_eq!(joined, "a/b", "behind {}", shell.display());
        }
        master.shutdown();
    });
}

#[test]
fn output_of_the_login_shell_is_skipped() {
    // An unfinished line right before the marker, prompts, escape sequences, invalid UTF-8, and many lines.
    const NOISE: &str = r#"
printf 'Welcome!\r\npassword: \n\033[1m[sudo] password for x: \033[0m\000\377\376\nMITO002 MITO000 is nothing\n'
printf 'complaint: Permission denied (publickey).\n' >&2
i=0; while [ $i -lt 2000 ]; do echo "line $i of a long message of the day, with a colon at its end:"; i=$((i+1)); done
printf 'no end of line'
"#;
    isolated(|| {
        let server = Sshd::start().unwrap();
        let user = TestUser::options().shell("/bin/bash").create().unwrap();
        // bash reads it when sshd starts it, even if it is not a login shell.
        for name in [".bashrc", ".profile", ".bash_profile"] {
            std::fs::write(user.home().join(name), NOISE).unwrap();
        }
        let master = master();
        login(&master, &server, &user);
        let mut options = by_key(&server, user.name());
        options.identity_file = None;
        options.password = Some(mitogen::dialogue::Secret::new(user.password()));
        assert_eq!(uid(&up(&master.connect(&ssh(options)).unwrap())), user.uid());
        master.shutdown();
    });
}

#[test]
fn a_missing_interpreter_is_an_error() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let user = TestUser::new().unwrap();
        let master = master();
        let transport = ssh(by_key(&server, user.name()));
        let missing = connect_with(&master, None, &transport, &started_by(&["/nonexistent/python"]));
        let no_program = connect_with(&master, None, &transport, &started_by(&["/etc/passwd"]));
        let error = down(&missing);
        check(&error, Stage::Interpreter, FailureKind::NoInterpreter);
        assert!(error.report().contains("/nonexistent/python"), "{}", error.report());
        check(&down(&no_program), Stage::Interpreter, FailureKind::NoInterpreter);
        master.shutdown();
    });
}

#[test]
fn accounts_without_a_shell_or_with_a_forced_command_are_errors() {
    isolated(|| {
        let user = TestUser::options().shell("/usr/sbin/nologin").create().unwrap();
        let server = Sshd::start().unwrap();
        let master = master();
        let locked = master.connect(&ssh(by_key(&server, user.name()))).unwrap();
        check(&down(&locked), Stage::Shell, FailureKind::NotPermitted);
        for (command, kind) in [
            ("internal-sftp", FailureKind::NotPermitted),
            ("/bin/false", FailureKind::Eof),
            ("echo what a day; exit 3", FailureKind::Eof),
        ] {
            let server = Sshd::options().force_command(command).start().unwrap();
            let error = down(&master.connect(&ssh(by_key(&server, "root"))).unwrap());
            assert_eq!(error.kind, kind, "{command}: {}", error.report());
        }
        master.shutdown();
    });
}
