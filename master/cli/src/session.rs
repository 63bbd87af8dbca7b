//! One execution of the command: what every subcommand is given, which targets were selected, and how a
//! job is run on them, over new connections or those of a running `mitogen serve`.
//!
//! This module knows no subcommand; the subcommands build a [`Job`] and call [`run_job`].

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mitogen::listen::{JoinError, ReachedTargets, default_path};
use mitogen::modules::{Finder, FinderError, FinderOptions, ModuleSource};
use mitogen::profiles::{Chain, Inventory, Overrides, ProfilesError, Search, SecretStore, SystemSecrets};
use mitogen::transports::Registry;
use mitogen::{ChildSettings, Client, ClientError, ConnectionPool, Master, MasterOptions, Python};
use mitogen_core::broker::BrokerHandle;

use crate::cli::{Global, ModuleArgs};
use crate::color::Palette;
use crate::exit;
use crate::fleet::{Copy, Fleet, HostSource, InputSource, OwnConnections, RunConfig, SharedTree, Task};
use crate::logs::Verbosity;
use crate::output::{Mode, OutputPrefs, Presenter, ProgressLine, visible};
use crate::preview;

/// How long contexts may take to end when the run is over. Their commands get half a second.
const GRACE: Duration = Duration::from_secs(2);

/// The environment variable that names the socket of a running `mitogen serve`.
const SOCKET_VARIABLE: &str = "MITOGEN_SOCKET";
/// The name of that variable in earlier releases.
const OLD_SOCKET_VARIABLE: &str = "MITOGEN_TREE";

/// What every subcommand is given.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The options that every subcommand accepts.
    pub global: &'a Global,
    /// How much is logged.
    pub verbosity: Verbosity,
    /// The transports that profiles can name.
    pub registry: &'a Registry,
}

impl Env<'_> {
    /// Loads the profile file.
    ///
    /// # Errors
    /// The file cannot be read or has errors.
    pub fn inventory(&self) -> Result<Inventory, ProfilesError> {
        inventory(&self.global.search(), self.registry)
    }

    /// Loads the profile file and selects targets from it, within `--limit`.
    ///
    /// # Errors
    /// The profile file or the target expression has errors, or an option cannot be applied to a target.
    pub fn targets(&self, wanted: &str) -> anyhow::Result<Targets> {
        let inventory = self.inventory()?;
        let overrides = self.global.overrides();
        let targets = inventory.select(wanted, self.global.limit.as_deref())?;
        let chains =
            targets.iter().map(|target| inventory.resolve(target, &overrides)).collect::<Result<_, _>>()?;
        Ok(Targets { chains, forks: inventory.defaults().forks })
    }

    /// The socket of the `mitogen serve` whose connections are to be used; `None` if the command makes
    /// its own.
    pub fn socket(&self) -> Option<PathBuf> {
        match &self.global.socket {
            Some(Some(path)) => Some(path.clone()),
            Some(None) => Some(self.socket_variable().unwrap_or_else(default_path)),
            None => self.socket_variable(),
        }
    }

    fn socket_variable(&self) -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        variable(SOCKET_VARIABLE).or_else(|| {
            let path = variable(OLD_SOCKET_VARIABLE)?;
            self.warn(&format!("{OLD_SOCKET_VARIABLE} is deprecated; set {SOCKET_VARIABLE} instead"));
            Some(path)
        })
    }

    /// Prints a warning, unless `--quiet` was given.
    fn warn(&self, message: &str) {
        if !self.global.quiet {
            // A closed standard error must not end the command.
            let _ = writeln!(io::stderr(), "mitogen: warning: {}", visible(message));
        }
    }
}

/// Loads the profile file, and the plugins that it names.
///
/// # Errors
/// The file cannot be read or has errors.
pub fn inventory(search: &Search, registry: &Registry) -> Result<Inventory, ProfilesError> {
    Inventory::load_with_plugins(search, registry, &|path| Ok(mitogen::plugins::load_all(path)?))
}

/// The selected targets.
pub struct Targets {
    /// How each target is connected, in the order of the target expression.
    pub chains: Vec<Chain>,
    /// The limit of concurrent targets in the profile file, if it sets one.
    pub forks: Option<usize>,
}

/// An option that cannot be used with the connections of a running `mitogen serve`.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// ConnectionPool are open and cannot be changed.
    #[error(
        "the connections of a running session cannot be changed: give -u, -k, -b, -K, -T and --become-* to \
         `mitogen serve`, or leave out --socket (and {SOCKET_VARIABLE})"
    )]
    Overrides,
    /// Target names are resolved by `mitogen serve`.
    #[error(
        "a running session uses the profile file of `mitogen serve`: give --profiles to `mitogen serve`, or \
         leave out --socket (and {SOCKET_VARIABLE})"
    )]
    Profiles,
    /// Nothing would be connected.
    #[error(
        "a running session is already connected, so there is no plan to show: leave out --socket to see how \
         a command would connect, or leave out --check"
    )]
    Check,
    /// Nothing listens at the socket.
    #[error("{0}; start a session with `mitogen serve`, or leave out --socket (and {SOCKET_VARIABLE})")]
    NotRunning(ClientError),
}

/// Connects to the running session at `path`.
///
/// # Errors
/// [`ClientError`]; [`SessionError::NotRunning`] if nothing listens at `path`.
pub fn join(path: &Path) -> anyhow::Result<Client> {
    Client::connect(path).map_err(|error| match error {
        ClientError::Join(JoinError::NoSocket { .. } | JoinError::Stale { .. }) => {
            anyhow::Error::new(SessionError::NotRunning(error))
        }
        error => error.into(),
    })
}

/// Where modules are found that targets import and do not have.
pub type Sources = Vec<Arc<dyn ModuleSource>>;

/// The directories and virtual environment that the command line names. If there is a `program`, the
/// directory that it would be run from comes first, as for an interpreter.
///
/// # Errors
/// One of them cannot be read.
pub fn sources(modules: &ModuleArgs, program: Option<&Path>) -> Result<Sources, FinderError> {
    let mut options = FinderOptions::default();
    for path in &modules.path {
        options = options.path(path);
    }
    if let Some(venv) = &modules.venv {
        options = options.virtual_env(venv)?;
    }
    if let Some(program) = program {
        options = options.program(program)?;
    }
    if options.paths.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Arc::new(Finder::new(&options)?)])
}

/// Starts a master that serves `modules`, and whose children log as much as this process does.
///
/// # Errors
/// The system refuses threads or descriptors.
pub fn master(env: Env<'_>, modules: Sources) -> anyhow::Result<Master> {
    let settings = ChildSettings::new(Python::new()).log_levels(env.verbosity.child_levels());
    let options = MasterOptions::default().grace(GRACE).settings(settings).modules(modules);
    Ok(Master::start(options.transports(env.registry.clone()))?)
}

/// What is done on every target.
pub struct Job {
    /// The command, call or transfer.
    pub task: Task,
    /// What commands get as their standard input.
    pub input: Option<InputSource>,
    /// Where modules are found.
    pub sources: Sources,
}

impl Job {
    /// A job without input and modules.
    pub fn new(task: Task) -> Self {
        Self { task, input: None, sources: Vec::new() }
    }
}

/// Runs a job on the targets and prints its output. With `--check` it prints the plan instead. Returns
/// the exit status.
///
/// # Errors
/// Anything that prevents the run as a whole, and errors of standard output.
pub fn run_job(env: Env<'_>, wanted: &str, job: Job, prefs: OutputPrefs) -> anyhow::Result<u8> {
    let global = env.global;
    if global.check && global.socket.is_some() {
        return Err(SessionError::Check.into());
    }
    if global.check {
        let style = preview::Style { json: prefs.json, origins: global.verbose > 0 };
        let chains = env.targets(wanted)?.chains;
        preview::show(&chains, env.registry, Some(&job.task), style, &mut io::stdout().lock())?;
        return Ok(exit::OK);
    }
    match env.socket() {
        Some(path) => run_in_session(env, &path, wanted, job, prefs),
        None => run_with_connections(env, wanted, job, prefs),
    }
}

/// Runs the job over connections of this process, which are closed afterwards.
fn run_with_connections(env: Env<'_>, wanted: &str, job: Job, prefs: OutputPrefs) -> anyhow::Result<u8> {
    let targets = env.targets(wanted)?;
    let chains = targets.chains.as_slice();
    let hosts: Arc<[String]> = chains.iter().map(|chain| chain.label.clone()).collect();
    let Job { task, input, sources } = job;
    let master = master(env, sources)?;
    let pool = ConnectionPool::new(&master, SecretStore::new(SystemSecrets));
    // Errors in options and secrets are reported before anything is started on any host.
    for chain in chains {
        pool.acquire(chain)?;
    }
    let forks = env.global.forks.or(targets.forks).unwrap_or(usize::MAX);
    let host_source = OwnConnections { pool: &pool, chains };
    let (task, copy) = with_hosts(task, &hosts);
    let config = config(env, task, input, forks);
    let status = drive(env, master.router().broker(), &host_source, &hosts, config, prefs);
    master.shutdown();
    // An interrupted transfer removes its temporary files before its thread ends.
    copy.iter().for_each(Copy::join);
    status
}

/// Runs the job in the running session at `path`. Its connections stay open.
fn run_in_session(
    env: Env<'_>,
    path: &Path,
    wanted: &str,
    job: Job,
    prefs: OutputPrefs,
) -> anyhow::Result<u8> {
    if env.global.overrides() != Overrides::default() {
        return Err(SessionError::Overrides.into());
    }
    if env.global.profiles.is_some() {
        return Err(SessionError::Profiles.into());
    }
    let Job { task, input, sources } = job;
    let mut client = join(path)?;
    let ReachedTargets { labels, mut connections, .. } = client.reach(wanted, env.global.limit.as_deref())?;
    let hosts: Arc<[String]> = labels.into();
    let modules = !sources.is_empty();
    if modules {
        client.serve(sources, u32::try_from(hosts.len())?)?;
    }
    // Functions that import this client's modules run in contexts of its own, so that other clients do
    // not see the modules. A program runs in a process of its own anyway.
    let scoped = modules && !task.is_command();
    if scoped {
        connections = connections
            .iter()
            .map(|connection| client.scoped_connection(connection))
            .collect::<Result<_, _>>()?;
    }
    let host_source = SharedTree { connections, scoped };
    let forks = env.global.forks.unwrap_or(usize::MAX);
    let (task, copy) = with_hosts(task, &hosts);
    let config = config(env, task, input, forks);
    let status = drive(env, client.router().broker(), &host_source, &hosts, config, prefs);
    client.shutdown();
    copy.iter().for_each(Copy::join);
    status
}

/// The task for these hosts. If it is a transfer it is returned a second time, because its threads
/// outlive the run.
fn with_hosts(task: Task, hosts: &[String]) -> (Task, Option<Copy>) {
    match task {
        Task::Copy(copy) => {
            let copy = copy.with_hosts(hosts);
            (Task::Copy(copy.clone()), Some(copy))
        }
        task => (task, None),
    }
}

fn config(env: Env<'_>, task: Task, input: Option<InputSource>, forks: usize) -> RunConfig {
    let progress = io::stderr().is_terminal() && !env.global.quiet;
    RunConfig { task, forks, timeout: env.global.command_timeout, input, progress }
}

/// Runs on all hosts, and prints. Returns the exit status.
fn drive(
    env: Env<'_>,
    broker: &BrokerHandle,
    host_source: &dyn HostSource,
    hosts: &Arc<[String]>,
    config: RunConfig,
    prefs: OutputPrefs,
) -> anyhow::Result<u8> {
    let global = env.global;
    let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let mode = Mode::choose(OutputPrefs { terminal: out_terminal, targets: hosts.len(), ..prefs });
    let progress = config.progress.then(|| ProgressLine::new(columns()));
    let palette = |terminal| Palette(global.color.enabled(|name| std::env::var_os(name), terminal));
    let presenter =
        Presenter::new(mode, hosts, palette(out_terminal), palette(err_terminal), progress, global.quiet)
            .detailed(global.verbose > 0)
            .visible(out_terminal, err_terminal);
    match Fleet::new(broker, host_source, config, presenter)?.run() {
        // The reader of the output does not want more of it: that is not an error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit::OK),
        status => Ok(status?),
    }
}

/// The width of the terminal.
fn columns() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(80, |(terminal_size::Width(columns), _)| usize::from(columns))
}
