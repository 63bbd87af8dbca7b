//! Connecting chains of hops. A hop that several targets share is connected once. All hops are connected
//! at the same time, because a context can be asked to start the next one before it is connected itself.
//!
//! The pool obtains secrets from their sources, and never waits for a connection.

use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "upstream")]
use std::path::{Path, PathBuf};
#[cfg(feature = "upstream")]
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mitogen_core::call::Context;
use mitogen_core::connect::{
    ChildSettings, ConnectHandle, ConnectRequest, Connector, OptionsError, Plan, Registry, RequestError,
    Transport,
};
use mitogen_core::ids::ContextId;
use mitogen_core::router::Router;
use mitogen_python::Python;
#[cfg(feature = "upstream")]
use mitogen_upstream::{Upstream, UpstreamPackage};
use serde_json::{Map, Value as Json};
use thiserror::Error;

use crate::Master;
use crate::connection::Connection;
#[cfg(feature = "upstream")]
use crate::upstream::{self, FindError};
use mitogen_inventory::profiles::{Chain, Hop, HopKey, SecretError, SecretResolver, SecretStore};

/// Why a chain cannot be connected or planned. Nothing was started for the hop.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The registry has no such transport.
    #[error("{hop}: unknown method `{method}`")]
    UnknownMethod {
        /// The hop.
        hop: HopKey,
        /// The name of the transport.
        method: String,
    },
    /// The transport rejected its options.
    #[error("{hop}")]
    Options {
        /// The hop.
        hop: HopKey,
        /// The option, and what is wrong with it.
        source: OptionsError,
    },
    /// A secret that the hop needs cannot be obtained.
    #[error("{hop}")]
    Secret {
        /// The hop.
        hop: HopKey,
        /// The source, and why it failed.
        source: SecretError,
    },
    /// The hop has an upstream Mitogen package, and the program was built without the feature `upstream`.
    #[cfg(not(feature = "upstream"))]
    #[error("{hop}: this program was built without support for upstream Mitogen (`mitogen_package`)")]
    NoUpstream {
        /// The hop.
        hop: HopKey,
    },
    /// The upstream Mitogen package of the hop cannot be used.
    #[cfg(feature = "upstream")]
    #[error("{hop}")]
    MitogenPackage {
        /// The hop.
        hop: HopKey,
        /// What is wrong with the package.
        source: Arc<FindError>,
    },
    /// The connection request was rejected.
    #[error("{hop}")]
    Request {
        /// The hop.
        hop: HopKey,
        /// Why.
        source: RequestError,
    },
}

/// The connections of a master, one for each [`HopKey`].
///
/// A connection remains open until the master shuts down, or until every [`ConnectionPool::acquire`] of it
/// has been undone by a [`ConnectionPool::release`].
///
/// ```no_run
/// use mitogen::profiles::{Inventory, Overrides, Search, SecretStore, SystemSecrets};
/// use mitogen::transports::builtin;
/// use mitogen::{ConnectionPool, Master, MasterOptions};
///
/// let registry = builtin();
/// let inventory = Inventory::load(&Search::from_environment(None), &registry)?;
/// let master = Master::start(MasterOptions::default())?;
/// let pool = ConnectionPool::new(&master, &registry, SecretStore::new(SystemSecrets));
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
    settings: ChildSettings,
    registry: Registry,
    secrets: SecretStore<R>,
    entries: Mutex<HashMap<HopKey, Entry>>,
    /// Upstream Mitogen packages of hops, each read once.
    #[cfg(feature = "upstream")]
    packages: Mutex<HashMap<PathBuf, Arc<UpstreamPackage>>>,
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
    /// Creates an empty pool for `master`. The settings of hops are those of the master, except for what
    /// their profiles set.
    pub fn new(master: &Master, registry: &Registry, secrets: SecretStore<R>) -> Self {
        Self {
            connector: master.connector().clone(),
            router: master.router().clone(),
            settings: master.settings().clone(),
            registry: registry.clone(),
            secrets,
            entries: Mutex::default(),
            #[cfg(feature = "upstream")]
            packages: Mutex::default(),
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

    /// The plans of a chain's hops, in order, with asterisks in place of secrets, which are not obtained.
    /// Starts nothing.
    ///
    /// # Errors
    /// Errors that are found without connecting.
    pub fn plans(&self, chain: &Chain) -> Result<Vec<Plan>, ChainError> {
        let mut plans: Vec<Plan> = Vec::with_capacity(chain.hops.len());
        for hop in &chain.hops {
            let transport = self.transport(hop, hop.masked_options())?;
            // Only the name of this context is used.
            let via = hop.via.and_then(|via| plans.get(via));
            let via = via.map(|plan| Context::new(&self.router, ContextId(0), &plan.name));
            let request = ConnectRequest {
                transport: &*transport,
                name: None,
                via: via.as_ref(),
                settings: &self.settings_for(hop)?,
            };
            let plan = self.connector.plan(&request);
            plans.push(plan.map_err(|source| ChainError::Request { hop: hop.key.clone(), source })?);
        }
        Ok(plans)
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
            let transport = self.transport(hop, options)?;
            let settings = self.settings_for(hop)?;
            entries.insert(hop.key.clone(), Entry { transport, settings, connecting: None, users: 0 });
        }
        // Inserted above if it was missing.
        Ok(entries.get_mut(&hop.key).expect("the hop was inserted above"))
    }

    fn transport(&self, hop: &Hop, options: Map<String, Json>) -> Result<Box<dyn Transport>, ChainError> {
        let kind = self
            .registry
            .get(&hop.method)
            .ok_or_else(|| ChainError::UnknownMethod { hop: hop.key.clone(), method: hop.method.clone() })?;
        kind.create(Json::Object(options))
            .map_err(|source| ChainError::Options { hop: hop.key.clone(), source })
    }

    fn settings_for(&self, hop: &Hop) -> Result<ChildSettings, ChainError> {
        let mut settings = self.settings.clone();
        if !hop.python.is_empty() {
            settings = settings.runtime(Python::with_interpreter(&hop.python));
        }
        if hop.timeout.is_some() {
            settings.timeout = hop.timeout;
        }
        if hop.keepalive.is_some() {
            settings.keepalive = hop.keepalive;
        }
        #[cfg(not(feature = "upstream"))]
        if hop.mitogen_package.is_some() {
            return Err(ChainError::NoUpstream { hop: hop.key.clone() });
        }
        #[cfg(feature = "upstream")]
        if let Some(path) = &hop.mitogen_package {
            let package = self.package_at(hop, path)?;
            settings = settings.runtime(Upstream::new(package).interpreter(&hop.python));
        }
        Ok(settings)
    }

    #[cfg(feature = "upstream")]
    fn package_at(&self, hop: &Hop, path: &Path) -> Result<Arc<UpstreamPackage>, ChainError> {
        let mut packages = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(package) = packages.get(path) {
            return Ok(Arc::clone(package));
        }
        let package = upstream::find_at(path).map_err(|source| ChainError::MitogenPackage {
            hop: hop.key.clone(),
            source: Arc::new(source),
        })?;
        packages.insert(path.to_owned(), Arc::clone(&package));
        Ok(package)
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
