//! Sending modules before they are asked for.

use std::sync::Arc;

use bytes::Bytes;

use crate::ids::ContextId;
use crate::router::Router;

/// Sends what a call or a script will import, so that the remote side does not have to ask for it.
/// Runs on the thread that makes the call.
pub trait Preloader: Send + Sync {
    /// A function of `module` is about to be called in `context`. Gives whether
    /// [`Preloader::after_call`] has something to send.
    fn before_call(&self, context: ContextId, module: &str) -> bool;

    /// The call was sent.
    fn after_call(&self, context: ContextId, module: &str);

    /// A script with this source is about to be sent to `context`, which will run it in a copy
    /// of itself with the id `copy`.
    fn before_script(&self, context: ContextId, copy: ContextId, source: &Bytes);
}

/// The router's preloader; a type of its own, so that it can be set only here.
struct Installed(Arc<dyn Preloader>);

/// Makes `preloader` the one of `router`. Gives `false`, and changes nothing, if there is one already.
pub fn set_preloader(router: &Router, preloader: Arc<dyn Preloader>) -> bool {
    router.extensions().set(Installed(preloader)).is_ok()
}

/// The preloader of `router`, if it has one.
pub fn preloader(router: &Router) -> Option<&dyn Preloader> {
    router.extensions().get::<Installed>().map(|installed| &*installed.0)
}
