//! `mitogen script`, and where the modules are that programs and functions import.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Shape, variable};

/// `mitogen script`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen script [OPTIONS] TARGETS FILE [ARG]...")]
pub struct Script {
    /// Where
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// What: a Python program of this machine (`-`: from standard input) and its arguments, passed
    /// on exactly
    #[arg(value_name = "FILE [ARG]", required = true, trailing_var_arg = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub program: Vec<String>,
    /// Collect the output of each target and print it whole, equal ones once
    #[arg(short, long)]
    pub gather: bool,
    /// How output is shown.
    #[command(flatten)]
    pub shape: Shape,
    /// Show how the outputs differ from the commonest one
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Give the program no input, whatever ours is
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// Run it in this directory
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Set an environment variable
    #[arg(short, long = "env", value_name = "KEY=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Where modules are found.
    #[command(flatten)]
    pub modules: Modules,
}

/// Where modules are found that targets lack.
#[derive(Clone, Debug, Default, Args)]
pub struct Modules {
    /// Serve modules from this directory, too; repeat for more
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub path: Vec<PathBuf>,
    /// Serve modules from this virtual environment, too
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub venv: Option<PathBuf>,
}
