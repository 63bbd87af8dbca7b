//! Completion of the command line: a short script for each shell, and the answers to their requests.

use std::collections::HashSet;

use clap::{Arg, Command};

use crate::cli::Shell;

/// The script for a shell. It calls `mitogen __complete`, so it completes targets and needs no update.
pub fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("completions/mitogen.bash"),
        Shell::Fish => include_str!("completions/mitogen.fish"),
        Shell::Zsh => include_str!("completions/mitogen.zsh"),
    }
}

/// A completion of the current word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub value: String,
    /// Its description.
    pub help: String,
}

/// The completions of the last of `words`, which are the words after the program's name. `targets` returns the
/// targets that begin with a text. Empty where the shell completes file names.
pub fn complete(root: &Command, words: &[String], targets: impl Fn(&str) -> Vec<String>) -> Vec<Candidate> {
    let Some((current, before)) = words.split_last() else { return Vec::new() };
    let mut command = root;
    let mut positional = 0;
    let mut value_of: Option<&Arg> = None;
    for word in before {
        if value_of.take().is_some() {
            continue;
        }
        if word == "--" {
            return Vec::new();
        }
        if word.len() > 1 && word.starts_with('-') {
            value_of = open_option(root, command, word);
        } else if let Some(subcommand) = subcommands(command).find(|subcommand| subcommand.get_name() == word)
        {
            command = subcommand;
            positional = 0;
        } else {
            positional += 1;
        }
    }
    let found = if let Some(option) = value_of {
        values(option, current, &targets)
    } else if let Some((name, value)) = current.split_once('=').filter(|(name, _)| name.starts_with("--")) {
        let option = options(root, command).find(|option| option.get_long() == Some(&name[2..]));
        let found = option.map_or_else(Vec::new, |option| values(option, value, &targets));
        found
            .into_iter()
            .map(|found| Candidate { value: format!("{name}={}", found.value), ..found })
            .collect()
    } else if current.starts_with('-') {
        flags(root, command)
    } else if subcommands(command).next().is_some() {
        let named = |subcommand: &Command| Candidate {
            value: subcommand.get_name().to_owned(),
            help: help(subcommand.get_about()),
        };
        subcommands(command).filter(|subcommand| !subcommand.is_hide_set()).map(named).collect()
    } else {
        // A repeatable argument takes all further words.
        let places: Vec<&Arg> = command.get_positionals().filter(|place| !place.is_last_set()).collect();
        let place = places.get(positional).or_else(|| places.last().filter(|place| repeats(place)));
        place.map_or_else(Vec::new, |place| values(place, current, &targets))
    };
    let mut seen = HashSet::new();
    let fits = |found: &Candidate| found.value.starts_with(current.as_str());
    found.into_iter().filter(|found| fits(found) && seen.insert(found.value.clone())).collect()
}

fn repeats(place: &Arg) -> bool {
    matches!(place.get_action(), clap::ArgAction::Append)
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands()
}

/// The options of a subcommand, and the global ones unless it replaces them.
fn options<'c>(root: &'c Command, command: &'c Command) -> impl Iterator<Item = &'c Arg> {
    let replaced = |option: &&Arg| !command.get_arguments().any(|own| own.get_id() == option.get_id());
    command
        .get_arguments()
        .chain(root.get_arguments().filter(replaced))
        .filter(|option| !option.is_positional())
}

/// The option that takes the next word as its value.
fn open_option<'c>(root: &'c Command, command: &'c Command, word: &str) -> Option<&'c Arg> {
    let takes = |option: &&Arg| option.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        return options(root, command).find(|option| option.get_long() == Some(long)).filter(takes);
    }
    // In a cluster of short options, the first one with a value takes the rest of the word.
    let mut letters = word[1..].chars();
    while let Some(letter) = letters.next() {
        let option = options(root, command).find(|option| option.get_short() == Some(letter));
        if let Some(option) = option.filter(takes) {
            return letters.next().is_none().then_some(option);
        }
    }
    None
}

fn flags(root: &Command, command: &Command) -> Vec<Candidate> {
    let long = |option: &Arg| {
        let value = format!("--{}", option.get_long()?);
        Some(Candidate { value, help: help(option.get_help()) })
    };
    let mut found: Vec<Candidate> =
        options(root, command).filter(|option| !option.is_hide_set()).filter_map(long).collect();
    found.push(Candidate { value: "--help".to_owned(), help: "Print help".to_owned() });
    found
}

fn values(option: &Arg, current: &str, targets: impl Fn(&str) -> Vec<String>) -> Vec<Candidate> {
    if matches!(option.get_id().as_str(), "targets" | "limit") {
        return in_expression(current, targets);
    }
    let named = |value: &clap::builder::PossibleValue| Candidate {
        value: value.get_name().to_owned(),
        help: help(value.get_help()),
    };
    option.get_possible_values().iter().map(named).collect()
}

/// Completes the last name of a target expression.
fn in_expression(current: &str, targets: impl Fn(&str) -> Vec<String>) -> Vec<Candidate> {
    let start = current.rfind([',', ' ']).map_or(0, |at| at + 1);
    let start = start + usize::from(current[start..].starts_with(['!', '&']));
    let (kept, name) = current.split_at(start);
    let whole = |name: String| Candidate { value: format!("{kept}{name}"), help: String::new() };
    targets(name).into_iter().map(whole).collect()
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|text| text.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

/// Splits a line of bash up to the cursor into words, and returns the beginning of the last word that bash keeps.
/// Bash replaces only the part of a word after the last of the characters in `breaks`, such as `=` or `:`. An `@`
/// belongs to the part that is replaced.
pub fn bash_words(line: &str, breaks: &str) -> (Vec<String>, String) {
    let mut words = vec![String::new()];
    // Where the replaced part begins, and the open quote.
    let (mut start, mut open, mut letters) = (0, None, line.chars());
    while let Some(letter) = letters.next() {
        let last = words.len() - 1;
        let word = &mut words[last];
        match (letter, open) {
            (quote, Some(within)) if quote == within => open = None,
            ('\'' | '"', None) => {
                open = Some(letter);
                start = word.len();
            }
            ('\\', None | Some('"')) => word.extend(letters.next()),
            (blank, None) if blank.is_whitespace() => {
                if !word.is_empty() {
                    words.push(String::new());
                }
                start = 0;
            }
            (letter, None) if breaks.contains(letter) => {
                if letter == '@' {
                    start = word.len();
                }
                word.push(letter);
                if letter != '@' {
                    start = word.len();
                }
            }
            (letter, _) => word.push(letter),
        }
    }
    let kept = words[words.len() - 1][..start].to_owned();
    words.remove(0);
    (words, kept)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn targets(begin: &str) -> Vec<String> {
        let all = ["web", "web-root", "db1", "@all", "@odd", "local"];
        all.iter().filter(|name| name.starts_with(begin)).map(|name| (*name).to_owned()).collect()
    }

    fn completed(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let found = complete(&Cli::command(), &words, targets);
        found.iter().map(|found| found.value.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_completed() {
        let table = [
            ("", "run call script put get ping serve tree plan profiles plugins minify completions"),
            ("p", "put ping plan profiles plugins"),
            ("put w", "web web-root"),
            ("put web ", ""),
            ("profiles ", "check list"),
            ("profiles l", "list"),
            ("profiles list w", "web web-root"),
            ("completions ", "bash fish zsh"),
            ("completions z", "zsh"),
            ("run w", "web web-root"),
            ("run web @", "@all @odd"),
            ("run web,!@o", "web,!@odd"),
            ("run web -- l", ""),
            ("-l d", "db1"),
            ("run -gl d", "db1"),
            ("run -ld run w", "web web-root"),
            ("--limit=@a", "--limit=@all"),
            ("--limit d run lo", "local"),
            ("--color ", "auto always never"),
            ("--color=a", "--color=auto --color=always"),
            ("run --fo", "--fold --forks"),
            ("ping --become-", "--become-user --become-method"),
            ("call web ", ""),
            ("call l", "local"),
            ("script l", "local"),
            ("script local ", ""),
            ("script local x.py w", ""),
            ("script --gat", "--gather"),
            ("--profiles m", ""),
            ("run --cwd /t", ""),
        ];
        for (line, expected) in table {
            assert_eq!(completed(line), expected, "{line}");
        }
    }

    #[test]
    fn completions_have_descriptions() {
        let found = complete(&Cli::command(), &["pin".to_owned()], targets);
        assert_eq!(
            found,
            [Candidate { value: "ping".into(), help: "Check connectivity and latency".into() }]
        );
    }

    #[test]
    fn bash_lines_are_split_as_in_bash() {
        let breaks = " \t\n\"'@><=;|&(:";
        let table: [(&str, &[&str], &str); 10] = [
            ("mitogen ", &[""], ""),
            ("mitogen ru", &["ru"], ""),
            ("mitogen  run  w", &["run", "w"], ""),
            ("mitogen run web,@a", &["run", "web,@a"], "web,"),
            ("mitogen run @a", &["run", "@a"], ""),
            ("mitogen --color=a", &["--color=a"], "--color="),
            ("mitogen run 'web !@a", &["run", "web !@a"], ""),
            ("mitogen run 'a b' w", &["run", "a b", "w"], ""),
            ("mitogen run a\\ b", &["run", "a b"], ""),
            ("mitogen run ssh:a", &["run", "ssh:a"], "ssh:"),
        ];
        for (line, words, kept) in table {
            let (found, keeps) = bash_words(line, breaks);
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), keeps.as_str()),
                (words, kept)
            );
        }
    }

    #[test]
    fn scripts_call_the_command() {
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            assert!(script(shell).contains(" __complete "), "{shell:?}");
        }
    }
}
