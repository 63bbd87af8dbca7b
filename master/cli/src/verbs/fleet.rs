//! `run`, `call` and `ping`: what the verbs that do something have in common, which is nearly all.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use mitogen::command::Command;
use mitogen::listen::{JoinError, Reached};
use mitogen::modules::{Finder, FinderError, FinderOptions, ModuleSource};
use mitogen::profiles::{Chain, Inventory, Overrides, SecretStore, SystemSecrets};
use mitogen::transports::Registry;
use mitogen::{ChildSettings, Client, ClientError, ConnectionPool, Master, MasterOptions};
use mitogen_core::broker::BrokerHandle;
use mitogen_core::call::FunctionName;

use super::plan;
use crate::args::{Call, Execution, Global, Modules, Ping, Run, Shape};
use crate::arguments;
use crate::exit;
use crate::fleet::{Copy, Fleet, InputSource, Own, Running, Setup, Task, Ways, forgive_closed_output};
use crate::logs::Loudness;
use crate::output::{Mode, Paint, Presenter, Progress, Wishes};
use crate::values;

/// Contexts that were asked to end have this long; a command of theirs has half a second.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// What a running tree cannot do.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Its contexts are what they are.
    #[error(
        "a running tree's targets stay as they were connected: -u, -k, -b, -K, -T and their like go to \
         `mitogen listen`; leave them out, or --tree (and MITOGEN_TREE)"
    )]
    Overrides,
    /// The listener has read its own.
    #[error(
        "a running tree has the names that its listener found in its profile file: --profiles goes to \
         `mitogen listen`; leave it out, or --tree"
    )]
    Profiles,
    /// What would be run is a question about connections.
    #[error(
        "in a running tree all is connected, so there is no plan to show: leave out --tree to see how a \
         command would connect for itself, or -C"
    )]
    Check,
    /// There is none.
    #[error("{0}; start one with `mitogen listen`, or leave out --tree (and MITOGEN_TREE)")]
    Missing(ClientError),
}

/// Joins the tree at `path`.
///
/// # Errors
/// See [`ClientError`]; where nobody listens, [`TreeError::Missing`].
pub fn join(path: &Path) -> anyhow::Result<Client> {
    Client::connect(path).map_err(|error| match error {
        ClientError::Join(JoinError::Nobody { .. } | JoinError::Gone { .. }) => {
            anyhow::Error::new(TreeError::Missing(error))
        }
        error => error.into(),
    })
}

/// The targets that were asked for, and the ways to them.
pub struct Targets {
    /// In the order in which they were named.
    pub chains: Vec<Chain>,
    /// What the profile file says of how many at once.
    pub forks: Option<usize>,
}

impl Targets {
    /// Reads profiles and finds the targets in them.
    ///
    /// # Errors
    /// Faults of the profiles or of the command line.
    pub fn find(global: &Global, registry: &Registry, wanted: &str) -> anyhow::Result<Self> {
        let inventory = Inventory::load(&global.search(), registry)?;
        let overrides = global.overrides();
        let targets = inventory.select(wanted, global.limit.as_deref())?;
        let chains =
            targets.iter().map(|target| inventory.resolve(target, &overrides)).collect::<Result<_, _>>()?;
        Ok(Self { chains, forks: inventory.defaults().forks })
    }
}

/// Where modules come from that targets lack.
pub type Sources = Vec<Arc<dyn ModuleSource>>;

/// Looks where the command line says, and first where an interpreter that ran `program` would.
///
/// # Errors
/// A place that cannot be looked in.
pub fn sources(asked: &Modules, program: Option<&Path>) -> Result<Sources, FinderError> {
    let mut options = FinderOptions::default();
    for path in &asked.path {
        options = options.path(path);
    }
    if let Some(venv) = &asked.venv {
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

/// A master that tells its children how much to log, and serves these modules.
///
/// # Errors
/// The system refuses threads or descriptors.
pub fn master(loudness: Loudness, modules: Sources) -> anyhow::Result<Master> {
    let settings = ChildSettings { log_levels: loudness.child_levels(), ..ChildSettings::default() };
    Ok(Master::start(MasterOptions { grace: GRACE, settings, modules, ..MasterOptions::default() })?)
}

/// `mitogen run`. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub fn run(global: &Global, loudness: Loudness, registry: &Registry, asked: &Run) -> anyhow::Result<u8> {
    let input = if asked.execution.no_stdin { None } else { InputSource::standard() };
    let command = prepare(Command::new(asked.command().argv()), &asked.execution, input.is_some());
    let targets = asked.targets.join(" ");
    let wishes = execution_wishes(&asked.execution);
    let act = Act { task: Task::Run(command), input, sources: Vec::new() };
    perform(global, loudness, registry, &targets, act, wishes)
}

/// The command with the options of the command line.
pub(super) fn prepare(mut command: Command, asked: &Execution, stdin: bool) -> Command {
    command.cwd.clone_from(&asked.cwd);
    command.env = asked.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    command.stdin(stdin)
}

pub(super) fn execution_wishes(asked: &Execution) -> Wishes {
    Wishes { diff: asked.diff, gather: asked.gather, ..wishes(asked.shape) }
}

/// `mitogen call`. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub fn call(global: &Global, loudness: Loudness, registry: &Registry, asked: &Call) -> anyhow::Result<u8> {
    let task = call_task(asked)?;
    let act = Act { task, input: None, sources: sources(&asked.modules, None)? };
    perform(global, loudness, registry, &asked.targets, act, wishes(asked.shape))
}

/// What `mitogen call` calls.
///
/// # Errors
/// Arguments that are not JSON.
pub fn call_task(asked: &Call) -> anyhow::Result<Task> {
    let given = arguments::parse(&asked.arguments)?;
    let function: FunctionName = asked.function.parse()?;
    Ok(Task::Call {
        function,
        positional: given.positional.iter().map(values::from_json).collect(),
        keywords: given
            .keywords
            .iter()
            .map(|(name, value)| (name.clone(), values::from_json(value)))
            .collect(),
    })
}

/// `mitogen ping`. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub fn ping(global: &Global, loudness: Loudness, registry: &Registry, asked: &Ping) -> anyhow::Result<u8> {
    let targets = asked.targets.join(" ");
    let task = Task::Ping { numbers: asked.shape.json };
    // Times differ always, so folding them is done on demand only.
    let wishes = Wishes { no_fold: !asked.shape.fold, ..wishes(asked.shape) };
    let act = Act { task, input: None, sources: Vec::new() };
    perform(global, loudness, registry, &targets, act, wishes)
}

pub(super) fn wishes(shape: Shape) -> Wishes {
    Wishes { json: shape.json, fold: shape.fold, no_fold: shape.no_fold, ..Wishes::default() }
}

/// What is done, and what it needs from here.
pub(super) struct Act {
    pub(super) task: Task,
    pub(super) input: Option<InputSource>,
    pub(super) sources: Sources,
}

/// Does a task on all targets. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub(super) fn perform(
    global: &Global,
    loudness: Loudness,
    registry: &Registry,
    wanted: &str,
    act: Act,
    wishes: Wishes,
) -> anyhow::Result<u8> {
    let Act { task, input, sources } = act;
    if global.check && global.tree.is_some() {
        return Err(TreeError::Check.into());
    }
    if global.check {
        let style = plan::Style { json: wishes.json, origins: global.verbose > 0 };
        let targets = Targets::find(global, registry, wanted)?;
        plan::show(&targets, registry, Some(&task), style, &mut io::stdout().lock())?;
        return Ok(exit::OK);
    }
    if let Some(path) = global.tree() {
        return perform_in_tree(global, &path, wanted, Act { task, input, sources }, wishes);
    }
    let targets = Targets::find(global, registry, wanted)?;
    let chains = targets.chains.as_slice();
    let hosts: Arc<[String]> = chains.iter().map(|chain| chain.label.clone()).collect();
    let master = master(loudness, sources)?;
    let connections = ConnectionPool::new(&master, registry, SecretStore::new(SystemSecrets));
    // All that can be known to be wrong is said before anything is started anywhere.
    for chain in chains {
        connections.acquire(chain)?;
    }
    let forks = global.forks.or(targets.forks).unwrap_or(usize::MAX);
    let ways = Own { connections: &connections, chains };
    let (task, copy) = spread(task, &hosts);
    let status = drive(global, master.router().broker(), &ways, &hosts, (task, input), forks, wishes);
    master.shutdown();
    // Whoever was cut off tidies up first.
    copy.iter().for_each(Copy::join);
    status
}

/// The same with contexts that somebody keeps: nothing is connected, and nothing ends with us.
fn perform_in_tree(
    global: &Global,
    path: &Path,
    wanted: &str,
    act: Act,
    wishes: Wishes,
) -> anyhow::Result<u8> {
    let Act { task, input, sources } = act;
    if global.overrides() != Overrides::default() {
        return Err(TreeError::Overrides.into());
    }
    if global.profiles.is_some() {
        return Err(TreeError::Profiles.into());
    }
    let mut client = join(path)?;
    let Reached { labels, mut routes } = client.reach(wanted, global.limit.as_deref())?;
    let hosts: Arc<[String]> = labels.into();
    let modules = !sources.is_empty();
    if modules {
        client.serve(sources, u32::try_from(hosts.len())?)?;
    }
    // A program is a copy anyway.
    let guests = modules && !task.is_command();
    if guests {
        routes = routes.iter().map(|route| client.guest_of(route)).collect::<Result<_, _>>()?;
    }
    let ways = Running { routes, guests };
    let forks = global.forks.unwrap_or(usize::MAX);
    let (task, copy) = spread(task, &hosts);
    let status = drive(global, client.router().broker(), &ways, &hosts, (task, input), forks, wishes);
    client.shutdown();
    copy.iter().for_each(Copy::join);
    status
}

/// The task with the hosts known, and the copy that it is, if it is one: its threads outlive the run.
fn spread(task: Task, hosts: &[String]) -> (Task, Option<Copy>) {
    match task {
        Task::Copy(copy) => {
            let copy = copy.spread(hosts);
            (Task::Copy(copy.clone()), Some(copy))
        }
        task => (task, None),
    }
}

/// Does the work on all hosts. The exit status.
fn drive(
    global: &Global,
    broker: &BrokerHandle,
    ways: &dyn Ways,
    hosts: &Arc<[String]>,
    (task, input): (Task, Option<InputSource>),
    forks: usize,
    wishes: Wishes,
) -> anyhow::Result<u8> {
    let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let mode = Mode::choose(Wishes { terminal: out_terminal, targets: hosts.len(), ..wishes });
    let progress = (err_terminal && !global.quiet).then(|| Progress::new(columns()));
    let ticks = progress.is_some();
    let paint = |terminal| Paint(global.color.enabled(|name| std::env::var_os(name), terminal));
    let presenter =
        Presenter::new(mode, hosts, paint(out_terminal), paint(err_terminal), progress, global.quiet)
            .detailed(global.verbose > 0);
    let setup = Setup { task, forks, limit: global.command_timeout, input, ticks };
    let fleet = Fleet::new(broker, ways, setup, presenter)?;
    Ok(forgive_closed_output(fleet.run())?)
}

/// How wide the terminal is.
fn columns() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(80, |(terminal_size::Width(columns), _)| usize::from(columns))
}
