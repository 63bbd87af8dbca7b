//! The command line: every task and every flag.

use std::path::PathBuf;

/// Printed by `cargo xtask help` and after a wrong command line.
pub(crate) const USAGE: &str = "\
usage: cargo xtask TASK

  test                    install what the tests need (Debian, as root), then run all tests
  lint                    all checks below, and format, clippy and rustdoc
  style                   file headers, file sizes, words (rules: xtask/style.toml)
  documents               check links, citations, named tests, and docs/cli.md against --help
  imports                 find files that import each other in a circle
  licences                check the licences of all dependencies (rules: deny.toml)
  features                check that the library compiles without features and with each alone
  packages                check that every published crate can be packaged
  compare [GROUP...]      measure upstream Mitogen and this project in turn (default: all groups)
                          groups: bare local hops tree ssh files link100 minify
      --rounds N          measure each side N times (default 3)
      --python PATH       interpreter for both sides (default: the newest that every account can run)
      --only SIDE         measure one side only: upstream or ours
      --json FILE         also write the figures to FILE
  stdlib                  add names from this machine's interpreters to the standard-library table
  loc                     count lines by crate
  help                    print this help";

/// A task to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print the usage.
    Help,
    /// Run the tests.
    Test,
    /// Run all checks that need no running program.
    Lint,
    /// Check style rules that no compiler checks.
    Style,
    /// Check the documents.
    Documents,
    /// Find import circles.
    Imports,
    /// Check the licences of dependencies.
    Licences,
    /// Check the library's features.
    Features,
    /// Check the packages of published crates.
    Packages,
    /// Compare with upstream Mitogen.
    Compare(CompareFlags),
    /// Write the table of standard-library names.
    Stdlib,
    /// Count lines.
    Loc,
}

/// Groups of measurements, in the order in which they run.
pub(crate) const GROUPS: [&str; 8] = ["bare", "local", "hops", "tree", "ssh", "files", "link100", "minify"];

/// Flags of `compare`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CompareFlags {
    /// Groups to measure.
    pub(crate) groups: Vec<String>,
    /// Measurements of each side.
    pub(crate) rounds: u32,
    /// Interpreter for both sides; default: the newest that every account can run.
    pub(crate) python: Option<PathBuf>,
    /// Measure this side only.
    pub(crate) only: Option<Side>,
    /// Also write the figures to this file.
    pub(crate) json: Option<PathBuf>,
}

/// A side of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Upstream Mitogen.
    Upstream,
    /// This project.
    Ours,
}

/// Reads a command line.
pub(crate) fn parse(args: &[String]) -> Result<Task, String> {
    let (task, rest) = args.split_first().ok_or("name a task")?;
    let plain = match task.as_str() {
        "compare" => return compare(rest).map(Task::Compare),
        "help" | "-h" | "--help" => Task::Help,
        "test" => Task::Test,
        "lint" => Task::Lint,
        "style" => Task::Style,
        "documents" => Task::Documents,
        "imports" => Task::Imports,
        "licences" => Task::Licences,
        "features" => Task::Features,
        "packages" => Task::Packages,
        "stdlib" => Task::Stdlib,
        "loc" => Task::Loc,
        other => return Err(format!("unknown task: {other}")),
    };
    match rest.first() {
        None => Ok(plain),
        Some(extra) => Err(format!("{task} takes no arguments, got {extra}")),
    }
}

fn compare(args: &[String]) -> Result<CompareFlags, String> {
    let mut flags = CompareFlags { groups: Vec::new(), rounds: 3, python: None, only: None, json: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--rounds" => {
                let text = value()?;
                let rounds = text.parse().ok().filter(|&rounds| rounds > 0);
                flags.rounds = rounds.ok_or(format!("--rounds: {text} is not a positive number"))?;
            }
            "--python" => flags.python = Some(PathBuf::from(value()?)),
            "--json" => flags.json = Some(PathBuf::from(value()?)),
            "--only" => {
                flags.only = Some(match value()?.as_str() {
                    "upstream" => Side::Upstream,
                    "ours" => Side::Ours,
                    other => return Err(format!("--only: expected upstream or ours, got {other}")),
                });
            }
            group if GROUPS.contains(&group) => flags.groups.push(group.to_owned()),
            other => return Err(format!("compare: unknown group or flag: {other}")),
        }
    }
    if flags.groups.is_empty() {
        flags.groups = GROUPS.map(str::to_owned).to_vec();
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Task, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn good_lines() {
        assert_eq!(of("test"), Ok(Task::Test));
        assert_eq!(of("--help"), Ok(Task::Help));
        let Ok(Task::Compare(flags)) = of("compare local --rounds 5 --only ours ssh --json out") else {
            panic!("refused");
        };
        assert_eq!(flags.groups, ["local", "ssh"]);
        assert_eq!((flags.rounds, flags.only), (5, Some(Side::Ours)));
        assert_eq!(flags.json, Some(PathBuf::from("out")));
    }

    #[test]
    fn bad_lines() {
        for line in ["", "tset", "lint --fix", "compare --rounds 0", "compare --rounds", "compare elsewhere"]
        {
            assert!(of(line).is_err(), "{line}");
        }
    }
}
