//! The process that owns context id 0.

use std::io;
use std::time::Duration;

use mitogen_core::broker::{Broker, ProcessMonitor};
use mitogen_core::call::Context;
use mitogen_core::connect::{ChildSettings, ConnectRequest, Connecting, Connector, RequestError, Transport};
use mitogen_core::ids::Identity;
use mitogen_core::io::default_poller;
use mitogen_core::router::{Router, RouterOptions};
use mitogen_core::sys;
use mitogen_core::wire::DEFAULT_MAX_MESSAGE_SIZE;
use thiserror::Error;

use crate::{log_sink, responder};

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
}

impl Default for MasterOptions {
    fn default() -> Self {
        Self {
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            unidirectional: false,
            grace: Duration::from_secs(5),
            settings: ChildSettings::default(),
        }
    }
}

/// A master could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The loop could not be started.
    #[error("cannot start the I/O loop: {0}")]
    Broker(#[source] io::Error),
}

/// The root of a tree. Dropping it ends the tree, in order, within the grace period.
#[derive(Debug)]
pub struct Master {
    broker: Option<Broker>,
    router: Router,
    connector: Connector,
    settings: ChildSettings,
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
        let router_options = RouterOptions {
            max_message_size: options.max_message_size,
            unidirectional: options.unidirectional,
        };
        let router = Router::new(Identity::master(), broker.handle(), router_options);
        log_sink::listen(&router);
        let weak = router.downgrade();
        broker.handle().on_exit(move || {
            if let Some(router) = weak.upgrade() {
                router.finish();
            }
        });
        let processes = ProcessMonitor::new(broker.handle());
        let connector = Connector::new(router.clone(), processes);
        responder::listen(&router, connector.stock_peers().clone());
        Ok(Self { broker: Some(broker), router, connector, settings: options.settings })
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

    /// Ends the tree: children are asked to end, and made to after the grace period.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.shutdown();
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop();
    }
}
