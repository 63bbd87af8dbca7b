//! Copying the same files to several contexts: contents cross each shared link once.
//!
//! Each target has a thread and a session of its own, with its own questions, replies and errors; only the
//! contents are shared. Targets with the same next hop form a *group*. Before each file that has contents,
//! the members of a group join a rendezvous, and those that start at the same offset share a [`Broadcast`].
//! The rendezvous has a deadline: members that miss it are dropped from the group and continue alone.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mitogen_core::call::Context;
use mitogen_core::ids::ContextId;
use mitogen_core::router::Router;
use sha2::Sha256;

use super::broadcast::{Broadcast, Receiver, STALL_TIMEOUT, Subscription, shared_next_hop};
use super::error::FileError;
use super::options::TransferOptions;
use super::report::{TransferProgress, TransferReport};
use super::scan::Sources;
use super::session::Session;
use super::source::{self, FileIdentity, FileStart, Rendezvous};

/// The assumed speed of a link, in bytes a second. The first rendezvous waits for targets that are still
/// connecting as long as sending everything once more would take.
const ASSUMED_BANDWIDTH: u64 = 10 << 20;
/// The upper limit of that wait.
const MAX_JOIN_WAIT: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same sources for several contexts. Clones refer to the same distribution.
///
/// Add all contexts with [`Distribution::add`], then call [`Member::put`] for each on a thread of its own.
/// [`put_all`](super::put_all) does both.
///
/// ```
/// use std::os::unix::ffi::OsStrExt;
///
/// use mitogen::files::{Distribution, Sources, TransferOptions};
/// use mitogen::{Master, MasterOptions, transports::local};
///
/// let scratch = std::env::temp_dir().join(format!("mitogen-distribution-{}", std::process::id()));
/// std::fs::create_dir(&scratch)?;
/// let original = scratch.join("original");
/// std::fs::write(&original, "contents")?;
///
/// let master = Master::start(MasterOptions::default())?;
/// let local = local::Local::new(local::Options::new())?;
/// // Two contexts behind a third: the contents cross the link to that one once.
/// let relay = master.connect(&local)?.wait()?;
/// let targets = [master.connect_via(&relay, &local)?.wait()?, master.connect_via(&relay, &local)?.wait()?];
///
/// let distribution = Distribution::new(&Sources::scan(&[&original])?, &TransferOptions::new());
/// let members = targets.map(|context| distribution.add(&context));
/// std::thread::scope(|scope| {
///     for (member, name) in members.into_iter().zip(["a", "b"]) {
///         let dest = scratch.join(name);
///         scope.spawn(move || member.put(dest.as_os_str().as_bytes(), |_| ()).expect("a copy"));
///     }
/// });
/// assert_eq!(std::fs::read_to_string(scratch.join("b"))?, "contents");
///
/// master.shutdown();
/// std::fs::remove_dir_all(&scratch)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Distribution(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sources: Sources,
    options: TransferOptions,
    max_wait: Duration,
    /// The groups that can still be joined, by next hop.
    open: Mutex<HashMap<ContextId, Arc<Group>>>,
}

/// One context of a [`Distribution`]. Dropping it removes the context, so that others do not wait for it.
#[derive(Debug)]
pub struct Member {
    distribution: Distribution,
    context: Context,
    membership: Option<Membership>,
}

impl Distribution {
    /// A distribution of `sources`. Nothing is sent before [`Member::put`].
    ///
    /// The first contexts wait for those that are still connecting: as long as all sources take on a link
    /// of 10 MiB a second, but at most 10 seconds.
    pub fn new(sources: &Sources, options: &TransferOptions) -> Self {
        let wait =
            Duration::from_millis(sources.total().total_bytes.saturating_mul(1000) / ASSUMED_BANDWIDTH);
        Self::build(sources.clone(), options.clone(), wait.min(MAX_JOIN_WAIT))
    }

    /// The same distribution with another limit for the first wait. To be called before contexts are added.
    #[must_use]
    pub fn with_max_wait(self, limit: Duration) -> Self {
        Self::build(self.0.sources.clone(), self.0.options.clone(), limit)
    }

    fn build(sources: Sources, options: TransferOptions, max_wait: Duration) -> Self {
        Self(Arc::new(Shared { sources, options, max_wait, open: Mutex::default() }))
    }

    /// Adds `context`, which may still be connecting. Contexts that are added after the first has begun
    /// share with each other, not with those before them.
    pub fn add(&self, context: &Context) -> Member {
        Member { distribution: self.clone(), context: context.clone(), membership: self.register(context) }
    }

    fn register(&self, context: &Context) -> Option<Membership> {
        let next_hop = shared_next_hop(context);
        let mut open = lock(&self.0.open);
        if let Some(membership) = open.get(&next_hop).and_then(Group::register) {
            return Some(membership);
        }
        let group = Arc::new(Group::new(context.router().clone(), next_hop, self.0.max_wait));
        let membership = Group::register(&group);
        open.insert(next_hop, group);
        membership
    }
}

impl Member {
    /// Copies the sources to `dest` in the context, as [`put`](super::put) does. Blocks: each member needs a
    /// thread of its own.
    ///
    /// # Errors
    /// As [`put`](super::put). An error of one member does not affect the others.
    pub fn put(
        mut self,
        dest: &[u8],
        mut progress: impl FnMut(&TransferProgress),
    ) -> Result<TransferReport, FileError> {
        let shared = Arc::clone(&self.distribution.0);
        let mut session = source::open(&self.context, &shared.sources, dest, &shared.options)?;
        source::send(&mut session, &shared.sources, &shared.options, Some(&mut self), &mut progress)
    }
}

impl Rendezvous for Member {
    fn join(&mut self, session: &Session, start: &FileStart<'_>) -> Option<Subscription> {
        loop {
            let membership = self.membership.as_mut()?;
            let receiver = Receiver {
                id: membership.id,
                address: session.address(),
                room: start.room,
                wakeup: session.wakeup(),
            };
            let arrival = Arrival {
                key: Key { path: start.path.to_owned(), identity: start.identity, offset: start.offset },
                file: Arc::clone(start.file),
                digest: start.digest.clone(),
                receiver,
            };
            match membership.group.join(arrival) {
                JoinOutcome::Together(broadcast) => {
                    membership.has_joined = true;
                    return Some(Broadcast::subscription(&broadcast, membership.id));
                }
                JoinOutcome::Alone => {
                    membership.has_joined = true;
                    return None;
                }
                JoinOutcome::Late => {
                    // A member that was late for the first rendezvous may share with others that were late,
                    // too. One that is late for another is slow, and continues alone.
                    let first = !membership.has_joined;
                    self.membership = None;
                    if first {
                        self.membership = self.distribution.register(&self.context);
                    }
                }
            }
        }
    }
}

/// Members with equal keys send the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    path: PathBuf,
    identity: FileIdentity,
    offset: u64,
}

/// A member that has joined the current rendezvous.
struct Arrival {
    key: Key,
    file: Arc<File>,
    /// Of the bytes before the offset.
    digest: Sha256,
    receiver: Receiver,
}

/// Members whose contexts have the same next hop.
struct Group {
    router: Router,
    next_hop: ContextId,
    state: Mutex<GroupState>,
    changed: Condvar,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("next_hop", &self.next_hop).finish_non_exhaustive()
    }
}

struct GroupState {
    members: Vec<u64>,
    next_id: u64,
    /// How many rendezvous are over.
    round: u64,
    /// The members that have joined the current one.
    arrived: Vec<Arrival>,
    /// How long the current one lasts, from the first arrival on.
    max_wait: Duration,
    deadline: Option<Instant>,
    /// The result of the last one: for each member, what it shares.
    outcome: HashMap<u64, Option<Arc<Broadcast>>>,
}

enum JoinOutcome {
    /// Others send the same contents.
    Together(Arc<Broadcast>),
    /// No other member does.
    Alone,
    /// The rendezvous is over.
    Late,
}

/// A member's registration in a group.
#[derive(Debug)]
struct Membership {
    group: Arc<Group>,
    id: u64,
    /// Whether it has joined a rendezvous in time.
    has_joined: bool,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = lock(&self.group.state);
        state.members.retain(|id| *id != self.id);
        self.group.conclude_if_complete(&mut state);
    }
}

impl Group {
    fn new(router: Router, next_hop: ContextId, max_wait: Duration) -> Self {
        let state = GroupState {
            members: Vec::new(),
            next_id: 0,
            round: 0,
            arrived: Vec::new(),
            max_wait,
            deadline: None,
            outcome: HashMap::new(),
        };
        Self { router, next_hop, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Registers a new member, unless the first rendezvous is over.
    fn register(this: &Arc<Self>) -> Option<Membership> {
        let mut state = lock(&this.state);
        if state.round > 0 {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.members.push(id);
        Some(Membership { group: Arc::clone(this), id, has_joined: false })
    }

    /// Waits until all members have joined or the deadline has passed.
    fn join(&self, arrival: Arrival) -> JoinOutcome {
        let mut state = lock(&self.state);
        let id = arrival.receiver.id;
        if !state.members.contains(&id) {
            return JoinOutcome::Late;
        }
        let max_wait = state.max_wait;
        let deadline = *state.deadline.get_or_insert_with(|| Instant::now() + max_wait);
        let round = state.round;
        state.arrived.push(arrival);
        self.conclude_if_complete(&mut state);
        while state.round == round {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.members = state.arrived.iter().map(|arrival| arrival.receiver.id).collect();
                self.conclude_if_complete(&mut state);
            } else {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.outcome.remove(&id).flatten().map_or(JoinOutcome::Alone, JoinOutcome::Together)
    }

    /// Ends the rendezvous when all members have joined it.
    fn conclude_if_complete(&self, state: &mut GroupState) {
        let has_arrived = |id: &u64| state.arrived.iter().any(|arrival| arrival.receiver.id == *id);
        if state.arrived.is_empty() || !state.members.iter().all(has_arrived) {
            return;
        }
        let mut rest = std::mem::take(&mut state.arrived);
        while let Some(first) = rest.first() {
            let key = first.key.clone();
            let (same, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|arrival| arrival.key == key);
            rest = others;
            let ids: Vec<u64> = same.iter().map(|arrival| arrival.receiver.id).collect();
            let shared = self.share(key, same);
            state.outcome.extend(ids.into_iter().map(|id| (id, shared.clone())));
        }
        state.round += 1;
        state.deadline = None;
        state.max_wait = STALL_TIMEOUT;
        self.changed.notify_all();
    }

    /// A broadcast for members with the same key, if there are several.
    fn share(&self, key: Key, same: Vec<Arrival>) -> Option<Arc<Broadcast>> {
        let several = same.len() > 1;
        let (file, digest) = same.first().map(|first| (Arc::clone(&first.file), first.digest.clone()))?;
        let receivers = same.into_iter().map(|arrival| arrival.receiver).collect();
        several.then(|| {
            let file = (key.path, file, key.identity.size);
            Arc::new(Broadcast::new((&self.router, self.next_hop), file, (key.offset, digest), receivers))
        })
    }
}
