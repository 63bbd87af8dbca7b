//! The `mitogen` command, as a library so that its parts can be tested: the command line, what is printed,
//! exit statuses. Terminals and text for people are handled here; connections, commands, profiles and
//! transfers are the `mitogen` crate's.

pub mod call_args;
pub mod cli;
pub mod color;
pub mod commands;
pub mod completions;
pub mod exit;
pub mod fleet;
pub mod json;
pub mod logs;
pub mod output;
pub mod preview;
pub mod session;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use mitogen::listen::{BindError, SocketPathError};
use mitogen::modules::FinderError;
use mitogen::profiles::{ProfilesError, ResolveError, SecretError};
use mitogen::targets::TargetError;
use mitogen::{ChainError, ClientError};

use call_args::ArgumentError;
use cli::{Cli, Subcommand};
use commands::minify::MinifyError;
use commands::plugins::UnknownTransport;
use commands::script::UnreadableProgram;
use logs::Verbosity;
use session::{Env, SessionError};

/// Runs the command with this process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version arrive as errors, too; clap knows which stream each belongs to.
            let status = if error.use_stderr() { exit::USAGE } else { exit::OK };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    if let Subcommand::Run(args) = &cli.command
        && let Some(message) = args.missing_command()
    {
        let _ = Cli::command().error(ErrorKind::MissingRequiredArgument, message).print();
        return ExitCode::from(exit::USAGE);
    }
    let status = match run(&cli) {
        Ok(status) => status,
        Err(error) if is_broken_pipe(&error) => exit::OK,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mitogen: {}", output::visible_lines(&format!("{error:#}")));
            status_of(&error)
        }
    };
    ExitCode::from(status)
}

/// Runs the subcommand. Returns the exit status.
fn run(cli: &Cli) -> anyhow::Result<u8> {
    let registry = mitogen::transports::builtin();
    let global = &cli.global;
    let verbosity = Verbosity::new(global.verbose, global.quiet, global.debug_log.is_some());
    let env = Env { global, verbosity, registry: &registry };
    // Subcommands that only print text log nothing, so that --debug-log creates no file for them.
    let with_log = || verbosity.install(global.debug_log.as_deref());
    match &cli.command {
        Subcommand::Run(args) => with_log().map(|()| commands::run::run(env, args))?,
        Subcommand::Call(args) => with_log().map(|()| commands::call::call(env, args))?,
        Subcommand::Script(args) => with_log().map(|()| commands::script::script(env, args))?,
        Subcommand::Put(args) => with_log().map(|()| commands::transfer::put(env, args))?,
        Subcommand::Get(args) => with_log().map(|()| commands::transfer::get(env, args))?,
        Subcommand::Ping(args) => with_log().map(|()| commands::ping::ping(env, args))?,
        Subcommand::Serve(args) => with_log().map(|()| commands::serve::serve(env, args))?,
        Subcommand::Tree(args) => {
            with_log()?;
            print(|out| commands::tree::tree(env, args, out))
        }
        Subcommand::Plan(args) => print(|out| commands::plan::plan(env, args, out)),
        Subcommand::Profiles(args) => print(|out| commands::profiles::profiles(env, args, out)),
        Subcommand::Plugins(args) => print(|out| commands::plugins::plugins(env, args, out)),
        Subcommand::Minify(args) => print(|out| commands::minify::minify(args, out)),
        Subcommand::Completions(args) => {
            print(|out| Ok(out.write_all(completions::script(args.shell).as_bytes())?))
        }
        Subcommand::Complete(args) => print(|out| Ok(commands::complete::answer(args, &registry, out)?)),
    }
}

/// Lets a subcommand print to standard output. Returns the exit status.
fn print(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    write(&mut out)?;
    out.flush()?;
    Ok(exit::OK)
}

/// Whether the reader of our output has closed it, which is not an error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The exit status for an error that ended the command before or outside a run.
fn status_of(error: &anyhow::Error) -> u8 {
    // Ctrl-C at a password prompt.
    if let Some(ChainError::Secret { source, .. }) = error.downcast_ref()
        && source.reason == "interrupted"
    {
        return exit::INTERRUPTED;
    }
    if let Some(SessionError::NotRunning(_)) = error.downcast_ref() {
        return exit::UNREACHABLE;
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return match error {
            ClientError::Refused(_) => exit::USAGE,
            ClientError::Join(_) | ClientError::Reply(_) => exit::UNREACHABLE,
            _ => exit::INTERNAL,
        };
    }
    let usage = error.is::<ProfilesError>()
        || error.is::<BindError>()
        || error.is::<SocketPathError>()
        || error.is::<SessionError>()
        || error.is::<TargetError>()
        || error.is::<ResolveError>()
        || error.is::<SecretError>()
        || error.is::<ChainError>()
        || error.is::<MinifyError>()
        || error.is::<UnknownTransport>()
        || error.is::<UnreadableProgram>()
        || error.is::<FinderError>()
        || error.is::<mitogen::files::FileError>()
        || error.is::<ArgumentError>();
    if usage { exit::USAGE } else { exit::INTERNAL }
}
