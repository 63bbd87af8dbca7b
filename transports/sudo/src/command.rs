//! The command line for sudo.

use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::quote_argv;

use crate::options::Resolved;

/// The prompt that we make sudo print: nothing else says this. No `%`, which sudo would expand.
pub(crate) const PROMPT: &str = "mitogen-sudo-prompt:";

pub(crate) fn argv(options: &Resolved, child: &ChildCommand) -> Vec<String> {
    let mut argv = vec![options.sudo_path.clone()];
    let mut push = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
    push(&["-p", PROMPT, "-u", &options.username]);
    if options.password.is_none() {
        push(&["-n"]);
    }
    for (wanted, flag) in [(options.preserve_env, "-E"), (options.set_home, "-H"), (options.login, "-i")] {
        if wanted {
            push(&[flag]);
        }
    }
    for (value, flag) in [(&options.selinux_role, "-r"), (&options.selinux_type, "-t")] {
        if let Some(value) = value {
            push(&[flag, value]);
        }
    }
    push(&["--"]);
    if options.login && child.argv.iter().any(|word| word.contains(['$', '\n'])) {
        argv.extend(login_safe(child));
    } else {
        argv.extend(child.argv.iter().cloned());
    }
    argv
}

/// `child` in a form that `sudo -i` hands on unharmed.
///
/// For a login shell sudo joins the words to one string and puts a backslash before every character
/// that is not a letter, a digit, `_`, `-` or `$`. So `$x` is expanded by the login shell, and an
/// escaped newline disappears. The whole command is therefore encoded with printf's `\0` notation
/// and decoded again by a plain `sh`.
fn login_safe(child: &ChildCommand) -> Vec<String> {
    let mut encoded = String::new();
    for byte in quote_argv(&child.argv).bytes() {
        if byte.is_ascii_alphanumeric() || b" _-./:,=+()[]{}<>;|&*?#@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // `\0` and three octal digits: what follows can never be mistaken for one more.
            encoded.push_str(&format!("\\0{byte:03o}"));
        }
    }
    vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("eval \"exec `printf %b '{encoded}'`\"")]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What sudo does to the words of a command before it gives them to a login shell.
    fn as_sudo_joins(words: &[String]) -> String {
        let mut joined = String::new();
        for word in words {
            for character in word.chars() {
                if !(character.is_ascii_alphanumeric() || "_-$".contains(character)) {
                    joined.push('\\');
                }
                joined.push(character);
            }
            joined.push(' ');
        }
        joined
    }

    #[test]
    fn a_login_shell_hands_everything_on() {
        let script = "for p in a 'b c'; do printf '%s|' \"$p\" \"\\\\\" `echo x`; done\nprintf \"$0\" \"$@\"";
        let child = ChildCommand::new(["/bin/sh", "-c", script, "it's %s! ü"]);
        let run = |argv: &[String]| Command::new(&argv[0]).args(&argv[1..]).output().unwrap().stdout;
        let direct = run(&child.argv);
        assert!(!direct.is_empty());
        let through = ["/bin/sh".to_owned(), "-c".to_owned(), as_sudo_joins(&login_safe(&child))];
        assert_eq!(run(&through), direct);
    }
}
