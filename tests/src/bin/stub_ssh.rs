//! A replacement for `ssh` that runs the remote command locally; see `mitogen_tests::stub`.

use std::process::ExitCode;

use mitogen_tests::stub::{Call, play};

/// The options of `ssh` that take a value.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

fn main() -> ExitCode {
    play(parse)
}

/// Parses arguments as `ssh` does: options, the host, then words that are joined by spaces for the user's shell.
fn parse(args: &[String]) -> Call {
    let mut args = args.iter();
    let mut host = "";
    let mut batch = false;
    while let Some(arg) = args.next() {
        let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            host = arg;
            break;
        };
        // Flags may be bundled; a value is the rest of the word or the next word.
        if let Some(at) = letters.find(|letter| WITH_VALUE.contains(letter)) {
            let rest = &letters[at + 1..];
            let value = if rest.is_empty() { args.next().map_or("", String::as_str) } else { rest };
            batch |= letters[at..].starts_with('o')
                && value.replace(' ', "=").eq_ignore_ascii_case("batchmode=yes");
        }
    }
    let words: Vec<String> = args.cloned().collect();
    Call {
        argv: vec!["/bin/sh".into(), "-c".into(), words.join(" ")],
        prompt: format!("{host}'s password: "),
        secrets_on_stdin: false,
        never_ask: batch.then(|| format!("{host}: Permission denied (publickey,password).\r\n")),
    }
}
