//! The threads that run the methods of services: calls come to handle 110.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{Builder, JoinHandle};

use super::definition::{Call, Service, refuse};
use crate::pickle::{self, Value};
use crate::router::{Delivery, HandlerOptions, Router, WeakRouter};
use crate::wire::{Message, WellKnownHandle};

/// What a thread does next.
enum Work {
    Call(Delivery),
    Run(Box<dyn FnOnce() + Send>),
    Stop,
}

/// Runs work on the threads of services; keeps neither them nor a router alive.
#[derive(Clone, Debug)]
pub struct Deferrer(Sender<Work>);

impl Deferrer {
    /// Runs `work` soon, unless the services have ended.
    pub fn defer(&self, work: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Work::Run(Box::new(work)));
    }
}

type ServiceMap = RwLock<HashMap<String, Arc<Service>>>;

/// The services of one router. Dropping it waits for the calls that are running; no others begin.
#[derive(Debug)]
pub struct Services {
    router: WeakRouter,
    registry: Arc<ServiceMap>,
    queue: Sender<Work>,
    threads: Vec<JoinHandle<()>>,
}

impl Services {
    /// Accepts calls, and runs up to `threads` of them at a time.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(router: &Router, threads: usize) -> io::Result<Self> {
        let (queue, calls) = channel();
        let mut services = Self {
            router: router.downgrade(),
            registry: Arc::default(),
            queue: queue.clone(),
            threads: Vec::new(),
        };
        let calls = Arc::new(Mutex::new(calls));
        for number in 0..threads.max(1) {
            let (calls, registry, router) =
                (Arc::clone(&calls), Arc::clone(&services.registry), services.router.clone());
            let thread = Builder::new().name(format!("mitogen.service.{number}"));
            services.threads.push(thread.spawn(move || work(&calls, &registry, &router))?);
        }
        // Each method has its own policy.
        let handle = Some(WellKnownHandle::CallService.handle());
        router.add_handler(handle, HandlerOptions::default(), move |delivery| {
            // A dead message is not a call.
            if !delivery.message.is_dead() {
                let _ = queue.send(Work::Call(delivery));
            }
        });
        Ok(services)
    }

    /// Runs other work on the same threads.
    pub fn deferrer(&self) -> Deferrer {
        Deferrer(self.queue.clone())
    }

    /// Adds a service; replaces one with the same name.
    pub fn add(&self, service: Service) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.insert(service.name().to_owned(), Arc::new(service));
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if let Some(router) = self.router.upgrade() {
            router.remove_handler(WellKnownHandle::CallService.handle());
        }
        for _ in &self.threads {
            let _ = self.queue.send(Work::Stop);
        }
        for thread in self.threads.drain(..) {
            // The panic of a method has been reported already.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Work>>, registry: &ServiceMap, router: &WeakRouter) {
    loop {
        let work = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // A panic ends neither the thread nor the wait of the caller.
        let guarded =
            |work: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        match work {
            Ok(Work::Call(delivery)) => {
                let Some(router) = router.upgrade() else { return };
                if !guarded(&mut || take(&delivery, registry, &router)) {
                    refuse(&router, &delivery.message, "the service panicked");
                }
            }
            Ok(Work::Run(work)) => {
                let mut work = Some(work);
                guarded(&mut || work.take().into_iter().for_each(|work| work()));
            }
            Ok(Work::Stop) | Err(_) => return,
        }
    }
}

fn take(delivery: &Delivery, registry: &ServiceMap, router: &Router) {
    let message = &delivery.message;
    let Some((service, method, kwargs)) = parse(message) else {
        return refuse(router, message, "Invalid message format.");
    };
    let found = registry.read().unwrap_or_else(PoisonError::into_inner).get(&service).cloned();
    match found {
        Some(found) => found.invoke(&method, &Call { router, message, ingress: delivery.ingress, kwargs }),
        None => {
            let text = format!("Service '{service}' is not yet activated in this context, and has to be.");
            refuse(router, message, &text);
        }
    }
}

/// Arguments by name.
type Arguments = Vec<(String, Value)>;

/// Service, method and arguments.
fn parse(message: &Message) -> Option<(String, String, Arguments)> {
    let value: Value = pickle::decode(&message.data).ok()?;
    let Value::Tuple(fields) = value else { return None };
    let [service, method, kwargs] = <[Value; 3]>::try_from(fields).ok()?;
    let (Value::Kwargs(pairs) | Value::Dict(pairs)) = kwargs else { return None };
    let kwargs = pairs.into_iter().map(|(key, value)| Some((text(&key)?, value))).collect::<Option<_>>()?;
    Some((text(&service)?, text(&method)?, kwargs))
}

/// Names may be text or, from Python 2, bytes.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        other => other.as_str().map(str::to_owned),
    }
}
