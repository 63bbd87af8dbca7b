//! Where the connections to the hosts of a run come from: made for this run, or shared with a running
//! `mitogen serve`.

use mitogen::profiles::{Chain, SecretResolver};
use mitogen::{ChainError, Connection, ConnectionPool};

/// The connections to the hosts of a run, by their index in it.
pub trait HostSource {
    /// The number of hosts.
    fn count(&self) -> usize;
    /// The connection to a host, which may still be in progress.
    ///
    /// # Errors
    /// The transport refuses its options.
    fn connect(&self, host: usize) -> Result<Connection, ChainError>;
    /// Whether messages sent before the connection is established would be lost.
    fn only_when_connected(&self) -> bool {
        false
    }
    /// The host's connection is not needed any more.
    fn release(&self, host: usize);
}

/// ConnectionPool of this process. The chains have been acquired from the pool already.
pub struct OwnConnections<'a, R> {
    /// The pool.
    pub pool: &'a ConnectionPool<R>,
    /// How each host is connected.
    pub chains: &'a [Chain],
}

impl<R: SecretResolver> HostSource for OwnConnections<'_, R> {
    fn count(&self) -> usize {
        self.chains.len()
    }

    fn connect(&self, host: usize) -> Result<Connection, ChainError> {
        self.pool.connect(&self.chains[host])
    }

    fn release(&self, host: usize) {
        self.pool.release(&self.chains[host]);
    }
}

/// ConnectionPool of a running `mitogen serve`, which stay open.
pub struct SharedTree {
    /// The connection to each host.
    pub connections: Vec<Connection>,
    /// Whether the contexts were forked for this client.
    pub scoped: bool,
}

impl HostSource for SharedTree {
    fn count(&self) -> usize {
        self.connections.len()
    }

    fn connect(&self, host: usize) -> Result<Connection, ChainError> {
        Ok(self.connections[host].clone())
    }

    fn only_when_connected(&self) -> bool {
        self.scoped
    }

    fn release(&self, _host: usize) {}
}
