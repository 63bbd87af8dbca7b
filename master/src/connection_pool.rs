//! Chains of hops made into contexts: every hop is connected once, however many targets lie behind
//! it, and all at once, because a hop can be asked to start the next one before it is up itself.
//!
//! Knows profiles and the connector; asks for secrets, and never waits for a connection.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mitogen_core::call::Context;
use mitogen_core::child::{PythonCore, PythonSpec, StockPackage};
use mitogen_core::connect::{
    ChildCommand, ChildSettings, ConnectError, ConnectRequest, Connecting, Connector, OptionsError, Outcome,
    Plan, Registry, RequestError, Transport,
};
use mitogen_core::ids::ContextId;
use mitogen_core::router::Router;
use serde_json::{Map, Value as Json};
use thiserror::Error;

use crate::Master;
use crate::profiles::{Chain, Hop, HopKey, SecretError, SecretResolver, SecretStore};
use crate::stock::{self, FindError};

/// Why a chain cannot be connected, or planned. Nothing was started for it.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The registry has no such transport.
    #[error("{hop}: there is no method `{method}`")]
    UnknownMethod {
        /// The hop.
        hop: HopKey,
        /// The transport that it wants.
        method: String,
    },
    /// The transport refuses its options.
    #[error("{hop}")]
    Options {
        /// The hop.
        hop: HopKey,
        /// Which option, and what is wrong with it.
        source: OptionsError,
    },
    /// A secret that the hop needs cannot be had.
    #[error("{hop}")]
    Secret {
        /// The hop.
        hop: HopKey,
        /// From where, and why not.
        source: SecretError,
    },
    /// The stock package that the hop names is not usable.
    #[error("{hop}")]
    Stock {
        /// The hop.
        hop: HopKey,
        /// What is wrong with it.
        source: Arc<FindError>,
    },
    /// No connection can be made of it.
    #[error("{hop}")]
    Request {
        /// The hop.
        hop: HopKey,
        /// Why.
        source: RequestError,
    },
}

/// The connections of a tree, one for each [`HopKey`].
///
/// Contexts stay until the master ends, unless [`ConnectionPool::acquire`] and [`ConnectionPool::release`]
/// say how long they are needed.
pub struct ConnectionPool<R> {
    connector: Connector,
    router: Router,
    settings: ChildSettings,
    registry: Registry,
    secrets: SecretStore<R>,
    made: Mutex<HashMap<HopKey, Entry>>,
    /// Stock packages that hops name, each read once.
    packages: Mutex<HashMap<PathBuf, Arc<StockPackage>>>,
}

/// What there is of a hop.
struct Entry {
    transport: HopTransport,
    settings: ChildSettings,
    connecting: Option<Connecting>,
    /// How many holders it has.
    holders: usize,
}

/// A hop's transport with the hop's own time limit, which not every transport has an option for.
#[derive(Debug)]
struct HopTransport {
    transport: Box<dyn Transport>,
    timeout: Option<Duration>,
}

impl Transport for HopTransport {
    fn method(&self) -> &str {
        self.transport.method()
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let mut plan = self.transport.plan(child)?;
        if let Some(timeout) = self.timeout {
            plan.timeout = timeout;
        }
        Ok(plan)
    }
}

impl<R> fmt::Debug for ConnectionPool<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool").field("router", &self.router).finish_non_exhaustive()
    }
}

impl<R: SecretResolver> ConnectionPool<R> {
    /// No connections yet, in the tree of `master`. Hops differ from the master's settings by their
    /// interpreters only.
    pub fn new(master: &Master, registry: &Registry, secrets: SecretStore<R>) -> Self {
        Self {
            connector: master.connector().clone(),
            router: master.router().clone(),
            settings: master.settings().clone(),
            registry: registry.clone(),
            secrets,
            made: Mutex::default(),
            packages: Mutex::default(),
        }
    }

    /// Makes sure that the chain's hops, once connected, stay until as many [`ConnectionPool::release`]s
    /// of it. Asks for its secrets and checks its options; connects nothing.
    ///
    /// # Errors
    /// What can be known to be wrong without connecting; the chain is then not held.
    pub fn acquire(&self, chain: &Chain) -> Result<(), ChainError> {
        let mut made = self.lock();
        for hop in &chain.hops {
            self.prepare(&mut made, hop)?;
        }
        for hop in &chain.hops {
            if let Some(made) = made.get_mut(&hop.key) {
                made.holders += 1;
            }
        }
        Ok(())
    }

    /// Connects what is not connected of the chain, without waiting: the context at its end can be
    /// called at once. A hop that has failed is not tried again.
    ///
    /// # Errors
    /// What can be known to be wrong without connecting. Hops before the one at fault may have been
    /// started.
    pub fn connect(&self, chain: &Chain) -> Result<Connection, ChainError> {
        let mut made = self.lock();
        let mut hops: Vec<Connecting> = Vec::with_capacity(chain.hops.len());
        for hop in &chain.hops {
            let via = hop.via.and_then(|via| hops.get(via)).map(|via| via.context().clone());
            let made = self.prepare(&mut made, hop)?;
            let connecting = match &made.connecting {
                Some(connecting) => connecting.clone(),
                None => {
                    let request = ConnectRequest {
                        transport: &made.transport,
                        name: None,
                        via: via.as_ref(),
                        settings: &made.settings,
                    };
                    let connecting = self
                        .connector
                        .connect(&request)
                        .map_err(|source| ChainError::Request { hop: hop.key.clone(), source })?;
                    tell(&hop.key, &connecting);
                    made.connecting.insert(connecting).clone()
                }
            };
            hops.push(connecting);
        }
        // Only a chain without hops, which nothing makes, has no last context.
        let me = || Context::new(&self.router, self.router.identity().id, "self");
        let context = hops.last().map_or_else(me, |last| last.context().clone());
        Ok(Connection { hops, context })
    }

    /// Forgets those hops of the chain that have failed or were lost, so that the next
    /// [`ConnectionPool::connect`] tries them again.
    pub fn invalidate(&self, chain: &Chain) {
        let mut made = self.lock();
        for hop in &chain.hops {
            let Some(made) = made.get_mut(&hop.key) else { continue };
            let gone = made.connecting.as_ref().is_some_and(|connecting| match connecting.outcome() {
                None => false,
                Some(Ok(())) => self.router.next_hop(connecting.context().id()).is_none(),
                Some(Err(_)) => true,
            });
            if gone {
                tracing::debug!(hop = %hop.key, "will be connected anew");
                made.connecting = None;
            }
        }
    }

    /// Undoes one [`ConnectionPool::acquire`]: hops that nobody holds any more are asked to end.
    pub fn release(&self, chain: &Chain) {
        let mut made = self.lock();
        // The far end first: a context takes its children with it, so this is not for order's sake
        // but spares the nearer ones the news of losses.
        for hop in chain.hops.iter().rev() {
            let Some(found) = made.get_mut(&hop.key) else { continue };
            found.holders = found.holders.saturating_sub(1);
            if found.holders > 0 {
                continue;
            }
            if let Some(connecting) = made.remove(&hop.key).and_then(|gone| gone.connecting)
                && let Err(error) = connecting.context().shutdown()
            {
                tracing::debug!(hop = %hop.key, %error, "it is gone already");
            }
        }
    }

    /// The plans of a chain's hops, in order, with asterisks in the place of secrets, which are not
    /// asked for. Starts nothing.
    ///
    /// # Errors
    /// What can be known to be wrong without connecting.
    pub fn plans(&self, chain: &Chain) -> Result<Vec<Plan>, ChainError> {
        let mut plans: Vec<Plan> = Vec::with_capacity(chain.hops.len());
        for hop in &chain.hops {
            let transport = self.transport(hop, hop.masked_options())?;
            // Its name alone counts.
            let via = hop.via.and_then(|via| plans.get(via));
            let via = via.map(|plan| Context::new(&self.router, ContextId(0), &plan.name));
            let request = ConnectRequest {
                transport: &transport,
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
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare<'a>(
        &self,
        made: &'a mut HashMap<HopKey, Entry>,
        hop: &Hop,
    ) -> Result<&'a mut Entry, ChainError> {
        if !made.contains_key(&hop.key) {
            let options = hop
                .filled_options(&self.secrets)
                .map_err(|source| ChainError::Secret { hop: hop.key.clone(), source })?;
            let transport = self.transport(hop, options)?;
            let settings = self.settings_for(hop)?;
            made.insert(hop.key.clone(), Entry { transport, settings, connecting: None, holders: 0 });
        }
        // The expect holds: it was put there if it was not there.
        Ok(made.get_mut(&hop.key).expect("the hop has been prepared"))
    }

    fn transport(&self, hop: &Hop, options: Map<String, Json>) -> Result<HopTransport, ChainError> {
        let kind = self
            .registry
            .get(&hop.method)
            .ok_or_else(|| ChainError::UnknownMethod { hop: hop.key.clone(), method: hop.method.clone() })?;
        let transport = kind
            .create(Json::Object(options))
            .map_err(|source| ChainError::Options { hop: hop.key.clone(), source })?;
        Ok(HopTransport { transport, timeout: hop.timeout })
    }

    fn settings_for(&self, hop: &Hop) -> Result<ChildSettings, ChainError> {
        let mut settings = self.settings.clone();
        if !hop.python.is_empty() {
            settings.python = PythonSpec { argv: hop.python.clone() };
        }
        if hop.keepalive.is_some() {
            settings.keepalive = hop.keepalive;
        }
        if let Some(path) = &hop.mitogen_package {
            settings.core = PythonCore::Stock(self.package_at(hop, path)?);
        }
        Ok(settings)
    }

    fn package_at(&self, hop: &Hop, path: &Path) -> Result<Arc<StockPackage>, ChainError> {
        let mut packages = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(package) = packages.get(path) {
            return Ok(Arc::clone(package));
        }
        let package = stock::find_at(path)
            .map_err(|source| ChainError::Stock { hop: hop.key.clone(), source: Arc::new(source) })?;
        packages.insert(path.to_owned(), Arc::clone(&package));
        Ok(package)
    }
}

/// A chain under way. Its context can be called at once. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Connection {
    hops: Vec<Connecting>,
    context: Context,
}

impl Connection {
    /// A way to a context that is up.
    pub(crate) fn ready(context: Context) -> Self {
        Self { hops: Vec::new(), context }
    }

    /// A way to a context that somebody else connects.
    pub(crate) fn under_way(connecting: Connecting) -> Self {
        let context = connecting.context().clone();
        Self { hops: vec![connecting], context }
    }

    /// The way to a context behind this one.
    pub(crate) fn then(&self, behind: Connecting) -> Self {
        let context = behind.context().clone();
        Self { hops: self.hops.iter().cloned().chain([behind]).collect(), context }
    }

    /// Whether the context is up, or was; `None` while that is not known.
    pub fn outcome(&self) -> Option<Outcome> {
        let mut outcomes = self.hops.iter().map(Connecting::outcome);
        outcomes.find(|outcome| !matches!(outcome, Some(Ok(())))).unwrap_or(Some(Ok(())))
    }

    /// The context at the end, up or not.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The hops, nearest first.
    pub fn hops(&self) -> &[Connecting] {
        &self.hops
    }

    /// Calls `then` when the last hop is up, or with the error of the first that failed: those behind
    /// it can only say that they were lost with it. At once if it is known, else on the broker's
    /// thread, where it must not block.
    pub fn on_done(&self, then: impl FnOnce(&Outcome) + Send + 'static) {
        follow(self.hops.clone().into_iter(), Box::new(then));
    }

    /// Waits until the last hop is up.
    ///
    /// # Errors
    /// Why the first hop that failed did not come up.
    pub fn wait(&self) -> Result<Context, Arc<ConnectError>> {
        for hop in &self.hops {
            hop.wait()?;
        }
        Ok(self.context.clone())
    }
}

/// For the log.
fn tell(hop: &HopKey, connecting: &Connecting) {
    let (key, name, began) = (hop.clone(), connecting.context().name().to_owned(), Instant::now());
    tracing::debug!(hop = %key, name, id = connecting.context().id().0, "connecting");
    connecting.on_done(move |outcome| match outcome {
        Ok(()) => tracing::info!(hop = %key, name, after = ?began.elapsed(), "connected"),
        Err(error) => tracing::info!(hop = %key, name, %error, "not connected"),
    });
}

fn follow(mut hops: std::vec::IntoIter<Connecting>, then: Box<dyn FnOnce(&Outcome) + Send>) {
    match hops.next() {
        None => then(&Ok(())),
        Some(hop) => hop.on_done(move |outcome| match outcome {
            Ok(()) => follow(hops, then),
            Err(_) => then(outcome),
        }),
    }
}

#[cfg(test)]
#[path = "connection_pool_tests.rs"]
mod tests;
