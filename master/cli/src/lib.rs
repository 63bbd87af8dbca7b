//! The mitogen command, as a library so that its parts can be tested: the command line, what is
//! printed, exit statuses. It knows terminals and people; everything else is the `mitogen` crate's.

pub mod args;
pub mod arguments;
pub mod color;
pub mod completions;
pub mod exit;
pub mod fleet;
pub mod logs;
pub mod output;
pub mod values;
pub mod verbs;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mitogen::listen::{BindError, PlaceError};
use mitogen::modules::FinderError;
use mitogen::profiles::{Inventory, ProfilesError, ResolveError, SecretError};
use mitogen::targets::TargetError;
use mitogen::{ChainError, ClientError};

use args::{Cli, ProfilesVerb, Verb};
use logs::Loudness;
use verbs::fleet::TreeError;

/// Runs the command with this process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no faults; clap knows which stream each goes to.
            let status = if error.use_stderr() { exit::USAGE } else { exit::OK };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let status = match perform(&cli) {
        Ok(status) => status,
        Err(error) if is_broken_pipe(&error) => exit::OK,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mitogen: {error:#}");
            status_of(&error)
        }
    };
    ExitCode::from(status)
}

fn perform(cli: &Cli) -> anyhow::Result<u8> {
    let registry = mitogen::transports::builtin();
    let global = &cli.global;
    let loudness = Loudness::new(global.verbose, global.quiet, global.debug_log.is_some());
    match &cli.verb {
        Verb::Run(_)
        | Verb::Call(_)
        | Verb::Script(_)
        | Verb::Put(_)
        | Verb::Get(_)
        | Verb::Ping(_)
        | Verb::Listen(_)
        | Verb::Tree(_) => {
            loudness.install(global.debug_log.as_deref())?;
        }
        _ => {}
    }
    let load = || Inventory::load(&global.search(), &registry);
    match &cli.verb {
        Verb::Run(run) => return verbs::fleet::run(global, loudness, &registry, run),
        Verb::Call(call) => return verbs::fleet::call(global, loudness, &registry, call),
        Verb::Script(script) => return verbs::script::script(global, loudness, &registry, script),
        Verb::Put(put) => return verbs::files::put(global, loudness, &registry, put),
        Verb::Get(get) => return verbs::files::get(global, loudness, &registry, get),
        Verb::Ping(ping) => return verbs::fleet::ping(global, loudness, &registry, ping),
        Verb::Listen(listen) => return verbs::listen::listen(global, loudness, &registry, listen),
        _ => {}
    }
    let mut out = io::stdout().lock();
    match &cli.verb {
        Verb::Profiles(profiles) => match &profiles.verb {
            ProfilesVerb::Check => verbs::profiles::check(&load()?, &mut out)?,
            ProfilesVerb::List { targets } if targets.is_empty() && cli.global.limit.is_none() => {
                verbs::profiles::list(&load()?, &mut out)?;
            }
            ProfilesVerb::List { targets } => {
                let wanted = if targets.is_empty() { "*".to_owned() } else { targets.join(" ") };
                for target in load()?.select(&wanted, cli.global.limit.as_deref())? {
                    writeln!(out, "{target}")?;
                }
            }
        },
        Verb::Completions(completions) => {
            out.write_all(completions::script(completions.shell).as_bytes())?;
        }
        Verb::Complete(asked) => verbs::complete::answer(asked, &registry, &mut out)?,
        Verb::Minify(asked) => match &asked.into {
            Some(into) => verbs::minify::minify_below(&asked.file, into)?,
            None => verbs::minify::minify(&asked.file, &mut io::stdin().lock(), &mut out)?,
        },
        Verb::Plan(asked) => verbs::plan::plan(global, &registry, asked, &mut out)?,
        Verb::Tree(asked) => verbs::tree::tree(global, asked, &mut out)?,
        Verb::Run(_)
        | Verb::Call(_)
        | Verb::Script(_)
        | Verb::Put(_)
        | Verb::Get(_)
        | Verb::Ping(_)
        | Verb::Listen(_) => {}
    }
    out.flush()?;
    Ok(exit::OK)
}

/// Whoever reads our output has had enough of it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Faults of the command line and of profiles are the user's to mend, others are ours.
fn status_of(error: &anyhow::Error) -> u8 {
    // The user was asked for a secret, and pressed Ctrl-C.
    if let Some(ChainError::Secret { source, .. }) = error.downcast_ref()
        && source.reason == "interrupted"
    {
        return exit::INTERRUPTED;
    }
    if let Some(TreeError::Missing(_)) = error.downcast_ref() {
        return exit::UNREACHABLE;
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return match error {
            ClientError::Refused(_) => exit::USAGE,
            ClientError::Join(_) | ClientError::Answer(_) => exit::UNREACHABLE,
            _ => exit::INTERNAL,
        };
    }
    let usage = error.is::<ProfilesError>()
        || error.is::<BindError>()
        || error.is::<PlaceError>()
        || error.is::<TreeError>()
        || error.is::<TargetError>()
        || error.is::<ResolveError>()
        || error.is::<SecretError>()
        || error.is::<ChainError>()
        || error.is::<verbs::minify::MinifyError>()
        || error.is::<verbs::script::UnreadableProgram>()
        || error.is::<FinderError>()
        || error.is::<mitogen::files::FileError>()
        || error.is::<arguments::ArgumentError>();
    if usage { exit::USAGE } else { exit::INTERNAL }
}
