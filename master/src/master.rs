//! The process that owns context id 0.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mitogen_core::broker::{Broker, ProcessMonitor};
use mitogen_core::call::Context;
use mitogen_core::connect::{ChildSettings, ConnectRequest, Connecting, Connector, RequestError, Transport};
use mitogen_core::ids::Identity;
use mitogen_core::importer;
use mitogen_core::io::default_poller;
use mitogen_core::router::{Router, RouterOptions};
use mitogen_core::sys;
use mitogen_core::wire::DEFAULT_MAX_MESSAGE_SIZE;
use thiserror::Error;

use crate::listen::{BindError, Listener};
use crate::modules::ModuleSource;
use crate::responder::{DeliveryMode, ImportPolicy, ModulePreloader, ModuleStats, Responder, Store};
use crate::root_handlers;
use crate::{stock, transports};

/// How a master behaves.
#[derive(Clone, Debug)]
pub struct MasterOptions {
    /// The payload limit in bytes, here and in every child.
    pub max_message_size: usize,
    /// Whether contexts may talk only to their ancestors and descendants.
    pub unidirectional: bool,
    /// How long a shutdown may take before links are cut.
    pub grace: Duration,
    /// What children are told unless their own settings say otherwise.
    pub settings: ChildSettings,
    /// Where the modules that children lack come from, asked in order; see [`crate::modules`].
    pub modules: Vec<Arc<dyn ModuleSource>>,
    /// The Python program that functions of `__main__` come from; it is served without the body of
    /// its execution guard.
    pub main_script: Option<PathBuf>,
}

impl Default for MasterOptions {
    fn default() -> Self {
        Self {
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            unidirectional: false,
            grace: Duration::from_secs(5),
            settings: ChildSettings::default(),
            modules: Vec::new(),
            main_script: None,
        }
    }
}

/// A master could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The loop could not be started.
    #[error("cannot start the I/O loop")]
    Broker(#[source] io::Error),
    /// The thread that answers questions for modules could not be started.
    #[error("cannot start the thread that serves modules")]
    Responder(#[source] io::Error),
}

/// The root of a tree. Dropping it ends the tree, in order, within the grace period.
#[derive(Debug)]
pub struct Master {
    broker: Option<Broker>,
    router: Router,
    connector: Connector,
    settings: ChildSettings,
    store: Arc<Store>,
    responder: Responder,
}

impl Master {
    /// Starts a master: one thread, and no context yet.
    ///
    /// The process's limit on open files is raised as far as it may be, once for all masters.
    ///
    /// # Errors
    /// The system refuses a thread or descriptors.
    pub fn start(options: MasterOptions) -> Result<Self, StartError> {
        if let Err(error) = sys::raise_nofile_limit() {
            tracing::debug!(%error, "the limit on open files stays as it is");
        }
        let poller = default_poller().map_err(StartError::Broker)?;
        let broker =
            Broker::start("mitogen.broker", poller).map_err(StartError::Broker)?.with_grace(options.grace);
        let router_options = RouterOptions::default()
            .max_message_size(options.max_message_size)
            .unidirectional(options.unidirectional);
        let router = Router::new(Identity::master(), broker.handle(), router_options);
        root_handlers::register(&router);
        let weak = router.downgrade();
        broker.handle().on_exit(move || {
            if let Some(router) = weak.upgrade() {
                router.finish();
            }
        });
        let processes = ProcessMonitor::new(broker.handle());
        let connector = Connector::new(router.clone(), processes);
        let policy = ImportPolicy {
            overrides: options.settings.import_overrides.clone(),
            blocks: options.settings.import_blocks.clone(),
        };
        stock::listen(&router, &connector, &options.settings, transports::builtin());
        let store = Arc::new(Store::new(
            options.modules,
            policy,
            options.main_script,
            options.max_message_size,
            Some(connector.stock_peers().clone()),
        ));
        let responder =
            Responder::start(&router, &store, &DeliveryMode::HopByHop).map_err(StartError::Responder)?;
        let preloader = ModulePreloader::new(Arc::clone(&store), router.downgrade(), DeliveryMode::HopByHop);
        importer::set_preloader(&router, preloader);
        Ok(Self { broker: Some(broker), router, connector, settings: options.settings, store, responder })
    }

    /// The router: for handlers and receivers of one's own.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// What starts contexts, for requests with all options.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// What children are told unless their own settings say otherwise.
    pub fn settings(&self) -> &ChildSettings {
        &self.settings
    }

    /// What has been asked for and sent so far of modules and resources.
    pub fn module_stats(&self) -> ModuleStats {
        self.store.stats()
    }

    /// Starts a context from here.
    ///
    /// # Errors
    /// The transport refuses its options.
    pub fn connect(&self, transport: &dyn Transport) -> Result<Connecting, RequestError> {
        self.connector.connect(&ConnectRequest { transport, name: None, via: None, settings: &self.settings })
    }

    /// Starts a context as a child of `via`, from there.
    ///
    /// # Errors
    /// The transport refuses its options.
    pub fn connect_via(&self, via: &Context, transport: &dyn Transport) -> Result<Connecting, RequestError> {
        self.connector.connect(&ConnectRequest {
            transport,
            name: None,
            via: Some(via),
            settings: &self.settings,
        })
    }

    /// Lets other processes of this user join the tree, at `path` or, without one, at a path in a new
    /// directory that only this user may enter. Stock Mitogen's `mitogen.unix.connect` can join, too.
    ///
    /// # Errors
    /// Somebody listens there already, or the system refuses.
    pub fn listen(&self, path: Option<&Path>) -> Result<Listener, BindError> {
        Listener::bind(&self.router, &self.connector, path)
    }

    /// Ends the tree: children are asked to end, and made to after the grace period.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.shutdown();
        }
        self.responder.join();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop();
    }
}
