//! A replacement for `sudo` that runs the command as the calling user; see `mitogen_tests::stub`.

use std::process::ExitCode;

use mitogen_tests::stub::{Call, play};

/// The short options of `sudo` that take a value.
const WITH_VALUE: &str = "CDghpRrTtUu";

fn main() -> ExitCode {
    play(parse)
}

fn parse(args: &[String]) -> Call {
    let mut call = Call { prompt: "[sudo] password for %u: ".into(), ..Call::default() };
    let mut user = "root".to_owned();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            break;
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long.split_once('=').unwrap_or((long, ""));
            match name {
                "prompt" => value.clone_into(&mut call.prompt),
                "user" => value.clone_into(&mut user),
                "stdin" => call.secrets_on_stdin = true,
                "non-interactive" => call.never_ask = Some(refusal()),
                _ => {}
            }
        } else if let Some(letters) = arg.strip_prefix('-') {
            for (at, letter) in letters.char_indices() {
                match letter {
                    'S' => call.secrets_on_stdin = true,
                    'n' => call.never_ask = Some(refusal()),
                    letter if WITH_VALUE.contains(letter) => {
                        let rest = &letters[at + letter.len_utf8()..];
                        let value =
                            if rest.is_empty() { args.next().map_or("", String::as_str) } else { rest };
                        match letter {
                            'p' => value.clone_into(&mut call.prompt),
                            'u' => value.clone_into(&mut user),
                            _ => {}
                        }
                        break;
                    }
                    _ => {}
                }
            }
        } else {
            call.argv.push(arg.clone());
            break;
        }
    }
    call.argv.extend(args.cloned());
    call.prompt = call.prompt.replace("%u", &user).replace("%%", "%");
    call
}

fn refusal() -> String {
    "sudo: a password is required\n".into()
}
