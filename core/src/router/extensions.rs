//! Values of higher levels that live as long as the router.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

/// One value for each type, shared by all who have the router.
///
/// A module above the router keeps what belongs to one router here (a cache, a registry of its peers) without the
/// router naming that module. A value is set once and never removed, so that references to it live as
/// long as the router. To keep the type private to its module is to keep others from the value.
///
/// A value that refers to the router must hold a [`WeakRouter`](super::WeakRouter): a `Router` in it
/// would keep itself alive.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use mitogen_core::router::Extensions;
///
/// #[derive(Default)]
/// struct Retries(AtomicU64);
///
/// let extensions = Extensions::default();
/// assert!(extensions.get::<Retries>().is_none());
/// extensions.get_or_init(Retries::default).0.fetch_add(1, Ordering::Relaxed);
/// // The same value, and the closure is not called again.
/// assert_eq!(extensions.get_or_init(Retries::default).0.load(Ordering::Relaxed), 1);
/// assert!(extensions.set(Retries::default()).is_err());
/// ```
#[derive(Default)]
pub struct Extensions {
    /// The list's first node. A list, since there are a few types at most: reading takes no lock.
    first: OnceLock<Box<Node>>,
}

struct Node {
    /// An `OnceLock<T>`. It is in the list before it has a value, so that initializing one type may
    /// use the other types.
    slot: Box<dyn Any + Send + Sync>,
    next: OnceLock<Box<Node>>,
}

impl Extensions {
    /// The value of type `T`, if it has been set.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        let mut at = self.first.get();
        while let Some(node) = at {
            if let Some(slot) = node.slot.downcast_ref::<OnceLock<T>>() {
                return slot.get();
            }
            at = node.next.get();
        }
        None
    }

    /// The value of type `T`, which `init` makes if it has not been set. `init` runs once for each type,
    /// also when several threads ask at the same time; it may use the values of other types, but must
    /// not ask for a `T`.
    pub fn get_or_init<T: Send + Sync + 'static>(&self, init: impl FnOnce() -> T) -> &T {
        self.slot().get_or_init(init)
    }

    /// Sets the value of type `T`.
    ///
    /// # Errors
    /// The given value, if there is one already.
    pub fn set<T: Send + Sync + 'static>(&self, value: T) -> Result<(), T> {
        self.slot().set(value)
    }

    fn slot<T: Send + Sync + 'static>(&self) -> &OnceLock<T> {
        let mut place = &self.first;
        loop {
            // If another thread adds a node for another type at this moment, the search goes on behind it.
            let node = place.get_or_init(|| {
                Box::new(Node { slot: Box::new(OnceLock::<T>::new()), next: OnceLock::new() })
            });
            match node.slot.downcast_ref() {
                Some(slot) => return slot,
                None => place = &node.next,
            }
        }
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extensions")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Text(&'static str);

    #[derive(Debug, PartialEq)]
    struct Number(usize);

    #[test]
    fn each_type_has_one_value() {
        let extensions = Extensions::default();
        assert_eq!(extensions.get::<Text>(), None);
        assert_eq!(extensions.set(Text("one")), Ok(()));
        assert_eq!(extensions.get::<Number>(), None);
        assert_eq!(extensions.get_or_init(|| Number(3)), &Number(3));
        assert_eq!(extensions.set(Text("two")), Err(Text("two")));
        assert_eq!(extensions.get_or_init(|| Text("three")), &Text("one"));
        assert_eq!(extensions.get(), Some(&Number(3)));
    }

    #[test]
    fn an_initializer_may_use_other_types() {
        let extensions = Extensions::default();
        let text = extensions.get_or_init(|| {
            assert_eq!(extensions.get::<Text>(), None, "not before it is initialized");
            assert_eq!(extensions.get_or_init(|| Number(4)), &Number(4));
            Text("made from a number")
        });
        assert_eq!(text, &Text("made from a number"));
        assert_eq!(extensions.get(), Some(&Number(4)));
    }

    #[test]
    fn threads_share_one_value_which_is_initialized_once() {
        let extensions = Extensions::default();
        let runs = AtomicUsize::new(0);
        let seen: Vec<usize> = thread::scope(|scope| {
            let ask = || {
                let number = extensions.get_or_init(|| Number(runs.fetch_add(1, Ordering::SeqCst)));
                extensions.get_or_init(|| Text("between"));
                std::ptr::from_ref(number) as usize
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
