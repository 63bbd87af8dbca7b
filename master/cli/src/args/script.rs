//! `mitogen script`, and where the modules are that programs and functions import.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::Execution;

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
    /// How it is run there, and shown here.
    #[command(flatten)]
    pub execution: Execution,
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
