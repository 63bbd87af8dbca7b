//! A context: its id, its name and the router that leads to it. What can be called in it is in
//! `request.rs` and `chain.rs`.

use std::fmt;
use std::sync::Arc;

use crate::ids::ContextId;
use crate::router::{Router, SendError};

/// A context that can be called. Cloning it is cheap and gives the same context.
///
/// ```
/// # use mitogen_core as mitogen;
/// use mitogen::call::{CallError, Context, FunctionName};
///
/// /// The free space of the file system of `path`, as a share of the whole.
/// fn free(context: &Context, path: &str) -> Result<f64, CallError> {
///     // Arguments and results are converted by serde: tuples, strings, numbers, maps, or `Value`.
///     let (total, _, free): (f64, f64, f64) = context.call("shutil.disk_usage", (path,))?;
///     Ok(free / total)
/// }
///
/// /// The same call for several contexts, which run it at the same time.
/// fn names(contexts: &[Context]) -> Result<Vec<String>, CallError> {
///     let replies: Vec<_> =
///         contexts.iter().map(|context| context.call_async("platform.node", ())).collect::<Result<_, _>>()?;
///     replies.iter().map(|reply| reply.get()).collect()
/// }
///
/// /// Keyword arguments, time limits and classes of the module are parts of a request.
/// fn sorted(context: &Context, items: Vec<u32>) -> Result<Vec<u32>, CallError> {
///     let function: FunctionName = "builtins.sorted".parse()?;
///     context.request(function).args((items,)).kwarg("reverse", true).call()
/// }
/// ```
#[derive(Clone)]
pub struct Context {
    router: Router,
    id: ContextId,
    name: Arc<str>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}, {:?})", self.id, self.name)
    }
}

impl Context {
    /// The context `id`, reached through `router`.
    pub fn new(router: &Router, id: ContextId, name: &str) -> Self {
        Self { router: router.clone(), id, name: name.into() }
    }

    /// Its id.
    pub fn id(&self) -> ContextId {
        self.id
    }

    /// Its name, such as `ssh.web1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The router that leads to it.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Asks the context to end. Every wait for it then ends with an error.
    ///
    /// # Errors
    /// There is no route to it.
    pub fn shutdown(&self) -> Result<(), SendError> {
        self.router.request_shutdown(self.id)
    }

    /// Calls `watcher`, once, with the reason when this context is lost; at once if it has been lost
    /// already.
    pub fn on_disconnect(&self, watcher: impl FnOnce(&str) + Send + 'static) {
        self.router.on_disconnect(self.id, watcher);
    }

    /// Bytes queued for it that the kernel has not taken yet.
    pub fn pending_bytes(&self) -> usize {
        self.router.pending_bytes(self.id)
    }
}
