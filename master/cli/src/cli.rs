//! The command line: the options and arguments of every subcommand.

mod options;
mod parse;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, ValueEnum, ValueHint};
use mitogen::profiles::{Become, Overrides, Search};

use crate::color::ColorChoice;

pub use options::{ExecArgs, ModuleArgs, OutputArgs, TransferArgs};

const EXAMPLES: &str = "\
Examples:
  mitogen run local -- uname -a                on this machine; no profile needed
  mitogen run web -- uptime                    on every host of the profile `web`
  mitogen run 'web[01-10],!web03' -- 'df -h | tail -1'
                                               one argument is run by remote sh
  mitogen run @all -b -K -- systemctl restart nginx
                                               with sudo; asks for the password
  mitogen run root@10.0.0.5 -- cat /etc/issue  on a host without a profile
  mitogen call web platform.node               call a Python function
  mitogen script web report.py --days 7        run a local Python program there
  mitogen put web nginx.conf /etc/nginx/ -b    copy files and directories
  mitogen get @all /var/log/syslog logs        copy back, into logs/HOST/
  mitogen ping @all                            check which hosts can be reached
  mitogen serve @all                           keep connections open
  mitogen run --socket @all -- uptime          use the open connections
  mitogen profiles check                       validate mitogen.toml
";

const TARGETS: &str = "\
Targets:
  web                        all hosts of a profile
  web01, web01.example.org   one host
  web-root/web01             one host of the profile `web-root`
  web[01-20,25]              a node set
  db*                        a glob
  @all                       a group
  !x                         exclude x
  &x                         keep only hosts that are also in x
  local                      this machine
  host, user@host:port       a host without a profile, over SSH
  ssh:host                   the same, if a profile has a similar name
Separate targets with commas or spaces. Quote what your shell would expand.
";

const EXIT_STATUS: &str = "\
Exit status:
    0  success
    1  internal error
    2  usage or profile error
    3  a command failed
    4  a host is unreachable
    5  authentication or privilege refused
  124  timed out
  130  interrupted
If several apply, the first in this order is used: 130, 1, 2, 5, 4, 124, 3.
";

/// Run commands, Python code and file transfers on many machines over SSH, sudo and other methods
#[derive(Debug, Parser)]
#[command(name = "mitogen", version, before_help = EXAMPLES, max_term_width = 100)]
#[command(after_help = format!("{TARGETS}\n{EXIT_STATUS}"))]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options that every subcommand accepts.
    #[command(flatten)]
    pub global: Global,
    /// The subcommand and its own options.
    #[command(subcommand)]
    pub command: Subcommand,
}

/// Options that every subcommand accepts.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Profile file [default: $MITOGEN_PROFILES, ./mitogen.toml, then the user's and the system's file]
    #[arg(long, global = true, value_name = "FILE")]
    pub profiles: Option<PathBuf>,
    /// Use only the selected targets that also match TARGETS
    #[arg(short = 'l', long, global = true, value_name = "TARGETS", allow_hyphen_values = true)]
    pub limit: Option<String>,
    /// Work on at most N targets at the same time [default: no limit]
    #[arg(short, long, global = true, value_name = "N", value_parser = parse::forks)]
    pub forks: Option<usize>,
    /// Log in as USER
    #[arg(short, long, global = true, value_name = "USER")]
    pub user: Option<String>,
    /// Ask for the login password
    #[arg(short = 'k', long, global = true)]
    pub ask_pass: bool,
    /// Become another user on the remote host, root by default
    #[arg(short = 'b', long = "become", global = true)]
    pub r#become: bool,
    /// User to become; implies --become [default: root]
    #[arg(long, global = true, value_name = "USER")]
    pub become_user: Option<String>,
    /// Method to become another user: sudo, su or doas; implies --become [default: sudo]
    #[arg(long, global = true, value_name = "METHOD")]
    pub become_method: Option<String>,
    /// Ask for the password to become another user
    #[arg(short = 'K', long, global = true)]
    pub ask_become_pass: bool,
    /// Time limit for each connection
    #[arg(short = 'T', long, global = true, value_name = "SECONDS", value_parser = parse::seconds)]
    pub timeout: Option<Duration>,
    /// Time limit for each command or call
    #[arg(long, global = true, value_name = "SECONDS", value_parser = parse::seconds)]
    pub command_timeout: Option<Duration>,
    /// Use the connections of a running `mitogen serve`. The default PATH is $MITOGEN_SOCKET, or the
    /// default of `mitogen serve`. If $MITOGEN_SOCKET is set, this option is on
    #[arg(long, global = true, alias = "tree", value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub socket: Option<Option<PathBuf>>,
    /// Print what would be done without doing it
    #[arg(short = 'C', long, global = true)]
    pub check: bool,
    /// Suppress progress and summary
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more messages; repeat for more detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Also write all messages, including debug messages, to a file in DIR
    #[arg(long, global = true, value_name = "DIR")]
    pub debug_log: Option<PathBuf>,
    /// When to use colours: auto, always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true)]
    #[arg(default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

impl Global {
    /// Where profiles are searched for.
    pub fn search(&self) -> Search {
        Search::from_environment(self.profiles.clone())
    }

    /// The changes to every target's connection that the options ask for.
    pub fn overrides(&self) -> Overrides {
        let wanted = self.r#become || self.become_user.is_some() || self.become_method.is_some();
        let mut overrides =
            Overrides::default().ask_pass(self.ask_pass).ask_become_pass(self.ask_become_pass);
        overrides.user.clone_from(&self.user);
        overrides.timeout = self.timeout;
        overrides.r#become = wanted.then(|| {
            let mut wanted = Become::new(self.become_method.as_deref().unwrap_or("sudo"));
            wanted.user.clone_from(&self.become_user);
            wanted
        });
        overrides
    }
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Run a command on the targets
    Run(RunArgs),
    /// Call a Python function on the targets
    Call(CallArgs),
    /// Run a local Python program on the targets
    Script(ScriptArgs),
    /// Copy files and directories to the targets
    Put(PutArgs),
    /// Copy files and directories from the targets
    Get(GetArgs),
    /// Check connectivity and latency
    Ping(PingArgs),
    /// Connect to targets and keep the connections open for other commands
    #[command(alias = "listen")]
    Serve(ServeArgs),
    /// Show the contexts of a running `mitogen serve`
    Tree(TreeArgs),
    /// Show how targets would be connected: each hop and its command line
    Plan(PlanArgs),
    /// Validate or list the profiles
    Profiles(ProfilesArgs),
    /// List the transports that are not built in, or describe a transport
    Plugins(PluginsArgs),
    /// Minify Python source: remove comments and docstrings, keep line numbers
    Minify(MinifyArgs),
    /// Print a shell completion script
    Completions(CompletionsArgs),
    /// Answer a completion script
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(CompleteArgs),
}

/// `mitogen run`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen run [OPTIONS] TARGETS... -- COMMAND [ARG]...")]
#[command(after_help = "\
Examples:
  mitogen run web -- uptime
  mitogen run web -g -- 'df -h | tail -1'
  mitogen run @all -b -- systemctl restart nginx")]
pub struct RunArgs {
    /// Targets to run on; see `mitogen --help`
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// A program and its arguments, passed unchanged; a single argument is run by the remote `sh`
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// How the command is run and its output shown.
    #[command(flatten)]
    pub exec: ExecArgs,
}

impl RunArgs {
    /// What to write instead if no command follows `--`.
    pub(crate) fn missing_command(&self) -> Option<String> {
        if !self.command.is_empty() {
            return None;
        }
        Some(match self.targets.as_slice() {
            [first, words @ ..] if !words.is_empty() => format!(
                "no command was given: it follows `--`; write `mitogen run {first} -- {}`",
                words.join(" ")
            ),
            targets => format!("no command was given; write `mitogen run {} -- COMMAND`", targets.join(" ")),
        })
    }

    /// The program to start and its arguments: a single argument is a command line for `sh`.
    pub fn argv(&self) -> Vec<String> {
        match self.command.as_slice() {
            [line] => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            argv => argv.to_vec(),
        }
    }
}

/// `mitogen call`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen call [OPTIONS] TARGETS FUNCTION [ARG]...")]
#[command(after_help = "\
Examples:
  mitogen call web platform.node
  mitogen call web os.path.join '\"/etc\"' '\"hosts\"'
  mitogen call web --path lib mymodule.report days=7")]
pub struct CallArgs {
    /// Targets to call the function on; see `mitogen --help`
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// Function to call, with its module: package.module.function
    #[arg(value_name = "FUNCTION", value_parser = parse::function)]
    pub function: String,
    /// Arguments as JSON (a string is '"text"'); keyword arguments as NAME=JSON
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub arguments: Vec<String>,
    /// How results are shown.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Where modules are found.
    #[command(flatten)]
    pub modules: ModuleArgs,
}

/// `mitogen script`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen script [OPTIONS] TARGETS FILE [ARG]...")]
#[command(after_help = "\
The program can import modules from its own directory, --path and --venv. Nothing is installed on the \
remote host.

Examples:
  mitogen script web report.py --days 7
  mitogen script @all - <report.py")]
pub struct ScriptArgs {
    /// Targets to run on; see `mitogen --help`
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// Local Python program, or `-` for standard input, and its arguments, passed unchanged
    #[arg(value_name = "FILE [ARG]", required = true, trailing_var_arg = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub program: Vec<String>,
    /// How the program is run and its output shown.
    #[command(flatten)]
    pub exec: ExecArgs,
    /// Where modules are found.
    #[command(flatten)]
    pub modules: ModuleArgs,
}

/// `mitogen put`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen put [OPTIONS] TARGETS SOURCE... DESTINATION")]
#[command(after_help = "\
As with cp, sources are copied into the destination if it is a directory, which it must be for several \
sources or if it ends with a slash. Otherwise the source is copied under that name. A relative destination \
starts in the remote login directory. Files appear under their names only when they are complete. \
Interrupted transfers resume when the command is repeated.

Examples:
  mitogen put web nginx.conf /etc/nginx/ -b
  mitogen put @all --mode 755 tools/ /opt/tools")]
pub struct PutArgs {
    /// Targets to copy to; see `mitogen --help`
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// Local files and directories, then the remote destination
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DESTINATION"], value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// How files are written.
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// `mitogen get`.
#[derive(Debug, Args)]
#[command(override_usage = "mitogen get [OPTIONS] TARGETS SOURCE... DESTINATION")]
#[command(after_help = "\
With several targets, the files of each are copied into a directory with its name below the destination. \
With one target, the destination is treated as by cp. Missing parent directories are created. Interrupted \
transfers resume when the command is repeated.

Examples:
  mitogen get web01 /etc/nginx nginx-backup
  mitogen get @all /var/log/syslog logs")]
pub struct GetArgs {
    /// Targets to copy from; see `mitogen --help`
    #[arg(value_name = "TARGETS")]
    pub targets: String,
    /// Remote files and directories, then the local destination
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DESTINATION"], value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// How files are written.
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// `mitogen ping`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints how long the connection took and the round-trip time of one call.

Example:
  mitogen ping @all")]
pub struct PingArgs {
    /// Targets to connect to; see `mitogen --help`
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// How results are shown.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `mitogen serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the path of its socket when all targets are connected or have failed, and runs until Ctrl-C. The \
commands run, call, script, put, get and ping use the connections with --socket. Options that change \
connections (-u, -b, -T, --profiles and others) must be given to `mitogen serve`. A target whose connection is \
lost is connected again on its next use.

Examples:
  mitogen serve @all
  mitogen run --socket @all -- uptime     in another terminal")]
pub struct ServeArgs {
    /// Targets to connect to; see `mitogen --help`
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// Path of the socket to create [default: in a private directory of the user]
    // It replaces the global option of the same name, whose value is optional.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// `mitogen tree`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shows each context with its target, connection method, Python version, process id and uptime. A context \
that does not answer within two seconds is shown as busy.

Examples:
  mitogen tree
  mitogen tree --socket=/run/user/1000/mitogen/default.sock")]
pub struct TreeArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `mitogen plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is connected and no password is asked for. With -v it also shows where each option was set.

Example:
  mitogen plan web-root/web01")]
pub struct PlanArgs {
    /// Targets to show; see `mitogen --help`
    #[arg(required = true, value_name = "TARGETS")]
    pub targets: Vec<String>,
    /// Print JSON, one object per target, with secrets masked
    #[arg(long)]
    pub json: bool,
}

/// `mitogen profiles`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mitogen profiles check
  mitogen profiles list @all")]
pub struct ProfilesArgs {
    /// What to do with the profiles.
    #[command(subcommand)]
    pub command: ProfilesSubcommand,
}

/// The subcommands of `mitogen profiles`.
#[derive(Debug, clap::Subcommand)]
pub enum ProfilesSubcommand {
    /// Validate the profile file
    #[command(after_help = "Prints every error with its line. The exit status is 2 if there are any.

Example:
  mitogen profiles check --profiles staging.toml")]
    Check,
    /// List profiles and groups, or the hosts that match targets
    #[command(after_help = "\
Examples:
  mitogen profiles list
  mitogen profiles list '@all,!web01'")]
    List {
        /// Print the matching hosts, one per line, instead of profiles and groups
        #[arg(value_name = "TARGETS")]
        targets: Vec<String>,
    },
}

/// `mitogen plugins`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mitogen plugins list
  mitogen plugins info ssh")]
pub struct PluginsArgs {
    /// What to show.
    #[command(subcommand)]
    pub command: PluginsSubcommand,
}

/// The subcommands of `mitogen plugins`.
#[derive(Debug, clap::Subcommand)]
pub enum PluginsSubcommand {
    /// List the transports that the profile file defines or loads
    #[command(after_help = "\
Example:
  mitogen plugins list")]
    List,
    /// Describe a transport: where it comes from, and its options
    #[command(after_help = "\
Example:
  mitogen plugins info docker")]
    Info {
        /// Name of the transport, as in `method`
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// `mitogen minify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the source as it would be sent to a remote Python.

Examples:
  mitogen minify module.py
  mitogen minify lib --into build/lib")]
pub struct MinifyArgs {
    /// Python source file, `-` for standard input, or with --into a directory
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub file: PathBuf,
    /// Minify every .py file in the directory FILE, and write the results to DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub into: Option<PathBuf>,
}

/// `mitogen completions`.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = "\
Examples:
  source <(mitogen completions bash)
  mitogen completions bash >~/.local/share/bash-completion/completions/mitogen
  mitogen completions fish >~/.config/fish/completions/mitogen.fish")]
pub struct CompletionsArgs {
    /// Shell to print the script for: bash, fish or zsh
    #[arg(hide_possible_values = true)]
    pub shell: Shell,
}

/// A shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// fish
    Fish,
    /// zsh
    Zsh,
}

/// `mitogen __complete`: the request of a completion script.
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// Shell that asks
    pub shell: Shell,
    /// bash: characters that end a word, besides white space
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub breaks: String,
    /// bash: the line up to the cursor; others: its words, of which the last is to be completed
    #[arg(last = true)]
    pub words: Vec<String>,
}

#[cfg(test)]
mod tests;
