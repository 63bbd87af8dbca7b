//! Every flag of every chore, on one page.

use std::path::PathBuf;

/// Shown by `cargo xtask help` and after a wrong command line.
pub(crate) const USAGE: &str = "\
usage: cargo xtask CHORE

  test                    prepare the machine, then run every test there is (as root)
  lint                    format, clippy, rustdoc, tidy, documents, licences
  tidy                    headers, file sizes, forbidden words (rules: xtask/tidy.toml)
  imports                 files that import each other in a circle
  licences                licences of all dependencies (rules: deny.toml)
  compare [GROUP...]      measure stock Mitogen and ours in turn (default: all groups)
                          groups: bare local hops tree ssh files link100 minify
      --rounds N          how often each side is measured (default 3)
      --python PATH       interpreter of both sides (default: the newest that every account may start)
      --only stock|ours   measure one side
      --json FILE         write the figures there too
  stdlib                  add this machine's interpreters to the table of standard-library names
  loc                     lines by crate
  help                    this page";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Print the usage.
    Help,
    /// Run the tests.
    Test,
    /// Run all checks that need no running program.
    Lint,
    /// Check the house rules of the text.
    Tidy,
    /// Look for import circles.
    Imports,
    /// Check the licences of dependencies.
    Licences,
    /// Compare with stock Mitogen.
    Compare(CompareFlags),
    /// Write the table of standard-library names.
    Stdlib,
    /// Count lines.
    Loc,
}

/// The groups of figures, in the order in which they are measured.
pub(crate) const GROUPS: [&str; 8] = ["bare", "local", "hops", "tree", "ssh", "files", "link100", "minify"];

/// Flags of `compare`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CompareFlags {
    /// What to measure.
    pub(crate) groups: Vec<String>,
    /// How often.
    pub(crate) rounds: u32,
    /// The interpreter of both sides.
    pub(crate) python: Option<PathBuf>,
    /// One side alone.
    pub(crate) only: Option<Side>,
    /// Where to write the figures.
    pub(crate) json: Option<PathBuf>,
}

/// A side of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Stock Mitogen.
    Stock,
    /// This project.
    Ours,
}

/// Reads a command line.
pub(crate) fn parse(args: &[String]) -> Result<Chore, String> {
    let (chore, rest) = args.split_first().ok_or("which chore?")?;
    let plain = match chore.as_str() {
        "compare" => return compare(rest).map(Chore::Compare),
        "help" | "-h" | "--help" => Chore::Help,
        "test" => Chore::Test,
        "lint" => Chore::Lint,
        "tidy" => Chore::Tidy,
        "imports" => Chore::Imports,
        "licences" => Chore::Licences,
        "stdlib" => Chore::Stdlib,
        "loc" => Chore::Loc,
        other => return Err(format!("no such chore: {other}")),
    };
    match rest.first() {
        None => Ok(plain),
        Some(extra) => Err(format!("{chore} takes no arguments, got {extra}")),
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
                flags.rounds = rounds.ok_or(format!("--rounds: {text} is no number of rounds"))?;
            }
            "--python" => flags.python = Some(PathBuf::from(value()?)),
            "--json" => flags.json = Some(PathBuf::from(value()?)),
            "--only" => {
                flags.only = Some(match value()?.as_str() {
                    "stock" => Side::Stock,
                    "ours" => Side::Ours,
                    other => return Err(format!("--only: stock or ours, not {other}")),
                });
            }
            group if GROUPS.contains(&group) => flags.groups.push(group.to_owned()),
            other => return Err(format!("compare: no such group or flag: {other}")),
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

    fn of(line: &str) -> Result<Chore, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn good_lines() {
        assert_eq!(of("test"), Ok(Chore::Test));
        assert_eq!(of("--help"), Ok(Chore::Help));
        let Ok(Chore::Compare(flags)) = of("compare local --rounds 5 --only ours ssh --json out") else {
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
