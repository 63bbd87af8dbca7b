//! Waiting for the first of many receivers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::CallError;
use super::receiver::Receiver;
use super::reply::FromMessage;
use crate::sync::{Latch, LatchError};

/// What a [`Select`] can wait for: a receiver, or another select.
pub trait Selectable<T>: Send {
    /// Sets the closure that is called whenever something may have arrived.
    fn listen(&self, listener: Option<Arc<dyn Fn() + Send + Sync>>);
    /// Takes what has arrived first, if anything has.
    fn take(&mut self) -> Option<Result<T, CallError>>;
    /// How many arrivals can be taken now.
    fn waiting(&self) -> usize;
}

impl<T: FromMessage> Selectable<T> for Receiver<T> {
    fn listen(&self, listener: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.set_listener(listener);
    }

    fn take(&mut self) -> Option<Result<T, CallError>> {
        self.try_get().transpose()
    }

    fn waiting(&self) -> usize {
        // That it is closed can be taken, too.
        self.len() + usize::from(self.is_closed())
    }
}

/// Why a select gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Every source has been removed.
    #[error("the select has no sources left")]
    Empty,
    /// The deadline passed.
    #[error("timed out")]
    TimedOut,
}

/// Waits for several sources, and gives what arrives first with the key of its source.
///
/// A source is removed after its first event, unless [`Select::keep`] was chosen: then it is removed, without
/// an event, when it is closed and empty. A select owns its
/// sources, so a source cannot be added twice, and selects cannot contain themselves.
///
/// ```
/// # use mitogen_core as mitogen;
/// use mitogen::call::{CallError, Context, Select};
///
/// /// Prints the load of each context as its answer arrives.
/// fn loads(contexts: &[Context]) -> Result<(), CallError> {
///     let mut replies = Select::new();
///     for context in contexts {
///         replies.add(context.name(), context.call_async::<(f64, f64, f64)>("os.getloadavg", ())?);
///     }
///     while let Ok((name, load)) = replies.get() {
///         println!("{name}: {}", load?.0);
///     }
///     Ok(())
/// }
/// ```
pub struct Select<K, T> {
    sources: HashMap<u64, (K, Box<dyn Selectable<T>>)>,
    ready: Latch<u64>,
    next: u64,
    oneshot: bool,
}

impl<K: fmt::Debug, T> fmt::Debug for Select<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.values().map(|(key, _)| key)).finish()
    }
}

impl<K: Clone, T> Default for Select<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone, T> Select<K, T> {
    /// A select without sources.
    pub fn new() -> Self {
        Self { sources: HashMap::new(), ready: Latch::new(), next: 0, oneshot: true }
    }

    /// Keeps sources after their first event, until they are closed.
    pub fn keep(mut self) -> Self {
        self.oneshot = false;
        self
    }

    /// Adds a source under `key`.
    pub fn add(&mut self, key: K, source: impl Selectable<T> + 'static) {
        let number = self.next;
        self.next += 1;
        let ready = self.ready.clone();
        source.listen(Some(Arc::new(move || {
            let _ = ready.put(number);
        })));
        // What came before anybody listened.
        for _ in 0..source.waiting() {
            let _ = self.ready.put(number);
        }
        self.sources.insert(number, (key, Box::new(source)));
    }

    /// Sources still waited for.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The next event, waiting as long as it takes.
    ///
    /// # Errors
    /// [`SelectError::Empty`].
    pub fn get(&mut self) -> Result<(K, Result<T, CallError>), SelectError> {
        self.wait(None)
    }

    /// The next event, waiting for `timeout` at most.
    ///
    /// # Errors
    /// [`SelectError`].
    pub fn get_timeout(&mut self, timeout: Duration) -> Result<(K, Result<T, CallError>), SelectError> {
        // A timeout beyond the clock's range means no timeout.
        self.wait(Instant::now().checked_add(timeout))
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<(K, Result<T, CallError>), SelectError> {
        loop {
            if self.sources.is_empty() {
                return Err(SelectError::Empty);
            }
            let number = match deadline {
                None => self.ready.get(),
                Some(deadline) => self.ready.get_deadline(deadline),
            };
            let number = match number {
                Ok(number) => number,
                Err(LatchError::TimedOut) => return Err(SelectError::TimedOut),
                Err(LatchError::Closed) => return Err(SelectError::Empty),
            };
            // A number may be told once too often: when an arrival fell between listening and
            // counting. Then there is nothing to take.
            let Some((key, source)) = self.sources.get_mut(&number) else { continue };
            let Some(item) = source.take() else { continue };
            if !self.oneshot && matches!(item, Err(CallError::Closed)) {
                self.sources.remove(&number);
                continue;
            }
            let key = key.clone();
            if self.oneshot
                && let Some((_, source)) = self.sources.remove(&number)
            {
                source.listen(None);
            }
            return Ok((key, item));
        }
    }
}

impl<K: Clone + Send, T: Send> Selectable<T> for Select<K, T> {
    fn listen(&self, listener: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.ready.set_listener(listener);
    }

    fn take(&mut self) -> Option<Result<T, CallError>> {
        self.wait(Some(Instant::now())).ok().map(|(_, item)| item)
    }

    fn waiting(&self) -> usize {
        self.ready.len()
    }
}
