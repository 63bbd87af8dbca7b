//! How the hosts of a run are reached: by connections of our own, or in somebody's running tree.

use mitogen::profiles::{Chain, SecretResolver};
use mitogen::{ChainError, Connection, ConnectionPool};

/// The ways to the hosts of a run, by their place in it.
pub trait Ways {
    /// How many hosts there are.
    fn count(&self) -> usize;
    /// The way to one of them, which need not be up.
    ///
    /// # Errors
    /// It cannot be connected at all.
    fn connect(&self, host: usize) -> Result<Connection, ChainError>;
    /// Whether what is sent to a context before it is up would be lost.
    fn only_when_up(&self) -> bool {
        false
    }
    /// The host is not needed any more.
    fn release(&self, host: usize);
}

/// Connections of our own. All chains are held already.
pub struct Own<'a, R> {
    /// What makes them.
    pub connections: &'a ConnectionPool<R>,
    /// The ways, as the profiles have them.
    pub chains: &'a [Chain],
}

impl<R: SecretResolver> Ways for Own<'_, R> {
    fn count(&self) -> usize {
        self.chains.len()
    }

    fn connect(&self, host: usize) -> Result<Connection, ChainError> {
        self.connections.connect(&self.chains[host])
    }

    fn release(&self, host: usize) {
        self.connections.release(&self.chains[host]);
    }
}

/// Contexts of a running tree, which stay.
pub struct Running {
    /// The ways to them.
    pub routes: Vec<Connection>,
    /// Whether they are copies made for us.
    pub guests: bool,
}

impl Ways for Running {
    fn count(&self) -> usize {
        self.routes.len()
    }

    fn connect(&self, host: usize) -> Result<Connection, ChainError> {
        Ok(self.routes[host].clone())
    }

    fn only_when_up(&self) -> bool {
        self.guests
    }

    fn release(&self, _host: usize) {}
}
