//! The listener's side: who asks, and what is answered from here.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mitogen_core::connect::{ConnectError, Connector, Outcome};
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::pickle;
use mitogen_core::router::{Delivery, HandlerOptions, Policy, Router, WeakRouter};
use mitogen_core::unix::{self, BindError};
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};
use serde::Serialize;

use super::question::{Ids, Places, Question, Told, Waited};

/// More ids are not given out at once.
const MOST_IDS: u32 = 1 << 20;

/// A question about targets, which only the one who knows their names can answer. One that is
/// dropped unanswered leaves its client waiting until the tree ends.
#[derive(Debug)]
pub enum Ask {
    /// Where are these targets? Those that are lost are to be connected again.
    Reach {
        /// The expression.
        targets: String,
        /// Another one that they must be among, too.
        limit: Option<String>,
        /// Where the answer goes.
        answer: Answer,
    },
    /// How did the connection of this target end?
    Wait {
        /// The target's label.
        label: String,
        /// Where the answer goes.
        answer: Answer,
    },
}

/// The way back to who asked.
#[derive(Debug)]
pub struct Answer {
    router: WeakRouter,
    to: ContextId,
    handle: Handle,
}

impl Answer {
    /// Answers [`Ask::Reach`].
    pub fn places(self, places: &Places) {
        self.send(places);
    }

    /// Answers [`Ask::Wait`].
    pub fn outcome(self, outcome: &Outcome) {
        let error: Option<ConnectError> = outcome.as_ref().err().map(|error| (**error).clone());
        self.send(&Waited { ok: error.is_none(), error });
    }

    fn send<T: Serialize>(self, answer: &T) {
        let Some(router) = self.router.upgrade() else { return };
        match pickle::to_bytes(answer) {
            Ok(data) => {
                let message = Message::new(self.to, self.handle, Encoding::Pickle, data);
                if let Err(error) = router.send(message) {
                    tracing::debug!(%error, "a client did not wait for its answer");
                }
            }
            Err(error) => tracing::error!(%error, "an answer could not be encoded"),
        }
    }
}

type Targets = Arc<dyn Fn(Ask) + Send + Sync>;

/// A socket at which other processes of this user join the tree. Dropping it ends the listening and
/// removes the socket; those who have joined stay until the master ends.
#[derive(Debug)]
pub struct Listener {
    listener: unix::Listener,
    router: Router,
    connector: Connector,
    labels: Labels,
}

type Labels = Arc<Mutex<HashMap<u32, String>>>;

impl Listener {
    /// Listens for `router`'s tree at `path`, or in a new directory that only we may enter.
    pub(crate) fn bind(
        router: &Router,
        connector: &Connector,
        path: Option<&Path>,
    ) -> Result<Self, BindError> {
        let listener = unix::Listener::bind(router, path)?;
        let this = Self {
            listener,
            router: router.clone(),
            connector: connector.clone(),
            labels: Labels::default(),
        };
        this.answer_with(None);
        Ok(this)
    }

    /// Where clients find it.
    pub fn path(&self) -> &Path {
        self.listener.path()
    }

    /// Tells clients which target the context `id` is. Ids are never used again, so this is never
    /// undone.
    pub fn label(&self, id: ContextId, target: &str) {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).insert(id.0, target.to_owned());
    }

    /// Passes questions about targets on. `targets` is called on the broker's thread and must not
    /// block. Without this, clients are told that the tree has no targets by name.
    pub fn on_ask(&self, targets: impl Fn(Ask) + Send + Sync + 'static) {
        self.answer_with(Some(Arc::new(targets)));
    }

    fn answer_with(&self, targets: Option<Targets>) {
        let weak = self.router.downgrade();
        let connector = self.connector.downgrade();
        let labels = Arc::clone(&self.labels);
        let options = HandlerOptions { policy: Policy::ParentAuthority, respondent: None };
        self.router.add_handler(Some(WellKnownHandle::Tree.handle()), options, move |delivery| {
            let members = || {
                let members = connector.upgrade().map(|connector| connector.contexts());
                let labels = labels.lock().unwrap_or_else(PoisonError::into_inner);
                let told = members.unwrap_or_default().into_iter().map(Told::from);
                told.map(|told| Told { target: labels.get(&told.id).cloned(), ..told }).collect()
            };
            if let Err(error) = take(&weak, &delivery, members, targets.as_deref()) {
                let src = delivery.message.src_id.0;
                tracing::warn!(src, %error, "a question about the tree that makes no sense");
            }
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.router.remove_handler(WellKnownHandle::Tree.handle());
    }
}

fn take(
    router: &WeakRouter,
    delivery: &Delivery,
    members: impl FnOnce() -> Vec<Told>,
    targets: Option<&(dyn Fn(Ask) + Send + Sync)>,
) -> io::Result<()> {
    let message = &delivery.message;
    if message.is_dead() || !message.wants_reply() {
        return Ok(());
    }
    let answer = Answer { router: router.clone(), to: message.src_id, handle: message.reply_to };
    let question: Question = pickle::from_bytes(&message.data).map_err(io::Error::other)?;
    let nothing = "this tree has no targets by name; ask for its contexts";
    match (question.ask.as_str(), targets) {
        ("contexts", _) => answer.send(&members()),
        ("ids", _) => {
            let count = question.count.unwrap_or(1).min(MOST_IDS);
            let router = router.upgrade().ok_or_else(|| io::Error::other("the router has ended"))?;
            match router.ids().allocate_block(count) {
                Some(first) => answer.send(&Ids { first: first.0 }),
                None => {
                    let dead = Message::dead(message.src_id, message.reply_to, "no more ids");
                    router.send(dead).map_err(io::Error::other)?;
                }
            }
        }
        ("reach", Some(targets)) => {
            let limit = question.limit;
            targets(Ask::Reach { targets: question.targets.unwrap_or_default(), limit, answer });
        }
        ("wait", Some(targets)) => targets(Ask::Wait { label: question.label.unwrap_or_default(), answer }),
        ("reach", None) => {
            answer.places(&Places { error: Some(nothing.to_owned()), places: Vec::new() });
        }
        (other, _) => {
            let said = format!("nothing is known of {other:?} here");
            answer.places(&Places { error: Some(said.clone()), places: Vec::new() });
            return Err(io::Error::other(said));
        }
    }
    Ok(())
}
