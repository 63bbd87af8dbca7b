//! Plans and transcripts of the sudo transport.

use std::path::Path;

use mitogen_core::connect::ChildCommand;
use mitogen_core::connect::testing::{check_option_errors, check_transport};
use mitogen_python::interpreter_exits;
use serde_json::json;

use super::*;

#[test]
fn plans_and_transcripts_are_as_recorded() {
    let child =
        ChildCommand::new(["/bin/sh", "-c", "exec python3 -c 'x' \"$@\""]).with_exits(interpreter_exits());
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/sudo");
    let count =
        check_transport(&kind(), &child, &directory).unwrap_or_else(|differences| panic!("{differences}"));
    assert!(count > 0);
}

#[test]
fn errors_name_the_option() {
    let table = [
        (json!({"user": "x"}), "user"),
        (json!({"username": "-x"}), "username"),
        (json!({"username": ""}), "username"),
        (json!({"sudo_args": ["-Z"]}), "sudo_args"),
        (json!({"sudo_args": "-E"}), "sudo_args"),
        (json!({"login": "yes"}), "login"),
        (json!({"selinux_role": "a\nb"}), "selinux_role"),
        (json!({"connect_timeout": "soon"}), "connect_timeout"),
    ];
    check_option_errors(&kind(), &table).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn options_take_precedence_over_sudo_args() {
    let child = ChildCommand::new(["x"]);
    let plan = |options| kind().create(options).unwrap().plan(&child).unwrap();
    let both = plan(json!({"username": "web", "sudo_args": ["-E", "-u", "db"], "preserve_env": false}));
    assert_eq!(both.argv(), ["sudo", "-p", "mitogen-sudo-prompt:", "-u", "web", "-n", "--", "x"]);
    let arguments = plan(json!({"sudo_args": ["-Eu", "db"]}));
    assert_eq!(arguments.argv()[3..], ["-u", "db", "-n", "-E", "--", "x"]);
    assert_eq!(arguments.name, "sudo.db");
}
