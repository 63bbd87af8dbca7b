//! Checks that the help texts of the command, its documents and its exit statuses agree.

use std::collections::BTreeSet;

use crate::root::Result;
use crate::steps::{cargo, command, output};
use crate::{licences, tree};

const MANUAL: &str = "docs/cli.md";
const README: &str = "README.md";
const STATUSES: &str = "master/cli/src/exit.rs";

/// Runs the check. It builds the command, because its help texts are made by the build.
pub(crate) fn run() -> Result<()> {
    let help = Help::of_the_command()?;
    let manual = text(MANUAL)?;
    let readme = text(README)?;
    let mut faults = Vec::new();
    faults.extend(help.compare_commands(&manual, &readme));
    faults.extend(help.compare_options(&manual, &readme));
    faults.extend(compare_statuses(&text(STATUSES)?, &help.overview, &manual));
    if faults.is_empty() {
        println!(
            "{} commands, {} options: help and documents agree",
            help.commands.len(),
            help.options.len()
        );
        Ok(())
    } else {
        Err(format!("{} faults\n  {}", faults.len(), faults.join("\n  ")))
    }
}

fn text(file: &str) -> Result<String> {
    tree::text(file)?.ok_or(format!("{file}: not text"))
}

/// What `--help` prints.
struct Help {
    /// Of the command itself.
    overview: String,
    commands: BTreeSet<String>,
    /// Long options of all commands.
    options: BTreeSet<String>,
}

impl Help {
    fn of_the_command() -> Result<Self> {
        crate::steps::run(&mut cargo("build --quiet --package mitogen-cli"))?;
        let metadata = licences::workspace()?;
        let target =
            metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
        let program = format!("{target}/debug/mitogen");
        let overview = output(&mut command(&program, ["--help"]))?;
        let mut pages = vec![overview.clone()];
        for name in commands(&overview) {
            let page = output(&mut command(&program, [name.as_str(), "--help"]))?;
            for below in commands(&page) {
                pages.push(output(&mut command(&program, [name.as_str(), &below, "--help"]))?);
            }
            pages.push(page);
        }
        Ok(Self::of_pages(overview, &pages))
    }

    fn of_pages(overview: String, pages: &[String]) -> Self {
        let option_lines = pages.iter().flat_map(|page| page.lines()).filter(|line| {
            let line = line.trim_start();
            line.starts_with('-')
        });
        let options = option_lines.flat_map(options).collect();
        Self { commands: commands(&overview), overview, options }
    }

    /// Every command is in the manual, and every `mitogen COMMAND` of manual and README exists.
    fn compare_commands(&self, manual: &str, readme: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for name in &self.commands {
            if !manual.contains(&format!("| `mitogen {name}")) {
                faults.push(format!("{MANUAL}: the table of commands lacks `mitogen {name}`"));
            }
        }
        for (file, text) in [(MANUAL, manual), (README, readme)] {
            for (number, line) in (1..).zip(text.lines()) {
                for name in invoked(line).filter(|name| !self.commands.contains(*name)) {
                    faults.push(format!("{file}:{number}: there is no command `mitogen {name}`"));
                }
            }
        }
        faults
    }

    /// Every option is in the manual, and every option of manual and README exists.
    fn compare_options(&self, manual: &str, readme: &str) -> Vec<String> {
        let documented: BTreeSet<String> = manual.lines().flat_map(options).collect();
        let mut faults: Vec<String> =
            self.options.difference(&documented).map(|name| format!("{MANUAL} lacks {name}")).collect();
        let others =
            ["--release", "--package", "--all-features", "--help", "--version", "--open", "--locked"];
        for (file, text) in [(MANUAL, manual), (README, readme)] {
            for (number, line) in (1..).zip(text.lines()) {
                // Former names of options are kept as aliases, and are not shown by --help.
                if line.contains("former names") {
                    continue;
                }
                for name in options(line) {
                    let is_ours = !line.contains("cargo ") || line.contains("-- run ");
                    if is_ours && !self.options.contains(&name) && !others.contains(&&*name) {
                        faults.push(format!("{file}:{number}: there is no option {name}"));
                    }
                }
            }
        }
        faults
    }
}

/// The names below `Commands:`.
fn commands(help: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| line.trim() != "Commands:").skip(1);
    let block = lines.take_while(|line| !line.trim().is_empty());
    // Continued descriptions are indented further.
    let names = block.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The words that follow `mitogen` at the beginning of a command line or of code in a sentence.
fn invoked(line: &str) -> impl Iterator<Item = &str> {
    let starts = line.strip_prefix("mitogen ").or_else(|| line.strip_prefix("$ mitogen "));
    let quoted = line.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("mitogen "));
    starts.into_iter().chain(quoted).filter_map(|rest| {
        let word = rest.split_whitespace().next()?;
        word.chars().all(|c| c.is_ascii_lowercase()).then_some(word)
    })
}

/// The long options in a line.
fn options(line: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    line.match_indices("--")
        .filter(|(at, _)| !line[..*at].ends_with(is_part))
        .map(|(at, _)| line[at..].split(|c| !is_part(c)).next().unwrap_or_default())
        .filter(|name| name.len() > 2 && name[2..].starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// The exit statuses of the code, of `--help` and of the manual are the same.
fn compare_statuses(code: &str, help: &str, manual: &str) -> Vec<String> {
    let number = |text: &str| text.trim().trim_matches([';', ',', '.']).parse::<u32>().ok();
    let in_code: BTreeSet<u32> = code
        .lines()
        .filter(|line| line.starts_with("pub const ") && line.contains(": u8 = "))
        .filter_map(|line| number(line.rsplit_once('=')?.1))
        .collect();
    let after =
        |text: &str, title: &str| text.find(title).map(|at| text[at..].to_owned()).unwrap_or_default();
    // In the help text each number begins a sentence or a line.
    let words = after(help, "Exit status");
    let in_help: BTreeSet<u32> = words.split_whitespace().filter_map(number).collect();
    let rows = after(manual, "## Exit status");
    let in_manual: BTreeSet<u32> =
        rows.lines().filter_map(|line| number(line.strip_prefix("| ")?.split(" |").next()?)).collect();
    let mut faults = Vec::new();
    for (place, found) in [("--help", in_help), (MANUAL, in_manual)] {
        if found != in_code {
            faults.push(format!("exit statuses of {place} are {found:?}, those of {STATUSES} {in_code:?}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERVIEW: &str = "Usage: mitogen\n\nCommands:\n  run   Run\n          more of it\n  ping  Check\n\nOptions:\n  \
                            -l, --limit <X>  Like --this\n\nExit status:\n  130 interrupted; 0 success.\n";

    fn help() -> Help {
        Help::of_pages(OVERVIEW.to_owned(), &[OVERVIEW.to_owned(), "      --fold  Fold\n".to_owned()])
    }

    #[test]
    fn commands_are_compared() {
        let good = "| `mitogen run X` | a |\n| `mitogen ping` | b |\n";
        assert_eq!(help().compare_commands(good, "mitogen run x\nthe `mitogen` command"), [""; 0]);
        let faults = help().compare_commands("| `mitogen run` |\n", "see `mitogen pong x`").join(" ");
        assert!(faults.contains("lacks `mitogen ping`") && faults.contains("README.md:1"), "{faults}");
    }

    #[test]
    fn options_are_compared() {
        let good = "`-l`, `--limit X`, `--fold` and --this";
        assert_eq!(help().compare_options(good, "cargo xtask x --rounds 1"), [""; 0]);
        let faults = help().compare_options("`--limit` `--this`", "mitogen run --flod").join(" ");
        assert!(faults.contains("lacks --fold") && faults.contains("no option --flod"), "{faults}");
    }

    #[test]
    fn statuses_are_compared() {
        let code = "pub const OK: u8 = 0;\npub const INTERRUPTED: u8 = 130;\n";
        assert_eq!(compare_statuses(code, OVERVIEW, "## Exit status\n| 0 | a |\n| 130 | b |\n"), [""; 0]);
        assert_eq!(compare_statuses(code, OVERVIEW, "## Exit status\n| 0 | a |\n").len(), 1);
    }
}
