//! `mitogen __complete`: the answers to the scripts that `mitogen completions` prints.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory;
use mitogen::profiles::{Inventory, Search};
use mitogen_core::connect::Registry;

use crate::cli::{Cli, CompleteArgs, Shell};
use crate::completions::{bash_words, complete};
use crate::session::inventory;

/// Prints the completions of the last word, one per line, each with a tab and its description.
///
/// # Errors
/// Errors of `out`.
pub fn answer(args: &CompleteArgs, registry: &Registry, out: &mut dyn Write) -> io::Result<()> {
    let (words, kept) = match (args.shell, args.words.as_slice()) {
        (Shell::Bash, [line]) => bash_words(line, &args.breaks),
        (_, words) => (words.to_vec(), String::new()),
    };
    // Errors of the profile file are not reported during completion; there are no targets to offer then.
    let inventory = inventory(&Search::from_environment(profiles_option(&words)), registry);
    let inventory = inventory.unwrap_or_else(|_| Inventory::empty(registry));
    for found in complete(&Cli::command(), &words, |begin| targets(&inventory, begin)) {
        let value = found.value.strip_prefix(&kept).unwrap_or(&found.value);
        if found.help.is_empty() || args.shell == Shell::Bash {
            writeln!(out, "{value}")?;
        } else {
            writeln!(out, "{value}\t{}", found.help)?;
        }
    }
    Ok(())
}

/// The profile file that the unfinished command line names.
fn profiles_option(words: &[String]) -> Option<PathBuf> {
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs
        .filter(|(option, _)| *option == "--profiles")
        .map(|(_, file)| file.into())
        .next_back()
        .or_else(|| words.iter().rev().find_map(|word| word.strip_prefix("--profiles=")).map(PathBuf::from))
}

/// Targets that begin with a text. Without one, only profiles and groups: there may be very many hosts.
fn targets(inventory: &Inventory, begin: &str) -> Vec<String> {
    let catalog = inventory.catalog();
    let mut names: Vec<String> = catalog.names();
    if begin.is_empty() {
        let profile = |name: &String| catalog.entries().iter().any(|entry| entry.profile == *name);
        let mut known: Vec<String> = catalog.groups().keys().map(|group| format!("@{group}")).collect();
        known.extend(inventory.profiles().iter().map(|profile| profile.name.clone()));
        known.push("local".to_owned());
        known.retain(|name| name.starts_with('@') || profile(name));
        names = known;
    }
    names.retain(|name| name.starts_with(begin));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_option_is_found() {
        let find = |line: &str| profiles_option(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(find("run web"), None);
        assert_eq!(find("--profiles a run"), Some("a".into()));
        assert_eq!(find("--profiles=b run"), Some("b".into()));
    }

    #[test]
    fn completions_are_lines() {
        let answer_to = |shell, breaks: &str, words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let mut out = Vec::new();
            let args = CompleteArgs { shell, breaks: breaks.into(), words };
            answer(&args, &Registry::new(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let nowhere = "--profiles=/nowhere/at/all";
        assert_eq!(answer_to(Shell::Zsh, "", &["pin"]), "ping\tCheck connectivity and latency\n");
        assert_eq!(answer_to(Shell::Bash, " ", &["mitogen pin"]), "ping\n");
        assert_eq!(answer_to(Shell::Bash, " =", &["mitogen --color=ne"]), "never\n");
        assert_eq!(answer_to(Shell::Fish, "", &[nowhere, "run", "l"]), "local\n");
        assert_eq!(answer_to(Shell::Fish, "", &[nowhere, "run", ""]), "local\n");
    }
}
