//! What every program in a tree consists of: a loop, a router and, if it starts contexts, a connector.
//!
//! A master, a client of a running session and a native child differ in their identity, in their links and
//! in the handlers that they register. How they start and shut down is the same, and is in this file.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use crate::broker::{Broker, BrokerHandle, ProcessMonitor};
use crate::connect::Connector;
use crate::ids::Identity;
use crate::importer::SentCache;
use crate::io::default_poller;
use crate::router::{Router, RouterOptions};

/// How a [`Node`] is started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeOptions {
    /// The name of the loop's thread. `mitogen.broker` by default.
    pub thread_name: String,
    /// What the router enforces.
    pub router: RouterOptions,
    /// How long a shutdown may take before links are cut. 5 s by default.
    pub grace: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            thread_name: "mitogen.broker".to_owned(),
            router: RouterOptions::default(),
            grace: Duration::from_secs(5),
        }
    }
}

impl NodeOptions {
    /// Sets the name of the loop's thread.
    #[must_use]
    pub fn thread_name(self, name: impl Into<String>) -> Self {
        Self { thread_name: name.into(), ..self }
    }

    /// Sets what the router enforces.
    #[must_use]
    pub fn router(self, router: RouterOptions) -> Self {
        Self { router, ..self }
    }

    /// Sets how long a shutdown may take before links are cut.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }
}

/// One context's loop, router and connector. Dropping it shuts them down.
///
/// The order of a shutdown: streams are asked to end, and children with them; after the grace period the
/// links that are left are cut; then every handler that is left gets a dead message, so that no thread
/// waits for ever, and processes that still run are killed.
#[derive(Debug)]
pub struct Node {
    /// `None` after the shutdown.
    broker: Option<Broker>,
    router: Router,
    connector: OnceLock<Connector>,
}

impl Node {
    /// Starts the loop's thread for the context that `identity` names. It has no link yet.
    ///
    /// # Errors
    /// The system refuses a thread or descriptors.
    pub fn start(identity: Identity, options: &NodeOptions) -> io::Result<Self> {
        let broker = Broker::start(&options.thread_name, default_poller()?)?.with_grace(options.grace);
        let router = Router::new(identity, broker.handle(), options.router);
        let weak = router.downgrade();
        broker.handle().on_exit(move || {
            if let Some(router) = weak.upgrade() {
                router.finish();
            }
        });
        Ok(Self { broker: Some(broker), router, connector: OnceLock::new() })
    }

    /// The router.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The loop.
    pub fn broker(&self) -> &BrokerHandle {
        self.router.broker()
    }

    /// What starts contexts. It is made when it is first asked for; a program that starts none registers
    /// no handlers for that.
    pub fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            let processes = ProcessMonitor::new(self.broker().clone());
            Connector::new(self.router.clone(), processes)
        })
    }

    /// What has been sent to other contexts already.
    pub fn sent_cache(&self) -> &SentCache {
        SentCache::of(&self.router)
    }

    /// Shuts down and waits for the end of the loop's thread. The second time it does nothing.
    pub fn shutdown(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.shutdown();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::ids::ContextId;
    use crate::router::HandlerOptions;

    #[test]
    fn a_shutdown_ends_every_wait() {
        let mut node = Node::start(Identity::master(), &NodeOptions::default()).unwrap();
        let (dead, is_dead) = mpsc::channel();
        node.router().add_once(HandlerOptions::default(), move |delivery| {
            let _ = dead.send(delivery.message.is_dead());
        });
        assert_eq!(node.connector().contexts().len(), 0);
        assert!(node.sent_cache().first_to_context(ContextId(1), "x"));
        assert!(!node.sent_cache().first_to_context(ContextId(1), "x"), "it is the router's, not a new one");
        node.shutdown();
        assert!(is_dead.recv().unwrap());
        node.shutdown();
    }
}
