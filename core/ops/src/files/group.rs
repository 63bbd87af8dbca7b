//! The same files to several contexts: contents cross each link that they share once.
//!
//! Every target has a thread and a conversation of its own, with its own questions, answers and errors;
//! what is shared are the contents. Targets behind the same neighbour are a *group*. Its members meet
//! before each file that has contents, and those that begin at the same offset share a [`Broadcast`].
//! Nobody waits for long: who does not come to a meeting is left behind and goes on alone.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mitogen_core::call::Context;
use mitogen_core::ids::ContextId;
use mitogen_core::router::Router;
use sha2::Sha256;

use super::broadcast::{Broadcast, Receiver, Subscription};
use super::session::Session;
use super::source::{self, Sources};
use super::{FileError, Options, Progress, Report, STALL};

/// The speed of a middling link, in bytes a second: waiting for a target that is still coming up costs
/// no more than sending everything once more would.
const MIDDLING: u64 = 10 << 20;
/// The longest wait for targets that are still coming up.
const MOST_PATIENCE: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same sources for several contexts. Clones are the same.
#[derive(Clone, Debug)]
pub struct Distribution(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sources: Sources,
    options: Options,
    patience: Duration,
    /// By the neighbour that its members are behind: the group that others may still join.
    open: Mutex<HashMap<ContextId, Arc<Group>>>,
}

/// A context's place in a [`Distribution`]. Dropping it gives the place up.
#[derive(Debug)]
pub struct Member {
    all: Distribution,
    context: Context,
    place: Option<Place>,
}

impl Distribution {
    /// Nothing is sent before [`Member::put`]. The first wait for those that are still coming up, at
    /// most as long as all of it takes on a link of 10 MiB a second, and no longer than 10 seconds.
    pub fn new(sources: &Sources, options: &Options) -> Self {
        let patience = Duration::from_millis(sources.total().total_bytes.saturating_mul(1000) / MIDDLING);
        Self::patient(sources, options, patience.min(MOST_PATIENCE))
    }

    /// The same with another limit of the wait.
    pub fn patient(sources: &Sources, options: &Options, patience: Duration) -> Self {
        let (sources, options) = (sources.clone(), options.clone());
        Self(Arc::new(Shared { sources, options, patience, open: Mutex::default() }))
    }

    /// Takes `context` in, which may still be coming up. All who are to share should be taken in before
    /// the first of them begins; who comes later shares with others who do.
    pub fn join(&self, context: &Context) -> Member {
        Member { all: self.clone(), context: context.clone(), place: self.enrol(context) }
    }

    fn enrol(&self, context: &Context) -> Option<Place> {
        let relay = relay_to(context);
        let mut open = lock(&self.0.open);
        if let Some(place) = open.get(&relay).and_then(Group::enter) {
            return Some(place);
        }
        let group = Arc::new(Group::new(context.router().clone(), relay, self.0.patience));
        let place = Group::enter(&group);
        open.insert(relay, group);
        place
    }
}

/// The first context on the way to `context` that is not above us: what goes to several behind it goes
/// to it once. `context` itself runs our runtime, or it gets no files; so do all that are on the way.
pub(super) fn relay_to(context: &Context) -> ContextId {
    let router = context.router();
    let above = router.identity().parent();
    let between = router.between(context.id());
    between.into_iter().rev().find(|id| Some(*id) != above).unwrap_or(context.id())
}

impl Member {
    /// Copies the sources to `dest` in the context, as [`super::put`] does. Waits: every member needs a
    /// thread of its own.
    ///
    /// # Errors
    /// As [`super::put`]; those of one member are no other's.
    pub fn put(mut self, dest: &[u8], mut progress: impl FnMut(&Progress)) -> Result<Report, FileError> {
        let shared = Arc::clone(&self.all.0);
        let mut session = super::open_put(&self.context, &shared.sources, dest, &shared.options)?;
        source::send(&mut session, &shared.sources, &shared.options, Some(&mut self), &mut progress)
    }

    /// Meets the others before a file. Gives what is shared, if anything is.
    pub(super) fn meet(&mut self, session: &Session, opening: &Opening<'_>) -> Option<Subscription> {
        loop {
            let place = self.place.as_mut()?;
            let receiver =
                Receiver { id: place.id, to: session.address(), room: opening.room, nudge: session.nudge() };
            let arrived = Arrived {
                key: Key { path: opening.path.to_owned(), looks: opening.looks, offset: opening.offset },
                file: Arc::clone(opening.file),
                digest: opening.digest.clone(),
                receiver,
            };
            match place.group.meet(arrived) {
                Met::Together(broadcast) => {
                    place.has_met = true;
                    return Some(Broadcast::subscription(&broadcast, place.id));
                }
                Met::Alone => {
                    place.has_met = true;
                    return None;
                }
                Met::Late => {
                    // Too late for these. There may be others who were, too, at the first meeting; who
                    // is late for another is slow.
                    let first = !place.has_met;
                    self.place = None;
                    if first {
                        self.place = self.all.enrol(&self.context);
                    }
                }
            }
        }
    }
}

/// A file that is about to be sent, as one member sees it.
pub(super) struct Opening<'a> {
    pub(super) path: &'a Path,
    pub(super) file: &'a Arc<File>,
    /// Device, inode, size and time: whether two mean the same file.
    pub(super) looks: Looks,
    pub(super) offset: u64,
    /// Of what is before the offset.
    pub(super) digest: &'a Sha256,
    /// How many bytes the target takes now.
    pub(super) room: u64,
}

/// By which a file is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) mtime: (i64, i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    path: PathBuf,
    looks: Looks,
    offset: u64,
}

struct Arrived {
    key: Key,
    file: Arc<File>,
    digest: Sha256,
    receiver: Receiver,
}

/// Who is behind one neighbour.
struct Group {
    router: Router,
    relay: ContextId,
    state: Mutex<Meeting>,
    changed: Condvar,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("relay", &self.relay).finish_non_exhaustive()
    }
}

struct Meeting {
    members: Vec<u64>,
    next: u64,
    /// How many meetings are over.
    round: u64,
    arrived: Vec<Arrived>,
    /// How long this one waits, from the first arrival on.
    patience: Duration,
    deadline: Option<Instant>,
    /// What became of those who came to the last one: what they share.
    outcome: HashMap<u64, Option<Arc<Broadcast>>>,
}

enum Met {
    Together(Arc<Broadcast>),
    Alone,
    /// The others have gone on.
    Late,
}

/// A place in a group.
#[derive(Debug)]
struct Place {
    group: Arc<Group>,
    id: u64,
    /// Has come to a meeting in time.
    has_met: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.group.state);
        state.members.retain(|id| *id != self.id);
        self.group.close_if_all_are_there(&mut state);
    }
}

impl Group {
    fn new(router: Router, relay: ContextId, patience: Duration) -> Self {
        let state = Meeting {
            members: Vec::new(),
            next: 0,
            round: 0,
            arrived: Vec::new(),
            patience,
            deadline: None,
            outcome: HashMap::new(),
        };
        Self { router, relay, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A new member's place; none when they have begun.
    fn enter(this: &Arc<Self>) -> Option<Place> {
        let mut state = lock(&this.state);
        if state.round > 0 {
            return None;
        }
        let id = state.next;
        state.next += 1;
        state.members.push(id);
        Some(Place { group: Arc::clone(this), id, has_met: false })
    }

    fn meet(&self, arrived: Arrived) -> Met {
        let mut state = lock(&self.state);
        let id = arrived.receiver.id;
        if !state.members.contains(&id) {
            return Met::Late;
        }
        let patience = state.patience;
        let deadline = *state.deadline.get_or_insert_with(|| Instant::now() + patience);
        let round = state.round;
        state.arrived.push(arrived);
        self.close_if_all_are_there(&mut state);
        while state.round == round {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.members = state.arrived.iter().map(|arrived| arrived.receiver.id).collect();
                self.close_if_all_are_there(&mut state);
            } else {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.outcome.remove(&id).flatten().map_or(Met::Alone, Met::Together)
    }

    fn close_if_all_are_there(&self, state: &mut Meeting) {
        let there = |id: &u64| state.arrived.iter().any(|arrived| arrived.receiver.id == *id);
        if state.arrived.is_empty() || !state.members.iter().all(there) {
            return;
        }
        let mut rest = std::mem::take(&mut state.arrived);
        while let Some(first) = rest.first() {
            let key = first.key.clone();
            let (same, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|arrived| arrived.key == key);
            rest = others;
            let ids: Vec<u64> = same.iter().map(|arrived| arrived.receiver.id).collect();
            let shared = self.share(key, same);
            state.outcome.extend(ids.into_iter().map(|id| (id, shared.clone())));
        }
        state.round += 1;
        state.deadline = None;
        state.patience = STALL;
        self.changed.notify_all();
    }

    /// Lets those who begin at the same place share, if there are several.
    fn share(&self, key: Key, same: Vec<Arrived>) -> Option<Arc<Broadcast>> {
        let several = same.len() > 1;
        let (file, digest) = same.first().map(|first| (Arc::clone(&first.file), first.digest.clone()))?;
        let receivers = same.into_iter().map(|arrived| arrived.receiver).collect();
        several.then(|| {
            let file = (key.path, file, key.looks.size);
            Arc::new(Broadcast::new((&self.router, self.relay), file, (key.offset, digest), receivers))
        })
    }
}
