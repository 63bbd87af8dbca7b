//! How modules get to those who need them, and who may have them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mitogen_core::ids::ContextId;

/// How modules travel.
#[derive(Clone, Debug)]
pub(crate) enum DeliveryMode {
    /// A master's: from neighbour to neighbour, and each keeps what it has passed on. For everybody.
    HopByHop,
    /// A client's: past those between, who may have other modules of the same names. For its guests.
    Direct(Guests),
}

impl DeliveryMode {
    /// Whether `context` gets modules from us.
    pub(super) fn serves(&self, context: ContextId) -> bool {
        match self {
            Self::HopByHop => true,
            Self::Direct(guests) => guests.lock().contains_key(&context),
        }
    }
}

/// The contexts that were started for a client, each with the program that it is, if it is one whose
/// imports have not been sent yet. Cloning it gives the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guests(Arc<Mutex<HashMap<ContextId, Option<Bytes>>>>);

impl Guests {
    fn lock(&self) -> MutexGuard<'_, HashMap<ContextId, Option<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guest that is about to be started.
    pub(crate) fn add(&self, guest: ContextId, program: Option<Bytes>) {
        self.lock().insert(guest, program);
    }

    /// The program that `guest` is, once.
    pub(super) fn take_program(&self, guest: ContextId) -> Option<Bytes> {
        self.lock().get_mut(&guest)?.take()
    }
}
