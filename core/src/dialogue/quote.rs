//! Quoting for shells that read a command as one string, as behind ssh and su.
//!
//! POSIX single quotes, which csh and fish read the same way as long as the text has no newline,
//! no `!` and no doubled backslash. Nothing inside single quotes is ever expanded.

use std::borrow::Cow;

/// `word` as one word of a shell command.
pub fn quote(word: &str) -> Cow<'_, str> {
    if !word.is_empty() && word.bytes().all(is_plain) {
        return Cow::Borrowed(word);
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('\'');
    for (index, part) in word.split('\'').enumerate() {
        if index > 0 {
            // Close, one escaped quote, open again: the only way to a quote within quotes.
            quoted.push_str(r"'\''");
        }
        quoted.push_str(part);
    }
    quoted.push('\'');
    Cow::Owned(quoted)
}

/// `argv` as one shell command. Unlike [`quote`], it leaves `name=value` bare behind the first word,
/// where it is no assignment: commands are for people to read, too.
pub fn quote_argv<S: AsRef<str>>(argv: &[S]) -> String {
    let mut command = String::new();
    for (index, word) in argv.iter().map(AsRef::as_ref).enumerate() {
        let is_setting =
            index > 0 && !word.starts_with('=') && word.bytes().all(|byte| is_plain(byte) || byte == b'=');
        if index > 0 {
            command.push(' ');
        }
        command.push_str(&if is_setting && !word.is_empty() { Cow::Borrowed(word) } else { quote(word) });
    }
    command
}

/// Whether no shell gives `byte` a meaning, wherever in a word it stands. `=` is left out because of
/// assignments before a command (and zsh's `=word`), `~` and `{` because of their expansions.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&byte)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        for word in ["ls", "/usr/bin/python3.12", "-S", "user@host:22", "a,b%c+d"] {
            assert_eq!(quote(word), word);
        }
    }

    #[test]
    fn everything_else_is_quoted() {
        for (word, wanted) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("&&", "'&&'"),
            ("A=b", "'A=b'"),
            ("~", "'~'"),
            ("'", r"''\'''"),
        ] {
            assert_eq!(quote(word), wanted);
        }
    }

    #[test]
    fn settings_are_bare_behind_the_first_word() {
        assert_eq!(quote_argv(&["env", "A=b", "=c", "", "D=$e"]), "env A=b '=c' '' 'D=$e'");
        assert_eq!(quote_argv(&["A=b"]), "'A=b'");
    }

    #[test]
    fn a_real_shell_reads_back_what_was_quoted() {
        let words = [
            "", "a b", "it's", "''", "$(id)", "`id`", "a\\\\b", "\"", "*", "~", "a\nb", ";", "#x", "ü", "!x",
        ];
        let command = format!("printf '%s\\0' {}", quote_argv(&words));
        let output = Command::new("/bin/sh").arg("-c").arg(command).output().unwrap();
        let expected: String = words.iter().flat_map(|word| [word, "\0"]).collect();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}
