//! Groups of options that several subcommands share.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use mitogen::command::Command;
use mitogen::files::TransferOptions;

use super::parse;
use crate::output::OutputPrefs;

/// How a command or a program is run, and how its output is shown: `run` and `script`.
#[derive(Clone, Debug, Args)]
pub struct ExecArgs {
    /// Collect each target's output and print it when complete, identical outputs once
    #[arg(short, long)]
    pub gather: bool,
    /// How output is shown.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Show how outputs differ from the most common one
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Do not forward standard input
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// Run in directory DIR on the remote host
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Set an environment variable; repeat for more
    #[arg(short, long = "env", value_name = "KEY=VALUE", value_parser = parse::variable)]
    pub env: Vec<(String, String)>,
}

impl ExecArgs {
    /// The command with these options. `stdin` says whether input will be forwarded.
    pub fn apply(&self, mut command: Command, stdin: bool) -> Command {
        command.cwd.clone_from(&self.cwd);
        command.env = self.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        command.stdin(stdin)
    }

    /// How its output is to be shown.
    pub fn prefs(&self) -> OutputPrefs {
        OutputPrefs { diff: self.diff, gather: self.gather, ..self.output.prefs() }
    }
}

/// How output is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// Print identical outputs once, under the names of their targets [default on a terminal]
    #[arg(long, overrides_with = "no_fold")]
    pub fold: bool,
    /// Print each target's output separately
    #[arg(long, overrides_with = "fold")]
    pub no_fold: bool,
    /// Print events as JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

impl OutputArgs {
    /// The same options for the output.
    pub fn prefs(&self) -> OutputPrefs {
        OutputPrefs { json: self.json, fold: self.fold, no_fold: self.no_fold, ..OutputPrefs::default() }
    }
}

/// How files are written: `put` and `get`.
#[derive(Clone, Debug, Args)]
pub struct TransferArgs {
    /// Permissions of the copied files, in octal [default: those of the source]
    #[arg(long, value_name = "MODE", value_parser = parse::mode)]
    pub mode: Option<u32>,
    /// Change owner and group of the copied files
    #[arg(long, value_name = "USER[:GROUP]")]
    pub owner: Option<String>,
    /// Do not resume an interrupted transfer; start again
    #[arg(long)]
    pub no_resume: bool,
    /// fsync each file before renaming it into place
    #[arg(long)]
    pub sync: bool,
    /// Print events as JSON, one object per line
    #[arg(long)]
    pub json: bool,
    /// Accepted for users of cp and scp: directories are always copied recursively
    #[arg(short, long, hide = true)]
    pub recursive: bool,
}

impl TransferArgs {
    /// The same options for the library.
    pub fn options(&self) -> TransferOptions {
        let mut options = TransferOptions::new().resume(!self.no_resume).sync(self.sync);
        options.mode = self.mode;
        options.owner.clone_from(&self.owner);
        options
    }

    /// How progress and results are to be shown.
    pub fn prefs(&self) -> OutputPrefs {
        OutputPrefs { json: self.json, no_fold: true, no_raw: true, ..OutputPrefs::default() }
    }
}

/// Where to find modules that targets import and do not have: `call` and `script`.
#[derive(Clone, Debug, Default, Args)]
pub struct ModuleArgs {
    /// Also serve Python modules from DIR; repeat for more
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub path: Vec<PathBuf>,
    /// Also serve Python modules from the virtual environment DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub venv: Option<PathBuf>,
}
