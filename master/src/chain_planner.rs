//! How the hops of a chain are reached: transports, settings and plans. Starts no thread and connects
//! nothing; reads the upstream Mitogen packages that profiles name.

#[cfg(feature = "upstream")]
use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "upstream")]
use std::path::{Path, PathBuf};
#[cfg(feature = "upstream")]
use std::sync::{Arc, Mutex, PoisonError};

use mitogen_core::connect::{
    ChildSettings, OptionsError, Plan, PlanRequest, Registry, RequestError, Transport,
};
use mitogen_inventory::profiles::{Chain, Hop, HopKey, SecretError};
use mitogen_python::Python;
#[cfg(feature = "upstream")]
use mitogen_upstream::{Upstream, UpstreamPackage};
use serde_json::{Map, Value as Json};
use thiserror::Error;

#[cfg(feature = "upstream")]
use crate::upstream::{self, FindError};

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

/// Plans the hops of chains.
///
/// ```
/// use mitogen::profiles::{Inventory, Overrides, Search};
/// use mitogen::{ChainPlanner, ChildSettings, Python, transports};
///
/// let registry = transports::builtin();
/// let inventory = Inventory::load(&Search::FirstOf(Vec::new()), &registry)?;
/// let planner = ChainPlanner::new(&registry, &ChildSettings::new(Python::new()));
/// for target in inventory.select("local", None)? {
///     let chain = inventory.resolve(&target, &Overrides::default())?;
///     assert_eq!(planner.plans(&chain)?[0].name, "local");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ChainPlanner {
    registry: Registry,
    settings: ChildSettings,
    /// Upstream Mitogen packages of hops, each read once.
    #[cfg(feature = "upstream")]
    packages: Mutex<HashMap<PathBuf, Arc<UpstreamPackage>>>,
}

impl fmt::Debug for ChainPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainPlanner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ChainPlanner {
    /// A planner for hops by the transports of `registry`. The settings of hops are `settings`, except for
    /// what their profiles set.
    pub fn new(registry: &Registry, settings: &ChildSettings) -> Self {
        Self {
            registry: registry.clone(),
            settings: settings.clone(),
            #[cfg(feature = "upstream")]
            packages: Mutex::default(),
        }
    }

    /// The plans of a chain's hops, in order, with asterisks in place of secrets, which are not obtained.
    ///
    /// # Errors
    /// Errors that are found without connecting.
    pub fn plans(&self, chain: &Chain) -> Result<Vec<Plan>, ChainError> {
        let mut planned: Vec<(Plan, ChildSettings)> = Vec::with_capacity(chain.hops.len());
        for hop in &chain.hops {
            let transport = self.transport(hop, hop.masked_options())?;
            let settings = self.settings(hop)?;
            let mut request = PlanRequest::new(&*transport, &settings);
            if let Some((plan, settings)) = hop.via.and_then(|via| planned.get(via)) {
                request = request.via(&plan.name, Some(settings.runtime.clone()));
            }
            let plan =
                request.plan().map_err(|source| ChainError::Request { hop: hop.key.clone(), source })?;
            planned.push((plan, settings));
        }
        Ok(planned.into_iter().map(|(plan, _)| plan).collect())
    }

    /// The transport of the hop with these options.
    pub(crate) fn transport(
        &self,
        hop: &Hop,
        options: Map<String, Json>,
    ) -> Result<Box<dyn Transport>, ChainError> {
        let kind =
            self.registry.get(&hop.method).or_else(|| hop.transport()).ok_or_else(|| {
                ChainError::UnknownMethod { hop: hop.key.clone(), method: hop.method.clone() }
            })?;
        kind.create(Json::Object(options))
            .map_err(|source| ChainError::Options { hop: hop.key.clone(), source })
    }

    /// The settings of the hop's context.
    pub(crate) fn settings(&self, hop: &Hop) -> Result<ChildSettings, ChainError> {
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
