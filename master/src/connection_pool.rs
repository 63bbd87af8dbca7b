//! Connecting chains of hops. A hop that several targets share is connected once. All hops are connected
//! at the same time, because a context can be asked to start the next one before it is connected itself.
//!
//! The pool obtains secrets from their sources, and never waits for a connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mitogen_core::call::Context;
use mitogen_core::connect::{ChildSettings, ConnectHandle, ConnectRequest, Connector, Plan, Transport};
use mitogen_core::router::Router;

use crate::Master;
use crate::chain_planner::{ChainError, ChainPlanner};
use crate::connection::Connection;
use mitogen_inventory::profiles::{Chain, Hop, HopKey, SecretResolver, SecretStore};

/// The connections of a master, one for each [`HopKey`].
///
/// A connection remains open until the master shuts down, or until every [`ConnectionPool::acquire`] of it
/// has been undone by a [`ConnectionPool::release`].
///
/// ```no_run
/// use mitogen::profiles::{Inventory, Overrides, Search, SecretStore, SystemSecrets};
/// use mitogen::{ConnectionPool, Master, MasterOptions};
///
/// let master = Master::start(MasterOptions::default())?;
/// let inventory = Inventory::load(&Search::from_environment(None), master.transports())?;
/// let pool = ConnectionPool::new(&master, SecretStore::new(SystemSecrets));
/// for target in inventory.select("local", None)? {
///     let chain = inventory.resolve(&target, &Overrides::default())?;
///     let context = pool.connect(&chain)?.wait()?;
///     println!("{target}: {}", context.call::<String>("platform.node", ())?);
/// }
/// master.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConnectionPool<R> {
    connector: Connector,
    router: Router,
    planner: ChainPlanner,
    secrets: SecretStore<R>,
    entries: Mutex<HashMap<HopKey, Entry>>,
}

/// A hop of the pool.
struct Entry {
    transport: Box<dyn Transport>,
    settings: ChildSettings,
    /// `None` before the first connection and after an invalidation.
    connecting: Option<ConnectHandle>,
    /// How often it was acquired and not yet released.
    users: usize,
}

impl<R> fmt::Debug for ConnectionPool<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool").field("router", &self.router).finish_non_exhaustive()
    }
}

impl<R: SecretResolver> ConnectionPool<R> {
    /// Creates an empty pool for `master`, with the master's transports. The settings of hops are those of
    /// the master, except for what their profiles set.
    pub fn new(master: &Master, secrets: SecretStore<R>) -> Self {
        Self {
            connector: master.connector().clone(),
            router: master.router().clone(),
            planner: ChainPlanner::new(master.transports(), master.settings()),
            secrets,
            entries: Mutex::default(),
        }
    }

    /// Keeps the chain's hops open, once they are connected, until the chain is
    /// [released](ConnectionPool::release) as often as it was acquired. Obtains the secrets and checks the
    /// options, but connects nothing.
    ///
    /// # Errors
    /// Errors that are found without connecting; the chain is then not acquired.
    pub fn acquire(&self, chain: &Chain) -> Result<(), ChainError> {
        let mut entries = self.lock();
        for hop in &chain.hops {
            self.prepare(&mut entries, hop)?;
        }
        for hop in &chain.hops {
            if let Some(entry) = entries.get_mut(&hop.key) {
                entry.users += 1;
            }
        }
        Ok(())
    }

    /// Connects the hops of the chain that are not connected yet, without waiting: the last context can be
    /// called at once. A hop that has failed is not tried again.
    ///
    /// # Errors
    /// Errors that are found without connecting. The hops before the one with the error may have been
    /// started.
    pub fn connect(&self, chain: &Chain) -> Result<Connection, ChainError> {
        let mut entries = self.lock();
        let mut hops: Vec<ConnectHandle> = Vec::with_capacity(chain.hops.len());
        for hop in &chain.hops {
            let via = hop.via.and_then(|via| hops.get(via)).map(|via| via.context().clone());
            let entry = self.prepare(&mut entries, hop)?;
            let connecting = match &entry.connecting {
                Some(connecting) => connecting.clone(),
                None => {
                    let request = ConnectRequest {
                        transport: &*entry.transport,
                        name: None,
                        via: via.as_ref(),
                        settings: &entry.settings,
                    };
                    let connecting = self
                        .connector
                        .connect(&request)
                        .map_err(|source| ChainError::Request { hop: hop.key.clone(), source })?;
                    log_outcome(&hop.key, &connecting);
                    entry.connecting.insert(connecting).clone()
                }
            };
            hops.push(connecting);
        }
        // An inventory makes no chain without hops.
        let own_context = || Context::new(&self.router, self.router.identity().id, "self");
        let context = hops.last().map_or_else(own_context, |last| last.context().clone());
        Ok(Connection::over(hops, context))
    }

    /// Removes the hops of the chain that have failed or were lost, so that the next
    /// [`ConnectionPool::connect`] connects them again.
    pub fn invalidate(&self, chain: &Chain) {
        let mut entries = self.lock();
        for hop in &chain.hops {
            let Some(entry) = entries.get_mut(&hop.key) else { continue };
            let gone = entry.connecting.as_ref().is_some_and(|connecting| match connecting.outcome() {
                None => false,
                Some(Ok(())) => self.router.next_hop(connecting.context().id()).is_none(),
                Some(Err(_)) => true,
            });
            if gone {
                tracing::debug!(hop = %hop.key, "will be connected again");
                entry.connecting = None;
            }
        }
    }

    /// Undoes one [`ConnectionPool::acquire`]. Hops without users are shut down.
    pub fn release(&self, chain: &Chain) {
        let mut entries = self.lock();
        // The last hop first, so that the others do not report it as lost.
        for hop in chain.hops.iter().rev() {
            let Some(found) = entries.get_mut(&hop.key) else { continue };
            found.users = found.users.saturating_sub(1);
            if found.users > 0 {
                continue;
            }
            if let Some(connecting) = entries.remove(&hop.key).and_then(|gone| gone.connecting)
                && let Err(error) = connecting.context().shutdown()
            {
                tracing::debug!(hop = %hop.key, %error, "already disconnected");
            }
        }
    }

    /// The plans of a chain's hops, as [`ChainPlanner::plans`] makes them.
    ///
    /// # Errors
    /// Errors that are found without connecting.
    pub fn plans(&self, chain: &Chain) -> Result<Vec<Plan>, ChainError> {
        self.planner.plans(chain)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HopKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare<'a>(
        &self,
        entries: &'a mut HashMap<HopKey, Entry>,
        hop: &Hop,
    ) -> Result<&'a mut Entry, ChainError> {
        if !entries.contains_key(&hop.key) {
            let options = hop
                .filled_options(&self.secrets)
                .map_err(|source| ChainError::Secret { hop: hop.key.clone(), source })?;
            let transport = self.planner.transport(hop, options)?;
            let settings = self.planner.settings(hop)?;
            entries.insert(hop.key.clone(), Entry { transport, settings, connecting: None, users: 0 });
        }
        // Inserted above if it was missing.
        Ok(entries.get_mut(&hop.key).expect("the hop was inserted above"))
    }
}

/// Logs the start and the outcome of a connection.
fn log_outcome(hop: &HopKey, connecting: &ConnectHandle) {
    let (key, name, began) = (hop.clone(), connecting.context().name().to_owned(), Instant::now());
    tracing::debug!(hop = %key, name, id = connecting.context().id().0, "connecting");
    connecting.on_done(move |outcome| match outcome {
        Ok(()) => tracing::info!(hop = %key, name, after = ?began.elapsed(), "connected"),
        Err(error) => tracing::info!(hop = %key, name, %error, "not connected"),
    });
}

#[cfg(test)]
#[path = "connection_pool_tests.rs"]
mod tests;
