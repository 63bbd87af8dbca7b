//! The process that owns context id 0.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mitogen_core::call::Context;
use mitogen_core::connect::{
    ChildSettings, ConnectHandle, ConnectRequest, Connector, Peers, Registry, RequestError, Transport,
};
use mitogen_core::ids::Identity;
use mitogen_core::importer;
use mitogen_core::node::{Node, NodeOptions};
use mitogen_core::router::{Router, RouterOptions};
use mitogen_core::sys;
use mitogen_core::unix::BindError;
use mitogen_core::wire::DEFAULT_MAX_MESSAGE_SIZE;
use mitogen_python::Python;
use thiserror::Error;

use crate::listen::Listener;
use crate::modules::ModuleSource;
use crate::responder::{DeliveryMode, ImportPolicy, ModulePreloader, ModuleStats, Responder, Store};
#[cfg(feature = "upstream")]
use crate::upstream;
use crate::{root_handlers, transports};

/// How a master is started: the defaults, changed by setters.
///
/// ```
/// use std::time::Duration;
/// use mitogen::MasterOptions;
///
/// let options = MasterOptions::default().grace(Duration::from_secs(1)).unidirectional(true);
/// assert!(options.transports.get("ssh").is_some(), "the built-in transports are registered");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MasterOptions {
    /// The largest payload in bytes, in this process and in every child. 128 MiB by default.
    pub max_message_size: usize,
    /// Whether contexts may talk only to their ancestors and descendants. Off by default.
    pub unidirectional: bool,
    /// How long a shutdown may take before links are cut. 5 s by default.
    pub grace: Duration,
    /// The settings of children that are started without settings of their own.
    pub settings: ChildSettings,
    /// Where the modules that children lack come from, asked in order; see [`crate::modules`].
    pub modules: Vec<Arc<dyn ModuleSource>>,
    /// The Python program that functions of `__main__` come from; it is served without the body of
    /// its execution guard.
    pub main_script: Option<PathBuf>,
    /// The transports that can be asked for by name. The built-in ones by default.
    pub transports: Registry,
}

impl Default for MasterOptions {
    fn default() -> Self {
        Self {
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            unidirectional: false,
            grace: Duration::from_secs(5),
            settings: ChildSettings::new(Python::new()),
            modules: Vec::new(),
            main_script: None,
            transports: transports::builtin(),
        }
    }
}

impl MasterOptions {
    /// Sets the largest payload in bytes.
    #[must_use]
    pub fn max_message_size(self, max_message_size: usize) -> Self {
        Self { max_message_size, ..self }
    }

    /// Sets whether contexts may talk only to their ancestors and descendants.
    #[must_use]
    pub fn unidirectional(self, unidirectional: bool) -> Self {
        Self { unidirectional, ..self }
    }

    /// Sets how long a shutdown may take before links are cut.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets the settings of children that are started without settings of their own.
    #[must_use]
    pub fn settings(self, settings: ChildSettings) -> Self {
        Self { settings, ..self }
    }

    /// Sets where the modules that children lack come from, asked in order.
    #[must_use]
    pub fn modules(self, modules: Vec<Arc<dyn ModuleSource>>) -> Self {
        Self { modules, ..self }
    }

    /// Sets the Python program that functions of `__main__` come from.
    #[must_use]
    pub fn main_script(self, main_script: impl Into<Option<PathBuf>>) -> Self {
        Self { main_script: main_script.into(), ..self }
    }

    /// Sets the transports that can be asked for by name.
    #[must_use]
    pub fn transports(self, transports: Registry) -> Self {
        Self { transports, ..self }
    }
}

/// Why a master could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The loop could not be started.
    #[error("cannot start the I/O loop")]
    Broker(#[source] io::Error),
    /// The thread that answers requests for modules could not be started.
    #[error("cannot start the thread that serves modules")]
    Responder(#[source] io::Error),
}

/// The root of a tree of contexts. Dropping it shuts the tree down, within the grace period.
///
/// ```
/// use mitogen::transports::local::{Local, Options};
/// use mitogen::{Master, MasterOptions};
///
/// let master = Master::start(MasterOptions::default())?;
/// let local = Local::new(Options::new())?;
/// // Both are being connected; the second one is a child of the first.
/// let parent = master.connect(&local)?;
/// let child = master.connect_via(parent.context(), &local)?;
/// let parent_pid: u32 = parent.wait()?.call("os.getpid", ())?;
/// let child_pid: u32 = child.wait()?.call("os.getpid", ())?;
/// assert_ne!(parent_pid, child_pid);
/// master.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Master {
    node: Node,
    settings: ChildSettings,
    transports: Arc<Registry>,
    store: Arc<Store>,
    responder: Responder,
}

impl Master {
    /// Starts a master: one thread, and no context yet.
    ///
    /// The process's limit on open files is raised to the hard limit, once for all masters.
    ///
    /// # Errors
    /// The system refuses a thread or descriptors.
    pub fn start(options: MasterOptions) -> Result<Self, StartError> {
        if let Err(error) = sys::raise_nofile_limit() {
            tracing::debug!(%error, "the limit on open files could not be raised");
        }
        let router_options = RouterOptions::default()
            .max_message_size(options.max_message_size)
            .unidirectional(options.unidirectional);
        let node_options = NodeOptions::default().router(router_options).grace(options.grace);
        let node = Node::start(Identity::master(), &node_options).map_err(StartError::Broker)?;
        let router = node.router();
        root_handlers::register(router);
        Peers::of(router).set_default(Arc::clone(&options.settings.runtime));
        let policy = ImportPolicy {
            overrides: options.settings.import_overrides.clone(),
            blocks: options.settings.import_blocks.clone(),
        };
        let transports = Arc::new(options.transports);
        #[cfg(feature = "upstream")]
        upstream::listen(router, node.connector(), &options.settings, Arc::clone(&transports));
        let store =
            Arc::new(Store::new(options.modules, policy, options.main_script, options.max_message_size));
        let responder =
            Responder::start(router, &store, &DeliveryMode::HopByHop).map_err(StartError::Responder)?;
        let preloader = ModulePreloader::new(Arc::clone(&store), router.downgrade(), DeliveryMode::HopByHop);
        importer::set_preloader(router, preloader);
        Ok(Self { node, settings: options.settings, transports, store, responder })
    }

    /// The router: for handlers and receivers of one's own.
    pub fn router(&self) -> &Router {
        self.node.router()
    }

    /// What starts contexts, for requests with all options.
    pub fn connector(&self) -> &Connector {
        self.node.connector()
    }

    /// The settings of children that are started without settings of their own.
    pub fn settings(&self) -> &ChildSettings {
        &self.settings
    }

    /// The transports that can be asked for by name.
    pub fn transports(&self) -> &Registry {
        &self.transports
    }

    /// Counts of the modules and resources that have been asked for and sent.
    pub fn module_stats(&self) -> ModuleStats {
        self.store.stats()
    }

    /// Starts a context as a child of this process.
    ///
    /// # Errors
    /// The transport refuses its options.
    pub fn connect(&self, transport: &dyn Transport) -> Result<ConnectHandle, RequestError> {
        self.connector().connect(&ConnectRequest {
            transport,
            name: None,
            via: None,
            settings: &self.settings,
        })
    }

    /// Starts a context as a child of `via`.
    ///
    /// # Errors
    /// The transport refuses its options.
    pub fn connect_via(
        &self,
        via: &Context,
        transport: &dyn Transport,
    ) -> Result<ConnectHandle, RequestError> {
        self.connector().connect(&ConnectRequest {
            transport,
            name: None,
            via: Some(via),
            settings: &self.settings,
        })
    }

    /// Lets other processes of this user join, by a socket at `path` or, without one, in a new directory
    /// that only this user may enter. Upstream Mitogen's `mitogen.unix.connect` can join too.
    ///
    /// # Errors
    /// A listener is running at `path` already, or the system refuses.
    pub fn listen(&self, path: Option<&Path>) -> Result<Listener, BindError> {
        Listener::bind(self.router(), self.connector(), path)
    }

    /// Shuts the tree down: children are asked to end, and killed after the grace period.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.node.shutdown();
        self.responder.join();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop();
    }
}
