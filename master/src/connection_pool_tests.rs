//! Chains whose interpreter does not exist: everything but successful connections, which the suites test.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mitogen_core::dialogue::{FailureKind, Secret};
use mitogen_core::error::with_causes;

use super::*;
use crate::MasterOptions;
use crate::profiles::{Inventory, Overrides, ProfileFile, SecretSource};

const FILE: &str = r#"
[profile.gate]
method = "local"
python = ["/nowhere/python"]

[profile.web]
method = "local"
via = "gate"
hostname = "web[1-2]"
timeout = 7

[profile.root]
method = "sudo"
via = "web"
password = { env = "X" }

[profile.odd]
method = "sudo"
password = { env = "NONE" }
"#;

/// Counts the requests.
struct Answers(AtomicUsize);

impl SecretResolver for &Answers {
    fn get(&self, source: &SecretSource) -> Result<Secret, String> {
        self.0.fetch_add(1, Ordering::SeqCst);
        match source {
            SecretSource::Env(name) if name == "X" => Ok(Secret::new("hunter2")),
            _ => Err("it is not set".to_owned()),
        }
    }
}

fn with_chains(wanted: &str, body: impl FnOnce(&ConnectionPool<&Answers>, &[Chain], &Answers)) {
    let registry = crate::transports::builtin();
    let inventory = Inventory::parse(&ProfileFile::from_text("m.toml", FILE), &registry).unwrap();
    let chains: Vec<Chain> = inventory
        .select(wanted, None)
        .unwrap()
        .iter()
        .map(|target| inventory.resolve(target, &Overrides::default()).unwrap())
        .collect();
    let master = Master::start(MasterOptions::default()).unwrap();
    let answers = Answers(AtomicUsize::new(0));
    let connections = ConnectionPool::new(&master, SecretStore::new(&answers));
    body(&connections, &chains, &answers);
    master.shutdown();
}

#[test]
fn a_shared_hop_is_connected_once_and_fails_for_all_of_its_targets() {
    with_chains("web,gate", |connections, chains, _| {
        let routes: Vec<Connection> =
            chains.iter().map(|chain| connections.connect(chain).unwrap()).collect();
        let first = routes[0].hops()[0].context().id();
        assert!(routes.iter().all(|route| route.hops()[0].context().id() == first));
        assert_ne!(routes[0].context().id(), routes[1].context().id());
        for route in &routes {
            let error = route.wait().unwrap_err();
            assert_eq!((error.hop.as_str(), error.kind), ("local", FailureKind::SpawnFailed));
            let (sender, told) = std::sync::mpsc::channel();
            route.on_done(move |outcome| sender.send(outcome.clone()).unwrap());
            assert_eq!(told.recv().unwrap().unwrap_err(), error);
        }
    });
}

#[test]
fn a_hop_is_closed_after_its_last_release() {
    with_chains("web", |connections, chains, _| {
        let id = |chain| connections.connect(chain).unwrap().hops()[0].context().id();
        connections.acquire(&chains[0]).unwrap();
        connections.acquire(&chains[1]).unwrap();
        let first = id(&chains[0]);
        connections.release(&chains[0]);
        assert_eq!(id(&chains[1]), first, "it still has a user");
        connections.release(&chains[1]);
        assert_ne!(id(&chains[1]), first, "it was closed, so this is another connection");
    });
}

#[test]
fn secrets_are_obtained_once_and_only_to_connect() {
    with_chains("root", |connections, chains, answers| {
        let plans = connections.plans(&chains[0]).unwrap();
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["local", "local.local", "local.local.sudo.root"]);
        assert_eq!(plans[0].argv()[0], "/nowhere/python");
        assert_eq!(plans[1].timeout, Duration::from_secs(7));
        assert_eq!(plans[2].secrets["password"].expose(), "********");
        assert_eq!(answers.0.load(Ordering::SeqCst), 0);
        for chain in chains {
            connections.acquire(chain).unwrap();
        }
        assert_eq!(answers.0.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn errors_are_reported_before_anything_is_started() {
    with_chains("odd", |connections, chains, _| {
        let told = with_causes(&connections.acquire(&chains[0]).unwrap_err()).to_string();
        assert_eq!(told, "odd/odd: cannot get the secret from environment variable NONE: it is not set");
    });
}
