//! The command line for sudo.

use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::quote_argv;

use crate::options::Resolved;

/// The prompt for sudo to print (`-p`), unlike anything that other programs print. It has no `%`, which
/// sudo would expand.
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

/// `child` in a form that `sudo -i` does not alter.
///
/// For a login shell sudo joins the arguments to one string and puts a backslash before every character that is not
/// a letter, a digit, `_`, `-` or `$`. So the login shell expands `$x`, and removes an escaped newline. The whole
/// command is therefore encoded in printf's `\0` notation, and a plain `sh` decodes it.
fn login_safe(child: &ChildCommand) -> Vec<String> {
    let mut encoded = String::new();
    for byte in quote_argv(&child.argv).bytes() {
        if byte.is_ascii_alphanumeric() || b" _-./:,=+()[]{}<>;|&*?#@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // `\0` and three octal digits, so that a following digit is not part of the escape.
            encoded.push_str(&format!("\\0{byte:03o}"));
        }
    }
    vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("eval \"exec `printf %b '{encoded}'`\"")]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// How sudo joins the arguments of a command for a login shell.
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
    fn a_login_shell_passes_every_character_on() {
        let script = "for p in a 'b c'; do printf '%s|' \"$p\" \"\\\\\" `echo x`; done\nprintf \"$0\" \"$@\"";
        let child = ChildCommand::new(["/bin/sh", "-c", script, "it's %s! ü"]);
        let run = |argv: &[String]| Command::new(&argv[0]).args(&argv[1..]).output().unwrap().stdout;
        let direct = run(&child.argv);
        assert!(!direct.is_empty());
        let through = ["/bin/sh".to_owned(), "-c".to_owned(), as_sudo_joins(&login_safe(&child))];
        assert_eq!(run(&through), direct);
    }
}
