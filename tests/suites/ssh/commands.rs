//! Commands on other hosts: data in both directions, and exit statuses.

use mitogen::command::{Command, CommandEvent, ExitStatus};
use mitogen_tests::{Sshd, TestUser, isolated};

use crate::common::{TIMEOUT, by_key, by_password, master, run, ssh, start, up};

/// Bytes of all values without a short period.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

#[test]
fn large_data_passes_unchanged_in_both_directions() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let input = bytes(5 << 20);
        // With a password, ssh has a terminal beside the link, which must not affect the data.
        for options in [by_key(&server, user.name()), by_password(&server, user.name(), user.password())] {
            let context = up(&master.connect(&ssh(options)).unwrap());
            let output = run(&context, &Command::new(["tee", "/dev/stderr"]), &input);
            assert_eq!(output.exit, ExitStatus::Code(0));
            assert!(output.stdout == input, "{} bytes of output", output.stdout.len());
            assert!(output.stderr == input, "{} bytes of errors", output.stderr.len());
        }
        master.shutdown();
    });
}

#[test]
fn exit_statuses_directories_and_environments_are_applied() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        let context = up(&master.connect(&ssh(by_key(&server, "root"))).unwrap());
        let exit = |line: &str| run(&context, &Command::shell(line), b"").exit;
        assert_eq!(exit("exit 7"), ExitStatus::Code(7));
        assert_eq!(exit("kill -9 $$"), ExitStatus::Signal(9));
        assert_eq!(exit("kill -15 $$"), ExitStatus::Signal(15));
        let command = Command::shell("pwd; printf '%s|%s|' \"$ADDED\" \"${HOME-none}\"; cat >&2")
            .cwd("/usr/share")
            .env("ADDED", "it's \"this\" \u{fc}")
            .env_remove("HOME");
        let output = run(&context, &command, b"to errors");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "/usr/share\nit's \"this\" \u{fc}|none|");
        assert_eq!(output.stderr, b"to errors");
        // Arguments reach the program unchanged, whatever characters they contain.
        let words = ["", " ", "'", "\"$HOME\"", "a\nb", "\\", "!", "\u{1f980}", "-n", "*"];
        let output = run(&context, &Command::new(["printf", "<%s>"].iter().chain(&words).copied()), b"");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("<{}>", words.join("><")));
        master.shutdown();
    });
}

#[test]
fn a_command_that_cannot_start_fails_and_one_that_hangs_can_be_signalled() {
    isolated(|| {
        let server = Sshd::start().unwrap();
        let master = master();
        let context = up(&master.connect(&ssh(by_key(&server, "root"))).unwrap());
        for command in [Command::new(["/nonexistent/program"]), Command::new(["true"]).cwd("/nonexistent")] {
            let (_, events) = start(&context, &command);
            let event = events.recv_timeout(TIMEOUT).unwrap();
            assert!(
                matches!(&event, CommandEvent::Failed(error) if error.to_string().contains("No such file")),
                "{event:?}"
            );
        }
        let (running, events) = start(&context, &Command::shell("sleep 3600 & echo on; wait"));
        let mut seen = Vec::new();
        let exit = loop {
            match events.recv_timeout(TIMEOUT).unwrap() {
                CommandEvent::Stdout(data) => {
                    seen.extend_from_slice(&data);
                    running.signal(15).unwrap();
                }
                CommandEvent::Exit(exit) => break exit,
                CommandEvent::Failed(error) => panic!("{error}"),
                _ => {}
            }
        };
        assert_eq!((seen.as_slice(), exit), (&b"on\n"[..], ExitStatus::Signal(15)));
        master.shutdown();
    });
}
