//! `mitogen serve`: connects to targets and keeps the connections open for other commands.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mitogen::listen::{TargetLocation, TargetLocations, TargetRequest, default_path, preload, prepare};
use mitogen::profiles::{Chain, Inventory, Overrides, SecretStore, SystemSecrets};
use mitogen::targets::fold;
use mitogen::{ChainError, ConnectError, Connection, ConnectionPool, Listener};
use mitogen_core::broker::SignalWatch;
use mitogen_core::router::Router;
use nix::libc::{SIGHUP, SIGINT, SIGTERM};

use crate::cli::ServeArgs;
use crate::exit::{self, HostOutcome};
use crate::output::visible;
use crate::session::{Env, master};

/// An event that the main thread handles.
enum Event {
    /// A target is connected, or has failed.
    Connected(usize, Result<(), Arc<ConnectError>>),
    /// The connection to a target was lost.
    Lost(usize, String),
    /// A request of a client.
    Request(TargetRequest),
    /// The process was asked to end.
    Signal,
}

/// The targets that are served.
struct Server<'a> {
    inventory: Inventory,
    overrides: Overrides,
    pool: ConnectionPool<SystemSecrets>,
    router: Router,
    listener: &'a Listener,
    /// The socket, for messages.
    path: PathBuf,
    targets: Vec<Target>,
    by_label: HashMap<String, usize>,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

struct Target {
    chain: Chain,
    /// The latest connection; `None` only before the first.
    connection: Option<Connection>,
}

/// Serves until the process is asked to end. Returns the exit status.
///
/// # Errors
/// Anything that prevents the command as a whole, and errors of standard output.
pub fn serve(env: Env<'_>, args: &ServeArgs) -> anyhow::Result<u8> {
    let inventory = env.inventory()?;
    let overrides = env.global.overrides();
    let targets = inventory.select(&args.targets.join(" "), env.global.limit.as_deref())?;
    let chains: Vec<Chain> =
        targets.iter().map(|target| inventory.resolve(target, &overrides)).collect::<Result<_, _>>()?;
    let path = match &args.socket {
        Some(path) => path.clone(),
        None => {
            let path = default_path();
            if let Some(directory) = path.parent() {
                prepare(directory)?;
            }
            path
        }
    };
    let master = master(env, Vec::new())?;
    let (sender, events) = channel();
    let signals = sender.clone();
    let _watch = SignalWatch::new(master.router().broker(), &[SIGINT, SIGTERM, SIGHUP], move |_, _| {
        let _ = signals.send(Event::Signal);
    })?;
    // The socket is created first: if another process serves it, nothing is connected.
    let listener = master.listen(Some(&path))?;
    let requests = sender.clone();
    listener.on_target_request(move |request| drop(requests.send(Event::Request(request))));
    let pool = ConnectionPool::new(&master, SecretStore::new(SystemSecrets));
    for chain in &chains {
        pool.acquire(chain)?;
    }
    let by_label = chains.iter().enumerate().map(|(at, chain)| (chain.label.clone(), at)).collect();
    let mut server = Server {
        inventory,
        overrides,
        pool,
        router: master.router().clone(),
        listener: &listener,
        path,
        targets: chains.into_iter().map(|chain| Target { chain, connection: None }).collect(),
        by_label,
        sender,
        events,
    };
    let status = server.run();
    drop(listener);
    master.shutdown();
    status
}

impl Server<'_> {
    fn run(&mut self) -> anyhow::Result<u8> {
        for at in 0..self.targets.len() {
            self.connect(at)?;
        }
        let (mut connecting, mut failures) = (self.targets.len(), Vec::new());
        let mut ready = false;
        while let Ok(event) = self.events.recv() {
            match event {
                Event::Signal if ready => break,
                Event::Signal => return Ok(exit::INTERRUPTED),
                Event::Request(request) => self.answer(request),
                Event::Lost(at, reason) => {
                    let label = &self.targets[at].chain.label;
                    message(&format!("{label}: connection lost: {reason}; its next use connects it again"));
                }
                Event::Connected(at, outcome) => {
                    if let Err(error) = outcome {
                        message(&format!("{}: {error}", self.targets[at].chain.label));
                        failures.push(HostOutcome::of_failure(error.stage, error.kind));
                    }
                    connecting = connecting.saturating_sub(1);
                }
            }
            if connecting == 0 && !ready {
                ready = true;
                if failures.len() == self.targets.len() {
                    return Ok(exit::exit_status(failures));
                }
                let mut out = io::stdout().lock();
                writeln!(out, "{}", self.listener.path().display())?;
                out.flush()?;
            }
        }
        Ok(exit::OK)
    }

    /// The connection to the target. If it does not exist, has failed or was lost, the pool makes a new
    /// one, which is announced to the listener and watched.
    fn connect(&mut self, at: usize) -> Result<Connection, ChainError> {
        let Target { chain, connection: latest } = &mut self.targets[at];
        self.pool.invalidate(chain);
        let connection = self.pool.connect(chain)?;
        let context = connection.context().clone();
        if latest.as_ref().is_some_and(|latest| latest.context().id() == context.id()) {
            return Ok(connection);
        }
        *latest = Some(connection.clone());
        self.listener.label(context.id(), &chain.label);
        let sender = self.sender.clone();
        // A context that runs upstream Mitogen's core cannot run commands, so it needs no preloading.
        let wanted = chain.hops.last().is_none_or(|hop| hop.mitogen_package.is_none());
        connection.on_done(move |outcome| {
            let connected = outcome.is_ok();
            let _ = sender.send(Event::Connected(at, outcome.clone()));
            if connected {
                if wanted {
                    // Before any client learns that it is connected. If it fails, the context is lost,
                    // which is reported below.
                    let _ = preload(&context);
                }
                context.on_disconnect(move |reason| drop(sender.send(Event::Lost(at, reason.to_owned()))));
            }
        });
        Ok(connection)
    }

    fn answer(&mut self, request: TargetRequest) {
        match request {
            TargetRequest::Reach { targets, limit, reply } => {
                reply.locations(&match self.reach(&targets, limit.as_deref()) {
                    Ok(locations) => locations.into(),
                    Err(error) => TargetLocations::error(format!("{error:#}")),
                });
            }
            TargetRequest::Wait { label, reply } => {
                match self.by_label.get(&label).and_then(|at| self.targets[*at].connection.as_ref()) {
                    Some(connection) => connection.on_done(move |outcome| reply.outcome(outcome)),
                    None => reply.locations(&TargetLocations::error(format!("there is no target `{label}`"))),
                }
            }
            other => tracing::warn!(?other, "unknown kind of request"),
        }
    }

    fn reach(&mut self, targets: &str, limit: Option<&str>) -> anyhow::Result<Vec<TargetLocation>> {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for target in self.inventory.select(targets, limit)? {
            let label = self.inventory.resolve(&target, &self.overrides)?.label;
            match self.by_label.get(&label) {
                Some(at) => found.push(*at),
                None => missing.push(label),
            }
        }
        if !missing.is_empty() {
            anyhow::bail!(
                "the session at {path} is not connected to {missing}; restart its `mitogen serve` with \
                 {missing} among the targets, or leave out --socket",
                path = self.path.display(),
                missing = fold(&missing),
            );
        }
        found.into_iter().map(|at| self.place(at)).collect()
    }

    /// Where the target's context is in the tree.
    fn place(&mut self, at: usize) -> anyhow::Result<TargetLocation> {
        let connection = self.connect(at)?;
        let context = connection.context();
        let mut way: Vec<u32> = self.router.intermediates(context.id()).into_iter().map(|id| id.0).collect();
        way.reverse();
        let up = matches!(connection.outcome(), Some(Ok(())));
        let label = self.targets[at].chain.label.clone();
        Ok(TargetLocation::new(label, context, way, up))
    }
}

/// Prints a message to standard error.
fn message(text: &str) {
    // A closed standard error must not end the command.
    let _ = writeln!(io::stderr(), "mitogen: {}", visible(text));
}
