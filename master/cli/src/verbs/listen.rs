//! `mitogen listen`: connects targets and keeps them for other commands, until it is told to end.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use mitogen::listen::{Ask, Place, Places, default_path, prepare, warm};
use mitogen::profiles::{Chain, Inventory, Overrides, SecretStore, SystemSecrets};
use mitogen::targets::fold;
use mitogen::transports::Registry;
use mitogen::{ConnectError, Connection, ConnectionPool, Listener};
use mitogen_core::broker::SignalWatch;
use mitogen_core::router::Router;
use nix::libc::{SIGHUP, SIGINT, SIGTERM};

use super::fleet::master;
use crate::args::{Global, Listen};
use crate::exit::{self, Outcome};
use crate::logs::Loudness;

/// What happens to a tree that is kept.
enum Event {
    /// A target is up, or has failed.
    Connected(usize, Result<(), Arc<ConnectError>>),
    /// A target that was up is lost.
    Lost(usize, String),
    /// A client asks.
    Asked(Ask),
    /// The user wants it to end.
    Signal,
}

/// The targets that are kept.
struct Tree<'a> {
    inventory: &'a Inventory,
    overrides: Overrides,
    connections: &'a ConnectionPool<SystemSecrets>,
    router: Router,
    listener: &'a Listener,
    path: PathBuf,
    chains: Vec<Chain>,
    routes: Vec<Connection>,
    places: HashMap<String, usize>,
    events: Sender<Event>,
}

/// `mitogen listen`. The exit status.
///
/// # Errors
/// What prevents all of it, and errors of our own output.
pub fn listen(
    global: &Global,
    loudness: Loudness,
    registry: &Registry,
    asked: &Listen,
) -> anyhow::Result<u8> {
    let inventory = Inventory::load(&global.search(), registry)?;
    let overrides = global.overrides();
    let targets = inventory.select(&asked.targets.join(" "), global.limit.as_deref())?;
    let chains: Vec<Chain> =
        targets.iter().map(|target| inventory.resolve(target, &overrides)).collect::<Result<_, _>>()?;
    let path = match &asked.socket {
        Some(path) => path.clone(),
        None => {
            let path = default_path();
            if let Some(directory) = path.parent() {
                prepare(directory)?;
            }
            path
        }
    };
    let master = master(loudness, Vec::new())?;
    let (events, incoming) = channel();
    let signalled = events.clone();
    let _watch = SignalWatch::new(master.router().broker(), &[SIGINT, SIGTERM, SIGHUP], move |_, _| {
        let _ = signalled.send(Event::Signal);
    })?;
    // First of all: where another one listens, nothing is started.
    let listener = master.listen(Some(&path))?;
    let asking = events.clone();
    listener.on_ask(move |ask| drop(asking.send(Event::Asked(ask))));
    let connections = ConnectionPool::new(&master, registry, SecretStore::new(SystemSecrets));
    for chain in &chains {
        connections.acquire(chain)?;
    }
    let places = chains.iter().enumerate().map(|(at, chain)| (chain.label.clone(), at)).collect();
    let mut tree = Tree {
        inventory: &inventory,
        overrides,
        connections: &connections,
        router: master.router().clone(),
        listener: &listener,
        path,
        chains,
        routes: Vec::new(),
        places,
        events,
    };
    for at in 0..tree.chains.len() {
        let route = tree.connect(at)?;
        tree.routes.push(route);
    }
    let (mut waiting, mut failures) = (tree.chains.len(), Vec::new());
    let mut began = false;
    let mut ended = exit::OK;
    while let Ok(event) = incoming.recv() {
        match event {
            Event::Signal => {
                if !began {
                    ended = exit::INTERRUPTED;
                }
                break;
            }
            Event::Asked(ask) => tree.answer(ask),
            Event::Lost(at, reason) => {
                let label = &tree.chains[at].label;
                say(&format!("{label} is lost: {reason}; it is connected again on next use"));
            }
            Event::Connected(at, outcome) => {
                if let Err(error) = outcome {
                    say(&format!("{}: {error}", tree.chains[at].label));
                    failures.push(Outcome::of_failure(error.stage, error.kind));
                }
                waiting = waiting.saturating_sub(1);
            }
        }
        if waiting == 0 && !began {
            began = true;
            if failures.len() == tree.chains.len() {
                ended = exit::exit_status(failures);
                break;
            }
            let mut out = io::stdout().lock();
            writeln!(out, "{}", listener.path().display())?;
            out.flush()?;
        }
    }
    drop(listener);
    master.shutdown();
    Ok(ended)
}

impl Tree<'_> {
    /// Connects the target, or connects it again, and sees to it that its fate is told.
    fn connect(&self, at: usize) -> Result<Connection, mitogen::ChainError> {
        self.connections.invalidate(&self.chains[at]);
        let route = self.connections.connect(&self.chains[at])?;
        self.listener.label(route.context().id(), &self.chains[at].label);
        let (events, context) = (self.events.clone(), route.context().clone());
        // Stock's core runs no commands of ours.
        let ours = self.chains[at].hops.last().is_none_or(|hop| hop.stock.is_none());
        route.on_done(move |outcome| {
            let up = outcome.is_ok();
            let _ = events.send(Event::Connected(at, outcome.clone()));
            if up {
                if ours {
                    // Before anybody can be told that it is up. Where it fails, the loss is told below.
                    let _ = warm(&context);
                }
                context.on_disconnect(move |reason| drop(events.send(Event::Lost(at, reason.to_owned()))));
            }
        });
        Ok(route)
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Reach { targets, limit, answer } => {
                answer.places(&match self.reach(&targets, limit.as_deref()) {
                    Ok(places) => Places { error: None, places },
                    Err(error) => Places { error: Some(format!("{error:#}")), places: Vec::new() },
                });
            }
            Ask::Wait { label, answer } => match self.places.get(&label) {
                Some(at) => self.routes[*at].on_done(move |outcome| answer.outcome(outcome)),
                None => answer.places(&Places {
                    error: Some(format!("there is no target {label}")),
                    places: Vec::new(),
                }),
            },
        }
    }

    fn reach(&mut self, targets: &str, limit: Option<&str>) -> anyhow::Result<Vec<Place>> {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for target in self.inventory.select(targets, limit)? {
            let label = self.inventory.resolve(&target, &self.overrides)?.label;
            match self.places.get(&label) {
                Some(at) => found.push(*at),
                None => missing.push(label),
            }
        }
        if !missing.is_empty() {
            anyhow::bail!(
                "the tree at {path} does not hold {missing}; to add it, end that `mitogen listen` and start \
                 it with {missing} among its targets, or leave --tree out",
                path = self.path.display(),
                missing = fold(&missing),
            );
        }
        found.into_iter().map(|at| self.place(at)).collect()
    }

    /// Where the target is; one that is lost or has failed is connected again.
    fn place(&mut self, at: usize) -> anyhow::Result<Place> {
        let is_there = |route: &Connection| self.router.next_hop(route.context().id()).is_some();
        let lost = match self.routes[at].outcome() {
            None => false,
            Some(outcome) => outcome.is_err() || !is_there(&self.routes[at]),
        };
        if lost {
            self.routes[at] = self.connect(at)?;
        }
        let route = &self.routes[at];
        let id = route.context().id();
        let mut way: Vec<u32> = self.router.between(id).into_iter().map(|id| id.0).collect();
        way.reverse();
        let up = matches!(route.outcome(), Some(Ok(())));
        let label = self.chains[at].label.clone();
        Ok(Place { label, id: id.0, name: route.context().name().to_owned(), way, up })
    }
}

/// A line for whoever watches.
fn say(line: &str) {
    // Nobody may be watching.
    let _ = writeln!(io::stderr(), "mitogen: {line}");
}
