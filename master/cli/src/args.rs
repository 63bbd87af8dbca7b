//! The command line: what can be typed, and what it means.

mod script;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use mitogen::files::TransferOptions;
use mitogen::listen::default_path;
use mitogen::profiles::{Become, Overrides, Search};

use crate::color::ColorChoice;

pub use script::{Modules, Script};

const EXAMPLES: &str = "\
Examples:
  mitogen run local -- uname -a                 on this machine, no profile needed
  mitogen run web -- uptime                     on every host of the profile `web`
  mitogen run 'web[01-10],!web03' -- 'df -h | tail -1'
                                                one argument is a line for the shell
  mitogen run @all -b -K -- systemctl restart nginx
                                                as root, with one password for all
  mitogen run root@10.0.0.5 -- cat /etc/issue   without a profile
  mitogen call web platform.node                a Python function, JSON in and out
  mitogen script web report.py --days 7         a Python program of yours, run there
  mitogen put web nginx.conf /etc/nginx/ -b      files and directories to each host
  mitogen get @all /var/log/syslog logs         and back, into logs/HOST/
  mitogen ping @all                             who can be reached
  mitogen listen @all                           keep @all connected, for `mitogen run --tree @all -- ...`
  mitogen profiles check                        is mitogen.toml right?
  mitogen minify module.py                      the source, as a child gets it
";

const TARGETS: &str = "\
Targets:
  web            a profile, with all its hosts   web01, web01.example.org  one host
  web-root/web01 one host of this profile        web[01-20,25]             a node set
  @all           a group                         db*                       a glob
  !x             not x                           &x                        only if also x
  local          this machine                    user@host:port, ssh:host  ssh without a profile
Separate several by commas or blanks; quote what your shell would take for itself.
";

const STATUS: &str = "\
Exit status, the first of these that applies:
  130 interrupted; 1 internal error; 2 wrong command line or profile; 5 authentication or privilege
  refused; 4 a host not reached; 124 time ran out; 3 a command failed; 0 all well.
";

/// Runs commands and functions on many machines with nothing installed there.
#[derive(Debug, Parser)]
#[command(name = "mitogen", version, before_help = EXAMPLES, after_help = concat_help(), max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What holds for every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

fn concat_help() -> String {
    format!("{TARGETS}\n{STATUS}")
}

/// What holds for every verb.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Profile file [default: $MITOGEN_PROFILES, ./mitogen.toml, the user's, the system's]
    #[arg(long, global = true, value_name = "FILE")]
    pub profiles: Option<PathBuf>,
    /// Only those targets that are also among these
    #[arg(short = 'l', long, global = true, value_name = "TARGETS", allow_hyphen_values = true)]
    pub limit: Option<String>,
    /// At most this many targets at once
    #[arg(short, long, global = true, value_name = "N", value_parser = forks)]
    pub forks: Option<usize>,
    /// Log in as this user
    #[arg(short, long, global = true, value_name = "USER")]
    pub user: Option<String>,
    /// Ask for the login password
    #[arg(short = 'k', long, global = true)]
    pub ask_pass: bool,
    /// Become another user there
    #[arg(short = 'b', long = "become", global = true)]
    pub r#become: bool,
    /// Become this user; implies -b [default: root]
    #[arg(long, global = true, value_name = "USER")]
    pub become_user: Option<String>,
    /// How to become another user; implies -b [default: sudo]
    #[arg(long, global = true, value_name = "METHOD")]
    pub become_method: Option<String>,
    /// Ask for the password to become another user
    #[arg(short = 'K', long, global = true)]
    pub ask_become_pass: bool,
    /// Seconds that each connection may take
    #[arg(short = 'T', long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Seconds that each command or call may take
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub command_timeout: Option<Duration>,
    /// Use the targets that a running `mitogen listen` holds [default: $MITOGEN_TREE]
    #[arg(long, global = true, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub tree: Option<Option<PathBuf>>,
    /// Print what would be run, and run nothing
    #[arg(short = 'C', long, global = true)]
    pub check: bool,
    /// Say less: no progress, no summary
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; repeat for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Also write all messages, down to debug ones, to a file in this directory
    #[arg(long, global = true, value_name = "DIR")]
    pub debug_log: Option<PathBuf>,
    /// Colours: auto, always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true)]
    #[arg(default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

impl Global {
    /// Where profiles are looked for.
    pub fn search(&self) -> Search {
        Search::from_environment(self.profiles.clone())
    }

    /// The socket of the running tree that was asked for.
    pub fn tree(&self) -> Option<PathBuf> {
        match &self.tree {
            Some(Some(path)) => Some(path.clone()),
            Some(None) => Some(from_environment().unwrap_or_else(default_path)),
            None => from_environment(),
        }
    }

    /// What changes on the way to every target.
    pub fn overrides(&self) -> Overrides {
        let wanted = self.r#become || self.become_user.is_some() || self.become_method.is_some();
        Overrides {
            user: self.user.clone(),
            ask_pass: self.ask_pass,
            r#become: wanted.then(|| Become {
                method: self.become_method.clone().unwrap_or_else(|| "sudo".to_owned()),
                user: self.become_user.clone(),
            }),
            ask_become_pass: self.ask_become_pass,
            timeout: self.timeout,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command
    Run(Run),
    /// Call a Python function
    Call(Call),
    /// Run a Python program of yours there
    Script(Script),
    /// Copy files and directories to targets
    Put(Put),
    /// Copy files and directories from targets
    Get(Get),
    /// Connect, say hello, and leave
    Ping(Ping),
    /// Connect targets and keep them for other commands, which find them with --tree
    Listen(Listen),
    /// Show the contexts of a running tree
    Tree(Tree),
    /// Show the way to targets: each hop, and what will run where
    Plan(Plan),
    /// Look at the profiles
    Profiles(Profiles),
    /// Print a Python source as it is sent: without comments and docstrings, lines unmoved
    Minify(Minify),
    /// Print a completion script
    Completions(Completions),
    /// Answer the completion scripts
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(Complete),
}

/// `mitogen run`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen run [OPTIONS] TARGETS -- COMMAND [ARG]...")]
pub struct Run {
    /// Where
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// What: a program and its arguments, passed on exactly; or one argument, a line for the shell
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// How it is run there, and shown here.
    #[command(flatten)]
    pub execution: Execution,
}

impl Run {
    /// The command as it is to be run.
    pub fn command(&self) -> Command {
        match self.command.as_slice() {
            [line] => Command::Shell(line.clone()),
            argv => Command::Argv(argv.to_vec()),
        }
    }
}

/// How a command or a program is run, and how what it prints is shown.
#[derive(Clone, Debug, Args)]
pub struct Execution {
    /// Collect the output of each target and print it whole, equal ones once
    #[arg(short, long)]
    pub gather: bool,
    /// How output is shown.
    #[command(flatten)]
    pub shape: Shape,
    /// Show how the outputs differ from the commonest one
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Give it no input, whatever ours is
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// Run it in this directory
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Set an environment variable
    #[arg(short, long = "env", value_name = "KEY=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

/// How output is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Shape {
    /// Print equal outputs once, under all their targets [default: on a terminal]
    #[arg(long, overrides_with = "no_fold")]
    pub fold: bool,
    /// Print each target's output for itself
    #[arg(long, overrides_with = "fold")]
    pub no_fold: bool,
    /// Print events as JSON, one a line
    #[arg(long)]
    pub json: bool,
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments.
    Argv(Vec<String>),
}

impl Command {
    /// Program and arguments.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            Self::Argv(argv) => argv.clone(),
        }
    }
}

/// `mitogen call`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen call [OPTIONS] TARGETS FUNCTION [ARG]...")]
pub struct Call {
    /// Where
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// What: package.module.function
    #[arg(value_name = "FUNCTION", value_parser = function)]
    pub function: String,
    /// Arguments as JSON, keyword arguments as NAME=JSON; text is '"text"'
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub arguments: Vec<String>,
    /// How output is shown.
    #[command(flatten)]
    pub shape: Shape,
    /// Where modules are found.
    #[command(flatten)]
    pub modules: Modules,
}

/// `mitogen put`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen put [OPTIONS] TARGETS SOURCE... DESTINATION")]
#[command(after_help = "\
As with cp, sources go into the destination if that is a directory, which it must be for several
sources or if it ends with a slash; else the one source takes that name. It is looked up in the
target's login directory if it does not begin with a slash. Files appear whole or not at all; a
transfer that was cut off goes on where it was when it is repeated.")]
pub struct Put {
    /// Where
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// Files and directories here, then their place there
    #[arg(required = true, num_args = 2.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// How files are put in place.
    #[command(flatten)]
    pub placing: Placing,
}

/// `mitogen get`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen get [OPTIONS] TARGETS SOURCE... DESTINATION")]
#[command(after_help = "\
With several targets each gets a directory with its name in the destination. With one, the
destination is as for cp. Directories that are missing on the way to the destination are made.")]
pub struct Get {
    /// Where from
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// Files and directories there, then their place here
    #[arg(required = true, num_args = 2.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// How files are put in place.
    #[command(flatten)]
    pub placing: Placing,
}

/// How files are put in place.
#[derive(Clone, Debug, Args)]
pub struct Placing {
    /// Permissions of the files, in octal [default: as the source has them]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub mode: Option<u32>,
    /// Give them to this user and group
    #[arg(long, value_name = "USER[:GROUP]")]
    pub owner: Option<String>,
    /// Begin anew, whatever an earlier attempt has left there
    #[arg(long)]
    pub no_resume: bool,
    /// Have each file on the disk before it is in its place
    #[arg(long)]
    pub sync: bool,
    /// Print events as JSON, one a line
    #[arg(long)]
    pub json: bool,
    /// Directories are always copied with what is in them
    #[arg(short, long, hide = true)]
    pub recursive: bool,
}

impl Placing {
    /// The same for the library.
    pub fn options(&self) -> TransferOptions {
        let mut options = TransferOptions::new().resume(!self.no_resume).sync(self.sync);
        options.mode = self.mode;
        options.owner.clone_from(&self.owner);
        options
    }
}

/// `mitogen ping`.
#[derive(Debug, Args)]
pub struct Ping {
    /// Where
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// How output is shown.
    #[command(flatten)]
    pub shape: Shape,
}

/// `mitogen listen`.
#[derive(Debug, Args)]
pub struct Listen {
    /// Where
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// Listen at this path [default: a private directory of the user's]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// `mitogen tree`.
#[derive(Debug, Args)]
pub struct Tree {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `mitogen plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Where
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// Print the plans as JSON, secrets masked
    #[arg(long)]
    pub json: bool,
}

/// `mitogen profiles`.
#[derive(Debug, Args)]
pub struct Profiles {
    /// What to do with them.
    #[command(subcommand)]
    pub verb: ProfilesVerb,
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub enum ProfilesVerb {
    /// Say all that is wrong with the profile file
    Check,
    /// List profiles and groups
    List {
        /// Only these targets, one a line
        #[arg(value_name = "TARGETS")]
        targets: Vec<String>,
    },
}

/// `mitogen minify`.
#[derive(Debug, Args)]
pub struct Minify {
    /// The source; - is standard input. A directory with --into
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub file: PathBuf,
    /// Minify every .py below the directory FILE, into the same places below this one
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub into: Option<PathBuf>,
}

/// `mitogen completions`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Completions {
    /// For which shell
    pub shell: Shell,
}

/// A shell that we have completions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// fish
    Fish,
    /// zsh
    Zsh,
}

/// `mitogen __complete`.
#[derive(Debug, Args)]
pub struct Complete {
    /// Who asks
    pub shell: Shell,
    /// bash: what ends a word, besides blanks
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub breaks: String,
    /// bash: the line up to the cursor; others: its words, the last one the word to complete
    #[arg(last = true)]
    pub words: Vec<String>,
}

fn from_environment() -> Option<PathBuf> {
    std::env::var_os("MITOGEN_TREE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn forks(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("give a number, at least 1".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 31_536_000.0);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give a number of seconds above 0".to_owned())
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| "write it in octal, as in 644".to_owned())
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn function(text: &str) -> Result<String, String> {
    let name = |part: &str| {
        part.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if text.contains('.') && text.split('.').all(name) {
        Ok(text.to_owned())
    } else {
        Err("write the function with its module, as in os.path.exists".to_owned())
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
