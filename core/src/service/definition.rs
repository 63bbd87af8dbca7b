//! A service: methods by name, each with a policy and the arguments that it requires.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::kind::{Kind, type_of};
use crate::ids::ContextId;
use crate::pickle::{self, Value};
use crate::router::{LinkId, Router};
use crate::wire::{Encoding, Message};

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServicePolicy {
    /// Every context that has a route to this one.
    AllowAny,
    /// Contexts with the authority of this one or of an ancestor.
    AllowParents,
}

/// Why a method has failed; the caller gets the text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ServiceError(pub String);

/// A call, as it is given to its method.
#[derive(Debug)]
pub struct Call<'a> {
    /// The router that received it.
    pub router: &'a Router,
    /// The request.
    pub message: &'a Message,
    /// The link that it came in by; `None` for a call from this context.
    pub ingress: Option<LinkId>,
    pub(super) kwargs: Vec<(String, Value)>,
}

impl Call<'_> {
    /// The argument of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.kwargs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The argument as text; empty if it is no text, which a specification with [`Kind::Text`] excludes.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the caller has the authority of this context or of an ancestor.
    pub fn is_privileged(&self) -> bool {
        self.router.identity().has_parent_authority(self.message.auth_id)
    }

    /// Answers the call: for methods that were added with [`Service::no_reply`].
    pub fn reply(&self, value: &Value) {
        reply(self.router, self.message, value);
    }

    /// The context that calls.
    pub fn caller(&self) -> ContextId {
        self.message.src_id
    }
}

type Function = dyn Fn(&Call<'_>) -> Result<Value, ServiceError> + Send + Sync;

pub(super) struct Method {
    policies: Vec<ServicePolicy>,
    arguments: Vec<(&'static str, Kind)>,
    /// Whether what the function returns is sent.
    answers: bool,
    function: Arc<Function>,
}

/// A service: a name and methods.
///
/// ```
/// # use mitogen_core as mitogen;
/// # use mitogen_core::{ids::Identity, node::{Node, NodeOptions}};
/// # let node = Node::start(Identity::master(), &NodeOptions::default())?;
/// # let router = node.router(); // of a master: `master.router()`
/// use mitogen::call::Context;
/// use mitogen::pickle::Value;
/// use mitogen::service::{Kind, Service, ServicePolicy, Services};
///
/// let greeter = Service::new("greeter.Greeter").method(
///     "greet",
///     ServicePolicy::AllowParents,
///     &[("name", Kind::Text)],
///     |call| Ok(Value::from(format!("hello, {}", call.text("name")).as_str())),
/// );
/// let services = Services::start(router, 2)?;
/// services.add(greeter);
///
/// // Other contexts call it in the same way; this one calls itself.
/// let me = Context::new(router, router.identity().id, "self");
/// let greeting: String = me.call_service("greeter.Greeter", "greet", &[("name", "web1".into())])?;
/// assert_eq!(greeting, "hello, web1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Service {
    name: String,
    methods: HashMap<String, Method>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut methods: Vec<&String> = self.methods.keys().collect();
        methods.sort();
        f.debug_struct("Service").field("name", &self.name).field("methods", &methods).finish()
    }
}

impl Service {
    /// A service without methods. The Python runtime and upstream Mitogen expect a name such as `module.Class`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), methods: HashMap::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a method whose result is sent to the caller.
    #[must_use]
    pub fn method(
        self,
        name: &str,
        policy: ServicePolicy,
        arguments: &[(&'static str, Kind)],
        function: impl Fn(&Call<'_>) -> Result<Value, ServiceError> + Send + Sync + 'static,
    ) -> Self {
        self.add(name, policy, arguments, true, Arc::new(function))
    }

    /// Adds a method that sends nothing by itself; it may call [`Call::reply`]. Its errors are logged.
    #[must_use]
    pub fn no_reply(
        self,
        name: &str,
        policy: ServicePolicy,
        arguments: &[(&'static str, Kind)],
        function: impl Fn(&Call<'_>) -> Result<(), ServiceError> + Send + Sync + 'static,
    ) -> Self {
        let function = move |call: &Call<'_>| function(call).map(|()| Value::None);
        self.add(name, policy, arguments, false, Arc::new(function))
    }

    fn add(
        mut self,
        name: &str,
        policy: ServicePolicy,
        arguments: &[(&'static str, Kind)],
        answers: bool,
        function: Arc<Function>,
    ) -> Self {
        let method = Method { policies: vec![policy], arguments: arguments.to_vec(), answers, function };
        self.methods.insert(name.to_owned(), method);
        self
    }

    /// Checks a call in the order that upstream Mitogen does, carries it out, and answers.
    pub(super) fn invoke(&self, name: &str, call: &Call<'_>) {
        let method = match self.check(name, call) {
            Ok(method) => method,
            Err(text) => return refuse(call.router, call.message, &text),
        };
        match (method.function)(call) {
            Ok(value) if method.answers => call.reply(&value),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(service = self.name, method = name, %error, "a service call failed");
                if method.answers {
                    call.reply(&Value::CallError(error.0));
                }
            }
        }
    }

    fn check(&self, name: &str, call: &Call<'_>) -> Result<&Method, String> {
        let method = self.methods.get(name).ok_or_else(|| format!("No such method: '{name}'"))?;
        let allowed = method.policies.iter().all(|policy| match policy {
            ServicePolicy::AllowAny => true,
            ServicePolicy::AllowParents => call.is_privileged(),
        });
        if !allowed {
            return Err(format!("Caller is not authorized to invoke '{name}' of service '{}'", self.name));
        }
        for (argument, kind) in &method.arguments {
            let value =
                call.get(argument).ok_or_else(|| format!("Required argument '{argument}' missing."))?;
            if !kind.takes(value) {
                return Err(format!(
                    "Argument '{argument}' type incorrect, got {}, expected {}",
                    type_of(value),
                    kind.name()
                ));
            }
        }
        Ok(method)
    }
}

/// Answers a request, if its sender waits for an answer.
pub(super) fn reply(router: &Router, message: &Message, value: &Value) {
    if !message.wants_reply() {
        return;
    }
    let data =
        pickle::to_bytes(value).or_else(|error| pickle::to_bytes(&Value::CallError(error.to_string())));
    let Ok(data) = data else { return };
    let answer = Message::new(message.src_id, message.reply_to, Encoding::Pickle, data);
    if let Err(error) = router.send(answer) {
        tracing::debug!(%error, "the caller of a service has gone");
    }
}

/// Answers with an error that the caller has caused.
pub(super) fn refuse(router: &Router, message: &Message, text: &str) {
    tracing::warn!(src = message.src_id.0, error = text, "a service call was refused");
    reply(router, message, &Value::CallError(text.to_owned()));
}
