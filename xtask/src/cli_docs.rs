//! Checks that the help texts of the command, its documents and its exit codes agree.

use std::collections::{BTreeMap, BTreeSet};

use crate::root::Result;
use crate::steps::{cargo, command, output};
use crate::{licences, tree};

const MANUAL: &str = "docs/cli.md";
const README: &str = "README.md";
const CODES: &str = "master/cli/src/exit.rs";

/// Runs the check. It builds the command, because its help texts are made by the build.
pub(crate) fn run() -> Result<()> {
    let help = Help::of_the_command()?;
    let manual = text(MANUAL)?;
    let readme = text(README)?;
    let mut faults = Vec::new();
    faults.extend(help.compare_commands(&manual, &readme));
    faults.extend(help.compare_options(&manual, &readme));
    faults.extend(compare_codes(&text(CODES)?, &help.overview, &manual));
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
        crate::steps::run(&mut cargo("build --quiet --package mitogen-cli --features ssh2"))?;
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
                // Former names are kept as aliases, and are not shown by --help.
                if line.contains("former names") {
                    continue;
                }
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
        let others = [
            "--release",
            "--package",
            "--all-features",
            "--profile",
            "--help",
            "--version",
            "--open",
            "--locked",
        ];
        for (file, text) in [(MANUAL, manual), (README, readme)] {
            for (number, line) in (1..).zip(text.lines()) {
                if line.contains("former names") {
                    continue;
                }
                // What follows a program's name or `--` is not for this command.
                let own = line.split(".py ").next().unwrap_or(line);
                let own = own.split(" -- ").next().unwrap_or(own);
                for name in options(own) {
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

/// The exit codes of the code, of `--help` and of the manual are the same, and so are their meanings in the last two.
fn compare_codes(code: &str, help: &str, manual: &str) -> Vec<String> {
    let in_code: BTreeSet<u32> = code
        .lines()
        .filter(|line| line.starts_with("pub const ") && line.contains(": u8 = "))
        .filter_map(|line| line.rsplit_once('=')?.1.trim().trim_end_matches(';').parse().ok())
        .collect();
    let after =
        |text: &str, title: &str| text.find(title).map(|at| text[at..].to_owned()).unwrap_or_default();
    let pair = |number: &str, meaning: &str| Some((number.trim().parse().ok()?, meaning.trim().to_owned()));
    let in_help: BTreeMap<u32, String> = after(help, "Exit status:")
        .lines()
        .filter_map(|line| line.trim().split_once("  ").and_then(|(number, meaning)| pair(number, meaning)))
        .collect();
    let in_manual: BTreeMap<u32, String> = after(manual, "## Exit status")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .filter_map(|(number, meaning)| pair(number, meaning))
        .collect();
    let mut faults = Vec::new();
    if in_help.keys().copied().collect::<BTreeSet<u32>>() != in_code {
        faults.push(format!("exit codes of --help are {in_help:?}, those of {CODES} {in_code:?}"));
    }
    if in_help != in_manual {
        faults.push(format!("exit codes of --help are {in_help:?}, those of {MANUAL} {in_manual:?}"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERVIEW: &str = "Usage: mitogen\n\nCommands:\n  run   Run\n          more of it\n  ping  Check\n\nOptions:\n  \
                            -l, --limit <X>  Like --this\n\nExit status:\n    0  success\n  130  interrupted\n";

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
    fn codes_are_compared() {
        let code = "pub const OK: u8 = 0;\npub const INTERRUPTED: u8 = 130;\n";
        let good = "## Exit status\n| 0 | success |\n| 130 | interrupted |\n";
        assert_eq!(compare_codes(code, OVERVIEW, good), [""; 0]);
        assert_eq!(compare_codes(code, OVERVIEW, "## Exit status\n| 0 | success |\n").len(), 1);
        assert_eq!(compare_codes("pub const OK: u8 = 0;", OVERVIEW, good).len(), 1);
        assert_eq!(compare_codes(code, OVERVIEW, &good.replace("success", "fine")).len(), 1);
    }
}
