//! Plans and transcripts of the doas transport.

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
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/transcripts/doas");
    let count =
        check_transport(&kind(), &child, &directory).unwrap_or_else(|differences| panic!("{differences}"));
    assert!(count > 0);
}

#[test]
fn errors_name_the_option() {
    let table = [
        (json!({"user": "x"}), "user"),
        (json!({"username": "-x"}), "username"),
        (json!({"doas_path": ""}), "doas_path"),
        (json!({"password_prompt": " "}), "password_prompt"),
        (json!({"incorrect_prompts": [""]}), "incorrect_prompts"),
        (json!({"incorrect_prompts": "no"}), "incorrect_prompts"),
        (json!({"connect_timeout": "soon"}), "connect_timeout"),
    ];
    check_option_errors(&kind(), &table).unwrap_or_else(|difference| panic!("{difference}"));
}
