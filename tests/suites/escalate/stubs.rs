//! Replacements for sudo with messages of other languages and rare failures.

use std::time::Duration;

use mitogen::Master;
use mitogen::dialogue::{FailureKind, Secret, Stage};
use mitogen::transports::sudo::{Options, Sudo};
use mitogen_tests::isolated;
use mitogen_tests::stub::{SUDO_PROMPTS, Step, Stub, To};

use crate::common::{check, connect_with, down, local, master, uid, up};

fn sudo(stub: &Stub, password: Option<&str>, seconds: f64) -> Sudo {
    let options = Options::new()
        .sudo_path(stub.path().display().to_string())
        .password(password.map(Secret::new))
        .connect_timeout(Duration::from_secs_f64(seconds));
    Sudo::new(options).unwrap()
}

fn ask(prompt: Option<&str>, wrong: &str) -> Step {
    Step::Ask { prompt: prompt.map(str::to_owned), secret: "right".into(), wrong: wrong.into(), tries: 3 }
}

/// Requests a connection by the master and one by a context.
fn both(master: &Master, sudo: &Sudo) -> [mitogen::ConnectHandle; 2] {
    let context = up(&master.connect(&local()).unwrap());
    [master.connect(sudo).unwrap(), connect_with(master, Some(&context), sudo, master.settings())]
}

#[test]
fn output_before_the_requested_prompt_is_ignored_in_every_language() {
    isolated(|| {
        let master = master();
        for (_, prompt) in SUDO_PROMPTS {
            let talk = format!("\nWir gehen davon aus\u{2026}\nPassword:\n{prompt}\n");
            let script = [
                Step::Print(To::Tty, talk.clone()),
                Step::Print(To::Stdout, talk.clone()),
                ask(None, "Das hat nicht funktioniert, bitte nochmal probieren.\n"),
                Step::Print(To::Tty, talk),
                Step::Run,
            ];
            let stub = Stub::sudo(&script).unwrap();
            for connecting in both(&master, &sudo(&stub, Some("right"), 30.0)) {
                uid(&up(&connecting));
            }
            for connecting in both(&master, &sudo(&stub, Some("not-the-password"), 30.0)) {
                check(&down(&connecting), Stage::Privilege, FailureKind::PasswordIncorrect);
            }
        }
        master.shutdown();
    });
}

#[test]
fn only_the_requested_prompt_gets_the_password() {
    isolated(|| {
        let master = master();
        for (language, prompt) in SUDO_PROMPTS {
            // A prompt of another program, with the text of sudo's default prompt.
            let stub = Stub::sudo(&[ask(Some(prompt), ""), Step::Exit(0)]).unwrap();
            for connecting in both(&master, &sudo(&stub, Some("right"), 1.0)) {
                let error = down(&connecting);
                check(&error, Stage::Privilege, FailureKind::Timeout);
                let said = error.output.last().expect("its last output");
                assert_eq!(said.trim(), prompt.trim(), "{language}");
            }
        }
        master.shutdown();
    });
}

#[test]
fn a_tool_that_dies_or_hangs_is_an_error_of_the_privilege_stage() {
    isolated(|| {
        let master = master();
        for (script, kind, signal) in [
            (vec![Step::Kill(9)], FailureKind::Eof, Some(9)),
            (vec![Step::Print(To::Stderr, "strange\n".into()), Step::Exit(3)], FailureKind::Eof, None),
            (
                vec![Step::Print(To::Stderr, "sudo: rare words\n".into()), Step::Exit(1)],
                FailureKind::PasswordRequired,
                None,
            ),
            (vec![Step::Hang], FailureKind::Timeout, None),
        ] {
            let stub = Stub::sudo(&script).unwrap();
            for connecting in both(&master, &sudo(&stub, None, 1.0)) {
                let error = down(&connecting);
                check(&error, Stage::Privilege, kind);
                if signal.is_some() {
                    assert_eq!(error.signal, signal, "{}", error.report());
                }
            }
        }
        master.shutdown();
    });
}
