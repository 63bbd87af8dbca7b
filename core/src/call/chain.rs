//! Pipelined calls, with the error semantics of upstream Mitogen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::context::Context;
use super::error::CallError;
use super::function::FunctionName;
use super::receiver::Receiver;
use super::reply::FromMessage;
use super::request::Request;

static CHAINS: AtomicU64 = AtomicU64::new(0);

/// Calls to one context that depend on each other.
///
/// After one has failed, all later ones fail with the same error and are not run, until
/// [`CallChain::reset`]. Dropping the chain resets it, so that the context can forget the error.
///
/// ```
/// # use mitogen_core as mitogen;
/// use mitogen::call::{CallError, Context};
///
/// /// Creates a directory and a link in it without waiting in between: one round trip.
/// fn prepare(context: &Context) -> Result<(), CallError> {
///     let chain = context.chain();
///     chain.call_no_reply("os.makedirs", ("/srv/app",))?;
///     // Fails with the error of the first call if that one failed.
///     chain.call("os.symlink", ("/srv/app/v2", "/srv/app/current"))
/// }
/// ```
#[derive(Debug)]
pub struct CallChain {
    context: Context,
    id: String,
}

impl Context {
    /// A chain of calls that can be sent without waiting for replies: after one has failed, those behind
    /// it fail with its error and are not run.
    pub fn chain(&self) -> CallChain {
        CallChain::new(self.clone())
    }
}

impl CallChain {
    fn new(context: Context) -> Self {
        let number = CHAINS.fetch_add(1, Ordering::Relaxed);
        // Unique among all programs that may call into the same context.
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let me = context.router().identity().id;
        let id = format!("{me}-{}-{number:x}-{micros:x}", std::process::id());
        Self { context, id }
    }

    /// Starts a request in the chain.
    pub fn request(&self, function: FunctionName) -> Request<'_> {
        Request { chain: Some(&self.id), ..self.context.request(function) }
    }

    /// Calls `function` and waits for its result.
    ///
    /// # Errors
    /// See [`CallError`]; also the error of an earlier call in the chain.
    pub fn call<T: FromMessage>(&self, function: &str, args: impl Serialize) -> Result<T, CallError> {
        self.request(function.parse::<FunctionName>()?).args(args).call()
    }

    /// Calls `function`; the result comes to the receiver.
    ///
    /// # Errors
    /// The request could not be encoded or sent.
    pub fn call_async<T: FromMessage>(
        &self,
        function: &str,
        args: impl Serialize,
    ) -> Result<Receiver<T>, CallError> {
        self.request(function.parse::<FunctionName>()?).args(args).call_async()
    }

    /// Calls `function` without a reply: its error is seen by the next call of the chain.
    ///
    /// # Errors
    /// The request could not be encoded or sent.
    pub fn call_no_reply(&self, function: &str, args: impl Serialize) -> Result<(), CallError> {
        self.request(function.parse::<FunctionName>()?).args(args).call_no_reply()
    }

    /// Makes the context forget the error of this chain.
    ///
    /// # Errors
    /// The request could not be sent.
    pub fn reset(&self) -> Result<(), CallError> {
        let forget = FunctionName {
            module: "mitogen.core".to_owned(),
            class: Some("Dispatcher".to_owned()),
            function: "forget_chain".to_owned(),
        };
        self.context.request(forget).args((self.id.as_str(),)).call_no_reply()
    }
}

impl Drop for CallChain {
    fn drop(&mut self) {
        // If the context is gone, there is nothing to forget.
        let _ = self.reset();
    }
}
